// Canonical JSON beside Boost.JSON, which builds the same documents: what limits, refusals of duplicate keys, exact
// doubles and Go's escapes cost. Documents like those that the network sends.
#include <benchmark/benchmark.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/random.hpp"
#include "encoding/json.hpp"
#include "encoding/multibase.hpp"

namespace dms {
namespace {

std::string did_of(Random& random) { return "did:key:z6Mk" + base58btc_encode(random.bytes(33)); }

/// A delegation with a chain of `links`, as ucan::Token writes it.
std::string token(std::size_t links) {
  SeededRandom random(1);
  std::string chain;
  for (std::size_t i = 0; i < links; ++i) {
    json::Writer w;
    w.begin_object().key("dms").begin_object().key("act").string("delegate");
    for (const char* party : {"iss", "sub", "aud"})
      w.key(party).begin_object().key("uri").string(did_of(random)).end_object();
    w.key("cap").begin_array().string("/dms/node").string("/dms/deployment").end_array();
    w.key("nonce").bytes(random.bytes(12)).key("exp").unsigned_integer(1'760'000'000'000'000'000);
    if (!chain.empty()) w.key("chain").raw(chain);
    w.key("sig").bytes(random.bytes(64)).end_object().end_object();
    chain = w.take();
  }
  return chain;
}

/// As actor::Envelope is written: two handles, some options, a message and tokens in base64.
std::string envelope() {
  SeededRandom random(2);
  json::Writer w;
  w.begin_object();
  for (const char* party : {"from", "to"}) {
    w.key(party)
        .begin_object()
        .key("id")
        .begin_object()
        .key("pub")
        .string(base32_encode(random.bytes(36)))
        .end_object();
    w.key("did").begin_object().key("uri").string(did_of(random)).end_object();
    w.key("addr").begin_object().key("host").string("12D3KooW" + base58btc_encode(random.bytes(32)));
    w.key("inbox").string("root").end_object().end_object();
  }
  w.key("be").string("/dms/node/deployment/new").key("nonce").unsigned_integer(random.u64());
  w.key("opt")
      .begin_object()
      .key("exp")
      .unsigned_integer(1'760'000'000'000'000'000)
      .key("cont")
      .string("/r")
      .end_object();
  w.key("msg").bytes(random.bytes(1500)).key("cap").bytes(as_bytes(token(3))).key("sig").bytes(random.bytes(64));
  return w.end_object().take();
}

void count_bytes(benchmark::State& state, const std::string& text, const std::string& peer) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
  if (!peer.empty()) state.SetLabel("vs " + peer);
}

void json_boost_decode(benchmark::State& state, const std::string& text) {
  for (auto _ : state) {
    auto value = boost::json::parse(text);
    benchmark::DoNotOptimize(value);
  }
  count_bytes(state, text, "");
}

void json_decode(benchmark::State& state, const std::string& text, const std::string& peer) {
  for (auto _ : state) {
    auto value = json::parse(text);
    if (!value) state.SkipWithError("the text was refused");
    benchmark::DoNotOptimize(value);
  }
  count_bytes(state, text, peer);
}

void json_boost_encode(benchmark::State& state, const std::string& text) {
  const auto value = boost::json::parse(text);
  for (auto _ : state) benchmark::DoNotOptimize(boost::json::serialize(value));
  count_bytes(state, text, "");
}

void json_encode(benchmark::State& state, const std::string& text, const std::string& peer) {
  const auto value = json::parse(text).value();
  if (json::write(value) != text) state.SkipWithError("the text is not canonical");
  for (auto _ : state) benchmark::DoNotOptimize(json::write(value));
  count_bytes(state, text, peer);
}

BENCHMARK_CAPTURE(json_boost_decode, envelope, envelope());
BENCHMARK_CAPTURE(json_decode, envelope, envelope(), "json_boost_decode/envelope");
BENCHMARK_CAPTURE(json_boost_decode, token, token(5));
BENCHMARK_CAPTURE(json_decode, token, token(5), "json_boost_decode/token");
BENCHMARK_CAPTURE(json_boost_encode, envelope, envelope());
BENCHMARK_CAPTURE(json_encode, envelope, envelope(), "json_boost_encode/envelope");
BENCHMARK_CAPTURE(json_boost_encode, token, token(5));
BENCHMARK_CAPTURE(json_encode, token, token(5), "json_boost_encode/token");

}  // namespace
}  // namespace dms
