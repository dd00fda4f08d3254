#include "transfer/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace dms::transfer {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr int kTries = 8;

Error file_error(std::string_view doing, const std::filesystem::path& path) {
  const int code = errno;
  if (code == ENOSPC || code == EDQUOT)
    return {Errc::io, fmt::format("{} {}: the disk is full; free some space and try again", doing, path.string())};
  return {code == ENOENT ? Errc::not_found : Errc::io,
          fmt::format("{} {}: {}", doing, path.string(), std::strerror(code))};
}

/// Opens a regular file; its size.
Result<std::pair<Fd, std::uint64_t>> open_regular(const std::filesystem::path& path, int flags) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd) return std::unexpected(file_error("opening", path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return std::unexpected(file_error("opening", path));
  if (!S_ISREG(info.st_mode)) return fail(Errc::io, "opening {}: not a regular file", path.string());
  if ((flags & O_CREAT) != 0 && info.st_nlink > 1)
    return fail(Errc::io, "opening {}: the file has other names; remove it", path.string());
  return std::pair(std::move(fd), static_cast<std::uint64_t>(info.st_size));
}

/// True if the path names the open file.
bool is_at(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

/// At least one byte unless the file ends.
Result<std::size_t> read_at(int fd, std::uint64_t offset, MutableBytes into, const std::filesystem::path& path) {
  for (;;) {
    const ssize_t got = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return std::unexpected(file_error("reading", path));
  }
}

}  // namespace

Result<void> sync_folder(const std::filesystem::path& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return std::unexpected(file_error("syncing", folder));
  return {};
}

Result<Content> content_of(const std::filesystem::path& path, const std::stop_token& stop) {
  TRY(auto file, open_regular(path, O_RDONLY));
  Content content;
  crypto::Sha256 hash;
  Bytes block(kBlock);
  for (;;) {
    if (stop.stop_requested()) return fail(Errc::cancelled, "reading {} was cancelled", path.string());
    TRY(const std::size_t got, read_at(file.first.get(), content.size, block, path));
    if (got == 0) break;
    hash.add(BytesView(block).first(got));
    content.size += got;
  }
  content.digest = hash.digest();
  return content;
}

Result<SourceFile> SourceFile::open(const std::filesystem::path& path, std::uint64_t size) {
  TRY(auto file, open_regular(path, O_RDONLY));
  if (file.second != size)
    return fail(Errc::io, "{} has {} bytes; it had {} when it was offered", path.string(), file.second, size);
  (void)::posix_fadvise(file.first.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return SourceFile(std::move(file.first), path);
}

Result<void> SourceFile::read(std::uint64_t offset, MutableBytes into) const {
  while (!into.empty()) {
    TRY(const std::size_t got, read_at(fd_.get(), offset, into, path_));
    if (got == 0) return fail(Errc::io, "{} became shorter while it was sent", path_.string());
    offset += got;
    into = into.subspan(got);
  }
  return {};
}

std::filesystem::path PartFile::path() const { return destination_.string() + ".part"; }

Error PartFile::failure(std::string_view doing) const { return file_error(doing, path()); }

Result<PartFile> PartFile::open(std::filesystem::path destination) {
  const std::filesystem::path path = destination.string() + ".part";
  for (int tries = 0; tries < kTries; ++tries) {
    TRY(auto file, open_regular(path, O_RDWR | O_CREAT));
    if (::flock(file.first.get(), LOCK_EX | LOCK_NB) != 0) break;
    // A transfer that ended in between has renamed or removed what was opened.
    if (!is_at(file.first.get(), path)) continue;
    PartFile part(std::move(file.first), std::move(destination));
    TRY_VOID(part.take_up());
    return part;
  }
  return fail(Errc::already_exists, "another transfer to {} is under way", destination.string());
}

Result<void> PartFile::take_up() {
  Bytes block(kBlock);
  for (;;) {
    TRY(const std::size_t got, read_at(fd_.get(), size_, block, path()));
    if (got == 0) return {};
    hash_.add(BytesView(block).first(got));
    size_ += got;
  }
}

Result<void> PartFile::reserve(std::uint64_t size) {
  if (size <= size_) return {};
  const auto begin = static_cast<off_t>(size_);
  if (::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, begin, static_cast<off_t>(size) - begin) == 0) return {};
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return std::unexpected(failure("making room for"));
  return {};  // the file system cannot; append() reports a full disk
}

Result<void> PartFile::append(BytesView bytes) {
  hash_.add(bytes);
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return std::unexpected(failure("writing"));
    size_ += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> PartFile::restart() {
  if (::ftruncate(fd_.get(), 0) != 0) return std::unexpected(failure("emptying"));
  size_ = 0;
  hash_ = crypto::Sha256();
  return {};
}

Result<void> PartFile::finish() {
  // What was reserved beyond the end, by a sender that announced more earlier, is given back.
  if (::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) return std::unexpected(failure("completing"));
  if (::fsync(fd_.get()) != 0) return std::unexpected(failure("syncing"));
  if (::rename(path().c_str(), destination_.c_str()) != 0) return std::unexpected(failure("renaming"));
  return sync_folder(destination_.has_parent_path() ? destination_.parent_path() : ".");
}

void PartFile::discard() {
  ::unlink(path().c_str());
  fd_.reset();
}

}  // namespace dms::transfer
