// One deployment against a scripted provider, in virtual time: the messages to each side, and what is stored when.
#include "orchestrator/deployment/deployment.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "actor/test_world.hpp"
#include "base/file.hpp"
#include "orchestrator/deployment/deployments.hpp"
#include "orchestrator/test_records.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

/// What the provider has free: what the task needs.
capability::Resources machine() {
  capability::Resources resources;
  resources.cpu.cores = *capability::Millicores::from_cores(1);
  resources.ram.size = {capability::kGiB};
  resources.disk.size = {capability::kGiB};
  return resources;
}

/// Replies as scripted and records the requests.
class ScriptedProvider {
 public:
  explicit ScriptedProvider(actor::TestNode& node) : node_(node) {
    actor::Actor& root = *node.root;
    EXPECT_TRUE(root.add_behaviour(std::string(kBidRequest.path),
                                   [this](actor::Envelope envelope) { return bid(std::move(envelope)); }));
    EXPECT_TRUE(serve(root, kCommit, *this, &ScriptedProvider::commit));
    EXPECT_TRUE(serve(root, kAllocate, *this, &ScriptedProvider::allocate));
    EXPECT_TRUE(serve(root, kRevert, *this, &ScriptedProvider::revert));
  }
  Task<void> close() {
    if (allocation_) co_await allocation_->stop();
  }
  /// Reports the end of the allocation to its orchestrator; true once that is acknowledged.
  Task<Result<Ack>> report(std::string status, int exit_code, std::string out) {
    TaskTermination notice;
    notice.allocation_id = allocation_id;
    notice.status = std::move(status);
    notice.error.exit_code = exit_code;
    notice.out = to_bytes(out);
    co_return co_await call(*allocation_, kTaskTermination, orchestrator, notice, 5s);
  }

  int commits = 0, allocates = 0, starts = 0, reverts = 0, shutdowns = 0;
  std::string refuse_commit;
  std::string refuse_start;
  std::string allocation_id;
  actor::Handle orchestrator;

 private:
  Task<void> bid(actor::Envelope envelope) {
    const auto request = actor::payload<EnsembleBidRequest>(envelope).value();
    Bid bid;
    bid.ensemble_id = request.id;
    bid.node_id = request.request.at(0).v1->node_id;
    bid.peer = node_.network->self().to_string();
    bid.handle = node_.root->handle();
    bid.offer = Offer{machine()};
    EXPECT_TRUE(bid.sign(node_.key));
    (void)co_await node_.root->reply(envelope, bid);
  }
  Task<Ack> commit(CommitRequest, const actor::Envelope&) {
    ++commits;
    co_return Ack{refuse_commit.empty(), refuse_commit};
  }
  Task<AllocateResponse> allocate(AllocateRequest request, const actor::Envelope& envelope) {
    ++allocates;
    orchestrator = envelope.from;
    const std::string name = request.allocations.begin()->first;
    allocation_id = jobs::allocation_id(request.ensemble_id, name);
    allocation_ = node_.root->create_child(allocation_id).value();
    EXPECT_TRUE(serve(*allocation_, kAllocationStart, *this, &ScriptedProvider::start));
    EXPECT_TRUE(serve(*node_.root, kAllocationShutdown, *this, &ScriptedProvider::shutdown,
                      path_of(kAllocationShutdown, request.ensemble_id)));
    AllocateResponse response;
    response.ok = true;
    response.allocations[name] = allocation_->handle();
    co_return response;
  }
  Task<Ack> start(StartRequest, const actor::Envelope&) {
    ++starts;
    co_return Ack{refuse_start.empty(), refuse_start};
  }
  Task<Ack> revert(RevertRequest, const actor::Envelope&) {
    ++reverts;
    if (allocation_) co_await allocation_->stop();
    allocation_.reset();
    co_return Ack{true, {}};
  }
  Task<Ack> shutdown(AllocationShutdownRequest, const actor::Envelope&) {
    ++shutdowns;
    co_return Ack{true, {}};
  }
  actor::TestNode& node_;
  std::unique_ptr<actor::Actor> allocation_;
};

struct DeploymentTest : testing::Test {
  DeploymentTest() {
    std::string name = (std::filesystem::temp_directory_path() / "nunet-deployment-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder = name;
    actor::TestWorld::trust(a, b);
    actor::TestWorld::trust(b, a);
  }
  ~DeploymentTest() override {
    if (deployment) w.run(a, deployment->close());
    deployment.reset();
    w.run(b, provider.close());
    w.close();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  DeploymentRecord record() {
    DeploymentRecord made;
    made.id = "d1";
    made.created = w.world.unix_now().nanos;
    made.deadline = (w.world.unix_now() + 1min).nanos;
    made.ensemble = one_task_ensemble(b.network->self().to_string());
    return made;
  }
  void create(DeploymentRecord with) {
    Services services{a.lane(), *a.network, db, folder, "boot"};
    auto child = a.root->create_child(with.id).value();
    deployment = Deployment::create(services, records, std::move(child), std::move(with)).value();
    ASSERT_TRUE(w.run(a, deployment->save()));
  }
  bool reaches(DeploymentStatus status, Duration limit = 2min) {
    return w.world.run_until([&] { return deployment->status() == status; }, limit);
  }
  DeploymentStatus stored() { return w.run(a, records.load("d1")).value()->status; }

  actor::MemoryTestWorld w{7};
  actor::TestNode& a = w.add("orchestrator");
  actor::TestNode& b = w.add("provider");
  std::filesystem::path folder;
  db::AsyncStore db{a.lane(), db::Store::open(std::string(db::Store::kMemory)).value()};
  RefusingRecordStore records{db};
  ScriptedProvider provider{b};
  std::unique_ptr<Deployment> deployment;
};

TEST_F(DeploymentTest, ATaskIsCommittedAllocatedStartedAndItsOutputIsStored) {
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  EXPECT_EQ(stored(), DeploymentStatus::running);
  EXPECT_EQ(provider.commits, 1);
  EXPECT_EQ(provider.allocates, 1);
  EXPECT_EQ(provider.starts, 1);
  const auto reported = w.run(b, provider.report("completed", 0, "hello"));
  ASSERT_TRUE(reported) << reported.error().to_string();
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(stored(), DeploymentStatus::completed);
  EXPECT_EQ(provider.shutdowns, 1) << "the provider receives the request to remove the allocation";
  EXPECT_EQ(read_file(folder / "deployments/d1/task/stdout.log", 100).value(), "hello");
}

TEST_F(DeploymentTest, AFailedExitCodeFailsTheDeployment) {
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running));
  ASSERT_TRUE(w.run(b, provider.report("failed", 3, "")));
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_NE(deployment->record().error.find("exit code 3"), std::string::npos) << deployment->record().error;
}

TEST_F(DeploymentTest, ProvidersReceiveRequestsOnlyOfAStoredState) {
  create(record());
  records.refuse = true;
  deployment->start();
  w.settle(20s);
  EXPECT_EQ(provider.commits, 0);
  EXPECT_EQ(deployment->status(), DeploymentStatus::preparing) << "a state that is not stored is not entered";
  records.refuse = false;
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  EXPECT_EQ(provider.commits, 1);
}

TEST_F(DeploymentTest, TheEndOfATaskIsAcknowledgedOnlyOnceItIsStored) {
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running));
  records.refuse = true;
  EXPECT_FALSE(w.run(b, provider.report("completed", 0, "hello"))) << "no acknowledgement";
  EXPECT_EQ(deployment->record().manifest.allocations.at("task").status, AllocationStatus::running);
  records.refuse = false;
  EXPECT_TRUE(w.run(b, provider.report("completed", 0, "hello"))) << "the repeated notice";
  EXPECT_TRUE(reaches(DeploymentStatus::completed));
}

TEST_F(DeploymentTest, ARefusedStartIsRevertedAndTheProviderExcluded) {
  provider.refuse_start = "no such image";
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  EXPECT_EQ(provider.starts, 1) << "the provider that failed receives no further request";
  EXPECT_EQ(provider.reverts, 1);
  EXPECT_NE(deployment->record().error.find("no such image"), std::string::npos) << deployment->record().error;
}

TEST_F(DeploymentTest, ALostProviderFailsItsAllocations) {
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running));
  w.substrate->cut(a.network->self(), b.network->self());
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 5min));
  EXPECT_NE(deployment->record().error.find("is lost"), std::string::npos) << deployment->record().error;
}

TEST_F(DeploymentTest, AnEndReportedByAnotherActorIsIgnored) {
  create(record());
  deployment->start();
  ASSERT_TRUE(reaches(DeploymentStatus::running));
  TaskTermination notice;
  notice.allocation_id = provider.allocation_id;
  notice.status = "completed";
  (void)w.run(b, call(*b.root, kTaskTermination, provider.orchestrator, notice, 2s));
  EXPECT_EQ(deployment->record().manifest.allocations.at("task").status, AllocationStatus::running);
}

TEST_F(DeploymentTest, ADamagedRecordDoesNotPreventLoadingTheOthers) {
  DeploymentRecord unfinished = record();
  unfinished.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(unfinished)));
  DeploymentRecord impossible = record();
  impossible.id = "not/an/inbox";
  impossible.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(impossible)));
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "broken", "not json"));
  Deployments deployments({a.lane(), *a.network, db, folder}, *a.root);
  const Result<void> started = w.run(a, deployments.start());
  EXPECT_TRUE(started) << (started ? "" : started.error().to_string());
  EXPECT_TRUE(w.world.run_until([&] { return deployments.active() == 0; }, 5min));
  EXPECT_EQ(stored(), DeploymentStatus::failed) << "the readable one is reverted and marked";
  const auto list = w.run(a, call(*a.root, kDeploymentList, a.root->handle(), DeploymentListRequest{}));
  EXPECT_TRUE(list) << (list ? "" : list.error().to_string());
  if (list) {
    EXPECT_EQ(list->deployments.at("broken"), "Unreadable");
  }
  w.run(a, deployments.close());
}

}  // namespace
}  // namespace dms::orchestrator
