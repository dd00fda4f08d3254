#include "provider/own_folder.hpp"

#include <gtest/gtest.h>

#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

TEST(OwnFolder, IsLeftOutWhereAPathBeginsWithIt) {
  const OwnFolder folder("/root/nunet/", did::Did());
  EXPECT_EQ(folder.without("writing /root/nunet/sandbox/a/.spec.json: No space left on device"),
            "writing <work directory>/sandbox/a/.spec.json: No space left on device");
  EXPECT_EQ(folder.without("'/root/nunet', /root/nunet/a:/root/nunet."),
            "'<work directory>', <work directory>/a:<work directory>.");
  for (const char* other : {"", "no such image", "/root/nunet2/a", "/root/nunet-old", "/srv/root/nunet/a", "/root/n"})
    EXPECT_EQ(folder.without(other), other);
  for (const char* none : {"/", "", "nunet"})
    EXPECT_EQ(OwnFolder(none, did::Did()).without("/a/nunet: nunet"), "/a/nunet: nunet") << none;
}

struct OwnFolderTest : StartedProvider {
  static constexpr std::string_view kTold = "writing <work directory>/sandbox/e: No space left on device";
  [[nodiscard]] std::string whole() const {
    return fmt::format("writing {}: No space left on device", (folder / "sandbox/e").string());
  }
};

TEST_F(OwnFolderTest, TheOrchestratorOfThisNodeIsToldAll) {
  const OwnFolder own(folder, node.did());
  protocol::AllocationResultsReply reply;
  reply.error = whole();
  reply.results.emplace_back().error = whole();
  protocol::AllocationResultsReply to_own = reply;
  own.leave_out(to_own, node.did());
  EXPECT_EQ(to_own.error, whole());
  EXPECT_EQ(to_own.results[0].error, whole());
  own.leave_out(reply, alice.did());
  EXPECT_EQ(reply.error, kTold);
  EXPECT_EQ(reply.results[0].error, kTold);
}

TEST_F(OwnFolderTest, AnotherOrchestratorIsToldWhyAStartFailedAndTheOwnerWhere) {
  script("e_task", {.start_error = whole()});
  allocation = allocate(alice).allocations.at("task");
  const auto started = start();
  ASSERT_TRUE(started && !started->ok);
  EXPECT_TRUE(started->error.ends_with(kTold)) << started->error;
  EXPECT_TRUE(report().reason.ends_with(kTold)) << report().reason;
  const auto listed = call(bob, protocol::kAllocationsList, protocol::AllocationsRequest());
  ASSERT_TRUE(listed && listed->allocations.size() == 1U);
  EXPECT_TRUE(listed->allocations[0].reason.ends_with(whole())) << listed->allocations[0].reason;
}

TEST_F(OwnFolderTest, AnotherOrchestratorIsNotifiedOfAnEndWithoutIt) {
  script("e_task", {.startup = 30s, .start_error = whole()});
  allocation = allocate(alice, 5min).allocations.at("task");
  const protocol::StartRequest request{};
  EXPECT_FALSE(w.run(alice, protocol::call(*alice.root, protocol::kAllocationStart, allocation, request, Duration(5s))))
      << "it takes 30 s to start";
  w.settle(1min);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_TRUE(notices[0].reason.ends_with(kTold)) << notices[0].reason;
}

TEST_F(OwnFolderTest, RefusalsHaveItNot) {
  begin(kService);
  store->set_write_fault([text = whole()]() -> Result<void> { return fail(Errc::io, "{}", text); });
  const protocol::RenewReply renewed = renew(alice, incarnation);
  EXPECT_TRUE(renewed.error.ends_with(kTold)) << renewed.error;
  const auto restarted = restart("");
  ASSERT_TRUE(restarted);
  EXPECT_TRUE(restarted->error.ends_with(kTold)) << restarted->error;
  const auto ended = shutdown();
  ASSERT_TRUE(ended);
  EXPECT_TRUE(ended->error.ends_with(kTold)) << ended->error;
  disk_is_full(false);
}

}  // namespace
}  // namespace dms::provider
