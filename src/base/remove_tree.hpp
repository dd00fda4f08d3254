// Removal of folders whose content an untrusted program made.
//
// Model
//  1. remove_tree() opens each folder relative to its parent, follows no symbolic link and enters no mount point, so
//     nothing outside the tree changes. It gives the owner access to a folder that lacks it (`chmod 0`) before it
//     empties the folder.
//  2. The depth of the tree is not limited: a folder below kOpenFolders levels is renamed into the top of the tree and
//     emptied from there. At most kOpenFolders + 1 descriptors are open, no path is longer than one name, and neither
//     memory nor stack grows with the tree.
//  3. discard_tree() frees a path: what cannot be removed is renamed to `.quarantine-<n>-<name>` in the same folder and
//     reported in the log. quarantine_entries() renames everything in a folder so, except the given names, which takes
//     no time; sweep_quarantine() removes what was quarantined, and reports what still cannot be removed.
//
// Threads: any; all block on the disk, so a lane offloads them. Cost: one system call for a file, about six for a
// folder. Failure: Errc::io with the first obstacle; the rest of the tree is removed all the same. Errc::cancelled when
// stopped. Attacks: a tree has any depth, modes, names and links, and more entries than fit into memory. The program
// that wrote it has ended; one that still writes can prolong a removal until it is stopped.
#pragma once

#include <filesystem>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace dms {

/// Success if nothing is left at `path`, also if nothing was there.
Result<void> remove_tree(const std::filesystem::path& path, const std::stop_token& stop = {});

/// Success if `path` is free: removed or quarantined.
Result<void> discard_tree(const std::filesystem::path& path);

/// Success if all entries but those in `except` are quarantined, or if there is no such folder.
Result<void> quarantine_entries(const std::filesystem::path& folder, const std::set<std::string>& except = {});

/// None of a folder that cannot be listed.
std::vector<std::filesystem::path> quarantined_entries(const std::filesystem::path& folder);

/// How many quarantined entries of the folder are left.
std::size_t sweep_quarantine(const std::filesystem::path& folder, const std::stop_token& stop = {});

}  // namespace dms
