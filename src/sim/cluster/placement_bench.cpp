// Whole placements in virtual time: what a user's request takes on the processor until the task has run and its output
// is back, all machines together: bids asked for and signed, matching, commit, allocation, start, end. Items are
// placements; the argument is the number of providers.
#include <benchmark/benchmark.h>

#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

constexpr int kAtOnce = 8;

/// Deploys some tasks at once and waits until all have completed; why that was not so, else nothing.
std::string place(Cluster& cluster, Machine& user) {
  std::vector<std::string> placed;
  for (int i = 0; i < kAtOnce; ++i) {
    Result<std::string> id = cluster.deploy(user, one_task(0.5, 64));
    if (!id) return id.error().to_string();
    placed.push_back(std::move(*id));
  }
  for (const std::string& id : placed)
    if (!cluster.wait_for(user, id, {"Completed"})) return "a task has not completed";
  return {};
}

void placement(benchmark::State& state) {
  Cluster cluster(1, {}, Wiring::memory);
  Machine& user = cluster.add("user", 0, 0);
  for (std::int64_t i = 0; i < state.range(0); ++i) cluster.add(fmt::format("provider{}", i), 16, 64);
  cluster.start();
  for (auto _ : state) {
    if (const std::string mistake = place(cluster, user); !mistake.empty()) {
      state.SkipWithError(mistake.c_str());
      break;
    }
  }
  cluster.stop();
  state.SetItemsProcessed(state.iterations() * kAtOnce);
}
BENCHMARK(placement)->Arg(4)->Arg(32)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dms::sim
