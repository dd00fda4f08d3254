#include "libp2p/security/noise/cipher_state.hpp"

#include <limits>

namespace dms::libp2p::noise {

crypto::Aead::Nonce nonce_of(std::uint64_t number) {
  crypto::Aead::Nonce out{};
  for (std::size_t i = 0; i < 8; ++i) out[4 + i] = static_cast<std::uint8_t>(number >> (8 * i));
  return out;
}

Result<CipherState> CipherState::create(BytesView key) {
  TRY(crypto::Aead cipher, crypto::Aead::create(key));
  return CipherState(std::move(cipher));
}

/// The greatest number is reserved.
Result<crypto::Aead::Nonce> CipherState::next_nonce() {
  if (next_ == std::numeric_limits<std::uint64_t>::max())
    return fail(Errc::limit_exceeded, "the nonces of this session are used up");
  return nonce_of(next_++);
}

Result<void> CipherState::seal(BytesView associated, BytesView text, MutableBytes into) {
  TRY(const crypto::Aead::Nonce nonce, next_nonce());
  return cipher_.seal(nonce, associated, text, into);
}

Result<MutableBytes> CipherState::open(BytesView associated, BytesView sealed, MutableBytes into) {
  TRY(const crypto::Aead::Nonce nonce, next_nonce());
  return cipher_.open(nonce, associated, sealed, into);
}

}  // namespace dms::libp2p::noise
