// Leases, silence and notices of a whole provider.
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

const executor::FakeScript kLeased{.runs_for = std::nullopt, .out = "serving"};

struct LeaseEndTest : WholeProvider {
  void SetUp() override {
    WholeProvider::SetUp();
    open();
  }
};

TEST_F(LeaseEndTest, WorkThatNobodyRenewsIsStoppedAndItsEndIsReported) {
  begin(kLeased);
  w.settle(58s);
  EXPECT_EQ(running(), 1);
  w.settle(5s);
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(in_use(), 0U);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].status, "terminated");
  EXPECT_EQ(notices[0].incarnation, incarnation);
  EXPECT_NE(notices[0].reason.find("lease"), std::string::npos) << notices[0].reason;
  EXPECT_EQ(as_text(notices[0].out), "serving");
  EXPECT_EQ(notices[0].out_size, 7U);
  EXPECT_EQ(report().status, AllocationStatus::terminated);
  EXPECT_EQ(report().lease_ns, 0);
  EXPECT_EQ(provider->metrics().leases_ended.value(), 1U);
  EXPECT_EQ(as_text(page("stdout", 0).data), "serving") << "its output is kept";
}

TEST_F(LeaseEndTest, TheNoticeOfAMachineWhoseClockIsBehindArrives) {
  node.node.set_wall_clock(-10min);
  begin(kLeased);
  const auto renewed =
      call(alice, protocol::kRenew,
           protocol::RenewRequest{
               .ensemble_id = "e", .allocations = {{"task", incarnation}}, .wall_ns = alice.lane().unix_now().nanos});
  ASSERT_TRUE(renewed && renewed->ok);
  w.settle(65s);
  EXPECT_EQ(running(), 0);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].status, "terminated");
}

TEST_F(LeaseEndTest, RenewedWorkGoesOn) {
  begin(kLeased);
  for (int i = 0; i < 40; ++i) {
    w.settle(15s);
    const protocol::RenewReply reply = renew(alice, incarnation);
    ASSERT_TRUE(reply.ok) << reply.error;
    ASSERT_EQ(reply.allocations.at("task").status, AllocationStatus::running);
    EXPECT_EQ(reply.allocations.at("task").incarnation, incarnation);
    EXPECT_GT(Duration(reply.allocations.at("task").lease_ns), 59s);
  }
  EXPECT_EQ(provider->metrics().renewals.value(), 40U);
}

TEST_F(LeaseEndTest, AnotherOrchestratorOrAnotherIncarnationRenewsNothing) {
  begin(kLeased);
  w.settle(30s);
  EXPECT_TRUE(renew(bob, incarnation).allocations.empty()) << "nothing of alice's is reported to bob";
  const protocol::RenewReply wrong = renew(alice, "0123");
  EXPECT_TRUE(wrong.ok);
  EXPECT_EQ(wrong.allocations.at("task").incarnation, incarnation);
  EXPECT_LT(Duration(wrong.allocations.at("task").lease_ns), 31s);
  protocol::RenewRequest huge{.ensemble_id = "e"};
  for (int i = 0; i < 2000; ++i) huge.allocations["n" + std::to_string(i)] = incarnation;
  const auto refused = call(alice, protocol::kRenew, huge);
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("at most"), std::string::npos) << refused->error;
  EXPECT_TRUE(call(alice, protocol::kRenew, protocol::RenewRequest{.ensemble_id = "other"})->allocations.empty());
  w.settle(35s);
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(Duration(renew(alice, incarnation).allocations.at("task").lease_ns), 0ns) << "an end is final";
}

TEST_F(LeaseEndTest, ADelayedRenewalExtendsTheLeaseOnlyFromTheClockThatItNames) {
  begin(kLeased);
  const std::int64_t clock = renew(alice, incarnation).clock_ns;
  EXPECT_GT(clock, 0);
  w.settle(50s);
  const auto late =
      call(alice, protocol::kRenew,
           protocol::RenewRequest{.ensemble_id = "e", .allocations = {{"task", incarnation}}, .clock_ns = clock});
  ASSERT_TRUE(late && late->ok);
  EXPECT_LT(Duration(late->allocations.at("task").lease_ns), 11s);
  EXPECT_GE(late->clock_ns, clock + Duration(50s).count());
  EXPECT_EQ(late->wall_ns / 1'000'000'000, node.lane().unix_now().nanos / 1'000'000'000);
}

TEST_F(LeaseEndTest, ALateRevertOrShutdownOfAnotherIncarnationChangesNothing) {
  begin(kLeased, 1h);
  const auto revert = [this](const std::string& of) {
    return call(alice, protocol::kRevert,
                protocol::RevertRequest{.ensemble_id = "e", .allocations = {"task"}, .incarnations = {{"task", of}}});
  };
  EXPECT_TRUE(revert("0123")->ok) << "nothing of that one is left";
  EXPECT_TRUE(w.run(alice, protocol::call(*alice.root, protocol::kAllocationShutdown, node.root->handle(),
                                          protocol::AllocationShutdownRequest{"e_task", "0123"}, std::nullopt,
                                          path_of(protocol::kAllocationShutdown, "e")))
                  ->ok);
  EXPECT_EQ(running(), 1);
  EXPECT_TRUE(revert(incarnation)->ok);
  EXPECT_EQ(provider->allocations(), 0U);
  EXPECT_EQ(host->works.size(), 0U);
}

TEST_F(LeaseEndTest, TheLeaseIsGrantedWithinTheBounds) {
  EXPECT_EQ(Duration(allocate(alice, 1s).lease_ns), 10s);
  EXPECT_EQ(Duration(allocate(bob, 1000h).lease_ns), 24h);
}

TEST_F(LeaseEndTest, AnOrchestratorThatRequestsNoLeaseHasTheLongestSilence) {
  script("e_task", kLeased);
  begin(allocate_request("e", "task", 1, 0ns));
  EXPECT_EQ(running(), 1);
  w.settle(30h);
  EXPECT_EQ(running(), 1) << "its host answers pings";
  w.substrate->cut(node.network->self(), alice.network->self());
  w.settle(22h);
  EXPECT_EQ(running(), 1);
  w.settle(3h);
  EXPECT_EQ(running(), 0);
  w.substrate->cut(node.network->self(), alice.network->self(), false);
  w.settle(2min);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].reason.find("nothing was heard"), std::string::npos) << notices[0].reason;
}

TEST_F(LeaseEndTest, ANoticeIsRepeatedUntilItIsAcknowledgedAlsoAfterARestart) {
  acknowledges = false;
  begin({.runs_for = 1s, .exit_code = 3, .out = "out"});
  w.settle(4min);
  EXPECT_GT(notices.size(), 6U);
  EXPECT_LT(notices.size(), 12U) << "the pauses grow";
  restart_daemon();
  const std::size_t before = notices.size();
  w.settle(10s);
  EXPECT_GT(notices.size(), before);
  acknowledges = true;
  w.settle(2min);
  const std::size_t all = notices.size();
  for (const protocol::TaskTermination& notice : notices) {
    EXPECT_EQ(notice.incarnation, incarnation);
    EXPECT_EQ(notice.error.exit_code, 3);
    EXPECT_EQ(notice.status, "failed");
    EXPECT_EQ(as_text(notice.out), "out");
  }
  restart_daemon();
  w.settle(10min);
  EXPECT_EQ(notices.size(), all) << "that it was acknowledged is stored";
  EXPECT_EQ(provider->allocations(), 1U) << "until the orchestrator has collected its output";
  EXPECT_TRUE(shutdown()->ok);
  EXPECT_EQ(provider->allocations(), 0U);
  EXPECT_EQ(host->works.size(), 0U);
}

TEST_F(LeaseEndTest, AnOrchestratorThatNeverAcknowledgesIsNotifiedOnce) {
  acknowledges = false;
  script("e_task", {.runs_for = 10s});
  begin(allocate_request("e", "task", 1, 0s));  // as DMS 0.5.x asks
  w.substrate->cut(node.network->self(), alice.network->self());
  w.settle(5min);
  EXPECT_TRUE(notices.empty());
  w.substrate->cut(node.network->self(), alice.network->self(), false);
  w.settle(10min);
  EXPECT_EQ(notices.size(), 1U);
  restart_daemon();
  w.settle(10min);
  EXPECT_EQ(notices.size(), 1U);
}

TEST_F(LeaseEndTest, WhatNobodyCollectsIsRemovedAfterTheRetention) {
  acknowledges = false;
  begin({.runs_for = 1s});
  w.settle(1h);
  restart_daemon();
  w.settle(50min);
  EXPECT_EQ(provider->allocations(), 1U);
  w.settle(20min);
  EXPECT_EQ(provider->allocations(), 0U);
  EXPECT_EQ(host->works.size(), 0U);
  const std::size_t all = notices.size();
  w.settle(1h);
  EXPECT_EQ(notices.size(), all);
  EXPECT_TRUE(stored().at("allocations").empty());
}

TEST_F(LeaseEndTest, AReasonOfAnyLengthIsReportedShortened) {
  script("e_task", {.start_error = std::string(1 << 20, 'x')});
  const protocol::AllocateResponse made = allocate(alice);
  allocation = made.allocations.at("task");
  ASSERT_FALSE(start()->ok);
  EXPECT_LE(report().reason.size(), 1024U);
}

TEST_F(LeaseEndTest, AFailedStartIsReportedByItsReply) {
  script("e_task", {.start_error = "no such image"});
  const protocol::AllocateResponse made = allocate(alice);
  allocation = made.allocations.at("task");
  EXPECT_NE(start()->error.find("no such image"), std::string::npos);
  EXPECT_NE(start()->error.find("no such image"), std::string::npos) << "repeated";
  EXPECT_EQ(in_use(), 0U);
  w.settle(5min);
  EXPECT_TRUE(notices.empty());
  EXPECT_EQ(report().status, AllocationStatus::failed);
}

}  // namespace
}  // namespace dms::provider
