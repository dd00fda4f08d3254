#include "api/relay.hpp"

#include "base/log.hpp"

namespace dms::api {
namespace {

/// A name that becomes part of a protocol name.
Result<void> check_inbox(std::string_view inbox) {
  if (auto valid = actor::check_inbox(inbox); !valid)
    return std::unexpected(valid.error().context(actor::Errc::malformed, "from.addr.inbox"));
  return {};
}

}  // namespace

Result<void> check_reply(const actor::Envelope& request, const actor::Envelope& reply, const crypto::PeerId& peer,
                         UnixTime now) {
  using actor::Errc;
  if (reply.behaviour != request.options.reply_to)
    return fail(Errc::bad_receiver, "it invokes {}, not the reply path", reply.behaviour);
  if (reply.to != request.from) return fail(Errc::bad_receiver, "it is addressed to another actor");
  if (reply.from.address.host != peer.to_string())
    return fail(Errc::bad_sender, "its host is not the peer that sent it");
  if (!request.is_broadcast()) {
    const bool same_actor =
        reply.from.id == request.to.id || (!request.to.did.empty() && reply.from.did == request.to.did);
    if (reply.from.address.host != request.to.address.host || !same_actor)
      return fail(Errc::bad_sender, "it does not come from the actor that was invoked");
  }
  return reply.verify(now);
}

/// The caller's inbox: open while this exists.
class Relay::Inbox {
 public:
  Inbox(Relay& relay, const actor::Envelope& request)
      : relay_(relay), request_(request), protocol_(actor::inbox_protocol(request.from.address.inbox)) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox() {
    if (open_) relay_.network_.remove_handler(protocol_);
  }

  Result<void> open() {
    TRY_VOID(relay_.network_.handle(protocol_,
                                    [this](const crypto::PeerId& from, Bytes message) { receive(from, message); }));
    open_ = true;
    return {};
  }

  Task<Result<void>> wait_for(std::size_t count) {
    while (replies_.size() < count) CO_TRY_VOID(co_await arrived_.wait());
    co_return Result<void>();
  }

  std::vector<actor::Envelope> take() { return std::move(replies_); }
  [[nodiscard]] bool empty() const { return replies_.empty(); }

 private:
  void receive(const crypto::PeerId& from, const Bytes& message) {
    auto taken = accept(from, message);
    if (taken) return arrived_.notify_all();
    ++relay_.metrics_.ignored_replies;
    log::debug("api", "ignored a message from {} to {}: {}", from.to_string(), request_.from.address.inbox,
               taken.error().to_string());
  }

  Result<void> accept(const crypto::PeerId& from, const Bytes& message) {
    TRY(auto reply, actor::Envelope::decode(message));
    if (senders_.contains(reply.from)) return fail(Errc::already_exists, "its sender has replied already");
    if (replies_.size() >= kMaxReplies || bytes_ + message.size() > kMaxReplyBytes)
      return fail(Errc::limit_exceeded, "there are too many replies");
    TRY_VOID(check_reply(request_, reply, from, relay_.lane_.unix_now()));
    bytes_ += message.size();
    senders_.insert(reply.from);
    replies_.push_back(std::move(reply));
    return {};
  }

  Relay& relay_;
  const actor::Envelope& request_;
  std::string protocol_;
  bool open_ = false;
  std::vector<actor::Envelope> replies_;
  std::set<actor::Handle> senders_;
  std::size_t bytes_ = 0;
  Notify arrived_;
};

Result<void> Relay::check_request(const actor::Envelope& envelope) const {
  const std::string self = network_.self().to_string();
  if (envelope.from.address.host != self)
    return fail(actor::Errc::bad_sender, "from.addr.host: expected this node, {}, found \"{}\"", self,
                envelope.from.address.host);
  TRY_VOID(check_inbox(envelope.from.address.inbox));
  return envelope.verify(lane_.unix_now());
}

SteadyTime Relay::deadline_of(const actor::Envelope& envelope) const {
  const UnixTime now = lane_.unix_now();
  const UnixTime latest = now + kMaxWait;
  return lane_.now() + (std::min(envelope.expiry(), latest) - now);
}

Task<Result<void>> Relay::deliver(actor::Envelope envelope, NoInbox no_inbox) {
  if (envelope.is_broadcast()) {
    Bytes text = envelope.encode();
    co_return co_await network_.publish(envelope.options.topic, std::move(text));
  }
  if (envelope.to.address.inbox.empty())
    co_return fail(actor::Errc::malformed, "to.addr.inbox: expected the name of the receiver's inbox, found none");
  auto peer = envelope.to.address.peer();
  if (!peer) co_return fail(peer.error(), "to.addr.host: expected a peer id");
  Bytes text = envelope.encode();
  auto sent = co_await network_.send(*peer, actor::inbox_protocol(envelope.to.address.inbox), std::move(text));
  const bool hidden = no_inbox == NoInbox::hidden && !sent && sent.error().is(Errc::unsupported);
  if (!sent && !hidden) co_return fail(sent.error(), "failed to send message to {}", envelope.to.address.host);
  co_return Result<void>();
}

Task<Result<void>> Relay::send(actor::Envelope envelope, NoInbox no_inbox) {
  CO_TRY_VOID(check_request(envelope));
  if (envelope.is_broadcast())
    co_return fail(actor::Errc::bad_receiver, "to: post a broadcast to /api/v1/actor/broadcast");
  ++metrics_.relayed;
  const SteadyTime deadline = deadline_of(envelope);
  co_return co_await with_deadline(deadline, deliver(std::move(envelope), no_inbox));
}

Task<Result<void>> Relay::exchange(const actor::Envelope& envelope, Inbox& inbox, std::size_t wanted,
                                   NoInbox no_inbox) {
  CO_TRY_VOID(co_await deliver(envelope, no_inbox));
  co_return co_await inbox.wait_for(wanted);
}

Task<Result<actor::Envelope>> Relay::invoke(actor::Envelope envelope, NoInbox no_inbox) {
  CO_TRY_VOID(check_request(envelope));
  if (envelope.is_broadcast())
    co_return fail(actor::Errc::bad_receiver, "to: post a broadcast to /api/v1/actor/broadcast");
  if (envelope.options.reply_to.empty())
    co_return fail(actor::Errc::no_reply_expected, "opt.cont: an invocation needs a reply path");
  Inbox inbox(*this, envelope);
  CO_TRY_VOID(inbox.open());
  ++metrics_.relayed;
  CO_TRY_VOID(co_await with_deadline(deadline_of(envelope), exchange(envelope, inbox, 1, no_inbox)));
  auto replies = inbox.take();
  co_return std::move(replies.front());
}

Task<Result<std::vector<actor::Envelope>>> Relay::broadcast(actor::Envelope envelope) {
  if (!envelope.is_broadcast()) co_return fail(actor::Errc::bad_receiver, "message is not a broadcast message");
  CO_TRY_VOID(check_request(envelope));
  Inbox inbox(*this, envelope);
  CO_TRY_VOID(inbox.open());
  ++metrics_.relayed;
  auto collected =
      co_await with_deadline(deadline_of(envelope), exchange(envelope, inbox, kMaxReplies, NoInbox::reported));
  if (!collected && !collected.error().is(Errc::deadline_exceeded)) co_return std::unexpected(collected.error());
  co_return inbox.take();
}

}  // namespace dms::api
