// Enumerations encoded by name. NAMED_ENUM lists the pairs; to_string(), parsing, JSON and error messages follow from
// them.
//
// parse_enum() refuses other names and lists the known ones. Where peers send an empty string for "not given", the
// empty name is listed too. to_string() and JSON use the first name of a value.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "encoding/json.hpp"

namespace dms {

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E value) { enum_names(value); };

/// "docker, sandbox or null"
template <NamedEnum E>
std::string known_names() {
  std::vector<std::string_view> names;
  for (const auto& [value, name] : enum_names(E{}))
    if (!name.empty()) names.push_back(name);
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

template <NamedEnum E>
Result<E> parse_enum(std::string_view name) {
  for (const auto& [value, known] : enum_names(E{}))
    if (known == name) return value;
  return fail(Errc::invalid_argument, "expected {}, found \"{}\"", known_names<E>(), name.substr(0, 64));
}

namespace json {

/// An enumeration with a function unknown_name() reads unknown names as its result.
template <NamedEnum E>
struct Codec<E> {
  static void write(Writer& w, E v) { w.string(to_string(v)); }
  static Result<E> read(const Value& v) {
    TRY(const std::string name, Codec<std::string>::read(v));
    Result<E> value = parse_enum<E>(name);
    if constexpr (requires { unknown_name(E{}); }) return value.value_or(unknown_name(E{}));
    return value;
  }
  static bool empty(E v) { return v == E{}; }
};

}  // namespace json
}  // namespace dms

/// In the namespace of the enumeration: `NAMED_ENUM(Colour, {Colour::red, "red"}, {Colour::blue, "blue"});`
#define NAMED_ENUM(E, ...)                                                                              \
  constexpr auto enum_names(E) { return std::to_array<std::pair<E, std::string_view>>({__VA_ARGS__}); } \
  constexpr std::string_view to_string(E value) {                                                       \
    for (const auto& [known, name] : enum_names(E{}))                                                   \
      if (known == value) return name;                                                                  \
    return "?";                                                                                         \
  }                                                                                                     \
  static_assert(std::is_enum_v<E>)
