// Public and private keys in libp2p's form.
//
// Model
//  1. A PublicKey that exists is valid: 32 bytes of Ed25519; 33 bytes of a compressed secp256k1 point; DER
//     SubjectPublicKeyInfo of a P-256 (ecdsa) or RSA (2048 to 4096 bits) key.
//  2. marshal() is libp2p's protobuf {1: type, 2: data} in its one canonical form; unmarshal() accepts only that form.
//     So equal keys have equal bytes, and a peer has exactly one id.
//  3. Private keys are Ed25519 (64 bytes: seed, then public key) and secp256k1 (32 bytes); others can only verify. The
//     secret is held once, shared by copies of the PrivateKey, and wiped with the last of them.
//  4. secp256k1, ecdsa and rsa sign SHA-256 of the message: DER, DER and PKCS#1 v1.5. secp256k1 signatures are made
//     with low S and accepted with either, as libp2p's Go implementation does.
//  5. An ethereum key is a wallet's: a compressed secp256k1 point whose signature is DER ECDSA, S low or high, over
//     Keccak-256("\x19Ethereum Signed Message:\n" + the message's length in decimal + the message). It is NuNet's key
//     type 127 and identifies issuers of tokens only: peers and actors do not have such keys, so unmarshal() refuses
//     the type, and the bytes that marshal() returns for it are no peer id.
//
// Threads: values; may be used from any thread. Cost: an Ed25519 signature or verification takes some 50-150
// microseconds.
//
// Attacks: verify() and unmarshal() process bytes of untrusted peers. Key data is bounded by kMaxKeyData and RSA moduli
// by 4096 bits, which bounds the time of a verification; moduli below 2048 bits are refused as forgeable.
//
// Specification: libp2p peer-ids; ERC-191 version 0x45 (personal messages) for ethereum.
#pragma once

#include <compare>
#include <memory>
#include <string_view>

#include "base/random.hpp"
#include "base/result.hpp"
#include "crypto/error.hpp"
#include "crypto/secret.hpp"

namespace dms::crypto {

enum class KeyType : std::uint8_t { rsa = 0, ed25519 = 1, secp256k1 = 2, ecdsa = 3, ethereum = 127 };
[[nodiscard]] std::string_view to_string(KeyType type);

/// The longest key data that is read; an RSA-4096 public key takes 550 bytes.
inline constexpr std::size_t kMaxKeyData = 1024;

class PublicKey {
 public:
  /// `raw` is the field `data` of libp2p's key protobuf: see (1).
  static Result<PublicKey> from_raw(KeyType type, BytesView raw);
  static Result<PublicKey> unmarshal(BytesView protobuf);

  [[nodiscard]] KeyType type() const { return type_; }
  [[nodiscard]] BytesView raw() const { return raw_; }
  [[nodiscard]] Bytes marshal() const;
  [[nodiscard]] bool verify(BytesView message, BytesView signature) const;

  friend bool operator==(const PublicKey&, const PublicKey&) = default;
  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;

 private:
  friend class PrivateKey;
  PublicKey(KeyType type, Bytes raw) : type_(type), raw_(std::move(raw)) {}
  KeyType type_;
  Bytes raw_;
};

class PrivateKey {
 public:
  /// Ed25519 or secp256k1.
  static Result<PrivateKey> generate(KeyType type, Random& random);
  /// Ed25519; cannot fail.
  static PrivateKey generate(Random& random);
  /// Ed25519 from its 32-byte seed, or from seed and public key (64 bytes, which must agree); secp256k1 from 32 bytes.
  static Result<PrivateKey> from_raw(KeyType type, BytesView raw);
  static Result<PrivateKey> unmarshal(BytesView protobuf);

  [[nodiscard]] KeyType type() const { return public_key().type(); }
  [[nodiscard]] const PublicKey& public_key() const;
  [[nodiscard]] Secret marshal() const;
  [[nodiscard]] Result<Bytes> sign(BytesView message) const;
  /// An Ed25519 key that only the holder of this one can make: always the same for one label.
  [[nodiscard]] PrivateKey derive(std::string_view label) const;

 private:
  struct Material;
  explicit PrivateKey(std::shared_ptr<const Material> material) : material_(std::move(material)) {}
  static Result<PrivateKey> ed25519(BytesView seed);
  static Result<PrivateKey> secp256k1(BytesView scalar);
  std::shared_ptr<const Material> material_;
};

}  // namespace dms::crypto
