#include "libp2p/security/noise/payload.hpp"

#include "libp2p/protobuf.hpp"

namespace dms::libp2p::noise {
namespace {

constexpr std::uint32_t kIdentityKey = 1, kSignature = 2, kExtensions = 4, kStreamMuxers = 2;

Bytes signed_bytes(BytesView static_key) {
  Bytes out = to_bytes(kSignaturePrefix);
  append(out, static_key);
  return out;
}

Result<void> read_extensions(BytesView message, std::vector<std::string>& muxers) {
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) return {};
    if (!field->is_bytes(kStreamMuxers)) continue;
    if (muxers.size() == Payload::kMaxMuxers)
      return fail(Errc::limit_exceeded, "noise payload: more than {} muxers", Payload::kMaxMuxers);
    muxers.emplace_back(as_text(field->bytes));
  }
}

}  // namespace

Bytes Payload::encode() const {
  ProtoWriter out;
  out.bytes(kIdentityKey, identity_key);
  out.bytes(kSignature, signature);
  if (!muxers.empty()) {
    ProtoWriter extensions;
    for (const std::string& name : muxers) extensions.text(kStreamMuxers, name);
    out.bytes(kExtensions, extensions.take());
  }
  return out.take();
}

Result<Payload> Payload::decode(BytesView message) {
  Payload payload;
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) return payload;
    if (field->is_bytes(kIdentityKey)) payload.identity_key = to_bytes(field->bytes);
    if (field->is_bytes(kSignature)) payload.signature = to_bytes(field->bytes);
    if (field->is_bytes(kExtensions)) TRY_VOID(read_extensions(field->bytes, payload.muxers));
    if (payload.signature.size() > kMaxSignature)
      return fail(Errc::limit_exceeded, "noise payload: a signature of {} bytes", payload.signature.size());
  }
}

Result<Payload> Payload::create(const crypto::PrivateKey& identity, BytesView static_key) {
  Payload payload;
  payload.identity_key = identity.public_key().marshal();
  TRY(payload.signature, identity.sign(signed_bytes(static_key)));
  return payload;
}

Result<crypto::PublicKey> Payload::verify(BytesView static_key) const {
  auto key = crypto::PublicKey::unmarshal(identity_key);
  if (!key) return fail(key.error(), "noise payload: identity key");
  if (!key->verify(signed_bytes(static_key), signature))
    return fail(Errc::permission_denied, "noise payload: the signature does not cover the static key");
  return key;
}

}  // namespace dms::libp2p::noise
