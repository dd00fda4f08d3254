#include "crypto/keys.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <secp256k1.h>

#include <algorithm>

#include "base/varint.hpp"
#include "crypto/hash.hpp"
#include "crypto/hkdf.hpp"
#include "crypto/keccak.hpp"
#include "crypto/openssl_pointers.hpp"
#include "crypto/remember_verified.hpp"

namespace dms::crypto {
namespace {

using EvpDigest = std::unique_ptr<EVP_MD_CTX, Release<EVP_MD_CTX, EVP_MD_CTX_free>>;

constexpr std::size_t kEd25519Key = 32;
constexpr std::size_t kEd25519Signature = 64;
constexpr std::size_t kSecp256k1Scalar = 32;
constexpr std::size_t kSecp256k1Point = 33;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 4096;

/// One context for the process, created once and then only read.
const secp256k1_context* curve() {
  static const secp256k1_context* context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
  return context;
}

/// libp2p's key protobuf: field 1 (varint) is the type, field 2 (length-delimited) the data; both are present, in order.
Secret marshal_key(KeyType type, BytesView data) {
  Bytes header{0x08, static_cast<std::uint8_t>(type), 0x12};
  append_varint(header, data.size());
  Secret out(header.size() + data.size());
  std::ranges::copy(data, std::ranges::copy(header, out.mutable_view().begin()).out);
  return out;
}

struct KeyMessage {
  KeyType type;
  BytesView data;
};

Result<KeyMessage> unmarshal_key(BytesView in) {
  const auto refused = [](std::string_view why) {
    return fail(Errc::bad_key, "a marshalled key is not in libp2p's canonical form: {}", why);
  };
  if (in.size() < 4) return refused("fewer than 4 bytes");
  if (in[0] != 0x08 || in[2] != 0x12) return refused("expected field 1 (type), then field 2 (data)");
  if (in[1] == static_cast<std::uint8_t>(KeyType::ethereum))
    return fail(Errc::bad_key, "an Ethereum wallet's key (type 127) names no peer and no actor: use an ed25519 key");
  if (in[1] > 3) return fail(Errc::bad_key, "key type {} is unknown; known are 0 to 3", in[1]);
  const auto length = parse_varint(in.subspan(3));
  if (!length) return refused(length.error().message());
  if (length->value > kMaxKeyData)
    return fail(dms::Errc::limit_exceeded, "a key of {} bytes; at most {} are read", length->value, kMaxKeyData);
  if (in.size() != 3 + length->size + length->value) return refused("the length does not match the bytes that follow");
  return KeyMessage{static_cast<KeyType>(in[1]), in.subspan(3 + length->size)};
}

EvpKey ed25519_public(BytesView raw) {
  return EvpKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
}

/// A key in DER SubjectPublicKeyInfo, if all bytes belong to it.
EvpKey parse_der(BytesView raw) {
  const unsigned char* at = raw.data();
  EvpKey key(d2i_PUBKEY(nullptr, &at, static_cast<long>(raw.size())));
  if (at != raw.data() + raw.size()) key.reset();
  return key;
}

Result<void> check_der_key(KeyType type, BytesView raw) {
  EvpKey key = parse_der(raw);
  if (!key) return fail(Errc::bad_key, "the {} key is not a DER SubjectPublicKeyInfo", to_string(type));
  // Each key has one encoding; the library reads more forms than it writes.
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  const bool canonical = size > 0 && as_text({der, static_cast<std::size_t>(size)}) == as_text(raw);
  OPENSSL_free(der);
  if (!canonical) return fail(Errc::bad_key, "the {} key is not in canonical DER", to_string(type));
  if (type == KeyType::rsa) {
    const int bits = EVP_PKEY_get_bits(key.get());
    if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA || bits < kMinRsaBits || bits > kMaxRsaBits)
      return fail(Errc::bad_key, "expected an RSA key of {} to {} bits, found {} bits", kMinRsaBits, kMaxRsaBits, bits);
    return {};
  }
  char group[32] = {};
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr) != 1 || std::string_view(group) != "prime256v1")
    return fail(Errc::bad_key, "expected an ECDSA key on P-256");
  return {};
}

bool verify_evp(EVP_PKEY* key, const EVP_MD* digest, BytesView message, BytesView signature) {
  EvpDigest context(EVP_MD_CTX_new());
  return key != nullptr && context && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

bool verify_ed25519(BytesView raw, BytesView message, BytesView signature) {
  RememberVerified* const verified = RememberVerified::current();
  if (verified == nullptr) return verify_evp(ed25519_public(raw).get(), nullptr, message, signature);
  const Digest256 name = RememberVerified::name(raw, message, signature);
  if (verified->contains(name)) return true;
  const bool is_sound = verify_evp(ed25519_public(raw).get(), nullptr, message, signature);
  if (is_sound) verified->add(name);
  return is_sound;
}

/// The digest that a wallet signs for a message; its prefix keeps a message from being a valid transaction.
Digest256 ethereum_digest(BytesView message) {
  Bytes framed =
      to_bytes(fmt::format("\x19"
                           "Ethereum Signed Message:\n{}",
                           message.size()));
  append(framed, message);
  return keccak_256(framed);
}

bool verify_secp256k1(BytesView raw, const Digest256& digest, BytesView signature) {
  if (signature.empty()) return false;  // the library aborts on a null pointer
  secp256k1_pubkey key;
  secp256k1_ecdsa_signature parsed;
  if (secp256k1_ec_pubkey_parse(curve(), &key, raw.data(), raw.size()) != 1 ||
      secp256k1_ecdsa_signature_parse_der(curve(), &parsed, signature.data(), signature.size()) != 1)
    return false;
  secp256k1_ecdsa_signature_normalize(curve(), &parsed, &parsed);
  return secp256k1_ecdsa_verify(curve(), &parsed, digest.data(), &key) == 1;
}

}  // namespace

std::string_view to_string(KeyType type) {
  switch (type) {
    case KeyType::rsa: return "rsa";
    case KeyType::ed25519: return "ed25519";
    case KeyType::secp256k1: return "secp256k1";
    case KeyType::ecdsa: return "ecdsa";
    case KeyType::ethereum: return "ethereum";
  }
  return "unknown";
}

Result<PublicKey> PublicKey::from_raw(KeyType type, BytesView raw) {
  if (raw.size() > kMaxKeyData)
    return fail(dms::Errc::limit_exceeded, "a key of {} bytes; at most {} are read", raw.size(), kMaxKeyData);
  switch (type) {
    case KeyType::ed25519:
      if (raw.size() != kEd25519Key)
        return fail(Errc::bad_key, "an ed25519 public key has {} bytes, not {}", kEd25519Key, raw.size());
      break;
    case KeyType::secp256k1:
    case KeyType::ethereum: {
      secp256k1_pubkey point;
      if (raw.size() != kSecp256k1Point || secp256k1_ec_pubkey_parse(curve(), &point, raw.data(), raw.size()) != 1)
        return fail(Errc::bad_key, "the {} key is not a compressed point of {} bytes on secp256k1", to_string(type),
                    kSecp256k1Point);
      break;
    }
    case KeyType::rsa:
    case KeyType::ecdsa: TRY_VOID(check_der_key(type, raw)); break;
  }
  return PublicKey(type, to_bytes(raw));
}

Result<PublicKey> PublicKey::unmarshal(BytesView protobuf) {
  TRY(KeyMessage message, unmarshal_key(protobuf));
  return from_raw(message.type, message.data);
}

Bytes PublicKey::marshal() const { return to_bytes(marshal_key(type_, raw_).view()); }

bool PublicKey::verify(BytesView message, BytesView signature) const {
  switch (type_) {
    case KeyType::ed25519: return signature.size() == kEd25519Signature && verify_ed25519(raw_, message, signature);
    case KeyType::secp256k1: return verify_secp256k1(raw_, sha256(message), signature);
    case KeyType::ethereum: return verify_secp256k1(raw_, ethereum_digest(message), signature);
    case KeyType::rsa:
    case KeyType::ecdsa: return verify_evp(parse_der(raw_).get(), EVP_sha256(), message, signature);
  }
  return false;
}

struct PrivateKey::Material {
  PublicKey public_key;
  Secret secret;  // ed25519: the seed; secp256k1: the scalar
  EvpKey evp;     // ed25519 only
};

PrivateKey PrivateKey::generate(Random& random) {
  Secret seed(kEd25519Key);
  random.fill(seed.mutable_view());
  return *ed25519(seed);
}

PrivateKey PrivateKey::derive(std::string_view label) const {
  const Secret own = marshal();
  return *ed25519(hkdf_sha256(as_bytes(std::string_view("nunet derived key")), own, as_bytes(label), kEd25519Key));
}

Result<PrivateKey> PrivateKey::generate(KeyType type, Random& random) {
  if (type == KeyType::ed25519) return generate(random);
  if (type != KeyType::secp256k1)
    return fail(dms::Errc::unsupported, "cannot generate {} keys: choose ed25519 or secp256k1", to_string(type));
  for (;;) {  // one in about 2^128 random strings is no valid scalar
    Secret scalar(kSecp256k1Scalar);
    random.fill(scalar.mutable_view());
    if (auto key = secp256k1(scalar)) return key;
  }
}

Result<PrivateKey> PrivateKey::ed25519(BytesView seed) {
  EvpKey evp(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  Bytes raw(kEd25519Key);
  std::size_t size = raw.size();
  if (!evp || EVP_PKEY_get_raw_public_key(evp.get(), raw.data(), &size) != 1)
    return fail(Errc::library, "OpenSSL did not accept an ed25519 seed");
  return PrivateKey(
      std::make_shared<const Material>(PublicKey(KeyType::ed25519, std::move(raw)), Secret(seed), std::move(evp)));
}

Result<PrivateKey> PrivateKey::secp256k1(BytesView scalar) {
  secp256k1_pubkey point;
  if (secp256k1_ec_pubkey_create(curve(), &point, scalar.data()) != 1)
    return fail(Errc::bad_key, "a secp256k1 private key is zero or not below the order of the curve");
  Bytes raw(kSecp256k1Point);
  std::size_t size = raw.size();
  secp256k1_ec_pubkey_serialize(curve(), raw.data(), &size, &point, SECP256K1_EC_COMPRESSED);
  return PrivateKey(
      std::make_shared<const Material>(PublicKey(KeyType::secp256k1, std::move(raw)), Secret(scalar), EvpKey()));
}

Result<PrivateKey> PrivateKey::from_raw(KeyType type, BytesView raw) {
  if (type == KeyType::secp256k1) {
    if (raw.size() != kSecp256k1Scalar)
      return fail(Errc::bad_key, "a secp256k1 private key has {} bytes, not {}", kSecp256k1Scalar, raw.size());
    return secp256k1(raw);
  }
  if (type != KeyType::ed25519)
    return fail(dms::Errc::unsupported, "{} private keys are not supported: use ed25519 or secp256k1", to_string(type));
  // An old form repeats the public key once more (96 bytes).
  if (raw.size() != 32 && raw.size() != 64 && raw.size() != 96)
    return fail(Errc::bad_key, "an ed25519 private key has 32 or 64 bytes, not {}", raw.size());
  TRY(PrivateKey key, ed25519(raw.first(kEd25519Key)));
  for (std::size_t at = kEd25519Key; at < raw.size(); at += kEd25519Key)
    if (!equal_constant_time(key.public_key().raw(), raw.subspan(at, kEd25519Key)))
      return fail(Errc::bad_key, "the two halves of an ed25519 private key do not belong together");
  return key;
}

Result<PrivateKey> PrivateKey::unmarshal(BytesView protobuf) {
  TRY(KeyMessage message, unmarshal_key(protobuf));
  if (message.type == KeyType::ed25519 && message.data.size() == kEd25519Key)
    return fail(Errc::bad_key, "a marshalled ed25519 private key consists of seed and public key: 64 bytes, not 32");
  return from_raw(message.type, message.data);
}

const PublicKey& PrivateKey::public_key() const { return material_->public_key; }

Secret PrivateKey::marshal() const {
  if (type() == KeyType::secp256k1) return marshal_key(type(), material_->secret);
  Secret both(2 * kEd25519Key);
  std::ranges::copy(material_->secret.view(), both.mutable_view().begin());
  std::ranges::copy(public_key().raw(), both.mutable_view().begin() + kEd25519Key);
  return marshal_key(type(), both);
}

Result<Bytes> PrivateKey::sign(BytesView message) const {
  if (type() == KeyType::secp256k1) {
    const Digest256 digest = sha256(message);
    secp256k1_ecdsa_signature signature;
    Bytes der(72);
    std::size_t size = der.size();
    if (secp256k1_ecdsa_sign(curve(), &signature, digest.data(), material_->secret.view().data(), nullptr, nullptr) !=
            1 ||
        secp256k1_ecdsa_signature_serialize_der(curve(), der.data(), &size, &signature) != 1)
      return fail(Errc::library, "libsecp256k1 did not sign");
    der.resize(size);
    return der;
  }
  EvpDigest context(EVP_MD_CTX_new());
  Bytes signature(kEd25519Signature);
  std::size_t size = signature.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, material_->evp.get()) != 1 ||
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1)
    return fail(Errc::library, "OpenSSL did not sign");
  return signature;
}

}  // namespace dms::crypto
