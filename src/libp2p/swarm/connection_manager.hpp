// Keeps the number of connected peers between two watermarks by parting from those that are worth least.
//
// Model
//  1. Above `high` peers, those connected for `grace` or longer are parted from until `low` of them are left, in this
//     order: least sum of tags first; of equals, the latest to come first.
//  2. Never parted from: protected peers, and peers connected for less than `grace`; these do not count against `low`
//     either, so a crowd of newcomers does not push out old friends.
//  3. It looks every `interval`, and at once when a connection makes the number exceed `high`.
//  4. A peer is protected as long as at least one tag protects it. Tags and protection outlast connections.
//
// Bounds: kMaxTagged peers with tags or protection, kMaxTags for each; more are Errc::limit_exceeded.
//
// Attacks: connecting in bulk costs only the attacker's own connections, from `grace` on; how many there can be until
// then is the matter of resource limits.
#pragma once

#include <map>
#include <set>
#include <string>

#include "runtime/nursery.hpp"
#include "libp2p/swarm/swarm.hpp"

namespace dms::libp2p {

struct ConnectionManagerOptions {
  std::size_t low = 100;
  std::size_t high = 400;  ///< 0: never parts from anybody
  Duration grace = 20s;
  Duration interval = 10s;
};

class ConnectionManager {
 public:
  static constexpr std::size_t kMaxTagged = 4096;
  static constexpr std::size_t kMaxTags = 32;

  explicit ConnectionManager(Swarm& swarm, ConnectionManagerOptions options = {});

  /// Sets the weight of one of the peer's tags; negative ones make it worth less.
  Result<void> tag(const crypto::PeerId& peer, const std::string& tag, int weight);
  void untag(const crypto::PeerId& peer, const std::string& tag);
  Result<void> protect(const crypto::PeerId& peer, const std::string& tag);
  void unprotect(const crypto::PeerId& peer, const std::string& tag);
  [[nodiscard]] bool is_protected(const crypto::PeerId& peer) const;
  /// The sum of its tags.
  [[nodiscard]] std::int64_t weight(const crypto::PeerId& peer) const;

  /// Whom (1) and (2) would part from now, in that order. trim() does it and says how many.
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
  std::map<crypto::PeerId, SteadyTime> since_;  ///< those connected
  NotificationId connected_;
  NotificationId disconnected_;
  Nursery nursery_;
};

}  // namespace dms::libp2p
