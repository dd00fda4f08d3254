// Typed behaviours: the payload is parsed before the method is called, and its answer is sent back.
//
//     serve(actor, behaviour::kPeersPing, *this, &Peers::ping);   // Task<PingReply> ping(PingRequest, const Envelope&)
//
// A payload that cannot be read is answered with the reply's `error`, which names the field; a message without payload
// is read as a default Request. Nothing is answered to a message that expects no reply.
#pragma once

#include "actor/actor.hpp"
#include "base/log.hpp"

namespace dms::node {

/// The payload of a behaviour that needs none; whatever was sent is not looked at.
struct Nothing {
  void to_json(json::Writer& writer) const { writer.begin_object().end_object(); }
  static Result<Nothing> from_json(const json::Value&) { return Nothing{}; }
};

namespace detail {

template <class T, class Request, class Reply>
Task<void> answer(actor::Actor& actor, T& self, Task<Reply> (T::*method)(Request, const actor::Envelope&),
                  actor::Envelope envelope) {
  const bool empty = envelope.message.empty() || as_text(envelope.message) == "null";
  Result<Request> request = empty ? Result<Request>(Request{}) : actor::payload<Request>(envelope);
  Reply reply{};
  if (request) {
    Task<Reply> work = (self.*method)(std::move(*request), envelope);
    reply = co_await std::move(work);
  } else if constexpr (requires { reply.error.clear(); }) {
    reply.error = request.error().to_string();
  } else {
    log::debug("node", "{}: {}", envelope.behaviour, request.error().to_string());
    co_return;
  }
  if (envelope.options.reply_to.empty()) co_return;
  if (Result<void> sent = co_await actor.reply(envelope, reply); !sent)
    log::debug("node", "answering {}: {}", envelope.behaviour, sent.error().to_string());
}

}  // namespace detail

template <class T, class Request, class Reply>
Result<void> serve(actor::Actor& actor, std::string path, T& self,
                   Task<Reply> (T::*method)(Request, const actor::Envelope&), actor::BehaviourOptions options = {}) {
  return actor.add_behaviour(
      std::move(path),
      [&actor, &self, method](actor::Envelope envelope) {
        return detail::answer(actor, self, method, std::move(envelope));
      },
      std::move(options));
}

template <class T, class Request, class Reply>
Result<void> serve(actor::Actor& actor, std::string_view path, T& self,
                   Task<Reply> (T::*method)(Request, const actor::Envelope&), actor::BehaviourOptions options = {}) {
  return serve(actor, std::string(path), self, method, std::move(options));
}

}  // namespace dms::node
