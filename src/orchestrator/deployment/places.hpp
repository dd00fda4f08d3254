// Bounds what is under way at each of several machines at once.
//
//     CO_TRY(const Places::Place place, co_await places.take(machine));   // until the end of the scope
//
// Model
//  1. At most `at_once` places of a machine are taken. Who finds none free waits, in the order of the calls of take();
//     a wait that is cancelled may cost another one its turn. What waits for one machine delays nothing at another.
//  2. take() fails only when its caller is cancelled, or its time is up; then without a place.
//
// Threads: one lane. The Places outlive what has taken one or waits for one. Cost: an entry for each machine of which a
// place is taken or waited for.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "runtime/task.hpp"

namespace dms::orchestrator {

class Places {
  struct Machine {
    std::size_t taken = 0;
    std::size_t waiting = 0;
    Notify freed;
  };
  using Machines = std::map<std::string, Machine>;

 public:
  class Place {
   public:
    Place(Place&& other) noexcept : places_(std::exchange(other.places_, nullptr)), at_(other.at_) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (places_ != nullptr) places_->give_back(at_);
    }

   private:
    friend class Places;
    Place(Places& places, Machines::iterator at) : places_(&places), at_(at) {}
    Places* places_;
    Machines::iterator at_;
  };

  explicit Places(std::size_t at_once) : at_once_(at_once) {}
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  Task<Result<Place>> take(std::string machine) {
    const auto at = machines_.try_emplace(std::move(machine)).first;
    Machine& there = at->second;
    if (there.taken + there.waiting >= at_once_) {  // those that wait and have been woken go first
      ++there.waiting;
      Result<void> waited;
      do waited = co_await there.freed.wait();
      while (waited && there.taken >= at_once_);
      --there.waiting;
      if (!waited) {
        const std::unexpected<Error> why = fail(waited.error(), "waiting for earlier requests to {}", at->first);
        settle(at);  // this one may have been woken for a place
        co_return why;
      }
    }
    ++there.taken;
    co_return Place(*this, at);
  }

 private:
  void give_back(Machines::iterator at) {
    --at->second.taken;
    settle(at);
  }
  void settle(Machines::iterator at) {
    Machine& there = at->second;
    if (there.taken < at_once_) there.freed.notify_one();
    if (there.taken == 0 && there.waiting == 0) machines_.erase(at);
  }

  std::size_t at_once_;
  Machines machines_;
};

}  // namespace dms::orchestrator
