// What an actor does with a message that has arrived, from the first byte to its handler.
#include "actor/actor.hpp"
#include "actor/error_reply.hpp"
#include "base/log.hpp"

namespace dms::actor {
namespace {

/// Error replies being sent at once; they go to this host only.
constexpr std::size_t kMaxErrorReplies = 64;

/// Lets the tokens of a message go when its handler has ended, however it ended.
class HeldTokens {
 public:
  HeldTokens(SecurityContext& security, Bytes tokens) : security_(security), tokens_(std::move(tokens)) {}
  HeldTokens(const HeldTokens&) = delete;
  HeldTokens& operator=(const HeldTokens&) = delete;
  ~HeldTokens() {
    if (!tokens_.empty()) security_.discard(tokens_);
  }

 private:
  SecurityContext& security_;
  Bytes tokens_;
};

}  // namespace

bool Actor::refuse(Refusal reason, const Envelope* envelope, std::string_view detail,
                   const ucan::Capabilities& sufficient) {
  refusals_.add(reason);
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
  if (envelope != nullptr) report_refusal(reason, *envelope, detail, sufficient);
  return false;
}

// The cheap tests come first: only an envelope from this host that claims a named DID costs a signature check.
void Actor::report_refusal(Refusal reason, const Envelope& request, std::string_view detail,
                           const ucan::Capabilities& sufficient) {
  if (stopping_->begun || request.options.reply_to.empty() || request.to.id != handle_.id ||
      request.from.address.host != handle_.address.host || error_replies_ >= kMaxErrorReplies)
    return;
  const auto reply = error_reply(reason, request, detail, sufficient);
  if (!reply || security_.standing(request, lane().unix_now()) == ucan::Standing::unknown) return;
  ++error_replies_;
  nursery_.spawn(send_error_reply(request, to_payload(*reply)));
}

Task<void> Actor::send_error_reply(Envelope request, Bytes payload) {
  Task<Result<void>> replying = reply_to(request, std::move(payload));
  (void)co_await std::move(replying);
  --error_replies_;
}

void Actor::on_message(const crypto::PeerId& from, BytesView bytes) {
  if (!system_.limiter.charge(from, lane().now())) {
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
    admit(from, *std::move(envelope));
}

// The verdicts are those of NuNet's nodes, so that no honest peer is blamed for passing on what others accept. Where
// this check is stricter than theirs, it ignores.
network::Verdict Actor::judge_broadcast(const std::string& topic, const crypto::PeerId& origin, BytesView bytes) {
  using network::Verdict;
  const auto say = [this](Verdict verdict, Refusal reason, const Envelope* envelope) {
    refuse(reason, envelope);
    return verdict;
  };
  const UnixTime now = lane().unix_now();
  if (!system_.limiter.charge(origin, lane().now())) return say(Verdict::ignore, Refusal::rate_limited, nullptr);
  const auto envelope = Envelope::decode(bytes);
  if (!envelope) return say(Verdict::reject, Refusal::malformed, nullptr);
  if (!envelope->is_broadcast() || envelope->options.topic != topic)
    return say(Verdict::reject, Refusal::wrong_receiver, &*envelope);
  if (envelope->expired(now)) return say(Verdict::ignore, Refusal::expired, &*envelope);
  if (envelope->from.address.host != origin.to_string()) return say(Verdict::ignore, Refusal::wrong_host, &*envelope);
  if (!envelope->verify(now)) return say(Verdict::reject, Refusal::bad_signature, &*envelope);
  if (replays_.check(envelope->from.id, envelope->nonce, now) == ReplayFilter::Verdict::seen)
    return say(Verdict::ignore, Refusal::replayed, &*envelope);
  return Verdict::accept;
}

void Actor::on_broadcast(BytesView bytes) {
  auto envelope = Envelope::decode(bytes);
  if (!envelope || envelope->from == handle_) return;
  const auto host = envelope->from.address.peer();
  if (host) admit(*host, *std::move(envelope));
}

bool Actor::admit(const crypto::PeerId& peer, Envelope envelope) {
  std::optional<Permit> permit = system_.limiter.admit(peer, envelope);
  if (!permit) return refuse(Refusal::no_place, &envelope);
  nursery_.spawn(process(std::move(envelope), *std::move(permit)));
  return true;
}

// Each message is a task of its own and so has a turn of the lane of its own; the permit bounds how many there are.
Task<void> Actor::process(Envelope envelope, Permit permit) {
  (void)permit;
  Handler handler = accept(envelope);
  if (!handler) co_return;
  const HeldTokens tokens(security_, envelope.capability);
  Task<void> handling = handler(std::move(envelope));
  co_await std::move(handling);
}

Handler Actor::accept(const Envelope& envelope) {
  if (stopping_->begun) return {};
  const UnixTime now = lane().unix_now();
  if (auto verified = envelope.verify(now); !verified) {
    const bool late = verified.error().is(Errc::expired);
    refuse(late ? Refusal::expired : Refusal::bad_signature, &envelope, verified.error().message());
    return {};
  }
  const Behaviour* behaviour = find_behaviour(envelope, now);
  if (behaviour == nullptr) return {};
  // Asked before the tokens are, recorded after: what is not permitted leaves no trace in the filter.
  if (const auto verdict = replays_.check(envelope.from.id, envelope.nonce, now);
      verdict != ReplayFilter::Verdict::fresh) {
    refuse(verdict == ReplayFilter::Verdict::seen ? Refusal::replayed : Refusal::replay_memory_full, &envelope);
    return {};
  }
  if (!permitted(envelope, *behaviour, now)) return {};
  replays_.remember(envelope.from.id, envelope.nonce, envelope.expiry());
  Handler handler = behaviour->handler;
  if (behaviour->options.one_shot) behaviours_.erase(envelope.behaviour);
  return handler;
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

bool Actor::permitted(const Envelope& envelope, const Behaviour& behaviour, UnixTime now) {
  const BehaviourOptions& options = behaviour.options;
  if (envelope.is_broadcast() && envelope.options.topic != options.topic)
    return refuse(Refusal::wrong_receiver, &envelope, "the behaviour does not listen to this topic");
  const Result<void> verdict = envelope.is_broadcast()
                                   ? security_.require_broadcast(envelope, options.topic, options.capabilities, now)
                                   : security_.require(envelope, options.capabilities, now);
  return verdict ? true : refuse(Refusal::not_permitted, &envelope, verdict.error().to_string(), options.capabilities);
}

}  // namespace dms::actor
