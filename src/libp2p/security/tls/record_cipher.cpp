#include "libp2p/security/tls/record_cipher.hpp"

#include <algorithm>

#include "crypto/hkdf.hpp"

namespace dms::libp2p::tls {
namespace {

crypto::Aead::Algorithm algorithm_of(Suite suite) {
  switch (suite) {
    case Suite::aes_128_gcm_sha256: return crypto::Aead::Algorithm::aes_128_gcm;
    case Suite::aes_256_gcm_sha384: return crypto::Aead::Algorithm::aes_256_gcm;
    case Suite::chacha20_poly1305_sha256: break;
  }
  return crypto::Aead::Algorithm::chacha20_poly1305;
}

std::size_t hash_size(Suite suite) { return suite == Suite::aes_256_gcm_sha384 ? 48 : 32; }

}  // namespace

Result<RecordCipher> RecordCipher::create(Suite suite, crypto::Secret traffic_secret) {
  if (suite < Suite::aes_128_gcm_sha256 || suite > Suite::chacha20_poly1305_sha256)
    return fail(Errc::unsupported, "cipher suite 0x{:04x}", static_cast<unsigned>(suite));
  if (traffic_secret.size() != hash_size(suite))
    return fail(Errc::invalid_argument, "a traffic secret of {} bytes, expected {}", traffic_secret.size(),
                hash_size(suite));
  RecordCipher made(suite, std::move(traffic_secret));
  TRY_VOID(made.make_keys());
  return made;
}

/// HKDF-Expand-Label with an empty context, for no more than the hash gives in one block.
crypto::Secret RecordCipher::expand(std::string_view label, std::size_t size) const {
  constexpr std::string_view kPrefix = "tls13 ";
  Bytes info{static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size),
             static_cast<std::uint8_t>(kPrefix.size() + label.size())};
  append(info, as_bytes(kPrefix));
  append(info, as_bytes(label));
  info.insert(info.end(), {0, 1});  // no context, block 1
  const auto first = [size](auto block) {
    crypto::Secret out(BytesView(block).first(size));
    OPENSSL_cleanse(block.data(), block.size());
    return out;
  };
  return suite_ == Suite::aes_256_gcm_sha384 ? first(crypto::hmac_sha384(secret_, info))
                                             : first(crypto::hmac_sha256(secret_, info));
}

Result<void> RecordCipher::make_keys() {
  const crypto::Aead::Algorithm algorithm = algorithm_of(suite_);
  const crypto::Secret key = expand("key", crypto::Aead::key_size(algorithm));
  const crypto::Secret iv = expand("iv", iv_.size());
  TRY(cipher_, crypto::Aead::create(algorithm, key));
  std::ranges::copy(iv.view(), iv_.begin());
  number_ = 0;
  return {};
}

Result<void> RecordCipher::update() {
  secret_ = expand("traffic upd", hash_size(suite_));
  return make_keys();
}

/// 2^64 records are never reached: TlsStream changes keys long before, and a peer would need a thousand years.
crypto::Aead::Nonce RecordCipher::next_nonce() {
  crypto::Aead::Nonce nonce = iv_;
  for (std::size_t i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<std::uint8_t>(number_ >> (8 * i));
  ++number_;
  return nonce;
}

Result<void> RecordCipher::seal(ContentType type, BytesView text, MutableBytes record) {
  const std::size_t size = record.size() - kHeader;
  const std::uint8_t header[kHeader] = {static_cast<std::uint8_t>(ContentType::application_data), 3, 3,
                                        static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)};
  std::ranges::copy(header, record.begin());
  const auto kind = static_cast<std::uint8_t>(type);
  return cipher_->seal(next_nonce(), header, {text, BytesView(&kind, 1)}, record.subspan(kHeader));
}

Result<RecordCipher::Opened> RecordCipher::open(BytesView header, BytesView sealed, MutableBytes into) {
  TRY(MutableBytes text, cipher_->open(next_nonce(), header, sealed, into));
  while (!text.empty() && text.back() == 0) text = text.first(text.size() - 1);
  if (text.empty()) return fail(Errc::invalid_argument, "a record of zeros, whose content has no type");
  const auto type = static_cast<ContentType>(text.back());
  text = text.first(text.size() - 1);
  if (text.size() > kMaxText)
    return fail(Errc::invalid_argument, "a record with {} bytes of text; at most {} are allowed", text.size(),
                kMaxText);
  return Opened{type, text};
}

}  // namespace dms::libp2p::tls
