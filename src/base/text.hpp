// Text that other machines, files or users wrote, made safe to display.
//
// Model
//  1. Escaped are: C0 controls and DEL as \x1b; C1 controls, the line and paragraph separators U+2028 and U+2029, and
//     the bidirectional embeddings, overrides and isolates (U+202A to U+202E, U+2066 to U+2069) as \u009b; bytes that
//     are not UTF-8 (RFC 3629) as \x9b. Everything else, backslashes included, stays as it is.
//  2. printable() escapes line feeds and tabs too: its result is one line, so a text cannot forge a second one.
//  3. printable_json() takes JSON text and returns JSON text of the same value: those characters become \u escapes,
//     which is possible because outside of strings JSON is ASCII. Line feeds and tabs, which are white space there,
//     stay.
//
// Pure functions; cost: one pass. Attacks: a terminal that displays the result receives no control sequence and no
// character that reorders or hides its neighbours. Characters that look alike are not distinguished.
#pragma once

#include <string>
#include <string_view>

namespace dms {

/// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return i < text.size() && at(i) >= low && at(i) <= high;
  };
  if (text.empty()) return 0;
  const unsigned c = at(0);
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) return tail(1, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf) && tail(2) ? 3 : 0;
  if (c >= 0xf0 && c <= 0xf4)
    return tail(1, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf) && tail(2) && tail(3) ? 4 : 0;
  return 0;
}

[[nodiscard]] std::string printable(std::string_view text);
[[nodiscard]] std::string printable_json(std::string_view json);
/// At most `most` bytes, cut between two characters.
[[nodiscard]] std::string shortened(std::string text, std::size_t most);
/// Of each line; the lines after the first are indented, so that none of them can pass for a message of its own.
[[nodiscard]] std::string printable_lines(std::string_view text);

}  // namespace dms
