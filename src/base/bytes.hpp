// Byte strings and read-only views of them. A view does not own: what it refers to must outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dms {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// The bytes of a text, not copied.
inline BytesView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The same bytes seen as text, not copied and not checked to be UTF-8.
inline std::string_view as_text(BytesView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

inline Bytes to_bytes(std::string_view text) {
  auto view = as_bytes(text);
  return {view.begin(), view.end()};
}

inline Bytes to_bytes(BytesView view) { return {view.begin(), view.end()}; }

inline void append(Bytes& out, BytesView more) { out.insert(out.end(), more.begin(), more.end()); }

}  // namespace dms
