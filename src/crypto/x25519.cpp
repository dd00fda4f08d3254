#include "crypto/x25519.hpp"

#include <openssl/evp.h>

#include <memory>

namespace dms::crypto {
namespace {

using Pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

}  // namespace

Result<X25519Key> X25519Key::from_scalar(BytesView scalar) {
  if (scalar.size() != 32) return fail(Errc::bad_key, "X25519 private key: {} bytes, expected 32", scalar.size());
  X25519Public pub;
  std::size_t size = pub.size();
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, scalar.data(), scalar.size()), EVP_PKEY_free);
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), pub.data(), &size) != 1)
    return fail(Errc::library, "OpenSSL could not generate an X25519 key");
  return X25519Key(std::move(key), pub);
}

X25519Key X25519Key::generate(Random& random) {
  Secret scalar(32);
  random.fill(scalar.mutable_view());
  // Any 32 bytes are a scalar; this fails only without memory.
  return std::move(from_scalar(scalar)).value();
}

Result<Secret> X25519Key::shared_secret(BytesView peer_public) const {
  if (peer_public.size() != 32)
    return fail(Errc::bad_key, "X25519 public key: {} bytes, expected 32", peer_public.size());
  Pkey peer(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer_public.data(), peer_public.size()),
            EVP_PKEY_free);
  PkeyContext context(EVP_PKEY_CTX_new(key_.get(), nullptr), EVP_PKEY_CTX_free);
  if (!peer || !context || EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), peer.get()) != 1)
    return fail(Errc::library, "OpenSSL could not prepare an X25519 exchange");
  Secret secret(32);
  std::size_t size = secret.size();
  if (EVP_PKEY_derive(context.get(), secret.mutable_view().data(), &size) != 1)
    return fail(Errc::bad_key, "X25519: the peer's key is a point of low order");
  return secret;
}

}  // namespace dms::crypto
