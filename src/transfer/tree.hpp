// Steps through folders that an untrusted program or archive names: each relative to an open folder, following no link.
#pragma once

#include <cerrno>
#include <cstring>
#include <span>
#include <string>

#include "base/result.hpp"
#include "runtime/process.hpp"
#include "transfer/archive.hpp"

namespace dms::transfer::tree {

/// The system's last error about `name`, an entry of a tree.
Error failure(std::string_view doing, std::string_view name);

Result<Fd> open_root(const std::filesystem::path& folder);
/// A folder in `parent`.
Result<Fd> open_folder(int parent, const std::string& name);
/// The folder in `parent`, made if it is missing, with `mode` as the umask allows it. `left` is how many may be made;
/// Errc::limit_exceeded above.
Result<Fd> make_folder(int parent, const std::string& name, Access access, std::uint64_t& left, unsigned mode = 0755);
/// The folder that `parts` lead to.
Result<Fd> descend(Fd from, std::span<const std::string> parts);
Result<Fd> make_way(Fd from, std::span<const std::string> parts, Access access, std::uint64_t& left);

bool has_control_characters(std::string_view name);

/// True if a symbolic link in a folder `depth` levels below the root stays inside, whatever other links there are.
bool stays_inside(std::string_view target, std::size_t depth);

/// Writes all of `bytes`.
Result<void> write_all(int fd, BytesView bytes, std::string_view name);

}  // namespace dms::transfer::tree
