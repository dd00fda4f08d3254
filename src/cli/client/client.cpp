#include "cli/client/client.hpp"

#include "actor/error_reply.hpp"
#include "api/settings.hpp"

namespace dms::cli {
namespace {

/// The daemon waits until the envelope has expired; the command line waits this much longer for the daemon.
constexpr Duration kGrace = std::chrono::seconds(5);
constexpr Duration kReadTime = std::chrono::seconds(60);
/// The last page of a large file takes as long as its digest.
constexpr Duration kWriteTime = std::chrono::minutes(10);

HttpRequest page_request(std::string method, const std::string& ticket, std::uint64_t offset, std::string body = {}) {
  return {std::move(method), fmt::format("{}{}?offset={}", api::kFilePath, ticket, offset), std::move(body),
          "application/octet-stream"};
}

struct PageReply {
  std::uint64_t offset = 0;
  static constexpr auto json_fields() { return std::tuple(json::field("offset", &PageReply::offset)); }
};

Result<std::string> post(Session& session, std::string_view path, const actor::Envelope& envelope) {
  const UnixTime now = session.environment().now();
  if (envelope.expired(now))
    return fail(Errc::failed, "the message expired at {}; make a new one", format_time(envelope.expiry()));
  TRY(auto* daemon, session.daemon());
  HttpRequest request("POST", std::string(path), std::string(as_text(envelope.encode())));
  return daemon->call(std::move(request), envelope.expiry() - now + kGrace);
}

Result<void> check_reply(const actor::Envelope& request, const actor::Envelope& reply, UnixTime now) {
  TRY_VOID(reply.verify(now));
  if (reply.to != request.from || reply.behaviour != request.options.reply_to)
    return fail(Errc::failed, "the reply is to another request");
  if (request.is_broadcast()) return {};
  // The DID is not proven: the sender sets it, and the signature is by the key of `id`.
  const bool same_actor = !request.to.id.empty() && reply.from.id == request.to.id;
  if (!same_actor || reply.from.address.host != request.to.address.host)
    return fail(Errc::failed, "the reply comes from {}, not from {}", reply.from.to_string(), request.to.to_string());
  return {};
}

}  // namespace

Result<void> send_envelope(Session& session, const actor::Envelope& envelope) {
  TRY([[maybe_unused]] auto body, post(session, api::kSendPath, envelope));
  return {};
}

Result<actor::Envelope> invoke_envelope(Session& session, const actor::Envelope& envelope) {
  TRY(auto body, post(session, api::kInvokePath, envelope));
  auto reply = actor::Envelope::decode(as_bytes(body));
  if (!reply) return fail(reply.error(), "reading the reply");
  TRY_VOID(check_reply(envelope, *reply, session.environment().now()));
  if (const auto refused = actor::ErrorReply::read(*reply))
    return fail(Errc::refused, "{} refuses: {}", reply->from.address.host, refused->error);
  return reply;
}

Result<std::vector<actor::Envelope>> broadcast_envelope(Session& session, const actor::Envelope& envelope) {
  TRY(auto body, post(session, api::kBroadcastPath, envelope));
  auto replies = json::decode<std::optional<std::vector<actor::Envelope>>>(body, {.bytes = 64 << 20});
  if (!replies) return fail(replies.error(), "reading the replies");
  auto list = replies->value_or(std::vector<actor::Envelope>());
  // They were collected until the request expired: check them as of that time.
  const auto wrong = [&](const actor::Envelope& reply) { return !check_reply(envelope, reply, envelope.expiry()); };
  if (const auto dropped = std::erase_if(list, wrong); dropped > 0)
    session.note(fmt::format("{} replies are left out: their signatures are not valid.", dropped));
  return list;
}

Result<Client> Client::open(Session& session, const std::string& context) {
  TRY(const auto* daemon, session.daemon());
  const actor::Handle& handle = daemon->handle();
  TRY(auto signer, session.load_signer(context));
  TRY(auto capabilities, session.load_context(context, signer));
  auto shared = std::make_shared<ucan::CapabilityContext>(std::move(capabilities));
  // A wallet's key is not an actor's, and a reply to the daemon's own key would be a message from the daemon to itself. In both
  // cases a key is made that signs, with a delegation from the context.
  auto key = signer.private_key();
  if (!key || actor::Id::from(key->public_key()) == handle.id)
    key = crypto::PrivateKey::generate(session.environment().random());
  TRY(auto security, actor::SecurityContext::create(*std::move(key), std::move(shared), session.environment().now()));
  return Client(session, std::move(security), handle);
}

Result<actor::Handle> parse_destination(const std::string& text) {
  if (text.empty())
    return fail(Errc::usage,
                "--dest: expected a DID, a peer id or a handle, as did:key:z6Mk... or 12D3KooW..., found "
                "nothing; without --dest the message goes to the local daemon");
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
  envelope.from = {
      security_.id(), security_.did(), {daemon_.address.host, fmt::format("{}{}", api::kCallerInbox, nonce)}};
  envelope.nonce = nonce;
  envelope.options.expires = message.expires.nanos;
  envelope.message = message.payload;
  if (!message.topic.empty()) {
    envelope.options.topic = message.topic;
    envelope.options.reply_to = fmt::format("/public/user/{}", nonce);
    TRY_VOID(security_.provide_broadcast(envelope, {*behaviour}, now));
    return envelope;
  }
  envelope.to = daemon_;
  if (!message.destination.empty()) {
    TRY(envelope.to, parse_destination(message.destination));
  }
  ucan::Capabilities reply;
  if (message.wants_reply) {
    envelope.options.reply_to = fmt::format("/private/user/{}", nonce);
    TRY(auto path, ucan::Capability::parse(envelope.options.reply_to));
    reply.push_back(std::move(path));
  }
  TRY_VOID(security_.provide(envelope, {*behaviour}, reply, now));
  return envelope;
}

Result<Bytes> Client::read_page(const std::string& ticket, std::uint64_t offset) {
  TRY(auto* daemon, session_->daemon());
  TRY(const std::string body, daemon->call(page_request("GET", ticket, offset), kReadTime));
  return to_bytes(body);
}

Result<std::uint64_t> Client::write_page(const std::string& ticket, std::uint64_t offset, BytesView data) {
  TRY(auto* daemon, session_->daemon());
  HttpRequest request = page_request("POST", ticket, offset, std::string(as_text(data)));
  TRY(const std::string body, daemon->call(std::move(request), kWriteTime));
  const auto reply = json::decode<PageReply>(body);
  if (!reply) return fail(reply.error(), "reading where the next page starts");
  return reply->offset;
}

Result<void> Client::send(const actor::Envelope& envelope) { return send_envelope(*session_, envelope); }
Result<actor::Envelope> Client::invoke(const actor::Envelope& envelope) { return invoke_envelope(*session_, envelope); }
Result<std::vector<actor::Envelope>> Client::broadcast(const actor::Envelope& envelope) {
  return broadcast_envelope(*session_, envelope);
}

}  // namespace dms::cli
