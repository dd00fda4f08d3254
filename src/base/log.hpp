// The logging façade. Rooms log here; `observability` decides where it goes (console, JSON-lines file).
//
// A log line names its room. Levels: trace and debug for developers; info for what an operator wants to see once; warn
// for what a peer or a disk did wrong; error for what needs somebody. What a stranger can trigger at will is logged at
// debug, so that nobody can fill a disk from outside.
#pragma once

#include <fmt/format.h>
#include <functional>
#include <string_view>

namespace dms::log {

enum class Level { trace, debug, info, warn, error, off };

using Sink = std::function<void(Level, std::string_view room, std::string_view text)>;

/// Replaces where lines go; the default writes warnings and errors to standard error. Any thread.
void set_sink(Sink sink);
void set_level(Level level);
[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view room, std::string_view text);

template <class... Args>
void line(Level level, std::string_view room, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, room, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::debug, room, f, std::forward<Args>(args)...);
}
template <class... Args>
void info(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::info, room, f, std::forward<Args>(args)...);
}
template <class... Args>
void warn(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::warn, room, f, std::forward<Args>(args)...);
}
template <class... Args>
void error(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::error, room, f, std::forward<Args>(args)...);
}

}  // namespace dms::log
