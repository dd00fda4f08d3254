#include "actor/security_context.hpp"

namespace dms::actor {
namespace {

/// Bounds the signature checks that a sender can cause.
constexpr int kMaxDidProofs = 4;

}  // namespace

Result<SecurityContext> SecurityContext::create(crypto::PrivateKey key,
                                                std::shared_ptr<ucan::CapabilityContext> capabilities, UnixTime now) {
  Id id = Id::from(key.public_key());
  TRY(did::Did id_did, id.did());
  return SecurityContext(std::move(key), std::move(id), std::move(id_did), std::move(capabilities), now);
}

/// Whether `from.did` has signed, in this very message, that `sender` (the key DID of from.id) acts for it.
Result<void> SecurityContext::check_did(const Envelope& envelope, const did::Did& sender,
                                        const ucan::MessageTokens& tokens, UnixTime now) const {
  const did::Did& claimed = envelope.from.did;
  if (claimed == sender) return {};
  TRY(crypto::PublicKey key, claimed.public_key());
  int tried = 0;
  std::optional<Error> nearest;
  for (const ucan::Token& token : tokens.tokens) {
    const bool acts = token.action() == ucan::Action::invoke || token.action() == ucan::Action::broadcast;
    const bool for_this_actor = token.audience().empty() || token.audience() == id_did_;
    if (!acts || !for_this_actor || token.issuer() != claimed || token.subject() != sender) continue;
    if (Result<void> sound = token.check_claims(now, capabilities_->revocations()); !sound) {
      nearest = sound.error();
      continue;
    }
    if (++tried > kMaxDidProofs) break;
    if (key.verify(token.signed_bytes(), token.signature())) return {};
  }
  return fail(Errc::bad_sender, "no token proves that {} acts for {}{}{}", sender.uri(), claimed.uri(),
              nearest ? ": " : "", nearest ? nearest->to_string() : "");
}

ucan::Trust SecurityContext::trust(const Envelope& envelope, UnixTime now) const {
  const ucan::Trust claimed = capabilities_->trust(envelope.from.did);
  if (claimed == ucan::Trust::none || !envelope.verify(now)) return ucan::Trust::none;
  if (to_self(envelope)) return claimed;  // without tokens
  const auto sender = envelope.from.id.did();
  const auto tokens = ucan::MessageTokens::parse(envelope.capability);
  return sender && tokens && check_did(envelope, *sender, *tokens, now) ? claimed : ucan::Trust::none;
}

Result<void> SecurityContext::provide(Envelope& envelope, const ucan::Capabilities& invoke,
                                      const ucan::Capabilities& reply, UnixTime now) const {
  if (to_self(envelope)) return sign(envelope);
  TRY(did::Did audience, envelope.to.id.did());
  TRY(envelope.capability,
      capabilities_->provide(envelope.to.did, id_did_, audience, envelope.expiry(), invoke, reply, now));
  return sign(envelope);
}

Result<void> SecurityContext::provide_broadcast(Envelope& envelope, const ucan::Capabilities& broadcast,
                                                UnixTime now) const {
  if (!envelope.is_broadcast()) return fail(Errc::bad_receiver, "not a broadcast: it has a receiver or no topic");
  TRY(ucan::Capability topic, ucan::Capability::parse(envelope.options.topic));
  TRY(envelope.capability, capabilities_->provide_broadcast(id_did_, topic, envelope.expiry(), broadcast, now));
  return sign(envelope);
}

template <class Require>
Result<Authorization> SecurityContext::authorize(const Envelope& envelope, UnixTime now, Require required) {
  TRY(did::Did sender, envelope.from.id.did());
  TRY(ucan::MessageTokens tokens, ucan::MessageTokens::parse(envelope.capability));
  TRY_VOID(check_did(envelope, sender, tokens, now));
  ucan::Consumed consumed = capabilities_->consume(envelope.from.did, tokens, now);
  Result<ucan::Authority> authority = required(sender);
  if (authority) return Authorization{std::move(consumed), *std::move(authority)};
  if (consumed.refused().empty()) return std::unexpected(authority.error());
  return fail(authority.error(), "{}", consumed.explain());
}

Result<Authorization> SecurityContext::require(const Envelope& envelope, const ucan::Capabilities& capabilities,
                                               UnixTime now) {
  if (to_self(envelope)) return Authorization{ucan::Consumed(nullptr), {did(), {}}};
  return authorize(envelope, now, [&](const did::Did& sender) {
    return capabilities_->require(did(), sender, id_did_, capabilities, now);
  });
}

Result<Authorization> SecurityContext::require_broadcast(const Envelope& envelope, const std::string& topic,
                                                         const ucan::Capabilities& capabilities, UnixTime now) {
  if (!envelope.is_broadcast() || envelope.options.topic != topic)
    return fail(Errc::bad_receiver, "{} accepts broadcasts on '{:.200}', not on '{:.200}'", envelope.behaviour, topic,
                envelope.options.topic);
  TRY(ucan::Capability topic_path, ucan::Capability::parse(topic));
  return authorize(envelope, now, [&](const did::Did& sender) {
    return capabilities_->require_broadcast(did(), sender, topic_path, capabilities, now);
  });
}

}  // namespace dms::actor
