// A network inside one process: for tests of the modules above, with the faults that a real one has.
//
// Model
//  1. Networks that share a MemorySubstrate reach each other, each under the peer id it was given. What is sent is
//     delivered on the receiver's lane after the substrate's latency, never from inside send().
//  2. Validators run, exactly as on the real network; a broadcast that is refused by one receiver still reaches others.
//  3. Faults: cut() makes two peers unreachable for each other; loss drops messages silently, as if the receiver had
//     failed after accepting them; a tap sees every message, may change it and may drop it. A peer that resets the
//     streams of messages to it has their senders see Errc::closed, as over a real connection; its pings and its own
//     messages go on. Pings are answered at once: they say that a peer is there, and cost nobody an event.
//  4. Streams are pairs in memory (memory_stream.hpp) with the substrate's latency. A stream tap sees what is written
//     to them, may change it and may reset the stream; a cut resets a stream when something is written to it.
//
// Threads: all lanes of one substrate run on one thread (a simulation, or a single real lane).
// Limits: at most kMaxInFlight messages are on their way to one receiver; more are dropped and counted.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "network/memory_stream.hpp"
#include "network/network.hpp"
#include "runtime/lane.hpp"

namespace dms::network {

class MemoryNetwork;

/// A message on its way; a broadcast names its topic where a message names its protocol.
struct MemoryMessage {
  crypto::PeerId from;
  crypto::PeerId to;
  std::string channel;
  bool broadcast = false;
  Bytes body;
};

class MemorySubstrate {
 public:
  static constexpr std::size_t kMaxInFlight = 4096;
  static constexpr Duration kSilence = 20s;
  /// Sees each message before it leaves, and may change it; false drops it.
  using Tap = std::function<bool(MemoryMessage&)>;
  /// Sees what `from` writes to a stream, and may change it; false resets the stream.
  using StreamTap = std::function<bool(const crypto::PeerId& from, const crypto::PeerId& to, MutableBytes data)>;
  struct Counters {
    std::uint64_t delivered = 0;
    std::uint64_t dropped = 0;   ///< by loss, a tap, a cut or the bound
    std::uint64_t rejected = 0;  ///< by a validator's Validation::reject
    std::uint64_t ignored = 0;   ///< by a validator's Validation::ignore
    std::uint64_t pings = 0;     ///< sent
  };

  void set_latency(Duration latency) { latency_ = latency; }
  /// Of each delivery, from 0 to 1.
  void set_loss(double loss) { loss_ = loss; }
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  void set_stream_tap(StreamTap tap) { stream_tap_ = std::move(tap); }
  void cut(const crypto::PeerId& a, const crypto::PeerId& b, bool is_cut = true);
  /// Whether those who are cut notice: peers() leaves them out, and what is sent fails. A real connection that is dead
  /// is listed for up to a minute, what is sent over it is lost, and pings have no answer for kSilence.
  void notice_cuts(bool notices) { notices_cuts_ = notices; }
  void reset_streams_to(const crypto::PeerId& peer, bool resets = true);
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  friend class MemoryNetwork;
  [[nodiscard]] MemoryNetwork* find(const crypto::PeerId& from, const crypto::PeerId& to) const;
  [[nodiscard]] bool is_cut(const crypto::PeerId& a, const crypto::PeerId& b) const;
  [[nodiscard]] bool is_silent(const crypto::PeerId& a, const crypto::PeerId& b) const {
    return !notices_cuts_ && is_cut(a, b);
  }

  Duration latency_ = 1ms;
  double loss_ = 0;
  bool notices_cuts_ = true;
  Tap tap_;
  StreamTap stream_tap_;
  Counters counters_;
  std::map<crypto::PeerId, MemoryNetwork*> members_;
  std::set<std::pair<crypto::PeerId, crypto::PeerId>> cuts_;
  std::set<crypto::PeerId> resetting_;
};

class MemoryNetwork final : public Network {
 public:
  MemoryNetwork(std::shared_ptr<MemorySubstrate> substrate, Lane& lane, crypto::PeerId self);
  MemoryNetwork(const MemoryNetwork&) = delete;
  MemoryNetwork& operator=(const MemoryNetwork&) = delete;
  ~MemoryNetwork() override { leave(); }

  [[nodiscard]] const crypto::PeerId& self() const override { return self_; }
  [[nodiscard]] std::vector<std::string> listen_addresses() const override;
  Task<Result<void>> send(crypto::PeerId to, std::string protocol, Bytes message) override;
  Result<void> handle(std::string protocol, MessageHandler handler) override;
  Task<Result<std::unique_ptr<ByteStream>>> open_stream(crypto::PeerId to, std::string protocol) override;
  Result<void> handle_stream(std::string protocol, StreamHandler handler) override;
  void remove_handler(const std::string& protocol) override {
    handlers_.erase(protocol);
    stream_handlers_.erase(protocol);
  }
  Result<SubscriptionId> subscribe(std::string topic, Validator validator, BroadcastHandler handler) override;
  void unsubscribe(SubscriptionId id) override { subscriptions_.erase(id); }
  Task<Result<void>> publish(std::string topic, Bytes message) override;
  Task<Result<void>> connect(std::string multiaddr) override;
  Task<Result<Duration>> ping(crypto::PeerId peer) override;
  [[nodiscard]] std::vector<crypto::PeerId> peers() const override;
  [[nodiscard]] bool connected(const crypto::PeerId& peer) const override;
  Task<void> close() override;

 private:
  struct Subscription {
    std::string topic;
    Validator validator;
    BroadcastHandler handler;
  };
  Result<void> check_open() const;
  Result<void> check_free(const std::string& protocol) const;
  void dispatch(MemoryMessage message);
  void deliver(MemoryMessage message);
  void deliver_broadcast(MemoryMessage message);
  void leave();

  std::shared_ptr<MemorySubstrate> substrate_;
  Lane& lane_;
  crypto::PeerId self_;
  bool closed_ = false;
  std::size_t in_flight_ = 0;
  std::map<std::string, std::shared_ptr<MessageHandler>> handlers_;
  std::map<std::string, std::shared_ptr<StreamHandler>> stream_handlers_;
  std::vector<std::weak_ptr<MemoryLink>> streams_;
  std::map<SubscriptionId, std::shared_ptr<Subscription>> subscriptions_;
  std::uint64_t last_subscription_ = 0;
};

}  // namespace dms::network
