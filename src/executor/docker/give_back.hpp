// Gives what a container has left in a folder to the user of the daemon.
//
// Model
//  1. run_give_back() is a reserved entry of the program (helper.hpp), run as root in a container of its own
//     (docker_files.cpp). What the folder holds, and the folder, get the owner and the group of the folder above it.
//  2. Modes stay, except the bits that a change of owner clears. Symbolic links are changed themselves. Folders of
//     another file system are left alone.
//  3. It goes on behind what cannot be changed, and reports the first of it. What has the owner already is not written
//     to, so a repetition costs little.
//
// Threads: one; nothing else may write to the tree. Cost: two system calls for an entry, at most 16 open folders, and
// 24 bytes for each level of the tree: the folders above those that are open are opened again by "..", and their lists
// go on where they were. Attacks: the tree was written by an untrusted program: neither its depth nor the number of its
// entries is limited, no link is followed, and a name that is reported is shortened and printable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/result.hpp"

namespace dms::executor {

/// Gets the number of entries that have been looked at, now and then.
using Progress = std::function<void(std::uint64_t)>;

Result<void> give_back(const std::filesystem::path& folder, const Progress& progress = {});

/// The exit code of the helper: 0 if all was given; otherwise the reason is on standard error. Its progress is on
/// standard output.
int run_give_back(const std::filesystem::path& folder);

}  // namespace dms::executor
