// What a chain costs beside the bare signature that it cannot do without.
#include <benchmark/benchmark.h>

#include "ucan/test_parties.hpp"

namespace dms::ucan {
namespace {

using test::kNow;
using test::Party;

Token chain_of(std::size_t links) {
  static const Party alice(1);
  Token token = test::make(alice, Action::delegate, alice.did, {}, {"/dms/node"_cap});
  while (token.length() < links) token = test::make(alice, Action::delegate, alice.did, {}, {"/dms/node"_cap}, &token);
  return token;
}

void bare_ed25519(benchmark::State& state) {
  const Party alice(1);
  const Bytes message(300, 7);
  const Bytes signature = alice.key.sign(message).value();
  for (auto _ : state) benchmark::DoNotOptimize(alice.key.public_key().verify(message, signature));
}
BENCHMARK(bare_ed25519);

void verify(benchmark::State& state) {
  const Token token = chain_of(static_cast<std::size_t>(state.range(0)));
  const RevocationSet none;
  for (auto _ : state) benchmark::DoNotOptimize(token.verify(kNow, none));
}
BENCHMARK(verify)->Arg(1)->Arg(3)->Arg(5)->Arg(10);

void verify_known_chain(benchmark::State& state) {
  const Token token = chain_of(static_cast<std::size_t>(state.range(0)));
  const RevocationSet none;
  SignatureCache known(16);
  for (auto _ : state) benchmark::DoNotOptimize(token.verify(kNow, none, &known));
}
BENCHMARK(verify_known_chain)->Arg(1)->Arg(3)->Arg(5)->Arg(10);

void parse(benchmark::State& state) {
  const std::string text = chain_of(static_cast<std::size_t>(state.range(0))).text();
  for (auto _ : state) benchmark::DoNotOptimize(Token::parse(text));
}
BENCHMARK(parse)->Arg(1)->Arg(3)->Arg(5)->Arg(10);

/// A whole authorised call as the callee sees it: read, verify, decide, forget.
void authorise(benchmark::State& state) {
  Party node(1), user(2);
  (void)node.context.anchor({.roots = {user.did}, .require = {}, .provide = {}, .revoke = {}}, kNow);
  const Bytes tokens =
      user.context.provide(node.did, user.did, node.did, kNow + test::kHour, {"/dms/node"_cap}, {"/reply"_cap}, kNow)
          .value();
  for (auto _ : state) {
    (void)node.context.consume(user.did, tokens, kNow);
    benchmark::DoNotOptimize(node.context.require(node.did, user.did, node.did, {"/dms/node"_cap}, kNow));
    node.context.discard(tokens);
  }
}
BENCHMARK(authorise);

}  // namespace
}  // namespace dms::ucan
