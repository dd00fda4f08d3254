// Files of simulated work: contents that follow from a seed, and what a run does with files as its environment says.
//
// Model: an entry SIM_READ=<path>=<SHA-256 in hex> has the run find that content at the path below its work folder as
// it begins; SIM_WRITE=<path>=<seed>=<bytes> has it write a file there. Whoever knows the ensemble knows both contents.
//
// Threads: none. Cost: linear in the files.
#pragma once

#include <string>
#include <vector>

#include "executor/executor.hpp"

namespace dms::sim {

/// A file of that many bytes, which follow from the seed.
struct File {
  std::uint64_t seed = 0;
  std::uint64_t size = 0;
  [[nodiscard]] std::string content() const;
  /// Its SHA-256, in hex.
  [[nodiscard]] std::string digest() const;
};

/// The entry of a run that finds `file` at `path`.
[[nodiscard]] std::string reads(const std::string& path, const File& file);
/// The entry of a run that writes `file` to `path`.
[[nodiscard]] std::string writes(const std::string& path, const File& file);

struct FileWork {
  std::size_t read = 0;             ///< files with the expected content
  std::vector<std::string> faults;  ///< what was expected and is not there, or cannot be written
};
/// Does what the request's environment says.
[[nodiscard]] FileWork do_file_work(const executor::Request& request);

}  // namespace dms::sim
