// TLS 1.3's record protection in one direction, once the handshake is over.
//
// Model
//  1. Keys come from a traffic secret; update() goes on to the next, as a KeyUpdate says. Each record has its own nonce, by
//     its number under the keys.
//  2. A record is a header of five bytes and, sealed, its text, the type of its content and any number of zeros.
//  3. After a failed open() the two sides are no longer in step; whoever sees it ends the connection.
//
// Specification: RFC 8446, sections 5.2 to 5.5, 7.2 and 7.3.
#pragma once

#include <optional>

#include "crypto/aead.hpp"
#include "crypto/secret.hpp"

namespace dms::libp2p::tls {

enum class ContentType : std::uint8_t { change_cipher_spec = 20, alert = 21, handshake = 22, application_data = 23 };

/// The cipher suites of RFC 8446, appendix B.4, by their numbers.
enum class Suite : std::uint16_t {
  aes_128_gcm_sha256 = 0x1301,
  aes_256_gcm_sha384 = 0x1302,
  chacha20_poly1305_sha256 = 0x1303
};

class RecordCipher {
 public:
  static constexpr std::size_t kHeader = 5;
  static constexpr std::size_t kMaxText = 16 * 1024;
  /// What a record of ours has beyond its text: no padding.
  static constexpr std::size_t kOverhead = kHeader + 1 + crypto::Aead::kTagSize;
  /// Of a record without its header.
  static constexpr std::size_t kMaxSealed = kMaxText + 256;

  static Result<RecordCipher> create(Suite suite, crypto::Secret traffic_secret);

  /// `record` has kOverhead bytes more than `text`, which has at most kMaxText and lies elsewhere.
  Result<void> seal(ContentType type, BytesView text, MutableBytes record);
  struct Opened {
    ContentType type;
    MutableBytes text;  ///< a part of `into`
  };
  /// `into` is `sealed` or has at least as many bytes without the tag.
  Result<Opened> open(BytesView header, BytesView sealed, MutableBytes into);

  Result<void> update();
  /// How many records these keys have sealed or opened.
  [[nodiscard]] std::uint64_t records() const { return number_; }

 private:
  RecordCipher(Suite suite, crypto::Secret secret) : suite_(suite), secret_(std::move(secret)) {}
  [[nodiscard]] crypto::Secret expand(std::string_view label, std::size_t size) const;
  Result<void> make_keys();
  crypto::Aead::Nonce next_nonce();

  Suite suite_;
  crypto::Secret secret_;
  std::optional<crypto::Aead> cipher_;
  crypto::Aead::Nonce iv_{};
  std::uint64_t number_ = 0;
};

}  // namespace dms::libp2p::tls
