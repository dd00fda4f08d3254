// What hardware this machine has, and how much of it is in use, read from the kernel's files.
//
// Model
//  1. discover() finds processor, memory and disk. A part that cannot be read stays empty and is named in `problems`;
//     the others are still found.
//  2. Limits of this process's control groups apply: in a container with 2 GiB the machine has 2 GiB, and a processor
//     quota lowers the cores.
//  3. Cores are physical, threads logical. The clock is the highest known rate of the processor.
//  4. usage() is what all processes use: the load of the last minute in cores, memory that is not available, disk that
//     is not free. Never more than discover() finds.
//  5. Graphics cards are not detected: the list is empty.
//
// `root` is prepended to every path, so that tests run on a recorded tree. Threads: any, no state. Cost: some twenty
// small files in memory, well under a millisecond.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "capability/capability.hpp"

namespace dms::hardware {

/// What the file system that holds a folder has, and the block device under it (0:0 if none).
struct Space {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  unsigned major = 0;
  unsigned minor = 0;
};
/// Of the folder, or of its nearest parent that exists.
Result<Space> space_of(const std::filesystem::path& folder);
/// The kernel's name of the architecture: "x86_64".
std::string architecture();

struct Options {
  std::filesystem::path work_dir = "/";
  std::filesystem::path root = "/";
  std::function<Result<Space>(const std::filesystem::path&)> space = space_of;
  std::string architecture = hardware::architecture();
};

struct Report {
  capability::Resources resources;
  std::vector<std::string> problems;
};

Report discover(const Options& options);
Report usage(const Options& options);

}  // namespace dms::hardware
