#include "encoding/json.hpp"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>
#include <set>

#include "base/text.hpp"
#include "encoding/multibase.hpp"
#include "encoding/unknown.hpp"

namespace dms::json {
namespace {

/// The keys of one object. A few are compared one by one; many, which a peer can send, are hashed.
class SeenKeys {
 public:
  /// False if it was there already.
  bool insert(const std::string& key) {
    if (many_.empty() && few_.size() < kFew) {
      if (std::ranges::find(few_, key) != few_.end()) return false;
      few_.push_back(key);
      return true;
    }
    if (many_.empty()) many_.insert(few_.begin(), few_.end());
    return many_.insert(key).second;
  }
  void clear() {
    few_.clear();
    many_.clear();
  }

 private:
  static constexpr std::size_t kFew = 16;
  std::vector<std::string> few_;
  std::set<std::string> many_;
};

/// Builds a document from the parser's events and stops at a duplicate key, which Boost.JSON accepts.
class Builder {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  using Code = boost::system::error_code;
  using View = boost::json::string_view;

  bool on_document_begin(Code&) { return stack_.reset(), true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) {
    if (open_ == keys_.size()) keys_.emplace_back();
    keys_[open_++].clear();  // kept from an earlier object of this depth, for its memory
    return true;
  }
  bool on_object_end(std::size_t n, Code&) { return --open_, stack_.push_object(n), true; }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(std::size_t n, Code&) { return stack_.push_array(n), true; }
  bool on_key_part(View s, std::size_t, Code&) { return key_.append(s.data(), s.size()), true; }
  bool on_key(View s, std::size_t, Code& ec) {
    key_.append(s.data(), s.size());
    stack_.push_key(View(key_));
    if (!keys_[open_ - 1].insert(key_)) {
      duplicate_ = key_;
      ec = boost::json::error::extra_data;
      return false;
    }
    key_.clear();
    return true;
  }
  bool on_string_part(View s, std::size_t, Code&) { return stack_.push_chars(s), true; }
  bool on_string(View s, std::size_t, Code&) { return stack_.push_string(s), true; }
  bool on_number_part(View s, Code&) { return digits_.append(s.data(), s.size()), true; }
  /// "-0" is no whole number: Go reads no unsigned member from it.
  bool on_int64(std::int64_t i, View s, Code&) {
    digits_.append(s.data(), s.size());
    digits_ == "-0" ? stack_.push_double(0.0) : stack_.push_int64(i);
    return digits_.clear(), true;
  }
  bool on_uint64(std::uint64_t u, View, Code&) { return digits_.clear(), stack_.push_uint64(u), true; }
  /// Boost.JSON 1.81 may miss the nearest double in the last place, which would change signed text when it is written again.
  bool on_double(double d, View s, Code& ec) {
    digits_.append(s.data(), s.size());
    const auto [end, failure] = std::from_chars(digits_.data(), digits_.data() + digits_.size(), d);
    digits_.clear();
    if (failure == std::errc::result_out_of_range && std::abs(d) >= 1) ec = boost::json::error::exponent_overflow;
    return !ec && (stack_.push_double(d + 0.0), true);  // and -0.0 is 0
  }
  bool on_bool(bool b, Code&) { return stack_.push_bool(b), true; }
  bool on_null(Code&) { return stack_.push_null(), true; }
  bool on_comment_part(View, Code&) { return true; }
  bool on_comment(View, Code&) { return true; }

  Value release() { return stack_.release(); }
  [[nodiscard]] const std::optional<std::string>& duplicate() const { return duplicate_; }

 private:
  boost::json::value_stack stack_;
  std::vector<SeenKeys> keys_;  // of the open objects, from outside in, and of closed ones behind them
  std::size_t open_ = 0;
  std::string key_;
  std::string digits_;
  std::optional<std::string> duplicate_;
};

std::string_view kind_name(const Value& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return "null";
    case boost::json::kind::bool_: return "true or false";
    case boost::json::kind::int64:
    case boost::json::kind::uint64: return "a whole number";
    case boost::json::kind::double_: return "a fraction";
    case boost::json::kind::string: return "a string";
    case boost::json::kind::array: return "a list";
    case boost::json::kind::object: return "an object";
  }
  return "something else";
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Whether a byte is written as it is: ASCII that needs no escape.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x80; ++c) plain[c] = true;
  for (const unsigned char c : {'"', '\\', '<', '>', '&'}) plain[c] = false;
  return plain;
}();

void append_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\b': out += "\\b"; break;
    case '\f': out += "\\f"; break;
    case '\n': out += "\\n"; break;
    case '\r': out += "\\r"; break;
    case '\t': out += "\\t"; break;
    default: out += fmt::format("\\u{:04x}", c);
  }
}

void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto* run = std::ranges::find_if(text, [](char c) { return !kPlain[static_cast<unsigned char>(c)]; });
    out.append(text.begin(), run);
    text.remove_prefix(static_cast<std::size_t>(run - text.begin()));
    if (text.empty()) return;
    const auto c = static_cast<unsigned char>(text[0]);
    if (c < 0x80) {
      append_escape(out, c);
      text.remove_prefix(1);
      continue;
    }
    const std::size_t length = utf8_length(text);
    const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0)
      out += "\\ufffd";
    else if (sequence == "\u2028")
      out += "\\u2028";
    else if (sequence == "\u2029")
      out += "\\u2029";
    else
      out += sequence;
    text.remove_prefix(sequence.size());
  }
}

/// Go: the shortest digits that read back the same; exponent form below 1e-6 and from 1e21, "e-9" rather than "e-09".
/// The digits come from std::to_chars in its scientific form and are laid out here, because its fixed form writes all
/// digits of a large number where Go fills up with zeros.
template <class T>
std::string go_number(T value) {
  if (!std::isfinite(value)) return "null";  // Go refuses to encode these; no value that was parsed is one
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  std::array<char, 64> buffer;
  const T magnitude = std::abs(value);
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude, std::chars_format::scientific);
  const std::string_view form(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));  // "1.25e-07"
  const std::size_t e = form.find('e');
  int exponent = 0;
  const char* digits_of_exponent = form.data() + e + (form[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits_of_exponent, form.data() + form.size(), exponent);
  std::string digits(1, form[0]);
  if (e > 2) digits += form.substr(2, e - 2);

  std::string text(value < 0 ? "-" : "");
  if (magnitude < T(1e-6) || magnitude >= T(1e21)) {
    text += digits[0];
    if (digits.size() > 1) text.append(".").append(digits, 1);
    return text + fmt::format("e{}{}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return text.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return text.append(digits).append(whole - digits.size(), '0');
  return text.append(digits, 0, whole).append(".").append(digits, whole);
}

void pretty(std::string& out, const Value& value, std::size_t indent) {
  const auto line = [&](std::size_t depth) { out.append("\n").append(2 * depth, ' '); };
  if (const Array* array = value.if_array(); array != nullptr && !array->empty()) {
    out += '[';
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += ',';
      line(indent + 1);
      pretty(out, (*array)[i], indent + 1);
    }
    line(indent);
    out += ']';
  } else if (const Object* object = value.if_object(); object != nullptr && !object->empty()) {
    out += '{';
    bool first = true;
    for (const auto& member : *object) {
      if (!std::exchange(first, false)) out += ',';
      line(indent + 1);
      out += '"';
      append_escaped(out, member.key());
      out += "\": ";
      pretty(out, member.value(), indent + 1);
    }
    line(indent);
    out += '}';
  } else {
    out += write(value);
  }
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Result<Value> parse(std::string_view text, Limits limits) {
  if (text.size() > limits.bytes)
    return fail(Errc::limit_exceeded, "JSON of {} bytes, at most {} are allowed", text.size(), limits.bytes);
  boost::json::parse_options options;
  options.max_depth = limits.depth;
  boost::json::basic_parser<Builder> parser(options);
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  const auto refused = [used](Errc code, std::string why) {
    return std::unexpected(Error(code, "JSON " + std::move(why)).at_byte(used));
  };
  if (parser.handler().duplicate())
    return refused(Errc::invalid_argument, fmt::format("has the key '{}' twice", *parser.handler().duplicate()));
  if (ec == boost::json::error::too_deep)
    return refused(Errc::limit_exceeded, fmt::format("is nested deeper than {}", limits.depth));
  if (ec) return refused(Errc::invalid_argument, fmt::format("is malformed at byte {}: {}", used, ec.message()));
  if (used != text.size())
    return refused(Errc::invalid_argument, fmt::format("is followed by something else at byte {}", used));
  return parser.handler().release();
}

void Writer::separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}
Writer& Writer::open(char bracket) {
  separate();
  out_ += bracket;
  comma_ = false;
  return *this;
}
Writer& Writer::close(char bracket) {
  out_ += bracket;
  comma_ = true;
  return *this;
}
Writer& Writer::key(std::string_view name) {
  string(name);
  out_ += ':';
  comma_ = false;
  return *this;
}
Writer& Writer::string(std::string_view text) {
  separate();
  out_ += '"';
  append_escaped(out_, text);
  out_ += '"';
  return *this;
}
/// Of the digits of base64 none is escaped. Reserves room for what follows, so that a page is not copied once more.
Writer& Writer::bytes(BytesView data) {
  separate();
  const std::size_t digits = (data.size() + 2) / 3 * 4;
  out_.reserve(out_.size() + digits + digits / 8);
  out_ += '"';
  append_base64(out_, data);
  out_ += '"';
  return *this;
}
Writer& Writer::integer(std::int64_t value) { return raw(fmt::format_int(value).c_str()); }
Writer& Writer::unsigned_integer(std::uint64_t value) { return raw(fmt::format_int(value).c_str()); }
Writer& Writer::number(double value) { return raw(go_number(value)); }
Writer& Writer::number(float value) { return raw(go_number(value)); }
Writer& Writer::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

Writer& Writer::value(const Value& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return null();
    case boost::json::kind::bool_: return boolean(value.get_bool());
    case boost::json::kind::int64: return integer(value.get_int64());
    case boost::json::kind::uint64: return unsigned_integer(value.get_uint64());
    case boost::json::kind::double_: return number(value.get_double());
    case boost::json::kind::string: return string(value.get_string());
    case boost::json::kind::array:
      begin_array();
      for (const Value& item : value.get_array()) this->value(item);
      return end_array();
    case boost::json::kind::object:
      begin_object();
      for (const auto& member : value.get_object()) key(member.key()).value(member.value());
      return end_object();
  }
  return *this;
}

std::string write(const Value& value) {
  Writer writer;
  return writer.value(value).text();
}

std::string write_pretty(const Value& value) {
  std::string out;
  pretty(out, value, 0);
  return out;
}

bool equal_any_case(std::string_view key, std::string_view name) {
  for (const char c : name) {
    std::size_t size = 1;
    if (key.starts_with("\u017f") && lower(c) == 's')
      size = 2;
    else if (key.starts_with("\u212a") && lower(c) == 'k')
      size = 3;
    else if (key.empty() || lower(key.front()) != lower(c))
      return false;
    key.remove_prefix(size);
  }
  return key.empty();
}

const Value* find_member(const Object& object, std::string_view name) {
  if (const Value* exact = object.if_contains(name)) return exact;
  for (const auto& member : object)
    if (equal_any_case(member.key(), name)) return &member.value();
  return nullptr;
}

Result<const Value*> read_member(const Object& object, std::string_view name) {
  const Value* found = nullptr;
  for (const auto& member : object) {
    if (!equal_any_case(member.key(), name)) continue;
    if (found != nullptr) return fail(Errc::invalid_argument, "JSON has the key '{}' twice, in two letter cases", name);
    found = &member.value();
  }
  return found;
}

const Value* find_to_read(const Object& object, std::string_view name, std::optional<Error>& error) {
  const Result<const Value*> found = read_member(object, name);
  if (!found) {
    error = found.error();
    return nullptr;
  }
  return *found != nullptr && (*found)->is_null() ? nullptr : *found;
}

std::unexpected<Error> wrong_kind(std::string_view expected, const Value& found) {
  return fail(Errc::invalid_argument, "expected {}, found {}", expected, kind_name(found));
}

namespace {

/// "cpu.cores" of "cpu.cores: at least one is expected": hand-written messages name their member like this.
std::string_view leading_path(std::string_view message) {
  const std::string_view path = message.substr(0, std::min(message.find(": "), message.size()));
  return path.size() == message.size() || path.find_first_of(" '\"") != path.npos ? std::string_view() : path;
}

std::string joined(const std::string& outer, std::string_view inner) {
  return fmt::format("{}{}{}", outer, inner.empty() || inner.starts_with('[') ? "" : ".", inner);
}

Error prefixed(const std::string& prefix, const Error& error) {
  const std::string_view named = leading_path(error.message());
  const std::string path = joined(prefix, error.path().empty() ? named : error.path());
  // "cpu" and "cores: expected" give "cpu.cores: expected".
  return error.in(path, named.empty() ? prefix + ": " + error.message() : joined(prefix, error.message()));
}

}  // namespace

Error at_member(std::string_view name, const Error& error) { return prefixed(std::string(name), error); }
Error at_index(std::size_t index, const Error& error) { return prefixed(fmt::format("[{}]", index), error); }

Result<bool> Codec<bool>::read(const Value& v) {
  if (const bool* b = v.if_bool()) return *b;
  return wrong_kind("true or false", v);
}
Result<std::string> Codec<std::string>::read(const Value& v) {
  if (const auto* s = v.if_string()) return std::string(s->data(), s->size());
  return wrong_kind("a string", v);
}
Result<Bytes> Codec<Bytes>::read(const Value& v) {
  const auto* s = v.if_string();
  if (s == nullptr) return wrong_kind("base64 text", v);
  return dms::decode(Base::base64, {s->data(), s->size()});
}

DMS_JSON_COMMON_MEMBERS();

}  // namespace dms::json
