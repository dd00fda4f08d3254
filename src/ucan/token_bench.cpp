// The cost of verifying a chain, compared with a bare signature check.
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

/// One signature by the same library over as many bytes as a link without a chain has: the baseline of all ratios here.
void bare_ed25519(benchmark::State& state) {
  const Party alice(1);
  const Bytes message(300, 7);
  const Bytes signature = alice.key.sign(message).value();
  const crypto::PublicKey& key = alice.key.public_key();
  for (auto _ : state) benchmark::DoNotOptimize(key.verify(message, signature));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(bare_ed25519);

/// A chain that is not cached; its signature checks dominate.
void verify(benchmark::State& state) {
  const Token token = chain_of(static_cast<std::size_t>(state.range(0)));
  const RevocationSet none;
  for (auto _ : state) {
    const auto sound = token.verify(kNow, none);
    if (!sound) state.SkipWithError("the chain was refused");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetLabel("vs bare_ed25519");
}
BENCHMARK(verify)->Arg(1)->Arg(3)->Arg(5)->Arg(10);

/// A delegation from which a valid token derived before: expiry, revocation and attenuation are checked, signatures
/// known.
void verify_cached(benchmark::State& state) {
  const Token token = chain_of(static_cast<std::size_t>(state.range(0)));
  RevocationSet revoked;
  for (std::uint8_t i = 0; i < 100; ++i) revoked.add(test::make(Party(2), Action::revoke, token.subject(), {}, {}));
  SignatureCache known(1024);
  const Token call = test::make(Party(1), Action::invoke, token.subject(), {}, {"/dms/node"_cap}, &token);
  if (!call.verify(kNow, revoked, &known)) std::abort();
  for (auto _ : state) {
    const auto sound = token.verify(kNow, revoked, &known);
    if (!sound) state.SkipWithError("the chain was refused");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetLabel("vs bare_ed25519");
}
BENCHMARK(verify_cached)->Arg(1)->Arg(3)->Arg(5)->Arg(10);

/// A call with a new token on a verified chain: one signature check.
void verify_call_on_cached(benchmark::State& state) {
  const Token token = chain_of(static_cast<std::size_t>(state.range(0)));
  const RevocationSet none;
  SignatureCache known(1024);
  const Token call = test::make(Party(1), Action::invoke, token.subject(), {}, {"/dms/node"_cap}, &token);
  for (auto _ : state) {
    const auto sound = call.verify(kNow, none, &known);
    if (!sound) state.SkipWithError("the chain was refused");
  }
  state.SetItemsProcessed(state.iterations());
  state.SetLabel("vs bare_ed25519");
}
BENCHMARK(verify_call_on_cached)->Arg(1)->Arg(3)->Arg(5)->Arg(10);

void parse(benchmark::State& state) {
  const std::string text = chain_of(static_cast<std::size_t>(state.range(0))).text();
  for (auto _ : state) benchmark::DoNotOptimize(Token::parse(text));
}
BENCHMARK(parse)->Arg(1)->Arg(3)->Arg(5)->Arg(10);

/// The authorisation of a call at its receiver: parse, verify, decide, release.
void authorise(benchmark::State& state) {
  Party node(1), user(2);
  (void)node.context.anchor({.roots = {user.did}, .require = {}, .provide = {}, .revoke = {}}, kNow);
  const Bytes tokens =
      user.context.provide(node.did, user.did, node.did, kNow + test::kHour, {"/dms/node"_cap}, {"/reply"_cap}, kNow)
          .value();
  for (auto _ : state) {
    const Consumed consumed = node.context.consume(user.did, tokens, kNow).value();
    benchmark::DoNotOptimize(node.context.require(node.did, user.did, node.did, {"/dms/node"_cap}, kNow));
  }
}
BENCHMARK(authorise);

}  // namespace
}  // namespace dms::ucan
