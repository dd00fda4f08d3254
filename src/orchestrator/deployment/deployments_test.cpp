// All deployments of a node, and what their user asks of them.
#include "orchestrator/deployment/deployments.hpp"

#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/test_deployment.hpp"
#include "transfer/server.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct DeploymentsTest : DeploymentTest {
  ~DeploymentsTest() override { close(); }
  void open() {
    deployments = std::make_unique<Deployments>(services(), *a.root);
    ASSERT_TRUE(w.run(a, deployments->start()));
  }
  void close() {
    if (deployments) w.run(a, deployments->close());
    deployments.reset();
  }
  template <class Request, class Reply>
  Reply ask(const Behaviour<Request, Reply>& behaviour, const Request& request, Duration timeout = 2min) {
    const Result<Reply> reply = w.run(a, call(*a.root, behaviour, a.root->handle(), request, timeout));
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply.value_or(Reply());
  }
  std::string deploy(std::map<std::string, std::string> metadata = {}) {
    NewDeploymentRequest request;
    request.ensemble = one_task_ensemble(b.network->self().to_string());
    request.ensemble.metadata = std::move(metadata);
    const NewDeploymentReply reply = ask(kDeploymentNew, request);
    EXPECT_EQ(reply.error, "");
    EXPECT_TRUE(until([&] { return status(reply.ensemble_id) == "Running"; })) << status(reply.ensemble_id);
    return reply.ensemble_id;
  }
  void finish(const std::string& id, double cpu_seconds = 0) {
    provider.end("task", AllocationStatus::completed, 0, "hello");
    provider.runs.at("task").cpu_seconds = cpu_seconds;
    EXPECT_TRUE(notify());
    EXPECT_TRUE(until([&] { return status(id) == "Completed" && deployments->active() == 0; }));
  }
  std::string status(const std::string& id) { return ask(kDeploymentStatus, DeploymentId{id}).status; }
  std::map<std::string, std::string> list(const DeploymentListRequest& request) {
    return ask(kDeploymentList, request).deployments;
  }
  bool has_output(const std::string& id) { return std::filesystem::exists(folder / "deployments" / id); }

  std::unique_ptr<Deployments> deployments;
};

TEST_F(DeploymentsTest, AListIsFilteredAndPaged) {
  open();
  const std::string first = deploy({{"team", "a"}});
  finish(first);
  const std::string second = deploy({{"team", "b"}});
  DeploymentListRequest request;
  EXPECT_EQ(list(request), (std::map<std::string, std::string>{{first, "Completed"}, {second, "Running"}}));
  request.status = {"Running"};
  EXPECT_EQ(list(request), (std::map<std::string, std::string>{{second, "Running"}}));
  request.metadata = {{"team", "a"}};
  EXPECT_TRUE(list(request).empty());
  request.status = {"Unreadable"};
  EXPECT_EQ(ask(kDeploymentList, request).error, "");
  request.status = {"Completed", "running"};
  const DeploymentListReply refused = ask(kDeploymentList, request);
  EXPECT_TRUE(refused.deployments.empty());
  EXPECT_EQ(refused.error,
            "Status: expected Preparing, Generating, Committing, Provisioning, Running, Failed, ShuttingDown or "
            "Completed, or "
            "Unreadable, found \"running\"");
  request = {};
  request.limit = 1;
  DeploymentListReply page = ask(kDeploymentList, request);
  ASSERT_EQ(page.deployments.size(), 1u);
  EXPECT_EQ(page.next, std::min(first, second));
  request.after = page.next;
  page = ask(kDeploymentList, request);
  EXPECT_EQ(page.deployments.begin()->first, std::max(first, second));
  EXPECT_EQ(page.next, "");
}

TEST_F(DeploymentsTest, TheExecutorOfSimulationsIsRefusedElsewhere) {
  Services real = services();
  real.simulated = false;
  deployments = std::make_unique<Deployments>(real, *a.root);
  ASSERT_TRUE(w.run(a, deployments->start()));
  NewDeploymentRequest request;
  request.ensemble = one_task_ensemble(b.network->self().to_string());
  const std::string error = ask(kDeploymentNew, request).error;
  EXPECT_NE(error.find("allocations.task.executor: null runs in the simulation only"), std::string::npos) << error;
  EXPECT_TRUE(list({}).empty());
}

/// The machines that were not chosen are named with the reason, also after the end and after a restart.
TEST_F(DeploymentsTest, ADeploymentExplainsWhyItsMachineWasChosen) {
  open();
  NewDeploymentRequest request;
  request.ensemble = one_task_ensemble();
  const std::string id = ask(kDeploymentNew, request).ensemble_id;
  ASSERT_TRUE(until([&] { return status(id) == "Running"; }));
  const auto verdicts = [&] {
    std::map<bool, std::vector<std::string>> by_choice;
    const DeploymentExplainReply reply = ask(kDeploymentExplain, DeploymentId{id});
    EXPECT_EQ(reply.error, "");
    EXPECT_TRUE(reply.choice.has_value());
    for (const MachineVerdict& one : reply.choice.value_or(Choice()).machines) {
      EXPECT_EQ(one.node, "node");
      EXPECT_NE(one.reason, "");
      by_choice[one.chosen].push_back(one.peer);
    }
    return by_choice;
  };
  const auto before = verdicts();
  ASSERT_EQ(before.at(true).size(), 1u);
  ASSERT_EQ(before.at(false).size(), 1u) << "the other machine has bid as well";
  close();
  open();
  EXPECT_EQ(verdicts(), before) << "it is stored";
  const std::string error = ask(kDeploymentExplain, DeploymentId{"unknown"}).error;
  EXPECT_NE(error.find("there is no deployment 'unknown'"), std::string::npos) << error;
}

TEST_F(DeploymentsTest, APlanNamesTheMachinesAndReservesNothing) {
  open();
  NewDeploymentRequest request;
  request.ensemble = one_task_ensemble();
  DeploymentPlanReply reply = ask(kDeploymentPlan, request);
  EXPECT_TRUE(reply.complete) << reply.error;
  ASSERT_EQ(reply.choice.machines.size(), 2u);
  EXPECT_TRUE(reply.choice.machines[0].chosen);
  EXPECT_FALSE(reply.choice.machines[1].chosen);
  w.settle();
  EXPECT_EQ(provider.commits + other.commits, 0);
  EXPECT_GT(provider.reverts, 0) << "both bids are withdrawn";
  EXPECT_GT(other.reverts, 0);
  EXPECT_TRUE(list({}).empty());
  EXPECT_EQ(deployments->active(), 0u);

  provider.bids = other.bids = false;
  reply = ask(kDeploymentPlan, request);
  EXPECT_FALSE(reply.complete);
  EXPECT_NE(reply.error.find("no machine was found for node node"), std::string::npos) << reply.error;
  EXPECT_TRUE(reply.choice.machines.empty());

  request.ensemble.nodes.at("node").redundancy = 1;
  reply = ask(kDeploymentPlan, request);
  EXPECT_NE(reply.error.find("nodes.node.redundancy"), std::string::npos) << reply.error;
}

TEST_F(DeploymentsTest, APlanAsksAgainForANodeWhileAMachineIsLeftWhoseBidHasNamedOneOfSeveral) {
  open();
  NewDeploymentRequest request;
  request.ensemble = one_task_ensemble();
  request.ensemble.allocations["more"] = request.ensemble.allocations.at("task");
  request.ensemble.allocations["more"].dns_name = "more";
  request.ensemble.nodes["rest"] = request.ensemble.nodes.at("node");
  request.ensemble.nodes["rest"].allocations = {"more"};
  DeploymentPlanReply reply = ask(kDeploymentPlan, request);  // both bid for the first node of a request
  EXPECT_TRUE(reply.complete) << reply.error;
  std::map<std::string, std::string> chosen;
  for (const MachineVerdict& one : reply.choice.machines)
    if (one.chosen) chosen[one.node] = one.peer;
  EXPECT_EQ(chosen.size(), 2u);
  EXPECT_NE(chosen["node"], chosen["rest"]);

  other.bids = false;
  const SteadyTime begin = w.world.now();
  reply = ask(kDeploymentPlan, request);
  EXPECT_FALSE(reply.complete);
  EXPECT_LT(w.world.now() - begin, kBidRound + 2s) << "nobody else has bid, so nobody is asked again";
}

TEST_F(DeploymentsTest, InfoHasTheUsageOfWhatRunsAndOfWhatHasEnded) {
  open();
  const std::string id = deploy({{"team", "a"}});
  provider.runs.at("task").cpu_seconds = 2;
  ASSERT_TRUE(until([&] { return ask(kDeploymentInfo, DeploymentId{id}).allocations.at("task").cpu_seconds == 2; }));
  finish(id, 2.5);
  const DeploymentInfoReply info = ask(kDeploymentInfo, DeploymentId{id});
  EXPECT_EQ(info.status, "Completed");
  EXPECT_EQ(info.metadata.at("team"), "a");
  EXPECT_GT(info.ended, info.created);
  const AllocationUsage& usage = info.allocations.at("task");
  EXPECT_EQ(usage.cpu_seconds, 2.5);
  EXPECT_EQ(usage.status, AllocationStatus::completed);
  EXPECT_EQ(usage.executor, "null");
  EXPECT_EQ(usage.out_size, 5u);
  EXPECT_EQ(usage.node, "node");
  EXPECT_NE(ask(kDeploymentInfo, DeploymentId{"unknown"}).error, "");
}

TEST_F(DeploymentsTest, ItsActorIsDescribedWhileThereIsOne) {
  open();
  const std::string id = deploy({{"name", "demo"}});
  const auto described = [&](const std::string& inbox) {
    ActorInfo actor;
    actor.handle.address.inbox = inbox;
    deployments->describe(actor);
    EXPECT_FALSE(actor.allocation);
    return actor.deployment;
  };
  const std::optional<DeploymentActor> actor = described(id);
  ASSERT_TRUE(actor);
  EXPECT_EQ(actor->status, "Running");
  EXPECT_EQ(actor->name, "demo");
  ASSERT_EQ(actor->supervision.children.size(), 1u);
  const Supervised& task = actor->supervision.children.front();
  EXPECT_EQ(task.name, "task");
  ASSERT_TRUE(task.allocation);
  EXPECT_EQ(task.allocation->peer, b.network->self().to_string());
  EXPECT_TRUE(a.system->registry.get(id));
  EXPECT_FALSE(described("root"));
  finish(id);
  EXPECT_FALSE(described(id));
  EXPECT_TRUE(until([&] { return !a.system->registry.get(id); }));
}

TEST_F(DeploymentsTest, OnlyADeploymentThatHasEndedIsDeletedWithItsOutput) {
  open();
  const std::string id = deploy();
  const Ack refused = ask(kDeploymentDelete, DeploymentId{id});
  EXPECT_FALSE(refused.ok);
  EXPECT_NE(refused.error.find("shut it down first"), std::string::npos) << refused.error;
  finish(id);
  EXPECT_TRUE(has_output(id));
  EXPECT_TRUE(ask(kDeploymentDelete, DeploymentId{id}).ok);
  EXPECT_FALSE(has_output(id));
  EXPECT_TRUE(list({}).empty());
  EXPECT_FALSE(ask(kDeploymentDelete, DeploymentId{id}).ok) << "there is none";
}

TEST_F(DeploymentsTest, AShutdownOfWhatHasEndedSucceedsAndSaysSo) {
  open();
  const std::string id = deploy();
  finish(id);
  DeploymentShutdownReply reply = ask(kDeploymentShutdown, DeploymentId{id});
  EXPECT_TRUE(reply.ok) << reply.error;
  EXPECT_EQ(reply.status, "Completed");
  EXPECT_TRUE(has_output(id));
  reply = ask(kDeploymentShutdown, DeploymentId{"unknown"});
  EXPECT_FALSE(reply.ok);
  EXPECT_NE(reply.error.find("there is no deployment 'unknown'"), std::string::npos) << reply.error;
  const std::string runs = deploy();
  reply = ask(kDeploymentShutdown, DeploymentId{runs});
  EXPECT_TRUE(reply.ok) << reply.error;
  EXPECT_EQ(reply.status, "") << "this request has ended it";
}

TEST_F(DeploymentsTest, WhatWasShutDownSaysSoAndWhatHasRunToItsEndDoesNot) {
  open();
  const std::string done = deploy();
  finish(done);
  const std::string ended = deploy();
  EXPECT_EQ(ask(kDeploymentStatus, DeploymentId{ended}).reason, "");
  ASSERT_TRUE(ask(kDeploymentShutdown, DeploymentId{ended}).ok);
  EXPECT_EQ(ask(kDeploymentStatus, DeploymentId{done}).reason, "");
  EXPECT_EQ(status(ended), "Completed");
  EXPECT_EQ(ask(kDeploymentStatus, DeploymentId{ended}).reason, "it was shut down");
  EXPECT_EQ(ask(kDeploymentInfo, DeploymentId{ended}).reason, "it was shut down");
  const DeploymentListReply all = ask(kDeploymentList, DeploymentListRequest());
  EXPECT_EQ(all.details.at(ended).reason, "it was shut down");
  EXPECT_EQ(all.details.at(done).reason, "");
  provider.bids = false;
  NewDeploymentRequest request;
  request.ensemble = one_task_ensemble(b.network->self().to_string());
  const std::string early = ask(kDeploymentNew, request).ensemble_id;
  ASSERT_TRUE(ask(kDeploymentShutdown, DeploymentId{early}).ok);
  EXPECT_EQ(ask(kDeploymentStatus, DeploymentId{early}).reason, "it was shut down before anything ran");
}

TEST_F(DeploymentsTest, TheUpdateOfWhatHasEndedIsRefusedWithTheNextStep) {
  open();
  const std::string ended = deploy();
  finish(ended);
  DeploymentUpdateRequest update;
  update.ensemble_id = ended;
  update.ensemble = one_task_ensemble(b.network->self().to_string());
  const Ack refused = ask(kDeploymentUpdate, update);
  EXPECT_FALSE(refused.ok);
  EXPECT_NE(refused.error.find("Completed"), std::string::npos) << refused.error;
  EXPECT_NE(refused.error.find("deploy the new ensemble with `nunet deploy`"), std::string::npos) << refused.error;
}

TEST_F(DeploymentsTest, AnUpdateSaysIfNothingDiffers) {
  open();
  DeploymentUpdateRequest update{deploy(), one_task_ensemble(b.network->self().to_string())};
  const Ack same = ask(kDeploymentUpdate, update);
  EXPECT_TRUE(same.ok) << same.error;
  EXPECT_TRUE(same.unchanged);
  update.ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
  const Ack changed = ask(kDeploymentUpdate, update);
  EXPECT_TRUE(changed.ok) << changed.error;
  EXPECT_FALSE(changed.unchanged);
}

TEST_F(DeploymentsTest, AMemberThatNothingReadsIsRefusedByItsName) {
  open();
  const std::string ended = deploy();
  finish(ended);
  const auto error = [&](const Declaration& behaviour, std::string_view request) {
    actor::MessageOptions options;
    options.timeout = 2min;
    auto asked = a.root->message(a.root->handle(), std::string(behaviour.path), to_bytes(request), options);
    const Result<Ack> reply = w.run(a, a.root->call<Ack>(std::move(asked)));  // each reply has an error
    return reply ? reply->error : reply.error().to_string();
  };
  const std::string text = ": unknown member, which nothing here acts on; remove it";
  const std::string ensemble = json::encode(one_task_ensemble(b.network->self().to_string()));
  EXPECT_EQ(error(kDeploymentNew, fmt::format(R"({{"Ensemble":{},"Priority":3}})", ensemble)), "Priority" + text);
  EXPECT_EQ(list({}).size(), 1u);
  EXPECT_EQ(error(kDeploymentUpdate, fmt::format(R"({{"EnsembleID":"x","Ensemble":{},"Force":true}})", ensemble)),
            "Force" + text);
  for (const Declaration& behaviour :
       {Declaration(kDeploymentStatus), Declaration(kDeploymentInfo), Declaration(kDeploymentManifest),
        Declaration(kDeploymentShutdown), Declaration(kDeploymentDelete)}) {
    EXPECT_EQ(error(behaviour, fmt::format(R"({{"ID":"{}","Force":true}})", ended)), "Force" + text) << behaviour.path;
  }
  EXPECT_EQ(error(kDeploymentLogs, R"({"EnsembleID":"x","AllocationName":"task","tail":5})"), "tail" + text);
  EXPECT_EQ(error(kDeploymentList, R"({"Filter":{"a":"b"}})"), "Filter" + text);
  EXPECT_EQ(error(kDeploymentPrune, R"({"before":"2026-01-01"})"), "before" + text);
  EXPECT_EQ(status(ended), "Completed") << "nothing was removed";
  EXPECT_EQ(error(kDeploymentStatus, fmt::format(R"({{"id":"{}","Force":false,"Note":""}})", ended)), "");
  EXPECT_EQ(error(kDeploymentPrune, R"({"all":true,"before":""})"), "");
  EXPECT_TRUE(list({}).empty());
}

TEST_F(DeploymentsTest, AZeroByteInACommandIsRefusedByTheNameOfItsField) {
  open();
  const auto refusal = [&](const std::function<void(jobs::Allocation&)>& change) {
    NewDeploymentRequest request;
    request.ensemble = one_task_ensemble(b.network->self().to_string());
    change(request.ensemble.allocations.at("task"));
    return ask(kDeploymentNew, request).error;
  };
  const std::string zero("a\0b", 3);
  const auto of_cmd = refusal([&](jobs::Allocation& task) {
    task.execution.params["cmd"] = json::Array{json::Value("sh"), json::Value(zero)};
  });
  EXPECT_NE(of_cmd.find("allocations.task.execution.cmd[1]: a zero byte"), std::string::npos) << of_cmd;
  const auto of_check = refusal([&](jobs::Allocation& task) {
    task.healthcheck.type = jobs::HealthCheckType::command;
    task.healthcheck.exec = {"sh", zero};
  });
  EXPECT_NE(of_check.find("allocations.task.healthcheck.exec[1]: a zero byte"), std::string::npos) << of_check;
  EXPECT_TRUE(list({}).empty());
}

TEST_F(DeploymentsTest, AnIdThatNamesNothingIsRefusedWithoutWordsOfTheStore) {
  open();
  const std::string empty = ": expected the id of a deployment, found nothing";
  const auto says = [](const std::string& error, const std::string& text) {
    EXPECT_EQ(error.substr(0, text.size()), text) << error;
  };
  says(ask(kDeploymentStatus, DeploymentId()).error, "ID" + empty);
  says(ask(kDeploymentInfo, DeploymentId()).error, "ID" + empty);
  says(ask(kDeploymentManifest, DeploymentId()).error, "ID" + empty);
  says(ask(kDeploymentShutdown, DeploymentId()).error, "ID" + empty);
  says(ask(kDeploymentDelete, DeploymentId()).error, "ID" + empty);
  DeploymentLogsRequest logs;
  logs.allocation_name = "task";
  for (const char* stream : {"", "stdout", "previous:stdout", "result:a"}) {
    logs.stream = stream;
    says(ask(kDeploymentLogs, logs).error, "EnsembleID" + empty);
  }
  DeploymentUpdateRequest update;
  update.ensemble = one_task_ensemble(b.network->self().to_string());
  says(ask(kDeploymentUpdate, update).error, "EnsembleID" + empty);
  for (const std::string& id : {std::string(1000, 'x'), std::string("a\0b", 3)}) {
    says(ask(kDeploymentStatus, DeploymentId{id}).error, "there is no deployment '" + id.substr(0, 1));
    says(ask(kDeploymentDelete, DeploymentId{id}).error, "there is no deployment '" + id.substr(0, 1));
  }
}

TEST_F(DeploymentsTest, PruneRemovesWhatHasEndedLongEnoughAgoAndMatches) {
  open();
  const std::string first = deploy({{"team", "a"}});
  finish(first);
  w.settle(1h);
  const std::string second = deploy({{"team", "b"}});
  finish(second);
  const std::string third = deploy({{"team", "a"}});
  DeploymentPruneRequest request;
  request.older_than_ns = Duration(30min).count();
  request.metadata = {{"team", "b"}};
  EXPECT_TRUE(ask(kDeploymentPrune, request).deployments.empty());
  request.metadata.clear();
  request.older_than_ns = -1;
  const DeploymentPruneReply refused = ask(kDeploymentPrune, request);
  EXPECT_TRUE(refused.deployments.empty());
  EXPECT_TRUE(refused.error.starts_with("OlderThan: ")) << refused.error;
  request.older_than_ns = Duration(30min).count();
  EXPECT_EQ(ask(kDeploymentPrune, request).deployments, std::vector{first});
  EXPECT_FALSE(has_output(first));
  request.older_than_ns = 0;
  EXPECT_EQ(ask(kDeploymentPrune, request).deployments, std::vector{second});
  EXPECT_EQ(list({}), (std::map<std::string, std::string>{{third, "Running"}}));
}

TEST_F(DeploymentsTest, ADeploymentThatIsBeingStoredWhenTheDaemonStopsBeginsAtTheNextStart) {
  open();
  Nursery asking(a.lane(), "user");
  NewDeploymentReply reply;
  const auto ask = [](actor::TestNode& by, jobs::Ensemble ensemble, NewDeploymentReply& into) -> Task<void> {
    NewDeploymentRequest request;
    request.ensemble = std::move(ensemble);
    const auto answer = co_await call(*by.root, kDeploymentNew, by.root->handle(), request, 2min);
    if (answer) into = *answer;
  };
  asking.spawn(ask(a, one_task_ensemble(b.network->self().to_string()), reply));
  ASSERT_TRUE(until([&] { return deployments->active() == 1; }));
  w.run(a, deployments->close());
  w.run(a, asking.join());
  EXPECT_NE(reply.error.find("the daemon stops"), std::string::npos) << reply.error;
  EXPECT_EQ(provider.commits, 0);
  deployments.reset();
  open();
  EXPECT_TRUE(until([&] { return provider.runs_now(); }));
}

TEST_F(DeploymentsTest, OutputIsRemovedBeforeItsRecordSoThatACrashLeavesNone) {
  open();
  const std::string id = deploy();
  finish(id);
  db.set_write_fault([]() -> Result<void> { return fail(Errc::io, "the daemon was killed"); });
  EXPECT_FALSE(ask(kDeploymentDelete, DeploymentId{id}).ok);
  db.set_write_fault({});
  EXPECT_FALSE(has_output(id));
  EXPECT_EQ(status(id), "Completed") << "its record is there to be deleted again";
  EXPECT_TRUE(ask(kDeploymentDelete, DeploymentId{id}).ok);
  EXPECT_FALSE(ask(kDeploymentDelete, DeploymentId{id}).ok) << "there is none";
}

TEST_F(DeploymentsTest, WhatIsKeptNoLongerIsPrunedWithItsOutput) {
  DeploymentRecord old = record();
  old.status = DeploymentStatus::completed;
  old.ended = w.world.unix_now().nanos - static_cast<std::uint64_t>(Duration(kEndedRetention + 1h).count());
  ASSERT_TRUE(w.run(a, records.save(old)));
  ASSERT_TRUE(write_file(folder / "deployments/d1/task/stdout.log", "hello"));
  open();
  EXPECT_TRUE(until([&] { return !has_output("d1"); }));
  EXPECT_TRUE(list({}).empty());
}

TEST_F(DeploymentsTest, WhatFollowsAPageOfOutputIsReadByItsTicket) {
  transfer::Server files(a.lane(), *a.network);
  Services with = services();
  with.transfers = &files;
  deployments = std::make_unique<Deployments>(with, *a.root);
  ASSERT_TRUE(w.run(a, deployments->start()));
  const std::string id = deploy();
  ScriptedProvider::Run& run = provider.runs.at("task");
  for (int i = 0; i < 500; ++i) run.out += fmt::format("{}\n", i);
  const std::string text = run.out;
  provider.page_size = 1000;
  DeploymentLogsRequest request{id, "task", "stdout"};
  EXPECT_EQ(ask(kDeploymentLogs, request).ticket, "") << "it is not asked for";
  request.local = true;
  const std::string ticket = ask(kDeploymentLogs, request).ticket;
  ASSERT_NE(ticket, "");
  const auto read = [&](std::uint64_t offset) {
    std::string own = ticket;
    const Result<Bytes> page = w.run(a, files.local().read(std::move(own), offset));
    return page ? std::string(as_text(*page)) : page.error().to_string();
  };
  EXPECT_EQ(read(1000), text.substr(1000, provider.page_size));
  run.out += "more\n";
  EXPECT_EQ(read(1500), text.substr(1500)) << "what was there when the ticket was given";
  EXPECT_EQ(read(text.size()), "");
  run.dropped = 1500;
  EXPECT_EQ(read(1000), "the output from byte 1000 on is not kept");
  EXPECT_EQ(read(1500), text.substr(1500));
  request.offset = 1500;
  EXPECT_EQ(ask(kDeploymentLogs, request).ticket, "") << "nothing follows";
  const std::string incarnation = std::exchange(run.incarnation, "another");
  EXPECT_EQ(read(1500), "the output is that of another run now");
  run.incarnation = incarnation;
  run.dropped = 0;
  finish(id);
  EXPECT_EQ(read(0), "hello") << "from this disk";
  close();
}

TEST_F(DeploymentsTest, WhatHasNotRunHasWrittenNothing) {
  DeploymentRecord failed = record();
  failed.status = DeploymentStatus::failed;
  failed.ended = w.world.unix_now().nanos;
  failed.outputs.clear();
  failed.manifest.allocations["task"].status = AllocationStatus::failed;
  ASSERT_TRUE(w.run(a, records.save(failed)));
  open();
  const auto reply = ask(kDeploymentLogs, DeploymentLogsRequest{failed.id, "task", "stdout"});
  EXPECT_EQ(reply.error, "task has written nothing: it has not run");
}

TEST_F(DeploymentsTest, ProvidersWhoseClocksAreAheadBidOnceThatIsKnown) {
  open();
  b.node.set_wall_clock(10min);
  c.node.set_wall_clock(5min);
  NewDeploymentRequest request;
  request.ensemble = one_task_ensemble("");
  const std::string id = ask(kDeploymentNew, request).ensemble_id;
  const auto error = [&] { return ask(kDeploymentStatus, DeploymentId{id}).error; };
  ASSERT_TRUE(until([&] { return !error().empty(); }, 30s));
  const std::string why = error();
  EXPECT_TRUE(why.starts_with("no machine is found for node node so far: nodes.node asks for 1 core,")) << why;
  EXPECT_NE(why.find("2 connected peers were asked, none has bid; 2 peers that have not bid have clocks that are 300 s "
                     "to 600 s ahead of that of this machine: requests for bids have expired when they arrive there"),
            std::string::npos)
      << why;
  EXPECT_EQ(status(id), "Preparing");
  EXPECT_EQ(ask(kDeploymentInfo, DeploymentId{id}).error, error());
  EXPECT_EQ(provider.renewals, 1) << "each is asked once";
  EXPECT_EQ(other.renewals, 1);
  ASSERT_TRUE(until([&] { return status(id) == "Running"; }, 10s));
  EXPECT_EQ(error(), "");
}

TEST_F(DeploymentTest, APinnedMachineWhoseClockIsAheadRunsWork) {
  b.node.set_wall_clock(10min);
  run_task();
  EXPECT_EQ(other.renewals, 0) << "it was not to bid";
  provider.end("task", AllocationStatus::completed, 0, "all of it");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "all of it");
}

TEST_F(DeploymentsTest, InfoHasTheSizeOfTheOutputThatIsShownAlsoOfTheRunBefore) {
  DeploymentRecord ended = record();
  ended.status = DeploymentStatus::completed;
  ended.ended = w.world.unix_now().nanos;
  AllocationManifest& task = ended.manifest.allocations["task"];
  task.status = AllocationStatus::terminated;
  task.collected = true;
  task.incarnation = "r2";  // which had not begun
  ended.outputs["task"] = "r1";
  ASSERT_TRUE(w.run(a, records.save(ended)));
  ASSERT_TRUE(write_file(folder / "deployments/d1/task/stdout.log", "first"));
  ASSERT_TRUE(write_file(folder / "deployments/d1/task/stderr.log", "oh"));
  open();
  EXPECT_EQ(as_text(ask(kDeploymentLogs, DeploymentLogsRequest{"d1", "task", "stdout"}).data), "first");
  const AllocationUsage usage = ask(kDeploymentInfo, DeploymentId{"d1"}).allocations["task"];
  EXPECT_EQ(usage.out_size, 5u);
  EXPECT_EQ(usage.err_size, 2u);
}

TEST_F(DeploymentsTest, InfoHasTheSizeOfTheOutputThatIsShownWhileTheNextRunHasNoMachine) {
  open();
  const std::string id = deploy();
  provider.runs.at("task").out = "first";
  provider.refuse_commit = "it is full";
  DeploymentUpdateRequest request{id, one_task_ensemble(b.network->self().to_string())};
  request.ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
  ASSERT_TRUE(ask(kDeploymentUpdate, request).ok);
  const auto shown = [&] {
    return std::string(as_text(ask(kDeploymentLogs, DeploymentLogsRequest{id, "task", "stdout"}).data));
  };
  ASSERT_TRUE(until([&] { return shown() == "first"; }));
  const AllocationUsage usage = ask(kDeploymentInfo, DeploymentId{id}).allocations["task"];
  EXPECT_EQ(usage.status, AllocationStatus::pending);
  EXPECT_EQ(usage.out_size, 5u);
}

TEST_F(DeploymentsTest, AResultThatIsHereIsNotNamedAsAbsent) {
  DeploymentRecord ended = record();
  ended.status = DeploymentStatus::completed;
  ended.ended = w.world.unix_now().nanos;
  ended.manifest.allocations["task"].status = AllocationStatus::completed;
  ended.absent["task"] = {{"model", "its provider did not send it"}, {"report", "its provider did not send it"}};
  ASSERT_TRUE(w.run(a, records.save(ended)));
  ASSERT_TRUE(write_file(folder / "deployments/d1/task/results/index.json",
                         R"({"run": "r1", "results": [{"name": "model", "size": 1}]})"));
  open();
  const AllocationUsage usage = ask(kDeploymentInfo, DeploymentId{"d1"}).allocations["task"];
  EXPECT_EQ(usage.results, std::vector<std::string>{"model"});
  EXPECT_EQ(usage.absent, (json::StringMap{{"report", "its provider did not send it"}}));
}

TEST_F(DeploymentsTest, WhatAnUpdateHasRemovedIsListedWithTheResultsThatAreHere) {
  DeploymentRecord ended = record();
  ended.status = DeploymentStatus::completed;
  ended.ended = w.world.unix_now().nanos;
  ended.outputs["old"] = "r1";
  ended.absent["old"] = {{"report", "there is no such file"}};
  ASSERT_TRUE(w.run(a, records.save(ended)));
  ASSERT_TRUE(write_file(folder / "deployments/d1/old/results/index.json",
                         R"({"run": "r1", "results": [{"name": "model", "size": 4}]})"));
  ASSERT_TRUE(write_file(folder / "deployments/d1/old/results/0", "text"));
  open();
  const DeploymentInfoReply info = ask(kDeploymentInfo, DeploymentId{"d1"});
  EXPECT_FALSE(info.allocations.contains("old"));
  ASSERT_TRUE(info.removed.contains("old"));
  EXPECT_EQ(info.removed.at("old").results, std::vector<std::string>{"model"});
  EXPECT_EQ(info.removed.at("old").absent, (json::StringMap{{"report", "there is no such file"}}));
  EXPECT_FALSE(info.removed.contains("task"));
  EXPECT_EQ(as_text(ask(kDeploymentLogs, DeploymentLogsRequest{"d1", "old", "result:model"}).data), "text");
}

TEST_F(DeploymentTest, ADamagedRecordDoesNotPreventLoadingTheOthers) {
  DeploymentRecord unfinished = record();
  unfinished.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(unfinished)));
  DeploymentRecord impossible = record();
  impossible.id = "not/an/inbox";
  impossible.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(impossible)));
  DeploymentRecord newer = record();
  newer.id = "newer";
  const std::string later = R"({"hibernating":true,)" + json::encode(newer).substr(1);
  const std::string status = R"("status":"Hibernating")";
  const std::string unknown = later.substr(0, later.find(R"("status":"Preparing")")) + status + "}";
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "broken", "not json"));
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "newer", unknown));
  std::filesystem::create_directories(folder / "deployments/newer/task");
  ASSERT_TRUE(write_file(folder / "deployments/newer/task/stdout.log", "of a newer version"));
  std::vector<std::string> errors;
  log::set_sink([&](const log::Line& line) {
    if (line.level == log::Level::error) errors.emplace_back(line.text);
  });
  Deployments deployments(services(), *a.root);
  const Result<void> started = w.run(a, deployments.start());
  log::set_sink({});
  EXPECT_TRUE(started) << (started ? "" : started.error().to_string());
  ASSERT_EQ(errors.size(), 3u) << "each by its name, with the reason";
  EXPECT_TRUE(errors[0].starts_with("the record of deployment broken cannot be read")) << errors[0];
  EXPECT_TRUE(errors[1].starts_with("the record of deployment newer cannot be read")) << errors[1];
  EXPECT_NE(errors[1].find("Hibernating"), std::string::npos) << errors[1];
  EXPECT_TRUE(errors[2].starts_with("deployment not/an/inbox cannot be resumed")) << errors[2];
  EXPECT_TRUE(w.world.run_until([&] { return deployments.active() == 0; }, 20min));
  EXPECT_EQ(stored(), DeploymentStatus::failed) << "the readable one is taken up";
  const auto list = w.run(a, call(*a.root, kDeploymentList, a.root->handle(), DeploymentListRequest{}));
  EXPECT_TRUE(list) << (list ? "" : list.error().to_string());
  if (list) {
    EXPECT_EQ(list->deployments.at("broken"), "Unreadable");
    EXPECT_EQ(list->deployments.at("newer"), "Unreadable");
  }
  const auto told = w.run(a, call(*a.root, kDeploymentStatus, a.root->handle(), DeploymentId{"newer"}));
  ASSERT_TRUE(told) << told.error().to_string();
  EXPECT_NE(told->error.find("Hibernating"), std::string::npos) << told->error;
  EXPECT_EQ(db.blocking().get(kDeploymentCollection, "newer").value(), unknown) << "nothing of it is lost";
  EXPECT_EQ(read_file(folder / "deployments/newer/task/stdout.log", 100).value_or(""), "of a newer version");
  w.run(a, deployments.close());
}

/// A deployment of a thousand allocations, each with the longest reason that its provider can cause.
DeploymentRecord with_longest_reasons(DeploymentRecord made) {
  made.status = DeploymentStatus::failed;
  made.ended = made.created;
  made.error = "the first reason";
  made.manifest.id = made.id;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "task" + std::to_string(i);
    AllocationManifest& entry = made.manifest.allocations[name];
    entry.id = jobs::allocation_id(made.id, name);
    entry.node_id = "node";
    entry.status = AllocationStatus::failed;
    entry.incarnation = std::string(36, '0');
    entry.collected = true;
    entry.exit_code = -1;
    entry.reason = "no such image ";
    add_reason(entry.reason, std::string(2 * kMaxReasons, i % 2 == 0 ? '<' : 'x'));
  }
  made.manifest.allocations.at("task7").reason = "a short one";
  return made;
}

TEST_F(DeploymentsTest, TheReasonsOfAThousandAllocationsAreCutSoThatTheyFitIntoAMessage) {
  DeploymentRecord made = with_longest_reasons(record());
  made.created = made.ended = w.world.unix_now().nanos;
  ASSERT_GT(json::encode(status_of(made)).size(), network::kMaxMessage);
  ASSERT_TRUE(w.run(a, records.save(made)));
  open();
  const DeploymentStatusReply status = ask(kDeploymentStatus, DeploymentId{"d1"});
  const DeploymentInfoReply info = ask(kDeploymentInfo, DeploymentId{"d1"});
  const DeploymentManifestReply manifest = ask(kDeploymentManifest, DeploymentId{"d1"});
  const auto fits = [](std::size_t bytes) { return 4 * bytes / 3 < network::kMaxMessage - 64 * 1024; };
  EXPECT_TRUE(fits(json::encode(status).size())) << json::encode(status).size();
  EXPECT_TRUE(fits(json::encode(info).size())) << json::encode(info).size();
  EXPECT_TRUE(fits(json::encode(manifest).size())) << json::encode(manifest).size();
  EXPECT_EQ(status.error, "the first reason");
  const auto check = [](const auto& allocations) {
    ASSERT_GE(allocations.size(), 1000u) << "what is only in the ensemble is shown beside them";
    EXPECT_EQ(allocations.at("task7").reason, "a short one");
    for (const char* name : {"task0", "task999"}) {
      const std::string& reason = allocations.at(name).reason;
      EXPECT_TRUE(reason.starts_with("no such image")) << reason;
      EXPECT_TRUE(reason.ends_with(" more bytes)")) << reason;
    }
  };
  check(status.allocations);
  check(info.allocations);
  check(manifest.manifest.allocations);
}

}  // namespace
}  // namespace dms::orchestrator
