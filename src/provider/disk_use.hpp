// How much disk a folder takes that an untrusted program writes to.
//
// Model
//  1. Each folder is opened relative to its parent, no symbolic link is followed, so nothing outside of it counts.
//  2. An entry counts with what the disk has allocated for it, and with kEntry at least: its name and inode take space
//     too. A file with several names counts once, a share of it for each name.
//  3. All entries count up to kMaxCounted. More do as long as they take no more than `enough` together, so a folder
//     that takes more than that is always found to.
//
// Threads: any; it blocks on the disk, so a lane offloads it. Cost: one system call for an entry. Failure:
// Errc::limit_exceeded above kMaxCountedDepth levels, Errc::cancelled when it is asked to stop, Errc::io; what ceases
// to exist while it is counted is no failure.
// Attacks: a program that fills its folder with entries costs at most the larger of kMaxCounted and enough / kEntry
// calls, and kMaxCountedDepth descriptors. One that runs as the daemon's user, as in a sandbox of a daemon that is not
// root, may close a folder and write by what it holds open: it is opened again, for reading, and Errc::limit_exceeded
// if that does not last. Not seen: files without a name that a program holds open, and what is in a folder that another
// user closes to the daemon's; root may read all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>

#include "base/result.hpp"

namespace dms::provider {

inline constexpr std::size_t kMaxCounted = 50'000;
inline constexpr std::uint64_t kEntry = 4096;  // bytes
inline constexpr int kMaxCountedDepth = 128;   // each takes a descriptor; a sandbox does not start with more

struct DiskUse {
  std::uint64_t bytes = 0;  ///< 0 if there is no such folder
  bool all = true;          ///< false: there is more, beyond (3) or in folders that cannot be read
  bool cut = false;         ///< there is more beyond (3)
};
Result<DiskUse> disk_use(const std::filesystem::path& folder, std::uint64_t enough = 0,
                         const std::stop_token& stop = {});

}  // namespace dms::provider
