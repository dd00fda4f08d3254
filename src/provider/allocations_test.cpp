#include "provider/allocations.hpp"

#include "protocol/serve.hpp"
#include "provider/admission.hpp"
#include "provider/testing.hpp"

namespace dms::provider {
namespace {

struct AllocationsTest : ProviderTest {
  ~AllocationsTest() override {
    run(reservations.close());
    run(allocations.close());
  }

  Services own = services();
  Metrics metrics;
  LocalNames names;
  Grants grants{node.lane(), node.context};
  Bids bids{*node.root,
            [this](const EnsembleKey&) {
              Offering offering;
              offering.self = node.network->self();
              offering.onboarded = true;
              offering.executors = {"null"};
              offering.free = machine(8, 8);
              return Result<Offering>(offering);
            },
            metrics};
  Reservations reservations{{*node.root, bids, names, *resources, metrics},
                            {[this](const EnsembleKey& key) { return allocations.resources_of(key); },
                             [this](const AllocationKey& key) { return allocations.exists(key); }}};
  Allocations allocations{{own, *node.root, names, reservations, grants, metrics}};

  void reserve(const actor::TestNode& by, const std::string& name) {
    ASSERT_TRUE(bids.answer(bid_request("e", 4), by.did()));
    const Result<void> reserved = run(reservations.reserve(commit_request("e", name), by.did()));
    ASSERT_TRUE(reserved) << reserved.error().to_string();
  }
  protocol::AllocateResponse allocate(const actor::TestNode& by, const protocol::AllocateRequest& request) {
    const actor::Envelope envelope = from(by);
    return run(allocations.allocate(request, envelope));
  }
  protocol::AllocateResponse allocate(const actor::TestNode& by, const std::string& name = "task") {
    return allocate(by, allocate_request("e", name));
  }
  protocol::Ack shutdown(const actor::TestNode& by, const std::string& id = "e_task") {
    const actor::Envelope envelope = from(by);
    return run(allocations.shutdown({id}, envelope));
  }
  Result<protocol::Ack> start(actor::TestNode& by, const actor::Handle& allocation) {
    return w.run(by, protocol::call(*by.root, protocol::kAllocationStart, allocation, protocol::StartRequest{}));
  }
  void SetUp() override { ASSERT_TRUE(run(allocations.recover())); }
  void sweep_until(Duration time) {
    w.settle(time);
    run(allocations.sweep());
    w.settle(1s);  // it waits for no release
  }
  void expect_clean() {
    EXPECT_EQ(resources->list().size(), 0U);
    EXPECT_EQ(executor->size(), 0U);
    EXPECT_EQ(names.size(), 0U);
    EXPECT_EQ(grants.size(), 0U);
    EXPECT_FALSE(node.root->has_behaviour(path_of(protocol::kAllocationLogs, "e")));
  }
};

TEST_F(AllocationsTest, AnAllocationRunsOnceAndIsRemovedAfterRetention) {
  reserve(alice, "task");
  const auto made = allocate(alice);
  ASSERT_TRUE(made.ok) << made.error;
  const actor::Handle handle = made.allocations.at("task");
  EXPECT_EQ(handle.address.inbox, "e_task");
  actor::Envelope logs = from(alice);
  logs.behaviour = path_of(protocol::kAllocationLogs, "e");
  const std::string unread = run(allocations.logs({"task"}, logs)).error;
  EXPECT_TRUE(unread.ends_with("task has not been started")) << unread;
  EXPECT_EQ(unread.find("e_task"), std::string::npos) << "not by its id: " << unread;
  const auto started = start(alice, handle);
  ASSERT_TRUE(started) << started.error().to_string();
  EXPECT_TRUE(started->ok) << started->error;
  EXPECT_TRUE(start(alice, handle)->ok) << "repeated";
  EXPECT_EQ(executor->started(), 1U);
  w.settle(10s);  // the work takes 1 s
  EXPECT_EQ(in_use(), 0U) << "free as soon as the work has ended";
  EXPECT_EQ(allocations.size(), 1U);
  EXPECT_TRUE(start(alice, handle)->ok) << "it has run";
  sweep_until(own.retention - 1min);
  EXPECT_EQ(allocations.size(), 1U);
  sweep_until(2min);
  EXPECT_EQ(allocations.size(), 0U);
  expect_clean();
  EXPECT_EQ(metrics.allocations[protocol::AllocationStatus::completed].value(), 1U);
}

TEST_F(AllocationsTest, WhatHasEndedLeavesAllOfABidToOthersOfItsEnsemble) {
  reserve(alice, "task");
  ASSERT_TRUE(start(alice, allocate(alice).allocations.at("task"))->ok);
  w.settle(10s);
  ASSERT_EQ(allocations.size(), 1U) << "its output is kept";
  ASSERT_TRUE(bids.answer(bid_request("e", 1), alice.did()));
  const Result<void> reserved = run(reservations.reserve(commit_request("e", "again"), alice.did()));
  EXPECT_TRUE(reserved) << reserved.error().to_string();
}

TEST_F(AllocationsTest, OneIdOfTwoOrchestratorsIsTwoAllocations) {
  reserve(bob, "task");
  reserve(alice, "task");
  const auto of_bob = allocate(bob);
  const auto of_alice = allocate(alice);
  ASSERT_TRUE(of_bob.ok) << of_bob.error;
  ASSERT_TRUE(of_alice.ok) << of_alice.error;
  EXPECT_NE(of_bob.allocations.at("task").address.inbox, of_alice.allocations.at("task").address.inbox);
  script("e_task", {.runs_for = std::nullopt, .out = "running"});
  ASSERT_TRUE(start(alice, of_alice.allocations.at("task"))->ok);
  ASSERT_TRUE(start(bob, of_bob.allocations.at("task"))->ok);
  EXPECT_EQ(executor->size(), 2U);

  EXPECT_TRUE(shutdown(bob).ok);
  EXPECT_EQ(allocations.size(), 1U);
  EXPECT_EQ(executor->size(), 1U) << "alice's work continues";
  actor::Envelope logs = from(alice);
  logs.behaviour = path_of(protocol::kAllocationLogs, "e");
  EXPECT_EQ(as_text(run(allocations.logs({"task"}, logs)).out), "running");
  logs.from = bob.root->handle();
  EXPECT_NE(run(allocations.logs({"task"}, logs)).error.find("no allocation"), std::string::npos);
  EXPECT_TRUE(node.root->has_behaviour(logs.behaviour)) << "alice's ensemble uses it";
  EXPECT_TRUE(shutdown(alice).ok);
  expect_clean();
}

TEST_F(AllocationsTest, AnotherOrchestratorFindsNoAllocation) {
  reserve(alice, "task");
  EXPECT_FALSE(allocate(bob).ok);
  ASSERT_TRUE(allocate(alice).ok);
  EXPECT_TRUE(shutdown(bob).ok) << "nothing of bob's is left here";
  EXPECT_EQ(allocations.size(), 1U);
  EXPECT_TRUE(shutdown(alice).ok);
  EXPECT_TRUE(shutdown(alice).ok) << "repeated";
  expect_clean();
}

TEST_F(AllocationsTest, ARequestIsAllocatedCompletelyOrNotAtAll) {
  reserve(alice, "a");
  protocol::AllocateRequest request = allocate_request("e", "a");
  request.allocations["b"] = request.allocations["a"];
  const auto made = allocate(alice, request);
  EXPECT_FALSE(made.ok);
  EXPECT_NE(made.error.find("b: "), std::string::npos) << made.error;
  EXPECT_TRUE(made.allocations.empty());
  EXPECT_EQ(allocations.size(), 0U);
  expect_clean();
  EXPECT_FALSE(allocate(alice, protocol::AllocateRequest{.ensemble_id = "e"}).ok) << "none is requested";
}

TEST_F(AllocationsTest, WhatIsHeldIsBoundedAlsoOnceItHasEnded) {
  own.max_held = 3;
  own.max_held_by_owner = 2;
  for (const std::string name : {"a", "b"}) {
    reserve(alice, name);
    const auto made = allocate(alice, name);
    ASSERT_TRUE(made.ok) << made.error;
    ASSERT_TRUE(start(alice, made.allocations.at(name))->ok);
  }
  w.settle(10s);
  EXPECT_EQ(in_use(), 0U) << "both have ended";
  reserve(alice, "c");
  EXPECT_NE(allocate(alice, "c").error.find("2 allocations of this orchestrator"), std::string::npos);
  EXPECT_TRUE(allocate(alice, "a").ok) << "repeated";
  reserve(bob, "a");
  EXPECT_TRUE(allocate(bob, "a").ok);
  EXPECT_TRUE(shutdown(alice, "e_a").ok);
  EXPECT_TRUE(allocate(alice, "c").ok);
  reserve(bob, "b");
  EXPECT_NE(allocate(bob, "b").error.find("holds 3 allocations"), std::string::npos);
}

TEST_F(AllocationsTest, WhatIsHeldIsBoundedInBytes) {
  own.max_held_bytes_by_owner = 15'000;
  own.max_held_bytes = 25'000;
  const auto large = [](const std::string& name) {
    protocol::AllocateRequest request = allocate_request("e", name);
    request.allocations[name].execution.params["environment"] =
        json::Array{boost::json::string("A=" + std::string(10'000, 'x'))};
    return request;
  };
  for (const std::string name : {"a", "b"}) reserve(alice, name);
  for (const std::string name : {"a", "b"}) reserve(bob, name);
  ASSERT_TRUE(allocate(alice, large("a")).ok);
  const std::string refused = allocate(alice, large("b")).error;
  EXPECT_TRUE(refused.starts_with("b: Config: ")) << refused;
  EXPECT_TRUE(allocate(alice, large("a")).ok) << "repeated";
  EXPECT_TRUE(allocate(bob, large("a")).ok);
  own.max_held_bytes_by_owner = 100'000;
  EXPECT_FALSE(allocate(bob, large("b")).ok) << "in all";
  EXPECT_TRUE(shutdown(alice, "e_a").ok);
  EXPECT_TRUE(allocate(bob, large("b")).ok);
}

TEST_F(AllocationsTest, AMissingExecutorKeepsTheReservation) {
  reserve(alice, "task");
  protocol::AllocateRequest request = allocate_request("e", "task");
  request.allocations["task"].execution.type = "docker";
  request.allocations["task"].executor = jobs::ExecutorType::docker;
  EXPECT_NE(allocate(alice, request).error.find("'docker'"), std::string::npos);
  EXPECT_TRUE(allocate(alice).ok);
}

TEST_F(AllocationsTest, AnAllocationThatIsNeverStartedEndsWithItsLease) {
  reserve(alice, "task");
  ASSERT_TRUE(allocate(alice).ok);
  w.settle(59s);
  EXPECT_EQ(resources->list().size(), 1U);
  w.settle(2s);
  EXPECT_EQ(in_use(), 0U);
  EXPECT_EQ(metrics.allocations[protocol::AllocationStatus::terminated].value(), 1U);
  sweep_until(own.unstarted_retention - 1min);
  EXPECT_EQ(allocations.size(), 1U) << "its orchestrator is notified";
  sweep_until(1min);
  expect_clean();
}

TEST_F(AllocationsTest, TheEndOfAnEarlierAllocationDoesNotReleaseALaterOneOfTheSameId) {
  reserve(alice, "task");
  ASSERT_TRUE(start(alice, allocate(alice).allocations.at("task"))->ok);
  w.settle(1min);
  ASSERT_TRUE(shutdown(alice).ok);
  script("e_task", {.runs_for = std::nullopt});
  reserve(alice, "task");
  ASSERT_TRUE(start(alice, allocate(alice, allocate_request("e", "task", 1, 24h)).allocations.at("task"))->ok);
  sweep_until(own.retention - 1min);
  EXPECT_EQ(allocations.size(), 1U);
}

TEST_F(AllocationsTest, ConcurrentReleasesWaitForTheFirst) {
  reserve(alice, "task");
  script("e_task", {.runs_for = std::nullopt, .ignores_term = true});
  ASSERT_TRUE(start(alice, allocate(alice).allocations.at("task"))->ok);
  Nursery first(node.lane(), "first");
  const auto ignore = [](Task<Result<void>> task) -> Task<void> { (void)co_await std::move(task); };
  first.spawn(ignore(allocations.release({alice.did(), "e_task"})));
  w.settle(1s);
  EXPECT_TRUE(allocations.exists({alice.did(), "e_task"})) << "it ignores SIGTERM";
  EXPECT_TRUE(run(allocations.release({alice.did(), "e_task"})));
  expect_clean();
  run(first.join());
}

TEST_F(AllocationsTest, NoRequestWaitsForAnExecutorThatHangsAndTheReleaseGoesOn) {
  reserve(alice, "task");
  script("e_task", {.runs_for = 5min});
  const auto made = allocate(alice, allocate_request("e", "task", 1, 10min));
  ASSERT_TRUE(start(alice, made.allocations.at("task"))->ok);
  host->stops = false;
  const SteadyTime begun = node.lane().now();
  const protocol::AllocationShutdownRequest keeps{"e_task", "", true};
  for (int i = 1; i <= 2; ++i) {
    const actor::Envelope envelope = from(alice);
    const protocol::Ack stopped = run(allocations.shutdown(keeps, envelope));
    EXPECT_NE(stopped.error.find("e_task is still being stopped"), std::string::npos) << stopped.error;
    EXPECT_TRUE(stopped.in_progress);
    EXPECT_EQ(node.lane().now() - begun, i * kLongestAnswer);
    EXPECT_EQ(host->stopping_now, 1) << "both wait for the same stop";
  }
  for (int i = 0; i < 2; ++i) {
    const Result<void> released = run(allocations.release({alice.did(), "e_task"}));
    ASSERT_FALSE(released);
    EXPECT_TRUE(released.error().is(Errc::deadline_exceeded)) << released.error().to_string();
  }
  EXPECT_EQ(node.lane().now() - begun, 4 * kLongestAnswer);
  EXPECT_TRUE(allocations.exists({alice.did(), "e_task"}));
  w.settle(5min);
  expect_clean();
}

TEST_F(AllocationsTest, TheListHasPagesThatFitAMessage) {
  constexpr std::size_t kMany = 60;
  ASSERT_TRUE(bids.answer(bid_request("e", 4), alice.did()));
  for (std::size_t i = 0; i < kMany; ++i) {
    const std::string name = fmt::format("a{}", i);
    protocol::CommitRequest commit = commit_request("e", name, 0.05);
    commit.resources.ram.size = {64 * capability::kMiB};
    commit.resources.disk.size = {capability::kMiB};
    commit.resources.cpu.vendor = std::string(10'000, 'v');
    ASSERT_TRUE(run(reservations.reserve(commit, alice.did())));
    protocol::AllocateRequest request = allocate_request("e", name);
    request.allocations[name].resources = commit.resources;
    const auto made = allocate(alice, request);
    ASSERT_TRUE(made.ok) << made.error;
  }
  const actor::Envelope envelope = from(alice);
  std::set<std::string> listed;
  std::size_t pages = 0;
  protocol::AllocationsRequest request;
  for (;; ++pages) {
    const protocol::AllocationsReply page = run(allocations.list(request, envelope));
    ASSERT_EQ(page.error, "");
    EXPECT_LT(json::encode(page).size(), kListedBytes + kMaxResources);
    for (const protocol::AllocationInfo& info : page.allocations) EXPECT_TRUE(listed.insert(info.id).second) << info.id;
    if (page.next.empty()) break;
    request.after = page.next;
  }
  EXPECT_EQ(listed.size(), kMany);
  EXPECT_EQ(pages, 1U) << "two of them";
  request = {.limit = 7};
  const protocol::AllocationsReply few = run(allocations.list(request, envelope));
  EXPECT_EQ(few.allocations.size(), 7U);
  EXPECT_FALSE(few.next.empty());
  request.after = "nowhere";
  EXPECT_TRUE(run(allocations.list(request, envelope)).error.starts_with("After: "));
}

TEST_F(AllocationsTest, ListNamesEachWithItsOrchestrator) {
  reserve(alice, "task");
  reserve(bob, "task");
  ASSERT_TRUE(allocate(alice).ok);
  ASSERT_TRUE(allocate(bob).ok);
  const actor::Envelope envelope = from(alice);
  const auto list = run(allocations.list({}, envelope)).allocations;
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].id, "e_task");
  EXPECT_EQ(list[1].id, "e_task");
  EXPECT_NE(list[0].orchestrator, list[1].orchestrator);
  EXPECT_EQ(allocations.orchestrators().size(), 2U);
}

}  // namespace
}  // namespace dms::provider
