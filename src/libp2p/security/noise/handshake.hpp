// The Noise handshake Noise_XX_25519_ChaChaPoly_SHA256 as a state machine without I/O: bytes in, bytes out.
//
// Model
//  1. Three messages: -> e; <- e, ee, s, es; -> s, se. The dialer writes the first and third. Each carries a payload;
//     those of the second and third are encrypted.
//  2. Messages are written and read in turn. After the third, split() gives one cipher for each direction.
//  3. The state is unusable after a failure.
//
// Attacks: the payload of the second message goes to an unauthenticated dialer. Keys of low order are refused
// (x25519.hpp). Ephemeral secrets are wiped with the object.
//
// Specification: the Noise Protocol Framework, revision 34, sections 5 and 7.
#pragma once

#include <optional>

#include "crypto/hash.hpp"
#include "crypto/x25519.hpp"
#include "libp2p/security/noise/cipher_state.hpp"
#include "libp2p/transports/connection.hpp"

namespace dms::libp2p::noise {

inline constexpr std::size_t kMaxMessage = 65535;

class Handshake {
 public:
  Handshake(Side side, crypto::X25519Key static_key, crypto::X25519Key ephemeral_key, BytesView prologue = {});

  Result<Bytes> write_message(BytesView payload);
  /// The payload of `message`.
  Result<Bytes> read_message(BytesView message);

  [[nodiscard]] bool finished() const { return next_ == 3; }
  [[nodiscard]] bool my_turn() const { return (next_ % 2 == 0) == (side_ == Side::dialer); }
  /// Known after the message that carries it.
  [[nodiscard]] const crypto::X25519Public& remote_static() const { return remote_static_; }
  [[nodiscard]] const crypto::Digest256& hash() const { return hash_; }

  struct Ciphers {
    CipherState send;
    CipherState receive;
  };
  Result<Ciphers> split();

 private:
  void mix_hash(BytesView data);
  Result<void> mix_key(const Result<crypto::Secret>& shared);
  Result<void> encrypt_and_append(Bytes& out, BytesView text);
  Result<Bytes> decrypt(BytesView text);
  Result<BytesView> take(BytesView& message, std::size_t size, const char* what);

  Side side_;
  crypto::X25519Key static_;
  crypto::X25519Key ephemeral_;
  crypto::X25519Public remote_static_{};
  crypto::X25519Public remote_ephemeral_{};
  crypto::Digest256 hash_;
  crypto::Secret chaining_key_;
  std::optional<CipherState> cipher_;
  int next_ = 0;
};

}  // namespace dms::libp2p::noise
