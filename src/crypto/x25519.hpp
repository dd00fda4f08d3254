// Diffie-Hellman on Curve25519 (RFC 7748).
//
// Cost: generating a key and each exchange take one multiplication on the curve. Copies share the key, which is wiped
// with the last of them.
//
// Failures: Errc::bad_key if the peer's point is of low order: the shared secret would be zero and thus public.
#pragma once

#include <array>
#include <memory>

#include "base/random.hpp"
#include "base/result.hpp"
#include "crypto/error.hpp"
#include "crypto/secret.hpp"

struct evp_pkey_st;

namespace dms::crypto {

using X25519Public = std::array<std::uint8_t, 32>;

class X25519Key {
 public:
  static X25519Key generate(Random& random);
  /// `scalar` has 32 bytes; it is clamped as the RFC says when used.
  static Result<X25519Key> from_scalar(BytesView scalar);

  [[nodiscard]] const X25519Public& public_key() const { return public_; }
  [[nodiscard]] Result<Secret> shared_secret(BytesView peer_public) const;

 private:
  using Key = std::shared_ptr<evp_pkey_st>;
  X25519Key(Key key, X25519Public public_key) : key_(std::move(key)), public_(public_key) {}
  Key key_;
  X25519Public public_;
};

}  // namespace dms::crypto
