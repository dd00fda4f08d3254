// What the runtime itself costs: a post, a timer that fires, a timer that is cancelled, a task in a nursery, an awaited
// coroutine, a wait that another wakes. Each in the simulation and on threads; items are single operations.
#include <benchmark/benchmark.h>

#include "runtime/real_runtime.hpp"
#include "simulation/sim_world.hpp"

namespace dms {
namespace {

constexpr int kBatch = 1000;

struct Simulated {
  SimWorld world{1};
  SimNode& node = world.add_node("node");
  void run(Task<void> task) { world.run(node, std::move(task)); }
};
struct Real {
  RealRuntime runtime;
  void run(Task<void> task) { runtime.run(std::move(task)); }
};

/// Counts down to the end of a batch.
struct Batch {
  int left = kBatch;
  Notify done;
  void one() {
    if (--left == 0) done.notify_all();
  }
};

Task<void> until_done(Batch& batch) {
  while (batch.left > 0) {
    const Result<void> waited = co_await batch.done.wait();
    if (!waited) co_return;
  }
}

Task<void> post() {
  const TaskContext context = co_await this_task();
  Batch batch;
  for (int i = 0; i < kBatch; ++i) context.lane->post([&batch] { batch.one(); });
  co_await until_done(batch);
}

Task<void> timer() {
  const TaskContext context = co_await this_task();
  Batch batch;
  const SteadyTime now = context.lane->now();
  for (int i = 0; i < kBatch; ++i) context.lane->call_at(now + Duration(i), [&batch] { batch.one(); });
  co_await until_done(batch);
}

/// What nearly every timeout does: it is set and never fires.
Task<void> cancelled_timer() {
  const TaskContext context = co_await this_task();
  for (int i = 0; i < kBatch; ++i) {
    const TimerId id = context.lane->call_at(context.lane->now() + 1h, [] {});
    context.lane->cancel_timer(id);
  }
}

Task<void> nothing() { co_return; }

Task<void> spawned_task() {
  const TaskContext context = co_await this_task();
  Nursery nursery(*context.lane, "bench");
  for (int i = 0; i < kBatch; ++i) nursery.spawn(nothing());
  co_await nursery.join();
}

Task<int> one_more(int number) { co_return number + 1; }

Task<void> awaited_task() {
  int number = 0;
  while (number < kBatch) number = co_await one_more(number);
  benchmark::DoNotOptimize(number);
}

Task<void> echo(int& turn, Notify& mine, Notify& other, int parity) {
  while (turn < kBatch) {
    if (turn % 2 == parity) {
      ++turn;
      other.notify_one();
      continue;
    }
    const Result<void> woken = co_await mine.wait();
    if (!woken) co_return;
  }
  other.notify_one();
}

/// Two tasks that wake each other in turn.
Task<void> notified_wait() {
  const TaskContext context = co_await this_task();
  int turn = 0;
  Notify even, odd;
  Nursery nursery(*context.lane, "bench");
  nursery.spawn(echo(turn, even, odd, 0));
  nursery.spawn(echo(turn, odd, even, 1));
  co_await nursery.join();
}

template <class World, Task<void> (*work)()>
void batch(benchmark::State& state) {
  World world;
  for (auto _ : state) world.run(work());
  state.SetItemsProcessed(state.iterations() * kBatch);
}

/// Connections in a world of so many nodes, each from another node and to another one.
void connect(benchmark::State& state) {
  SimWorld world(1);
  std::vector<SimNode*> nodes;
  std::vector<Result<std::unique_ptr<Listener>>> listeners;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    nodes.push_back(&world.add_node("n"));
    listeners.push_back(nodes.back()->runtime().net.listen_tcp({IpAddress(), 9}));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    SimNode& from = *nodes[next++ % nodes.size()];
    const SimNode& to = *nodes[next * 7919 % nodes.size()];
    if (!world.run(from, from.runtime().net.connect_tcp({to.address(), 9}))) return state.SkipWithError("no answer");
  }
}

// NOLINTBEGIN(cert-err58-cpp): how Google Benchmark registers
BENCHMARK(batch<Simulated, post>)->Name("runtime_post/sim");
BENCHMARK(batch<Real, post>)->Name("runtime_post/real");
BENCHMARK(batch<Simulated, timer>)->Name("runtime_timer/sim");
BENCHMARK(batch<Real, timer>)->Name("runtime_timer/real");
BENCHMARK(batch<Simulated, cancelled_timer>)->Name("runtime_cancelled_timer/sim");
BENCHMARK(batch<Real, cancelled_timer>)->Name("runtime_cancelled_timer/real");
BENCHMARK(batch<Simulated, spawned_task>)->Name("runtime_spawned_task/sim");
BENCHMARK(batch<Real, spawned_task>)->Name("runtime_spawned_task/real");
BENCHMARK(batch<Simulated, awaited_task>)->Name("runtime_awaited_task/sim");
BENCHMARK(batch<Real, awaited_task>)->Name("runtime_awaited_task/real");
BENCHMARK(batch<Simulated, notified_wait>)->Name("runtime_notified_wait/sim");
BENCHMARK(batch<Real, notified_wait>)->Name("runtime_notified_wait/real");
BENCHMARK(connect)->Name("simulation_connect")->Arg(10)->Arg(1000)->Arg(10000);
// NOLINTEND(cert-err58-cpp)

}  // namespace
}  // namespace dms
