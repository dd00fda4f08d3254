// Restarts of the orchestrator, and a kill at every write.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

TEST_F(DeploymentTest, ARunningDeploymentGoesOnAfterARestart) {
  run_task();
  kill();
  provider.end("task", AllocationStatus::completed, 0, "meanwhile");
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "meanwhile");
  EXPECT_EQ(provider.starts, 1);
  EXPECT_TRUE(provider.runs.empty());
}

/// With a removed allocation its grant of the shutdown is gone: a request for that gets no reply.
TEST_F(DeploymentTest, WhatWasRemovedForTheDaemonBeforeDelaysTheEndByNoRequestWithoutAReply) {
  run_task();
  provider.end("task", AllocationStatus::completed, 0, "all of it");
  ASSERT_TRUE(until([&] { return provider.shutdowns == 1; }));
  ASSERT_FALSE(deployment->record().superseded.empty()) << "the reply is on its way";
  kill();
  b.root->remove_behaviour(path_of(kAllocationShutdown, "d1"));
  restart();
  ASSERT_FALSE(deployment->record().superseded.empty());
  ASSERT_TRUE(reaches(DeploymentStatus::completed, kReleaseTimeout)) << deployment->record().error;
  EXPECT_EQ(output(), "all of it");
  EXPECT_EQ(provider.reverts, 1);
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, AnotherBootLeavesTheTimeThatWasLeft) {
  provider.bids = false;
  create(record());
  deployment->start();
  w.settle(20s);
  kill();
  boot = "another boot";
  w.settle(10min);
  restart();
  w.settle(20s);
  EXPECT_EQ(deployment->status(), DeploymentStatus::preparing);
  ASSERT_TRUE(reaches(DeploymentStatus::failed, 1min));
}

TEST_F(DeploymentTest, ARecordOfAnOlderVersionIsReadAndItsDeploymentEnds) {
  const std::string id = "d1";
  DeploymentRecord old = record();
  old.status = DeploymentStatus::running;
  ASSERT_TRUE(w.run(a, records.save(old)));
  restart();
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_NE(deployment->record().error.find("older version"), std::string::npos) << deployment->record().error;
}

/// The first version whose work outlived its daemon did not store what a later one knows of its runs.
TEST_F(DeploymentTest, ARunOfTheFirstRecordsWithLeasesGoesOnAndItsOutputIsCollected) {
  run_task();
  const std::string run = task().incarnation;
  DeploymentRecord old = deployment->record();
  EXPECT_FALSE(old.starts.empty() || old.ran_on.empty());
  kill();
  old.starts.clear();
  old.ran_on.clear();
  old.choice.reset();
  records.refuse = false;
  ASSERT_TRUE(w.run(a, records.save(old)));
  restart();
  w.settle(10min);
  EXPECT_EQ(deployment->status(), DeploymentStatus::running);
  EXPECT_EQ(task().incarnation, run);
  EXPECT_EQ(provider.starts, 1);
  provider.end("task", AllocationStatus::completed, 0, "all of it");
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "all of it");
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }));
}

/// The store of the orchestrator dies at its n-th write, at which nothing leaves the machine any more.
TEST_F(DeploymentTest, AtWhicheverWriteItIsKilledTheTaskRunsToItsEndOnceAndNothingIsLeft) {
  std::string out;
  for (int i = 0; out.size() < 5000; ++i) out += std::to_string(i) + "\n";
  provider.tail_size = 10;
  provider.page_size = 1000;
  bool died = true;
  for (std::size_t n = 1; died; ++n) {
    ASSERT_LT(n, 100u);
    records.saves = 0;
    records.refuse_from = n;
    records.refused = 0;
    provider.ends = 0;
    ASSERT_TRUE(w.run(a, [](db::AsyncStore& store) -> Task<Result<bool>> {
      const std::string collection(kDeploymentCollection);
      co_return co_await store.erase(collection, "d1");
    }(db)));
    std::filesystem::remove_all(folder / "deployments");
    make(record());
    const Result<void> saved = w.run(a, deployment->save());
    if (!saved) {  // it never existed
      kill();
      records.refuse = false;
      cut(b, false);
      cut(c, false);
      continue;
    }
    deployment->start();
    const auto provider_acts = [&] {
      if (!provider.runs.contains("task")) return;
      ScriptedProvider::Run& run = provider.runs.at("task");
      if (run.status == AllocationStatus::running) provider.end("task", AllocationStatus::completed, 0, out);
    };
    for (int second = 0; second < 60 && records.refused == 0 && deployment->status() != DeploymentStatus::completed;
         ++second) {
      w.settle(1s);
      provider_acts();
      if (provider.runs.contains("task") && is_final(provider.runs.at("task").status)) (void)notify();
    }
    died = records.refused > 0;
    if (died) {
      kill();
      w.settle(5s);
      restart();
    }
    for (int second = 0; second < 120 && !is_final(deployment->status()); ++second) {
      w.settle(1s);
      provider_acts();
    }
    EXPECT_EQ(deployment->status(), DeploymentStatus::completed)
        << "write " << n << ": " << to_string(deployment->status()) << " " << deployment->record().error;
    EXPECT_EQ(output(), out) << "write " << n;
    EXPECT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
    EXPECT_TRUE(provider.runs.empty()) << "write " << n;
    EXPECT_EQ(provider.ends, 1) << "write " << n;
    w.run(a, deployment->close());
    deployment.reset();
  }
}

}  // namespace
}  // namespace dms::orchestrator
