// Messages to one peer, broadcasts to many, and streams: the part of a network that the modules above use.
//
// Model
//  1. A message is a byte string of at most kMaxMessage bytes, sent to one peer under a protocol name. send() returns
//     once the transport has accepted it. There is no acknowledgement: the sender does not learn whether the receiver
//     has read it. send_until() repeats what is lost with its connection, so its receivers recognise what arrives twice
//     (actor/replay_filter.hpp).
//  2. A message arrives with the peer id that the security handshake has proved. One handler per protocol name.
//     Messages to the node itself are delivered the same way, without the transport.
//  3. A broadcast is published on a topic and reaches each subscriber at most once, with the peer id of its publisher,
//     whose signature has been checked. Each subscription's validator checks it first: only what every validator of
//     this node accepts is delivered and forwarded. reject also blames the peer that forwarded it, ignore does not.
//     A validator may pass the decoded message to the handler of its subscription. A node's own broadcasts are not
//     delivered to itself.
//  4. Order is not kept between messages.
//  5. A stream is a ByteStream to a peer under a protocol name, for what is too large for messages. It belongs to its
//     user, which ends it before the network is closed. The network has no time limits on it: its user does.
//
// Threads and cancellation: everything belongs to one lane, handlers and validators included. Handlers are called from
// the lane's event loop, never from inside a call into the network, and must not block. send(), publish(), connect()
// and ping() end early when their task is cancelled or runs out of time; give them a deadline.
//
// Limits: concurrent sends, inbound messages and streams are bounded (inbound ones per peer too); what is above the
// bound is refused with Errc::limit_exceeded at the sender and dropped at the receiver.
#pragma once

#include <any>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "crypto/peer_id.hpp"
#include "runtime/stream.hpp"
#include "runtime/task.hpp"

namespace dms::network {

/// The largest message, header excluded, that is accepted from the wire.
inline constexpr std::size_t kMaxMessage = std::size_t{1} << 20;

/// The error of a peer that cannot be reached; its causes say what was tried.
enum class Reach { unreachable };
constexpr ErrorCode describe(Reach code) { return {"network", static_cast<int>(code), "the peer cannot be reached"}; }
[[nodiscard]] Error unreachable(const crypto::PeerId& peer, const Error& cause);
/// The error as users are told: that a peer cannot be reached, without the addresses that were tried, which are for the
/// log. Any other error as it is.
[[nodiscard]] std::string plain(const Error& error);

enum class SubscriptionId : std::uint64_t {};

/// What a validator decides about a broadcast.
enum class Validation { accept, reject, ignore };

/// One subscription's view of a broadcast.
struct Broadcast {
  crypto::PeerId origin;  ///< the publisher
  BytesView message;      ///< valid during the call
  std::any validated;     ///< what the validator passes to the handler
};

using MessageHandler = std::function<void(const crypto::PeerId& from, Bytes message)>;
using StreamHandler = std::function<void(const crypto::PeerId& from, std::unique_ptr<ByteStream> stream)>;
using Validator = std::function<Validation(Broadcast& broadcast)>;
using BroadcastHandler = std::function<void(Broadcast& broadcast)>;

class Network {
 public:
  virtual ~Network() = default;

  [[nodiscard]] virtual const crypto::PeerId& self() const = 0;
  /// Multiaddresses, each with /p2p/<id>; empty while nothing listens.
  [[nodiscard]] virtual std::vector<std::string> listen_addresses() const = 0;

  /// Reach::unreachable if the peer cannot be reached, Errc::unsupported if it does not speak `protocol` (which may also
  /// go unnoticed: nothing is acknowledged).
  virtual Task<Result<void>> send(crypto::PeerId to, std::string protocol, Bytes message) = 0;
  /// As send(). If the connection ends before the receiver has read the message, it is sent again, until that instant:
  /// at once, or when there is a connection again. A network without connections loses nothing with them.
  virtual Task<Result<void>> send_until(SteadyTime, crypto::PeerId to, std::string protocol, Bytes message) {
    return send(to, std::move(protocol), std::move(message));
  }
  /// Errc::already_exists if `protocol` has a handler.
  virtual Result<void> handle(std::string protocol, MessageHandler handler) = 0;
  /// A stream to `to`; fails as send() does. The peer may learn of it with the first write, and refuse it then. To this
  /// node itself, it does not leave the process.
  virtual Task<Result<std::unique_ptr<ByteStream>>> open_stream(crypto::PeerId to, std::string protocol) = 0;
  /// The streams that peers open. Errc::already_exists if `protocol` has a handler, of messages or of streams.
  virtual Result<void> handle_stream(std::string protocol, StreamHandler handler) = 0;
  /// The handler, of messages or of streams, is not called once this returns. Unknown names are fine.
  virtual void remove_handler(const std::string& protocol) = 0;

  virtual Result<SubscriptionId> subscribe(std::string topic, Validator validator, BroadcastHandler handler) = 0;
  /// Neither function of the subscription is called once this returns. Unknown ids are fine.
  virtual void unsubscribe(SubscriptionId id) = 0;
  virtual Task<Result<void>> publish(std::string topic, Bytes message) = 0;

  /// The addresses at which that peer, or this one, may be reached, each with /p2p/<id>, as far as they are known. A
  /// network without addresses knows none.
  [[nodiscard]] virtual std::vector<std::string> addresses_of(const crypto::PeerId&) { return {}; }
  /// The same, as another peer has named them: they are dialed for a short while when there is something to send.
  /// Others than addresses of that peer are ignored.
  virtual void learn_addresses(const crypto::PeerId&, const std::vector<std::string>&) {}

  /// `multiaddr` ends in /p2p/<id>.
  virtual Task<Result<void>> connect(std::string multiaddr) = 0;
  /// The round trip time to a peer that is connected or known.
  virtual Task<Result<Duration>> ping(crypto::PeerId peer) = 0;
  /// The peers connected now.
  [[nodiscard]] virtual std::vector<crypto::PeerId> peers() const = 0;
  /// Whether `peer` is one of them.
  [[nodiscard]] virtual bool connected(const crypto::PeerId& peer) const = 0;

  /// Ends everything and waits until it has ended. Later calls fail with Errc::closed. Comes before destruction.
  virtual Task<void> close() = 0;
};

}  // namespace dms::network
