// Authenticated encryption with associated data: ChaCha20-Poly1305 (RFC 8439) and AES-GCM (NIST SP 800-38D).
//
// Model
//  1. An Aead holds one key. The caller never uses a nonce twice with one key.
//  2. seal() encrypts where the plaintext lies and writes the tag behind it; open() does the reverse. What fails to
//     open is not to be looked at. Both can also leave their input as it is and write elsewhere, which saves a copy.
//
// Threads: one at a time. Cost: a quarter of a nanosecond a byte (ChaCha20-Poly1305) or less (AES-GCM, where the processor
// has instructions for it), no allocation.
#pragma once

#include <array>
#include <initializer_list>
#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/error.hpp"

namespace dms::crypto {

class Aead {
 public:
  enum class Algorithm { chacha20_poly1305, aes_128_gcm, aes_256_gcm };
  static constexpr std::size_t kTagSize = 16;
  static constexpr std::size_t kNonceSize = 12;
  using Nonce = std::array<std::uint8_t, kNonceSize>;

  [[nodiscard]] static constexpr std::size_t key_size(Algorithm algorithm) {
    return algorithm == Algorithm::aes_128_gcm ? 16 : 32;
  }
  /// `key` has key_size() bytes.
  static Result<Aead> create(Algorithm algorithm, BytesView key);

  /// `buffer` is the plaintext followed by kTagSize bytes of room.
  Result<void> seal(const Nonce& nonce, BytesView associated, MutableBytes buffer);
  /// The pieces of `text` one after the other. `into` has kTagSize bytes more than all of them; the first either begins
  /// where `into` does or does not overlap it, the others do not.
  Result<void> seal(const Nonce& nonce, BytesView associated, std::initializer_list<BytesView> text, MutableBytes into);
  /// `buffer` is ciphertext and tag; returns the plaintext, a part of it. Errc::library if the tag does not fit.
  Result<MutableBytes> open(const Nonce& nonce, BytesView associated, MutableBytes buffer);
  /// The plaintext, as long as `sealed` without its tag, at the beginning of `into`, which begins where `sealed` does or
  /// does not overlap it.
  Result<MutableBytes> open(const Nonce& nonce, BytesView associated, BytesView sealed, MutableBytes into);

 private:
  struct Free {
    void operator()(void* context) const;
  };
  using Context = std::unique_ptr<void, Free>;
  explicit Aead(Context context) : context_(std::move(context)) {}
  Context context_;
};

}  // namespace dms::crypto
