// Control groups: how CPU, memory and process counts of an execution are limited, observed and ended.
//
// Model
//  1. detect() finds what this process may use, best first: the unified hierarchy (v2), or the v1 hierarchies that are
//     mounted and writable. Groups are made below this process's own group (v2: or below the root, where the kernel
//     does not let a group hold both processes and groups), so limits on the daemon apply to its work too.
//  2. All groups of one owner are in one folder named after it: `<base>/<owner>/<id>`. list() finds those of an owner
//     that has been killed.
//  3. A group's limits are set before the first process joins. Processes join by writing to each of procs_files().
//
// Threads: any, one at a time per group; every call is a few accesses to files in memory. Failure: Errc::io with the
// file's name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "executor/executor.hpp"

namespace dms::executor {

class Cgroup {
 public:
  Cgroup() = default;
  /// A group that is known by its folders.
  Cgroup(std::vector<std::filesystem::path> folders, bool v2) : dirs_(std::move(folders)), v2_(v2) {}

  [[nodiscard]] const std::vector<std::filesystem::path>& folders() const { return dirs_; }
  [[nodiscard]] bool v2() const { return v2_; }
  [[nodiscard]] std::vector<std::filesystem::path> procs_files() const;
  [[nodiscard]] std::vector<int> pids() const;
  /// SIGKILL to every process of the group.
  void kill_all() const;
  Result<void> freeze(bool frozen) const;
  [[nodiscard]] bool frozen() const;
  /// Out-of-memory kills by the kernel in this group.
  [[nodiscard]] std::uint64_t oom_kills() const;
  [[nodiscard]] Stats stats() const;
  /// The most memory that the group has had at a time; 0 if the kernel does not count it.
  [[nodiscard]] std::uint64_t memory_peak() const;
  /// True when the group is removed. False while a process in it runs: call kill_all() and try again later.
  bool remove() const;
  /// The value of one control file, such as "memory.max"; empty if there is none.
  [[nodiscard]] std::string read(std::string_view file) const;

 private:
  friend class CgroupTree;
  std::vector<std::filesystem::path> dirs_;  // v2: one; v1: one per controller
  bool v2_ = false;
};

class CgroupTree {
 public:
  /// `root` is where hierarchies are mounted, `self` the text of /proc/self/cgroup. Nothing if none is usable.
  static std::optional<CgroupTree> detect(std::string owner, const std::filesystem::path& root = "/sys/fs/cgroup",
                                          const std::filesystem::path& self = "/proc/self/cgroup");

  /// Why detect() does not find all controllers, and the remedy. `is_root`: of the user that asked.
  static std::string explain_missing(bool is_root, const std::filesystem::path& root = "/sys/fs/cgroup",
                                     const std::filesystem::path& self = "/proc/self/cgroup");

  /// "cgroup v2" or "cgroup v1 (cpu, memory, pids)": which limits are held.
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] bool holds(std::string_view controller) const;
  /// The group of that name, which may not exist yet.
  [[nodiscard]] Cgroup group(const std::string& id) const;
  Result<Cgroup> create(const std::string& id, const Limits& limits) const;
  /// All groups of this owner, also those of earlier processes.
  [[nodiscard]] std::vector<Cgroup> list() const;
  /// Removes the owner's empty folder.
  void remove_base() const;

 private:
  bool v2_ = false;
  std::vector<std::string> controllers_;
  std::vector<std::filesystem::path> bases_;  // same order as controllers_ for v1; one for v2
};

}  // namespace dms::executor
