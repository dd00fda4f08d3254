#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

namespace dms {
namespace {

Error io_error(std::string_view doing, const std::filesystem::path& path) {
  const int code = errno;
  return {code == ENOENT   ? Errc::not_found
          : code == EEXIST ? Errc::already_exists
                           : Errc::io,
          fmt::format("{} {}: {}", doing, path.string(), std::strerror(code))};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Result<void> make_parent(const std::filesystem::path& folder) {
  if (folder.empty()) return {};
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return {};
  if (folder.has_parent_path() && folder.parent_path() != folder) TRY_VOID(make_parent(folder.parent_path()));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return std::unexpected(io_error("making", folder));
  return {};
}

Result<void> write_new(const std::filesystem::path& path, std::string_view text, unsigned mode) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (file.get() < 0) return std::unexpected(io_error("creating", path));
  while (!text.empty()) {
    const ssize_t n = ::write(file.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(io_error("writing", path));
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  // The mode given to open() passes through the umask; this one does not.
  if (::fchmod(file.get(), mode) != 0) return std::unexpected(io_error("setting the mode of", path));
  if (::fsync(file.get()) != 0) return std::unexpected(io_error("syncing", path));
  return {};
}

std::string name_aside(const std::string& name) {
  static std::atomic<unsigned> counter = 0;
  return fmt::format(".{}.{}.{}", name, ::getpid(), counter.fetch_add(1));
}

bool is_aside(std::string name) {
  if (!name.starts_with('.')) return false;
  for (int numbers = 0; numbers < 2; ++numbers) {
    const std::size_t rest = name.find_last_not_of("0123456789");
    if (rest + 1 == name.size() || name[rest] != '.') return false;
    name.resize(rest);
  }
  return !name.empty();
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_size) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return std::unexpected(io_error("opening", path));
  std::string text;
  char block[16384];
  for (;;) {
    const ssize_t n = ::read(file.get(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(io_error("reading", path));
    if (n == 0) return text;
    text.append(block, static_cast<std::size_t>(n));
    if (text.size() > max_size)
      return fail(Errc::limit_exceeded, "{} holds more than {} bytes", path.string(), max_size);
  }
}

Result<void> write_file(const std::filesystem::path& path, std::string_view text, unsigned mode) {
  TRY_VOID(make_parent(path.parent_path()));
  std::filesystem::path aside;
  Result<void> written;
  do {  // another name, if a killed process with this one's number has left one
    aside = path.parent_path() / name_aside(path.filename().string());
    written = write_new(aside, text, mode);
  } while (!written && written.error().is(Errc::already_exists));
  if (written && ::rename(aside.c_str(), path.c_str()) != 0) written = std::unexpected(io_error("renaming to", path));
  if (!written) {
    ::unlink(aside.c_str());
    return written;
  }
  // A name is as durable as the folder that lists it.
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor listed(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (listed.get() >= 0) ::fsync(listed.get());
  return {};
}

std::size_t remove_unfinished_writes(const std::filesystem::path& folder) {
  constexpr auto kSkip = std::filesystem::directory_options::skip_permission_denied;
  std::error_code ec;
  std::vector<std::filesystem::path> unfinished;
  for (std::filesystem::recursive_directory_iterator entry(folder, kSkip, ec), end; !ec && entry != end;
       entry.increment(ec)) {
    std::error_code unknown;
    if (entry->is_regular_file(unknown) && is_aside(entry->path().filename().string()))
      unfinished.push_back(entry->path());
  }
  return static_cast<std::size_t>(
      std::ranges::count_if(unfinished, [&](const auto& path) { return std::filesystem::remove(path, ec); }));
}

}  // namespace dms
