#include "libp2p/records/signed_envelope.hpp"

#include "base/varint.hpp"
#include "libp2p/protobuf.hpp"

namespace dms::libp2p {
namespace {

constexpr std::uint32_t kSigner = 1, kPayloadType = 2, kPayload = 3, kSignature = 5;

Bytes signed_bytes(std::string_view domain, BytesView type, BytesView payload) {
  Bytes out = delimited(as_bytes(domain));
  append(out, delimited(type));
  append(out, delimited(payload));
  return out;
}

}  // namespace

Result<SignedEnvelope> SignedEnvelope::seal(const crypto::PrivateKey& key, std::string_view domain, BytesView type,
                                            BytesView payload) {
  TRY(Bytes signature, key.sign(signed_bytes(domain, type, payload)));
  return SignedEnvelope(key.public_key(), type, payload, std::move(signature));
}

Result<SignedEnvelope> SignedEnvelope::open(BytesView message, std::string_view domain, BytesView type) {
  if (message.size() > kMaxSize)
    return fail(Errc::limit_exceeded, "signed envelope: {} bytes, the limit is {}", message.size(), kMaxSize);
  BytesView key_bytes, sent_type, payload, signature;
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) break;
    if (field->is_bytes(kSigner)) key_bytes = field->bytes;
    if (field->is_bytes(kPayloadType)) sent_type = field->bytes;
    if (field->is_bytes(kPayload)) payload = field->bytes;
    if (field->is_bytes(kSignature)) signature = field->bytes;
  }
  if (as_text(sent_type) != as_text(type))
    return fail(Errc::permission_denied, "signed envelope: unexpected payload type");
  auto key = crypto::PublicKey::unmarshal(key_bytes);
  if (!key) return fail(key.error(), "signed envelope: field public_key");
  if (!key->verify(signed_bytes(domain, type, payload), signature))
    return fail(Errc::permission_denied, "signed envelope: wrong signature for '{}'", domain);
  return SignedEnvelope(std::move(*key), type, payload, to_bytes(signature));
}

Bytes SignedEnvelope::marshal() const {
  ProtoWriter out;
  out.bytes(kSigner, key_.marshal());
  out.bytes(kPayloadType, type_);
  out.bytes(kPayload, payload_);
  out.bytes(kSignature, signature_);
  return out.take();
}

}  // namespace dms::libp2p
