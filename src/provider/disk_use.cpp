#include "provider/disk_use.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <memory>

#include "transfer/tree.hpp"

namespace dms::provider {
namespace {

constexpr std::uint64_t kBlock = 512;  // of stat::st_blocks

struct Count {
  std::uint64_t enough = 0;
  std::stop_token stop;
  std::size_t entries = 0;
  DiskUse use;
  [[nodiscard]] bool ends() const { return entries >= kMaxCounted && use.bytes > enough; }
};

/// Or is no folder any more: what a program swaps while it is counted does not end the count.
bool is_gone(const Error& error) { return error.is(Errc::not_found) || error.is(Errc::invalid_argument); }

constexpr mode_t kReads = S_IRUSR | S_IXUSR;

/// A folder of this user that it may not read: work that runs as this user has closed it, and may write by what it holds
/// open.
bool is_closed(const struct stat& info) {
  return ::geteuid() != 0 && info.st_uid == ::geteuid() && (info.st_mode & kReads) != kReads;
}

void open_up(int parent, const char* name, const struct stat& info) {
  if (!S_ISDIR(info.st_mode) || !is_closed(info)) return;
  const Fd found(::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (found) (void)::chmod(fmt::format("/proc/self/fd/{}", found.get()).c_str(), (info.st_mode & 07777) | kReads);
}

/// What cannot be read does not count, unless the work closes it again and again.
Result<void> skip(int parent, const char* name, Count& count) {
  count.use.all = false;
  struct stat info {};
  if (::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 || !is_closed(info)) return {};
  return fail(Errc::limit_exceeded, "a folder of it is closed again while it is counted");
}

DIR* list_of(Fd folder) { return ::fdopendir(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0)); }

std::uint64_t bytes_of(const struct stat& info) {
  const std::uint64_t names = S_ISDIR(info.st_mode) ? 1 : std::max<std::uint64_t>(info.st_nlink, 1);
  return std::max(static_cast<std::uint64_t>(info.st_blocks) * kBlock / names, kEntry);
}

/// With one descriptor.
Result<void> add(Fd from, int depth, Count& count) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listed(list_of(std::move(from)), &::closedir);
  if (!listed) return std::unexpected(transfer::tree::failure("listing", "a folder"));
  while (const dirent* entry = ::readdir(listed.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (count.stop.stop_requested()) return fail(Errc::cancelled, "counting was cancelled");
    if (count.ends()) {
      count.use.all = false;
      count.use.cut = true;
      return {};
    }
    struct stat info {};
    if (::fstatat(::dirfd(listed.get()), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      if (errno != EACCES) return std::unexpected(transfer::tree::failure("examining", name));
      TRY_VOID(skip(::dirfd(listed.get()), "", count));
      continue;
    }
    ++count.entries;
    count.use.bytes += bytes_of(info);
    if (!S_ISDIR(info.st_mode)) continue;
    if (depth >= kMaxCountedDepth)
      return fail(Errc::limit_exceeded, "it has more than {} levels of folders", kMaxCountedDepth);
    open_up(::dirfd(listed.get()), name.c_str(), info);
    Result<Fd> inner = transfer::tree::open_folder(::dirfd(listed.get()), name);
    if (!inner && is_gone(inner.error())) continue;
    if (!inner && inner.error().is(Errc::permission_denied)) {
      TRY_VOID(skip(::dirfd(listed.get()), name.c_str(), count));
      continue;
    }
    if (!inner) return std::unexpected(inner.error());
    TRY_VOID(add(*std::move(inner), depth + 1, count));
  }
  return {};
}

}  // namespace

Result<DiskUse> disk_use(const std::filesystem::path& folder, std::uint64_t enough, const std::stop_token& stop) {
  Count count;
  count.enough = enough;
  count.stop = stop;
  struct stat info {};
  if (::lstat(folder.c_str(), &info) == 0) open_up(AT_FDCWD, folder.c_str(), info);
  Result<Fd> root = transfer::tree::open_root(folder);
  if (!root && is_gone(root.error())) return count.use;
  if (!root && root.error().is(Errc::permission_denied)) {
    TRY_VOID(skip(AT_FDCWD, folder.c_str(), count));
    return count.use;
  }
  if (!root) return std::unexpected(root.error());
  TRY_VOID(add(*std::move(root), 0, count));
  return count.use;
}

}  // namespace dms::provider
