// The leases of the allocations here: how long each may go on without its orchestrator.
//
// Model
//  1. A lease has an end, on the monotonic clock of this boot of the machine. renew() moves the end to its length after
//     the clock that the orchestrator names (protocol/allocation.hpp, 2), or after now; without that the lease is over
//     at its end, which is reported once.
//  2. An orchestrator that renews has the length that it requested, within the provider's bounds: no bid is made for
//     one out of them that the ensemble insists on (bids.hpp). One that requests none, as those of DMS 0.5.x, has the
//     longest silence: heard_from() renews, at most kSilenceSteps times in that length, so its lease ends after a
//     silence between (1 - 1/kSilenceSteps) of it and all of it.
//  3. An end is on disk before it counts: the caller stores a new lease with its allocation, renew() stores the new
//     ends. So a start of the daemon finds exactly the ends that orchestrators know of. A lease of another boot is
//     over: the clock that it counts on has begun anew.
//  4. Renewals that arrive while the disk writes are written together: one transaction for all of them.
//  5. A lease whose renewal is being written is not over before the write has ended.
//
// Threads: the node's lane. Cost: logarithmic in the number of leases; heard_from() is linear in it. Failure: a renewal
// that cannot be stored has not happened. Attacks: the length is bounded whatever is requested; names come from the
// caller, which has checked the owner.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "db/async_store.hpp"
#include "did/did.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "runtime/mutex.hpp"

namespace dms::provider {

inline constexpr std::string_view kLeaseCollection = "allocations.leases";
inline constexpr int kSilenceSteps = 24;

struct LeaseBounds {
  Duration shortest = jobs::Node::kUsualShortestLease;
  Duration longest = jobs::Node::kUsualLongestLease;
  Duration usual = 5min;
  Duration silence = 24h;
};

/// As stored, by the local name of the allocation.
struct Lease {
  std::string boot_id;
  std::int64_t end_ns = 0;  ///< of SteadyTime
  std::int64_t length_ns = 0;
  bool by_contact = false;  ///< has the longest silence, see (2)

  [[nodiscard]] SteadyTime end() const { return SteadyTime(Duration(end_ns)); }
  [[nodiscard]] Duration length() const { return Duration(length_ns); }
  static constexpr auto json_fields() {
    using L = Lease;
    return std::tuple(json::field("boot", &L::boot_id), json::field("end", &L::end_ns),
                      json::field("length", &L::length_ns),
                      json::field("by_contact", &L::by_contact, json::omit_empty));
  }
};

class Leases {
 public:
  /// Called on the lane when a lease is over.
  using Over = std::function<void(const std::string& name)>;

  Leases(Lane& lane, db::AsyncStore& store, std::string boot_id, LeaseBounds bounds, Over over)
      : lane_(lane), store_(store), boot_id_(std::move(boot_id)), bounds_(bounds), over_(std::move(over)) {}

  /// A lease from now on, for a requested length: 0 for the longest silence, less for the provider's default.
  [[nodiscard]] Lease grant(std::int64_t requested_ns) const;
  [[nodiscard]] Duration longest() const { return bounds_.longest; }

  /// Of an allocation of `owner`; the caller has stored it.
  void add(const std::string& name, did::Did owner, Lease lease);
  /// Before the caller erases its document.
  void remove(const std::string& name);

  /// Success if all of them that exist are renewed: to their length after `from`, at most after now. An end is never
  /// moved back.
  Task<Result<void>> renew(std::vector<std::string> names, SteadyTime from = SteadyTime::max());
  /// Renews what the owner has by contact, as (2) says; the names of what is renewed.
  Task<std::vector<std::string>> heard_from(did::Did owner);
  /// The owners whose leases depend on contact, and have had none for a step.
  [[nodiscard]] std::set<did::Did> silent_owners() const;

  /// Null if there is none.
  [[nodiscard]] const Lease* find(const std::string& name) const;
  /// Until the end; 0 if it is over or there is none.
  [[nodiscard]] Duration left(const std::string& name) const;
  [[nodiscard]] bool is_over(const std::string& name) const { return left(name) <= 0ns; }
  [[nodiscard]] std::size_t size() const { return held_.size(); }

  /// Reports the ends, until it is cancelled.
  Task<void> watch();

 private:
  struct Held {
    did::Did owner;
    Lease lease;
    int renewing = 0;
    bool reported = false;
  };
  struct Batch {
    std::map<std::string, Lease> changes;
    bool written = false;
    Result<void> outcome;
  };
  Task<void> write(std::shared_ptr<Batch> batch);
  void report_ends();
  [[nodiscard]] std::optional<SteadyTime> next_end() const;
  [[nodiscard]] bool is_silent(const Held& held) const;

  Lane& lane_;
  db::AsyncStore& store_;
  std::string boot_id_;
  LeaseBounds bounds_;
  Over over_;
  std::map<std::string, Held> held_;
  std::set<std::pair<SteadyTime, std::string>> ends_;  ///< of those that are not reported
  std::shared_ptr<Batch> open_ = std::make_shared<Batch>();
  Mutex writing_;
  Notify changed_;
};

}  // namespace dms::provider
