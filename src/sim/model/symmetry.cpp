// States that differ in the numbers of providers or of allocations alone.
#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/model/protocol_model.hpp"

namespace dms::sim::model {
namespace {

static_assert(kProviders == 2 && kMaxAllocations == 2, "the images are those of exchanges of two");

void exchange_providers(State& s) {
  std::swap(s.providers[0], s.providers[1]);
  for (Task& t : s.tasks)
    // Who is not placed has none, which is written as 0.
    if (t.incarnation != 0 && !is_final(t.phase)) t.provider = static_cast<std::uint8_t>(1 - t.provider);
  for (Message& m : s.messages)
    if (m.kind != Kind::none) m.provider = static_cast<std::uint8_t>(1 - m.provider);
  std::ranges::sort(s.messages);
}

void exchange_allocations(State& s) {
  std::swap(s.tasks[0], s.tasks[1]);
  for (Provider& provider : s.providers) std::swap(provider.allocations[0], provider.allocations[1]);
  for (Message& m : s.messages)
    if (m.kind != Kind::none) m.allocation = static_cast<std::uint8_t>(1 - m.allocation);
  std::ranges::sort(s.messages);
}

}  // namespace

std::vector<State> images(const State& state, const Limits& limits) {
  std::vector<State> all(2, state);
  exchange_providers(all[1]);
  if (limits.allocations < 2) return all;
  for (std::size_t i = 0; i < 2; ++i) {
    all.push_back(all[i]);
    exchange_allocations(all.back());
  }
  return all;
}

State canonical(const State& state, const Limits& limits) {
  State least = state;
  const auto take = [&least](const State& image) {
    if (std::memcmp(&image, &least, sizeof(State)) < 0) least = image;
  };
  State image = state;
  exchange_providers(image);
  take(image);
  if (limits.allocations < 2) return least;
  exchange_allocations(image);
  take(image);
  exchange_providers(image);
  take(image);
  return least;
}

}  // namespace dms::sim::model
