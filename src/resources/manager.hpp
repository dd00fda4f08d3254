// What this machine lends to the network: how much is onboarded, promised, in use and free. It never leaks and never
// lends the same thing twice.
//
// Model
//  1. free = onboarded - committed - allocated, and never below zero in any part.
//  2. An id (an allocation's) is unknown, committed or allocated:
//       commit: unknown -> committed      uncommit: committed -> unknown
//       allocate: committed -> allocated  deallocate: allocated -> unknown
//     A step from another state changes nothing and fails: Errc::already_exists if its outcome stands already, else
//     Errc::not_found. A caller that repeats itself can take these for success.
//  3. A commit ends by itself at its expiry: from then on it is not counted and allocate() does not find it.
//     Allocations stay until they are given back.
//  4. Graphics cards are chosen when committing: the stored resources name the cards of the machine by index.
//  5. The share can be changed at any time, but not to less than what is committed and allocated; offboarding needs
//     both to be nothing. Nobody can onboard more than the machine has.
//  6. What has been answered for is in the database before the answer. A manager opened on the database of another that
//     died at any instant is in a state that the other had. Memory changes only after the disk has.
//
// Threads: one lane. Calls wait for the disk like db::Store. Cost: linear in the number of promises (at most
// kMaxPromises).
//
// What a stranger may try: bidding brings him commits; without allocating they expire, their number is bounded, and
// what they may hold is bounded by the share.
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

struct Promise {
  State state = State::committed;
  capability::Resources resources;
  UnixTime expires;  ///< of a commit

  void to_json(json::Writer& writer) const;
  static Result<Promise> from_json(const json::Value& value);
  friend bool operator==(const Promise&, const Promise&) = default;
};

class Manager {
 public:
  static constexpr std::size_t kMaxPromises = 4096;
  using Clock = std::function<UnixTime()>;

  /// The store and what the clock refers to outlive the manager.
  static Result<std::unique_ptr<Manager>> open(db::Store& store, Clock now);

  /// Lends `share` of `machine`. Errc::limit_exceeded says what was asked and what there is.
  Result<void> onboard(const capability::Resources& share, const capability::Resources& machine);
  Result<void> offboard();
  [[nodiscard]] const std::optional<capability::Resources>& onboarded() const { return share_; }

  /// Errc::limit_exceeded says what is missing; Errc::not_found if nothing is onboarded.
  Result<void> commit(const std::string& id, const capability::Resources& required, UnixTime expires);
  Result<void> uncommit(const std::string& id);
  Result<void> allocate(const std::string& id);
  Result<void> deallocate(const std::string& id);
  /// Gives everything back: for a start at which no work of an earlier run is left.
  Result<void> release_all();

  /// Nothing if nothing is onboarded.
  [[nodiscard]] Result<capability::Resources> free() const;
  [[nodiscard]] Result<capability::Resources> committed() const { return total(State::committed); }
  [[nodiscard]] Result<capability::Resources> allocated() const { return total(State::allocated); }
  /// The promise of an id, with its cards; nothing if unknown or expired.
  [[nodiscard]] std::optional<Promise> find(const std::string& id) const;
  /// All that count now.
  [[nodiscard]] std::map<std::string, Promise> list() const;

 private:
  Manager(db::Store& store, Clock now) : store_(store), now_(std::move(now)) {}
  Result<void> load();
  [[nodiscard]] bool counts(const Promise& promise) const;
  [[nodiscard]] Result<capability::Resources> total(std::optional<State> state) const;
  Result<void> drop_expired();
  Result<void> drop(const std::string& id, State state, std::string_view what);

  db::Store& store_;
  Clock now_;
  std::optional<capability::Resources> share_;
  std::map<std::string, Promise> promises_;
};

}  // namespace dms::resources
