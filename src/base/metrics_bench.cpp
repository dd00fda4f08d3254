// The cost of counting, beside a plain integer, and of reading.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/metrics.hpp"

namespace dms::metrics {
namespace {

enum class Outcome : std::uint8_t { a, b, c, d };

void plain_integer(benchmark::State& state) {
  std::uint64_t value = 0;
  for (auto _ : state) {
    ++value;
    benchmark::DoNotOptimize(value);
  }
}
BENCHMARK(plain_integer);

void counter(benchmark::State& state) {
  Registry registry;
  Counter value;
  Group group;
  group.in(registry).counter("nunet_bench_events_total", "Events.", value);
  for (auto _ : state) {
    ++value;
    benchmark::DoNotOptimize(value);
  }
}
BENCHMARK(counter);

void counter_by_enumerator(benchmark::State& state) {
  CounterArray<Outcome, 4> values;
  std::uint64_t i = 0;
  for (auto _ : state) {
    ++values[static_cast<Outcome>(++i % 4)];
    benchmark::DoNotOptimize(values);
  }
}
BENCHMARK(counter_by_enumerator);

void histogram(benchmark::State& state) {
  Histogram values(kSeconds);
  std::int64_t i = 0;
  for (auto _ : state) {
    values.observe(Duration(++i % 1'000'000'000));
    benchmark::DoNotOptimize(values);
  }
}
BENCHMARK(histogram);

void snapshot(benchmark::State& state) {
  Registry registry;
  std::vector<Counter> values(static_cast<std::size_t>(state.range(0)));
  Group group;
  group.in(registry);
  for (std::size_t i = 0; i < values.size(); ++i)
    group.counter("nunet_bench_events_total", "Events.", values[i], {{"number", std::to_string(i)}});
  for (auto _ : state) benchmark::DoNotOptimize(registry.snapshot());
}
BENCHMARK(snapshot)->Arg(300);

}  // namespace
}  // namespace dms::metrics
