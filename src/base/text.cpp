#include "base/text.hpp"

#include <fmt/format.h>

namespace dms {
namespace {

/// The code point of a valid sequence.
std::uint32_t decode(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first;
  std::uint32_t point = first & (0x7fU >> sequence.size());
  for (const char c : sequence.substr(1)) point = point << 6 | (static_cast<unsigned char>(c) & 0x3fU);
  return point;
}

bool is_unsafe(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7f && point <= 0x9f) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2066 && point <= 0x2069);
}

std::string escaped(std::string_view text, bool as_json) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view sequence = text.substr(0, length == 0 ? 1 : length);
    const std::uint32_t point = length == 0 ? 0 : decode(sequence);
    if (length == 0)
      out += as_json ? "\\ufffd" : fmt::format("\\x{:02x}", static_cast<unsigned char>(sequence[0]));
    else if (!is_unsafe(point) || (as_json && (point == '\n' || point == '\t')))
      out += sequence;
    else
      out += as_json || point > 0x7f ? fmt::format("\\u{:04x}", point) : fmt::format("\\x{:02x}", point);
    text.remove_prefix(sequence.size());
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) { return escaped(text, false); }
std::string printable_json(std::string_view json) { return escaped(json, true); }

std::string shortened(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  text.resize(most);
  return text;
}

std::string printable_lines(std::string_view text) {
  std::string out;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t to = std::min(text.find('\n', from), text.size());
    out += (from == 0 ? "" : "\n  ") + printable(text.substr(from, to - from));
    from = to + 1;
  }
  return out;
}

}  // namespace dms
