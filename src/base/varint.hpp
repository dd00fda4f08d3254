// Unsigned varints as multiformats writes them: seven bits a byte, least significant group first, high bit for "more".
//
// Model
//  1. At most nine bytes, so values below 2^63; each value has exactly one form. A last byte of zero (other than for
//     the value zero itself) is refused, so that equal values are equal bytes.
//
// Specification: multiformats unsigned-varint.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms {

inline constexpr std::size_t kMaxVarintSize = 9;
inline constexpr std::uint64_t kMaxVarint = (std::uint64_t{1} << 63) - 1;

/// `value` is at most kMaxVarint.
void append_varint(Bytes& out, std::uint64_t value);
[[nodiscard]] std::size_t varint_size(std::uint64_t value);

struct Varint {
  std::uint64_t value = 0;
  std::size_t size = 0;  ///< bytes it took
};
/// The varint at the start of `in`. Errc::invalid_argument, at the byte, if it is cut short, too
/// long or not in its shortest form.
Result<Varint> parse_varint(BytesView in);

/// One byte at a time, for varints that arrive in pieces.
class VarintDecoder {
 public:
  /// True once the value is complete.
  Result<bool> feed(std::uint8_t byte);
  [[nodiscard]] std::uint64_t value() const { return value_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::uint64_t value_ = 0;
  std::size_t size_ = 0;
};

/// `message` with its length in front.
[[nodiscard]] Bytes delimited(BytesView message);

}  // namespace dms
