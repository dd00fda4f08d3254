#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/text.hpp"
#include "transfer/archive.hpp"
#include "transfer/tree.hpp"

namespace dms::transfer {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr std::size_t kMaxName = 255;

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};

std::unexpected<Error> unpacking_stopped() { return fail(Errc::cancelled, "unpacking was cancelled"); }

Result<std::vector<std::string>> parts_of(std::string_view path, bool current_folder) {
  const auto refuse = [&](std::string_view reason) {
    return fail(Errc::invalid_argument, "the path \"{}\" {}", printable(path.substr(0, kMaxName)), reason);
  };
  if (path.size() - (path.ends_with('/') ? 1 : 0) > kMaxPath) return refuse("is too long");
  if (path.starts_with('/')) return refuse("is absolute; expected one below the folder");
  if (tree::has_control_characters(path)) return fail(Errc::invalid_argument, "a path has control characters");
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (part.empty() || (part == "." && current_folder)) continue;
    if (part == "." || part == "..") return refuse("has the part \".\" or \"..\"");
    if (part.size() > kMaxName) return refuse("is too long");
    parts.emplace_back(part);
  }
  if (parts.size() > kMaxDepth) return refuse("is too deep");
  return parts;
}

/// Makes files within what is left.
class Maker {
 public:
  Maker(ArchiveLimits& left, Access access, const std::stop_token& stop) : left_(left), access_(access), stop_(stop) {}

  Result<void> count(std::uint64_t size) {
    if (stop_.stop_requested()) return unpacking_stopped();
    if (left_.max_entries == 0) return fail(Errc::limit_exceeded, "the archive has too many entries");
    if (size > left_.max_bytes)
      return fail(Errc::limit_exceeded, "the content of the archive is larger than the limit of bytes");
    --left_.max_entries;
    left_.max_bytes -= size;
    return {};
  }

  Result<Fd> make_file(int folder, const std::string& name, unsigned mode) const {
    if (access_ == Access::everyone) mode = 0600;  // until it is complete
    Fd file(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file) return std::unexpected(tree::failure("making", name));
    return file;
  }

  Result<void> complete(int fd, const std::string& name, unsigned mode, std::optional<std::int64_t> modified) const {
    if (access_ == Access::everyone && ::fchmod(fd, mode | ((mode & 0111) != 0 ? 0777 : 0666)) != 0)
      return std::unexpected(tree::failure("setting the mode of", name));
    if (!modified) return {};
    const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = *modified, .tv_nsec = 0}};
    if (::futimens(fd, times) != 0) return std::unexpected(tree::failure("setting the time of", name));
    return {};
  }

  Result<void> make_link(int folder, const std::string& name, const char* target) const {
    if (::symlinkat(target, folder, name.c_str()) != 0) return std::unexpected(tree::failure("making", name));
    return {};
  }

  [[nodiscard]] bool stop_requested() const { return stop_.stop_requested(); }
  Result<Fd> make_way(Fd from, std::span<const std::string> parts) const {
    return tree::make_way(std::move(from), parts, access_, left_.max_entries);
  }
  /// One that is counted already.
  Result<Fd> make_folder(int parent, const std::string& name, unsigned mode) const {
    std::uint64_t one = 1;
    return tree::make_folder(parent, name, access_, one, mode);
  }

 private:
  ArchiveLimits& left_;
  Access access_;
  const std::stop_token& stop_;
};

class Unpacker {
 public:
  Unpacker(const Fd& root, Maker& maker) : root_(root), maker_(maker) {}

  Result<void> run(const std::filesystem::path& packed) {
    archive_.reset(archive_read_new());
    if (!archive_ || archive_read_support_format_tar(archive_.get()) != ARCHIVE_OK)
      return fail(Errc::internal, "libarchive cannot read tar archives");
    const Fd file(::open(packed.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return std::unexpected(tree::failure("opening", packed.string()));
    if (archive_read_open_fd(archive_.get(), file.get(), kBlock) != ARCHIVE_OK) return broken();
    for (;;) {
      archive_entry* entry = nullptr;
      const int got = archive_read_next_header(archive_.get(), &entry);
      if (got == ARCHIVE_EOF) return {};
      if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return broken();
      TRY_VOID(add(entry));
    }
  }

 private:
  Result<void> broken() const {
    const char* text = archive_error_string(archive_.get());
    return fail(Errc::invalid_argument, "reading the archive: {}", text != nullptr ? text : "it is damaged");
  }

  /// Names that are not of this process's character set are there as UTF-8 only.
  static const char* path_in(archive_entry* entry) {
    const char* path = archive_entry_pathname(entry);
    return path != nullptr ? path : archive_entry_pathname_utf8(entry);
  }
  static const char* target_in(archive_entry* entry) {
    const char* target = archive_entry_symlink(entry);
    return target != nullptr ? target : archive_entry_symlink_utf8(entry);
  }

  Result<void> add(archive_entry* entry) {
    const char* path = path_in(entry);
    if (path == nullptr) return fail(Errc::invalid_argument, "the archive has an entry without a name");
    TRY(std::vector<std::string> parts, parts_of(path, true));
    const auto refuse = [&](std::string_view reason) {
      return fail(Errc::invalid_argument, "the entry \"{}\" of the archive {}",
                  printable(fmt::to_string(fmt::join(parts, "/"))), reason);
    };
    const auto size = archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : 0;
    if (size < 0) return refuse("has a negative size");
    TRY_VOID(maker_.count(static_cast<std::uint64_t>(size)));
    if (archive_entry_hardlink(entry) != nullptr || archive_entry_hardlink_utf8(entry) != nullptr)
      return refuse("is a hard link");
    if ((archive_entry_perm(entry) & 06000) != 0) return refuse("has a set-id bit");
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFDIR) return add_folder(entry, parts);
    if (type != AE_IFREG && type != AE_IFLNK) return refuse("is no file, folder or link");
    if (parts.empty()) return refuse("has no name");
    TRY(Fd top, tree::open_folder(root_.get(), "."));
    TRY(const Fd folder, maker_.make_way(std::move(top), std::span(parts).first(parts.size() - 1)));
    if (type == AE_IFREG) return add_file(entry, folder, parts.back());
    const char* target = target_in(entry);
    if (target == nullptr || !tree::stays_inside(target, parts.size() - 1))
      return refuse("is a link that leaves the folder");
    if (tree::has_control_characters(target)) return refuse("is a link to a name with control characters");
    return maker_.make_link(folder.get(), parts.back(), target);
  }

  Result<void> add_folder(archive_entry* entry, const std::vector<std::string>& parts) {
    if (parts.empty()) return {};
    TRY(Fd top, tree::open_folder(root_.get(), "."));
    TRY(const Fd way, maker_.make_way(std::move(top), std::span(parts).first(parts.size() - 1)));
    const unsigned mode = (archive_entry_perm(entry) & 0777) | 0700;
    TRY(const Fd folder, maker_.make_folder(way.get(), parts.back(), mode));
    return maker_.complete(folder.get(), parts.back(), mode, std::nullopt);
  }

  Result<void> add_file(archive_entry* entry, const Fd& folder, const std::string& name) {
    TRY(const Fd file, maker_.make_file(folder.get(), name, archive_entry_perm(entry) & 0777));
    const auto size = archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : 0;
    for (;;) {
      if (maker_.stop_requested()) return unpacking_stopped();
      const void* data = nullptr;
      std::size_t length = 0;
      la_int64_t offset = 0;
      const int got = archive_read_data_block(archive_.get(), &data, &length, &offset);
      if (got == ARCHIVE_EOF) break;
      if (got != ARCHIVE_OK) return broken();
      if (offset < 0 || offset > size || static_cast<la_int64_t>(length) > size - offset)
        return fail(Errc::invalid_argument, "the entry \"{}\" of the archive is larger than its size", printable(name));
      if (::lseek(file.get(), offset, SEEK_SET) < 0) return std::unexpected(tree::failure("writing", name));
      TRY_VOID(tree::write_all(file.get(), {static_cast<const std::uint8_t*>(data), length}, name));
    }
    if (::ftruncate(file.get(), size) != 0) return std::unexpected(tree::failure("writing", name));
    std::optional<std::int64_t> modified;
    if (archive_entry_mtime_is_set(entry) != 0) modified = archive_entry_mtime(entry);
    return maker_.complete(file.get(), name, archive_entry_perm(entry) & 0777, modified);
  }

  const Fd& root_;
  Maker& maker_;
  std::unique_ptr<archive, FreeReader> archive_;
};

Result<void> copy_file(const std::filesystem::path& from, const Fd& folder, const std::string& name, Maker& maker,
                       const std::stop_token& stop) {
  const Fd source(::open(from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!source || ::fstat(source.get(), &info) != 0) return std::unexpected(tree::failure("opening", from.string()));
  TRY_VOID(maker.count(static_cast<std::uint64_t>(info.st_size)));
  TRY(const Fd file, maker.make_file(folder.get(), name, 0644));
  Bytes block(kBlock);
  for (;;) {
    if (stop.stop_requested()) return unpacking_stopped();
    const ssize_t got = ::read(source.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(tree::failure("reading", from.string()));
    if (got == 0) break;
    TRY_VOID(tree::write_all(file.get(), BytesView(block).first(static_cast<std::size_t>(got)), name));
  }
  return maker.complete(file.get(), name, 0644, std::nullopt);
}

}  // namespace

Result<std::vector<std::string>> path_below(std::string_view path) {
  TRY(std::vector<std::string> parts, parts_of(path, false));
  if (parts.empty()) return fail(Errc::invalid_argument, "the path is empty");
  return parts;
}

Result<void> unpack(const std::filesystem::path& packed, bool folder, const std::filesystem::path& root,
                    std::string_view path, ArchiveLimits& left, Access access, const std::stop_token& stop) {
  TRY(const std::vector<std::string> parts, path_below(path));
  TRY(Fd top, tree::open_root(root));
  Maker maker(left, access, stop);
  const std::size_t way = folder ? parts.size() : parts.size() - 1;
  TRY(const Fd at, maker.make_way(std::move(top), std::span(parts).first(way)));
  if (!folder) return copy_file(packed, at, parts.back(), maker, stop);
  return Unpacker(at, maker).run(packed);
}

}  // namespace dms::transfer
