#include "crypto/aead.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace dms::crypto {
namespace {

EVP_CIPHER_CTX* ctx(void* context) { return static_cast<EVP_CIPHER_CTX*>(context); }

/// Looked up once: EVP_aes_128_gcm() and its like stand for a search through the providers at each use.
const EVP_CIPHER* find(Aead::Algorithm algorithm) {
  static const EVP_CIPHER* const chacha = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  static const EVP_CIPHER* const aes_128 = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  static const EVP_CIPHER* const aes_256 = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  switch (algorithm) {
    case Aead::Algorithm::chacha20_poly1305: return chacha;
    case Aead::Algorithm::aes_128_gcm: return aes_128;
    case Aead::Algorithm::aes_256_gcm: return aes_256;
  }
  return nullptr;
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

Result<Aead> Aead::create(Algorithm algorithm, BytesView key) {
  if (key.size() != key_size(algorithm))
    return fail(Errc::bad_key, "AEAD key: {} bytes, expected {}", key.size(), key_size(algorithm));
  Context context(EVP_CIPHER_CTX_new());
  if (!context || EVP_CipherInit_ex(ctx(context.get()), find(algorithm), nullptr, key.data(), nullptr, kSeal) != 1)
    return fail(Errc::library, "OpenSSL could not prepare a cipher");
  return Aead(std::move(context));
}

Result<void> Aead::seal(const Nonce& nonce, BytesView associated, MutableBytes buffer) {
  if (buffer.size() < kTagSize) return fail(Errc::library, "seal: no room for the tag");
  return seal(nonce, associated, {buffer.first(buffer.size() - kTagSize)}, buffer);
}

Result<void> Aead::seal(const Nonce& nonce, BytesView associated, std::initializer_list<BytesView> text,
                        MutableBytes into) {
  std::size_t total = 0;
  for (BytesView piece : text) total += piece.size();
  if (into.size() != total + kTagSize)
    return fail(Errc::library, "seal: {} bytes of room for a text of {}", into.size(), total);
  EVP_CIPHER_CTX* c = ctx(context_.get());
  std::uint8_t* to = into.data();
  bool good = begin(c, kSeal, nonce) && associate(c, associated);
  for (BytesView piece : text) {
    good = good && transform(c, piece, to);
    to += piece.size();
  }
  int size = 0;
  if (!good || EVP_CipherFinal_ex(c, to, &size) != 1 ||
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kTagSize, to) != 1)
    return fail(Errc::library, "OpenSSL could not encrypt");
  return {};
}

Result<MutableBytes> Aead::open(const Nonce& nonce, BytesView associated, MutableBytes buffer) {
  return open(nonce, associated, buffer, buffer);
}

Result<MutableBytes> Aead::open(const Nonce& nonce, BytesView associated, BytesView sealed, MutableBytes into) {
  if (sealed.size() < kTagSize) return fail(Errc::library, "open: {} bytes are too few for a tag", sealed.size());
  const BytesView text = sealed.first(sealed.size() - kTagSize);
  if (into.size() < text.size())
    return fail(Errc::library, "open: {} bytes of room for a text of {}", into.size(), text.size());
  std::array<std::uint8_t, kTagSize> tag;
  std::copy_n(sealed.end() - kTagSize, kTagSize, tag.begin());
  EVP_CIPHER_CTX* c = ctx(context_.get());
  if (!begin(c, kOpen, nonce) || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) != 1 ||
      !associate(c, associated) || !transform(c, text, into.data()))
    return fail(Errc::library, "OpenSSL could not decrypt");
  int size = 0;
  std::array<std::uint8_t, kTagSize> spare;
  if (EVP_CipherFinal_ex(c, spare.data(), &size) != 1)
    return fail(Errc::library, "the message does not authenticate: altered, replayed or of another key");
  return into.first(text.size());
}

}  // namespace dms::crypto
