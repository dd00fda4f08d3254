// Gives what a container has left in a folder to the user of the daemon.
//
// Model
//  1. run_give_back() is a reserved entry of the program (helper.hpp), run as root in a container of its own
//     (docker_files.cpp). What the folder holds, and the folder, get the owner and the group of the folder above it.
//  2. Modes stay, except the bits that a change of owner clears. Symbolic links are changed themselves. Folders of
//     another file system are left alone.
//  3. It goes on behind what cannot be changed, and reports the first of it.
//
// Threads: one; nothing else may write to the tree. Cost: three open folders, and the names of the folders that are
// still to be entered. Attacks: the tree was written by an untrusted program: its depth is not limited, and no link is
// followed.
#pragma once

#include <filesystem>

#include "base/result.hpp"

namespace dms::executor {

Result<void> give_back(const std::filesystem::path& folder);

/// The exit code of the helper: 0 if all was given; otherwise the reason is on standard error.
int run_give_back(const std::filesystem::path& folder);

}  // namespace dms::executor
