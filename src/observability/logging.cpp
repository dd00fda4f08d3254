#include "observability/logging.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <cctype>
#include <mutex>

#include "encoding/json.hpp"

namespace dms::observability {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<log::Level, std::string_view> kLevels[] = {
    {log::Level::trace, "trace"}, {log::Level::debug, "debug"}, {log::Level::info, "info"},
    {log::Level::warn, "warn"},   {log::Level::error, "error"}, {log::Level::off, "off"}};

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// A field as a member; a duration in seconds.
void write_field(json::Writer& line, const log::Field& field) {
  line.key(field.name());
  struct Write {
    json::Writer& line;
    void operator()(std::string_view text) const { line.string(text); }
    void operator()(std::int64_t value) const { line.integer(value); }
    void operator()(std::uint64_t value) const { line.unsigned_integer(value); }
    void operator()(bool value) const { line.boolean(value); }
    void operator()(Duration value) const { line.number(std::chrono::duration<double>(value).count()); }
  };
  std::visit(Write{line}, field.value());
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

Result<log::Level> parse_level(std::string_view text) {
  const std::string wanted = upper(text);
  for (const auto& [level, name] : kLevels)
    if (wanted == upper(name)) return level;
  if (wanted == "WARNING") return log::Level::warn;
  return fail(Errc::invalid_argument, "log level: expected trace, debug, info, warn, error or off, found \"{}\"",
              text.substr(0, 64));
}

std::string_view to_string(log::Level level) {
  for (const auto& [known, name] : kLevels)
    if (known == level) return name;
  return "off";
}

std::string rfc3339(UnixTime time) {
  using namespace std::chrono;
  const auto since = floor<milliseconds>(nanoseconds(static_cast<std::int64_t>(time.nanos)));
  const sys_days day = floor<days>(sys_time<milliseconds>(since));
  const year_month_day date(day);
  const hh_mm_ss clock(since - day.time_since_epoch());
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

struct Logging::Impl {
  LogOptions options;
  std::mutex mutex;
  int file = -1;
  std::uint64_t size = 0;
  std::atomic<std::uint64_t> dropped = 0;

  ~Impl() {
    if (file >= 0) ::close(file);
  }

  Result<void> open() {
    if (options.file.empty()) return {};
    std::error_code error;
    const fs::path folder = options.file.parent_path();
    if (!folder.empty() && !fs::exists(folder, error)) {
      const mode_t before = ::umask(0077);
      fs::create_directories(folder, error);
      ::umask(before);
    }
    file = ::open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat info {};
    if (file < 0 || ::fstat(file, &info) != 0)
      return fail(Errc::io, "the log file {} cannot be opened: {}; set observability.logging.file to another place",
                  options.file.string(), std::generic_category().message(errno));
    size = static_cast<std::uint64_t>(info.st_size);
    return {};
  }

  [[nodiscard]] fs::path backup(std::uint64_t number) const {
    return options.file.string() + "." + std::to_string(number);
  }

  void drop_old_backups() {
    for (std::uint64_t number = 1; number <= options.max_backups; ++number) {
      struct stat info {};
      if (::stat(backup(number).c_str(), &info) != 0) continue;
      const auto age = std::chrono::seconds(static_cast<std::int64_t>(options.now().seconds()) - info.st_mtime);
      if (age > options.max_age) ::unlink(backup(number).c_str());
    }
  }

  /// Renames the file and its backups; if a step fails, the file is continued or started anew.
  void rotate() {
    ::close(file);
    file = -1;
    std::error_code ignored;
    if (options.max_backups == 0) fs::remove(options.file, ignored);
    for (std::uint64_t number = options.max_backups; number > 0; --number)
      fs::rename(number == 1 ? options.file : backup(number - 1), backup(number), ignored);
    drop_old_backups();
    (void)open();
  }

  void write(const log::Line& given) {
    const std::string time = rfc3339(options.now());
    const bool cut = given.text.size() > kMaxLine;
    const std::string text = std::string(given.text.substr(0, kMaxLine)) + (cut ? " ..." : "");
    std::lock_guard lock(mutex);
    if (options.console >= 0 &&
        !write_all(options.console, fmt::format("{} {} {}: {}{}\n", time, upper(to_string(given.level)), given.module,
                                                log::printable(text), log::to_text(given.fields))))
      ++dropped;
    if (options.file.empty()) return;
    json::Writer line;
    line.begin_object().key("level").string(to_string(given.level)).key("timestamp").string(time);
    line.key("logger").string(given.module).key("message").string(text);
    for (const log::Field& field : given.fields) write_field(line, field);
    line.end_object();
    const std::string bytes = line.take() + "\n";
    if (size > 0 && size + bytes.size() > options.max_size) rotate();
    if (file < 0) (void)open();
    if (file >= 0 && write_all(file, bytes))
      size += bytes.size();
    else
      ++dropped;
  }
};

Logging::Logging(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Logging::~Logging() { log::set_sink({}); }

std::uint64_t Logging::dropped() const { return impl_->dropped; }

Result<std::unique_ptr<Logging>> Logging::install(LogOptions options) {
  auto impl = std::make_shared<Impl>();
  impl->options = std::move(options);
  TRY_VOID(impl->open());
  impl->drop_old_backups();
  log::set_level(impl->options.level);
  log::set_sink([impl](const log::Line& line) { impl->write(line); });
  return std::unique_ptr<Logging>(new Logging(std::move(impl)));
}

}  // namespace dms::observability
