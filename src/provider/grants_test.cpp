#include "provider/grants.hpp"

#include "provider/testing.hpp"

namespace dms::provider {
namespace {

struct GrantsTest : ProviderTest {
  Grants grants{node.lane(), node.context};
  const std::string path = "/dms/ensemble/e/allocation/logs";
  actor::Received received = node.listen(path);

  /// Whether `by` reaches the behaviour of ensemble e; a grant adds trust in the node's own grants.
  std::size_t reached(actor::TestNode& by) {
    const std::size_t before = received->size();
    const Result<void> sent = w.run(by, by.root->send(by.root->message(node.root->handle(), path)));
    EXPECT_TRUE(sent) << sent.error().to_string();
    w.settle();
    return received->size() - before;
  }
};

TEST_F(GrantsTest, AnOwnerReachesItsEnsembleUntilTheGrantIsWithdrawn) {
  EXPECT_EQ(reached(alice), 0U);
  ASSERT_TRUE(grants.give(EnsembleKey{alice.did(), "e"}, node.root->security().id_did()));
  EXPECT_EQ(grants.size(), 1U);
  const std::size_t with_grant = reached(alice);
  EXPECT_EQ(reached(bob), 0U) << "the grant belongs to alice";
  grants.withdraw(EnsembleKey{alice.did(), "e"});
  EXPECT_EQ(reached(alice), 0U);
  EXPECT_EQ(with_grant, 1U);
  EXPECT_EQ(grants.size(), 0U);
}

TEST_F(GrantsTest, TwoOwnersOfOneIdHaveAGrantEach) {
  ASSERT_TRUE(grants.give(EnsembleKey{alice.did(), "e"}, node.root->security().id_did()));
  ASSERT_TRUE(grants.give(EnsembleKey{bob.did(), "e"}, node.root->security().id_did()));
  grants.withdraw(EnsembleKey{alice.did(), "e"});
  EXPECT_EQ(grants.size(), 1U);
  EXPECT_EQ(reached(bob), 1U);
}

TEST_F(GrantsTest, GrantsAreRenewedBeforeTheyExpire) {
  ASSERT_TRUE(grants.give(EnsembleKey{alice.did(), "e"}, node.root->security().id_did()));
  Nursery renewal(node.lane(), "renewal");
  renewal.spawn(grants.keep_renewed());
  w.settle(3 * ucan::kStandingGrantTime);
  EXPECT_EQ(reached(alice), 1U);
  run(renewal.close());
  w.settle(2 * ucan::kStandingGrantTime);
  EXPECT_EQ(reached(alice), 0U) << "without renewal it expires";
}

TEST_F(GrantsTest, GrantsAreRenewedAtOnceWhenTheWallClockIsSet) {
  ASSERT_TRUE(grants.give(EnsembleKey{alice.did(), "e"}, node.root->security().id_did()));
  Nursery renewal(node.lane(), "renewal");
  renewal.spawn(grants.keep_renewed());
  w.settle(1min);
  for (actor::TestNode* each : {&node, &alice}) each->node.set_wall_clock(2 * ucan::kStandingGrantTime);
  w.settle(kClockLook + 1s);
  EXPECT_EQ(reached(alice), 1U);
  run(renewal.close());
}

}  // namespace
}  // namespace dms::provider
