// What is known of other peers, connected or not: addresses, protocols, keys.
//
// Model
//  1. An address is valid until its time to live ends; learning it again can only extend that. A time of
//     kWhileConnected lasts until release() sets an end.
//  2. A certified record replaces the certified addresses of its peer if its seq is greater than the last one's; the
//     last one again counts as in (1). A seq once seen is remembered as long as the peer is.
//  3. Reads return only addresses that are valid at the given `now`; expired ones are removed at the next write to
//     their peer.
//
// A swarm's dials read it (swarm.hpp, model 3): expired addresses are not dialed.
//
// Bounds: max_peers; when it is reached the least recently written peer is evicted. Per peer max_addresses, the
// longest-lived ones, and max_protocols. A call costs O(log peers + addresses of the peer).
//
// Attacks: untrusted peers may fill it with peers that do not exist: those are evicted first, connected peers last. An
// id that contains its key cannot be given another; an id that is a hash takes only the matching key.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "libp2p/records/peer_record.hpp"

namespace dms::libp2p {

struct PeerStoreOptions {
  std::size_t max_peers = 4096;
  std::size_t max_addresses = 32;
  std::size_t max_protocols = 512;
};

class PeerStore {
 public:
  static constexpr Duration kWhileConnected = Duration::max();
  static constexpr Duration kRecentlyConnected = std::chrono::minutes(15);
  static constexpr Duration kUnconfirmed = std::chrono::minutes(2);

  explicit PeerStore(PeerStoreOptions options = {}) : options_(options) {}

  void add_addresses(const crypto::PeerId& peer, const std::vector<Multiaddr>& addresses, Duration ttl, SteadyTime now);
  /// False without a change if a newer record is known.
  bool add_certified(CertifiedRecord record, Duration ttl, SteadyTime now);
  /// Addresses kept while the peer is connected are valid for `ttl` from now on.
  void release(const crypto::PeerId& peer, Duration ttl, SteadyTime now);
  void remove_addresses(const crypto::PeerId& peer);

  /// Certified ones first, then by remaining time.
  [[nodiscard]] std::vector<Multiaddr> addresses(const crypto::PeerId& peer, SteadyTime now) const;
  /// The signed record, to be passed on, while one of its addresses is valid.
  [[nodiscard]] const CertifiedRecord* certified(const crypto::PeerId& peer, SteadyTime now) const;

  void set_protocols(const crypto::PeerId& peer, std::vector<std::string> protocols);
  [[nodiscard]] std::vector<std::string> protocols(const crypto::PeerId& peer) const;

  /// Errc::permission_denied if `key` does not match `peer`.
  Result<void> set_key(const crypto::PeerId& peer, const crypto::PublicKey& key);
  [[nodiscard]] std::optional<crypto::PublicKey> key(const crypto::PeerId& peer) const;

  [[nodiscard]] std::size_t size() const { return peers_.size(); }
  [[nodiscard]] std::vector<crypto::PeerId> peers() const;
  void forget(const crypto::PeerId& peer);

 private:
  struct Address {
    Multiaddr address;
    SteadyTime until;
    bool certified = false;
  };
  struct Entry {
    std::vector<Address> addresses;  ///< in the order of addresses()
    std::optional<CertifiedRecord> record;
    std::vector<std::string> protocols;
    std::optional<crypto::PublicKey> key;
    std::uint64_t touched = 0;
    bool held = false;  ///< connected: evicted last
  };
  Entry& touch(const crypto::PeerId& peer);
  void evict();
  void put(Entry& entry, const Multiaddr& address, SteadyTime until, bool certified);
  void tidy(Entry& entry, SteadyTime now);

  PeerStoreOptions options_;
  std::map<crypto::PeerId, Entry> peers_;
  std::uint64_t touches_ = 0;
};

}  // namespace dms::libp2p
