// Receiving: from the bytes of a message to its handler.
#include "actor/actor.hpp"
#include "actor/error_reply.hpp"
#include "base/assert.hpp"
#include "base/log.hpp"

namespace dms::actor {
namespace {

/// Error replies sent concurrently; they go to this host only.
constexpr std::size_t kMaxErrorReplies = 64;

}  // namespace

bool Actor::refuse(Refusal reason, const Envelope* envelope, std::string_view detail,
                   const ucan::Capabilities& sufficient) {
  ++system_.metrics.refused[reason];
  const std::string& inbox = handle_.address.inbox;
  const std::string_view why = to_string(reason);
  if (envelope != nullptr)
    log::debug("actor",
               {{"inbox", inbox},
                {"reason", why},
                {"behaviour", envelope->behaviour},
                {"from", envelope->from.address.host},
                {"detail", detail}},
               "refused {:.200}", envelope->behaviour);
  else
    log::debug("actor", {{"inbox", inbox}, {"reason", why}, {"detail", detail}}, "refused a message");
  if (envelope != nullptr && reason == Refusal::expired) warn_of_clock(*envelope);
  if (envelope != nullptr) report_refusal(reason, *envelope, detail, sufficient);
  return false;
}

void Actor::warn_of_clock(const Envelope& expired) {
  const Duration ago = lane().unix_now() - expired.expiry();
  if (ago < kClockSuspicion || lane().now() < system_.next_clock_warning) return;
  system_.next_clock_warning = lane().now() + kClockWarningPause;
  log::warn("actor", "messages of {:.80} are refused: they expired {} s ago; compare the clocks of both machines",
            expired.from.address.host, std::chrono::duration_cast<std::chrono::seconds>(ago).count());
}

// Cheap checks come first: only an envelope from this host that claims a named DID costs a signature check.
void Actor::report_refusal(Refusal reason, const Envelope& request, std::string_view detail,
                           const ucan::Capabilities& sufficient) {
  if (stopping_->begun || request.options.reply_to.empty() || request.to.id != handle_.id ||
      request.from.address.host != handle_.address.host || error_replies_ >= kMaxErrorReplies)
    return;
  const auto reply = error_reply(reason, request, detail, sufficient);
  if (!reply || security_.trust(request, lane().unix_now()) == ucan::Trust::none) return;
  ++system_.metrics.error_replies;
  ++error_replies_;
  nursery_.spawn(send_error_reply(request, to_payload(*reply)));
}

Task<void> Actor::send_error_reply(Envelope request, Bytes payload) {
  Task<Result<void>> replying = reply_to(request, std::move(payload));
  (void)co_await std::move(replying);
  --error_replies_;
}

void Actor::on_message(const crypto::PeerId& from, BytesView bytes) {
  if (!system_.limiter.charge(from, lane().now(), bytes.size())) {
    refuse(Refusal::rate_limited, nullptr, from.to_string());
    return;
  }
  auto envelope = Envelope::decode(bytes);
  if (!envelope)
    refuse(Refusal::malformed, nullptr, envelope.error().to_string());
  else if (envelope->to.id != handle_.id)
    refuse(Refusal::wrong_receiver, &*envelope);
  else if (envelope->from.address.host != from.to_string())
    refuse(Refusal::wrong_host, &*envelope, from.to_string());
  else
    admit(from, *std::move(envelope), Signature::unchecked);
}

// Rejects what NuNet's nodes reject, so that a peer is not penalised for forwarding a broadcast that others accept.
// Where this check is stricter, it ignores: also unreadable envelopes, as the JSON reader of NuNet's nodes accepts more,
// and keys of other types.
network::Validation Actor::validate_broadcast(const std::string& topic, network::Broadcast& broadcast) {
  using network::Validation;
  const auto decide = [this](Validation validation, Refusal reason, const Envelope* envelope) {
    refuse(reason, envelope);
    return validation;
  };
  const UnixTime now = lane().unix_now();
  if (!system_.limiter.charge(broadcast.origin, lane().now(), broadcast.message.size()))
    return decide(Validation::ignore, Refusal::rate_limited, nullptr);
  auto decoded = Envelope::decode(broadcast.message);
  if (!decoded) return decide(Validation::ignore, Refusal::malformed, nullptr);
  const auto envelope = std::make_shared<Envelope>(*std::move(decoded));
  if (!envelope->is_broadcast() || envelope->options.topic != topic)
    return decide(Validation::reject, Refusal::wrong_receiver, envelope.get());
  if (envelope->expired(now)) return decide(Validation::ignore, Refusal::expired, envelope.get());
  if (envelope->lives_too_long(now)) return decide(Validation::ignore, Refusal::lives_too_long, envelope.get());
  if (envelope->from.address.host != broadcast.origin.to_string())
    return decide(Validation::ignore, Refusal::wrong_host, envelope.get());
  ++system_.metrics.signature_checks;
  if (const Result<void> verified = envelope->verify(now); !verified) {
    const bool forged = verified.error().is(Errc::bad_signature);
    return decide(forged ? Validation::reject : Validation::ignore, Refusal::bad_signature, envelope.get());
  }
  if (replays_.check(envelope->from.id, envelope->nonce, now) == ReplayFilter::Outcome::seen)
    return decide(Validation::ignore, Refusal::replayed, envelope.get());
  broadcast.validated = envelope;
  return Validation::accept;
}

void Actor::on_broadcast(network::Broadcast& broadcast) {
  const auto* envelope = std::any_cast<std::shared_ptr<Envelope>>(&broadcast.validated);
  if (!DMS_EXPECT(envelope != nullptr, "a broadcast was delivered without validation")) return;
  if ((*envelope)->from == handle_) return;
  admit(broadcast.origin, std::move(**envelope), Signature::verified);
}

bool Actor::admit(const crypto::PeerId& peer, Envelope envelope, Signature signature) {
  std::optional<Permit> permit = system_.limiter.admit(peer, envelope);
  if (!permit) return refuse(Refusal::no_place, &envelope);
  nursery_.spawn(process(std::move(envelope), *std::move(permit), signature));
  return true;
}

// Each message runs as its own task; permits bound their number.
Task<void> Actor::process(Envelope envelope, Permit permit, Signature signature) {
  (void)permit;
  if (!open_ && !envelope.behaviour.starts_with(kReplyPrefix)) {
    Task<bool> waiting = until_open(envelope);
    const bool goes_on = co_await std::move(waiting);
    if (!goes_on) co_return;
  }
  const SteadyTime begun = lane().now();
  std::optional<Accepted> accepted = accept(envelope, signature);
  if (!accepted) co_return;
  ++system_.metrics.accepted;
  // The tokens are held until the handler has ended.
  Task<void> handling = accepted->handler(std::move(envelope));
  co_await std::move(handling);
  system_.metrics.handling.observe(lane().now() - begun);
}

std::optional<Actor::Accepted> Actor::accept(const Envelope& envelope, Signature signature) {
  if (stopping_->begun) return std::nullopt;
  const UnixTime now = lane().unix_now();
  if (!fresh_and_signed(envelope, signature, now)) return std::nullopt;
  const Behaviour* behaviour = find_behaviour(envelope, now);
  if (behaviour == nullptr) return std::nullopt;
  // Checked before the tokens, recorded after: an envelope that is not permitted is not recorded.
  if (replays_.check(envelope.from.id, envelope.nonce, now) == ReplayFilter::Outcome::seen) {
    refuse(Refusal::replayed, &envelope);
    return std::nullopt;
  }
  std::optional<Authorization> authorization = authorize(envelope, *behaviour, now);
  if (!authorization) return std::nullopt;
  // What anybody may send is not recorded: unknown senders would fill the filter.
  if (!behaviour->options.open && !record(envelope, authorization->authority)) return std::nullopt;
  Accepted accepted{behaviour->handler, *std::move(authorization)};
  if (behaviour->options.one_shot) behaviours_.erase(envelope.behaviour);
  return accepted;
}

bool Actor::fresh_and_signed(const Envelope& envelope, Signature signature, UnixTime now) {
  if (envelope.lives_too_long(now)) return refuse(Refusal::lives_too_long, &envelope);
  if (signature == Signature::verified) return envelope.expired(now) ? refuse(Refusal::expired, &envelope) : true;
  ++system_.metrics.signature_checks;
  const Result<void> verified = envelope.verify(now);
  if (verified) return true;
  const bool late = verified.error().is(Errc::expired);
  return refuse(late ? Refusal::expired : Refusal::bad_signature, &envelope, verified.error().message());
}

bool Actor::record(const Envelope& envelope, const ucan::Authority& authority) {
  const ucan::CapabilityContext& context = *security_.capabilities();
  if (context.revocation_generation() != revocation_generation_) {
    revocation_generation_ = context.revocation_generation();
    replays_.forget_revoked(context.revocations());
  }
  // authorize() has proven that the DID acts through this key.
  const ucan::Trust trust = context.trust(envelope.from.did);
  switch (replays_.remember(envelope.from.id, envelope.nonce, envelope.expiry(), authority, trust)) {
    case ReplayFilter::Outcome::fresh: return true;
    case ReplayFilter::Outcome::seen: return refuse(Refusal::replayed, &envelope);
    case ReplayFilter::Outcome::over_quota: return refuse(Refusal::over_quota, &envelope);
    case ReplayFilter::Outcome::full: break;
  }
  return refuse(Refusal::replay_memory_full, &envelope);
}

Actor::Behaviour* Actor::find_behaviour(const Envelope& envelope, UnixTime now) {
  const auto it = behaviours_.find(envelope.behaviour);
  if (it == behaviours_.end()) {
    refuse(Refusal::unknown_behaviour, &envelope);
    return nullptr;
  }
  if (it->second.expired(now)) {
    behaviours_.erase(it);
    refuse(Refusal::expired_behaviour, &envelope);
    return nullptr;
  }
  if (it->second.options.only_from && *it->second.options.only_from != envelope.from.id) {
    refuse(Refusal::wrong_sender, &envelope);
    return nullptr;
  }
  return &it->second;
}

std::optional<Authorization> Actor::authorize(const Envelope& envelope, const Behaviour& behaviour, UnixTime now) {
  const BehaviourOptions& options = behaviour.options;
  if (envelope.is_broadcast() && envelope.options.topic != options.topic) {
    refuse(Refusal::wrong_receiver, &envelope, "the behaviour does not accept this topic");
    return std::nullopt;
  }
  if (options.open) return Authorization{ucan::Consumed(nullptr), {envelope.from.did, {}}};
  Result<Authorization> authorization =
      envelope.is_broadcast() ? security_.require_broadcast(envelope, options.topic, options.capabilities, now)
                              : security_.require(envelope, options.capabilities, now);
  if (authorization) return *std::move(authorization);
  refuse(Refusal::not_permitted, &envelope, authorization.error().to_string(), options.capabilities);
  return std::nullopt;
}

}  // namespace dms::actor
