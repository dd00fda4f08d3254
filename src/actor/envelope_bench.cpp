// The cost of an envelope for its sender and its receiver; the argument is the payload size in bytes.
#include <benchmark/benchmark.h>

#include "actor/envelope.hpp"

namespace dms::actor {
namespace {

struct SignedEnvelope {
  SeededRandom random{1};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);
  Envelope envelope;

  explicit SignedEnvelope(std::size_t payload_bytes) {
    envelope.from = Handle::from(key.public_key()).value();
    envelope.to = Handle::from(crypto::PrivateKey::generate(random).public_key()).value();
    envelope.behaviour = "/dms/node/peers/list";
    envelope.options.expires = ~std::uint64_t{0};
    envelope.message.assign(payload_bytes, '{');
    envelope.capability.assign(2000, '{');
    if (!envelope.sign(key)) std::abort();
  }
};

void sign_and_encode(benchmark::State& state) {
  SignedEnvelope message(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    ++message.envelope.nonce;
    benchmark::DoNotOptimize(message.envelope.sign(message.key));
    benchmark::DoNotOptimize(message.envelope.encode());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(sign_and_encode)->Arg(100)->Arg(10'000)->Arg(500'000);

void decode_and_verify(benchmark::State& state) {
  const Bytes encoded = SignedEnvelope(static_cast<std::size_t>(state.range(0))).envelope.encode();
  for (auto _ : state) {
    const auto envelope = Envelope::decode(encoded);
    if (!envelope || !envelope->verify({1})) state.SkipWithError("the envelope was refused");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(decode_and_verify)->Arg(100)->Arg(10'000)->Arg(500'000);

}  // namespace
}  // namespace dms::actor
