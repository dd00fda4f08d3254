#include "encoding/multihash.hpp"

#include "base/varint.hpp"

namespace dms {

std::optional<std::size_t> digest_size(Multicodec function) {
  switch (function) {
    case Multicodec::sha1: return 20;
    case Multicodec::sha2_256:
    case Multicodec::sha3_256: return 32;
    case Multicodec::sha2_512:
    case Multicodec::sha3_512: return 64;
    default: return std::nullopt;
  }
}

Result<Multihash> Multihash::read(BytesView& bytes) {
  const auto code = read_multicodec(bytes);
  if (!code) return fail(code.error(), "a multihash begins with the code of its function");
  const auto length = parse_varint(code->rest);
  if (!length) return fail(length.error(), "a multihash has the length of its digest after the code");
  const BytesView rest = code->rest.subspan(length->size);
  const auto at_digest = [&](Error error) { return std::unexpected(error.at_byte(bytes.size() - rest.size())); };
  if (length->value > kMaxDigest)
    return at_digest(Error(Errc::limit_exceeded, fmt::format("a multihash digest of {} bytes; at most {} are read",
                                                             length->value, kMaxDigest)));
  if (length->value > rest.size())
    return at_digest(Error(Errc::invalid_argument, fmt::format("a multihash announces {} bytes of digest, {} follow",
                                                               length->value, rest.size())));
  if (const auto made = digest_size(code->code); made && (length->value == 0 || length->value > *made))
    return at_digest(Error(Errc::invalid_argument, fmt::format("a multihash has {} bytes of digest; {} makes 1 to {}",
                                                               length->value, to_string(code->code), *made)));
  bytes = rest.subspan(length->value);
  return Multihash{code->code, rest.first(length->value)};
}

Result<Multihash> Multihash::parse(BytesView bytes) {
  BytesView rest = bytes;
  TRY(Multihash hash, read(rest));
  if (rest.empty()) return hash;
  return std::unexpected(Error(Errc::invalid_argument, fmt::format("{} bytes follow the multihash", rest.size()))
                             .at_byte(bytes.size() - rest.size()));
}

void Multihash::append_to(Bytes& out) const {
  append_multicodec(out, code);
  append_varint(out, digest.size());
  append(out, digest);
}

Bytes Multihash::bytes() const {
  Bytes out;
  append_to(out);
  return out;
}

}  // namespace dms
