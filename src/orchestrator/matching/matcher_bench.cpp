// Decisions over the verified bids of 5,000 machines, which are put in order once. Items are decisions; `p99` is the
// time of the decision that 99 of 100 do not exceed; `optimal` are those known to be the best. `small_instances` counts
// as optimal what costs as much as the best of all choices there are.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>

#include "orchestrator/matching/test_instances.hpp"

namespace dms::orchestrator {
namespace {

constexpr std::size_t kMachines = 5000;
constexpr std::size_t kRequests = 1000;
constexpr std::array<std::string_view, 4> kContinents = {"Africa", "America", "Asia", "Europe"};

capability::Resources resources(std::uint64_t cores, std::uint64_t gib) {
  capability::Resources r;
  r.cpu.cores = {cores * 1000};
  r.ram.size = {gib * capability::kGiB};
  r.disk.size = {4 * gib * capability::kGiB};
  return r;
}

/// `prices`: different ones; with one, nothing but the load and the lot tells machines apart.
std::vector<Machine> machines(std::uint64_t prices) {
  SeededRandom random(1);
  std::vector<Machine> made(kMachines);
  for (std::size_t i = 0; i < kMachines; ++i) {
    made[i].peer = fmt::format("12D3KooW{:044}", i);
    made[i].free = resources(1ULL << random.below(7), 1ULL << random.below(8));
    made[i].location.continent = kContinents[random.below(4)];
    made[i].location.country = fmt::format("C{}", random.below(50));
    made[i].price = random.below(prices) * 1000;
    made[i].load = prices == 1 ? 0 : static_cast<std::uint32_t>(random.below(1000));
  }
  return made;
}

std::vector<Wanted> requests(std::size_t nodes, const std::function<void(Wanted&, SeededRandom&)>& change) {
  SeededRandom random(2);
  std::vector<Wanted> made(kRequests);
  for (std::size_t i = 0; i < kRequests; ++i) {
    made[i].deployment = fmt::format("deployment {}", i);
    for (std::size_t n = 0; n < nodes; ++n) {
      WantedNode& node = made[i].nodes.emplace_back();
      node.name = fmt::format("node{}", n);
      node.resources = resources(1ULL << random.below(5), 1ULL << random.below(6));
    }
    change(made[i], random);
  }
  return made;
}

void decide(benchmark::State& state, const Market& market, const std::vector<Wanted>& wanted) {
  std::vector<double> times;
  std::size_t i = 0;
  std::size_t complete = 0;
  std::size_t optimal = 0;
  for (auto _ : state) {
    const auto begun = std::chrono::steady_clock::now();
    const Match found = match(market, wanted[i++ % wanted.size()]);
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count());
    complete += found.complete ? 1 : 0;
    optimal += found.optimal ? 1 : 0;
  }
  if (complete * 10 < i * 9) return state.SkipWithError("too few decisions found a machine for every node");
  const auto p99 = times.begin() + static_cast<std::ptrdiff_t>(times.size() * 99 / 100);
  std::nth_element(times.begin(), p99, times.end());
  state.counters["p99_ms_per_decision"] = *p99;
  state.counters["optimal_share_per_decision"] = static_cast<double>(optimal) / static_cast<double>(i);
  state.SetItemsProcessed(static_cast<std::int64_t>(i));
}

const auto kNothingElse = [](Wanted&, SeededRandom&) {};

void one_node(benchmark::State& state) { decide(state, Market(machines(100)), requests(1, kNothingElse)); }
BENCHMARK(one_node);

/// All machines are equally good: each of them is looked at.
void one_node_at_one_price(benchmark::State& state) { decide(state, Market(machines(1)), requests(1, kNothingElse)); }
BENCHMARK(one_node_at_one_price);

void in_a_country(benchmark::State& state) {
  decide(state, Market(machines(1)), requests(1, [](Wanted& w, SeededRandom& random) {
           w.nodes[0].location.accept.push_back({.continent = std::string(kContinents[random.below(4)]),
                                                 .country = fmt::format("C{}", random.below(50))});
           w.nodes[0].resources = resources(1, 1);
         }));
}
BENCHMARK(in_a_country);

void eight_nodes_with_a_copy(benchmark::State& state) {
  decide(state, Market(machines(100)), requests(8, [](Wanted& w, SeededRandom&) {
           for (WantedNode& node : w.nodes) node.copies = 2;
         }));
}
BENCHMARK(eight_nodes_with_a_copy);

/// Three nodes in a row, near each other; every machine has measured forty others.
void three_nodes_with_edges(benchmark::State& state) {
  SeededRandom random(3);
  const std::vector<Machine> all = machines(100);
  std::vector<Link> links;
  for (const Machine& m : all)
    for (int i = 0; i < 40; ++i)
      links.push_back({m.peer, all[random.below(kMachines)].peer, Duration(random.below(200'000'000)), 100'000'000});
  decide(state, Market(all, links), requests(3, [](Wanted& w, SeededRandom&) {
           w.edges.push_back({.s = 0, .t = 1, .rtt = 50ms, .bandwidth = 10'000'000});
           w.edges.push_back({.s = 1, .t = 2, .rtt = 50ms, .bandwidth = 10'000'000});
         }));
}
BENCHMARK(three_nodes_with_edges);

void three_nodes_in_different_countries(benchmark::State& state) {
  decide(state, Market(machines(100)), requests(3, [](Wanted& w, SeededRandom&) {
           w.apart.push_back({.nodes = {0, 1, 2}, .area = capability::Area::country});
         }));
}
BENCHMARK(three_nodes_in_different_countries);

/// Up to three nodes with copies, edges and areas on up to six machines.
void small_instances(benchmark::State& state) {
  struct Solved {
    Instance instance;
    Market market;
    Cost best;
  };
  SeededRandom random(4);
  std::vector<Solved> solved;
  for (std::size_t n = 0; n < kRequests; ++n) {
    Instance made = random_instance(random);
    Market market(made.machines, made.links);
    const Cost best = BruteForce(market, made.w).best();
    solved.push_back({std::move(made), std::move(market), best});
  }
  std::size_t i = 0;
  std::size_t optimal = 0;
  for (auto _ : state) {
    const Solved& one = solved[i++ % solved.size()];
    optimal += match(one.market, one.instance.w).cost == one.best ? 1 : 0;
  }
  state.counters["optimal_share_per_decision"] = static_cast<double>(optimal) / static_cast<double>(i);
  state.SetItemsProcessed(static_cast<std::int64_t>(i));
}
BENCHMARK(small_instances);

/// Once for a round.
void order_bids(benchmark::State& state) {
  const std::vector<Machine> all = machines(100);
  for (auto _ : state) benchmark::DoNotOptimize(Market(all));
}
BENCHMARK(order_bids);

}  // namespace
}  // namespace dms::orchestrator
