// The watcher of a container: a small process that outlives the daemon and ends the container at its deadline.
//
// Model
//  1. run_watcher() is a reserved entry of the program (helper.hpp). The watcher holds the record lock of its folder,
//     as the shim of a sandbox does (sandbox/shim_files.hpp), and takes two of the same signals: a new deadline, and
//     "end".
//  2. At the deadline, of CLOCK_BOOTTIME, it renames `armed` to `fired` and has the engine kill the container, again
//     with growing pauses until the engine says that it does not run. A container that was created and not started is
//     removed.
//  3. It ends when its container has ended, when the engine does not know that any more, or when the daemon tells it
//     to. While no engine answers it stays: the container may run.
//  4. The container is named by the id that the engine gave it, so a later one of the same name is not touched.
//  5. If the watcher is killed, the daemon starts another one with the next deadline; nothing ends the container
//     meanwhile if no daemon runs either.
//
// Threads: one. Cost: as a shim without its logs; no wake-up without a cause, one connection to the engine.
// Specification: Docker Engine API. Attacks: the container cannot reach the watcher; of the engine's answers two
// members are read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace dms::executor {

inline constexpr std::string_view kArmedFile = "armed";
inline constexpr std::string_view kFiredFile = "fired";

struct Watched {
  std::filesystem::path folder;
  std::string socket;
  std::string container;      // its id
  std::int64_t deadline = 0;  // nanoseconds of CLOCK_BOOTTIME
};

/// The exit code of the helper: 0 once the deadline is in force; otherwise the reason is on standard error.
int run_watcher(const Watched& watched);

}  // namespace dms::executor
