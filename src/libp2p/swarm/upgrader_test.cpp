#include "libp2p/swarm/upgrader.hpp"

#include "libp2p/swarm/swarm.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace testing;
using Names = std::vector<std::string>;
using Upgraded = Result<Connection>;

const std::string kNoise = "/noise";
const std::string kTls = "/tls/1.0.0";

/// Records which protocol was agreed.
class Recorded final : public Security {
 public:
  Recorded(std::unique_ptr<Security> inner, Names& taken) : inner_(std::move(inner)), taken_(taken) {}
  [[nodiscard]] std::string_view protocol() const override { return inner_->protocol(); }
  Task<Result<Secured>> secure(std::unique_ptr<ByteStream> raw, Side side, std::optional<crypto::PeerId> expected,
                               Names muxers) override {
    taken_.emplace_back(protocol());
    return inner_->secure(std::move(raw), side, expected, std::move(muxers));
  }

 private:
  std::unique_ptr<Security> inner_;
  Names& taken_;
};

/// One side: supports `spoken`, proposes `proposed`.
struct Party {
  Party(Lane& lane, std::uint64_t seed, const Names& spoken, Names proposed)
      : upgrader(lane, securities(lane, seed, spoken), std::move(proposed), {.keep_alive = 0s}) {}

  StandardUpgrader::Securities securities(Lane& lane, std::uint64_t seed, const Names& spoken) {
    StandardUpgrader::Securities out;
    for (auto& security : standard_securities(make_key(seed), lane))
      if (std::ranges::find(spoken, security->protocol()) != spoken.end())
        out.push_back(std::make_unique<Recorded>(std::move(security), taken));
    return out;
  }

  Names taken;
  StandardUpgrader upgrader;
};

crypto::PeerId id_of(std::uint64_t seed) { return crypto::PeerId::from(make_key(seed).public_key()); }

Task<Result<Bytes>> send_question(Connection& connection) {
  CO_TRY(std::unique_ptr<ByteStream> stream, co_await connection.muxer->open_stream());
  const Bytes question = to_bytes("question");
  CO_TRY_VOID(co_await stream->write(question));
  CO_TRY_VOID(co_await stream->close_write());
  co_return co_await read_to_end(*stream, 100);
}

Task<Result<Bytes>> answer(Connection& connection) {
  CO_TRY(std::unique_ptr<ByteStream> stream, co_await connection.muxer->accept_stream());
  CO_TRY(Bytes question, co_await read_to_end(*stream, 100));
  CO_TRY_VOID(co_await stream->write(question));
  CO_TRY_VOID(co_await stream->close_write());
  co_return std::move(question);
}

/// The protocol that was agreed; the error of the dialer if the upgrade failed.
std::string negotiate(const Names& proposed, const Names& accepted, std::optional<crypto::PeerId> expected = id_of(2)) {
  LaneWorld w;
  Party a(w.lane(), 1, {kNoise, kTls}, proposed);
  Party b(w.lane(), 2, accepted, {});
  auto [left, right] = make_pipe();
  auto [dialed, listened] = run_both(w, with_timeout(1min, a.upgrader.upgrade(std::move(left), Side::dialer, expected)),
                                     with_timeout(1min, b.upgrader.upgrade(std::move(right), Side::listener, {})));
  if (dialed && listened) {
    EXPECT_EQ(dialed->peer, id_of(2));
    EXPECT_EQ(listened->peer, id_of(1));
    EXPECT_EQ(a.taken, b.taken);
    auto [echoed, answered] = run_both(w, send_question(*dialed), answer(*listened));
    EXPECT_TRUE(echoed && *echoed == to_bytes("question"));
  }
  if (dialed) w.run(dialed->muxer->close());
  if (listened) w.run(listened->muxer->close());
  if (!dialed) return dialed.error().to_string();
  return a.taken.empty() ? "" : a.taken.back();
}

TEST(Upgrader, AgreesOnTheFirstSupportedProposal) {
  const Names both{kNoise, kTls};
  EXPECT_EQ(negotiate({kNoise}, both), kNoise);
  EXPECT_EQ(negotiate({kTls}, both), kTls);
  EXPECT_EQ(negotiate({kNoise, kTls}, both), kNoise);
  EXPECT_EQ(negotiate({kTls, kNoise}, both), kTls);
  for (const Names& proposed : {Names{kNoise, kTls}, Names{kTls, kNoise}}) {
    EXPECT_EQ(negotiate(proposed, {kNoise}), kNoise);
    EXPECT_EQ(negotiate(proposed, {kTls}), kTls);
  }
  EXPECT_EQ(negotiate({kNoise}, {kNoise}), kNoise);
  EXPECT_EQ(negotiate({kTls}, {kTls}), kTls);
}

TEST(Upgrader, ReportsThatNoProtocolIsShared) {
  EXPECT_NE(negotiate({kNoise}, {kTls}).find("does not speak /noise"), std::string::npos);
  EXPECT_NE(negotiate({kTls}, {kNoise}).find("does not speak /tls/1.0.0"), std::string::npos);
  EXPECT_NE(negotiate({kNoise, kTls}, {}).find("none of the 2 protocols"), std::string::npos);
  EXPECT_NE(negotiate({}, {kNoise}).find("no security protocol is configured"), std::string::npos);
  EXPECT_NE(negotiate({"/plaintext"}, {kNoise}).find("unknown security protocol '/plaintext'"), std::string::npos);
}

TEST(Upgrader, EachProtocolRefusesAnUnexpectedPeer) {
  for (const Names& proposed : {Names{kNoise}, Names{kTls}, Names{kTls, kNoise}}) {
    const std::string error = negotiate(proposed, {kNoise, kTls}, id_of(3));
    EXPECT_NE(error.find("expected peer " + id_of(3).to_string()), std::string::npos) << error;
  }
}

Host::Options propose(Names names) {
  Host::Options options;
  options.swarm.security = std::move(names);
  return options;
}

TEST(Upgrader, ASingleProposalCostsNoRoundTrip) {
  const auto time_of = [](Names names) {
    TwoHosts w(1, {.latency = 10ms, .jitter = 0s}, propose(std::move(names)));
    const SteadyTime begin = w.world.now();
    EXPECT_TRUE(w.connect());
    return w.world.now() - begin;
  };
  const Duration noise = time_of({kNoise});
  EXPECT_EQ(noise, 40ms) << "the round trips of TCP and of the handshake";
  EXPECT_EQ(time_of({kTls}), noise);
  EXPECT_EQ(time_of({kNoise, kTls}), noise + 20ms);
}

TEST(Upgrader, ByDefaultADialerReachesListenersThatSpeakOnlyOneSecurityProtocol) {
  for (const std::string& only : {kTls, kNoise}) {
    LaneWorld w;
    Party dialer(w.lane(), 1, {kNoise, kTls}, SwarmOptions{}.security);
    Party listener(w.lane(), 2, {only}, {});
    auto [left, right] = make_pipe();
    auto [dialed, accepted] = run_both(w, dialer.upgrader.upgrade(std::move(left), Side::dialer, id_of(2)),
                                       listener.upgrader.upgrade(std::move(right), Side::listener, {}));
    ASSERT_TRUE(dialed) << only << ": " << dialed.error().to_string();
    EXPECT_EQ(dialed->security, only);
    w.run(dialed->muxer->close());
    ASSERT_TRUE(accepted);
    w.run(accepted->muxer->close());
  }
  EXPECT_EQ(SwarmOptions{}.security, (Names{kTls, kNoise})) << "in the order of the existing nodes";
}

TEST(Upgrader, ASimulationWithTlsIsReproducible) {
  const auto fingerprint = [](std::uint64_t seed) {
    TwoHosts w(seed, {.loss = 0.05}, propose({kTls}));
    w.b.host->set_stream_handler("/echo", echo);
    EXPECT_TRUE(w.connect());
    EXPECT_TRUE(w.world.run(w.a.node, ask(*w.a.host, w.b.id(), "/echo", Bytes(300'000, 1))));
    w.close();
    return w.world.trace();
  };
  EXPECT_EQ(fingerprint(3), fingerprint(3));
  EXPECT_NE(fingerprint(3), fingerprint(4));
}

}  // namespace
}  // namespace dms::libp2p
