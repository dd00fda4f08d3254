// Backoff for dials: an address that has failed is not dialed again for a while.
//
// Model: the n-th failure in a row of one address of one peer blocks it for base + step * (n-1)^2, at most `longest`; a
// connection with that peer, inbound or outbound, clears all its failures, and `longest` without a failure clears those
// of an address. At most `capacity` addresses are remembered; when full, expired entries are dropped first, then the one
// that expires next.
//
// Cost: logarithmic; linear when full. An attacker that names many unreachable addresses only shortens the backoff of
// others.
#pragma once

#include <algorithm>
#include <map>
#include <optional>

#include "crypto/peer_id.hpp"
#include "libp2p/multiaddr/multiaddr.hpp"

namespace dms::libp2p {

class DialBackoff {
 public:
  struct Options {
    Duration base = 5s;
    Duration step = 1s;
    Duration longest = 5min;
    std::size_t capacity = 4096;
  };
  explicit DialBackoff(Options options) : options_(options) {}

  /// The time until which the address is blocked, if it is.
  [[nodiscard]] std::optional<SteadyTime> until(const crypto::PeerId& peer, const Multiaddr& address,
                                                SteadyTime now) const {
    const auto it = entries_.find({peer, address});
    if (it == entries_.end() || it->second.until <= now) return std::nullopt;
    return it->second.until;
  }

  void failed(const crypto::PeerId& peer, const Multiaddr& address, SteadyTime now) {
    const Key key{peer, address};
    if (!entries_.contains(key) && entries_.size() >= options_.capacity) evict(now);
    Entry& entry = entries_[key];
    if (now - entry.until > options_.longest) entry.failures = 0;
    const auto rounds = static_cast<Duration::rep>(std::min<std::uint64_t>(entry.failures++, 1000));
    entry.until = now + std::min(options_.base + options_.step * (rounds * rounds), options_.longest);
  }

  void succeeded(const crypto::PeerId& peer) {
    auto it = entries_.lower_bound({peer, Multiaddr()});
    while (it != entries_.end() && it->first.first == peer) it = entries_.erase(it);
  }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  using Key = std::pair<crypto::PeerId, Multiaddr>;
  struct Entry {
    std::uint64_t failures = 0;
    SteadyTime until{};
  };

  void evict(SteadyTime now) {
    std::erase_if(entries_, [now](const auto& entry) { return entry.second.until <= now; });
    if (entries_.size() < options_.capacity) return;
    entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.until; }));
  }

  Options options_;
  std::map<Key, Entry> entries_;
};

}  // namespace dms::libp2p
