// A key and the number of its uses: each message gets a different nonce, the same on both sides.
//
// The nonce is 32 bits of zeros and the number, little endian. A failed open() uses up its number: the two sides are
// then out of step, and the caller ends the session.
//
// Specification: the Noise Protocol Framework, revision 34, sections 5.1 and 12.
#pragma once

#include "crypto/aead.hpp"

namespace dms::libp2p::noise {

[[nodiscard]] crypto::Aead::Nonce nonce_of(std::uint64_t number);

class CipherState {
 public:
  static constexpr std::size_t kTag = crypto::Aead::kTagSize;

  /// `key` has 32 bytes.
  static Result<CipherState> create(BytesView key);

  /// As Aead::seal() and open(). Errc::limit_exceeded once the numbers are used up.
  Result<void> seal(BytesView associated, BytesView text, MutableBytes into);
  Result<MutableBytes> open(BytesView associated, BytesView sealed, MutableBytes into);

 private:
  explicit CipherState(crypto::Aead cipher) : cipher_(std::move(cipher)) {}
  Result<crypto::Aead::Nonce> next_nonce();

  crypto::Aead cipher_;
  std::uint64_t next_ = 0;
};

}  // namespace dms::libp2p::noise
