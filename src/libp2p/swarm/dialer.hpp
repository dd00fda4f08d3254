// Dials: from the addresses of a peer to one connection, quickly where some of them are dead, and without doing harm.
//
// Model
//  1. There is one dial per peer; all who ask for it share it, and addresses named later join it. It ends when a
//     connection has been made, when every address has failed, after peer_timeout, or when nobody waits for it any
//     longer.
//  2. Addresses are tried in the order and with the delays of rank_addresses(), side by side. While nothing is under
//     way the next is tried at once. The first that finishes wins; the others are cancelled, and what they had opened
//     is closed. Names (/dns4, /dnsaddr) are resolved while other addresses are being tried; what they lead to joins as
//     it comes.
//  3. If the peer connects to us meanwhile, whoever waits is told so, no further address is tried, and attempts under
//     way go on: were they cut off, two peers that dial each other at the same moment could each end what the other
//     keeps.
//  4. An address that has failed is left alone for a while (dial_backoff.hpp), unless the caller names it again. What this
//     node itself refuses (DialErrc::refused_here) or cuts off is no failure of the address.
//  5. At most max_attempts attempts run at a time, of them max_attempts_per_peer to one peer; more wait their turn.
//     Above max_peers dials Errc::limit_exceeded.
//  6. After close() nothing runs; who still waits is told Errc::closed.
//
// Failures: the error names every address, each with its own reason; its code is that of the first address that was
// really tried. Errc::not_found without any address.
//
// Threads: one lane. Cancellation: dial() can be cancelled; so is the dial itself once nobody waits for it.
//
// Attacks. Addresses come from strangers, who may name many, dead ones, or those of a victim: max_addresses, the limits
// above, the time limits and the backoff bound what one peer's addresses can cost us or anybody else (names:
// resolve.hpp). Who answers has to prove to be the peer that was asked for.
//
// Specification: RFC 8305 (happy eyeballs).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "runtime/nursery.hpp"
#include "libp2p/swarm/dial_backoff.hpp"
#include "libp2p/swarm/dial_ranker.hpp"
#include "libp2p/multiaddr/resolve.hpp"
#include "libp2p/transports/transport.hpp"

namespace dms::libp2p {

struct DialOptions {
  Duration attempt_timeout = 15s;  ///< for one address, handshake included
  Duration peer_timeout = 60s;     ///< for all addresses of a peer
  std::size_t max_attempts = 128;  ///< a swarm starts no more than its limits.transient has places
  std::size_t max_attempts_per_peer = 8;
  std::size_t max_peers = 1024;
  std::size_t max_addresses = 64;  ///< of one peer; more are not looked at
  std::size_t max_resolving = 4;   ///< names of one peer being resolved at a time
  RankOptions rank;
  DialBackoff::Options backoff;
  ResolveOptions resolve;
};

class Dialer {
 public:
  /// What the dialer needs from the one it dials for.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// Its dial() also refuses what a limit or a rule of ours forbids (guarded_transport.hpp), and says that it was us.
    [[nodiscard]] virtual Transport* transport_for(const Multiaddr& address) const = 0;
    /// Takes a finished connection. If it does not want it, it closes it and says why.
    virtual Result<void> adopt(Connection connection) = 0;
    [[nodiscard]] virtual bool usable_connection(const crypto::PeerId& peer) const = 0;
  };

  /// `owner` outlives the dialer.
  Dialer(Runtime runtime, Owner& owner, DialOptions options);
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;
  ~Dialer();

  /// `named` are addresses that the caller asks for, `known` those that were learned at some time.
  Task<Result<void>> dial(crypto::PeerId peer, std::vector<Multiaddr> named, std::vector<Multiaddr> known);
  /// A connection to `peer` has come about, or has gone.
  void connection_changed(const crypto::PeerId& peer);
  /// Attempts under way now.
  [[nodiscard]] std::size_t attempts() const { return attempts_; }
  Task<void> close();

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  class Caller;
  class Place;

  Task<void> run(JobPtr job);
  Task<Result<void>> conduct(JobPtr job, Nursery& race);
  Task<void> attempt(JobPtr job, Multiaddr address);
  Task<void> look_up(JobPtr job, Multiaddr name, bool named);
  Task<Result<Connection>> dial_one(crypto::PeerId peer, Multiaddr address);
  Task<void> dismiss(Connection connection);
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
  Notify place_free_;
  bool closed_ = false;
  Nursery nursery_;
};

}  // namespace dms::libp2p
