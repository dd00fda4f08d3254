#include "executor/log_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <memory>

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kLeastSegment = 4096;
constexpr std::size_t kMostSegments = 64;  // gaps begin new ones
constexpr int kReadTries = 8;              // while the segments that are read are dropped

Fd open_folder(const fs::path& folder) {
  return Fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/// The offset in `stdout.log.<offset>`.
std::optional<std::uint64_t> offset_of(std::string_view file, std::string_view name) {
  if (file.size() < name.size() + 2 || !file.starts_with(name) || file[name.size()] != '.') return std::nullopt;
  const std::string_view digits = file.substr(name.size() + 1);
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  std::uint64_t offset = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), offset);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return offset;
}

/// In ascending order. Only regular files are segments; `any` lists all that has such a name.
std::vector<std::uint64_t> list_segments(const Fd& folder, std::string_view name, bool any = false) {
  std::vector<std::uint64_t> starts;
  const int again = ::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(again < 0 ? nullptr : ::fdopendir(again), ::closedir);
  if (!entries) return starts;
  while (const dirent* entry = ::readdir(entries.get())) {
    if (!any && entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) continue;
    if (const auto offset = offset_of(entry->d_name, name)) starts.push_back(*offset);
  }
  std::sort(starts.begin(), starts.end());
  return starts;
}

std::string segment_name(std::string_view name, std::uint64_t start) { return fmt::format("{}.{}", name, start); }

struct OpenSegment {
  Fd file;
  std::uint64_t start = 0;
  std::uint64_t size = 0;
};

OpenSegment open_segment(const Fd& folder, std::string_view name, std::uint64_t start, int flags) {
  OpenSegment segment;
  segment.start = start;
  segment.file =
      Fd(::openat(folder.get(), segment_name(name, start).c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!segment.file || ::fstat(segment.file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    segment.file.reset();
    return segment;
  }
  segment.size = static_cast<std::uint64_t>(info.st_size);
  return segment;
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------ writing

LogFile::LogFile(Fd folder, std::string_view name, std::uint64_t limit)
    : folder_(std::move(folder)), name_(name), limit_(limit), segment_bytes_(std::max(limit / 8, kLeastSegment)) {}

Result<LogFile> LogFile::open(const fs::path& folder, std::string_view name, std::uint64_t limit, Begin begin) {
  Fd opened = open_folder(folder);
  if (!opened) return fail(Errc::io, "open the folder of logs {}: {}", folder.string(), std::strerror(errno));
  LogFile log(std::move(opened), name, limit);
  const Result<void> ready = begin == Begin::fresh ? log.clear() : log.resume();
  if (!ready) return fail(ready.error(), "open log {}", (folder / name).string());
  return log;
}

std::string LogFile::file_of(const Segment& segment) const { return segment_name(name_, segment.start); }

Result<void> LogFile::clear() {
  for (const std::uint64_t start : list_segments(folder_, name_, true))
    if (::unlinkat(folder_.get(), segment_name(name_, start).c_str(), 0) != 0)
      return fail(Errc::io, "remove {}: {}", segment_name(name_, start), std::strerror(errno));
  if (!begin_segment()) return fail(Errc::io, "create {}: {}", segment_name(name_, 0), std::strerror(errno));
  return {};
}

Result<void> LogFile::resume() {
  for (const std::uint64_t start : list_segments(folder_, name_)) {
    OpenSegment segment = open_segment(folder_, name_, start, O_WRONLY | O_APPEND);
    if (!segment.file) continue;
    segments_.push_back({start, segment.size});
    kept_ += segment.size;
    total_ = std::max(total_, start + segment.size);
    file_ = std::move(segment.file);
  }
  if (segments_.empty()) return clear();
  dropped_ = total_ - std::min(kept_, total_);
  return {};
}

/// Of the newest segment too if nothing is in it: it then begins later.
bool LogFile::begin_segment() {
  const Segment next{total_, 0};
  if (!segments_.empty() && segments_.back().size == 0) {
    if (segments_.back().start != total_ &&
        ::renameat(folder_.get(), file_of(segments_.back()).c_str(), folder_.get(), file_of(next).c_str()) != 0)
      return false;
    segments_.back() = next;
    return true;
  }
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  Fd file(::openat(folder_.get(), file_of(next).c_str(), kFlags, 0640));
  if (!file) return false;
  file_ = std::move(file);
  segments_.push_back(next);
  (void)::unlinkat(folder_.get(), name_.c_str(), 0);
  (void)::linkat(folder_.get(), file_of(next).c_str(), folder_.get(), name_.c_str(), 0);
  drop_oldest();
  return true;
}

void LogFile::drop_oldest() {
  while (segments_.size() > 1 && (kept_ - segments_.front().size >= limit_ || segments_.size() > kMostSegments)) {
    (void)::unlinkat(folder_.get(), file_of(segments_.front()).c_str(), 0);
    kept_ -= segments_.front().size;
    dropped_ += segments_.front().size;
    segments_.pop_front();
  }
}

void LogFile::write(BytesView bytes) {
  while (!bytes.empty()) {
    if ((gap_ || segments_.back().size >= segment_bytes_) && !begin_segment()) break;
    gap_ = false;
    const std::size_t room = static_cast<std::size_t>(segment_bytes_ - segments_.back().size);
    const ssize_t n = ::write(file_.get(), bytes.data(), std::min(bytes.size(), room));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    const auto written = static_cast<std::uint64_t>(n);
    segments_.back().size += written;
    kept_ += written;
    total_ += written;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  if (!bytes.empty()) miss(bytes.size());
}

void LogFile::miss(std::uint64_t bytes) {
  gap_ = true;
  total_ += bytes;
  dropped_ += bytes;
}

std::uint64_t mark_lost_end(const fs::path& folder, std::string_view name, std::uint64_t limit) {
  Result<LogFile> log = LogFile::open(folder, name, limit, LogFile::Begin::resume);
  if (!log) return 0;
  const std::string tail = read_log_tail(folder, name, kLostEnd.size());
  if (tail == kLostEnd) return log->total();
  if (!tail.empty() && tail.back() != '\n') log->write(as_bytes("\n"));
  log->write(as_bytes(kLostEnd));
  return log->total();
}

// ------------------------------------------------------------------------------------------------------------ reading

namespace {

/// Appends to the page what of the segment belongs there; false if the page is complete.
bool take(LogPage& page, const OpenSegment& segment, std::size_t max_bytes) {
  std::uint64_t at = page.offset + page.data.size();
  if (at < segment.start) {
    if (!page.data.empty()) return false;  // a gap: the next page begins after it
    page.offset = at = segment.start;
  }
  while (page.data.size() < max_bytes && at < segment.start + segment.size) {
    const std::size_t before = page.data.size();
    const std::size_t want = std::min<std::uint64_t>(max_bytes - before, segment.start + segment.size - at);
    page.data.resize(before + want);
    const ssize_t n =
        ::pread(segment.file.get(), page.data.data() + before, want, static_cast<off_t>(at - segment.start));
    page.data.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n <= 0) return false;
    at += static_cast<std::uint64_t>(n);
  }
  return page.data.size() < max_bytes;
}

}  // namespace

LogPage read_log_page(const fs::path& folder, std::string_view name, std::uint64_t offset, std::size_t max_bytes) {
  LogPage page;
  const Fd opened = open_folder(folder);
  for (int tries = 0; opened && tries < kReadTries; ++tries) {
    page = LogPage();
    const std::vector<std::uint64_t> starts = list_segments(opened, name);
    if (starts.empty()) return page;
    OpenSegment newest = open_segment(opened, name, starts.back(), O_RDONLY);
    if (!newest.file) continue;
    page.total = newest.start + newest.size;
    page.offset = std::min(offset, page.total);
    auto next = std::upper_bound(starts.begin(), starts.end(), page.offset);
    if (next != starts.begin()) --next;
    bool stable = true;
    for (bool more = true; more && stable && next != starts.end(); ++next) {
      OpenSegment older;
      if (*next != newest.start) older = open_segment(opened, name, *next, O_RDONLY);
      const OpenSegment& segment = *next == newest.start ? newest : older;
      stable = static_cast<bool>(segment.file);
      more = stable && take(page, segment, max_bytes);
    }
    if (stable) return page;
  }
  return page;
}

std::string read_log_tail(const fs::path& folder, std::string_view name, std::size_t limit) {
  const std::uint64_t total = read_log_page(folder, name, 0, 0).total;
  std::string tail;
  std::uint64_t at = total - std::min<std::uint64_t>(limit, total);
  while (at < total) {
    const LogPage page = read_log_page(folder, name, at, static_cast<std::size_t>(total - at));
    if (page.data.empty()) break;
    tail += page.data;
    at = page.offset + page.data.size();
  }
  if (tail.size() > limit) tail.erase(0, tail.size() - limit);
  return tail;
}

}  // namespace dms::executor
