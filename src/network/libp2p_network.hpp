// The real network: messages on libp2p streams, broadcasts by gossip.
//
// Model
//  1. One stream per message, under the protocol name as it is given (`actor/<inbox>/messages/0.0.1`, no slash in
//     front): one frame (frame.hpp), then the sender closes its half. There is no answer; the receiver closes its half
//     once it has read the frame. If the connection ends before, send_until() sends the message again on another one,
//     for which it dials once; if that fails, it waits kRepeatWithin for one that is made by others. It does so
//     kMaxRepeats times.
//  2. A topic is a gossip topic; the data of a gossip message is the message.
//  3. Of the inboxes, identify announces the root inbox only: NuNet's nodes look for it. The others are served to peers
//     that negotiate them by name, as NuNet's nodes do, without being shown to every peer.
//  4. A stream of open_stream() is a libp2p stream under the protocol name as it is given.
//  5. The network owns its Host and its PubSub. close() ends all three.
//
// Bounds: max_sends at once; Errc::limit_exceeded above. Messages that may be sent again: max_unread bytes in all and
// max_unread_per_peer, each for unread_timeout, anew after each repetition; what is above is sent once. Inbound streams
// that are being read: max_inbound in all and max_inbound_per_peer; more are reset and counted. A frame must have
// arrived within read_timeout. Streams of handle_stream(): max_streams and max_streams_per_peer while they exist; more
// are reset and counted. Broadcasts: see libp2p/protocols/gossipsub/pubsub.hpp.
//
// Attacks: a peer that ends each connection before it confirms what it has read causes kMaxRepeats repetitions. Opening
// streams and sending slowly holds at most max_inbound_per_peer places and what has been sent on them,
// for read_timeout. Everything below messages (handshakes, connections, stream counts) is bounded by libp2p
// (libp2p/swarm).
//
// Specification: NuNet DMS 0.5, network/libp2p; libp2p for what is below.
#pragma once

#include <map>
#include <memory>

#include "base/buffer_pool.hpp"
#include "base/metrics.hpp"
#include "libp2p/host.hpp"
#include "libp2p/protocols/gossipsub/pubsub.hpp"
#include "network/frame.hpp"
#include "network/network.hpp"
#include "runtime/nursery.hpp"

namespace dms::network {

/// How long a message that was lost waits for another connection.
inline constexpr Duration kRepeatWithin = 30s;
inline constexpr Duration kRepeatPause = 1s;
inline constexpr int kMaxRepeats = 3;
/// What a message counts for at least while it may be sent again: 256 of them hold a stream of one peer.
inline constexpr std::size_t kLeastUnread = std::size_t{16} << 10;

struct Libp2pOptions {
  libp2p::Host::Options host;
  libp2p::PubSubOptions pubsub;
  std::size_t max_sends = 4096;
  std::size_t max_inbound = 1024;
  std::size_t max_inbound_per_peer = 128;
  Duration read_timeout = 30s;
  std::size_t max_unread = std::size_t{16} << 20;
  std::size_t max_unread_per_peer = std::size_t{4} << 20;
  Duration unread_timeout = 70s;  ///< longer than a dead connection takes to be noticed (SwarmOptions::keep_alive)
  std::size_t max_streams = 256;  ///< inbound; as many outbound
  std::size_t max_streams_per_peer = 16;
};

class Libp2pNetwork final : public Network {
 public:
  struct Metrics {
    metrics::Counter sent;
    metrics::Counter repeated;
    metrics::Counter received;
    metrics::Counter refused;    ///< inbound streams above the bounds
    metrics::Counter malformed;  ///< inbound streams without a whole frame in time
  };

  Libp2pNetwork(Runtime runtime, crypto::PrivateKey key, Libp2pOptions options = {});
  Libp2pNetwork(const Libp2pNetwork&) = delete;
  Libp2pNetwork& operator=(const Libp2pNetwork&) = delete;
  ~Libp2pNetwork() override;

  /// Errc::already_exists if the port is taken; port 0 takes a free one.
  Result<void> listen(const std::string& multiaddr);
  [[nodiscard]] libp2p::Host& host() { return host_; }
  [[nodiscard]] libp2p::PubSub& pubsub() { return pubsub_; }
  [[nodiscard]] const Metrics& metrics() const { return metrics_; }
  /// Those of its PubSub included.
  void register_metrics(metrics::Registry& registry);

  [[nodiscard]] const crypto::PeerId& self() const override { return host_.self(); }
  [[nodiscard]] std::vector<std::string> listen_addresses() const override;
  [[nodiscard]] std::vector<std::string> addresses_of(const crypto::PeerId& peer) override;
  void learn_addresses(const crypto::PeerId& peer, const std::vector<std::string>& addresses) override;
  Task<Result<void>> send(crypto::PeerId to, std::string protocol, Bytes message) override;
  Task<Result<void>> send_until(SteadyTime until, crypto::PeerId to, std::string protocol, Bytes message) override;
  Result<void> handle(std::string protocol, MessageHandler handler) override;
  Task<Result<std::unique_ptr<ByteStream>>> open_stream(crypto::PeerId to, std::string protocol) override;
  Result<void> handle_stream(std::string protocol, StreamHandler handler) override;
  void remove_handler(const std::string& protocol) override;
  Result<SubscriptionId> subscribe(std::string topic, Validator validator, BroadcastHandler handler) override;
  void unsubscribe(SubscriptionId id) override;
  Task<Result<void>> publish(std::string topic, Bytes message) override;
  Task<Result<void>> connect(std::string multiaddr) override;
  Task<Result<Duration>> ping(crypto::PeerId peer) override;
  [[nodiscard]] std::vector<crypto::PeerId> peers() const override { return host_.peers(); }
  [[nodiscard]] bool connected(const crypto::PeerId& peer) const override { return host_.connected(peer); }
  Task<void> close() override;

 private:
  class Place;
  class Unread;
  /// Counts, shared with the streams, whose user may keep them longer than the network exists.
  struct OpenStreams {
    std::size_t all = 0;
    std::map<crypto::PeerId, std::size_t> by_peer;
  };
  class CountedStream;
  using StreamPtr = std::unique_ptr<libp2p::Stream>;
  Task<Result<StreamPtr>> write_message(crypto::PeerId to, std::string protocol, BytesView frame);
  Task<Result<StreamPtr>> repeat(crypto::PeerId to, std::string protocol, BytesView frame, SteadyTime until);
  Task<void> until_read(StreamPtr stream, Bytes frame, SteadyTime until);
  [[nodiscard]] Result<void> check_free(const std::string& protocol) const;
  Task<void> receive(std::unique_ptr<libp2p::Stream> stream);
  Task<void> accept_stream(std::unique_ptr<libp2p::Stream> stream);
  Result<std::unique_ptr<ByteStream>> open_stream_to_self(const std::string& protocol);
  Task<void> deliver_to_self(std::string protocol, Bytes message);
  void deliver(const crypto::PeerId& from, const std::string& protocol, Bytes message);

  static constexpr std::size_t kIdleBuffers = 16;

  Libp2pOptions options_;
  BufferPool frame_buffers_{kFrameStep, kIdleBuffers};  ///< one for each message that is arriving
  libp2p::Host host_;
  libp2p::PubSub pubsub_;
  bool closed_ = false;
  std::map<std::string, std::shared_ptr<MessageHandler>> handlers_;
  std::map<std::string, std::shared_ptr<StreamHandler>> stream_handlers_;
  std::shared_ptr<OpenStreams> inbound_streams_;
  std::shared_ptr<OpenStreams> outbound_streams_;
  std::size_t sending_ = 0;
  std::size_t receiving_ = 0;
  std::map<crypto::PeerId, std::size_t> receiving_from_;
  std::size_t unread_ = 0;  ///< bytes
  std::map<crypto::PeerId, std::size_t> unread_by_;
  Metrics metrics_;
  Nursery nursery_;
  metrics::Group metrics_group_;
};

}  // namespace dms::network
