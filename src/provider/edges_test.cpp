// Measurements between providers in virtual time: on the network in memory, and over libp2p with links that have a
// latency and a bandwidth.
#include "provider/edges.hpp"

#include <gtest/gtest.h>

#include "actor/test_world.hpp"
#include "network/libp2p_network.hpp"
#include "protocol/serve.hpp"

namespace dms::provider {
namespace {

using protocol::EdgeReply;
using protocol::EdgeRequest;

constexpr Duration kLatency = 10ms;

/// A machine that takes part in measurements.
struct Side {
  explicit Side(actor::TestNode& made_for) : node(made_for) {
    EXPECT_TRUE(edges.open());
    EXPECT_TRUE(serve(*node.root, protocol::kEdge, edges, &Edges::answer));
  }
  [[nodiscard]] std::string peer() const { return node.network->self().to_string(); }
  actor::TestNode& node;
  bool takes_part = true;
  Edges edges{node.lane(), *node.network, [this](const EnsembleKey& key) -> Result<void> {
                if (takes_part && key.ensemble == "e") return {};
                return fail(Errc::not_found, "no bid to this orchestrator is open for ensemble {}", key.ensemble);
              }};
};

struct Libp2pTestWorld : actor::TestWorld {
  explicit Libp2pTestWorld(std::uint64_t seed)
      : TestWorld(seed, [](actor::TestNode& node) -> std::unique_ptr<network::Network> {
          auto made = std::make_unique<network::Libp2pNetwork>(node.node.runtime(), node.key);
          EXPECT_TRUE(made->listen("/ip4/0.0.0.0/tcp/9000"));
          return made;
        }) {}
};

/// An orchestrator and three machines that take part.
template <class World>
struct EdgesOn : testing::Test {
  EdgesOn() {
    for (Side* side : {&s, &t, &u}) {
      actor::TestWorld::trust(side->node, alice);
      actor::TestWorld::trust(alice, side->node);
    }
  }
  ~EdgesOn() override {
    for (Side* side : {&s, &t, &u}) w.run(side->node, side->edges.close());
    w.close();
  }

  static EdgeRequest between(const Side& from, const Side& to, std::uint64_t rtt = 0, std::uint64_t bw = 0) {
    EdgeRequest request;
    request.ensemble_id = "e";
    request.s = from.peer();
    request.t = to.peer();
    request.rtt = rtt;
    request.bw = bw;
    return request;
  }
  EdgeReply ask(Side& side, const EdgeRequest& request) {
    const auto reply = w.run(alice, protocol::call(*alice.root, protocol::kEdge, side.node.root->handle(), request));
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply.value_or(EdgeReply());
  }
  /// As an orchestrator does it: T first.
  EdgeReply measure(Side& from, Side& to, std::uint64_t rtt = 0, std::uint64_t bw = 0) {
    EdgeRequest request = between(from, to, rtt, bw);
    const EdgeReply agreed = ask(to, request);
    EXPECT_TRUE(agreed.ok) << agreed.error;
    request.ticket = agreed.ticket;
    return ask(from, request);
  }
  void measure_all_at_once(std::uint64_t bandwidth) {
    std::vector<Task<Result<EdgeReply>>> all;
    for (const auto& [from, to] : {std::pair(&s, &t), std::pair(&t, &s), std::pair(&u, &t), std::pair(&s, &u)}) {
      EdgeRequest request = between(*from, *to, 0, bandwidth);
      request.ticket = ask(*to, request).ticket;
      all.push_back(protocol::call(*alice.root, protocol::kEdge, from->node.root->handle(), request));
    }
    const std::vector<Result<EdgeReply>> replies = w.run(alice, when_all(std::move(all)));
    for (const Result<EdgeReply>& reply : replies) {
      ASSERT_TRUE(reply) << reply.error().to_string();
      EXPECT_TRUE(reply->ok) << reply->error;
    }
    EXPECT_EQ(s.edges.agreed() + t.edges.agreed() + u.edges.agreed(), 0u) << "each ticket was used";
  }

  World w{21};
  actor::TestNode& alice = w.add("alice");
  Side s{w.add("s")};
  Side t{w.add("t")};
  Side u{w.add("u")};
};

struct EdgesTest : EdgesOn<actor::MemoryTestWorld> {
  EdgesTest() { w.substrate->set_latency(kLatency); }
};

/// 10 Mbit/s each way.
struct EdgesOverLibp2p : EdgesOn<Libp2pTestWorld> {
  EdgesOverLibp2p() { w.world.set_link(link_of(10'000'000)); }
  static SimLink link_of(std::uint64_t bits) {
    SimLink link;
    link.latency = kLatency;
    link.jitter = Duration(0);
    link.bandwidth = bits / 8;
    return link;
  }
};

TEST_F(EdgesTest, TheRoundTripIsMeasuredAndComparedWithWhatIsAskedFor) {
  EdgeReply reply = measure(s, t, 20);
  EXPECT_TRUE(reply.ok) << reply.error;
  EXPECT_EQ(reply.rtt_ns, Duration(2 * kLatency).count());
  EXPECT_FALSE(reply.bandwidth) << "it was not asked for";
  reply = measure(s, t, 19);
  EXPECT_FALSE(reply.ok);
  EXPECT_EQ(reply.error, "a round trip of 20 ms, 19 ms at most is asked for");
  EXPECT_EQ(reply.rtt_ns, Duration(2 * kLatency).count()) << "what was measured is there all the same";
}

TEST_F(EdgesTest, TheBandwidthIsWhatComesBackInTheTimeThatItTakes) {
  std::uint64_t written = 0;
  w.substrate->set_stream_tap([&](const crypto::PeerId& from, const crypto::PeerId&, MutableBytes data) {
    if (from == s.node.network->self()) written += data.size();
    return true;
  });
  const EdgeReply reply = measure(s, t, 0, 8'000'000);
  EXPECT_TRUE(reply.ok) << reply.error;
  EXPECT_EQ(written, bytes_to_measure(8'000'000) + sizeof(transfer::Ticket::secret));
  // The link is as fast as anything, so a round trip is all that it takes.
  EXPECT_EQ(reply.bandwidth, 500'000 * 8 * 50u);
}

TEST_F(EdgesOverLibp2p, TheRoundTripAndTheBandwidthAreThoseOfTheLink) {
  const EdgeReply reply = measure(s, t, 25, 4'000'000);
  EXPECT_TRUE(reply.ok) << reply.error;
  ASSERT_TRUE(reply.rtt_ns && reply.bandwidth);
  EXPECT_GE(Duration(*reply.rtt_ns), 2 * kLatency);
  EXPECT_LT(Duration(*reply.rtt_ns), 2 * kLatency + 5ms);
  EXPECT_GT(*reply.bandwidth, 5'000'000u);
  EXPECT_LT(*reply.bandwidth, 10'000'000u) << "rather too low than too high";
}

TEST_F(EdgesOverLibp2p, TheSlowerDirectionCountsWhicheverMachineMeasures) {
  w.world.set_link(s.node.node, t.node.node, link_of(10'000'000), link_of(2'000'000));
  for (const EdgeReply& reply : {measure(s, t, 0, 4'000'000), measure(t, s, 0, 4'000'000)}) {
    EXPECT_FALSE(reply.ok);
    EXPECT_NE(reply.error.find("bit/s, 4000000 bit/s at least is asked for"), std::string::npos) << reply.error;
    EXPECT_GT(reply.bandwidth.value_or(0), 1'000'000u);
    EXPECT_LT(reply.bandwidth.value_or(0), 2'000'000u);
  }
}

TEST_F(EdgesOverLibp2p, WhatIsTooMuchForTheLinkIsMeasuredForABoundedTime) {
  const SteadyTime begun = w.world.now();
  const EdgeReply reply = measure(s, t, 0, 1'000'000'000);  // 16 MiB, which would take 13 s
  EXPECT_LT(w.world.now() - begun, Edges::kTransferTime + 1s);
  EXPECT_FALSE(reply.ok);
  EXPECT_GT(reply.bandwidth.value_or(0), 2'000'000u) << "of what came back by then";
  EXPECT_LT(reply.bandwidth.value_or(0), 10'000'000u);
  w.settle(2s);  // what is under way arrives
  EXPECT_TRUE(measure(t, s, 0, 4'000'000).ok) << "both are free again";
}

TEST_F(EdgesOverLibp2p, AMachineTakesPartInOneMeasurementAtATime) { measure_all_at_once(4'000'000); }

TEST_F(EdgesTest, AsManyBytesAreSentAsTheLimitTakesInHalfASecond) {
  EXPECT_EQ(bytes_to_measure(0), 0u);
  EXPECT_EQ(bytes_to_measure(1), Edges::kLeastTransfer);
  EXPECT_EQ(bytes_to_measure(8'000'000), 500'000u);
  EXPECT_EQ(bytes_to_measure(1'000'000'000), Edges::kMostTransfer);
}

TEST_F(EdgesTest, NobodyIsMeasuredWhoHasNotAgreedWithTheSameOrchestrator) {
  EdgeRequest request = between(s, t);
  EXPECT_NE(ask(s, request).error.find("ticket: expected that of T"), std::string::npos);
  request.ticket = std::string(64, '0');
  EXPECT_NE(ask(s, request).error.find("the other machine does not take part"), std::string::npos);
  t.takes_part = false;
  EXPECT_NE(ask(t, request).error.find("no bid to this orchestrator is open for ensemble e"), std::string::npos);
  t.takes_part = true;
  s.takes_part = false;
  request.ticket = ask(t, request).ticket;
  ASSERT_FALSE(request.ticket.empty());
  EXPECT_NE(ask(s, request).error.find("no bid to this orchestrator is open for ensemble e"), std::string::npos);
}

TEST_F(EdgesTest, ATicketIsForOneMachineAndOneMeasurement) {
  EdgeRequest request = between(s, t);
  request.ticket = ask(t, request).ticket;
  EdgeRequest of_another = between(u, t);
  of_another.ticket = request.ticket;
  EXPECT_FALSE(ask(u, of_another).ok);
  EXPECT_TRUE(ask(s, request).ok) << "it is valid still";
  EXPECT_FALSE(ask(s, request).ok) << "and only once";
  request.ticket = ask(t, request).ticket;
  w.settle(Edges::kAgreed);
  EXPECT_FALSE(ask(s, request).ok) << "it has ended";
}

TEST_F(EdgesTest, WhatIsNoMeasurementOfThisMachineIsRefusedByName) {
  EdgeRequest request = between(t, u);
  EXPECT_NE(ask(s, request).error.find("this machine is neither S nor T"), std::string::npos);
  request = between(s, s);
  EXPECT_NE(ask(s, request).error.find("T: expected another machine than S"), std::string::npos);
  request = between(s, t);
  request.t = "\x1b[2J";
  EXPECT_NE(ask(s, request).error.find("T: expected a peer id"), std::string::npos);
  request.ensemble_id = "../e";
  EXPECT_NE(ask(s, request).error.find("EnsembleID: expected letters"), std::string::npos);
}

TEST_F(EdgesTest, WhatComesBackOtherwiseIsFoundOut) {
  w.substrate->set_stream_tap([&](const crypto::PeerId& from, const crypto::PeerId&, MutableBytes data) {
    if (from == t.node.network->self() && data.size() > 1) data[data.size() / 2] ^= 1;
    return true;
  });
  const EdgeReply reply = measure(s, t, 0, 8'000'000);
  EXPECT_FALSE(reply.ok);
  EXPECT_NE(reply.error.find("what came back is not what was sent"), std::string::npos) << reply.error;
  EXPECT_FALSE(reply.rtt_ns);
}

TEST_F(EdgesTest, AMachineTakesPartInOneMeasurementAtATime) { measure_all_at_once(8'000'000); }

TEST_F(EdgesTest, AMeasurementEndsInTimeAndFreesItsPlace) {
  EdgeRequest request = between(s, t);
  request.ticket = ask(t, request).ticket;
  // The way is lost without a sign as soon as T has agreed.
  w.substrate->notice_cuts(false);
  w.substrate->set_stream_tap([&](const crypto::PeerId& from, const crypto::PeerId& to, MutableBytes) {
    if (from == t.node.network->self()) w.substrate->cut(from, to);
    return true;
  });
  const SteadyTime begun = alice.lane().now();
  const EdgeReply reply = ask(s, request);
  EXPECT_FALSE(reply.ok);
  EXPECT_FALSE(reply.error.empty());
  EXPECT_LT(alice.lane().now() - begun, Edges::kLimit);
  w.substrate->set_stream_tap({});
  w.substrate->cut(s.node.network->self(), t.node.network->self(), false);
  w.settle(Edges::kLimit);
  EXPECT_TRUE(measure(s, t).ok) << "both are free again";
}

TEST_F(EdgesTest, WhoCannotBeReachedIsNotMeasured) {
  EdgeRequest request = between(s, t);
  request.ticket = ask(t, request).ticket;
  w.substrate->cut(s.node.network->self(), t.node.network->self());
  const EdgeReply reply = ask(s, request);
  EXPECT_NE(reply.error.find("cannot be reached"), std::string::npos) << reply.error;
  w.run(s.node, s.edges.close());
  EXPECT_NE(ask(s, request).error.find("the provider is being stopped"), std::string::npos);
}

}  // namespace
}  // namespace dms::provider
