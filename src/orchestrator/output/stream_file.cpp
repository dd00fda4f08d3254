#include "orchestrator/output/stream_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.hpp"

namespace dms::orchestrator {
namespace {

constexpr std::size_t kMaxGapsFile = 1024 * 1024;  // bytes of the file that lists them
constexpr std::size_t kMaxGaps = 8192;             // in it, each of less than 128 bytes
constexpr std::size_t kCopied = std::size_t{16} << 20;

/// A descriptor that is closed at the end of its scope.
class File {
 public:
  static Result<File> open(const std::filesystem::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == ENOENT) return fail(Errc::not_found, "{} does not exist", path.string());
    if (fd < 0) return fail(Errc::io, "open {}: {}", path.string(), std::strerror(errno));
    return File(fd, path);
  }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }

  Result<void> write_at(std::uint64_t at, std::string_view data) const {
    while (!data.empty()) {
      const ssize_t n = ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(Errc::io, "write {}: {}", path_.string(), std::strerror(errno));
      data.remove_prefix(static_cast<std::size_t>(n));
      at += static_cast<std::uint64_t>(n);
    }
    return {};
  }
  Result<void> sync() const {
    if (::fdatasync(fd_) != 0) return fail(Errc::io, "sync {}: {}", path_.string(), std::strerror(errno));
    return {};
  }
  Result<std::string> read_at(std::uint64_t at, std::size_t size) const {
    std::string data(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const ssize_t n = ::pread(fd_, data.data() + have, size - have, static_cast<off_t>(at + have));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(Errc::io, "read {}: {}", path_.string(), std::strerror(errno));
      if (n == 0) break;
      have += static_cast<std::size_t>(n);
    }
    data.resize(have);
    return data;
  }
  Result<void> truncate(std::uint64_t size) const {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
      return fail(Errc::io, "truncate {}: {}", path_.string(), std::strerror(errno));
    return {};
  }

 private:
  File(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::filesystem::path path_;
};

Result<void> move_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code ec;
  std::filesystem::rename(from, to, ec);
  if (ec) return fail(Errc::io, "rename {}: {}", from.string(), ec.message());
  return {};
}

std::filesystem::path next_of(std::filesystem::path path) { return path += ".new"; }

}  // namespace

StreamFile::StreamFile(std::filesystem::path folder, Stream stream, std::uint64_t max_size)
    : log_(folder / fmt::format("{}.log", to_string(stream))),
      gaps_(std::move(folder) / fmt::format("{}.gaps", to_string(stream))),
      next_log_(next_of(log_)),
      next_gaps_(next_of(gaps_)),
      max_size_(max_size) {}

Result<void> StreamFile::finish_shortening() const {
  std::error_code ec;
  if (!std::filesystem::exists(next_gaps_, ec) || std::filesystem::exists(next_log_, ec)) return {};
  const Result<void> moved = move_file(next_gaps_, gaps_);
  if (!moved && !std::filesystem::exists(next_gaps_, ec)) return {};  // by another call
  return moved;
}

Result<StreamFile::State> StreamFile::state() const {
  TRY_VOID(finish_shortening());
  State state;
  std::error_code ec;
  state.size = std::filesystem::file_size(log_, ec);
  if (ec == std::errc::no_such_file_or_directory) return fail(Errc::not_found, "{} does not exist", log_.string());
  if (ec) return fail(Errc::io, "{}: {}", log_.string(), ec.message());
  const Result<std::string> text = read_file(gaps_, kMaxGapsFile);
  if (!text && !text.error().is(Errc::not_found)) return std::unexpected(text.error());
  if (text) {
    TRY(state.gaps, json::decode<std::vector<Gap>>(*text));
  }
  while (!state.gaps.empty() && state.size < state.gaps.back().at + state.gaps.back().mark) {
    state.size = std::min(state.size, state.gaps.back().at);
    state.gaps.pop_back();
    state.stale = true;
  }
  return state;
}

Result<std::uint64_t> StreamFile::position() const {
  TRY(const State now, state());
  return now.position();
}

Result<void> StreamFile::append(std::uint64_t offset, BytesView data) const {
  TRY(State now, state());
  if (offset < now.position())
    return fail(Errc::invalid_argument, "{}: a page from {} on where {} is stored already", log_.string(), offset,
                now.position());
  if (now.size > 0 && (now.size + data.size() > max_size_ || now.gaps.size() >= kMaxGaps)) TRY_VOID(drop_oldest(now));
  TRY(const File file, File::open(log_, O_RDWR | O_CREAT));
  std::string text;
  if (const std::uint64_t missing = offset - now.position(); missing > 0) {
    if (now.size > 0) {
      TRY(const std::string last, file.read_at(now.size - 1, 1));
      if (last != "\n") text = "\n";
    }
    text += fmt::format("[{} bytes were dropped here]\n", missing);
    now.gaps.push_back({now.size, text.size(), offset});
    now.stale = true;
  }
  text += as_text(data);
  TRY_VOID(file.truncate(now.size));
  if (now.stale) TRY_VOID(write_file(gaps_, json::encode(now.gaps)));
  return file.write_at(now.size, text);
}

Result<void> StreamFile::sync() const {
  const Result<File> file = File::open(log_, O_RDONLY);
  if (!file && file.error().is(Errc::not_found)) return {};
  if (!file) return std::unexpected(file.error());
  return file->sync();
}

/// In new files, see (1) in the header.
Result<void> StreamFile::drop_oldest(State& now) const {
  std::uint64_t from = now.size - std::min(now.size, max_size_ / 2);
  if (now.gaps.size() >= kMaxGaps) from = std::max(from, now.gaps[kMaxGaps / 2].at);
  Gap last;  // before what is kept
  auto gap = now.gaps.begin();
  for (; gap != now.gaps.end() && gap->at <= from; ++gap) last = *gap;
  from = std::max(from, last.at + last.mark);
  const std::uint64_t dropped = last.offset + (from - last.at - last.mark);
  const std::string mark = fmt::format("[{} bytes were dropped here]\n", dropped);
  State kept;
  kept.size = now.size - from + mark.size();
  kept.gaps.push_back({0, mark.size(), dropped});
  for (; gap != now.gaps.end(); ++gap) {
    if (gap->at < from) return fail(Errc::io, "{} is damaged", gaps_.string());
    kept.gaps.push_back({gap->at - from + mark.size(), gap->mark, gap->offset});
  }
  TRY(const File old, File::open(log_, O_RDONLY));
  TRY(const File file, File::open(next_log_, O_RDWR | O_CREAT | O_TRUNC));
  TRY_VOID(file.write_at(0, mark));
  for (std::uint64_t at = from; at < now.size;) {
    TRY(const std::string part, old.read_at(at, std::min<std::uint64_t>(kCopied, now.size - at)));
    if (part.empty()) return fail(Errc::io, "{} became shorter", log_.string());
    TRY_VOID(file.write_at(at - from + mark.size(), part));
    at += part.size();
  }
  TRY_VOID(file.sync());
  TRY_VOID(write_file(next_gaps_, json::encode(kept.gaps)));
  TRY_VOID(move_file(next_log_, log_));
  TRY_VOID(finish_shortening());
  now = std::move(kept);
  return {};
}

Result<StoredPage> StreamFile::read(std::uint64_t offset, std::size_t max_bytes) const {
  TRY(State now, state());
  StoredPage page;
  page.total_size = now.position();
  page.offset = std::min(offset, page.total_size);
  // The parts between the gaps, the last one up to the end of the file.
  const std::uint64_t end = now.size;
  now.gaps.push_back({end, 0, page.total_size});
  std::uint64_t begin = 0;
  std::uint64_t stream = 0;
  for (const Gap& gap : now.gaps) {
    const std::uint64_t length = gap.at - begin;
    if (page.offset < stream + length) {
      page.offset = std::max(page.offset, stream);
      const std::uint64_t skipped = page.offset - stream;
      TRY(const File file, File::open(log_, O_RDONLY));
      TRY(const std::string text, file.read_at(begin + skipped, std::min<std::uint64_t>(max_bytes, length - skipped)));
      page.data = to_bytes(text);
      return page;
    }
    begin = gap.at + gap.mark;
    stream = gap.offset;
  }
  page.offset = page.total_size;
  return page;
}

Result<void> StreamFile::forget_gaps() const {
  for (const std::filesystem::path& path : {next_gaps_, next_log_, gaps_}) {
    std::error_code ec;
    std::filesystem::remove(path, ec);
    if (ec) return fail(Errc::io, "remove {}: {}", path.string(), ec.message());
  }
  return {};
}

}  // namespace dms::orchestrator
