#include "cli/client/client.hpp"

#include "actor/error_reply.hpp"

namespace dms::cli {
namespace {

/// How much longer than the envelope we wait for the daemon, which itself waits until the envelope has expired.
constexpr Duration kGrace = std::chrono::seconds(5);

std::string error_text(const HttpResponse& response) {
  const auto body = json::parse(response.body);
  if (body && body->is_object())
    if (const auto* text = json::find_member(body->as_object(), "error"); text != nullptr && text->is_string())
      return std::string(text->as_string());
  return fmt::format("status {} {}", response.status, http_reason(response.status));
}

/// The body of a 200; anything else as an error.
Result<std::string> call(Session& session, HttpRequest request, Duration limit) {
  TRY(auto address, session.rest_address());
  auto response = session.environment().call(address, std::move(request), limit);
  if (!response) {
    if (response.error().is(dms::Errc::cancelled)) return std::unexpected(response.error());
    if (response.error().is(dms::Errc::deadline_exceeded))
      return fail(Errc::no_daemon, "the daemon at {} is too slow to answer", address.to_string());
    return std::unexpected(response.error().context(
        Errc::no_daemon,
        fmt::format("no daemon answers at {}; start one with `nunet run`, or name its address with --rest-port",
                    address.to_string())));
  }
  if (response->status == 408)
    return fail(Errc::refused,
                "no answer in time: the destination is away, does not know this behaviour, or you may not use it (what "
                "it grants is "
                "seen with `nunet cap list` there); a longer wait: --timeout");
  if (!response->ok()) return fail(Errc::failed, "the daemon refused: {}", error_text(*response));
  return std::move(response->body);
}

Result<std::string> post(Session& session, std::string_view endpoint, const actor::Envelope& envelope) {
  const UnixTime now = session.environment().now();
  if (envelope.expired(now))
    return fail(Errc::failed, "the message expired at {}; make a new one", format_time(envelope.expiry()));
  HttpRequest request("POST", fmt::format("/api/v1/actor/{}", endpoint), std::string(as_text(envelope.encode())));
  return call(session, std::move(request), envelope.expiry() - now + kGrace);
}

Result<void> check_reply(const actor::Envelope& request, const actor::Envelope& reply, UnixTime now) {
  TRY_VOID(reply.verify(now));
  if (reply.to != request.from || reply.behaviour != request.options.reply_to)
    return fail(Errc::failed, "the reply answers something else");
  if (request.is_broadcast()) return {};
  const bool same_actor =
      reply.from.id == request.to.id || (!request.to.did.empty() && reply.from.did == request.to.did);
  if (!same_actor || reply.from.address.host != request.to.address.host)
    return fail(Errc::failed, "the reply comes from {}, not from {}", reply.from.to_string(), request.to.to_string());
  return {};
}

}  // namespace

Result<void> send_envelope(Session& session, const actor::Envelope& envelope) {
  TRY([[maybe_unused]] auto body, post(session, "send", envelope));
  return {};
}

Result<actor::Envelope> invoke_envelope(Session& session, const actor::Envelope& envelope) {
  TRY(auto body, post(session, "invoke", envelope));
  auto reply = actor::Envelope::decode(as_bytes(body));
  if (!reply) return fail(reply.error(), "reading the reply");
  TRY_VOID(check_reply(envelope, *reply, session.environment().now()));
  if (const auto refused = actor::ErrorReply::read(*reply))
    return fail(Errc::refused, "{} refuses: {}", reply->from.address.host, refused->error);
  return reply;
}

Result<std::vector<actor::Envelope>> broadcast_envelope(Session& session, const actor::Envelope& envelope) {
  TRY(auto body, post(session, "broadcast", envelope));
  auto replies = json::decode<std::optional<std::vector<actor::Envelope>>>(body, {.bytes = 64 << 20});
  if (!replies) return fail(replies.error(), "reading the replies");
  auto list = replies->value_or(std::vector<actor::Envelope>());
  // They were collected until the request expired: judge them as of then.
  const auto wrong = [&](const actor::Envelope& reply) { return !check_reply(envelope, reply, envelope.expiry()); };
  if (const auto dropped = std::erase_if(list, wrong); dropped > 0)
    session.note(fmt::format("{} replies are not rightly signed and left out.", dropped));
  return list;
}

Result<Client> Client::open(Session& session, const std::string& context) {
  TRY(auto body, call(session, HttpRequest("GET", "/api/v1/actor/handle"), kGrace));
  auto daemon = json::decode<actor::Handle>(body);
  if (!daemon) return fail(daemon.error(), "reading the daemon's handle");
  TRY(auto signer, session.load_signer(context));
  TRY(auto capabilities, session.load_context(context, signer));
  auto shared = std::make_shared<ucan::CapabilityContext>(std::move(capabilities));
  // A wallet's key is no actor's, and in the daemon's own name a reply to its key would be a message to itself: then a key
  // signs that is made for it and for which the context vouches.
  auto key = signer.private_key();
  if (!key || actor::Id::from(key->public_key()) == daemon->id)
    key = crypto::PrivateKey::generate(session.environment().random());
  TRY(auto security, actor::SecurityContext::create(*std::move(key), std::move(shared), session.environment().now()));
  return Client(session, std::move(security), *std::move(daemon));
}

Result<actor::Handle> Client::destination(const std::string& text) const {
  if (text.empty()) return daemon_;
  auto parsed = [&]() -> Result<actor::Handle> {
    if (text.starts_with('{')) return json::decode<actor::Handle>(text);
    if (text.find('@') != std::string::npos) return actor::Handle::parse(text);
    if (text.starts_with("did:")) {
      TRY(auto did, did::Did::parse(text));
      return actor::Handle::from(did);
    }
    TRY(auto peer, crypto::PeerId::parse(text));
    return actor::Handle::from(peer);
  }();
  if (!parsed)
    return std::unexpected(parsed.error().context(Errc::usage, "--dest: expected a DID, a peer id or a handle"));
  return parsed;
}

Result<actor::Envelope> Client::make(const Message& message) {
  auto behaviour = ucan::Capability::parse(message.behaviour);
  if (!behaviour) return std::unexpected(behaviour.error().context(Errc::usage, "the behaviour"));
  const std::uint64_t nonce = security_.next_nonce();
  const UnixTime now = session_->environment().now();
  actor::Envelope envelope;
  envelope.behaviour = message.behaviour;
  envelope.from = {security_.id(), security_.did(), {daemon_.address.host, fmt::format("user-{}", nonce)}};
  envelope.nonce = nonce;
  envelope.options.expires = message.expires.nanos;
  envelope.message = message.payload;
  if (!message.topic.empty()) {
    envelope.options.topic = message.topic;
    envelope.options.reply_to = fmt::format("/public/user/{}", nonce);
    TRY_VOID(security_.provide_broadcast(envelope, {*behaviour}, now));
    return envelope;
  }
  TRY(envelope.to, destination(message.destination));
  ucan::Capabilities reply;
  if (message.wants_reply) {
    envelope.options.reply_to = fmt::format("/private/user/{}", nonce);
    TRY(auto path, ucan::Capability::parse(envelope.options.reply_to));
    reply.push_back(std::move(path));
  }
  TRY_VOID(security_.provide(envelope, {*behaviour}, reply, now));
  return envelope;
}

Result<void> Client::send(const actor::Envelope& envelope) { return send_envelope(*session_, envelope); }
Result<actor::Envelope> Client::invoke(const actor::Envelope& envelope) { return invoke_envelope(*session_, envelope); }
Result<std::vector<actor::Envelope>> Client::broadcast(const actor::Envelope& envelope) {
  return broadcast_envelope(*session_, envelope);
}

}  // namespace dms::cli
