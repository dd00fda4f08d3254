// What is known of other peers, connected or not: addresses, protocols, keys.
//
// Model
//  1. An address lives until its time is up; hearing of it again can only lengthen its life. A time of kWhileConnected
//     lasts until release() gives it an end.
//  2. A certified record replaces the certified addresses of its peer if its seq is greater than the last one's; the
//     last one heard again counts as (1) says. A seq once seen is remembered as long as the peer is.
//  3. Reads see only what is alive at the `now` they are given; what is dead is thrown away when its peer is next
//     written to.
//
// A swarm's dials ask it (swarm.hpp, model 3): what is dead is not dialled.
//
// Bounds: max_peers; when it is reached the peer written to longest ago makes room. Of a peer max_addresses, the ones
// that live longest, and max_protocols. A call costs O(log peers + addresses of the peer).
//
// Attacks: strangers fill it with peers that do not exist: they push out each other, and those who are connected last.
// An id that contains its key cannot be given another; an id that is a hash takes only the key that it names.
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
  static constexpr Duration kHearsay = std::chrono::minutes(2);

  explicit PeerStore(PeerStoreOptions options = {}) : options_(options) {}

  void add_addresses(const crypto::PeerId& peer, const std::vector<Multiaddr>& addresses, Duration ttl, SteadyTime now);
  /// False, and nothing changes, unless the record is newer than what is known, or is it.
  bool add_certified(CertifiedRecord record, Duration ttl, SteadyTime now);
  /// What was kept for as long as the peer is connected lives for `ttl` more.
  void release(const crypto::PeerId& peer, Duration ttl, SteadyTime now);
  void remove_addresses(const crypto::PeerId& peer);

  /// Certified ones first, then those that live longest.
  [[nodiscard]] std::vector<Multiaddr> addresses(const crypto::PeerId& peer, SteadyTime now) const;
  /// The signed record itself, to be passed on, as long as one of its addresses is alive.
  [[nodiscard]] const CertifiedRecord* certified(const crypto::PeerId& peer, SteadyTime now) const;

  void set_protocols(const crypto::PeerId& peer, std::vector<std::string> protocols);
  [[nodiscard]] std::vector<std::string> protocols(const crypto::PeerId& peer) const;

  /// Errc::permission_denied if `key` is not the one that `peer` names.
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
    std::vector<Address> addresses;  ///< in the order in which they are given out
    std::optional<CertifiedRecord> record;
    std::vector<std::string> protocols;
    std::optional<crypto::PublicKey> key;
    std::uint64_t touched = 0;
    bool held = false;  ///< connected: goes last
  };
  Entry& touch(const crypto::PeerId& peer);
  void make_room();
  void put(Entry& entry, const Multiaddr& address, SteadyTime until, bool certified);
  void tidy(Entry& entry, SteadyTime now);

  PeerStoreOptions options_;
  std::map<crypto::PeerId, Entry> peers_;
  std::uint64_t touches_ = 0;
};

}  // namespace dms::libp2p
