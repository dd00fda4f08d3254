// Refuses an envelope that was accepted before. NuNet's own nodes have no such check.
//
// Model
//  1. An envelope is named by its sender's id and its nonce, which the sender counts up. It is remembered until it
//     expires; after that it is refused as expired. An accepted envelope lives at most kMaxLifetime (envelope.hpp), so
//     every place is free again after that time.
//  2. Of each sender the `window` highest nonces are remembered. Beyond that the lowest is forgotten and everything up
//     to it counts as seen: a late message of such a sender is refused rather than perhaps accepted twice.
//  3. Each sender takes one place until the last expiry of its messages. Places are counted per account: the DID that
//     is accountable for the tokens that permitted the message (ucan::Authority). One account holds at most
//     `per_account` places, an account of full trust half of all.
//  4. Of `senders` places the last `reserved_named` + `reserved_full` are kept for DIDs that the operator has named as
//     anchors, and of these the last `reserved_full` for the node's own DID and roots.
//  5. check() does not record; remember() does. Between the two the caller checks that the message is permitted.
//
// Invariants: senders() <= limits.senders; each account holds as many places as there are senders of it.
//
// Attacks: a filter that evicts under load can be made to evict, so this one refuses. An envelope that is not
// permitted is never recorded. Keys are free to create, so a holder of any grant can fill its own quota; delegating to
// further DIDs does not help, as the first holder stays accountable. Several holders together cannot take the reserved
// places, so the machine's user and named peers are always served. Revoking the grant frees the places at once
// (forget_revoked): a sender that holds a second grant could then repeat its own unexpired messages once, and only
// from the host that they name. The filter is not persistent: after a restart a message could be accepted again until
// it expires.
//
// Cost: O(log n) each. Memory: at most senders * window numbers, per_account * window for one account.
#pragma once

#include <cstdint>
#include <map>
#include <set>

#include "actor/envelope.hpp"
#include "ucan/context.hpp"

namespace dms::actor {

class ReplayFilter {
 public:
  struct Limits {
    std::size_t senders = 8192;
    std::size_t window = 1024;
    std::size_t per_account = 512;
    std::size_t reserved_named = 1024;
    std::size_t reserved_full = 256;
  };
  enum class Outcome { fresh, seen, over_quota, full };

  ReplayFilter() : ReplayFilter(Limits{}) {}
  explicit ReplayFilter(Limits limits) : limits_(limits) {}

  /// fresh or seen.
  [[nodiscard]] Outcome check(const Id& sender, std::uint64_t nonce, UnixTime now);
  /// fresh if it is recorded, else over_quota or full. Only after check() said fresh for the same message, with no
  /// other call in between.
  [[nodiscard]] Outcome remember(const Id& sender, std::uint64_t nonce, UnixTime expiry,
                                 const ucan::Authority& authority, ucan::Trust trust);
  /// Frees the places of senders whose last message was permitted by a token that is revoked now.
  void forget_revoked(const ucan::RevocationSet& revoked);

  [[nodiscard]] std::size_t senders() const { return senders_.size(); }

 private:
  struct Sender {
    ucan::Authority authority;
    std::set<std::uint64_t> nonces;
    std::uint64_t floor = 0;  ///< everything up to here counts as seen, if any was forgotten
    bool has_floor = false;
    UnixTime last_expiry;
  };
  using Senders = std::map<Id, Sender>;
  [[nodiscard]] Outcome admit(const did::Did& account, ucan::Trust trust) const;
  void drop_expired(UnixTime now);
  Senders::iterator drop(Senders::iterator sender);

  Limits limits_;
  Senders senders_;
  std::set<std::pair<UnixTime, Id>> by_expiry_;
  std::map<did::Did, std::size_t> by_account_;
};

}  // namespace dms::actor
