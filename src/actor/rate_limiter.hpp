// Limits per peer: messages per second by number and size, and messages in progress.
//
// Model
//  1. Each peer has a bucket of `burst` units that refills at `rate` per second. charge() takes one for every started
//     kBytesPerCharge of a message, at most `burst`, before it is even parsed: decoding and verifying cost by the byte.
//  2. While this host waits for the reply of a peer (Expected), one message of it is free, if it is larger than one
//     unit or the bucket cannot pay it: what was asked for is never too much. So a page of output, up to 60 units, is
//     not throttled, and no peer gets more free messages than this host has sent it requests. A free message has a
//     place until an Expected of its peer ends; a peer has `free_per_peer` places, however many requests wait. Replies
//     are not limited by that: each ends its own Expected, so a reply has its place only while it is processed.
//     A message is known for a reply only when it is decoded, so a large notice takes a place as well, and the bucket
//     pays for the reply that comes after it. Before that, the peer must have used up places and bucket by messages
//     that this host has not requested, and it might as well not reply. To charge the bucket first would admit no more,
//     and protect no reply: a notice would take the place once the bucket is empty. But replies would empty it, and the
//     small notices of a peer whose output is fetched would be refused.
//  3. admit() reserves a place for a message; the Permit releases it when it is destroyed. Places are
//     counted per peer, in all, and, as NuNet's nodes do, for broadcasts (in all and per topic) and for behaviours
//     below /public/.
//  4. The local host is not charged. Its messages take places like any others.
//  5. One limiter serves all actors of a node. It outlives its permits.
//
// Attacks: a flooding peer uses up its own bucket and places, with messages of any size in about the same processor
// time; at least `active - active_per_peer` places remain for others. One that answers no requests gets free messages
// in the place of replies: `free_per_peer` at once (of 1 MiB each, half a second of a core), then one for each request
// that ends. Publisher ids are free to create, so the table of buckets is bounded by `peers`: when it is full, full
// buckets are dropped, as they hold no information. To keep it full takes `peers * rate` messages a second; then
// further unknown peers are refused.
//
// Threads: one lane. Cost: O(log n); a sweep of the table at most every 100 ms while it is full.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "actor/envelope.hpp"

namespace dms::actor {

struct RateLimits {
  double rate = 500;  ///< units per second and peer; verifying that many takes some 5 % of a core
  double burst = 1000;
  std::size_t free_per_peer = 64;  ///< messages at once that are not charged, as replies are expected
  std::size_t peers = 8192;
  std::size_t active = 8192;
  std::size_t active_per_peer = 512;
  std::size_t active_public = 4096;
  std::size_t active_broadcast = 1024;
  std::size_t active_per_topic = 128;
  std::map<std::string, std::size_t> topics;  ///< limits of single topics
};

class RateLimiter {
 public:
  /// A reserved place, released by the destructor.
  class Permit {
   public:
    Permit(Permit&& other) noexcept
        : limiter_(std::exchange(other.limiter_, nullptr)),
          peer_(other.peer_),
          public_(other.public_),
          topic_(std::move(other.topic_)) {}
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (limiter_ != nullptr) limiter_->release(*this);
    }

   private:
    friend class RateLimiter;
    Permit(RateLimiter& limiter, const crypto::PeerId& peer, bool is_public, std::optional<std::string> topic)
        : limiter_(&limiter), peer_(peer), public_(is_public), topic_(std::move(topic)) {}
    RateLimiter* limiter_;
    crypto::PeerId peer_;
    bool public_;
    std::optional<std::string> topic_;
  };

  /// A reply of the peer that this host waits for, until this is destroyed.
  class Expected {
   public:
    Expected(RateLimiter& limiter, const crypto::PeerId& peer) : limiter_(limiter), peer_(peer) {
      ++limiter_.expected_[peer_].waiting;
    }
    Expected(const Expected&) = delete;
    Expected& operator=(const Expected&) = delete;
    ~Expected() { limiter_.forget(peer_); }

   private:
    RateLimiter& limiter_;
    crypto::PeerId peer_;
  };

  static constexpr std::size_t kBytesPerCharge = std::size_t{16} << 10;

  explicit RateLimiter(crypto::PeerId self, RateLimits limits = {}) : self_(self), limits_(std::move(limits)) {}
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;

  /// A message of `bytes`. False if the peer's bucket cannot pay it, and none is expected.
  [[nodiscard]] bool charge(const crypto::PeerId& peer, SteadyTime now, std::size_t bytes = 0);
  /// Nothing if there is no place left for this peer, this kind of message or any message.
  [[nodiscard]] std::optional<Permit> admit(const crypto::PeerId& peer, const Envelope& envelope);

  [[nodiscard]] std::size_t active() const { return active_; }
  [[nodiscard]] std::size_t peers() const { return buckets_.size(); }

 private:
  struct Bucket {
    double tokens;
    SteadyTime filled;
  };
  struct Replies {
    std::size_t waiting = 0;  ///< Expected that exist
    std::size_t used = 0;     ///< of them, for a message that was free
  };
  bool use_expected(const crypto::PeerId& peer);
  void forget(const crypto::PeerId& peer);
  void refill(Bucket& bucket, SteadyTime now) const;
  void sweep(SteadyTime now);
  void release(const Permit& permit);

  crypto::PeerId self_;
  RateLimits limits_;
  std::map<crypto::PeerId, Bucket> buckets_;
  std::map<crypto::PeerId, Replies> expected_;
  std::optional<SteadyTime> swept_;
  std::map<crypto::PeerId, std::size_t> active_by_peer_;
  std::map<std::string, std::size_t> active_by_topic_;
  std::size_t active_ = 0;
  std::size_t active_public_ = 0;
  std::size_t active_broadcast_ = 0;
};

}  // namespace dms::actor
