// The members of a JSON value that no structure here reads, and that ask for something (unset.hpp). Reading ignores
// them; who must not run work without what they ask for looks for them.
//
// Model
//  1. first_unknown<T>() looks at what T is read from, and at what its members are read from, however deep. Names are
//     compared as json.hpp does: in any letter case.
//  2. A type that json_fields() does not describe names its members in `kMembers`. Without that list, and below members that are read
//     as they are (json::Value), nothing is unknown. Keys of maps are names of the user.
//
// Threads: values. Cost: linear in the value times the number of members of a structure. Attacks: a name is shortened.
#pragma once

#include <string>

#include "encoding/unset.hpp"

namespace dms::json {

/// Whether Go's encoding/json takes `key` for the ASCII `name`. Two letters beyond ASCII fold into it: the long s and
/// the Kelvin sign. In json.cpp.
[[nodiscard]] bool equal_any_case(std::string_view key, std::string_view name);

template <class T>
struct Unknown {
  static std::string in(const Value& value) {
    if constexpr (requires { T::kMembers; })
      if (const Object* object = value.if_object())
        for (const auto& member : *object)
          if (!is_unset(member.value()) && !has(member.key())) return std::string(member.key().substr(0, 64));
    return {};
  }

 private:
  static bool has(std::string_view name) {
    return std::ranges::any_of(T::kMembers, [&](std::string_view known) { return equal_any_case(name, known); });
  }
};

template <class T>
struct Unknown<std::optional<T>> : Unknown<T> {};

template <class T>
struct Unknown<std::vector<T>> {
  static std::string in(const Value& value) {
    const Array* array = value.if_array();
    for (std::size_t i = 0; array != nullptr && i < array->size(); ++i)
      if (const std::string found = Unknown<T>::in((*array)[i]); !found.empty())
        return "[" + std::to_string(i) + "]" + (found.starts_with('[') ? "" : ".") + found;
    return {};
  }
};

inline std::string below(std::string_view name, const std::string& found) {
  if (found.empty()) return {};
  return std::string(name.substr(0, 64)) + (found.starts_with('[') ? "" : ".") + found;
}

template <class T>
struct Unknown<std::map<std::string, T>> {
  static std::string in(const Value& value) {
    const Object* object = value.if_object();
    if (object == nullptr) return {};
    for (const auto& member : *object)
      if (const std::string found = Unknown<T>::in(member.value()); !found.empty()) return below(member.key(), found);
    return {};
  }
};

template <Described T>
struct Unknown<T> {
  static std::string in(const Value& value) {
    return in(value, [](std::string_view) { return false; });
  }
  /// `known` says which members of this level are known beside the fields.
  template <class F>
  static std::string in(const Value& value, F known) {
    const Object* object = value.if_object();
    if (object == nullptr) return {};
    for (const auto& member : *object) {
      const std::string_view name = member.key();
      if (is_unset(member.value()) || known(name)) continue;
      bool is_field = false;
      std::string found;
      std::apply(
          [&](const auto&... field) { ((is_field = is_field || look(field, name, member.value(), found)), ...); },
          T::json_fields());
      if (!is_field) return std::string(name.substr(0, 64));
      if (!found.empty()) return below(name, found);
    }
    return {};
  }

 private:
  template <class M>
  static bool look(const Field<T, M>& field, std::string_view name, const Value& value, std::string& found) {
    if (!equal_any_case(name, field.name)) return false;
    found = Unknown<M>::in(value);
    return true;
  }
};

/// The path of the first one, "resources.cpu.sockets"; empty if there is none.
template <class T>
std::string first_unknown(const Value& value) {
  return Unknown<T>::in(value);
}
template <class T, class F>
std::string first_unknown(const Value& value, F known) {
  return Unknown<T>::in(value, known);
}

}  // namespace dms::json
