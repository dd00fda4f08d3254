#include "provider/work_actor.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "network/network.hpp"
#include "protocol/serve.hpp"

namespace dms::provider {

namespace {

/// The anchors of a context that lives no longer than the process do not expire before it.
constexpr Duration kAcceptedFor = std::chrono::hours(24 * 3650);
/// No name of an allocation has it (check_id()).
constexpr std::string_view kWorkInbox = "+work";

crypto::PrivateKey work_key(actor::Actor& allocation) { return allocation.security().key().derive("work"); }

Result<std::shared_ptr<ucan::CapabilityContext>> own_context(const crypto::PrivateKey& key, Random& random) {
  TRY(ucan::CapabilityContext context, ucan::CapabilityContext::create(key, random));
  return std::make_shared<ucan::CapabilityContext>(std::move(context));
}

/// What the orchestrator signs or delegates for the work of its ensemble is accepted.
Result<void> accept_orchestrator(ucan::CapabilityContext& context, const did::Did& orchestrator,
                                 std::string_view ensemble, UnixTime now) {
  TRY(ucan::Capability below, ucan::Capability::parse(protocol::work_namespace(ensemble)));
  ucan::Grant grant;
  grant.subject = orchestrator;
  grant.capabilities = {below};
  grant.topics = {below};
  grant.expires = now + kAcceptedFor;
  TRY(ucan::Token accepted, context.grant(ucan::Action::delegate, grant));
  return context.add_ephemeral(std::move(accepted), now);
}

/// Of a message that has not left: where it was to go is gone.
bool is_unsent(const Error& error) { return error.is(network::Reach::unreachable) || error.is(Errc::unsupported); }

Bytes payload_bytes(const json::Value& payload) {
  return to_bytes(payload.is_null() ? std::string("{}") : json::write(payload));
}

}  // namespace

Result<actor::Handle> work_handle(actor::Actor& allocation) {
  actor::Handle handle;
  handle.id = actor::Id::from(work_key(allocation).public_key());
  TRY(handle.did, handle.id.did());
  handle.address = allocation.handle().address;
  handle.address.inbox += kWorkInbox;
  return handle;
}

WorkActor::WorkActor(Parts parts) : parts_(std::move(parts)), ensemble_(jobs::ensemble_id(parts_.allocation_id)) {}

Result<std::unique_ptr<WorkActor>> WorkActor::start(Parts parts) {
  std::unique_ptr<WorkActor> made(new WorkActor(std::move(parts)));
  actor::Actor& allocation = made->parts_.allocation;
  const UnixTime now = allocation.lane().unix_now();
  actor::ChildOptions options;
  options.key = work_key(allocation);
  TRY(options.capabilities, own_context(*options.key, allocation.lane().random()));
  TRY_VOID(accept_orchestrator(*options.capabilities, made->parts_.orchestrator.did, made->ensemble_, now));
  TRY(made->actor_,
      allocation.create_child(allocation.handle().address.inbox + std::string(kWorkInbox), std::move(options)));
  return made;
}

json::Value WorkActor::identity() const {
  json::Object identity;
  identity["did"] = json::Value(handle().did.uri());
  identity["handle"] = json::Value(handle().to_string());
  identity["ensemble"] = json::Value(ensemble_);
  identity["allocation"] = json::Value(std::string(jobs::allocation_name(parts_.allocation_id)));
  identity["namespace"] = json::Value(protocol::work_namespace(ensemble_));
  return identity;
}

std::string WorkActor::on_network(const std::string& name) const {
  return name.starts_with(protocol::kWorkPrefix) ? protocol::ensemble_namespace(ensemble_) + name : name;
}

// ---------------------------------------------------------------------------------------------------------- targets

WorkActor::TargetPtr WorkActor::known(const std::string& to, Duration age) const {
  const auto found = targets_.find(to);
  if (found == targets_.end() || found->second->expires <= actor_->lane().unix_now()) return nullptr;
  return actor_->lane().now() < found->second->asked + age ? found->second : nullptr;
}

Task<Result<WorkActor::TargetPtr>> WorkActor::find(std::string to) {
  if (TargetPtr target = known(to, kTargetKnown)) co_return target;
  CO_TRY(const Mutex::Lock lock, co_await asking_.lock_unless_cancelled());
  if (TargetPtr target = known(to, kTargetKnown)) co_return target;  // another call has looked it up meanwhile
  if (actor_->lane().now() < next_ask_) CO_TRY_VOID(co_await sleep_until(next_ask_));
  next_ask_ = actor_->lane().now() + kAskPause;
  Task<Result<TargetPtr>> looking = look_up(to);
  Result<TargetPtr> target = co_await std::move(looking);
  if (!target) {
    targets_.erase(to);
    co_return std::unexpected(target.error());
  }
  if (targets_.size() >= kMaxTargets && !targets_.contains(to)) targets_.clear();
  targets_[to] = *target;
  co_return *target;
}

void WorkActor::doubt(const std::string& to) {
  if (const auto found = targets_.find(to); found != targets_.end())
    found->second->asked = std::min(found->second->asked, actor_->lane().now() - kTargetKnown);
}

Task<Result<WorkActor::TargetPtr>> WorkActor::look_up(std::string to) {
  protocol::WorkGrantRequest request;
  request.allocation_id = parts_.allocation_id;
  if (to.starts_with("did:")) {
    CO_TRY(request.node, did::Did::parse(to));
  } else {
    request.sibling = to;
  }
  Task<Result<protocol::WorkGrantReply>> asking =
      protocol::call(parts_.allocation, protocol::kWorkGrant, parts_.orchestrator, request);
  const Result<protocol::WorkGrantReply> reply = co_await std::move(asking);
  if (!reply) {
    const TargetPtr before = known(to, ucan::kStandingGrantTime);
    if (!before) co_return fail(reply.error(), "asking the orchestrator what this work may call");
    before->asked = actor_->lane().now();  // not asked again for each call
    co_return before;
  }
  if (!reply->ok) co_return fail(Errc::not_found, "{}", shortened(reply->error, 512));
  if (!request.sibling.empty() && !reply->sibling)
    co_return fail(Errc::not_found, "the orchestrator names no actor for '{}'", shortened(to, 64));
  co_return make_target(*reply, request.node);
}

Result<WorkActor::TargetPtr> WorkActor::make_target(const protocol::WorkGrantReply& reply, const did::Did& node) const {
  auto target = std::make_shared<Target>();
  if (reply.sibling) {
    TRY_VOID(check_limits(*reply.sibling));
    target->handle = *reply.sibling;
  } else if (!node.empty()) {
    TRY(target->handle, actor::Handle::from(node));
  }
  if (const auto host = target->handle.address.peer(); host && reply.addresses.size() <= protocol::kMaxCalledAddresses)
    actor_->system().network.learn_addresses(*host, reply.addresses);
  const UnixTime now = actor_->lane().unix_now();
  crypto::PrivateKey key = actor_->security().key();
  TRY(auto context, own_context(key, actor_->lane().random()));
  ucan::Anchors anchors;
  anchors.provide = reply.tokens;
  if (const Result<void> anchored = context->anchor(anchors, now); !anchored)
    return fail(anchored.error(), "the delegations of the orchestrator");
  target->expires = now + ucan::kStandingGrantTime;
  for (const ucan::Token& token : reply.tokens.tokens) {
    std::ranges::copy(token.capabilities(), std::back_inserter(target->allowed));
    target->expires = std::min(target->expires, token.expires());
  }
  TRY(actor::SecurityContext security, actor::SecurityContext::create(std::move(key), std::move(context), now));
  target->security = std::make_shared<actor::SecurityContext>(std::move(security));
  target->asked = actor_->lane().now();
  return target;
}

Result<ucan::Capability> WorkActor::covered(const Target& target, const std::string& behaviour) const {
  TRY(ucan::Capability wanted, ucan::Capability::parse(on_network(behaviour)));
  if (ucan::any_implies(target.allowed, wanted)) return wanted;
  return fail(Errc::permission_denied, "this work has no capability for {}; it has {}", wanted.path(),
              ucan::to_string(target.allowed));
}

// ---------------------------------------------------------------------------------------------------------- sending

Task<Result<actor::Envelope>> WorkActor::prepare(WorkRequest request, bool awaits_reply, actor::Handle sibling) {
  const UnixTime expires = actor_->lane().unix_now() + std::chrono::milliseconds(request.timeout_ms);
  Task<Result<TargetPtr>> finding = find(request.to);
  Task<Result<TargetPtr>> in_time = with_timeout(std::chrono::milliseconds(request.timeout_ms), std::move(finding));
  CO_TRY(const TargetPtr target, co_await std::move(in_time));
  CO_TRY(ucan::Capability wanted, covered(*target, request.behaviour));
  actor::MessageOptions options;
  options.expires = expires;
  const std::uint64_t nonce = actor_->security().next_nonce();
  ucan::Capabilities reply;
  if (awaits_reply) {
    options.reply_to = fmt::format("{}{}", actor::kReplyPrefix, nonce);
    CO_TRY(ucan::Capability path, ucan::Capability::parse(options.reply_to));
    reply.push_back(std::move(path));
  }
  if (sibling.empty()) sibling = target->handle;
  if (sibling.empty()) options.topic = on_network(request.topic);
  actor::Envelope envelope = actor_->message(sibling, wanted.path(), payload_bytes(request.payload), options);
  envelope.nonce = nonce;
  // It is signed here, so the clock of its receiver is allowed for here, as far as the delegations last.
  const Duration ahead = actor_->system().clocks.ahead(envelope.to.address.host);
  envelope.options.expires = std::max(expires, std::min(expires + ahead, target->expires)).nanos;
  const ucan::Capabilities invoke(1, wanted);
  const UnixTime now = actor_->lane().unix_now();
  if (envelope.is_broadcast()) {
    CO_TRY_VOID(target->security->provide_broadcast(envelope, invoke, now));
  } else {
    CO_TRY_VOID(target->security->provide(envelope, invoke, reply, now));
  }
  co_return std::move(envelope);
}

Task<Result<actor::Envelope>> WorkActor::redirect(WorkRequest request, bool awaits_reply, SteadyTime until,
                                                  actor::Handle before, Error why) {
  doubt(request.to);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - actor_->lane().now());
  if (!is_unsent(why) || left <= 0ms) co_return std::unexpected(std::move(why));
  request.timeout_ms = static_cast<std::uint64_t>(left.count());
  Task<Result<actor::Envelope>> preparing = prepare(std::move(request), awaits_reply, actor::Handle());
  Result<actor::Envelope> envelope = co_await std::move(preparing);
  if (!envelope || envelope->to == before) co_return std::unexpected(std::move(why));
  co_return *std::move(envelope);
}

Task<Result<json::Value>> WorkActor::invoke(WorkRequest request) {
  const SteadyTime until = actor_->lane().now() + std::chrono::milliseconds(request.timeout_ms);
  Task<Result<actor::Envelope>> preparing = prepare(request, true, actor::Handle());
  CO_TRY(actor::Envelope envelope, co_await std::move(preparing));
  Task<Result<actor::Envelope>> invoking = actor_->invoke(envelope);
  Result<actor::Envelope> reply = co_await with_deadline(until, std::move(invoking));
  if (!reply) {
    Task<Result<actor::Envelope>> redirecting = redirect(request, true, until, envelope.to, reply.error());
    CO_TRY(actor::Envelope redirected, co_await std::move(redirecting));
    Task<Result<actor::Envelope>> again = actor_->invoke(std::move(redirected));
    reply = co_await with_deadline(until, std::move(again));
  }
  if (!reply) {
    doubt(request.to);
    co_return std::unexpected(reply.error());
  }
  if (reply->message.empty()) co_return json::Value();
  Result<json::Value> payload = json::parse(as_text(reply->message));
  if (!payload) co_return fail(payload.error(), "the payload of the reply");
  co_return std::move(payload);
}

Task<Result<void>> WorkActor::send(WorkRequest request) {
  const SteadyTime until = actor_->lane().now() + std::chrono::milliseconds(request.timeout_ms);
  Task<Result<actor::Envelope>> preparing = prepare(request, false, actor::Handle());
  CO_TRY(actor::Envelope envelope, co_await std::move(preparing));
  Task<Result<void>> sending = actor_->send(envelope);
  Result<void> sent = co_await with_deadline(until, std::move(sending));
  if (!sent) {
    Task<Result<actor::Envelope>> redirecting = redirect(request, false, until, envelope.to, sent.error());
    CO_TRY(actor::Envelope redirected, co_await std::move(redirecting));
    Task<Result<void>> again = actor_->send(std::move(redirected));
    sent = co_await with_deadline(until, std::move(again));
  }
  if (!sent) doubt(request.to);
  co_return sent;
}

Task<Result<void>> WorkActor::publish(WorkRequest request) {
  request.to.clear();
  Task<Result<actor::Envelope>> preparing = prepare(request, false, actor::Handle());
  CO_TRY(actor::Envelope envelope, co_await std::move(preparing));
  Task<Result<void>> publishing = actor_->publish(std::move(envelope));
  Result<void> published = co_await std::move(publishing);
  const std::vector<actor::Handle> here = parts_.siblings_here(request.behaviour, request.topic);
  for (const actor::Handle& sibling : here) {  // one that fails keeps nothing from the others
    Task<Result<actor::Envelope>> addressing = prepare(request, false, sibling);
    Result<actor::Envelope> message = co_await std::move(addressing);
    Result<void> sent;
    if (message) {
      Task<Result<void>> sending = actor_->send(*std::move(message));
      sent = co_await std::move(sending);
    } else {
      sent = std::unexpected(message.error());
    }
    if (published && !sent) published = sent;
  }
  co_return published;
}

// -------------------------------------------------------------------------------------------------------- receiving

Result<void> WorkActor::offer(const std::string& behaviour, const std::string& topic, OnCall on_call) {
  if (offered_.contains(behaviour)) return fail(Errc::already_exists, "{} is registered already", behaviour);
  if (offered_.size() >= kMaxWorkBehaviours)
    return fail(Errc::limit_exceeded, "{} behaviours are registered, which is the limit", offered_.size());
  actor::BehaviourOptions options;
  if (!topic.empty()) {
    options.topic = on_network(topic);
    TRY_VOID(actor_->subscribe(options.topic));
  }
  TRY_VOID(actor_->add_behaviour(on_network(behaviour), std::move(on_call), std::move(options)));
  offered_[behaviour] = topic;
  return {};
}

void WorkActor::withdraw(const std::string& behaviour) {
  const auto found = offered_.find(behaviour);
  if (found == offered_.end()) return;
  const std::string topic = found->second;
  offered_.erase(found);
  actor_->remove_behaviour(on_network(behaviour));
  const bool used = std::ranges::any_of(offered_, [&](const auto& other) { return other.second == topic; });
  if (!topic.empty() && !used) actor_->unsubscribe(on_network(topic));
}

Task<Result<void>> WorkActor::reply(const actor::Envelope& call, const json::Value& payload) {
  return actor_->reply_to(call, payload_bytes(payload));
}

}  // namespace dms::provider
