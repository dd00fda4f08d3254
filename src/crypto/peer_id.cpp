#include "crypto/peer_id.hpp"

#include <algorithm>

#include "crypto/hash.hpp"
#include "encoding/cid.hpp"

namespace dms::crypto {

PeerId::PeerId(const Multihash& hash) {
  const Bytes bytes = hash.bytes();
  std::ranges::copy(bytes, bytes_.begin());
  size_ = static_cast<std::uint8_t>(bytes.size());
}

PeerId PeerId::from(const PublicKey& key) {
  const Bytes marshalled = key.marshal();
  if (marshalled.size() <= kMaxInlineKey) return PeerId(Multihash{Multicodec::identity, marshalled});
  return PeerId(Multihash{Multicodec::sha2_256, sha256(marshalled)});
}

Result<PeerId> PeerId::from_multihash(const Multihash& hash) {
  if (hash.code == Multicodec::identity) {
    // The id contains the key. If that is no valid key, or one whose id must be its hash, no peer can prove ownership.
    auto key = PublicKey::unmarshal(hash.digest);
    if (!key) return std::unexpected(key.error().context(Errc::bad_peer_id, "the peer id holds no key"));
    if (hash.digest.size() > kMaxInlineKey)
      return fail(Errc::bad_peer_id, "the id of a key of {} bytes must be its sha2-256, not the key",
                  hash.digest.size());
  } else if (hash.code != Multicodec::sha2_256 || hash.digest.size() != sizeof(Digest256)) {
    return fail(Errc::bad_peer_id, "multihash {} of {} bytes: expected identity or sha2-256", dms::to_string(hash.code),
                hash.digest.size());
  }
  return PeerId(hash);
}

Result<PeerId> PeerId::from_bytes(BytesView bytes) {
  const auto hash = Multihash::parse(bytes);
  if (!hash) return std::unexpected(hash.error().context(Errc::bad_peer_id, "a peer id is a multihash"));
  return from_multihash(*hash);
}

Result<PeerId> PeerId::parse(std::string_view text) {
  if (text.empty() || text.size() > kMaxText)
    return fail(Errc::bad_peer_id, "a peer id has 1 to {} characters, not {}", kMaxText, text.size());
  // A base58 multihash begins with 1 (identity) or Qm (sha2-256); neither is a multibase prefix.
  if (text.starts_with('1') || text.starts_with("Qm")) {
    auto bytes = decode(Base::base58btc, text);
    if (!bytes) return fail(bytes.error().context(Errc::bad_peer_id, "not base58"), "peer id '{}'", text);
    return from_bytes(*bytes);
  }
  const auto cid = Cid::parse(text);
  if (!cid)
    return std::unexpected(
        cid.error().context(Errc::bad_peer_id, fmt::format("peer id '{}' is neither base58 nor a CID", text)));
  if (cid->content() != Multicodec::libp2p_key)
    return fail(Errc::bad_peer_id, "peer id '{}' is a CID, but not version 1 with codec libp2p-key", text);
  return from_multihash(cid->multihash());
}

std::string PeerId::to_string() const { return encode(Base::base58btc, bytes()); }

std::string PeerId::to_cid() const {
  return empty() ? "" : Cid::v1(Multicodec::libp2p_key, Multihash::parse(bytes()).value()).to_string();
}

std::optional<PublicKey> PeerId::public_key() const {
  const auto hash = Multihash::parse(bytes());
  if (!hash || hash->code != Multicodec::identity) return std::nullopt;
  auto key = PublicKey::unmarshal(hash->digest);
  if (!key) return std::nullopt;
  return *std::move(key);
}

}  // namespace dms::crypto
