// Deployments from end to end in virtual time: libp2p handshakes, gossip, signed bids, commit, allocate, run, output,
// shutdown.
#include <gtest/gtest.h>

#include <fstream>

#include "protocol/deployment.hpp"
#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

const std::set<std::string> kEnded = {"Completed", "Failed"};

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Trio {
  explicit Trio(std::uint64_t seed, SimLink link = {}) : cluster(seed, link) { cluster.start(); }
  ~Trio() { cluster.stop(); }
  Cluster cluster;
  Machine& user = cluster.add("user", 0, 0);
  Machine& small = cluster.add("small", 2, 2);
  Machine& large = cluster.add("large", 16, 64);

  std::string must_deploy(const jobs::Ensemble& ensemble, Duration timeout = 5min) {
    auto id = cluster.deploy(user, ensemble, timeout);
    EXPECT_TRUE(id) << id.error().to_string();
    return id.value_or("");
  }
  protocol::DeploymentStatusReply ended(const std::string& id) {
    EXPECT_TRUE(cluster.wait_for(user, id, kEnded));
    return cluster.status(user, id).value();
  }
  void expect_clean(Machine& machine) {
    EXPECT_EQ(machine.resources().list().size(), 0u) << machine.name() << " still holds resources";
    EXPECT_EQ(machine.executor().size(), 0u) << machine.name() << " still has executions";
    EXPECT_EQ(machine.node().provider().allocations(), 0u) << machine.name() << " still has allocations";
    const auto jobs = cluster.folder() / machine.name() / "jobs";
    EXPECT_TRUE(!std::filesystem::exists(jobs) || std::filesystem::is_empty(jobs))
        << machine.name() << " still has job folders";
  }
};

TEST(Deployment, ATaskRunsOnTheBestFitAndItsOutputIsReturned) {
  Trio net(1);
  const std::string id =
      net.must_deploy(one_task(1, 512, {{"FAKE_SECONDS", "5"}, {"FAKE_OUT", "hello from the provider"}}));
  ASSERT_TRUE(net.cluster.wait_for(net.user, id, {"Running"}));
  EXPECT_EQ(net.small.executor().size(), 1u) << "the small machine is the better fit";
  EXPECT_EQ(net.small.resources().list().size(), 1u);

  const auto end = net.ended(id);
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").peer, net.small.peer().to_string());
  EXPECT_EQ(end.allocations.at("task").status, protocol::AllocationStatus::completed);

  protocol::DeploymentLogsRequest logs;
  logs.ensemble_id = id;
  logs.allocation_name = "task";
  auto written = net.cluster.call(net.user, protocol::kDeploymentLogs, logs);
  ASSERT_TRUE(written && written->error.empty()) << written->error;
  EXPECT_EQ(text_of(std::filesystem::path(written->written_to) / "stdout.log"), "hello from the provider");
  net.cluster.world().run_for(1min);
  net.expect_clean(net.small);
  net.expect_clean(net.large);
}

TEST(Deployment, TheStatusSaysHowFarAnImageIsUntilTheWorkRuns) {
  Trio net(30);
  const std::string id = net.must_deploy(
      one_task(1, 512, {{"FAKE_START_SECONDS", "30"}, {"FAKE_IMAGE_MIB", "120"}, {"FAKE_SECONDS", "5"}}));
  const auto progress = [&]() -> std::optional<protocol::StartProgress> {
    const auto status = net.cluster.status(net.user, id).value();
    const auto task = status.allocations.find("task");
    return task == status.allocations.end() ? std::nullopt : task->second.progress;
  };
  std::optional<protocol::StartProgress> first;
  for (int i = 0; i < 60 && !first; ++i) {
    net.cluster.world().run_for(1s);
    first = progress();
  }
  ASSERT_TRUE(first);
  EXPECT_EQ(first->phase, protocol::StartPhase::pulling);
  EXPECT_EQ(first->total, 120u << 20);
  net.cluster.world().run_for(5s);
  const auto later = progress();
  ASSERT_TRUE(later);
  EXPECT_GT(later->done, first->done);
  EXPECT_LE(later->done, later->total);
  ASSERT_TRUE(net.cluster.wait_for(net.user, id, {"Running"}));
  EXPECT_FALSE(progress());
  EXPECT_EQ(net.ended(id).status, "Completed");
}

TEST(Deployment, AJobTooLargeForTheSmallMachineGoesToTheLargeOne) {
  Trio net(2);
  const auto end = net.ended(net.must_deploy(one_task(8, 4096)));
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").peer, net.large.peer().to_string());
}

TEST(Deployment, WithoutASuitableProviderTheDeploymentFailsWithAReason) {
  Trio net(3);
  const auto end = net.ended(net.must_deploy(one_task(64, 512), 75s));
  EXPECT_EQ(end.status, "Failed");
  EXPECT_NE(end.error.find("no machine was found for node node"), std::string::npos) << end.error;
}

TEST(Deployment, ATaskThatFailsIsReportedWithItsExitCode) {
  Trio net(4);
  const auto end = net.ended(net.must_deploy(one_task(1, 512, {{"FAKE_EXIT_CODE", "3"}})));
  EXPECT_EQ(end.status, "Failed");
  EXPECT_EQ(end.allocations.at("task").exit_code, 3);
  EXPECT_NE(end.error.find("exit code 3"), std::string::npos) << end.error;
}

TEST(Deployment, APinnedNodeRunsOnItsPeerOnly) {
  Trio net(5);
  jobs::Ensemble ensemble = one_task(1, 512);
  ensemble.nodes["node"].peer = net.large.peer().to_string();
  const auto end = net.ended(net.must_deploy(ensemble));
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").peer, net.large.peer().to_string());
}

/// Each machine can serve both, and draws one of them first.
TEST(Deployment, TwoNodesGoToTwoMachinesInOneRoundOfBids) {
  for (std::uint64_t seed = 6; seed < 12; ++seed) {
    Trio net(seed);
    jobs::Ensemble ensemble = one_task(1, 512);
    ensemble.allocations["second"] = ensemble.allocations["task"];
    ensemble.allocations["second"].dns_name = "second";
    ensemble.nodes["other"].allocations = {"second"};
    const std::string id = net.must_deploy(ensemble);
    EXPECT_TRUE(net.cluster.wait_for(net.user, id, {"Committing", "Provisioning", "Running", "Completed"}, 4s)) << seed;
    const auto end = net.ended(id);
    EXPECT_EQ(end.status, "Completed") << end.error;
    EXPECT_NE(end.allocations.at("task").peer, end.allocations.at("second").peer);
  }
}

/// Nobody but the machine itself runs its user's work.
struct LoneMachine : testing::Test {
  LoneMachine() { cluster.start(); }
  ~LoneMachine() override { cluster.stop(); }
  std::string must_deploy(const jobs::Ensemble& ensemble, Duration timeout = 5min) {
    auto id = cluster.deploy(alone, ensemble, timeout);
    EXPECT_TRUE(id) << id.error().to_string();
    return id.value_or("");
  }
  void expect_output(const std::string& id, const std::string& expected) {
    protocol::DeploymentLogsRequest request;
    request.ensemble_id = id;
    request.allocation_name = "task";
    request.stream = "stdout";
    const auto page = cluster.call(alone, protocol::kDeploymentLogs, request);
    ASSERT_TRUE(page && page->error.empty()) << (page ? page->error : page.error().to_string());
    EXPECT_EQ(as_text(page->data), expected);
  }
  void expect_clean() {
    cluster.world().run_for(1min);
    EXPECT_EQ(alone.resources().list().size(), 0u);
    EXPECT_EQ(alone.executor().size(), 0u);
    EXPECT_EQ(alone.node().provider().allocations(), 0u);
  }
  Cluster cluster{20};
  Machine& alone = cluster.add("alone", 2, 2);
};

TEST_F(LoneMachine, RunsAJobOfItsOwnThatTakesAllThatItOffersWithinSeconds) {
  const std::string id = must_deploy(one_task(2, 2048, {{"FAKE_SECONDS", "1"}, {"FAKE_OUT", "hello from here"}}));
  ASSERT_TRUE(cluster.wait_for(alone, id, kEnded, 10s)) << cluster.status(alone, id)->status;
  const auto end = cluster.status(alone, id).value();
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").peer, alone.peer().to_string());
  expect_output(id, "hello from here");
  expect_clean();
}

TEST_F(LoneMachine, GoesOnWithItsJobAfterItsDaemonIsKilled) {
  const std::string id = must_deploy(one_task(1, 512, {{"FAKE_SECONDS", "60"}, {"FAKE_OUT", "all of it"}}));
  ASSERT_TRUE(cluster.wait_for(alone, id, {"Running"}));
  const std::string run = cluster.status(alone, id)->allocations.at("task").incarnation;
  cluster.kill_daemon(alone);
  cluster.world().run_for(5s);
  cluster.restart(alone);
  ASSERT_TRUE(cluster.wait_for(alone, id, kEnded, 3min));
  const auto end = cluster.status(alone, id).value();
  EXPECT_EQ(end.status, "Completed") << end.error;
  EXPECT_EQ(end.allocations.at("task").incarnation, run);
  expect_output(id, "all of it");
  expect_clean();
}

TEST_F(LoneMachine, RunsNothingThatExcludesIt) {
  jobs::Ensemble ensemble = one_task(1, 512);
  ensemble.exclude_peers = {alone.peer().to_string()};
  const std::string id = must_deploy(ensemble, 75s);
  ASSERT_TRUE(cluster.wait_for(alone, id, kEnded));
  const auto end = cluster.status(alone, id).value();
  EXPECT_EQ(end.status, "Failed");
  EXPECT_NE(end.error.find("no peer is connected, and this machine is excluded"), std::string::npos) << end.error;
}

TEST(Deployment, TheUsersOwnMachineCompetesAsAnyOther) {
  Cluster cluster(21);
  Machine& user = cluster.add("user", 4, 4);
  Machine& small = cluster.add("small", 2, 2);
  Machine& large = cluster.add("large", 16, 64);
  cluster.start();
  const auto runs_at = [&](const jobs::Ensemble& ensemble) {
    const auto id = cluster.deploy(user, ensemble);
    EXPECT_TRUE(id && cluster.wait_for(user, *id, kEnded));
    const auto end = cluster.status(user, id.value_or("")).value();
    EXPECT_EQ(end.status, "Completed") << end.error;
    return end.allocations.at("task").peer;
  };
  EXPECT_EQ(runs_at(one_task(1, 768)), small.peer().to_string()) << "the best fit";
  EXPECT_EQ(runs_at(one_task(3, 512)), user.peer().to_string());
  EXPECT_EQ(runs_at(one_task(8, 512)), large.peer().to_string());
  jobs::Ensemble pinned = one_task(1, 512);
  pinned.nodes["node"].peer = user.peer().to_string();
  EXPECT_EQ(runs_at(pinned), user.peer().to_string());
  jobs::Ensemble elsewhere = one_task(3, 512);
  elsewhere.exclude_peers = {user.peer().to_string()};
  EXPECT_EQ(runs_at(elsewhere), large.peer().to_string());
  cluster.stop();
}

TEST(Deployment, AServiceRunsUntilItIsShutDownAndLeavesNothing) {
  Trio net(7);
  jobs::Ensemble ensemble = one_task(1, 512, {{"FAKE_SECONDS", "1000000"}, {"FAKE_OUT", "serving"}});
  ensemble.allocations["task"].type = jobs::AllocationType::service;
  const std::string id = net.must_deploy(ensemble);
  ASSERT_TRUE(net.cluster.wait_for(net.user, id, {"Running"}));
  net.cluster.world().run_for(10min);
  EXPECT_EQ(net.cluster.status(net.user, id)->status, "Running");
  auto done = net.cluster.call(net.user, protocol::kDeploymentShutdown, protocol::DeploymentId{id}, 1min);
  ASSERT_TRUE(done && done->ok) << (done ? done->error : done.error().to_string());
  EXPECT_EQ(net.cluster.status(net.user, id)->status, "Completed");
  net.cluster.world().run_for(1min);
  net.expect_clean(net.small);
}

TEST(Deployment, ShutDownWhileItIsStillDeployingReverts) {
  Trio net(8);
  const std::string id = net.must_deploy(one_task(64, 512));  // no machine is that large
  net.cluster.world().run_for(7s);
  auto done = net.cluster.call(net.user, protocol::kDeploymentShutdown, protocol::DeploymentId{id}, 1min);
  ASSERT_TRUE(done && done->ok);
  EXPECT_EQ(net.cluster.status(net.user, id)->status, "Completed");
}

TEST(Deployment, AFailedStartIsRevertedAndTriedOnAnotherProvider) {
  Trio net(9);
  jobs::Ensemble ensemble = one_task(1, 512, {{"FAKE_START_ERROR", "no such image"}});
  const auto end = net.ended(net.must_deploy(ensemble, 90s));
  EXPECT_EQ(end.status, "Failed");
  EXPECT_NE(end.error.find("no such image"), std::string::npos) << end.error;
  net.cluster.world().run_for(1min);
  net.expect_clean(net.small);
  net.expect_clean(net.large);
}

TEST(Deployment, LossOnEveryLinkOnlyTakesLonger) {
  Trio net(10, {.latency = 40ms, .jitter = 20ms, .loss = 0.05});
  const auto end = net.ended(net.must_deploy(one_task(1, 512, {{"FAKE_OUT", "over lossy links"}})));
  EXPECT_EQ(end.status, "Completed") << end.error;
}

std::uint64_t whole_run(std::uint64_t seed) {
  Trio net(seed, {.loss = 0.02});
  const auto end = net.ended(net.must_deploy(one_task(1, 512, {{"FAKE_OUT", "same"}})));
  EXPECT_EQ(end.status, "Completed") << end.error;
  net.cluster.world().run_for(30s);
  return net.cluster.world().trace();
}

TEST(Deployment, TheSameSeedReplaysTheWholeRun) {
  const std::uint64_t first = whole_run(77);
  EXPECT_EQ(first, whole_run(77));
  EXPECT_NE(first, whole_run(78));
}

TEST(Deployment, FiftyInSequenceAndTwentyAtOnceLeaveNothingBehind) {
  Trio net(11);
  for (int i = 0; i < 50; ++i) {
    const auto end = net.ended(net.must_deploy(one_task(1, 256, {{"FAKE_SECONDS", "1"}})));
    ASSERT_EQ(end.status, "Completed") << i << ": " << end.error;
  }
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(net.must_deploy(one_task(0.5, 128, {{"FAKE_SECONDS", "20"}})));
  for (const std::string& id : ids) EXPECT_EQ(net.ended(id).status, "Completed");
  net.cluster.world().run_for(1min);
  net.expect_clean(net.small);
  net.expect_clean(net.large);
  EXPECT_EQ(net.user.node().deployments().active(), 0u);
  for (Machine* machine : {&net.user, &net.small, &net.large})
    EXPECT_EQ(machine->capabilities()->ephemeral_count(), 0u)
        << machine->name() << " has not withdrawn its ephemeral grants";
}

TEST(Deployment, AfterReloadingCapabilitiesTheOwnerStillControlsRunningWork) {
  Trio net(13);
  jobs::Ensemble ensemble = one_task(1, 512, {{"FAKE_SECONDS", "1000000"}});
  const std::string id = net.must_deploy(ensemble);
  ASSERT_TRUE(net.cluster.wait_for(net.user, id, {"Running"}));
  for (Machine* machine : {&net.user, &net.small}) {
    const std::string saved = machine->capabilities()->serialise();
    ASSERT_TRUE(machine->capabilities()->reload(saved, net.cluster.world().unix_now()));
  }
  auto done = net.cluster.call(net.user, protocol::kDeploymentShutdown, protocol::DeploymentId{id}, 1min);
  ASSERT_TRUE(done && done->ok) << (done ? done->error : done.error().to_string());
  net.expect_clean(net.small);
}

TEST(Deployment, AnUnansweredShutdownIsRepeatedUntilTheMachineIsClean) {
  Trio net(14);
  const std::string id = net.must_deploy(one_task(1, 512, {{"FAKE_SECONDS", "1000000"}}));
  ASSERT_TRUE(net.cluster.wait_for(net.user, id, {"Running"}));
  net.cluster.world().cut(net.user.host(), net.small.host());
  auto done = net.cluster.call(net.user, protocol::kDeploymentShutdown, protocol::DeploymentId{id}, 1min);
  ASSERT_TRUE(done);
  EXPECT_FALSE(done->ok);
  EXPECT_EQ(net.cluster.status(net.user, id)->status, "ShuttingDown");
  net.cluster.world().cut(net.user.host(), net.small.host(), false);
  EXPECT_TRUE(net.cluster.wait_for(net.user, id, kEnded));
  net.expect_clean(net.small);
}

// --- an orchestrator of the same organisation, permitted to deploy, attacks another --------------------------------

struct TwoOrchestrators : testing::Test {
  Cluster cluster{21};
  Machine& user = cluster.add("user", 0, 0);
  Machine& provider = cluster.add("provider", 8, 8);
  Machine& other = cluster.add("other", 0, 0);
  std::string id;
  void SetUp() override {
    cluster.start();
    auto deployed = cluster.deploy(user, one_task(1, 512, {{"FAKE_SECONDS", "1000000"}}));
    ASSERT_TRUE(deployed);
    id = *deployed;
    ASSERT_TRUE(cluster.wait_for(user, id, {"Running"}));
  }
  void TearDown() override { cluster.stop(); }

  protocol::EnsembleBidRequest bid_request(const std::string& ensemble, double cores = 1) {
    protocol::EnsembleBidRequest request;
    request.id = ensemble;
    request.nonce = ++nonce;
    protocol::NodeRequest node;
    node.node_id = "n";
    node.executors = {"null"};
    node.resources = one_task(cores, static_cast<std::uint64_t>(cores * 512)).allocations["task"].resources;
    request.request.emplace_back().v1 = node;
    return request;
  }
  protocol::CommitRequest commit(const std::string& ensemble, const std::string& name, double cores = 1) {
    protocol::CommitRequest request;
    request.ensemble_id = ensemble;
    request.allocation_name = name;
    request.node_id = "n";
    static_cast<capability::Resources&>(request.resources) = one_task(cores, 512).allocations["task"].resources;
    return request;
  }
  protocol::Ack committed(Machine& by, const protocol::CommitRequest& request) {
    return cluster.call(by, provider, protocol::kCommit, request).value();
  }
  bool bids(Machine& by, const protocol::EnsembleBidRequest& request) {
    return cluster.call(by, provider, protocol::kBidRequest, request, 5s).has_value();
  }
  std::uint64_t nonce = 0;
};

TEST_F(TwoOrchestrators, AnotherOrchestratorThatUsesAnEnsembleIdFirstDoesNotLockTheOwnerOut) {
  ASSERT_TRUE(bids(other, bid_request("seen")));
  ASSERT_TRUE(committed(other, commit("seen", "task")).ok);
  ASSERT_TRUE(bids(user, bid_request("seen")));
  EXPECT_TRUE(committed(user, commit("seen", "task")).ok);
  EXPECT_EQ(provider.resources().list().size(), 3u) << "one runs, two are reserved";
}

TEST_F(TwoOrchestrators, AnotherOrchestratorThatUsesTheIdOfARunningEnsembleDoesNotAffectIt) {
  ASSERT_TRUE(bids(other, bid_request(id)));
  ASSERT_TRUE(committed(other, commit(id, "task")).ok);
  protocol::AllocateRequest allocate;
  allocate.ensemble_id = id;
  protocol::AllocationConfig& config = allocate.allocations["task"];
  config.executor = jobs::ExecutorType::null;
  config.resources = one_task(1, 512).allocations["task"].resources;
  config.execution.type = "null";
  const auto allocated = cluster.call(other, provider, protocol::kAllocate, allocate);
  ASSERT_TRUE(allocated && allocated->ok) << (allocated ? allocated->error : allocated.error().to_string());
  EXPECT_EQ(provider.node().provider().allocations(), 2u);

  protocol::RevertRequest revert;
  revert.ensemble_id = id;
  revert.allocations = {"task"};
  ASSERT_TRUE(cluster.call(other, provider, protocol::kRevert, revert));
  EXPECT_EQ(provider.node().provider().allocations(), 1u);
  EXPECT_EQ(cluster.status(user, id)->status, "Running");
}

TEST_F(TwoOrchestrators, ReservationsAndAllocationsOfAnotherOrchestratorAreNotAccessible) {
  ASSERT_TRUE(bids(user, bid_request("owned")));
  EXPECT_NE(committed(other, commit("owned", "task")).error.find("no bid to this orchestrator"), std::string::npos);
  ASSERT_TRUE(committed(user, commit("owned", "task")).ok);

  protocol::RevertRequest revert;
  revert.ensemble_id = "owned";
  revert.allocations = {"task"};
  ASSERT_TRUE(cluster.call(other, provider, protocol::kRevert, revert));
  revert.ensemble_id = id;
  ASSERT_TRUE(cluster.call(other, provider, protocol::kRevert, revert));
  EXPECT_EQ(provider.resources().list().size(), 2u) << "the reservation and the running work are still there";
  EXPECT_EQ(cluster.status(user, id)->status, "Running");

  protocol::AllocationShutdownRequest stop;
  stop.allocation_id = id + "_task";
  EXPECT_FALSE(cluster.call(other, provider, protocol::kAllocationShutdown, stop, 5s,
                            path_of(protocol::kAllocationShutdown, id)))
      << "no token, no answer";
}

TEST_F(TwoOrchestrators, MoreThanTheBidIsRefusedAlsoInSeveralCommits) {
  ASSERT_TRUE(bids(user, bid_request("pieces", 2)));
  EXPECT_FALSE(committed(user, commit("pieces", "a", 3)).ok);
  EXPECT_TRUE(committed(user, commit("pieces", "a", 1)).ok);
  EXPECT_TRUE(committed(user, commit("pieces", "b", 1)).ok);
  EXPECT_NE(committed(user, commit("pieces", "c", 1)).error.find("more than was bid for"), std::string::npos);
}

TEST_F(TwoOrchestrators, ZeroResourcesAreRefusedAndNamesCannotReferToOtherEnsembles) {
  ASSERT_TRUE(bids(user, bid_request("small")));
  EXPECT_NE(committed(user, commit("small", "a", 0)).error.find("more than 0"), std::string::npos);
  EXPECT_NE(committed(user, commit("small", "b_c")).error.find("may not contain '_'"), std::string::npos);
  EXPECT_FALSE(committed(user, commit("small", "../etc")).ok);
}

// --- a provider fails at each step -------------------------------------------------------------------------------------

struct Step {
  const char* name;
  std::function<bool(Trio&, const std::string&)> reached;
};

class ProviderFailure : public testing::TestWithParam<int> {};

const std::vector<Step>& steps() {
  static const std::vector<Step> all = {
      {"bidding", [](Trio& n, const std::string&) { return n.small.node().provider().bids() > 0; }},
      {"committed", [](Trio& n, const std::string&) { return !n.small.resources().list().empty(); }},
      {"allocated", [](Trio& n, const std::string&) { return n.small.node().provider().allocations() > 0; }},
      {"started", [](Trio& n, const std::string&) { return n.small.executor().size() > 0; }},
      {"running",
       [](Trio& n, const std::string& id) { return n.cluster.status(n.user, id).value().status == "Running"; }},
  };
  return all;
}

TEST_P(ProviderFailure, AnotherProviderTakesOverOrTheDeploymentFailsAndResourcesAreFree) {
  const Step& step = steps()[static_cast<std::size_t>(GetParam())];
  Trio net(100 + static_cast<std::uint64_t>(GetParam()));
  const bool running = std::string_view(step.name) == "running";
  jobs::Ensemble ensemble = one_task(1, 512, {{"FAKE_SECONDS", "120"}});
  ensemble.nodes["node"].on_loss = running ? jobs::OnLoss::fail : jobs::OnLoss::fast;
  const std::string id = net.must_deploy(ensemble);
  ASSERT_TRUE(net.cluster.world().run_until([&] { return step.reached(net, id); }, 1min)) << step.name;
  net.cluster.crash(net.small);

  const auto end = net.ended(id);
  if (running) {
    EXPECT_EQ(end.status, "Failed");
    EXPECT_NE(end.error.find("is lost"), std::string::npos) << end.error;
  } else {
    EXPECT_EQ(end.status, "Completed") << step.name << ": " << end.error;
    EXPECT_EQ(end.allocations.at("task").peer, net.large.peer().to_string());
  }
  net.cluster.restart(net.small);
  net.cluster.world().run_for(2min);
  net.expect_clean(net.large);
  net.expect_clean(net.small);
  EXPECT_EQ(*net.small.resources().free(), *net.small.resources().onboarded())
      << "everything is free after the restart";
}

INSTANTIATE_TEST_SUITE_P(AtEachStep, ProviderFailure, testing::Range(0, 5), [](const auto& info) {
  return std::string(steps()[static_cast<std::size_t>(info.param)].name);
});

TEST(Deployment, AfterAKillTheUsersDaemonGoesOn) {
  Trio net(12);
  const std::string id = net.must_deploy(one_task(1, 512, {{"FAKE_SECONDS", "300"}, {"FAKE_OUT", "through the kill"}}));
  ASSERT_TRUE(net.cluster.wait_for(net.user, id, {"Running"}));
  net.cluster.kill_daemon(net.user);
  net.cluster.world().run_for(1min);
  net.cluster.restart(net.user);
  net.cluster.world().run_for(1min);
  EXPECT_EQ(net.cluster.status(net.user, id).value().status, "Running");
  const auto end = net.ended(id);
  EXPECT_EQ(end.status, "Completed") << end.error;
  protocol::DeploymentLogsRequest logs;
  logs.ensemble_id = id;
  logs.allocation_name = "task";
  logs.stream = "stdout";
  const auto page = net.cluster.call(net.user, protocol::kDeploymentLogs, logs);
  ASSERT_TRUE(page && page->error.empty()) << page->error;
  EXPECT_EQ(as_text(page->data), "through the kill");
  EXPECT_TRUE(page->eof);
  net.cluster.world().run_for(1min);
  net.expect_clean(net.small);
}

}  // namespace
}  // namespace dms::sim
