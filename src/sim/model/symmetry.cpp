// States that differ in the numbers of providers or of allocations alone.
#include <cstring>
#include <utility>

#include "sim/model/protocol_model.hpp"

namespace dms::sim::model {
namespace {

static_assert(kProviders == 2 && kMaxAllocations == 2, "the images are those of exchanges of two");

using Tasks = std::array<Task, kMaxAllocations>;

Tasks exchanged(Tasks tasks, bool providers, bool allocations) {
  if (allocations) std::swap(tasks[0], tasks[1]);
  if (providers)
    for (Task& t : tasks)
      // Who is not placed has none, which is written as 0.
      if (t.incarnation != 0 && !is_final(t.phase)) t.provider = static_cast<std::uint8_t>(1 - t.provider);
  return tasks;
}

State exchanged(const State& state, bool providers, bool allocations) {
  State s = state;
  s.tasks = exchanged(state.tasks, providers, allocations);
  if (providers) std::swap(s.providers[0], s.providers[1]);
  if (allocations)
    for (Provider& provider : s.providers) std::swap(provider.allocations[0], provider.allocations[1]);
  for (Message& m : s.messages) {
    if (m.kind == Kind::none) continue;
    if (providers) m.provider = static_cast<std::uint8_t>(1 - m.provider);
    if (allocations) m.allocation = static_cast<std::uint8_t>(1 - m.allocation);
  }
  sort_messages(s);
  return s;
}

bool is_image(const Limits& limits, bool providers, bool allocations) {
  return (!providers || limits.providers == 2) && (!allocations || limits.allocations == 2);
}

}  // namespace

std::vector<State> images(const State& state, const Limits& limits) {
  std::vector<State> all;
  for (const bool allocations : {false, true})
    for (const bool providers : {false, true})
      if (is_image(limits, providers, allocations)) all.push_back(exchanged(state, providers, allocations));
  return all;
}

State canonical(const State& state, const Limits& limits) {
  // Mostly the tasks alone, which are the first bytes that differ, say which image is least.
  State least = state;
  for (const bool allocations : {false, true})
    for (const bool providers : {false, true}) {
      if ((!allocations && !providers) || !is_image(limits, providers, allocations)) continue;
      const Tasks tasks = exchanged(state.tasks, providers, allocations);
      const int order = std::memcmp(&tasks, &least.tasks, sizeof(Tasks));
      if (order > 0) continue;
      const State image = exchanged(state, providers, allocations);
      if (order < 0 || std::memcmp(&image, &least, sizeof(State)) < 0) least = image;
    }
  return least;
}

}  // namespace dms::sim::model
