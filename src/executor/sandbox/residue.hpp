// What executions leave on the machine: folders and control groups, also those of an earlier daemon.
//
// Model
//  1. end() kills what still runs in a control group and removes the group. What has not ended after some 5 s, such as
//     a process that waits for a disk, is reported and left to the next start.
//  2. remove() removes the folder of an execution; what cannot be removed is quarantined (base/remove_tree.hpp).
//  3. adopt() ends the groups and quarantines the folders that an earlier daemon left. The quarantine is emptied in the
//     background: that may take long, or fail, and must not delay the start of the daemon.
//
// Threads: one lane; folders are removed by a worker. Failure: logged.
#pragma once

#include <filesystem>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "executor/sandbox/cgroup.hpp"
#include "runtime/nursery.hpp"

namespace dms::executor {

class Residue {
 public:
  Residue(Lane& lane, std::filesystem::path state_dir);

  Task<void> end(Cgroup group);
  Task<void> remove(std::filesystem::path folder);
  /// Before the first execution: every folder in the state folder is residue, except those of these names.
  Task<void> adopt(std::vector<Cgroup> groups, std::set<std::string> keep);
  /// Stops the background work. Before the destructor.
  Task<void> close();

 private:
  Task<void> sweep();

  std::filesystem::path state_dir_;
  bool sweeping_ = false;
  std::stop_source stop_;
  Nursery nursery_;
};

}  // namespace dms::executor
