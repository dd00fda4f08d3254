// Decentralised identifiers (DIDs): the names of parties in tokens and envelopes.
//
// Model
//  1. A Did is empty, or a text `did:<method>:<id>` of exactly three non-empty parts. parse() accepts nothing else; the
//     empty text is the empty Did, which names no party (as an audience: any).
//  2. Two Dids are the same if their texts are. The parser of `did:key` accepts one text per key, so a key has one
//     name.
//  3. `did:key:z<base58btc(varint(code) || key)>` is its own document: public_key() decodes it. Codes: 0xed Ed25519,
//     0xe7 secp256k1, 0xef01 a wallet's secp256k1 key that signs by ERC-191 (a code that NuNet defines). The last one
//     signs tokens and is never an actor's or a peer's key.
//  4. 0xef02 (Cardano) and the method `prism` are in use in the network; they are valid Dids, and public_key() returns
//     Errc::unsupported.
//
// Attacks: a Did is untrusted input inside tokens and envelopes. Length is bounded (kMaxDid), characters are those of
// RFC 3986's unreserved set plus `%` and `:`; a Did is therefore safe in logs and in JSON without escapes.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "crypto/keys.hpp"
#include "encoding/json.hpp"

namespace dms::did {

enum class Errc { malformed, bad_key, unsupported };

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "the text is not a DID";
  switch (code) {
    case Errc::malformed: break;
    case Errc::bad_key: sentence = "the DID names no valid key"; break;
    case Errc::unsupported: sentence = "this kind of DID cannot be verified here"; break;
  }
  return {"did", static_cast<int>(code), sentence};
}

inline constexpr std::size_t kMaxDid = 512;

class Did {
 public:
  Did() = default;
  /// Ed25519, secp256k1 and Ethereum; did::Errc::unsupported for the others, which have no name here.
  static Result<Did> from(const crypto::PublicKey& key);
  static Result<Did> parse(std::string_view uri);

  [[nodiscard]] bool empty() const { return uri_.empty(); }
  [[nodiscard]] const std::string& uri() const { return uri_; }
  /// `key` in `did:key:z6Mk...`; empty for the empty Did.
  [[nodiscard]] std::string_view method() const;
  /// What follows the method.
  [[nodiscard]] std::string_view identifier() const;
  /// The key that signs for this Did.
  [[nodiscard]] Result<crypto::PublicKey> public_key() const;

  /// {"uri":"did:..."}, or {} for the empty Did.
  void to_json(json::Writer& writer) const;
  static Result<Did> from_json(const json::Value& value);

  friend bool operator==(const Did&, const Did&) = default;
  friend auto operator<=>(const Did&, const Did&) = default;

 private:
  explicit Did(std::string uri) : uri_(std::move(uri)) {}
  std::string uri_;
};

}  // namespace dms::did

template <>
struct std::hash<dms::did::Did> {
  std::size_t operator()(const dms::did::Did& did) const noexcept { return std::hash<std::string>{}(did.uri()); }
};
