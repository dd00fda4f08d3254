#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
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

constexpr std::size_t kPackBlock = std::size_t{1} << 20;

std::unexpected<Error> packing_stopped() { return fail(Errc::cancelled, "packing was cancelled"); }

/// The new file, its content counted and hashed.
class Output {
 public:
  Output(std::filesystem::path path, std::uint64_t limit) : path_(std::move(path)), limit_(limit) {}
  ~Output() {
    if (fd_ && !kept_) ::unlink(path_.c_str());
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Result<void> open() {
    fd_ = Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd_) return std::unexpected(tree::failure("creating", path_.string()));
    return {};
  }
  Result<void> write(BytesView bytes) {
    if (bytes.size() > limit_ - size_) return too_large();
    TRY_VOID(tree::write_all(fd_.get(), bytes, path_.string()));
    hash_.add(bytes);
    size_ += bytes.size();
    return {};
  }
  /// Before any of `more` bytes is read.
  [[nodiscard]] Result<void> expect(std::uint64_t more) const {
    return more > limit_ - size_ ? too_large() : Result<void>();
  }
  Result<Content> finish() {
    if (::fsync(fd_.get()) != 0) return std::unexpected(tree::failure("syncing", path_.string()));
    TRY_VOID(sync_folder(path_.parent_path()));
    kept_ = true;
    Content content;
    content.size = size_;
    content.digest = hash_.digest();
    return content;
  }

 private:
  [[nodiscard]] Result<void> too_large() const {
    return fail(Errc::limit_exceeded, "it is larger than the limit of {} bytes", limit_);
  }
  std::filesystem::path path_;
  std::uint64_t limit_;
  Fd fd_;
  std::uint64_t size_ = 0;
  crypto::Sha256 hash_;
  bool kept_ = false;
};

/// Reads `size` bytes of a file, or as many as it has, and passes them on.
template <class Use>
Result<void> read_file(int fd, std::uint64_t size, Bytes& block, const std::string& name, const std::stop_token& stop,
                       Use use) {
  while (size > 0) {
    if (stop.stop_requested()) return packing_stopped();
    const ssize_t got = ::read(fd, block.data(), std::min<std::uint64_t>(size, block.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(tree::failure("reading", name));
    if (got == 0) return {};
    TRY_VOID(use(BytesView(block).first(static_cast<std::size_t>(got))));
    size -= static_cast<std::uint64_t>(got);
  }
  return {};
}

struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

class Packer {
 public:
  Packer(Output& output, const ArchiveLimits& limits, const std::stop_token& stop)
      : output_(output), left_(limits.max_entries), stop_(stop) {}

  Result<void> run(Fd folder, Packed& packed) {
    packed_ = &packed;
    archive_.reset(archive_write_new());
    entry_.reset(archive_entry_new());
    if (!archive_ || !entry_ || archive_write_set_format_pax_restricted(archive_.get()) != ARCHIVE_OK)
      return fail(Errc::internal, "libarchive cannot write pax archives");
    archive_write_set_bytes_per_block(archive_.get(), 0);
    if (archive_write_open(archive_.get(), this, nullptr, &Packer::on_write, nullptr) != ARCHIVE_OK) return broken("");
    TRY_VOID(add_folder(folder, "", 0));
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return broken("");
    return {};
  }

 private:
  static la_ssize_t on_write(archive* a, void* self, const void* data, std::size_t size) {
    auto& packer = *static_cast<Packer*>(self);
    packer.written_ = packer.output_.write({static_cast<const std::uint8_t*>(data), size});
    if (packer.written_) return static_cast<la_ssize_t>(size);
    archive_set_error(a, EIO, "%s", packer.written_.error().message().c_str());
    return -1;
  }

  Result<void> broken(const std::string& name) const {
    if (!written_) return written_;
    const char* text = archive_error_string(archive_.get());
    return fail(Errc::io, "packing \"{}\": {}", printable(name), text != nullptr ? text : "libarchive failed");
  }

  void leave_out(const std::string& name, std::string_view reason) {
    if (packed_->left_out.size() < Packed::kMaxLeftOut)
      packed_->left_out.push_back(
          fmt::format("\"{}\": {}", shortened(printable(name), Packed::kMaxLeftOutName), reason));
    ++packed_->left_out_count;
  }

  Result<std::vector<std::string>> names_in(int folder, const std::string& path) const {
    const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* dir = copy < 0 ? nullptr : ::fdopendir(copy);
    if (dir == nullptr) {
      Error error = tree::failure("reading", path);
      if (copy >= 0) ::close(copy);
      return std::unexpected(std::move(error));
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> closing(dir, &::closedir);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (names.size() >= left_) return too_many();
      names.emplace_back(name);
    }
    std::ranges::sort(names);
    return names;
  }

  static std::unexpected<Error> too_many() { return fail(Errc::limit_exceeded, "it has too many files"); }

  Result<void> add_folder(const Fd& folder, const std::string& path, std::size_t depth) {
    TRY(const std::vector<std::string> names, names_in(folder.get(), path));
    for (const std::string& name : names) TRY_VOID(add(folder, name, path.empty() ? name : path + "/" + name, depth));
    return {};
  }

  /// Empty for a path that unpack() takes.
  static std::string why_not_sent(const std::string& name, const std::string& path, std::size_t depth) {
    if (tree::has_control_characters(name)) return "its name has control characters";
    if (path.size() > kMaxPath) return fmt::format("its path is longer than {} bytes", kMaxPath);
    if (depth >= kMaxDepth) return fmt::format("its path has more than {} parts", kMaxDepth);
    return {};
  }

  Result<void> add(const Fd& folder, const std::string& name, const std::string& path, std::size_t depth) {
    if (stop_.stop_requested()) return packing_stopped();
    struct stat info {};
    if (::fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      return std::unexpected(tree::failure("reading", path));
    if (left_ == 0) return too_many();
    --left_;
    if (const std::string reason = why_not_sent(name, path, depth); !reason.empty()) {
      leave_out(path, reason);
      return {};
    }
    if (S_ISREG(info.st_mode)) return add_file(folder, name, path);
    if (S_ISLNK(info.st_mode)) return add_link(folder, name, path, info, depth);
    if (!S_ISDIR(info.st_mode)) {
      leave_out(path, "it is no file, folder or link");
      return {};
    }
    TRY(const Fd inner, tree::open_folder(folder.get(), name));
    TRY_VOID(begin(path + "/", AE_IFDIR, info, 0));
    return add_folder(inner, path, depth + 1);
  }

  Result<void> add_file(const Fd& folder, const std::string& name, const std::string& path) {
    const Fd file(::openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0) return std::unexpected(tree::failure("opening", path));
    if (!S_ISREG(info.st_mode)) return fail(Errc::io, "\"{}\" changed while it was packed", printable(path));
    const auto size = static_cast<std::uint64_t>(info.st_size);
    TRY_VOID(output_.expect(size));
    TRY_VOID(begin(path, AE_IFREG, info, size));
    // libarchive fills up with zeros what a file that became shorter lacks.
    return read_file(file.get(), size, block_, path, stop_, [&](BytesView bytes) -> Result<void> {
      if (archive_write_data(archive_.get(), bytes.data(), bytes.size()) < 0) return broken(path);
      return {};
    });
  }

  Result<void> add_link(const Fd& folder, const std::string& name, const std::string& path, const struct stat& info,
                        std::size_t depth) {
    char target[4096];
    const ssize_t length = ::readlinkat(folder.get(), name.c_str(), target, sizeof target);
    if (length < 0) return std::unexpected(tree::failure("reading", path));
    const std::string text(target, static_cast<std::size_t>(length));
    if (text.size() == sizeof target || !tree::stays_inside(text, depth)) {
      leave_out(path, "it is a link to something outside");
      return {};
    }
    if (tree::has_control_characters(text)) {
      leave_out(path, "it is a link to a name with control characters");
      return {};
    }
    archive_entry_clear(entry_.get());
    archive_entry_set_symlink(entry_.get(), text.c_str());
    return put_header(path, AE_IFLNK, info, 0);
  }

  Result<void> begin(const std::string& path, unsigned type, const struct stat& info, std::uint64_t size) {
    archive_entry_clear(entry_.get());
    return put_header(path, type, info, size);
  }

  Result<void> put_header(const std::string& path, unsigned type, const struct stat& info, std::uint64_t size) {
    archive_entry* entry = entry_.get();
    archive_entry_set_pathname(entry, path.c_str());
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, static_cast<mode_t>(info.st_mode & 0777));
    archive_entry_set_size(entry, static_cast<la_int64_t>(size));
    archive_entry_set_mtime(entry, info.st_mtim.tv_sec, 0);
    if (archive_write_header(archive_.get(), entry) < ARCHIVE_WARN) return broken(path);
    return written_;
  }

  Output& output_;
  std::uint64_t left_;  // entries
  const std::stop_token& stop_;
  Bytes block_ = Bytes(kPackBlock);
  Result<void> written_;
  Packed* packed_ = nullptr;
  std::unique_ptr<archive_entry, FreeWriter> entry_;
  std::unique_ptr<archive, FreeWriter> archive_;  // freed first: it may still write
};

}  // namespace

Result<Packed> pack(const std::filesystem::path& root, std::string_view path, const std::filesystem::path& to,
                    const ArchiveLimits& limits, const std::stop_token& stop) {
  TRY(const std::vector<std::string> parts, path_below(path));
  TRY(Fd top, tree::open_root(root));
  TRY(const Fd parent, tree::descend(std::move(top), std::span(parts).first(parts.size() - 1)));
  // Opening a socket fails, and a device may act on it.
  const auto refuse = [&] { return fail(Errc::invalid_argument, "\"{}\" is no file or folder", printable(path)); };
  struct stat info {};
  if (::fstatat(parent.get(), parts.back().c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return std::unexpected(tree::failure("opening", path));
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode) && !S_ISLNK(info.st_mode)) return refuse();
  Fd found(::openat(parent.get(), parts.back().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!found || ::fstat(found.get(), &info) != 0) return std::unexpected(tree::failure("opening", path));
  Packed packed;
  packed.folder = S_ISDIR(info.st_mode);
  if (!packed.folder && !S_ISREG(info.st_mode)) return refuse();
  Output output(to, limits.max_bytes);
  TRY_VOID(output.open());
  if (packed.folder) {
    Packer packer(output, limits, stop);
    TRY_VOID(packer.run(std::move(found), packed));
  } else {
    const auto size = static_cast<std::uint64_t>(info.st_size);
    TRY_VOID(output.expect(size));
    Bytes block(kPackBlock);
    TRY_VOID(read_file(found.get(), size, block, std::string(path), stop,
                       [&](BytesView bytes) { return output.write(bytes); }));
  }
  if (stop.stop_requested()) return packing_stopped();  // writing to the disk what was packed takes its time
  TRY(packed.content, output.finish());
  return packed;
}

}  // namespace dms::transfer
