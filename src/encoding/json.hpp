// JSON as NuNet's protocols use it: read with limits, written byte for byte as Go's encoding/json writes it.
//
// Signatures of tokens and envelopes cover JSON text, so the text must be reproducible: members in the order of the
// struct's fields, keys of a map in the order of their bytes, no white space, `<`, `>`, `&`, U+2028 and U+2029 escaped,
// invalid UTF-8 replaced by U+FFFD, bytes as padded standard base64, numbers in their shortest form. The reference is
// Go 1.22 or later; tests/vectors/json holds some thousand values with the text that Go writes for them.
//
// Reading
//  1. parse() refuses what is too large or too deep, duplicate keys, invalid UTF-8 and anything after the value.
//  2. Member names match exactly or, failing that, in any letter case (Go senders may use either). Unknown members are
//     ignored, missing ones keep the field's default, null stands for the default: as in Go. A member that is present
//     in two letter cases is refused: Go uses the last one, whatever its case, so two readers of one text could see
//     different values.
//  3. A value of the wrong kind is refused with the member's path, in the message and as place(): "Resources.cpu.cores:
//     expected a number, found a string". A syntax error is reported with its byte.
//
// A struct describes its members once, and is then encoded and decoded by encode() and decode():
//
//     struct Reply {
//       bool ok = false;
//       std::string error;
//       static constexpr auto json_fields() {
//         return std::tuple(json::field("OK", &Reply::ok), json::field("Error", &Reply::error));
//       }
//     };
//
// A type with a form of its own has `void to_json(json::Writer&) const` and `static Result<T> from_json(const
// json::Value&)`.
#pragma once

#include <boost/json/value.hpp>
#include <concepts>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;

using StringMap = std::map<std::string, std::string>;

struct Limits {
  std::size_t bytes = 4 * 1024 * 1024;
  std::size_t depth = 64;
};

/// Errc::invalid_argument with the place (byte offset), Errc::limit_exceeded with the limit.
Result<Value> parse(std::string_view text, Limits limits = {});

/// True if all of the text is valid UTF-8 (RFC 3629).
[[nodiscard]] bool is_utf8(std::string_view text);

/// Appends compact JSON to a string; it places the commas.
class Writer {
 public:
  Writer() = default;
  explicit Writer(std::string before) : out_(std::move(before)) {}
  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }
  Writer& key(std::string_view name);
  Writer& string(std::string_view text);
  Writer& bytes(BytesView data);  ///< base64
  Writer& boolean(bool value) { return raw(value ? "true" : "false"); }
  Writer& null() { return raw("null"); }
  Writer& integer(std::int64_t value);
  Writer& unsigned_integer(std::uint64_t value);
  Writer& number(double value);
  Writer& number(float value);
  Writer& value(const Value& value);
  /// Text that is valid JSON.
  Writer& raw(std::string_view json);

  [[nodiscard]] const std::string& text() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  Writer& open(char bracket);
  Writer& close(char bracket);
  void separate();
  std::string out_;
  bool comma_ = false;
};

/// Compact Go form of a document, members in their order.
std::string write(const Value& value);
/// Two-space indented, for people and for files meant to be edited.
std::string write_pretty(const Value& value);

enum class Omit { never, if_empty };

/// A member of a struct: its name in JSON, and whether it is left out when empty.
template <class T, class M>
struct Field {
  std::string_view name;
  M T::*member;
  Omit omit = Omit::never;
};
template <class T, class M>
constexpr Field<T, M> field(std::string_view name, M T::*member, Omit omit = Omit::never) {
  return {name, member, omit};
}
inline constexpr Omit omit_empty = Omit::if_empty;

template <class T>
struct Codec;

template <class T>
concept Described = requires { T::json_fields(); };
template <class T>
concept SelfCoded = requires(const T& value, Writer& writer, const Value& json) {
  value.to_json(writer);
  { T::from_json(json) } -> std::same_as<Result<T>>;
};

template <class T>
Result<T> from_value(const Value& value) {
  return Codec<T>::read(value);
}
template <class T>
void write(Writer& writer, const T& value) {
  Codec<T>::write(writer, value);
}
template <class T>
std::string encode(const T& value) {
  Writer writer;
  Codec<T>::write(writer, value);
  return writer.take();
}
/// As encode() writes it.
template <class T>
Value to_value(const T& value) {
  const std::string text = encode(value);
  return parse(text, {.bytes = text.size(), .depth = 1024}).value();
}
template <class T>
Result<T> decode(std::string_view text, Limits limits = {}) {
  TRY(Value value, parse(text, limits));
  return Codec<T>::read(value);
}
template <class T>
Result<T> decode(BytesView text, Limits limits = {}) {
  return decode<T>(as_text(text), limits);
}

/// The member of that name, in its exact case or else in any; null if there is none.
const Value* find_member(const Object& object, std::string_view name);
/// The same for what a structure is read from, see (2): refused if there are two.
Result<const Value*> read_member(const Object& object, std::string_view name);
/// The same for a field: null if there is nothing to read, or if `error` is set.
const Value* find_to_read(const Object& object, std::string_view name, std::optional<Error>& error);

/// "expected a string, found an array"
std::unexpected<Error> wrong_kind(std::string_view expected, const Value& found);
/// The same error one level further out: the member's name or index is prepended to the path, in its place and its
/// message.
Error at_member(std::string_view name, const Error& error);
Error at_index(std::size_t index, const Error& error);

// --- the codecs ----------------------------------------------------------------------------------------------------

template <>
struct Codec<bool> {
  static void write(Writer& w, bool v) { w.boolean(v); }
  static Result<bool> read(const Value& v);
  static bool empty(bool v) { return !v; }
};

template <std::integral T>
struct Codec<T> {
  static void write(Writer& w, T v) {
    if constexpr (std::is_signed_v<T>)
      w.integer(v);
    else
      w.unsigned_integer(v);
  }
  static Result<T> read(const Value& v) {
    if (const auto* i = v.if_int64(); i != nullptr && std::in_range<T>(*i)) return static_cast<T>(*i);
    if (const auto* u = v.if_uint64(); u != nullptr && std::in_range<T>(*u)) return static_cast<T>(*u);
    if (v.is_int64() || v.is_uint64())
      return fail(Errc::invalid_argument, "the number does not fit into {} bits", 8 * sizeof(T));
    return wrong_kind("a whole number", v);
  }
  static bool empty(T v) { return v == 0; }
};

template <std::floating_point T>
struct Codec<T> {
  static void write(Writer& w, T v) { w.number(v); }
  static Result<T> read(const Value& v) {
    if (v.is_double()) return static_cast<T>(v.get_double());
    if (v.is_int64()) return static_cast<T>(v.get_int64());
    if (v.is_uint64()) return static_cast<T>(v.get_uint64());
    return wrong_kind("a number", v);
  }
  static bool empty(T v) { return v == 0; }
};

template <>
struct Codec<std::string> {
  static void write(Writer& w, const std::string& v) { w.string(v); }
  static Result<std::string> read(const Value& v);
  static bool empty(const std::string& v) { return v.empty(); }
};

template <>
struct Codec<Bytes> {
  static void write(Writer& w, const Bytes& v) { w.bytes(v); }
  static Result<Bytes> read(const Value& v);
  static bool empty(const Bytes& v) { return v.empty(); }
};

template <>
struct Codec<Value> {
  static void write(Writer& w, const Value& v) { w.value(v); }
  static Result<Value> read(const Value& v) { return v; }
  static bool empty(const Value& v) { return v.is_null(); }
};

template <class T>
struct Codec<std::vector<T>> {
  static void write(Writer& w, const std::vector<T>& v) {
    w.begin_array();
    for (const auto& item : v) Codec<T>::write(w, item);
    w.end_array();
  }
  static Result<std::vector<T>> read(const Value& v) {
    const Array* array = v.if_array();
    if (array == nullptr) return wrong_kind("a list", v);
    std::vector<T> items;
    items.reserve(array->size());
    for (const Value& item : *array) {
      Result<T> read = Codec<T>::read(item);
      if (!read) return std::unexpected(at_index(items.size(), read.error()));
      items.push_back(*std::move(read));
    }
    return items;
  }
  static bool empty(const std::vector<T>& v) { return v.empty(); }
};

template <class T>
struct Codec<std::map<std::string, T>> {
  static void write(Writer& w, const std::map<std::string, T>& v) {
    w.begin_object();
    for (const auto& [name, item] : v) {
      w.key(name);
      Codec<T>::write(w, item);
    }
    w.end_object();
  }
  static Result<std::map<std::string, T>> read(const Value& v) {
    const Object* object = v.if_object();
    if (object == nullptr) return wrong_kind("an object", v);
    std::map<std::string, T> items;
    for (const auto& member : *object) {
      Result<T> read = Codec<T>::read(member.value());
      if (!read) return std::unexpected(at_member(member.key(), read.error()));
      items.emplace(std::string(member.key()), *std::move(read));
    }
    return items;
  }
  static bool empty(const std::map<std::string, T>& v) { return v.empty(); }
};

template <class T>
struct Codec<std::optional<T>> {
  static void write(Writer& w, const std::optional<T>& v) {
    if (v)
      Codec<T>::write(w, *v);
    else
      w.null();
  }
  static Result<std::optional<T>> read(const Value& v) {
    if (v.is_null()) return std::optional<T>();
    TRY(T value, Codec<T>::read(v));
    return std::optional<T>(std::move(value));
  }
  static bool empty(const std::optional<T>& v) { return !v.has_value(); }
};

template <SelfCoded T>
struct Codec<T> {
  static void write(Writer& w, const T& v) { v.to_json(w); }
  static Result<T> read(const Value& v) { return T::from_json(v); }
  static bool empty(const T& v) {
    if constexpr (requires { v.empty(); })
      return v.empty();
    else
      return false;
  }
};

// By the type of the member alone, so that all structures share them.
template <class M>
void write_member(Writer& w, std::string_view name, const M& member, Omit omit) {
  if (omit == Omit::if_empty && Codec<M>::empty(member)) return;
  w.key(name);
  Codec<M>::write(w, member);
}
/// False, and `error`, if the member is there and cannot be read.
template <class M>
bool read_member_into(const Object& object, std::string_view name, M& member, std::optional<Error>& error) {
  const Value* found = find_to_read(object, name, error);
  if (found == nullptr) return !error;
  Result<M> read = Codec<M>::read(*found);
  if (read)
    member = *std::move(read);
  else
    error = at_member(name, read.error());
  return !error;
}

template <Described T>
struct Codec<T> {
  static void write(Writer& w, const T& v) {
    w.begin_object();
    std::apply([&](const auto&... f) { (write_member(w, f.name, v.*(f.member), f.omit), ...); }, T::json_fields());
    w.end_object();
  }
  static Result<T> read(const Value& v) {
    const Object* object = v.if_object();
    if (object == nullptr) return wrong_kind("an object", v);
    T value{};
    std::optional<Error> error;
    std::apply([&](const auto&... f) { (read_member_into(*object, f.name, value.*(f.member), error) && ...); },
               T::json_fields());
    if (error) return std::unexpected(*error);
    return value;
  }
  static bool empty(const T&) { return false; }
};

// Members of the common types are compiled once, in json.cpp.
// NOLINTBEGIN(bugprone-macro-parentheses): `declared` is a keyword or nothing, `M` a type; neither takes parentheses
#define DMS_JSON_MEMBER(declared, M)                                              \
  declared template void write_member(Writer&, std::string_view, const M&, Omit); \
  declared template bool read_member_into(const Object&, std::string_view, M&, std::optional<Error>&)
#define DMS_JSON_COMMON_MEMBERS(declared)                   \
  DMS_JSON_MEMBER(declared, bool);                          \
  DMS_JSON_MEMBER(declared, int);                           \
  DMS_JSON_MEMBER(declared, std::uint32_t);                 \
  DMS_JSON_MEMBER(declared, std::int64_t);                  \
  DMS_JSON_MEMBER(declared, std::uint64_t);                 \
  DMS_JSON_MEMBER(declared, double);                        \
  DMS_JSON_MEMBER(declared, float);                         \
  DMS_JSON_MEMBER(declared, std::string);                   \
  DMS_JSON_MEMBER(declared, Bytes);                         \
  DMS_JSON_MEMBER(declared, Value);                         \
  DMS_JSON_MEMBER(declared, std::vector<std::string>);      \
  DMS_JSON_MEMBER(declared, std::optional<std::string>);    \
  DMS_JSON_MEMBER(declared, StringMap);                     \
  declared template struct Codec<std::vector<std::string>>; \
  declared template struct Codec<StringMap>
// NOLINTEND(bugprone-macro-parentheses)
DMS_JSON_COMMON_MEMBERS(extern);

}  // namespace dms::json
