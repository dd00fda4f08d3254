// Authenticated encryption with associated data: ChaCha20-Poly1305 (RFC 8439).
//
// Model
//  1. An Aead holds one key. The caller never uses a nonce twice with one key.
//  2. seal() writes the ciphertext and then the tag; open() does the reverse. Both work in place or write elsewhere
//     without changing their input. After a failed open() the output is undefined and must not be used.
//
// Threads: one at a time. Cost: a quarter of a nanosecond a byte, no allocation.
#pragma once

#include <array>
#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/error.hpp"

namespace dms::crypto {

class Aead {
 public:
  static constexpr std::size_t kKeySize = 32;
  static constexpr std::size_t kTagSize = 16;
  static constexpr std::size_t kNonceSize = 12;
  using Nonce = std::array<std::uint8_t, kNonceSize>;

  /// `key` has kKeySize bytes.
  static Result<Aead> create(BytesView key);

  /// `into` has kTagSize bytes more than `text`, and either begins where `text` does or does not overlap it.
  Result<void> seal(const Nonce& nonce, BytesView associated, BytesView text, MutableBytes into);
  /// Returns the plaintext, the beginning of `into`, which has at least as many bytes as `sealed` without its tag, and
  /// either begins where `sealed` does or does not overlap it. Errc::library if the tag does not match.
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
