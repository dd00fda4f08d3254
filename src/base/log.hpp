// The logging façade. Modules log here; `observability` provides the sinks (console, JSON-lines file).
//
// Model
//  1. A line names its module and has a level: trace and debug for developers; info for what an operator wants to see
//     once; warn for a fault of a peer or a disk; error for what an operator has to act on.
//  2. A line has a text for people and may have fields, typed values with names, for programs that filter and count:
//         log::info("node", {{"allocation", id}, {"exit_code", code}}, "allocation {} has ended", id);
//     Names are known when the program is compiled: [a-z][a-z0-9_]*, and none that the JSON form of a line has already.
//  3. In the text form fields follow the text as name=value. A text value that is not plain is quoted, and whatever
//     could end a line, steer a terminal or end the quotes is escaped; in the text itself control characters are.
//
// Threads: any. Cost: a line below the level costs one comparison and the evaluation of its arguments; fields
// reference their values and do not copy them.
//
// Attacks: what a peer can trigger at will is logged at debug, so that a disk cannot be filled from outside. Text from
// peers cannot begin a second line (3), whichever sink writes it, and the text of a field's value cannot be taken for
// another field. A text value is cut at kMaxField.
#pragma once

#include <fmt/format.h>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/time.hpp"

namespace dms::log {

enum class Level { trace, debug, info, warn, error, off };

inline constexpr std::size_t kMaxField = 1024;

/// The name of a field; one that violates (2) does not compile.
class Name {
 public:
  consteval Name(const char* text) : text_(text) {  // NOLINT(google-explicit-constructor): {"name", value}
    bool fine = !text_.empty() && text_[0] >= 'a' && text_[0] <= 'z';
    for (const char c : text_) fine = fine && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_');
    for (const std::string_view taken : {"level", "timestamp", "logger", "message"}) fine = fine && text_ != taken;
    if (!fine) throw "a field's name is lower case, and not one that every line has";
  }
  [[nodiscard]] constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
};

/// A name and a value; text is referenced, and must stay valid until the line is written.
class Field {
 public:
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, bool, Duration>;

  template <class T>
  Field(Name name, const T& value) : name_(name), value_(hold(value)) {}

  [[nodiscard]] std::string_view name() const { return name_.text(); }
  [[nodiscard]] const Value& value() const { return value_; }

 private:
  template <class T>
  static Value hold(const T& value) {
    if constexpr (std::same_as<T, bool>)
      return value;
    else if constexpr (std::signed_integral<T>)
      return static_cast<std::int64_t>(value);
    else if constexpr (std::unsigned_integral<T>)
      return static_cast<std::uint64_t>(value);
    else if constexpr (std::convertible_to<const T&, Duration>)
      return Duration(value);
    else
      return std::string_view(value).substr(0, kMaxField);
  }

  Name name_;
  Value value_;
};
using Fields = std::span<const Field>;

struct Line {
  Level level = Level::info;
  std::string_view module;
  std::string_view text;
  Fields fields;
};

using Sink = std::function<void(const Line&)>;

/// Replaces where lines go; the default writes warnings and errors to standard error. Any thread.
void set_sink(Sink sink);
void set_level(Level level);
[[nodiscard]] bool enabled(Level level);
void write(const Line& line);

/// `text` with control characters as \x1b: always one line.
[[nodiscard]] std::string printable(std::string_view text);
/// ` name=value name="a b"`: a blank before each field, nothing for none.
[[nodiscard]] std::string to_text(Fields fields);

template <class... Args>
void line(Level level, std::string_view module, Fields fields, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level))
    write(
        {.level = level, .module = module, .text = fmt::format(format, std::forward<Args>(args)...), .fields = fields});
}

// Each level with fields and without.
template <class... Args>
void debug(std::string_view module, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::debug, module, {}, f, std::forward<Args>(args)...);
}
template <class... Args>
void debug(std::string_view module, std::initializer_list<Field> fields, fmt::format_string<Args...> f,
           Args&&... args) {
  line(Level::debug, module, fields, f, std::forward<Args>(args)...);
}
template <class... Args>
void info(std::string_view module, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::info, module, {}, f, std::forward<Args>(args)...);
}
template <class... Args>
void info(std::string_view module, std::initializer_list<Field> fields, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::info, module, fields, f, std::forward<Args>(args)...);
}
template <class... Args>
void warn(std::string_view module, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::warn, module, {}, f, std::forward<Args>(args)...);
}
template <class... Args>
void warn(std::string_view module, std::initializer_list<Field> fields, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::warn, module, fields, f, std::forward<Args>(args)...);
}
template <class... Args>
void error(std::string_view module, fmt::format_string<Args...> f, Args&&... args) {
  line(Level::error, module, {}, f, std::forward<Args>(args)...);
}
template <class... Args>
void error(std::string_view module, std::initializer_list<Field> fields, fmt::format_string<Args...> f,
           Args&&... args) {
  line(Level::error, module, fields, f, std::forward<Args>(args)...);
}

}  // namespace dms::log
