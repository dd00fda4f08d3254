// What each peer may cost this node through pubsub, and what it has done wrong.
//
// Model
//  1. Two token buckets for each peer: bytes read and signature checks. take_bytes() may overdraw, as the bytes have
//     arrived, and says how long to wait before more is read. take_check() refuses when the bucket is empty.
//  2. Blame counts protocol violations. At `max_blame` the peer is banned for `ban_time`; each forgive() takes one
//     blame from every other peer.
//  3. A record belongs to a peer id and outlives its connections, so reconnecting resets nothing. It is dropped once
//     it is empty: no blame, no ban, full buckets. At most `max_records` are kept; above that the least blamed are
//     dropped first.
//
// Attacks: a fresh peer id starts with fresh buckets; how many peer ids an address can bring is limited below, by the
// swarm's connection limits. Displacing the record of a banned peer takes max_records peers with as much blame.
//
// Threads: one lane. Cost: O(log n); tidy() is O(n) and is called by the heartbeat.
#pragma once

#include <map>

#include "base/time.hpp"
#include "crypto/peer_id.hpp"

namespace dms::libp2p {

struct PeerBudgetOptions {
  double bytes_per_second = 4 << 20;
  double burst_bytes = 16 << 20;
  double checks_per_second = 500;  ///< signatures; some 5 % of a core
  double burst_checks = 1000;
  std::size_t max_blame = 16;
  Duration ban_time = 10min;
  std::size_t max_records = 8192;
};

class PeerBudgets {
 public:
  explicit PeerBudgets(PeerBudgetOptions options = {}) : options_(options) {}

  /// How long nothing more may be read from `peer`.
  [[nodiscard]] Duration take_bytes(const crypto::PeerId& peer, std::size_t bytes, SteadyTime now);
  /// False if `peer` has used up its signature checks.
  [[nodiscard]] bool take_check(const crypto::PeerId& peer, SteadyTime now);

  void blame(const crypto::PeerId& peer, SteadyTime now);
  [[nodiscard]] bool banned(const crypto::PeerId& peer, SteadyTime now) const;
  /// Takes one blame from every peer that has any and is not banned.
  void forgive(SteadyTime now);
  /// Drops the empty records, and those above max_records.
  void tidy(SteadyTime now);
  [[nodiscard]] std::size_t records() const { return records_.size(); }

 private:
  struct Record {
    double bytes;
    double checks;
    SteadyTime filled;
    std::size_t blame = 0;
    SteadyTime banned_until{};
  };
  Record& refilled(const crypto::PeerId& peer, SteadyTime now);
  void refill(Record& record, SteadyTime now) const;

  PeerBudgetOptions options_;
  std::map<crypto::PeerId, Record> records_;
};

}  // namespace dms::libp2p
