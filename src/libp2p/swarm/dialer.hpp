// Dials: from the addresses of a peer to one connection, quickly even if some of them are unreachable, and
// with bounded effort.
//
// Model
//  1. There is one dial per peer; concurrent callers share it, and addresses named later join it. It ends when a
//     connection has been made, when every address has failed, after peer_timeout, or when no caller waits for it any
//     more.
//  2. Addresses are tried in the order and with the delays of rank_addresses(), in parallel. While no attempt is under
//     way the next one starts at once. The first that finishes wins; the others are cancelled and their connections
//     closed. Names (/dns4, /dnsaddr) are resolved while other addresses are tried; the results join as they arrive.
//  3. If the peer connects to this node meanwhile, the callers get that result, no further address is tried, and
//     attempts under way continue: if they were cancelled, two peers that dial each other at the same moment could
//     each end the connection that the other keeps.
//  4. An address that has failed is not tried for a while (dial_backoff.hpp), unless the caller names it again, or the
//     peer has connected to this node since. One that is learned meanwhile is tried at once. What this node itself
//     refuses (DialErrc::refused_here) or cancels is not a failure of the address.
//  5. At most max_attempts attempts run at a time, of them max_attempts_per_peer to one peer; more wait. Above
//     max_peers dials Errc::limit_exceeded.
//  6. After close() nothing runs; callers that still wait get Errc::closed.
//
// Failures: the error names every address with its own reason; its code is that of the first address that was actually
// tried. Errc::not_found without any address.
//
// Threads: one lane. Cancellation: dial() can be cancelled; the dial itself is cancelled once no caller waits for it.
//
// Attacks. Addresses come from untrusted peers, which may name many, unreachable ones, or those of a victim:
// max_addresses, the limits above, the time limits and the backoff bound what one peer's addresses can cost this node
// or a victim (names: resolve.hpp). For one more attempt at each, a peer has to connect. The remote end has to prove to
// be the peer that was dialed.
//
// Specification: RFC 8305 (happy eyeballs).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/metrics.hpp"
#include "libp2p/multiaddr/resolve.hpp"
#include "libp2p/swarm/dial_backoff.hpp"
#include "libp2p/swarm/dial_ranker.hpp"
#include "libp2p/transports/transport.hpp"
#include "runtime/nursery.hpp"

namespace dms::libp2p {

/// How the dial of a peer ends, for its callers.
enum class DialOutcome { connected, failed, timed_out, cancelled };
[[nodiscard]] constexpr std::string_view to_string(DialOutcome outcome) {
  constexpr std::string_view kNames[] = {"connected", "failed", "timed_out", "cancelled"};
  return kNames[static_cast<std::size_t>(outcome)];
}
using DialCounters = metrics::CounterArray<DialOutcome, 4>;

struct DialOptions {
  Duration attempt_timeout = 15s;  ///< for one address, handshake included
  Duration peer_timeout = 60s;     ///< for all addresses of a peer
  std::size_t max_attempts = 128;  ///< a swarm lowers it to its limits.transient
  std::size_t max_attempts_per_peer = 8;
  std::size_t max_peers = 1024;
  std::size_t max_addresses = 64;  ///< of one peer; more are ignored
  std::size_t max_resolving = 4;   ///< names of one peer resolved at a time
  RankOptions rank;
  DialBackoff::Options backoff;
  ResolveOptions resolve;
};

class Dialer {
 public:
  /// What the dialer needs from its owner.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// Its dial() also refuses what local limits or rules forbid (guarded_transport.hpp), with DialErrc::refused_here.
    [[nodiscard]] virtual Transport* transport_for(const Multiaddr& address) const = 0;
    /// Takes a finished connection, or closes it and returns the reason.
    virtual Result<void> add_connection(Connection connection) = 0;
    [[nodiscard]] virtual bool usable_connection(const crypto::PeerId& peer) const = 0;
  };

  /// `owner` outlives the dialer.
  Dialer(Runtime runtime, Owner& owner, DialOptions options);
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;
  ~Dialer();

  /// `named` are addresses of the call, `known` those learned earlier.
  Task<Result<void>> dial(crypto::PeerId peer, std::vector<Multiaddr> named, std::vector<Multiaddr> known);
  /// A connection with `peer` was added.
  void connection_changed(const crypto::PeerId& peer);
  /// Attempts under way now.
  [[nodiscard]] std::size_t attempts() const { return attempts_; }
  [[nodiscard]] const DialCounters& outcomes() const { return outcomes_; }
  Task<void> close();

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  class Caller;
  class AttemptSlot;

  Task<void> run(JobPtr job);
  Task<Result<void>> conduct(JobPtr job, Nursery& race);
  Task<void> attempt(JobPtr job, Multiaddr address);
  Task<void> look_up(JobPtr job, Multiaddr name, bool named);
  Task<Result<Connection>> dial_one(crypto::PeerId peer, Multiaddr address);
  Task<void> close_unused(Connection connection);
  void add(Job& job, const std::vector<Multiaddr>& named, const std::vector<Multiaddr>& known);
  [[nodiscard]] bool worth_trying(Job& job, const Multiaddr& address, bool named);
  void start_due(const JobPtr& job, Nursery& race);
  void failed(Job& job, Multiaddr address, Error error);
  void publish(const JobPtr& job, Result<void> result);

  Lane& lane_;
  Net& net_;
  Owner& owner_;
  DialOptions options_;
  DialBackoff backoff_;
  std::map<crypto::PeerId, JobPtr> jobs_;
  std::size_t attempts_ = 0;
  DialCounters outcomes_;
  Notify slot_free_;
  bool closed_ = false;
  Nursery nursery_;
};

}  // namespace dms::libp2p
