// Lifecycle and sending. Receiving is in dispatch.cpp.
#include "actor/actor.hpp"

#include <algorithm>

#include "actor/error_reply.hpp"
#include "base/assert.hpp"
#include "base/log.hpp"

namespace dms::actor {
namespace {

/// Waits are clamped to this, which keeps their arithmetic within 64 bits.
constexpr std::uint64_t kMaxWait = 365ULL * 24 * 3600 * 1'000'000'000;

/// A task for a call that has failed before it began.
Task<Result<void>> failed(Error error) { co_return std::unexpected(std::move(error)); }

}  // namespace

Result<void> check_inbox(std::string_view inbox) {
  const bool printable =
      std::all_of(inbox.begin(), inbox.end(), [](char c) { return c > ' ' && c <= '~' && c != '/'; });
  if (!inbox.empty() && inbox.size() <= kMaxInbox && printable) return {};
  return fail(dms::Errc::invalid_argument, "'{:.256}' is not an inbox: expected 1 to {} printable characters but '/'",
              inbox, kMaxInbox);
}

std::string inbox_protocol(std::string_view inbox) { return fmt::format("actor/{}/messages/0.0.1", inbox); }

/// A call in progress: stop() cancels it and waits for it.
class Actor::Operation {
 public:
  Operation(Actor& actor, CancelScope* outer) : actor_(actor), scope_(outer) {
    actor_.operations_.insert(this);
    if (actor_.stopping_->begun) scope_.cancel(dms::Errc::closed);
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() {
    actor_.operations_.erase(this);
    actor_.operations_changed_.notify_all();
  }
  [[nodiscard]] CancelScope& scope() { return scope_; }

 private:
  Actor& actor_;
  CancelScope scope_;
};

struct Actor::PendingReply {
  std::optional<Envelope> envelope;
  Notify arrived;
};

Actor::Actor(System& system, SecurityContext security, Handle handle, Actor* parent)
    : system_(system),
      security_(std::move(security)),
      handle_(std::move(handle)),
      parent_(parent),
      nursery_(system.lane, "actor " + handle_.address.inbox) {}

Actor::~Actor() {
  DMS_ASSERT(stopping_->done, "the actor in inbox {} was destroyed without stop()", handle_.address.inbox);
}

Result<std::unique_ptr<Actor>> Actor::start(System& system, SecurityContext security, std::string inbox) {
  return start(system, std::move(security), std::move(inbox), nullptr, {});
}

Result<std::unique_ptr<Actor>> Actor::start(System& system, SecurityContext security, std::string inbox, Actor* parent,
                                            std::optional<Handle> supervisor) {
  TRY_VOID(check_inbox(inbox));
  Handle handle;
  handle.id = security.id();
  handle.did = security.did();
  handle.address = {system.network.self().to_string(), std::move(inbox)};
  TRY_VOID(system.registry.add(handle, parent == nullptr ? std::nullopt : std::optional(parent->handle_),
                               std::move(supervisor)));
  std::unique_ptr<Actor> actor(new Actor(system, std::move(security), std::move(handle), parent));
  Actor* self = actor.get();
  auto listening =
      system.network.handle(inbox_protocol(self->handle_.address.inbox),
                            [self](const crypto::PeerId& from, const Bytes& bytes) { self->on_message(from, bytes); });
  if (!listening) {
    system.registry.remove(self->handle_.address.inbox);
    self->stopping_->done = true;
    return fail(listening.error(), "opening inbox {}", self->handle_.address.inbox);
  }
  if (parent != nullptr) parent->children_.push_back(self);
  const Result<void> added = self->add_behaviour(
      std::string(kHealthCheck), [self](Envelope envelope) { return self->answer_health_check(std::move(envelope)); });
  DMS_EXPECT(added, "the health check is no capability");
  return actor;
}

Task<void> Actor::answer_health_check(Envelope envelope) {
  if (envelope.options.reply_to.empty()) co_return;
  HealthReply reply;
  reply.ok = true;
  Task<Result<void>> replying = this->reply(envelope, reply);
  (void)co_await std::move(replying);
}

Task<void> Actor::stop() {
  // Held here as well: another caller that waits for the end may destroy the actor at once.
  const std::shared_ptr<Stopping> stopping = stopping_;
  if (stopping->begun) {
    while (!stopping->done) (void)co_await stopping->finished.wait_shielded();
    co_return;
  }
  stopping->begun = true;
  system_.network.remove_handler(inbox_protocol(handle_.address.inbox));
  for (const auto& [topic, id] : subscriptions_) system_.network.unsubscribe(id);
  subscriptions_.clear();
  while (!children_.empty()) co_await children_.back()->stop();
  const std::vector<Operation*> in_progress(operations_.begin(), operations_.end());
  for (Operation* operation : in_progress) operation->scope().cancel(dms::Errc::closed);
  nursery_.cancel(dms::Errc::closed);
  co_await nursery_.join();
  while (!operations_.empty()) (void)co_await operations_changed_.wait_shielded();
  behaviours_.clear();
  system_.registry.remove(handle_.address.inbox);
  if (parent_ != nullptr) std::erase(parent_->children_, this);
  stopping->done = true;
  stopping->finished.notify_all();
}

Result<void> Actor::add_behaviour(std::string path, Handler handler, BehaviourOptions options) {
  if (options.capabilities.empty()) {
    TRY(ucan::Capability own, ucan::Capability::parse(path));
    options.capabilities.push_back(std::move(own));
  }
  sweep_behaviours(lane().unix_now());
  behaviours_.insert_or_assign(std::move(path), Behaviour{std::move(handler), std::move(options)});
  return {};
}

void Actor::sweep_behaviours(UnixTime now) {
  if (now < next_sweep_) return;
  next_sweep_ = now + Duration(2min);
  std::erase_if(behaviours_, [now](const auto& entry) { return entry.second.expired(now); });
}

Task<Result<void>> Actor::opened() {
  while (!open_) CO_TRY_VOID(co_await opened_.wait());
  co_return Result<void>();
}

/// False if the envelope is dropped. What expires is refused at once: later it would seem to come from a machine whose
/// clock is slow.
Task<bool> Actor::until_open(const Envelope& envelope) {
  const std::size_t size = envelope.message.size() + envelope.capability.size();
  if (held_ + size > kMaxHeld) co_return refuse(Refusal::no_place, &envelope);
  held_ += size;
  Task<Result<void>> waiting = within(envelope.expiry(), opened());
  const Result<void> waited = co_await std::move(waiting);
  held_ -= size;
  if (!waited && waited.error().is(dms::Errc::deadline_exceeded)) refuse(Refusal::expired, &envelope);
  co_return waited.has_value();
}

// --- sending ---------------------------------------------------------------------------------------------------------

Envelope Actor::message(const Handle& to, std::string behaviour, Bytes payload, const MessageOptions& options) const {
  Envelope envelope;
  envelope.to = to;
  envelope.behaviour = std::move(behaviour);
  envelope.from = handle_;
  envelope.options.expires = (options.expires ? *options.expires : system_.lane.unix_now() + options.timeout).nanos;
  envelope.options.reply_to = options.reply_to;
  envelope.options.topic = options.topic;
  envelope.message = std::move(payload);
  return envelope;
}

Envelope Actor::broadcast(std::string behaviour, Bytes payload, const MessageOptions& options) const {
  return message(Handle(), std::move(behaviour), std::move(payload), options);
}

Result<void> Actor::sign(Envelope& envelope) {
  if (!envelope.signature.empty()) return {};
  if (envelope.nonce == 0) envelope.nonce = security_.next_nonce();
  const UnixTime now = lane().unix_now();
  TRY(ucan::Capability behaviour, ucan::Capability::parse(envelope.behaviour));
  const ucan::Capabilities invoke = {std::move(behaviour)};
  if (envelope.is_broadcast()) return security_.provide_broadcast(envelope, invoke, now);
  ucan::Capabilities reply;
  if (!envelope.options.reply_to.empty()) {
    TRY(ucan::Capability path, ucan::Capability::parse(envelope.options.reply_to));
    reply.push_back(std::move(path));
  }
  return security_.provide(envelope, invoke, reply, now);
}

SteadyTime Actor::deadline(UnixTime expiry) const {
  const UnixTime now = system_.lane.unix_now();
  const std::uint64_t left = expiry > now ? std::min(expiry.nanos - now.nanos, kMaxWait) : 0;
  return system_.lane.now() + Duration(static_cast<std::int64_t>(left));
}

template <class T>
Task<Result<T>> Actor::within(UnixTime expiry, Task<Result<T>> inner) {
  const TaskContext context = co_await this_task();
  Operation operation(*this, context.scope);
  ScopedTimer timer(lane(), deadline(expiry), [&operation] { operation.scope().cancel(dms::Errc::deadline_exceeded); });
  inner.set_context({context.lane, &operation.scope()});
  Result<T> result = co_await std::move(inner);
  co_return std::move(result);
}

Task<Result<void>> Actor::send(Envelope envelope) {
  const UnixTime expiry = envelope.expiry();
  const Duration ahead = system_.clocks.ahead(envelope.to.address.host);
  Task<Result<void>> work = do_send(std::move(envelope), ahead);
  return within(expiry, std::move(work));
}

Task<Result<void>> Actor::publish(Envelope envelope) {
  const UnixTime expiry = envelope.expiry();
  Task<Result<void>> work = do_publish(std::move(envelope));
  return within(expiry, std::move(work));
}

Task<Result<Envelope>> Actor::invoke(Envelope envelope) {
  const UnixTime expiry = envelope.expiry();
  Task<Result<Envelope>> work = do_invoke(std::move(envelope));
  return within(expiry, std::move(work));
}

Task<Result<void>> Actor::do_send(Envelope envelope, Duration ahead) {
  if (envelope.to.empty())
    co_return fail(Errc::bad_receiver, "{} has no receiver; broadcasts are published", envelope.behaviour);
  if (stopping_->begun) co_return fail(dms::Errc::closed, "the actor in inbox {} has stopped", handle_.address.inbox);
  if (envelope.expired(lane().unix_now()))
    co_return fail(dms::Errc::deadline_exceeded, "sending {}: the envelope has expired", envelope.behaviour);
  const SteadyTime until = deadline(envelope.expiry());
  if (envelope.signature.empty()) envelope.options.expires = (envelope.expiry() + ahead).nanos;
  CO_TRY_VOID(sign(envelope));
  if (envelope.to.id == handle_.id) co_return send_to_self(std::move(envelope));
  CO_TRY(crypto::PeerId peer, envelope.to.address.peer());
  CO_TRY_VOID(check_inbox(envelope.to.address.inbox));
  std::string protocol = inbox_protocol(envelope.to.address.inbox);
  Bytes bytes = envelope.encode();
  Task<Result<void>> sending = system_.network.send_until(until, peer, std::move(protocol), std::move(bytes));
  Result<void> sent = co_await std::move(sending);
  if (!sent) co_return fail(sent.error(), "sending {} to {}", envelope.behaviour, envelope.to.address.to_string());
  ++system_.metrics.sent;
  co_return Result<void>();
}

Result<void> Actor::send_to_self(Envelope envelope) {
  if (envelope.from.address.host != handle_.address.host)
    return fail(Errc::bad_sender, "{} names host '{:.128}' as its origin; it must be this one", envelope.behaviour,
                envelope.from.address.host);
  if (!admit(system_.network.self(), std::move(envelope), Signature::unchecked))
    return fail(dms::Errc::limit_exceeded, "too many messages are in progress; try again later");
  return {};
}

Task<Result<void>> Actor::do_publish(Envelope envelope) {
  if (!envelope.is_broadcast())
    co_return fail(Errc::bad_receiver, "{} is no broadcast: it has a receiver or no topic", envelope.behaviour);
  if (stopping_->begun) co_return fail(dms::Errc::closed, "the actor in inbox {} has stopped", handle_.address.inbox);
  CO_TRY_VOID(sign(envelope));
  Bytes bytes = envelope.encode();
  Task<Result<void>> publishing = system_.network.publish(envelope.options.topic, std::move(bytes));
  Result<void> published = co_await std::move(publishing);
  if (!published) co_return fail(published.error(), "publishing {} on {}", envelope.behaviour, envelope.options.topic);
  ++system_.metrics.published;
  co_return Result<void>();
}

namespace {

Task<void> nothing_more() { co_return; }

/// Removes a behaviour when an invocation ends.
class TemporaryBehaviour {
 public:
  TemporaryBehaviour(Actor& actor, std::string path) : actor_(actor), path_(std::move(path)) {}
  TemporaryBehaviour(const TemporaryBehaviour&) = delete;
  TemporaryBehaviour& operator=(const TemporaryBehaviour&) = delete;
  ~TemporaryBehaviour() { actor_.remove_behaviour(path_); }

 private:
  Actor& actor_;
  std::string path_;
};

}  // namespace

Task<Result<Envelope>> Actor::do_invoke(Envelope envelope) {
  if (envelope.options.reply_to.empty())
    envelope.options.reply_to = fmt::format("{}{}", kReplyPrefix, security_.next_nonce());
  const std::string reply_path = envelope.options.reply_to;
  if (has_behaviour(reply_path))
    co_return fail(dms::Errc::already_exists, "the reply path {} is already a behaviour", reply_path);
  const std::string what = fmt::format("{} at {}", envelope.behaviour, envelope.to.address.to_string());
  const auto pending = std::make_shared<PendingReply>();
  BehaviourOptions options;
  options.expires = envelope.expiry();
  options.one_shot = true;
  options.only_from = envelope.to.id;
  CO_TRY_VOID(add_behaviour(
      reply_path,
      [pending](Envelope reply) -> Task<void> {
        pending->envelope.emplace(std::move(reply));
        pending->arrived.notify_all();
        return nothing_more();
      },
      std::move(options)));
  TemporaryBehaviour registered(*this, reply_path);
  const Result<crypto::PeerId> receiver = envelope.to.address.peer();
  std::optional<RateLimiter::Expected> expected;
  if (receiver) expected.emplace(system_.limiter, *receiver);
  const Duration ahead = system_.clocks.ahead(envelope.to.address.host);
  Task<Result<void>> sending = do_send(std::move(envelope), ahead);
  CO_TRY_VOID(co_await std::move(sending));
  while (!pending->envelope) {
    Result<void> waited = co_await pending->arrived.wait();
    if (waited || pending->envelope) continue;
    if (waited.error().is(dms::Errc::deadline_exceeded))
      co_return fail(
          dms::Errc::deadline_exceeded,
          "no reply to {} in time; the receiver is unreachable or busy, or refuses (a refusal is not answered: check "
          "the capabilities on both sides)",
          what);
    co_return fail(waited.error(), "waiting for the reply to {}", what);
  }
  Envelope reply = *std::move(pending->envelope);
  // Only an actor on this host sends error replies here; any other payload belongs to the behaviour.
  if (reply.from.address.host == handle_.address.host)
    if (const auto refused = ErrorReply::read(reply)) co_return fail(Errc::refused, "{}: {}", what, refused->error);
  co_return std::move(reply);
}

Task<Result<void>> Actor::reply_to(const Envelope& request, Bytes payload) {
  if (request.options.reply_to.empty())
    return failed(Error(Errc::no_reply_expected, fmt::format("{} expects no reply", request.behaviour)));
  MessageOptions options;
  options.expires = request.expiry();
  Task<Result<void>> work =
      do_send(message(request.from, request.options.reply_to, std::move(payload), options), Duration(0));
  return within(request.expiry(), std::move(work));
}

// --- topics and children ---------------------------------------------------------------------------------------------

Result<void> Actor::subscribe(std::string topic) {
  if (stopping_->begun) return fail(dms::Errc::closed, "the actor in inbox {} has stopped", handle_.address.inbox);
  if (subscriptions_.contains(topic)) return {};
  auto id = system_.network.subscribe(
      topic, [this, topic](network::Broadcast& broadcast) { return validate_broadcast(topic, broadcast); },
      [this](network::Broadcast& broadcast) { on_broadcast(broadcast); });
  if (!id) return fail(id.error(), "subscribing to {}", topic);
  subscriptions_.emplace(std::move(topic), *id);
  return {};
}

void Actor::unsubscribe(const std::string& topic) {
  const auto it = subscriptions_.find(topic);
  if (it == subscriptions_.end()) return;
  system_.network.unsubscribe(it->second);
  subscriptions_.erase(it);
}

Result<std::unique_ptr<Actor>> Actor::create_child(std::string inbox, ChildOptions options) {
  if (stopping_->begun) return fail(dms::Errc::closed, "the actor in inbox {} has stopped", handle_.address.inbox);
  crypto::PrivateKey key = options.key ? *std::move(options.key) : crypto::PrivateKey::generate(lane().random());
  std::shared_ptr<ucan::CapabilityContext> capabilities = security_.capabilities();
  if (options.capabilities) capabilities = std::move(options.capabilities);
  TRY(SecurityContext security, SecurityContext::create(std::move(key), std::move(capabilities), lane().unix_now()));
  TRY(std::unique_ptr<Actor> child, start(system_, std::move(security), std::move(inbox), this, options.supervisor));
  if (options.supervisor && options.supervisor->id != child->handle_.id)
    child->spawn(child->renew_supervisor_grant(*std::move(options.supervisor)));
  return child;
}

Task<void> Actor::renew_supervisor_grant(Handle supervisor) {
  auto granted = ucan::StandingGrant::give(security_.capabilities(), supervisor.did, security_.id_did(), kHealthCheck,
                                           lane().unix_now());
  for (;;) {
    if (!granted) {
      log::warn("actor", "{}: the grant of the supervisor's health check: {}", handle_.address.inbox,
                granted.error().to_string());
      co_return;
    }
    const Result<void> slept = co_await sleep_unless_clock_is_set(ucan::kStandingGrantRenewal);
    if (!slept) co_return;
    if (Result<void> renewed = granted->renew(lane().unix_now()); !renewed) granted = std::unexpected(renewed.error());
  }
}

}  // namespace dms::actor
