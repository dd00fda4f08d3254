// Invokes actors for the user: signs envelopes with the user's key, and the local daemon relays them.
//
// The daemon provides its handle; `from` is {id: the context's key, did: the context's DID, addr: {host: the
// daemon, inbox: "user-<nonce>"}}; in the daemon's own context and in a wallet's, id is a key made for this command. A
// reply is expected at `/private/user/<nonce>`, for a broadcast at `/public/user/<nonce>`. A reply is accepted only if
// it is signed by the key of the actor that was invoked, independently of the daemon; of a broadcast, by the key that
// it names.
//
// Specification: NuNet DMS 0.5, the command line's envelopes.
#pragma once

#include <set>

#include "actor/security_context.hpp"
#include "cli/client/session.hpp"
#include "protocol/declaration.hpp"

namespace dms::cli {

struct Message {
  std::string behaviour;
  Bytes payload;
  /// A DID, a peer id, or a handle as JSON or text; empty: the local daemon.
  std::string destination;
  /// Of a broadcast; then there is no destination.
  std::string topic;
  UnixTime expires;
  bool wants_reply = true;
};

class Client {
 public:
  /// Connects to the daemon, checks it (daemon_connection.hpp) and loads the context. Errc::no_daemon if nothing
  /// answers.
  static Result<Client> open(Session& session, const std::string& context);

  Result<actor::Envelope> make(const Message& message);
  Result<void> send(const actor::Envelope& envelope);
  /// Errc::refused if the receiver replies with a refusal or not in time.
  Result<actor::Envelope> invoke(const actor::Envelope& envelope);
  /// The replies with valid signatures.
  Result<std::vector<actor::Envelope>> broadcast(const actor::Envelope& envelope);

  /// A page of a file of the local daemon, which has replied with the ticket (transfer/local_pages.hpp).
  Result<Bytes> read_page(const std::string& ticket, std::uint64_t offset);
  /// The offset of the next page.
  Result<std::uint64_t> write_page(const std::string& ticket, std::uint64_t offset, BytesView data);

  /// Calls a behaviour of the local daemon, for its declared time limit unless `timeout` is given.
  template <class Request, class Reply>
  Result<Reply> call(const protocol::Behaviour<Request, Reply>& behaviour, const Request& request,
                     std::optional<Duration> timeout = {}) {
    Message message;
    message.behaviour = behaviour.path;
    message.payload = actor::to_payload(request);
    message.expires = session_->environment().now() + timeout.value_or(behaviour.timeout);
    TRY(auto envelope, make(message));
    TRY(auto reply, invoke(envelope));
    return actor::payload<Reply>(reply);
  }

 private:
  Client(Session& session, actor::SecurityContext security, actor::Handle daemon)
      : session_(&session), security_(std::move(security)), daemon_(std::move(daemon)) {}

  Session* session_;
  actor::SecurityContext security_;
  actor::Handle daemon_;
};

/// Passes each page of what the local daemon lists as `what` to `take`, by value.
template <class Request, class Reply, class Take>
Result<void> list_pages(Client& client, const protocol::Behaviour<Request, Reply>& behaviour, Request request,
                        std::string_view what, Take take, std::optional<Duration> timeout = {}) {
  std::set<std::string> known;
  for (;;) {
    TRY(Reply reply, client.call(behaviour, request, timeout));
    if (!reply.error.empty()) return fail(Errc::failed, "{}", reply.error);
    request.after = reply.next;
    take(std::move(reply));
    if (request.after.empty()) return {};
    if (!known.insert(request.after).second) return fail(Errc::failed, "the daemon sent a page of {} twice", what);
  }
}

/// The value of --dest, see Message::destination.
Result<actor::Handle> parse_destination(const std::string& text);

/// For signed envelopes (`nunet actor send`): no key is needed.
Result<void> send_envelope(Session& session, const actor::Envelope& envelope);
Result<actor::Envelope> invoke_envelope(Session& session, const actor::Envelope& envelope);
Result<std::vector<actor::Envelope>> broadcast_envelope(Session& session, const actor::Envelope& envelope);

}  // namespace dms::cli
