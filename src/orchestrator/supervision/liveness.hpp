// Whether a provider is reachable, by libp2p pings; single pings may fail. Whether the fault may be this node's own.
//
// Model
//  1. A provider is lost after kLostAfter failed pings in a row, kPingInterval apart, each with kPingTimeout. One whose
//     failure this node learns late, by kLateTimer, is not counted: its answer may have waited for this node.
//  2. This node reaches somebody if one of kMaxAsked peers that it is connected to answers within kReachTimeout: a
//     connection that is dead is noticed late (SwarmOptions::keep_alive).
//  3. It is perhaps at fault itself if it reaches nobody, and for kSelfSuspicion after one of its timers was late by
//     kLateTimer, as after a suspension or without processor time, and after it has started.
// Threads: the lane of its caller. Cancellation: any call.
#pragma once

#include <map>
#include <string>

#include "actor/actor.hpp"
#include "network/network.hpp"
#include "orchestrator/supervision/lease_watch.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kPingInterval = 10s;
inline constexpr Duration kPingTimeout = 5s;
inline constexpr int kLostAfter = 3;
inline constexpr Duration kReachTimeout = 2s;
inline constexpr std::size_t kMaxAsked = 16;

class Liveness {
 public:
  explicit Liveness(network::Network& network) : network_(network) {}

  /// One ping of a provider. True if the provider is lost; Errc::cancelled if the caller is cancelled.
  Task<Result<bool>> ping(std::string peer);
  /// The error of the last failed ping.
  [[nodiscard]] const std::string& last_error(const std::string& peer) { return peers_[peer].error; }
  /// Whether the last ping was answered.
  [[nodiscard]] bool answers(const std::string& peer) { return peers_[peer].answers; }
  void reset() { peers_.clear(); }
  /// Whether a peer other than this one answers. False if the caller is cancelled.
  Task<bool> reaches_another(std::string peer);
  /// What was due at `due` happens now. True if that is late: then this node suspects itself from now on.
  bool note_timer(SteadyTime due, SteadyTime now);
  /// From `now` on, for kSelfSuspicion.
  void suspect_itself(SteadyTime now) { suspects_itself_until_ = now + kSelfSuspicion; }
  [[nodiscard]] SteadyTime suspects_itself_until() const { return suspects_itself_until_; }
  /// Whether this node may be at fault when the peer does not answer: see (3).
  Task<bool> is_own_fault(std::string peer);

  /// Sends `request` and waits for its reply, which may take minutes (an image is pulled first). Errc::closed if the
  /// provider is lost meanwhile.
  template <class Reply>
  Task<Result<Reply>> call(actor::Actor& actor, std::string peer, actor::Envelope request) {
    CO_TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
    const TaskContext context = co_await this_task();
    CancelScope scope(context.scope);
    Nursery watcher(*context.lane, "watching " + peer, context.scope);
    watcher.spawn(watch(id, scope));
    Task<Result<Reply>> call = actor.template call<Reply>(std::move(request));
    call.set_context({context.lane, &scope});
    Result<Reply> reply = co_await std::move(call);
    co_await watcher.close();
    if (!reply && scope.reason() == Errc::closed)
      co_return fail(Errc::closed, "provider {} is lost: it does not answer pings", peer);
    co_return std::move(reply);
  }

 private:
  struct Peer {
    int missed = 0;
    bool answers = true;
    std::string error;
    /// Counts one ping, which was to end at `due`. True if the provider is lost.
    bool count(const Result<Duration>& reply, SteadyTime due, SteadyTime now);
  };
  Task<void> watch(crypto::PeerId peer, CancelScope& call);
  Task<void> ask(crypto::PeerId peer, Nursery& others, bool& answered);

  network::Network& network_;
  std::map<std::string, Peer> peers_;
  SteadyTime suspects_itself_until_{};
};

}  // namespace dms::orchestrator
