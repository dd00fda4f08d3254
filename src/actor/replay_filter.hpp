// Refuses an envelope that has been taken before. NuNet's own nodes have no such check.
//
// Model
//  1. An envelope is known by its sender's id and its nonce, which the sender counts up. It is remembered until it
//     expires; after that its age refuses it.
//  2. Of each sender the `window` highest nonces are remembered. Beyond that the lowest is forgotten and everything up
//     to it counts as seen: a late message of such a sender is refused rather than perhaps taken twice.
//  3. At most `senders` senders are remembered, each until the last expiry that any of its messages had. When all
//     places are taken a further sender is refused (Verdict::full) until one becomes free.
//  4. fresh() only asks; remember() records. Between the two the caller checks that the message is permitted.
//
// Attacks: a filter that forgets under pressure can be made to forget, so this one refuses instead. What a stranger
// sends is never recorded, as remember() follows the capability check; to fill the places takes `senders` keys that all
// hold valid tokens, and the remedy is to revoke the DID that issued them. The memory does not outlive the process: a
// message could be taken again after a restart within its own lifetime (30 s unless its sender chose otherwise).
//
// Cost: O(log n) each. Memory: at most senders * window numbers.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "actor/envelope.hpp"

namespace dms::actor {

class ReplayFilter {
 public:
  struct Limits {
    std::size_t senders = 8192;
    std::size_t window = 1024;
  };
  enum class Verdict { fresh, seen, full };

  ReplayFilter() : ReplayFilter(Limits{}) {}
  explicit ReplayFilter(Limits limits) : limits_(limits) {}

  [[nodiscard]] Verdict check(const Id& sender, std::uint64_t nonce, UnixTime now);
  /// Only after check() said fresh for the same message, with no other call in between.
  void remember(const Id& sender, std::uint64_t nonce, UnixTime expiry);

  [[nodiscard]] std::size_t senders() const { return senders_.size(); }

 private:
  struct Sender {
    std::set<std::uint64_t> nonces;
    std::uint64_t floor = 0;  ///< everything up to here counts as seen, if any was forgotten
    bool has_floor = false;
    UnixTime last_expiry;
  };
  void drop_expired(UnixTime now);

  Limits limits_;
  std::map<Id, Sender> senders_;
  std::set<std::pair<UnixTime, Id>> by_expiry_;
};

}  // namespace dms::actor
