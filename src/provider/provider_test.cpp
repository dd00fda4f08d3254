#include "provider/provider.hpp"

#include "base/file.hpp"
#include "provider/admission.hpp"
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

/// The answer to a request that is sent after some steps of the nodes.
template <class T>
Task<void> keep(int steps, Task<T> request, std::optional<T>& answer) {
  for (; steps > 0; --steps) (void)co_await sleep_for(0ns);
  answer.emplace(co_await std::move(request));
}

TEST_F(WholeProvider, FromTheBidToTheRevertForTwoOrchestratorsWithOneId) {
  open();
  allocate(bob);
  allocate(alice);
  EXPECT_EQ(provider->allocations(), 2U);
  EXPECT_EQ(provider->bids(), 0U) << "what is allocated needs no bid";
  protocol::RevertRequest revert{.ensemble_id = "e", .allocations = {"task"}};
  ASSERT_TRUE(call(bob, protocol::kRevert, revert)->ok);
  EXPECT_EQ(provider->allocations(), 1U);
  ASSERT_TRUE(call(alice, protocol::kRevert, revert)->ok);
  EXPECT_EQ(resources->list().size(), 0U);
  EXPECT_EQ(provider->metrics().bids.value(), 2U);
}

/// An orchestrator that shuts a deployment down does not wait for the reply to an allocation.
TEST_F(WholeProvider, ARevertLeavesNothingOfAnAllocationThatIsUnderWay) {
  open();
  for (int steps = 0; steps < 60; ++steps) {
    const std::string ensemble = fmt::format("e{}", steps);
    ASSERT_TRUE(call(alice, protocol::kBidRequest, bid_request(ensemble)));
    ASSERT_TRUE(call(alice, protocol::kCommit, commit_request(ensemble, "task"))->ok);
    Nursery asking(alice.lane(), "asking");
    std::optional<Result<protocol::AllocateResponse>> allocated;
    std::optional<Result<protocol::Ack>> reverted;
    const actor::Handle handle = node.root->handle();
    const protocol::RevertRequest revert{.ensemble_id = ensemble, .allocations = {"task"}};
    const auto request = allocate_request(ensemble, "task");
    asking.spawn(keep(0, protocol::call(*alice.root, protocol::kAllocate, handle, request), allocated));
    asking.spawn(keep(steps, protocol::call(*alice.root, protocol::kRevert, handle, revert), reverted));
    w.settle(5s);
    ASSERT_TRUE(allocated && reverted);
    ASSERT_TRUE(*reverted && (*reverted)->ok);
    EXPECT_EQ(provider->allocations(), 0U) << "after " << steps << " steps";
    EXPECT_EQ(resources->list().size(), 0U) << "after " << steps << " steps";
    w.run(alice, asking.close());
  }
}

TEST_F(WholeProvider, ARevertOfMoreThanCanBeAllocatedAtOnceIsRefusedWhole) {
  open();
  allocate(alice);
  protocol::RevertRequest revert{.ensemble_id = "e", .allocations = {"task"}};
  revert.allocations.resize(kMaxAllocations + 1, "task");
  const auto refused = call(alice, protocol::kRevert, revert);
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->error.find("AllocsByName: at most"), std::string::npos) << refused->error;
  EXPECT_EQ(provider->allocations(), 1U);
  revert.allocations.resize(1);
  EXPECT_TRUE(call(alice, protocol::kRevert, revert)->ok);
  EXPECT_EQ(provider->allocations(), 0U);
}

TEST_F(WholeProvider, ABidForMoreOfANodeCountsWhatTheNodeUsesHere) {
  open();
  script("e_task", {.runs_for = std::nullopt});
  begin(allocate_request("e", "task"));
  const auto bids_for = [&](actor::TestNode& by, double cores) {
    (void)call(by, protocol::kBidRequest, bid_request("e", cores));
    return provider->bids() > 0;
  };
  EXPECT_FALSE(bids_for(bob, 8)) << "a core of the machine is used";
  EXPECT_FALSE(bids_for(alice, 9));
  EXPECT_TRUE(bids_for(alice, 8)) << "by the node itself";
}

TEST_F(WholeProvider, OnlyThisNodesOwnOrchestratorIsToldWhyThereIsNoBid) {
  open();
  const auto why = [&](actor::TestNode& by) {
    const Result<protocol::Bid> bid = call(by, protocol::kBidRequest, bid_request("e", 9));
    return bid ? std::string() : bid.error().to_string();
  };
  EXPECT_NE(why(node).find("n: cpu.cores: 9 required, "), std::string::npos) << why(node);
  EXPECT_NE(why(alice).find("no reply to /dms/deployment/request at "), std::string::npos) << why(alice);
}

/// Places for allocations run out like resources do: a bid would end in a refusal after the commit.
TEST_F(WholeProvider, AProviderThatHoldsAllThatItMayMakesNoBid) {
  Services own = services();
  own.max_held = 1;
  provider = std::make_unique<Provider>(std::move(own), *node.root);
  ASSERT_TRUE(run(provider->start()));
  allocate(alice);
  EXPECT_FALSE(call(bob, protocol::kBidRequest, bid_request("other")));
  EXPECT_EQ(provider->metrics().bid_refusals[BidRefusal::full].value(), 1U);
  EXPECT_EQ(provider->bids(), 0U);
  ASSERT_TRUE(call(alice, protocol::kRevert, protocol::RevertRequest{.ensemble_id = "e", .allocations = {"task"}})->ok);
  EXPECT_TRUE(call(bob, protocol::kBidRequest, bid_request("other")));
}

/// What is reserved for others and what has ended counts: the work is over, its disk is not free.
TEST_F(WholeProvider, ABidMeansThatWhatIsFreeSuffices) {
  open();
  begin({.runs_for = 1s});
  ASSERT_TRUE(call(bob, protocol::kBidRequest, bid_request("other", 3)));
  ASSERT_TRUE(call(bob, protocol::kCommit, commit_request("other", "task", 3))->ok);
  w.settle(2s);
  ASSERT_EQ(running(), 0);
  EXPECT_FALSE(call(bob, protocol::kBidRequest, bid_request("third", 6))) << "3 of 8 cores are reserved";
  EXPECT_TRUE(call(bob, protocol::kBidRequest, bid_request("third", 5))) << "the core of what has ended is free";
  protocol::EnsembleBidRequest disk = bid_request("fourth", 1);
  disk.request[0].v1->resources.disk.size = {7 * capability::kGiB};
  EXPECT_FALSE(call(bob, protocol::kBidRequest, disk)) << "its disk is not, and another GiB is reserved";
  disk.nonce = ++nonce;
  disk.request[0].v1->resources.disk.size = {6 * capability::kGiB};
  EXPECT_TRUE(call(bob, protocol::kBidRequest, disk));
}

/// What one node of an ensemble uses is free for more of that node only.
TEST_F(WholeProvider, ABidForAnotherNodeOfAnEnsembleDoesNotCountWhatTheFirstUses) {
  open();
  script("e_task", {.runs_for = std::nullopt});
  protocol::AllocateRequest request = allocate_request("e", "task");
  request.node_id = "n";
  begin(request);
  protocol::EnsembleBidRequest more = bid_request("e", 8);
  EXPECT_TRUE(call(alice, protocol::kBidRequest, more));
  more.nonce = ++nonce;
  more.request[0].v1->node_id = "another";
  EXPECT_FALSE(call(alice, protocol::kBidRequest, more)) << "its core and its GiB are used";
  restart_daemon();
  more.nonce = ++nonce;
  EXPECT_FALSE(call(alice, protocol::kBidRequest, more));
}

TEST_F(WholeProvider, CloseCancelsReservationsLetsGoOfAllocationsAndStopsServing) {
  open();
  allocation = allocate(alice).allocations.at("task");
  ASSERT_TRUE(call(alice, protocol::kBidRequest, bid_request("other")));
  ASSERT_TRUE(call(alice, protocol::kCommit, commit_request("other", "task"))->ok);
  EXPECT_EQ(resources->list().size(), 2U);
  close();
  EXPECT_EQ(resources->list().size(), 1U);
  EXPECT_FALSE(node.root->has_behaviour(std::string(protocol::kCommit.path)));
  open();
  EXPECT_EQ(provider->allocations(), 1U);
  ASSERT_TRUE(call(alice, protocol::kRevert, protocol::RevertRequest{.ensemble_id = "e", .allocations = {"task"}})->ok);
  EXPECT_EQ(resources->list().size(), 0U);
}

TEST_F(WholeProvider, AStartRemovesWhatNoRecordNames) {
  ASSERT_TRUE(run(resources->commit("e_task", machine(1, 1), w.world.now() + 1min)));
  ASSERT_TRUE(run(resources->allocate("e_task")));
  std::filesystem::create_directories(folder / "jobs" / "e_task");
  ASSERT_TRUE(write_file(folder / "jobs" / "e_task" / "stdout.log", "old"));
  ASSERT_TRUE(store->blocking().put("allocations.leases", "e_task", "{}"));
  ASSERT_TRUE(store->blocking().put("allocations", "damaged", R"({"id": 7})"));
  open_resources();
  ASSERT_EQ(resources->list().size(), 1U);
  open();
  EXPECT_EQ(resources->list().size(), 0U);
  EXPECT_FALSE(std::filesystem::exists(folder / "jobs" / "e_task"));
  w.settle(1s);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "jobs")) << "its quarantine is emptied in the background";
  EXPECT_EQ(store->blocking().list("allocations.leases")->size(), 0U);
  EXPECT_EQ(store->blocking().list("allocations")->size(), 0U);
  EXPECT_EQ(store->blocking().list("allocations.unreadable")->size(), 1U) << "set aside, not fatal";
}

TEST_F(WholeProvider, ExpiredBidsAndReservationsAreRemovedPeriodically) {
  open();
  ASSERT_TRUE(call(alice, protocol::kBidRequest, bid_request("e")));
  ASSERT_TRUE(call(alice, protocol::kCommit, commit_request("e", "task"))->ok);
  w.settle(kBidTime + 2 * kSweepInterval);
  EXPECT_EQ(provider->bids(), 0U);
  EXPECT_EQ(store->blocking().list("resources.promises")->size(), 0U);
}

TEST_F(WholeProvider, AWallClockThatIsSetNeitherProlongsNorEndsBidsAndReservations) {
  open();
  for (const Duration ahead : {Duration(-2h), Duration(2h)}) {
    const std::string ensemble = ahead < Duration(0) ? "e" : "f";
    ASSERT_TRUE(call(alice, protocol::kBidRequest, bid_request(ensemble)));
    ASSERT_TRUE(call(alice, protocol::kCommit, commit_request(ensemble, "task"))->ok);
    node.node.set_wall_clock(ahead);
    w.settle(kBidTime - 1min);
    EXPECT_EQ(provider->bids(), 1U) << ensemble;
    EXPECT_EQ(resources->list().size(), 1U) << ensemble;
    w.settle(1min + 2 * kSweepInterval);
    EXPECT_EQ(provider->bids(), 0U) << ensemble;
    EXPECT_EQ(resources->list().size(), 0U) << ensemble;
    node.node.set_wall_clock(Duration(0));
  }
}

TEST_F(WholeProvider, TheStatsOfAnAllocationAreItsOrchestratorsAlone) {
  open();
  begin({.runs_for = std::nullopt, .memory_bytes = 5'000'000}, 10min);
  const auto stats = [this](actor::TestNode& by) {
    return w.run(by, protocol::call(*by.root, protocol::kAllocationStats, allocation, {}));
  };
  const auto first = stats(alice);
  ASSERT_TRUE(first && first->ok && first->stats) << (first ? first->error : first.error().to_string());
  EXPECT_FALSE(first->stats->cpu_usage_percent) << "there is nothing to compare with";
  EXPECT_EQ(first->stats->memory_used_bytes, 5'000'000U);
  EXPECT_EQ(first->stats->memory_limit_bytes, std::uint64_t{1} << 30);
  ASSERT_TRUE(first->stats->disk_used_bytes);
  w.settle(20s);
  const auto second = stats(alice);
  ASSERT_TRUE(second && second->stats);
  EXPECT_GE(second->stats->cpu_seconds.value_or(0), 20);
  EXPECT_NEAR(second->stats->cpu_usage_percent.value_or(0), 100, 0.1);
  const auto of_bob = stats(bob);
  EXPECT_TRUE(!of_bob || !of_bob->ok);
  EXPECT_TRUE(shutdown()->ok);
}

TEST_F(WholeProvider, WhatTheEngineDoesNotCountIsAbsentFromTheStats) {
  open();
  begin({.runs_for = std::nullopt, .counts_cpu = false}, 10min);
  for (int i = 0; i < 2; ++i) {
    const auto reply = w.run(alice, protocol::call(*alice.root, protocol::kAllocationStats, allocation, {}));
    ASSERT_TRUE(reply && reply->stats);
    EXPECT_FALSE(reply->stats->cpu_usage_percent);
    EXPECT_FALSE(reply->stats->cpu_seconds);
    EXPECT_FALSE(reply->stats->network_rx_bytes);
    EXPECT_FALSE(reply->stats->network_tx_bytes);
    w.settle(20s);
  }
}

TEST_F(WholeProvider, TheDiskOfAnAllocationIsNotCountedAtEachRequest) {
  open();
  begin({.runs_for = std::nullopt}, 10min);
  const auto disk = [this] {
    const auto reply = w.run(alice, protocol::call(*alice.root, protocol::kAllocationStats, allocation, {}));
    EXPECT_TRUE(reply && reply->stats && reply->stats->disk_used_bytes);
    return reply && reply->stats ? reply->stats->disk_used_bytes.value_or(0) : 0;
  };
  const std::uint64_t before = disk();
  const std::filesystem::path of_job = folder / "jobs" / "e_task";
  std::filesystem::create_directories(of_job);
  ASSERT_TRUE(write_file(of_job / "large", std::string(1 << 20, 'x')));
  EXPECT_EQ(disk(), before);
  w.settle(kDiskKnown + 1s);
  EXPECT_GE(disk(), before + (1U << 20));
}

TEST_F(WholeProvider, NoRunBeginsWhileTheFilesOfTheOneBeforeAreGiven) {
  transfer::Server server(node.lane(), *node.network);
  ASSERT_TRUE(server.open());
  Services with = services();
  with.transfers = &server;
  provider = std::make_unique<Provider>(std::move(with), *node.root);
  ASSERT_TRUE(run(provider->start()));
  protocol::AllocateRequest request = allocate_request("e", "task", 1, 10min);
  request.allocations["task"].results.emplace().paths = {"report"};
  script("e_task", {.runs_for = 1s});
  begin(request);
  w.settle(5s);
  host->giving = 1h;
  protocol::AllocationResultsRequest question;
  question.allocation_name = "task";
  const auto asked = w.run(alice, protocol::call(*alice.root, protocol::kAllocationResults, node.root->handle(),
                                                 question, std::nullopt, path_of(protocol::kAllocationResults, "e")));
  ASSERT_TRUE(asked) << asked.error().to_string();
  EXPECT_TRUE(asked->packing) << asked->error;
  EXPECT_EQ(host->giving_now, 1);
  int begun = 0;
  host->begins = [&](const executor::Request&) {
    ++begun;
    EXPECT_EQ(host->giving_now, 0);
  };
  const auto restarted = restart(incarnation);
  EXPECT_TRUE(restarted && restarted->ok);
  EXPECT_EQ(begun, 1);
  host->begins = {};
  host->giving = 0ns;
  close();
  run(server.close());
}

TEST_F(WholeProvider, AnAllocationThatDoesNotRunHasNoStats) {
  open();
  begin({.runs_for = 1s});
  w.settle(5s);
  const auto reply = w.run(alice, protocol::call(*alice.root, protocol::kAllocationStats, allocation, {}));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_FALSE(reply->ok);
  EXPECT_EQ(reply->error, "it is completed");
}

TEST_F(WholeProvider, ADisconnectedOrchestratorIsReconnected) {
  open();
  allocate(alice);
  const crypto::PeerId other = alice.network->self();
  w.substrate->cut(node.network->self(), other);
  w.settle(1min);
  EXPECT_EQ(provider->allocations(), 1U) << "its work continues";
  w.substrate->cut(node.network->self(), other, false);
  w.settle(1min);
  EXPECT_TRUE(call(alice, protocol::kRevert, protocol::RevertRequest{.ensemble_id = "e", .allocations = {"task"}})->ok);
}

}  // namespace
}  // namespace dms::provider
