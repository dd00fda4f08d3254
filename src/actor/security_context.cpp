#include "actor/security_context.hpp"

namespace dms::actor {
namespace {

/// Each may cost a signature check, so a sender does not choose how many.
constexpr int kMaxVouchers = 4;

bool vouches(const ucan::Token& token, const did::Did& issuer, const did::Did& subject) {
  const bool acts = token.action() == ucan::Action::invoke || token.action() == ucan::Action::broadcast;
  return acts && token.issuer() == issuer && token.subject() == subject;
}

/// Whether `from.did` has signed, in this very message, that `sender` (the key DID of from.id) acts for it. Tokens that
/// cannot be read are passed over, as consume() does.
Result<void> check_did(const Envelope& envelope, const did::Did& sender) {
  const did::Did& claimed = envelope.from.did;
  if (claimed == sender) return {};
  TRY(crypto::PublicKey key, claimed.public_key());
  const auto value = json::parse(as_text(envelope.capability), {.bytes = ucan::kMaxTokenBytes});
  const json::Value* list = value && value->is_object() ? json::find_member(value->get_object(), "tok") : nullptr;
  if (list != nullptr && list->is_array() && list->get_array().size() <= ucan::kMaxTokensPerMessage) {
    int tried = 0;
    for (const json::Value& item : list->get_array()) {
      const auto token = ucan::Token::from_json(item);
      if (!token || !vouches(*token, claimed, sender)) continue;
      if (++tried > kMaxVouchers) break;
      if (key.verify(token->signed_bytes(), token->signature())) return {};
    }
  }
  return fail(Errc::bad_sender, "no token shows that {} speaks for {}", sender.uri(), claimed.uri());
}

}  // namespace

Result<SecurityContext> SecurityContext::create(crypto::PrivateKey key,
                                                std::shared_ptr<ucan::CapabilityContext> capabilities, UnixTime now) {
  Id id = Id::from(key.public_key());
  TRY(did::Did id_did, id.did());
  return SecurityContext(std::move(key), std::move(id), std::move(id_did), std::move(capabilities), now);
}

ucan::Standing SecurityContext::standing(const Envelope& envelope, UnixTime now) const {
  const ucan::Standing claimed = capabilities_->standing(envelope.from.did);
  if (claimed == ucan::Standing::unknown || !envelope.verify(now)) return ucan::Standing::unknown;
  const auto sender = envelope.from.id.did();
  return sender && check_did(envelope, *sender) ? claimed : ucan::Standing::unknown;
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

template <class Judge>
Result<void> SecurityContext::judge(const Envelope& envelope, UnixTime now, Judge permitted) {
  TRY(did::Did sender, envelope.from.id.did());
  TRY_VOID(check_did(envelope, sender));
  TRY(ucan::Consumed consumed, capabilities_->consume(envelope.from.did, envelope.capability, now));
  Result<void> verdict = permitted(sender);
  if (verdict) return verdict;
  discard(envelope);
  return consumed.refused.empty() ? verdict : fail(verdict.error(), "{}", consumed.explain());
}

Result<void> SecurityContext::require(const Envelope& envelope, const ucan::Capabilities& capabilities, UnixTime now) {
  if (to_self(envelope)) return {};
  return judge(envelope, now, [&](const did::Did& sender) {
    return capabilities_->require(did(), sender, id_did_, capabilities, now);
  });
}

Result<void> SecurityContext::require_broadcast(const Envelope& envelope, const std::string& topic,
                                                const ucan::Capabilities& capabilities, UnixTime now) {
  if (!envelope.is_broadcast() || envelope.options.topic != topic)
    return fail(Errc::bad_receiver, "{} listens to broadcasts on '{:.200}', not on '{:.200}'", envelope.behaviour,
                topic, envelope.options.topic);
  TRY(ucan::Capability topic_path, ucan::Capability::parse(topic));
  return judge(envelope, now, [&](const did::Did& sender) {
    return capabilities_->require_broadcast(did(), sender, topic_path, capabilities, now);
  });
}

}  // namespace dms::actor
