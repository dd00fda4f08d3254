#include "orchestrator/deployment/work_desk.hpp"

#include <gmock/gmock.h>

#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using ::testing::HasSubstr;

struct WorkDeskTest : DeploymentTest {
  WorkDeskTest() { provider.offers_work = true; }
  Result<protocol::WorkGrantReply> ask(actor::Actor& by, std::string sibling = "", did::Did node = {}) {
    protocol::WorkGrantRequest request;
    request.allocation_id = "d1_task";
    request.sibling = std::move(sibling);
    request.node = std::move(node);
    return w.run(b, protocol::call(by, protocol::kWorkGrant, deployment->record().manifest.orchestrator, request));
  }
  actor::Actor& allocation() { return *provider.runs.at("task").actor; }
};

TEST_F(WorkDeskTest, TheWorkOfAnAllocationMayCallItsSiblingsAndNothingElse) {
  run_task();
  const auto reply = ask(allocation(), "task");
  ASSERT_TRUE(reply && reply->ok) << (reply ? reply->error : reply.error().to_string());
  EXPECT_EQ(reply->sibling, provider.work_of("task"));
  ASSERT_EQ(reply->tokens.size(), 1U);
  const ucan::Token& token = reply->tokens.tokens.front();
  EXPECT_EQ(token.action(), ucan::Action::delegate);
  EXPECT_EQ(token.issuer(), a.did());
  EXPECT_EQ(token.subject(), provider.work_of("task").did);
  EXPECT_EQ(ucan::to_string(token.capabilities()), "[/dms/ensemble/d1/work]");
  EXPECT_EQ(ucan::to_string(token.topics()), "[/dms/ensemble/d1/work]");
  EXPECT_EQ(token.claims().depth, 1U);
  EXPECT_LE(token.expires(), w.world.unix_now() + 1h);
}

TEST_F(WorkDeskTest, ANodeIsCalledByWhatItHasGranted) {
  w.grant(c, a, {"/public", "/dms/deployment"}, {}, 24h);
  run_task();
  const auto reply = ask(allocation(), "", c.did());
  ASSERT_TRUE(reply && reply->ok) << (reply ? reply->error : reply.error().to_string());
  EXPECT_FALSE(reply->sibling);
  ASSERT_EQ(reply->tokens.size(), 3U);
  EXPECT_EQ(reply->tokens.tokens[1].root_issuer(), a.did());
  EXPECT_EQ(ucan::to_string(reply->tokens.tokens[1].capabilities()), "[/public]");
  const ucan::Token& token = reply->tokens.tokens.back();
  EXPECT_EQ(token.root_issuer(), c.did());
  EXPECT_EQ(token.subject(), provider.work_of("task").did);
  EXPECT_EQ(ucan::to_string(token.capabilities()), "[/public]");
  const auto own = ask(allocation(), "", a.did());
  ASSERT_TRUE(own && own->ok);
  ASSERT_EQ(own->tokens.size(), 2U);
  EXPECT_EQ(own->tokens.tokens.back().root_issuer(), a.did());
  EXPECT_EQ(ucan::to_string(own->tokens.tokens.back().capabilities()), "[/public]");
}

TEST_F(WorkDeskTest, WhoIsNotTheAllocationAndWhoIsUnknownGetNothing) {
  run_task();
  const auto of_another = ask(*b.root);
  ASSERT_TRUE(of_another);
  EXPECT_FALSE(of_another->ok);
  EXPECT_TRUE(of_another->tokens.empty());
  EXPECT_THAT(of_another->error, HasSubstr("only the allocation itself"));
  const auto unknown = ask(allocation(), "other");
  ASSERT_TRUE(unknown);
  EXPECT_THAT(unknown->error, HasSubstr("the ensemble has no allocation 'other'"));
  EXPECT_TRUE(unknown->tokens.empty());
}

TEST_F(WorkDeskTest, AProviderThatOffersNoActorIsReported) {
  provider.offers_work = false;
  run_task();
  EXPECT_FALSE(task().work);
  const auto reply = ask(allocation());
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->error, HasSubstr("its provider has named no actor of its work"));
}

TEST_F(WorkDeskTest, TheActorIsKnownAfterARestartOfTheDaemon) {
  run_task();
  kill();
  restart();
  ASSERT_TRUE(reaches(protocol::DeploymentStatus::running));
  const auto reply = ask(allocation(), "task");
  ASSERT_TRUE(reply && reply->ok) << (reply ? reply->error : reply.error().to_string());
  EXPECT_EQ(reply->sibling, provider.work_of("task"));
}

}  // namespace
}  // namespace dms::orchestrator
