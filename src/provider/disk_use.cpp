#include "provider/disk_use.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>
#include <memory>

#include "transfer/tree.hpp"

namespace dms::provider {
namespace {

constexpr std::uint64_t kBlock = 512;  // of stat::st_blocks

struct Count {
  std::uint64_t bytes = 0;
  std::size_t entries = 0;
};

bool is_gone(const Error& error) { return error.is(Errc::not_found); }

DIR* list_of(Fd folder) { return ::fdopendir(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0)); }

/// With one descriptor.
Result<void> add(Fd from, int depth, Count& count) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listed(list_of(std::move(from)), &::closedir);
  if (!listed) return std::unexpected(transfer::tree::failure("listing", "a folder"));
  while (const dirent* entry = ::readdir(listed.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (++count.entries > kMaxCounted) return fail(Errc::limit_exceeded, "it has more than {} entries", kMaxCounted);
    struct stat info {};
    if (::fstatat(::dirfd(listed.get()), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return std::unexpected(transfer::tree::failure("examining", name));
    }
    count.bytes += static_cast<std::uint64_t>(info.st_blocks) * kBlock;
    if (!S_ISDIR(info.st_mode)) continue;
    if (depth >= kMaxCountedDepth)
      return fail(Errc::limit_exceeded, "it has more than {} levels of folders", kMaxCountedDepth);
    Result<Fd> inner = transfer::tree::open_folder(::dirfd(listed.get()), name);
    if (!inner && is_gone(inner.error())) continue;
    if (!inner) return std::unexpected(inner.error());
    TRY_VOID(add(*std::move(inner), depth + 1, count));
  }
  return {};
}

}  // namespace

Result<std::uint64_t> disk_use(const std::filesystem::path& folder) {
  Count count;
  Result<Fd> root = transfer::tree::open_root(folder);
  if (!root && is_gone(root.error())) return count.bytes;
  if (!root) return std::unexpected(root.error());
  TRY_VOID(add(*std::move(root), 0, count));
  return count.bytes;
}

}  // namespace dms::provider
