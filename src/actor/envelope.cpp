#include "actor/envelope.hpp"

#include "network/network.hpp"

namespace dms::actor {
namespace {

constexpr std::string_view kSignaturePrefix = "dms:msg:";
constexpr json::Limits kLimits{.bytes = network::kMaxMessage, .depth = 8};

Result<void> check_limits(const Envelope& envelope) {
  TRY_VOID(check_limits(envelope.to));
  TRY_VOID(check_limits(envelope.from));
  for (const std::string* name : {&envelope.behaviour, &envelope.options.reply_to, &envelope.options.topic})
    if (name->size() > kMaxName)
      return fail(Errc::malformed, "a name in the envelope has {} characters; at most {} are accepted", name->size(),
                  kMaxName);
  return {};
}

}  // namespace

Result<Envelope> Envelope::decode(BytesView json) {
  const auto read = [&]() -> Result<Envelope> {
    TRY(json::Value value, json::parse(as_text(json), kLimits));
    TRY(Envelope envelope, json::from_value<Envelope>(value));
    // Go writes an absent payload as null, and signs that. None of its senders leaves it absent: an empty one is "".
    const json::Value* message = json::find_member(value.get_object(), "msg");
    if (message == nullptr || message->is_null()) return fail(Errc::malformed, "msg: expected base64 text");
    return envelope;
  };
  auto envelope = read();
  if (!envelope) return std::unexpected(envelope.error().context(Errc::malformed, "reading an envelope"));
  TRY_VOID(check_limits(*envelope));
  return envelope;
}

Bytes Envelope::encode() const { return to_bytes(json::encode(*this)); }

std::string Envelope::signed_text() const {
  json::Writer writer{std::string(kSignaturePrefix)};
  const auto write = [&]<class M>(const json::Field<Envelope, M>& field) {
    if (field.name != "sig") json::write_member(writer, field.name, this->*field.member, field.omit);
  };
  writer.begin_object();
  std::apply([&](const auto&... fields) { (write(fields), ...); }, json_fields());
  return writer.end_object().take();
}

Result<void> Envelope::sign(const crypto::PrivateKey& key) {
  if (from.id != Id::from(key.public_key()))
    return fail(Errc::bad_sender, "cannot sign for actor {}: the key belongs to another actor", from.id.to_string());
  TRY(signature, key.sign(as_bytes(signed_text())));
  return {};
}

Result<void> Envelope::verify(UnixTime now) const {
  if (expired(now)) return fail(Errc::expired, "the envelope expired {} ms ago", (now - expiry()) / Duration(1ms));
  TRY(crypto::PublicKey key, from.id.public_key());
  if (!key.verify(as_bytes(signed_text()), signature))
    return fail(Errc::bad_signature, "the signature is not one of actor {} over this envelope", from.id.to_string());
  return {};
}

}  // namespace dms::actor
