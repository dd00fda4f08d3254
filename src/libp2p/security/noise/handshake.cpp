#include "libp2p/security/noise/handshake.hpp"

#include <algorithm>

#include "crypto/hkdf.hpp"

namespace dms::libp2p::noise {
namespace {

// Exactly 32 bytes, so it is the initial hash itself.
constexpr std::string_view kName = "Noise_XX_25519_ChaChaPoly_SHA256";

}  // namespace

Handshake::Handshake(Side side, crypto::X25519Key static_key, crypto::X25519Key ephemeral_key, BytesView prologue)
    : side_(side),
      static_(std::move(static_key)),
      ephemeral_(std::move(ephemeral_key)),
      chaining_key_(as_bytes(kName)) {
  static_assert(kName.size() == std::tuple_size_v<crypto::Digest256>);
  std::ranges::copy(as_bytes(kName), hash_.begin());
  mix_hash(prologue);
}

void Handshake::mix_hash(BytesView data) {
  Bytes both(hash_.begin(), hash_.end());
  append(both, data);
  hash_ = crypto::sha256(both);
}

Result<void> Handshake::mix_key(const Result<crypto::Secret>& shared) {
  if (!shared) return std::unexpected(shared.error());
  const crypto::Secret keys = crypto::hkdf_sha256(chaining_key_, *shared, {}, 64);
  chaining_key_ = crypto::Secret(keys.view().first(32));
  TRY(cipher_, CipherState::create(keys.view().last(32)));
  return {};
}

Result<void> Handshake::encrypt_and_append(Bytes& out, BytesView text) {
  const std::size_t at = out.size();
  if (cipher_) {
    out.resize(at + text.size() + CipherState::kTag);
    TRY_VOID(cipher_->seal(hash_, text, MutableBytes(out).subspan(at)));
  } else {
    append(out, text);
  }
  mix_hash(BytesView(out).subspan(at));
  return {};
}

Result<Bytes> Handshake::decrypt(BytesView text) {
  Bytes copy = to_bytes(text);
  if (cipher_) {
    TRY(MutableBytes plain, cipher_->open(hash_, copy, copy));
    copy.resize(plain.size());
  }
  mix_hash(text);
  return copy;
}

Result<BytesView> Handshake::take(BytesView& message, std::size_t size, const char* what) {
  if (message.size() < size)
    return fail(Errc::invalid_argument, "noise message {}: {} bytes where the {} takes {}", next_ + 1, message.size(),
                what, size);
  const BytesView taken = message.first(size);
  message = message.subspan(size);
  return taken;
}

Result<Bytes> Handshake::write_message(BytesView payload) {
  if (finished() || !my_turn()) return fail(Errc::internal, "noise: a message was written out of turn");
  Bytes out;
  if (next_ < 2) {
    out = to_bytes(ephemeral_.public_key());
    mix_hash(out);
  }
  if (next_ == 1) TRY_VOID(mix_key(ephemeral_.shared_secret(remote_ephemeral_)));  // ee
  if (next_ > 0) {
    TRY_VOID(encrypt_and_append(out, static_.public_key()));
    TRY_VOID(mix_key(static_.shared_secret(remote_ephemeral_)));  // es for the listener, se for the dialer
  }
  TRY_VOID(encrypt_and_append(out, payload));
  if (out.size() > kMaxMessage) return fail(Errc::limit_exceeded, "noise: a handshake message of {} bytes", out.size());
  ++next_;
  return out;
}

Result<Bytes> Handshake::read_message(BytesView message) {
  if (finished() || my_turn()) return fail(Errc::internal, "noise: a message was read out of turn");
  if (next_ < 2) {
    TRY(BytesView key, take(message, remote_ephemeral_.size(), "ephemeral key"));
    std::ranges::copy(key, remote_ephemeral_.begin());
    mix_hash(key);
  }
  if (next_ == 1) TRY_VOID(mix_key(ephemeral_.shared_secret(remote_ephemeral_)));  // ee
  if (next_ > 0) {
    TRY(BytesView sealed, take(message, remote_static_.size() + CipherState::kTag, "static key"));
    TRY(Bytes key, decrypt(sealed));
    std::ranges::copy(key, remote_static_.begin());
    TRY_VOID(mix_key(ephemeral_.shared_secret(remote_static_)));  // es for the dialer, se for the listener
  }
  TRY(Bytes payload, decrypt(message));
  ++next_;
  return payload;
}

Result<Handshake::Ciphers> Handshake::split() {
  if (!finished()) return fail(Errc::internal, "noise: split before the end of the handshake");
  const crypto::Secret keys = crypto::hkdf_sha256(chaining_key_, {}, {}, 64);
  TRY(CipherState first, CipherState::create(keys.view().first(32)));
  TRY(CipherState second, CipherState::create(keys.view().last(32)));
  if (side_ == Side::dialer) return Ciphers{std::move(first), std::move(second)};
  return Ciphers{std::move(second), std::move(first)};
}

}  // namespace dms::libp2p::noise
