// A member of the organisation loses its membership while the network runs.
#include <gtest/gtest.h>

#include "protocol/deployment.hpp"
#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

struct Members {
  explicit Members(std::uint64_t seed) : cluster(seed) { cluster.start(); }
  ~Members() { cluster.stop(); }
  Cluster cluster;
  Machine& user = cluster.add("user", 0, 0);
  Machine& provider = cluster.add("provider", 4, 8);
  Machine& other = cluster.add("other", 4, 8);

  /// Ends the user's membership; spread by `from`.
  void expel(Machine& from) {
    protocol::CapBroadcastRequest request;
    for (const ucan::Token& given : user.capabilities()->anchors().provide.tokens)
      request.token.tokens.push_back(cluster.organisation().revoke(given).value());
    const auto reply = cluster.call(from, protocol::kCapBroadcast, request);
    ASSERT_TRUE(reply) << reply.error().to_string();
    ASSERT_TRUE(reply->ok) << reply->error;
    EXPECT_EQ(reply->tokens_count, 1U);
    cluster.world().run_for(1s);
  }
  static std::size_t held(Machine& machine) { return machine.capabilities()->revocations().size(); }
};

TEST(Revocation, AnExpelledMemberFindsNoProviderFromThenOn) {
  Members net(31);
  const auto first = net.cluster.deploy(net.user, one_task(1, 64));
  ASSERT_TRUE(first) << first.error().to_string();
  ASSERT_TRUE(net.cluster.wait_for(net.user, *first, {"Completed"}));
  net.expel(net.other);
  EXPECT_EQ(Members::held(net.provider), 1U) << "it came by gossip";
  EXPECT_EQ(Members::held(net.user), 1U);
  EXPECT_TRUE(net.user.capabilities()->anchors().provide.empty());
  const auto second = net.cluster.deploy(net.user, one_task(1, 64), 75s);
  if (second) {
    EXPECT_TRUE(net.cluster.wait_for(net.user, *second, {"Failed"}));
  }
  EXPECT_EQ(net.provider.executor().started() + net.other.executor().started(), 1U) << "the first one";
}

TEST(Revocation, TheLeaseOfAnExpelledMemberEndsAndWithItItsWork) {
  Members net(33);
  const auto id = net.cluster.deploy(net.user, one_task(1, 64, {{"FAKE_SECONDS", "1000000"}}));
  ASSERT_TRUE(id) << id.error().to_string();
  ASSERT_TRUE(net.cluster.wait_for(net.user, *id, {"Running"}));
  const auto reserved = [&] { return net.provider.resources().list().size() + net.other.resources().list().size(); };
  // While the member renews, its work runs longer than any lease.
  net.cluster.world().run_for(30min);
  ASSERT_EQ(reserved(), 1U);
  net.expel(net.other);
  // Its next renewals are refused: no provider that knows the revocation counts them.
  net.cluster.world().run_for(10min);
  EXPECT_EQ(reserved(), 0U) << "the default lease is five minutes";
}

TEST(Revocation, AMachineThatWasOffLearnsItWhenItIsBack) {
  Members net(32);
  net.cluster.crash(net.provider);
  net.expel(net.other);
  net.cluster.restart(net.provider);
  net.cluster.world().run_for(10s);
  EXPECT_EQ(Members::held(net.provider), 1U);
}

}  // namespace
}  // namespace dms::sim
