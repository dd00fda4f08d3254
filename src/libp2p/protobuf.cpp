#include "libp2p/protobuf.hpp"

namespace dms::libp2p {

Result<std::uint64_t> ProtoReader::varint() {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < rest_.size() && i < 10; ++i) {
    const std::uint8_t byte = rest_[i];
    if (i == 9 && byte > 1) return fail(Errc::invalid_argument, "protobuf: a varint exceeds 64 bits");
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) == 0) {
      rest_ = rest_.subspan(i + 1);
      return value;
    }
  }
  return fail(Errc::invalid_argument, "protobuf: a varint is cut short or too long");
}

Result<BytesView> ProtoReader::take(std::uint64_t count) {
  if (count > rest_.size())
    return fail(Errc::invalid_argument, "protobuf: a field of {} bytes where {} are left", count, rest_.size());
  const BytesView taken = rest_.first(static_cast<std::size_t>(count));
  rest_ = rest_.subspan(static_cast<std::size_t>(count));
  return taken;
}

Result<std::optional<ProtoField>> ProtoReader::next() {
  if (rest_.empty()) return std::nullopt;
  const BytesView before = rest_;
  TRY(const std::uint64_t tag, varint());
  const std::uint64_t number = tag >> 3;
  if (number == 0 || number > 0x1fffffff) return fail(Errc::invalid_argument, "protobuf: field number {}", number);
  ProtoField field;
  field.number = static_cast<std::uint32_t>(number);
  switch (tag & 7) {
    case 0: {
      TRY(field.value, varint());
      break;
    }
    case 1: {
      field.type = ProtoField::Type::fixed64;
      TRY(field.bytes, take(8));
      break;
    }
    case 2: {
      field.type = ProtoField::Type::bytes;
      TRY(const std::uint64_t size, varint());
      TRY(field.bytes, take(size));
      break;
    }
    case 5: {
      field.type = ProtoField::Type::fixed32;
      TRY(field.bytes, take(4));
      break;
    }
    default:
      return fail(Errc::invalid_argument, "protobuf: wire type {} in field {} is not supported", tag & 7, number);
  }
  field.raw = before.first(before.size() - rest_.size());
  return field;
}

}  // namespace dms::libp2p
