// A cache of chains with verified signatures: a delegation is not verified again with every call that uses it.
//
// Model
//  1. An entry is Token::digest(), which covers a token's text, its signature and its chain: it identifies exactly
//     that chain.
//  2. Only signatures are remembered. Expiry, revocation and the rules of chains are checked every time.
//  3. A token is remembered once another that derives from it was verified: a token without descendants is used once.
//  4. At most `capacity` entries; the oldest is evicted first. Displacing an entry costs an attacker a valid chain,
//     and this node no more than the verification that the cache had saved.
#pragma once

#include <deque>
#include <set>

#include "crypto/hash.hpp"

namespace dms::ucan {

class SignatureCache {
 public:
  explicit SignatureCache(std::size_t capacity) : capacity_(capacity) {}

  [[nodiscard]] bool contains(const crypto::Digest256& digest) const { return known_.contains(digest); }
  void add(const crypto::Digest256& digest) {
    if (!known_.insert(digest).second) return;
    order_.push_back(digest);
    if (order_.size() > capacity_) {
      known_.erase(order_.front());
      order_.pop_front();
    }
  }
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  std::size_t capacity_;
  std::set<crypto::Digest256> known_;
  std::deque<crypto::Digest256> order_;
};

}  // namespace dms::ucan
