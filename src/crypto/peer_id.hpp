// A libp2p peer id: the multihash of a public key.
//
// Model
//  1. The bytes are a multihash: `identity` of the marshalled key if that has at most 42 bytes (Ed25519, secp256k1), so
//     that the key can be read back; sha2-256 of it otherwise. Nothing else is accepted.
//  2. Two texts are read: base58btc of the multihash (`12D3KooW...`, `Qm...`) and a CIDv1 with codec libp2p-key in any
//     multibase in which it has at most kMaxText characters (`bafz...`, `k51...`). to_string() writes the first.
//  3. A default PeerId is empty and means "none"; no parser returns it.
//
// A value of 46 bytes without allocation. Specification: libp2p peer-ids.
#pragma once

#include <array>
#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "encoding/multihash.hpp"

namespace dms::crypto {

class PeerId {
 public:
  /// The id of a longer key is its hash.
  static constexpr std::size_t kMaxInlineKey = 42;
  static constexpr std::size_t kMaxText = 128;

  PeerId() = default;
  static PeerId from(const PublicKey& key);
  static Result<PeerId> from_bytes(BytesView multihash);
  static Result<PeerId> parse(std::string_view text);

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] BytesView bytes() const { return {bytes_.data(), size_}; }
  /// base58btc; empty for the empty id.
  [[nodiscard]] std::string to_string() const;
  /// CIDv1 in base32 (`bafz...`); empty for the empty id.
  [[nodiscard]] std::string to_cid() const;
  /// The key itself, if the id contains one.
  [[nodiscard]] std::optional<PublicKey> public_key() const;
  /// True if this is the id of `key`.
  [[nodiscard]] bool matches(const PublicKey& key) const { return from(key) == *this; }

  friend bool operator==(const PeerId& a, const PeerId& b) { return as_text(a.bytes()) == as_text(b.bytes()); }
  friend auto operator<=>(const PeerId& a, const PeerId& b) { return as_text(a.bytes()) <=> as_text(b.bytes()); }

 private:
  explicit PeerId(const Multihash& hash);
  static Result<PeerId> from_multihash(const Multihash& hash);
  std::array<std::uint8_t, kMaxInlineKey + 2> bytes_{};
  std::uint8_t size_ = 0;
};

}  // namespace dms::crypto

template <>
struct std::hash<dms::crypto::PeerId> {
  std::size_t operator()(const dms::crypto::PeerId& id) const noexcept {
    return std::hash<std::string_view>{}(dms::as_text(id.bytes()));
  }
};
