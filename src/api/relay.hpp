// Relays a local caller's envelopes to their receivers, and the replies to the caller.
//
// Model
//  1. An envelope is relayed as it was signed: the relay has no key and decides nothing about permissions. Its receiver
//     decides, by its signature and its tokens.
//  2. It is refused here if no receiver could accept it: not signed by its sender, expired, without receiver, or not
//     naming this host as the sender's (a receiver compares that with the peer of its connection).
//  3. invoke() and broadcast() open the caller's inbox, `actor/<from.inbox>/messages/0.0.1`, until they return. An
//     inbox that is in use is refused, so a caller cannot impersonate an actor of this node.
//  4. A reply is accepted only if it is signed, unexpired, addressed to the caller's handle, invokes the request's
//     reply path, and comes over a connection from the host it claims. An invocation's reply must also come from the
//     host and from the key or the DID it was sent to; of a broadcast's replies, the first from each sender counts.
//     Everything else is ignored and counted. (The Go implementation accepts the first message from any sender.)
//  5. invoke() ends with the reply, broadcast() at the envelope's expiry, with the replies received until then.
//
// Threads: one lane. Cancellation: every call can be cancelled; its inbox closes.
// Limits: an exchange lasts at most kMaxWait, a broadcast collects kMaxReplies replies of kMaxReplyBytes together.
//
// Attacks: while a caller waits, any peer may send to its inbox. A forged reply costs its sender a connection and this
// node a parse, and one signature check only if every cheap comparison fits, which needs the caller's fresh inbox, key
// and reply path: those are sent encrypted to the receiver, or signed in a broadcast, to which any peer may reply.
#pragma once

#include <set>

#include "actor/actor.hpp"
#include "api/metrics.hpp"

namespace dms::api {

inline constexpr Duration kMaxWait = std::chrono::hours(1);
inline constexpr std::size_t kMaxReplies = 1024;
inline constexpr std::size_t kMaxReplyBytes = std::size_t{8} << 20;

/// Whether a caller learns that the receiver has no such inbox. If not, its message counts as sent and is not answered.
enum class NoInbox : std::uint8_t { reported, hidden };

class Relay {
 public:
  /// Counts in `metrics`.
  Relay(Lane& lane, network::Network& network, Metrics& metrics) : lane_(lane), network_(network), metrics_(metrics) {}

  Task<Result<void>> send(actor::Envelope envelope, NoInbox no_inbox);
  /// The reply; Errc::deadline_exceeded if none came in time.
  Task<Result<actor::Envelope>> invoke(actor::Envelope envelope, NoInbox no_inbox);
  Task<Result<std::vector<actor::Envelope>>> broadcast(actor::Envelope envelope);

 private:
  class Inbox;
  [[nodiscard]] Result<void> check_request(const actor::Envelope& envelope) const;
  [[nodiscard]] SteadyTime deadline_of(const actor::Envelope& envelope) const;
  Task<Result<void>> deliver(actor::Envelope envelope, NoInbox no_inbox);
  Task<Result<void>> exchange(const actor::Envelope& envelope, Inbox& inbox, std::size_t wanted, NoInbox no_inbox);

  Lane& lane_;
  network::Network& network_;
  Metrics& metrics_;
};

/// Whether `reply`, which arrived from `peer`, answers `request`: see (4).
[[nodiscard]] Result<void> check_reply(const actor::Envelope& request, const actor::Envelope& reply,
                                       const crypto::PeerId& peer, UnixTime now);

}  // namespace dms::api
