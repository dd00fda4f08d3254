// Keeps the number of connected peers between two watermarks by closing the connections of least value.
//
// Model
//  1. Above `high` peers, those connected for `grace` or longer are disconnected until `low` of them are left, in this
//     order: smallest sum of tags first; of equals, the latest connected first.
//  2. Never disconnected: protected peers, and peers connected for less than `grace`; these do not count against `low`
//     either, so a burst of new connections does not displace established ones.
//  3. It checks every `interval`, and at once when a connection makes the number exceed `high`.
//  4. A peer is protected as long as at least one tag protects it. Tags and protection outlast connections.
//
// Bounds: kMaxTagged peers with tags or protection, kMaxTags for each; more are Errc::limit_exceeded.
//
// Attacks: connecting in bulk costs only the attacker's own connections, from `grace` on; resource limits bound their
// number until then.
#pragma once

#include <map>
#include <set>
#include <string>

#include "libp2p/swarm/swarm.hpp"
#include "runtime/nursery.hpp"

namespace dms::libp2p {

struct ConnectionManagerOptions {
  std::size_t low = 100;
  std::size_t high = 400;  ///< 0: disconnects no peer
  Duration grace = 20s;
  Duration interval = 10s;
};

class ConnectionManager {
 public:
  static constexpr std::size_t kMaxTagged = 4096;
  static constexpr std::size_t kMaxTags = 32;

  explicit ConnectionManager(Swarm& swarm, ConnectionManagerOptions options = {});

  /// Sets the weight of one of the peer's tags; negative weights lower its value.
  Result<void> tag(const crypto::PeerId& peer, const std::string& tag, int weight);
  void untag(const crypto::PeerId& peer, const std::string& tag);
  Result<void> protect(const crypto::PeerId& peer, const std::string& tag);
  void unprotect(const crypto::PeerId& peer, const std::string& tag);
  [[nodiscard]] bool is_protected(const crypto::PeerId& peer) const;
  /// The sum of its tags.
  [[nodiscard]] std::int64_t weight(const crypto::PeerId& peer) const;

  /// The peers that (1) and (2) would disconnect now, in that order. trim() disconnects them and returns their number.
  [[nodiscard]] std::vector<crypto::PeerId> superfluous() const;
  std::size_t trim();
  /// Before the swarm's close().
  Task<void> close();

 private:
  struct Peer {
    std::map<std::string, int> tags;
    std::set<std::string> protectors;
  };
  Task<void> run();
  Result<Peer*> entry(const crypto::PeerId& peer);
  void tidy(const crypto::PeerId& peer);

  Swarm& swarm_;
  ConnectionManagerOptions options_;
  std::map<crypto::PeerId, Peer> peers_;
  std::map<crypto::PeerId, SteadyTime> since_;  ///< of connected peers
  NotificationId connected_;
  NotificationId disconnected_;
  Nursery nursery_;
};

}  // namespace dms::libp2p
