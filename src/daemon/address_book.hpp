// The addresses of peers over a restart of the daemon, and the dials that use them.
//
// Model
//  1. Kept are partners, the peers that hold work of this node or whose work this node holds, and peers that this node
//     has dialed itself. A peer that has only connected to this node is not kept: strangers do not fill the book.
//  2. What is kept of a peer: the address that a dial has reached, the listen addresses that it announces (of its
//     signed record if there is one), and names (DNS) under which it was dialed; kMaxAddresses at most. The source of
//     an inbound connection is no address. Loopback addresses are kept of peers on this machine only.
//  3. A change is written when a connection, an identification or a new partner brings it, kSettle later at most; new
//     partners are looked for every kLook. An entry that is unchanged is written again after kRefresh.
//  4. Kept peers without a connection are dialed: at the start, kFirstPause after a connection has ended, and again
//     with pauses that double up to kPartnerPause for partners and kOtherPause for others. They begin anew after a
//     connection that lasted for kPartnerPause. kMaxDials at once.
//  5. Others than partners that had no connection for kForget are removed. While the partners are not known, at the
//     start, nothing is removed or added.
//
// Bounds: kMaxPeers, of which kMaxOthers are no partners; the longest unconnected of the others makes room. What is
// above is not kept. An entry that cannot be read is set aside (db/readable.hpp).
//
// Threads: the lane of the host; the database works on a worker. close() comes before that of the host and of the
// store. Failure: a write that fails is logged; it is repeated after kWriteAgain.
//
// Attacks: a partner may announce addresses of others; each costs those a few handshakes, which fail
// (libp2p/swarm/dialer.hpp), in each pause. Partners are bounded by the capabilities that let them deploy here. Who
// holds a key controls its entry only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "db/async_store.hpp"
#include "libp2p/host.hpp"
#include "runtime/nursery.hpp"

namespace dms {

/// What the book keeps of one peer.
struct KnownPeer {
  std::vector<std::string> addresses;  ///< multiaddrs without the peer
  std::uint64_t seen = 0;              ///< ns since 1970: connected then
  static constexpr auto json_fields() {
    return std::tuple(json::field("addresses", &KnownPeer::addresses), json::field("seen", &KnownPeer::seen));
  }
};

class AddressBook {
 public:
  static constexpr std::string_view kCollection = "network.peers";
  static constexpr std::size_t kMaxPeers = 1024;
  static constexpr std::size_t kMaxOthers = 64;
  static constexpr std::size_t kMaxAddresses = 8;
  static constexpr std::size_t kMaxDials = 16;
  static constexpr Duration kSettle = 100ms;
  static constexpr Duration kLook = 2s;
  static constexpr Duration kRefresh = 1h;
  static constexpr Duration kForget = 7 * 24h;
  static constexpr Duration kWriteAgain = 30s;
  static constexpr Duration kFirstPause = 1s;
  static constexpr Duration kPartnerPause = 30s;
  static constexpr Duration kOtherPause = 2min;
  static constexpr Duration kDialTimeout = 20s;
  /// Nothing: they are not known yet.
  using Partners = std::function<std::optional<std::set<crypto::PeerId>>()>;

  /// All of it outlives the book.
  AddressBook(Lane& lane, libp2p::Host& host, db::AsyncStore& store, Partners partners);
  AddressBook(const AddressBook&) = delete;
  AddressBook& operator=(const AddressBook&) = delete;

  /// Reads what is kept, hands it to the host's peer store, and begins to dial and to write. Blocks while it reads.
  Result<void> start();
  Task<void> close();

  [[nodiscard]] std::size_t size() const { return peers_.size(); }
  /// Of one peer, for tests; empty if it is not kept.
  [[nodiscard]] std::vector<std::string> addresses(const crypto::PeerId& peer) const;

 private:
  struct Entry {
    KnownPeer known;
    SteadyTime since;  ///< of its last connection
    SteadyTime due;    ///< the next dial
    Duration pause = kFirstPause;
    bool connected = false;
    bool dialing = false;
  };
  /// Shared with callbacks of the host, which cannot be taken back.
  struct Changes {
    bool any = false;
    Notify notify;
    void note() {
      any = true;
      notify.notify_all();
    }
  };

  Task<void> run();
  Task<Result<void>> wait_for_change();
  Task<void> look();
  Task<void> learn(crypto::PeerId peer, bool partner);
  Task<bool> make_room(const std::set<crypto::PeerId>& partners, bool partner);
  Task<void> forget_expired(const std::set<crypto::PeerId>& partners);
  Task<Result<void>> remove(crypto::PeerId peer);
  void dial_due(const std::set<crypto::PeerId>& partners);
  Task<void> dial(crypto::PeerId peer, Duration longest);
  [[nodiscard]] std::vector<std::string> reachable(const crypto::PeerId& peer,
                                                   const libp2p::ConnectionInfo& connection) const;
  [[nodiscard]] std::size_t others(const std::set<crypto::PeerId>& partners) const;
  [[nodiscard]] std::optional<crypto::PeerId> longest_unconnected(const std::set<crypto::PeerId>& partners) const;

  Lane& lane_;
  libp2p::Host& host_;
  db::AsyncStore& store_;
  Partners partners_of_;
  std::shared_ptr<Changes> changes_;
  std::map<crypto::PeerId, Entry> peers_;
  std::size_t dials_ = 0;
  SteadyTime write_from_;  ///< none before: one has failed
  std::vector<libp2p::NotificationId> notifications_;
  Nursery nursery_;
};

}  // namespace dms
