#include "executor/docker/docker_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <chrono>

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPositionFile = "engine.position";
constexpr std::size_t kPositionBytes = 128;
constexpr std::size_t kMaxTime = 40;
constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::int64_t kMargin = 900 * kNanoseconds;
constexpr std::string_view kMissing = "\n[output is missing here: the Docker engine does not have it any more]\n";
constexpr std::string_view kEndMissing =
    "\n[the rest of the output may be missing: the Docker engine has not sent it]\n";

/// Digits only; nothing else is a number.
template <class T>
std::optional<T> number(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::int64_t> parse_log_time(std::string_view text) {
  // 2026-11-28T10:00:00[.123456789]Z
  if (text.size() < 20 || text.back() != 'Z' || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      text[13] != ':' || text[16] != ':')
    return std::nullopt;
  const auto year = number<int>(text.substr(0, 4));
  const auto month = number<unsigned>(text.substr(5, 2));
  const auto day = number<unsigned>(text.substr(8, 2));
  const auto hour = number<int>(text.substr(11, 2));
  const auto minute = number<int>(text.substr(14, 2));
  const auto second = number<int>(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month), std::chrono::day(*day)};
  // What nanoseconds in 64 bits can tell.
  if (!date.ok() || *year < 1970 || *year > 2200) return std::nullopt;
  std::int64_t nanoseconds = 0;
  if (std::string_view fraction = text.substr(19, text.size() - 20); !fraction.empty()) {
    const auto digits = number<std::int64_t>(fraction.substr(1));
    if (fraction.front() != '.' || fraction.size() > 10 || !digits) return std::nullopt;
    nanoseconds = *digits;
    for (std::size_t i = fraction.size(); i < 10; ++i) nanoseconds *= 10;
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (((days * 24 + *hour) * 60 + *minute) * 60 + *second) * kNanoseconds + nanoseconds;
}

std::string since_of(const DockerLogPositions& positions) {
  const std::int64_t time = std::max<std::int64_t>(std::min(positions[0].time, positions[1].time) - kMargin, 0);
  return fmt::format("{}.{:09}", time / kNanoseconds, time % kNanoseconds);
}

std::optional<DockerLogPositions> parse_positions(std::string_view text) {
  std::array<std::uint64_t, 4> values{};
  for (std::uint64_t& value : values) {
    const auto end = text.find(' ');
    const auto read = number<std::uint64_t>(text.substr(0, end));
    if (end == std::string_view::npos || !read || *read > INT64_MAX) return std::nullopt;
    value = *read;
    text.remove_prefix(end + 1);
  }
  if (!text.starts_with('\n')) return std::nullopt;
  return DockerLogPositions{
      {{static_cast<std::int64_t>(values[0]), values[1]}, {static_cast<std::int64_t>(values[2]), values[3]}}};
}

DockerLogPositions read_positions(const fs::path& folder) {
  const Fd file(::open((folder / kPositionFile).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  std::array<char, kPositionBytes> text{};
  const ssize_t n = file ? ::pread(file.get(), text.data(), text.size(), 0) : -1;
  return parse_positions({text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))})
      .value_or(DockerLogPositions{});
}

DockerLog::DockerLog(LogFile out, LogFile err, Fd file, DockerLogPositions positions)
    : out_(std::move(out)), err_(std::move(err)), file_(std::move(file)), positions_(positions) {
  for (std::size_t i = 0; i < 2; ++i) {
    LogFile& log = i == 0 ? out_ : err_;
    entries_[i].at = positions_[i].offset;
    entries_[i].resumed = positions_[i].time > 0;
    entries_[i].begun = log.total();
    // The last bytes could not be written, but were counted.
    if (log.total() < positions_[i].offset) log.miss(positions_[i].offset - log.total());
  }
}

Result<DockerLog> DockerLog::open(const fs::path& folder, std::uint64_t limit, LogFile::Begin begin) {
  TRY(LogFile out, LogFile::open(folder, kOutLog, limit, begin));
  TRY(LogFile err, LogFile::open(folder, kErrLog, limit, begin));
  DockerLogPositions positions{};
  if (begin == LogFile::Begin::resume) positions = read_positions(folder);
  Fd file(::open((folder / kPositionFile).c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640));
  if (!file) return fail(Errc::io, "open {}: {}", (folder / kPositionFile).string(), std::strerror(errno));
  DockerLog log(std::move(out), std::move(err), std::move(file), positions);
  for (std::size_t i = 0; i < 2; ++i)
    log.entries_[i].tail = read_log_tail(folder, i == 0 ? kOutLog : kErrLog, kMissing.size() + kEndMissing.size());
  log.store();
  return log;
}

Result<void> DockerLog::feed(BytesView bytes) {
  if (!demux_)
    demux_ = std::make_unique<DockerDemux>([this](DockerDemux::Channel channel, BytesView part, bool begins) {
      take(channel == DockerDemux::Channel::out ? 0 : 1, part, begins);
    });
  const Result<void> fed = demux_->feed(bytes);
  store();
  return fed;
}

void DockerLog::take(std::size_t stream, BytesView part, bool begins) {
  Entry& entry = entries_[stream];
  if (begins) {
    if (entry.in_head) write(stream, as_bytes(entry.head));  // a frame without a time
    entry.head.clear();
    entry.in_head = true;
    entry.old = false;
  }
  while (entry.in_head && !part.empty()) {
    const char next = static_cast<char>(part.front());
    entry.head += next;
    part = part.subspan(1);
    if (next == ' ' || entry.head.size() > kMaxTime) end_head(stream);
  }
  if (!entry.old) write(stream, part);
}

void DockerLog::end_head(std::size_t stream) {
  Entry& entry = entries_[stream];
  DockerLogPosition& position = positions_[stream];
  entry.in_head = false;
  const auto time = parse_log_time(std::string_view(entry.head).substr(0, entry.head.size() - 1));
  if (!time) return write(stream, as_bytes(entry.head));
  if (!entry.passed && *time < position.time) {
    entry.old = true;
    return;
  }
  if (!entry.passed && entry.resumed && *time > position.time) mark(stream, kMissing);
  entry.passed = true;
  if (*time < position.time) entry.ordered = false;
  // If the clock went back, times do not tell where entries are.
  if (!entry.ordered)
    position = DockerLogPosition();
  else if (*time > position.time)
    position = {*time, entry.at};
}

/// What is in the log already is left out.
void DockerLog::write(std::size_t stream, BytesView payload) {
  LogFile& log = stream == 0 ? out_ : err_;
  std::uint64_t& at = entries_[stream].at;
  const std::uint64_t there = log.total() > at ? log.total() - at : 0;
  at += payload.size();
  if (there < payload.size()) log.write(payload.subspan(static_cast<std::size_t>(there)));
}

void DockerLog::mark_unreached() {
  for (std::size_t i = 0; i < 2; ++i)
    if (entries_[i].resumed && !entries_[i].passed) mark(i, kMissing);
}

void DockerLog::mark_end() {
  for (std::size_t i = 0; i < 2; ++i) mark(i, kEndMissing);
}

/// What comes next follows the line, which is not repeated by a daemon that finds it at the end.
void DockerLog::mark(std::size_t stream, std::string_view line) {
  LogFile& log = stream == 0 ? out_ : err_;
  Entry& entry = entries_[stream];
  const bool is_there = log.total() == entry.begun && entry.tail.find(line) != std::string::npos;
  if (!is_there) log.write(as_bytes(line));
  entry.at = log.total();
}

void DockerLog::store() {
  std::string text =
      fmt::format("{} {} {} {} \n", positions_[0].time, positions_[0].offset, positions_[1].time, positions_[1].offset);
  text.resize(std::max(text.size(), kPositionBytes), '\n');
  (void)!::pwrite(file_.get(), text.data(), text.size(), 0);
}

}  // namespace dms::executor
