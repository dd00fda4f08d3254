// What a sender in Go writes for a member that is not given: null, false, 0, "", and lists and objects of nothing else.
//
// A member that is set asks for something. find_set() and refuse_set() look at single members, by their name in any
// letter case.
//
// Threads: values. Cost: linear in the value, whose depth json::parse() has bounded.
#pragma once

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "encoding/json.hpp"

namespace dms::json {

[[nodiscard]] inline bool is_unset(const Value& value) {
  if (const auto* array = value.if_array())
    return std::all_of(array->begin(), array->end(), [](const Value& item) { return is_unset(item); });
  if (const auto* object = value.if_object())
    return std::all_of(object->begin(), object->end(), [](const auto& member) { return is_unset(member.value()); });
  if (const auto* text = value.if_string()) return text->empty();
  if (value.is_bool()) return !value.get_bool();
  if (value.is_double()) return value.get_double() == 0;
  if (value.is_int64()) return value.get_int64() == 0;
  return value.is_null() || (value.is_uint64() && value.get_uint64() == 0);
}

/// The member, if it is there and set; else null.
[[nodiscard]] inline const Value* find_set(const Object& object, std::string_view name) {
  const Value* found = find_member(object, name);
  return found == nullptr || is_unset(*found) ? nullptr : found;
}

/// Errc::unsupported "<at><name>: <advice>" if the member is set. No object has none.
[[nodiscard]] inline Result<void> refuse_set(const Object* object, std::string_view at, std::string_view name,
                                             std::string_view advice) {
  if (object == nullptr || find_set(*object, name) == nullptr) return {};
  return fail(Errc::unsupported, "{}{}: {}", at, name, advice);
}

}  // namespace dms::json
