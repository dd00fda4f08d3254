// What this machine lends, what is promised of it and what is in use: free = onboarded - committed - allocated, always.
//
// Model
//  1. onboard() sets the share of the machine that is lent; it may be changed while work runs, but not below what is promised
//     and in use. offboard() ends lending and is refused while anything is promised or in use.
//  2. commit(id) promises resources until an instant; allocate(id) turns the promise into use; deallocate(id) and
//     uncommit(id) give back. An id is promised or in use at most once: a second commit is Errc::already_exists, giving back
//     what is not there is Errc::not_found.
//  3. A promise that has expired does not count any more, whether or not anyone has looked.
//  4. Everything is on disk when a call returns, and is there again after a crash. Graphics cards are assigned by index.
//
// Threads: the lane of the store. Time is handed in. Failure: Errc::limit_exceeded names what is short and by how much.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "capability/capability.hpp"
#include "db/store.hpp"

namespace dms::resources {

class Manager {
 public:
  /// Reads back what is stored. `now` outlives the manager.
  static Result<Manager> open(db::Store& store, std::function<UnixTime()> now);

  /// `machine` is what there is. The share may not exceed it, nor be less than what is promised and in use.
  Result<void> onboard(const capability::Resources& share, const capability::Resources& machine);
  Result<void> offboard();
  [[nodiscard]] const std::optional<capability::Resources>& onboarded() const { return share_; }

  Result<void> commit(const std::string& id, const capability::Resources& wanted, UnixTime expires);
  Result<void> uncommit(const std::string& id);
  Result<void> allocate(const std::string& id);
  Result<void> deallocate(const std::string& id);
  /// Gives back every promise and all that is in use, for a start after which nothing of it runs any more.
  Result<void> release_all();

  /// What one more commit could have. Errc::not_found if the machine is not onboarded.
  [[nodiscard]] Result<capability::Resources> free() const;
  [[nodiscard]] Result<capability::Resources> committed() const { return sum(Use::committed); }
  [[nodiscard]] Result<capability::Resources> allocated() const { return sum(Use::allocated); }
  /// What an id holds, graphics cards with the indices assigned to it.
  [[nodiscard]] Result<capability::Resources> held(const std::string& id) const;
  [[nodiscard]] std::size_t count() const { return entries_.size(); }

 private:
  enum class Use { committed, allocated };
  struct Entry {
    bool allocated = false;
    capability::Resources resources;
    std::uint64_t expires = 0;  // of a promise, ns since 1970
    static constexpr auto json_fields() {
      return std::tuple(json::field("allocated", &Entry::allocated), json::field("resources", &Entry::resources),
                        json::field("expires", &Entry::expires));
    }
  };
  Manager(db::Store& store, std::function<UnixTime()> now) : store_(&store), now_(std::move(now)) {}
  [[nodiscard]] bool counts(const Entry& entry) const { return entry.allocated || entry.expires >= now_().nanos; }
  [[nodiscard]] Result<capability::Resources> sum(Use use) const;
  [[nodiscard]] Result<capability::Resources> remaining_of(const capability::Resources& share) const;
  Result<void> erase(std::map<std::string, Entry>::iterator it);

  db::Store* store_;
  std::function<UnixTime()> now_;
  std::optional<capability::Resources> share_;
  std::map<std::string, Entry> entries_;
};

}  // namespace dms::resources
