// What runs have printed, and whether what orchestrators have collected of it is that.
//
// Model
//  1. What is stored of an allocation's stream is a part of what one of its runs prints: the bytes at each offset are
//     those that the run has printed there, and none is missing but where the file says so
//     (orchestrator/output/stream_file.hpp). Runs of which the texts differ are not mixed.
//  2. Of a run that has ended, missing() says what is not stored of all that it had printed by then. What is dropped
//     where the file says so is not missing.
//  3. check() looks at the files of which the size has changed. kLastLook after has_ended() it looks at all files of
//     the deployment, and forgets it.
//
// Threads: none. Cost: check() asks for the size of two files of each allocation that has run, of the deployments that
// have not ended. What runs have printed is kept once they have ended.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "orchestrator/output/output_store.hpp"

namespace dms::sim {

class Outputs {
 public:
  static constexpr Duration kLastLook = 1min;

  /// A run of the allocation begins, and prints these.
  void begins(const std::string& allocation_id, const std::string& run, std::string out, std::string err);
  /// Those printed in all.
  void ends(const std::string& run, std::string out, std::string err) {
    ended_[run] = {std::move(out), std::move(err)};
  }
  /// What the files in `folder` lack of that run's output, or have beside it; empty if nothing. Of a run without an end
  /// nothing is known.
  [[nodiscard]] std::optional<std::string> missing(const std::string& run, const std::filesystem::path& folder) const;
  /// The node that orchestrates it keeps its files in `work_dir`.
  void deploys(const std::string& deployment, const std::filesystem::path& work_dir);
  void has_ended(const std::string& deployment, SteadyTime now);
  /// What is wrong, by the allocation and its stream.
  [[nodiscard]] std::map<std::string, std::string> check(SteadyTime now);
  [[nodiscard]] std::size_t size() const { return deployments_.size(); }

 private:
  struct Stream {
    std::map<std::string, std::string> printed;  ///< by runs
    std::uintmax_t seen = 0;                     ///< size of the file
  };
  struct Deployment {
    std::optional<std::filesystem::path> work_dir;
    std::optional<SteadyTime> last_look;
    std::map<std::string, std::array<Stream, 2>> allocations;
  };
  using Findings = std::map<std::string, std::string>;
  static void check(const std::string& id, Deployment& deployment, bool all, Findings& findings);

  std::map<std::string, Deployment> deployments_;
  std::map<std::string, std::array<std::string, 2>> ended_;  ///< what runs have printed
};

}  // namespace dms::sim
