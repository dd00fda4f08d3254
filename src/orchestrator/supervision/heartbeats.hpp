// Whether the machines that run work with `on_loss: fast` give a sign of life: a ping of each every kBeat, however many
// deployments it serves.
//
// Model
//  1. A machine is asked as long as a Watch of it exists, by a ping over the connection that is open. Its answer is
//     missing when it has not come within kBeatAnswer, as that of a machine without power, or when the ping fails: a
//     daemon that was killed has closed the connection, and cannot be dialed. One that fails is repeated, kBeatAgain
//     later, after a dial of all addresses: a daemon may be back before its address would be dialed anew (libp2p/swarm/
//     dial_backoff.hpp). One that is late behind a transfer is waited for.
//  2. It is gone when kGoneAfter has passed since its last answer. An answer to anything else is one, too:
//     Watch::heard(). A new Watch begins as if the machine had answered.
//  3. No machine is gone before another peer has answered (Liveness::reaches_another). If none does, this node is
//     perhaps cut off: it suspects itself for kSelfSuspicion, in which no machine is gone. What passes while timers of
//     this node are late by kLateBeat does not count.
//  4. One that is gone, or may not be called so, is asked every kSuspectedRenewal. An answer makes it known again.
//  5. Each change of what is known of a machine raises the signal of each Watch.
//
// Threads: the lane. Cancellation: close(), after which nothing changes. Each Watch ends before this does. Cost: a ping
// of each machine every kBeat. Attacks: a machine that answers pings and nothing else is lost as leases say
// (lease_watch.hpp).
#pragma once

#include <map>
#include <set>
#include <string>

#include "orchestrator/deployment/signal.hpp"
#include "orchestrator/supervision/lease_watch.hpp"
#include "orchestrator/supervision/liveness.hpp"

namespace dms::orchestrator {

inline constexpr Duration kBeat = 2s;
inline constexpr Duration kBeatAnswer = 1500ms;
inline constexpr Duration kBeatAgain = 500ms;
inline constexpr Duration kLateBeat = 1s;
inline constexpr Duration kGoneAfter = 6s;

class Heartbeats {
 public:
  enum class Sign { answers, missing, gone };
  class Watch;

  Heartbeats(Lane& lane, network::Network& network)
      : lane_(lane), network_(network), liveness_(network), nursery_(lane, "heartbeats") {}
  Task<void> close() { return nursery_.close(); }

 private:
  struct Beat {
    std::set<Watch*> watches;
    Sign sign = Sign::answers;
    SteadyTime heard{};
    SteadyTime answered{};  ///< the last time; no beginning of a Watch and no late timer counts
    std::string error;      ///< of the last ping that failed
  };
  Beat& join(const std::string& peer);
  Task<void> ask(std::string peer, Beat& beat);
  /// `dials`: its addresses first, also those that have just failed; nothing if it is connected.
  Task<Result<Duration>> ping(std::string peer, bool dials);
  void heard(Beat& beat);
  void answers(Beat& beat);
  static void misses(Beat& beat);
  /// A ping was not answered.
  Task<void> judge(std::string peer, Beat& beat);
  static void tell(Beat& beat, Sign sign);
  /// After a ping that was sent at `begun`.
  [[nodiscard]] SteadyTime next(const Beat& beat, SteadyTime begun) const;

  Lane& lane_;
  network::Network& network_;
  Liveness liveness_;
  std::map<std::string, Beat> beats_;
  SteadyTime suspects_itself_until_{};
  Nursery nursery_;
};

/// Of one deployment, at one machine.
class Heartbeats::Watch {
 public:
  /// `told` is raised at each change, and outlives this.
  Watch(Heartbeats& heartbeats, const std::string& peer, Signal& told);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { beat_.watches.erase(this); }

  [[nodiscard]] Sign sign() const { return beat_.sign; }
  /// Why the last ping failed that did.
  [[nodiscard]] const std::string& error() const { return beat_.error; }
  /// The last answer of the machine; SteadyTime() before the first.
  [[nodiscard]] SteadyTime last_answer() const { return beat_.answered; }
  /// The machine has answered something else than a ping.
  void heard() { heartbeats_.answers(beat_); }

 private:
  friend class Heartbeats;
  Heartbeats& heartbeats_;
  Beat& beat_;
  Signal& told_;
};

}  // namespace dms::orchestrator
