// A minimal protocol buffers codec for libp2p's messages: write fields, iterate over fields.
//
// Model
//  1. A reader iterates over the top level of a message, field by field, without copying; a nested message is a field
//     whose bytes another reader reads. Unknown fields are the caller's to skip.
//  2. Wire types 0 (varint), 1 and 5 (fixed) and 2 (bytes) are read; groups are refused. Varints of up to ten bytes are
//     read as protobuf defines them, minimal or not.
//
// Attacks: every length is checked against the remaining bytes, so a message costs at most its own size; nesting is the
// caller's choice and so has a fixed depth.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::libp2p {

class ProtoWriter {
 public:
  void varint(std::uint32_t field, std::uint64_t value) {
    raw_varint(std::uint64_t{field} << 3);
    raw_varint(value);
  }
  void bytes(std::uint32_t field, BytesView value) {
    raw_varint(std::uint64_t{field} << 3 | 2);
    raw_varint(value.size());
    append(out_, value);
  }
  void text(std::uint32_t field, std::string_view value) { bytes(field, as_bytes(value)); }
  [[nodiscard]] Bytes take() { return std::move(out_); }
  [[nodiscard]] std::size_t size() const { return out_.size(); }

 private:
  void raw_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<std::uint8_t>(value | 0x80));
    out_.push_back(static_cast<std::uint8_t>(value));
  }
  Bytes out_;
};

struct ProtoField {
  enum class Type : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
  std::uint32_t number = 0;
  Type type = Type::varint;
  std::uint64_t value = 0;  ///< of a varint
  BytesView bytes;          ///< of bytes, and the raw form of fixed types
  BytesView raw;            ///< the whole field, tag included

  [[nodiscard]] bool is_bytes(std::uint32_t field) const { return number == field && type == Type::bytes; }
  [[nodiscard]] bool is_varint(std::uint32_t field) const { return number == field && type == Type::varint; }
};

class ProtoReader {
 public:
  explicit ProtoReader(BytesView message) : rest_(message) {}

  /// The next field, or nothing at the end. Errc::invalid_argument if the message is malformed.
  Result<std::optional<ProtoField>> next();

 private:
  Result<std::uint64_t> varint();
  Result<BytesView> take(std::uint64_t count);
  BytesView rest_;
};

}  // namespace dms::libp2p
