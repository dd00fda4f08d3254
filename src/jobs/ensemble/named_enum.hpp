// Enumerations that travel as names. NAMED_ENUM lists the pairs; encoding, decoding and messages follow from them.
//
// Reading refuses other names and lists the known ones. Where peers send an empty string for "not given", the empty
// name is listed too; a value's first name is the one written.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "encoding/json.hpp"

namespace dms::jobs {

template <class E>
struct EnumNames;

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires { EnumNames<E>::kPairs; };

template <NamedEnum E>
constexpr std::string_view to_string(E value) {
  for (const auto& [known, name] : EnumNames<E>::kPairs)
    if (known == value) return name;
  return "?";
}

/// "docker, sandbox or null"
template <NamedEnum E>
std::string known_names() {
  std::vector<std::string_view> names;
  for (const auto& [value, name] : EnumNames<E>::kPairs)
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
  for (const auto& [value, known] : EnumNames<E>::kPairs)
    if (known == name) return value;
  return fail(Errc::invalid_argument, "expected {}, found \"{}\"", known_names<E>(), name.substr(0, 64));
}

}  // namespace dms::jobs

namespace dms::json {

template <jobs::NamedEnum E>
struct Codec<E> {
  static void write(Writer& w, E v) { w.string(jobs::to_string(v)); }
  static Result<E> read(const Value& v) {
    TRY(const std::string name, Codec<std::string>::read(v));
    return jobs::parse_enum<E>(name);
  }
  static bool empty(E v) { return v == E{}; }
};

}  // namespace dms::json

/// Inside namespace dms::jobs: `NAMED_ENUM(Colour, {Colour::red, "red"}, {Colour::blue, "blue"});`
#define NAMED_ENUM(E, ...)                                                                       \
  template <>                                                                                    \
  struct EnumNames<E> {                                                                          \
    static constexpr auto kPairs = std::to_array<std::pair<E, std::string_view>>({__VA_ARGS__}); \
  }
