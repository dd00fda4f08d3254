// The resources of this machine that the network may use: onboarded, committed, allocated and free. None is reserved twice,
// none is lost.
//
// Model
//  1. free = onboarded - committed - allocated, and never below zero in any part.
//  2. A reservation has an id (an allocation's), which is unknown, committed or allocated:
//       commit: unknown -> committed      uncommit: committed -> unknown
//       allocate: committed -> allocated  deallocate: allocated -> unknown
//     A step from another state changes nothing and fails: Errc::already_exists if its outcome stands already, else
//     Errc::not_found. A caller that repeats a step can take these for success.
//  3. A commit ends at its expiry: from then on it does not count and allocate() does not find it. Allocations stay
//     until deallocate().
//  4. Graphics cards are chosen at commit: the stored resources name the machine's cards by index.
//  5. The share can change at any time, but not to less than what is committed and allocated; offboarding requires that
//     nothing is. The share is at most what the machine has.
//  6. A change is in the database before it is answered. A manager opened on the database of another that died at any
//     instant is in a state that the other had. Memory changes only after the disk has.
//
// Threads: one lane. Calls wait for the disk like db::Store. Cost: linear in the number of reservations (at most
// kMaxReservations). Attacks: an orchestrator that obtains commits by bidding and never allocates: commits expire, their
// number is bounded, and together they hold at most the share.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "capability/capability.hpp"
#include "db/store.hpp"

namespace dms::resources {

enum class State { committed, allocated };
std::string_view to_string(State state);

struct Reservation {
  State state = State::committed;
  capability::Resources resources;
  UnixTime expires;  ///< of a commit

  void to_json(json::Writer& writer) const;
  static Result<Reservation> from_json(const json::Value& value);
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

class Manager {
 public:
  static constexpr std::size_t kMaxReservations = 4096;
  using Clock = std::function<UnixTime()>;

  /// The store and what the clock refers to outlive the manager.
  static Result<std::unique_ptr<Manager>> open(db::Store& store, Clock now);

  /// Makes `share` of `machine` available. Errc::limit_exceeded says what was asked and what there is.
  Result<void> onboard(const capability::Resources& share, const capability::Resources& machine);
  Result<void> offboard();
  [[nodiscard]] const std::optional<capability::Resources>& onboarded() const { return share_; }

  /// Errc::limit_exceeded says what is missing; Errc::not_found if nothing is onboarded.
  Result<void> commit(const std::string& id, const capability::Resources& required, UnixTime expires);
  Result<void> uncommit(const std::string& id);
  Result<void> allocate(const std::string& id);
  Result<void> deallocate(const std::string& id);
  /// Ends all reservations: for a start at which no work of an earlier run is left.
  Result<void> release_all();

  /// Nothing if nothing is onboarded.
  [[nodiscard]] Result<capability::Resources> free() const;
  [[nodiscard]] Result<capability::Resources> committed() const { return total(State::committed); }
  [[nodiscard]] Result<capability::Resources> allocated() const { return total(State::allocated); }
  /// The reservation of an id, with its cards; nothing if unknown or expired.
  [[nodiscard]] std::optional<Reservation> find(const std::string& id) const;
  /// All that count now.
  [[nodiscard]] std::map<std::string, Reservation> list() const;

 private:
  Manager(db::Store& store, Clock now) : store_(store), now_(std::move(now)) {}
  Result<void> load();
  [[nodiscard]] bool counts(const Reservation& reservation) const;
  [[nodiscard]] Result<capability::Resources> total(std::optional<State> state) const;
  Result<void> drop_expired();
  Result<void> drop(const std::string& id, State state, std::string_view what);

  db::Store& store_;
  Clock now_;
  std::optional<capability::Resources> share_;
  std::map<std::string, Reservation> reservations_;
};

}  // namespace dms::resources
