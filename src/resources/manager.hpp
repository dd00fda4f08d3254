// The resources that this machine offers to the network: onboarded, committed, allocated, free. Nothing leaks and
// nothing is reserved twice.
//
// Model
//  1. free = onboarded - committed - allocated, and never below zero in any part.
//  2. An id (an allocation's) is unknown, committed or allocated:
//       commit: unknown -> committed      uncommit: committed -> unknown
//       allocate: committed -> allocated  deallocate: allocated -> unknown
//     A step from another state changes nothing and fails: Errc::already_exists if the outcome already holds, else
//     Errc::not_found. A caller that repeats a request can treat these as success. resize() changes what is allocated.
//  3. A commit expires: from its expiry on it is not counted and allocate() does not find it. Allocations stay until
//     they are deallocated. The expiry is an instant of the monotonic clock: a wall clock that is set changes nothing,
//     and after a reboot it means nothing, so a start of the daemon drops all commits (release_all()).
//  4. Graphics cards are chosen when committing: the stored resources name the cards of the machine by index.
//  5. The share can be changed at any time, but not to less than what is committed and allocated; offboarding needs
//     both to be zero. A share cannot exceed the machine.
//  6. A change is on disk before it is in memory, and in memory before its caller continues; a manager opened on the
//     database of a process that was killed at any instant is in a state that this process had. Changes are made one at
//     a time, in the order of the calls.
//  7. It is known for good whether a share has been chosen here, be it none: an owner who has withdrawn it is not offered
//     one again by the settings (share.hpp).
//  8. A record that cannot be read is set aside (db/readable.hpp) and does not prevent opening.
//  9. A Watcher, for tests and simulations, is told each reservation that begins and each that ends, be it by its
//     expiry, once that is on disk and in memory; and each deallocate() of what is not allocated.
//
// Threads: one lane, which is free while the disk writes. A change that has begun is not cancelled. Cost: linear in the
// number of reservations (at most kMaxReservations).
//
// Attacks: an orchestrator that bids and commits holds resources without allocating; its reservations expire, their
// number is bounded, and what they hold is bounded by the share.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "capability/capability.hpp"
#include "db/async_store.hpp"
#include "runtime/mutex.hpp"

namespace dms::resources {

/// In the store: a Reservation for each id. The name in the files of earlier versions.
inline constexpr const char* kReservationCollection = "resources.promises";

enum class State { committed, allocated };
std::string_view to_string(State state);

struct Reservation {
  State state = State::committed;
  capability::Resources resources;
  SteadyTime expires{};  ///< of a commit

  void to_json(json::Writer& writer) const;
  static Result<Reservation> from_json(const json::Value& value);
  friend bool operator==(const Reservation&, const Reservation&) = default;
};

class Manager {
 public:
  static constexpr std::size_t kMaxReservations = 4096;
  using Clock = std::function<SteadyTime()>;
  enum class Step { reserved, released, not_held };
  using Watcher = std::function<void(const std::string& id, Step)>;

  /// The store and what the clock refers to outlive the manager. Blocks: for the start of the daemon.
  static Result<std::unique_ptr<Manager>> open(db::AsyncStore& store, Clock now);

  /// Offers `share` of `machine`. Errc::limit_exceeded names what is required and what is available.
  Task<Result<void>> onboard(capability::Resources share, capability::Resources machine);
  Task<Result<void>> offboard();
  [[nodiscard]] const std::optional<capability::Resources>& onboarded() const { return share_; }
  /// See (7): whether onboard() or offboard() has ever succeeded.
  [[nodiscard]] bool is_decided() const { return decided_; }

  /// Errc::limit_exceeded says what is missing; Errc::not_found if nothing is onboarded.
  Task<Result<void>> commit(std::string id, capability::Resources required, SteadyTime expires);
  Task<Result<void>> uncommit(std::string id);
  Task<Result<void>> allocate(std::string id);
  Task<Result<void>> deallocate(std::string id);
  /// From now on `required` is allocated, with cards chosen anew: Errc::limit_exceeded if it is more and not free.
  Task<Result<void>> resize(std::string id, capability::Resources required);
  /// Drops all reservations except these: for a start, after which nothing else of an earlier run is left.
  Task<Result<void>> release_all(std::set<std::string> except);

  /// Empty if nothing is onboarded.
  [[nodiscard]] Result<capability::Resources> free() const;
  [[nodiscard]] Result<capability::Resources> committed() const { return total(State::committed); }
  [[nodiscard]] Result<capability::Resources> allocated() const { return total(State::allocated); }
  /// Whether another reservation can be made; see kMaxReservations.
  [[nodiscard]] bool has_room() const;
  /// The reservation of an id, with its cards; empty if unknown or expired.
  [[nodiscard]] std::optional<Reservation> find(const std::string& id) const;
  /// All reservations in force.
  [[nodiscard]] std::map<std::string, Reservation> list() const;
  /// See (9). Called on the lane.
  void watch(Watcher watcher) { watcher_ = std::move(watcher); }

 private:
  Manager(db::AsyncStore& store, Clock now) : store_(store), now_(std::move(now)) {}
  Result<void> load();
  [[nodiscard]] bool counts(const Reservation& promise) const;
  [[nodiscard]] Result<capability::Resources> total(std::optional<State> state, const std::string& without = {}) const;
  Task<Result<void>> drop_expired();
  Task<Result<void>> drop(std::string id, State state, std::string_view what);
  Task<Result<void>> erase(std::vector<std::string> ids);
  void forget(const std::string& id);
  void tell(const std::string& id, Step step) const;
  void check_invariants() const;

  db::AsyncStore& store_;
  Clock now_;
  Mutex changing_;
  std::optional<capability::Resources> share_;
  bool decided_ = false;
  std::map<std::string, Reservation> reservations_;
  Watcher watcher_;
};

}  // namespace dms::resources
