#include "encoding/cid.hpp"

#include "base/varint.hpp"

namespace dms {
namespace {

constexpr std::size_t kV0Text = 46;
constexpr std::size_t kSha256 = 32;

bool is_v0(const Multihash& hash) { return hash.code == Multicodec::sha2_256 && hash.digest.size() == kSha256; }

/// A multihash of sha2-256 begins with the bytes 0x12 0x20, and 18 is not a version.
bool looks_like_v0(BytesView bytes) { return bytes.size() == kSha256 + 2 && bytes[0] == 0x12 && bytes[1] == kSha256; }

}  // namespace

Cid Cid::v1(Multicodec content, const Multihash& hash) {
  Bytes bytes;
  append_multicodec(bytes, Multicodec::cidv1);
  append_multicodec(bytes, content);
  const std::size_t hash_at = bytes.size();
  hash.append_to(bytes);
  return {1, content, hash_at, std::move(bytes)};
}

Result<Cid> Cid::v0(const Multihash& hash) {
  if (!is_v0(hash))
    return fail(Errc::invalid_argument, "a CID of version 0 holds sha2-256 with {} bytes, not {} with {}", kSha256,
                dms::to_string(hash.code), hash.digest.size());
  return Cid(0, Multicodec::dag_pb, 0, hash.bytes());
}

Result<Cid> Cid::from_bytes(BytesView bytes) {
  if (looks_like_v0(bytes)) return Cid(0, Multicodec::dag_pb, 0, to_bytes(bytes));
  const auto version = read_multicodec(bytes);
  if (!version) return fail(version.error(), "a CID begins with its version");
  if (version->code != Multicodec::cidv1)
    return std::unexpected(Error(Errc::unsupported, fmt::format("a CID of version {}; known are 0 and 1",
                                                                static_cast<std::uint64_t>(version->code)))
                               .at_byte(0));
  const auto content = read_multicodec(version->rest);
  if (!content) return fail(content.error(), "a CID has the code of its content after the version");
  const std::size_t hash_at = bytes.size() - content->rest.size();
  const auto hash = Multihash::parse(content->rest);
  if (!hash) return fail(hash.error(), "a CID ends with a multihash, from byte {} on", hash_at);
  return Cid(1, content->code, hash_at, to_bytes(bytes));
}

Result<Cid> Cid::parse(std::string_view text) {
  if (text.size() > kMaxText)
    return fail(Errc::limit_exceeded, "a CID of {} characters; at most {} are read", text.size(), kMaxText);
  if (text.size() == kV0Text && text.starts_with("Qm")) {
    TRY(const Bytes bytes, decode(Base::base58btc, text));
    return from_bytes(bytes);
  }
  TRY(const Multibase decoded, multibase_decode(text, kMaxText));
  if (!decoded.bytes.empty() && decoded.bytes[0] == 0x12)
    return fail(Errc::invalid_argument, "a CID of version 0 has no multibase prefix");
  return from_bytes(decoded.bytes);
}

Multihash Cid::multihash() const { return Multihash::parse(BytesView(bytes_).subspan(hash_at_)).value(); }

std::string Cid::to_string(Base base) const {
  return version_ == 0 ? encode(Base::base58btc, bytes_) : multibase_encode(base, bytes_);
}

}  // namespace dms
