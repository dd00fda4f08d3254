// How much disk a folder takes that an untrusted program writes to.
//
// Each folder is opened relative to its parent, no symbolic link is followed, so nothing outside of it counts. A file
// with several names counts once for each. Threads: any; it blocks on the disk, so a lane offloads it. Cost: one system
// call for an entry. Failure: Errc::limit_exceeded above kMaxCounted entries or kMaxCountedDepth levels, Errc::io; what
// ceases to exist while it is counted is no failure. Attacks: a program that fills its folder with entries costs at
// most kMaxCounted calls and kMaxCountedDepth descriptors, and its use is unknown then.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.hpp"

namespace dms::provider {

inline constexpr std::size_t kMaxCounted = 50'000;
inline constexpr int kMaxCountedDepth = 32;  // each takes a descriptor

/// Bytes that are allocated on the disk; 0 if there is no such folder.
Result<std::uint64_t> disk_use(const std::filesystem::path& folder);

}  // namespace dms::provider
