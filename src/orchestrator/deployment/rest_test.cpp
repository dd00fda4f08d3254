// What a run writes at its end, when a restart has another one take its place.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct RestTest : DeploymentTest {
  void run_service(const std::string& out = "first") {
    DeploymentRecord service = record();
    service.ensemble.allocations.at("task").type = jobs::AllocationType::service;
    create(std::move(service));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running));
    provider.runs.at("task").out = out;
    provider.runs.at("task").last_words = ", bye";
  }
  /// The run before has written its last words, and the next one writes.
  void restart_run() {
    provider.runs.at("task").health = Health::unhealthy;
    ASSERT_TRUE(until([&] { return provider.restarts == 1; }));
    provider.runs.at("task").out = "second";
    ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  }
  bool is_settled() {
    return until([&] { return deployment->record().rests.empty(); });
  }
  LogPage previous() {
    DeploymentLogsRequest request;
    request.ensemble_id = "d1";
    request.allocation_name = "task";
    request.stream = "previous:stdout";
    OutputStore store(folder);
    const Result<LogPage> page = w.run(a, previous_page(store, deployment->record(), request));
    EXPECT_TRUE(page) << page.error().to_string();
    return page.value_or(LogPage());
  }
  std::string previous_text() { return std::string(as_text(previous().data)); }
};

TEST_F(RestTest, WhatARunWritesWhenItIsRestartedIsFetchedAfterwards) {
  run_service();
  restart_run();
  ASSERT_TRUE(is_settled());
  EXPECT_EQ(previous_text(), "first, bye");
  EXPECT_EQ(previous().incomplete, "");
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  EXPECT_EQ(output(), "second");
  EXPECT_EQ(previous_text(), "first, bye");
}

TEST_F(RestTest, ItIsAddedToWhatWasSetAsideForTheNextRun) {
  provider.previous_ends = false;
  run_service();
  restart_run();
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  EXPECT_EQ(output(), "second");
  EXPECT_EQ(previous().incomplete, "it has not come from its provider yet");
  provider.runs.at("task").previous_out += ", and more";
  provider.previous_ends = true;
  ASSERT_TRUE(is_settled());
  EXPECT_EQ(previous_text(), "first, bye, and more");
  EXPECT_EQ(output(), "second");
}

TEST_F(RestTest, OfARunThatHadWrittenNothingBeforeItIsAllThereIs) {
  provider.previous_ends = false;
  run_service("");
  provider.runs.at("task").last_words = "";
  restart_run();
  ASSERT_TRUE(w.run(a, deployment->logs("task")));
  provider.runs.at("task").previous_out = "bye";
  provider.previous_ends = true;
  ASSERT_TRUE(is_settled());
  EXPECT_EQ(previous_text(), "bye");
  EXPECT_EQ(output(), "second");
}

TEST_F(RestTest, AProviderThatKeepsNoEarlierRunLeavesAMark) {
  provider.keeps_previous = false;
  run_service();
  restart_run();
  ASSERT_TRUE(until([&] { return !deployment->record().rests.at(0).missing.empty(); }));
  EXPECT_EQ(previous_text(), "first");
  EXPECT_NE(previous().incomplete.find("keeps the output of no earlier run"), std::string::npos);
  kill();
  restart();
  w.settle(1min);
  EXPECT_NE(previous().incomplete.find("keeps the output of no earlier run"), std::string::npos) << "it is stored";
}

TEST_F(RestTest, ADaemonThatIsKilledBeforeItHasFetchedItLeavesThatToTheNextOne) {
  provider.previous_ends = false;
  run_service();
  restart_run();
  ASSERT_EQ(deployment->record().rests.size(), 1u);
  kill();
  restart();
  EXPECT_EQ(previous().incomplete, "it has not come from its provider yet");
  provider.previous_ends = true;
  ASSERT_TRUE(is_settled());
  EXPECT_EQ(previous_text(), "first, bye");
  EXPECT_EQ(previous().incomplete, "");
}

TEST_F(RestTest, WorkThatLeavesItsMachineBeforeLeavesAMark) {
  provider.previous_ends = false;
  run_service();
  restart_run();
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_EQ(deployment->record().rests.size(), 1u);
  EXPECT_EQ(deployment->record().rests.at(0).missing, "the work has left the machine that it was on");
}

TEST(Rests, TheLastOnesOfAnAllocationAreKnown) {
  DeploymentRecord record;
  note_rest(record, "other", "0");
  for (int run = 1; run <= kMaxRests + 2; ++run) note_rest(record, "task", std::to_string(run), "refused");
  EXPECT_EQ(record.rests.size(), static_cast<std::size_t>(kMaxRests) + 1);
  EXPECT_EQ(find_rest(record, "task", "2"), nullptr);
  EXPECT_NE(find_rest(record, "task", "3"), nullptr);
  settle_rests(record, "task", "3", "");
  EXPECT_NE(find_rest(record, "task", "3"), nullptr) << "it was given up before";
  settle_rests(record, "other", "0", "");
  EXPECT_EQ(find_rest(record, "other", "0"), nullptr);
}

}  // namespace
}  // namespace dms::orchestrator
