#include "crypto/aead.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace dms::crypto {
namespace {

EVP_CIPHER_CTX* ctx(void* context) { return static_cast<EVP_CIPHER_CTX*>(context); }

/// Fetched once: EVP_chacha20_poly1305() searches the providers at each use.
const EVP_CIPHER* cipher() {
  static const EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  return fetched;
}

enum Direction { kOpen = 0, kSeal = 1 };

/// Begins a message; one context serves both directions.
bool begin(EVP_CIPHER_CTX* c, Direction direction, const Aead::Nonce& nonce) {
  return EVP_CipherInit_ex(c, nullptr, nullptr, nullptr, nonce.data(), direction) == 1;
}

bool associate(EVP_CIPHER_CTX* c, BytesView associated) {
  int size = 0;
  return associated.empty() ||
         EVP_CipherUpdate(c, nullptr, &size, associated.data(), static_cast<int>(associated.size())) == 1;
}

bool transform(EVP_CIPHER_CTX* c, BytesView from, std::uint8_t* to) {
  int size = 0;
  return from.empty() || EVP_CipherUpdate(c, to, &size, from.data(), static_cast<int>(from.size())) == 1;
}

}  // namespace

void Aead::Free::operator()(void* context) const { EVP_CIPHER_CTX_free(ctx(context)); }

Result<Aead> Aead::create(BytesView key) {
  if (key.size() != kKeySize) return fail(Errc::bad_key, "AEAD key: {} bytes, expected {}", key.size(), kKeySize);
  Context context(EVP_CIPHER_CTX_new());
  if (!context || EVP_CipherInit_ex(ctx(context.get()), cipher(), nullptr, key.data(), nullptr, kSeal) != 1)
    return fail(Errc::library, "OpenSSL could not prepare a cipher");
  return Aead(std::move(context));
}

Result<void> Aead::seal(const Nonce& nonce, BytesView associated, BytesView text, MutableBytes into) {
  if (into.size() != text.size() + kTagSize)
    return fail(Errc::library, "seal: {} bytes of space for a text of {}", into.size(), text.size());
  EVP_CIPHER_CTX* c = ctx(context_.get());
  std::uint8_t* const tag = into.data() + text.size();
  int size = 0;
  if (!begin(c, kSeal, nonce) || !associate(c, associated) || !transform(c, text, into.data()) ||
      EVP_CipherFinal_ex(c, tag, &size) != 1 || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag) != 1)
    return fail(Errc::library, "OpenSSL could not encrypt");
  return {};
}

Result<MutableBytes> Aead::open(const Nonce& nonce, BytesView associated, BytesView sealed, MutableBytes into) {
  if (sealed.size() < kTagSize) return fail(Errc::library, "open: {} bytes are too short for a tag", sealed.size());
  const BytesView text = sealed.first(sealed.size() - kTagSize);
  if (into.size() < text.size())
    return fail(Errc::library, "open: {} bytes of space for a text of {}", into.size(), text.size());
  std::array<std::uint8_t, kTagSize> tag;
  std::copy_n(sealed.end() - kTagSize, kTagSize, tag.begin());
  EVP_CIPHER_CTX* c = ctx(context_.get());
  if (!begin(c, kOpen, nonce) || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) != 1 ||
      !associate(c, associated) || !transform(c, text, into.data()))
    return fail(Errc::library, "OpenSSL could not decrypt");
  int size = 0;
  std::array<std::uint8_t, kTagSize> spare;
  if (EVP_CipherFinal_ex(c, spare.data(), &size) != 1)
    return fail(Errc::library, "authentication failed: the message was altered, replayed or sealed with another key");
  return into.first(text.size());
}

}  // namespace dms::crypto
