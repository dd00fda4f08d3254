#include "crypto/peer_id.hpp"

#include <algorithm>

#include "base/multibase.hpp"
#include "crypto/hash.hpp"

namespace dms::crypto {
namespace {

constexpr std::uint8_t kIdentity = 0x00;
constexpr std::uint8_t kSha256 = 0x12;
constexpr std::uint8_t kCidVersion = 0x01;
constexpr std::uint8_t kLibp2pKey = 0x72;

}  // namespace

PeerId PeerId::from(const PublicKey& key) {
  const Bytes marshalled = key.marshal();
  PeerId id;
  const auto fill = [&id](std::uint8_t code, BytesView digest) {
    id.bytes_[0] = code;
    id.bytes_[1] = static_cast<std::uint8_t>(digest.size());
    std::ranges::copy(digest, id.bytes_.begin() + 2);
    id.size_ = static_cast<std::uint8_t>(digest.size() + 2);
  };
  if (marshalled.size() <= kMaxInlineKey)
    fill(kIdentity, marshalled);
  else
    fill(kSha256, sha256(marshalled));
  return id;
}

Result<PeerId> PeerId::from_bytes(BytesView in) {
  if (in.size() < 3 || in[1] != in.size() - 2)
    return fail(Errc::bad_peer_id,
                "{} bytes are not a multihash: expected a code, the length of the rest, and the rest", in.size());
  if (in[0] == kIdentity) {
    // The id is the key: one that is no key, or too long to be named so, has no owner who could prove it.
    auto key = PublicKey::unmarshal(in.subspan(2));
    if (!key) return std::unexpected(key.error().context(Errc::bad_peer_id, "the peer id holds no key"));
    if (in.size() - 2 > kMaxInlineKey)
      return fail(Errc::bad_peer_id, "a key of {} bytes is named by its sha2-256, not in full", in.size() - 2);
  } else if (in[0] != kSha256 || in[1] != 32) {
    return fail(Errc::bad_peer_id, "multihash 0x{:02x} of {} bytes: expected identity or sha2-256", in[0], in[1]);
  }
  PeerId id;
  std::ranges::copy(in, id.bytes_.begin());
  id.size_ = static_cast<std::uint8_t>(in.size());
  return id;
}

Result<PeerId> PeerId::parse(std::string_view text) {
  if (text.empty() || text.size() > kMaxText)
    return fail(Errc::bad_peer_id, "a peer id has 1 to {} characters, not {}", kMaxText, text.size());
  // A base58 multihash begins with 1 (identity) or Qm (sha2-256); neither is a multibase prefix of ours.
  if (text.starts_with('1') || text.starts_with("Qm")) {
    auto bytes = decode(Base::base58btc, text);
    if (!bytes) return fail(bytes.error().context(Errc::bad_peer_id, "not base58"), "peer id '{}'", text);
    return from_bytes(*bytes);
  }
  auto cid = multibase_decode(text);
  if (!cid)
    return std::unexpected(
        cid.error().context(Errc::bad_peer_id, fmt::format("peer id '{}' is neither base58 nor a CID", text)));
  const BytesView bytes = cid->bytes;
  if (bytes.size() < 2 || bytes[0] != kCidVersion || bytes[1] != kLibp2pKey)
    return fail(Errc::bad_peer_id, "peer id '{}' is a CID, but not version 1 with codec libp2p-key", text);
  return from_bytes(bytes.subspan(2));
}

std::string PeerId::to_string() const { return encode(Base::base58btc, bytes()); }

std::string PeerId::to_cid() const {
  Bytes cid{kCidVersion, kLibp2pKey};
  append(cid, bytes());
  return multibase_encode(Base::base32, cid);
}

std::optional<PublicKey> PeerId::public_key() const {
  if (empty() || bytes_[0] != kIdentity) return std::nullopt;
  auto key = PublicKey::unmarshal(bytes().subspan(2));
  if (!key) return std::nullopt;
  return *std::move(key);
}

}  // namespace dms::crypto
