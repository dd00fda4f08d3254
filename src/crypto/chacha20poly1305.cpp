#include "crypto/chacha20poly1305.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace dms::crypto {
namespace {

EVP_CIPHER_CTX* ctx(void* context) { return static_cast<EVP_CIPHER_CTX*>(context); }

std::array<std::uint8_t, 12> nonce_bytes(std::uint64_t nonce) {
  std::array<std::uint8_t, 12> out{};
  for (int i = 0; i < 8; ++i) out[4 + i] = static_cast<std::uint8_t>(nonce >> (8 * i));
  return out;
}

/// Looked up once: EVP_chacha20_poly1305() stands for a search through the providers at each use.
const EVP_CIPHER* algorithm() {
  static const EVP_CIPHER* const found = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  return found;
}

}  // namespace

void ChaCha20Poly1305::Free::operator()(void* context) const { EVP_CIPHER_CTX_free(ctx(context)); }

Result<ChaCha20Poly1305> ChaCha20Poly1305::create(BytesView key) {
  if (key.size() != kKeySize) return fail(Errc::bad_key, "ChaCha20-Poly1305 key: {} bytes, expected 32", key.size());
  Context seal(EVP_CIPHER_CTX_new());
  Context open(EVP_CIPHER_CTX_new());
  if (!seal || !open || EVP_EncryptInit_ex(ctx(seal.get()), algorithm(), nullptr, key.data(), nullptr) != 1 ||
      EVP_DecryptInit_ex(ctx(open.get()), algorithm(), nullptr, key.data(), nullptr) != 1)
    return fail(Errc::library, "OpenSSL could not prepare ChaCha20-Poly1305");
  return ChaCha20Poly1305(std::move(seal), std::move(open));
}

Result<void> ChaCha20Poly1305::seal(std::uint64_t nonce, BytesView associated, MutableBytes buffer) {
  if (buffer.size() < kTagSize) return fail(Errc::library, "seal: no room for the tag");
  return seal(nonce, associated, buffer.first(buffer.size() - kTagSize), buffer);
}

Result<void> ChaCha20Poly1305::seal(std::uint64_t nonce, BytesView associated, BytesView text, MutableBytes into) {
  if (into.size() != text.size() + kTagSize)
    return fail(Errc::library, "seal: {} bytes of room for a text of {}", into.size(), text.size());
  const auto iv = nonce_bytes(nonce);
  EVP_CIPHER_CTX* c = ctx(seal_.get());
  int size = 0;
  if (EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, iv.data()) != 1 ||
      (!associated.empty() &&
       EVP_EncryptUpdate(c, nullptr, &size, associated.data(), static_cast<int>(associated.size())) != 1) ||
      (!text.empty() && EVP_EncryptUpdate(c, into.data(), &size, text.data(), static_cast<int>(text.size())) != 1) ||
      EVP_EncryptFinal_ex(c, into.data() + text.size(), &size) != 1 ||
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kTagSize, into.data() + text.size()) != 1)
    return fail(Errc::library, "OpenSSL could not encrypt");
  return {};
}

Result<MutableBytes> ChaCha20Poly1305::open(std::uint64_t nonce, BytesView associated, MutableBytes buffer) {
  return open(nonce, associated, buffer, buffer);
}

Result<MutableBytes> ChaCha20Poly1305::open(std::uint64_t nonce, BytesView associated, BytesView sealed,
                                            MutableBytes into) {
  if (sealed.size() < kTagSize) return fail(Errc::library, "open: {} bytes are too few for a tag", sealed.size());
  const BytesView text = sealed.first(sealed.size() - kTagSize);
  if (into.size() < text.size())
    return fail(Errc::library, "open: {} bytes of room for a text of {}", into.size(), text.size());
  const auto iv = nonce_bytes(nonce);
  std::array<std::uint8_t, kTagSize> tag;
  std::copy_n(sealed.end() - kTagSize, kTagSize, tag.begin());
  EVP_CIPHER_CTX* c = ctx(open_.get());
  int size = 0;
  std::array<std::uint8_t, kTagSize> spare;
  if (EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, iv.data()) != 1 ||
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) != 1 ||
      (!associated.empty() &&
       EVP_DecryptUpdate(c, nullptr, &size, associated.data(), static_cast<int>(associated.size())) != 1) ||
      (!text.empty() && EVP_DecryptUpdate(c, into.data(), &size, text.data(), static_cast<int>(text.size())) != 1))
    return fail(Errc::library, "OpenSSL could not decrypt");
  if (EVP_DecryptFinal_ex(c, spare.data(), &size) != 1)
    return fail(Errc::library, "the message does not authenticate: altered, replayed or of another key");
  return into.first(text.size());
}

}  // namespace dms::crypto
