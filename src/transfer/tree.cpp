#include "transfer/tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.hpp"

namespace dms::transfer::tree {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

}  // namespace

Error failure(std::string_view doing, std::string_view path) {
  const int code = errno;
  const std::string name = printable(path);
  if (code == ENOSPC || code == EDQUOT) return {Errc::io, fmt::format("{} \"{}\": the disk is full", doing, name)};
  if (code == EACCES || code == EPERM)
    return {Errc::permission_denied, fmt::format("{} \"{}\": {}", doing, name, std::strerror(code))};
  if (code == ENOENT) return {Errc::not_found, fmt::format("{} \"{}\": there is no such file or folder", doing, name)};
  if (code == ELOOP) return {Errc::invalid_argument, fmt::format("{} \"{}\": it is a symbolic link", doing, name)};
  if (code == ENOTDIR)
    return {Errc::invalid_argument, fmt::format("{} \"{}\": it is no folder, or a symbolic link", doing, name)};
  if (code == EEXIST) return {Errc::invalid_argument, fmt::format("{} \"{}\": it exists already", doing, name)};
  return {Errc::io, fmt::format("{} \"{}\": {}", doing, name, std::strerror(code))};
}

Result<Fd> open_root(const std::filesystem::path& folder) {
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return std::unexpected(failure("opening", folder.string()));
  return fd;
}

Result<Fd> open_folder(int parent, const std::string& name) {
  Fd fd(::openat(parent, name.c_str(), kFolder));
  if (!fd) return std::unexpected(failure("opening", name));
  return fd;
}

Result<Fd> make_folder(int parent, const std::string& name, Access access, std::uint64_t& left, unsigned mode) {
  if (left == 0) {
    Result<Fd> there = open_folder(parent, name);
    if (!there && there.error().is(Errc::not_found))
      return fail(Errc::limit_exceeded, "the archive has too many entries");
    return there;
  }
  const bool made = ::mkdirat(parent, name.c_str(), static_cast<mode_t>(mode)) == 0;
  if (!made && errno != EEXIST) return std::unexpected(failure("making", name));
  if (made) --left;
  TRY(Fd fd, open_folder(parent, name));
  if (made && access == Access::everyone && ::fchmod(fd.get(), 0777) != 0)
    return std::unexpected(failure("setting the mode of", name));
  return fd;
}

Result<Fd> descend(Fd from, std::span<const std::string> parts) {
  for (const std::string& part : parts) {
    TRY(Fd next, open_folder(from.get(), part));
    from = std::move(next);
  }
  return from;
}

Result<Fd> make_way(Fd from, std::span<const std::string> parts, Access access, std::uint64_t& left) {
  for (const std::string& part : parts) {
    TRY(Fd next, make_folder(from.get(), part, access, left));
    from = std::move(next);
  }
  return from;
}

bool has_control_characters(std::string_view name) {
  return std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool stays_inside(std::string_view target, std::size_t depth) {
  if (target.empty() || target.front() == '/') return false;
  bool at_beginning = true;
  while (!target.empty()) {
    const std::size_t slash = target.find('/');
    const std::string_view part = target.substr(0, slash);
    target.remove_prefix(slash == std::string_view::npos ? target.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      at_beginning = false;
    } else {
      if (!at_beginning || depth == 0) return false;
      --depth;
    }
  }
  return true;
}

Result<void> write_all(int fd, BytesView bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return std::unexpected(failure("writing", name));
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace dms::transfer::tree
