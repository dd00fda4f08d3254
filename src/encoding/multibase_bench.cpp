// Base64, which pages of files and payloads of envelopes travel in.
#include <benchmark/benchmark.h>

#include "base/random.hpp"
#include "encoding/multibase.hpp"

namespace dms {
namespace {

constexpr std::size_t kPage = 512 * 1024;

void base64_encode(benchmark::State& state) {
  SeededRandom random(1);
  const Bytes page = random.bytes(kPage);
  for (auto _ : state) benchmark::DoNotOptimize(encode(Base::base64, page));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kPage));
}
BENCHMARK(base64_encode);

void base64_decode(benchmark::State& state) {
  SeededRandom random(1);
  const std::string text = encode(Base::base64, random.bytes(kPage));
  for (auto _ : state) benchmark::DoNotOptimize(decode(Base::base64, text));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kPage));
}
BENCHMARK(base64_decode);

}  // namespace
}  // namespace dms
