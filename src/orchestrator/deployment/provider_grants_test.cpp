#include "orchestrator/deployment/provider_grants.hpp"

#include <gtest/gtest.h>

#include "actor/test_world.hpp"
#include "protocol/allocation.hpp"

namespace dms::orchestrator {
namespace {

TEST(ProviderGrants, AProviderIsHeardWhileTheyAreRenewedAlsoOnceTheWallClockIsSet) {
  actor::MemoryTestWorld w(41);
  actor::TestNode& node = w.add("orchestrator");
  actor::TestNode& provider = w.add("provider");
  const std::string path = std::string(protocol::kOrchestratorNamespace) + "/test";
  const actor::Received received = node.listen(path);
  const auto is_heard = [&] {
    const std::size_t before = received->size();
    const Result<void> sent = w.run(provider, provider.root->send(provider.root->message(node.root->handle(), path)));
    EXPECT_TRUE(sent) << sent.error().to_string();
    w.settle();
    return received->size() > before;
  };
  ProviderGrants grants(*node.root);
  EXPECT_FALSE(is_heard());
  ASSERT_TRUE(grants.give(provider.did()));
  Nursery renewal(node.lane(), "renewal");
  renewal.spawn(grants.renew_until_cancelled());
  w.settle(3 * ucan::kStandingGrantTime);
  EXPECT_TRUE(is_heard());
  for (actor::TestNode* each : {&node, &provider}) each->node.set_wall_clock(2 * ucan::kStandingGrantTime);
  w.settle(kClockLook + 1s);
  EXPECT_TRUE(is_heard());
  grants.clear();
  EXPECT_FALSE(is_heard());
  w.run(node, renewal.close());
  w.close();
}

}  // namespace
}  // namespace dms::orchestrator
