// Serving and calling declared behaviours: payloads are typed at both ends.
//
//     serve(actor, protocol::kPeersPing, *this, &Peers::ping);   // Task<PingReply> ping(PingRequest, const Envelope&)
//     Result<PingReply> reply = co_await call(actor, protocol::kPeersPing, peer, PingRequest{...});
//
// The payload is parsed before the method is called, and its reply is sent back. A payload that cannot be read is
// answered with the reply's `error`, which names the field; a message without payload is read as a default Request. A
// message that expects no reply gets none. A Request that has `kAlsoKnown` refuses members that are set and that
// nothing reads (encoding/unknown.hpp), but for those of that list: they ask for what is done anyway. A class with a
// public `before_reply(reply, envelope)` sees each of its replies before it is sent, and may change it.
#pragma once

#include "actor/actor.hpp"
#include "base/log.hpp"
#include "encoding/unknown.hpp"
#include "protocol/declaration.hpp"

namespace dms::protocol {

/// The topic and the capability that a declaration names, for Actor::add_behaviour().
inline actor::BehaviourOptions behaviour_options(const Declaration& declaration) {
  actor::BehaviourOptions options;
  options.topic = declaration.topic;
  options.open = declaration.open;
  if (!declaration.capability.empty())
    if (auto needed = ucan::Capability::parse(declaration.capability)) options.capabilities = {*needed};
  return options;
}

namespace detail {

template <class Request>
Result<Request> read_request(const actor::Envelope& envelope) {
  const Result<json::Value> parsed = json::parse(as_text(envelope.message));
  Result<Request> request = actor::payload<Request>(envelope, parsed);
  if constexpr (requires { Request::kAlsoKnown; }) {
    if (!request) return request;
    const std::string found = json::first_unknown<Request>(*parsed, [](std::string_view name) {
      return std::ranges::any_of(Request::kAlsoKnown,
                                 [&](std::string_view known) { return json::equal_any_case(name, known); });
    });
    if (!found.empty())
      return fail(Errc::unsupported, "{}: unknown member, which nothing here acts on; remove it", found);
  }
  return request;
}

template <class T, class Request, class Reply>
Task<void> answer(actor::Actor& actor, T& self, Task<Reply> (T::*method)(Request, const actor::Envelope&),
                  actor::Envelope envelope) {
  const bool empty = envelope.message.empty() || as_text(envelope.message) == "null";
  Result<Request> request = empty ? Result<Request>(Request{}) : read_request<Request>(envelope);
  Reply reply{};
  if (request) {
    Task<Reply> work = (self.*method)(std::move(*request), envelope);
    reply = co_await std::move(work);
  } else if constexpr (requires { reply.error.clear(); }) {
    reply.error = request.error().to_string();
  } else {
    log::debug("protocol", "{}: {}", envelope.behaviour, request.error().to_string());
    co_return;
  }
  if (envelope.options.reply_to.empty()) co_return;
  if constexpr (requires { self.before_reply(reply, envelope); }) self.before_reply(reply, envelope);
  if (Result<void> sent = co_await actor.reply(envelope, reply); !sent)
    log::debug("protocol", "replying to {}: {}", envelope.behaviour, sent.error().to_string());
}

}  // namespace detail

/// Registers `method` under `path`, by default the declared one. `self` outlives the registration.
template <class Request, class Reply, class T>
Result<void> serve(actor::Actor& actor, const Behaviour<Request, Reply>& behaviour, T& self,
                   Task<Reply> (T::*method)(Request, const actor::Envelope&), std::string path = {}) {
  return actor.add_behaviour(
      path.empty() ? std::string(behaviour.path) : std::move(path),
      [&actor, &self, method](actor::Envelope envelope) {
        return detail::answer(actor, self, method, std::move(envelope));
      },
      behaviour_options(behaviour));
}

/// The message that calls a behaviour, unsigned. `timeout` is the declared one unless given.
template <class Request, class Reply>
actor::Envelope message(const actor::Actor& actor, const Behaviour<Request, Reply>& behaviour, const actor::Handle& to,
                        const Request& request, std::optional<Duration> timeout = {}, std::string path = {}) {
  actor::MessageOptions options;
  options.timeout = timeout.value_or(behaviour.timeout);
  return actor.message(to, path.empty() ? std::string(behaviour.path) : std::move(path), actor::to_payload(request),
                       options);
}

/// Sends `request` to the behaviour of `to` and waits for the reply, for `timeout` at most.
template <class Request, class Reply>
Task<Result<Reply>> call(actor::Actor& actor, const Behaviour<Request, Reply>& behaviour, const actor::Handle& to,
                         const Request& request, std::optional<Duration> timeout = std::nullopt,
                         std::string path = "") {
  return actor.template call<Reply>(message(actor, behaviour, to, request, timeout, std::move(path)));
}

}  // namespace dms::protocol
