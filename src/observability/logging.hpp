// The log sink: text to standard error, JSON lines to a file that is rotated.
//
// Model
//  1. While a Logging exists it is the sink of base/log.hpp; its destructor restores the default.
//  2. A line of text is `2026-11-22T17:05:01.123Z INFO node: text name=value`; control characters in it are shown as
//     \x1b, so that logged text of a peer cannot control a terminal or imitate a line. A line of the file is
//     {"level","timestamp","logger","message"}, as the existing network's nodes write it, with the line's fields as
//     further members: text, whole numbers, true or false; a duration as seconds.
//  3. The file never grows beyond `max_size` but by one line: it is renamed to <file>.1, older ones to .2 and so on,
//     and the one after `max_backups` is deleted, as are backups older than `max_age`. Mode 0600, missing folders 0700.
//  4. A line that cannot be written is counted in dropped(); logging never fails the caller. A message is cut at
//     kMaxLine.
//
// Threads: any; a line is written under one mutex, straight to the file (no buffer that a crash would lose).
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace dms::observability {

/// "INFO", "warn", ... in any letter case.
Result<log::Level> parse_level(std::string_view text);
std::string_view to_string(log::Level level);
/// "2026-11-22T17:05:01.123Z"
std::string rfc3339(UnixTime time);

struct LogOptions {
  log::Level level = log::Level::info;
  std::filesystem::path file;  ///< empty: none
  std::uint64_t max_size = 100 * 1024 * 1024;
  std::uint64_t max_backups = 3;
  std::chrono::hours max_age = std::chrono::hours(28 * 24);
  int console = 2;  ///< file descriptor of the text lines; -1: none
  std::function<UnixTime()> now;
};

class Logging {
 public:
  static constexpr std::size_t kMaxLine = 64 * 1024;

  /// Errc::io if the file cannot be opened.
  static Result<std::unique_ptr<Logging>> install(LogOptions options);
  Logging(const Logging&) = delete;
  Logging& operator=(const Logging&) = delete;
  ~Logging();

  [[nodiscard]] std::uint64_t dropped() const;

 private:
  struct Impl;
  explicit Logging(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace dms::observability
