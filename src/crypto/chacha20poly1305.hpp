// Authenticated encryption with ChaCha20-Poly1305 (RFC 8439), in place.
//
// Model
//  1. A Cipher holds one key. The nonce is a counter of 64 bits, little endian after four zero bytes, as Noise has it;
//     the caller never uses a number twice with one key.
//  2. seal() encrypts where the plaintext lies and writes the tag behind it; open() does the reverse. What fails to
//     open is not to be looked at. Both can also leave their input as it is and write elsewhere, which saves a copy.
//
// Threads: one at a time. Cost: about 1 ns a byte, no allocation.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/error.hpp"

namespace dms::crypto {

class ChaCha20Poly1305 {
 public:
  static constexpr std::size_t kKeySize = 32;
  static constexpr std::size_t kTagSize = 16;

  /// `key` has kKeySize bytes.
  static Result<ChaCha20Poly1305> create(BytesView key);

  /// `buffer` is the plaintext followed by kTagSize bytes of room.
  Result<void> seal(std::uint64_t nonce, BytesView associated, MutableBytes buffer);
  /// `into` has kTagSize bytes more than `text`, and either begins where `text` does or does not overlap it.
  Result<void> seal(std::uint64_t nonce, BytesView associated, BytesView text, MutableBytes into);
  /// `buffer` is ciphertext and tag; returns the plaintext, a part of it. Errc::library if the tag does not fit.
  Result<MutableBytes> open(std::uint64_t nonce, BytesView associated, MutableBytes buffer);
  /// The plaintext, as long as `sealed` without its tag, at the beginning of `into`; overlap as for seal().
  Result<MutableBytes> open(std::uint64_t nonce, BytesView associated, BytesView sealed, MutableBytes into);

 private:
  struct Free {
    void operator()(void* context) const;
  };
  using Context = std::unique_ptr<void, Free>;
  ChaCha20Poly1305(Context seal, Context open) : seal_(std::move(seal)), open_(std::move(open)) {}
  Context seal_;
  Context open_;
};

}  // namespace dms::crypto
