// What a run writes at its end, when a restart has another one take its place.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct RestTest : DeploymentTest {
  void run_service(const std::string& out = "first", bool with_more = false) {
    DeploymentRecord service = record();
    jobs::Ensemble& ensemble = service.ensemble;
    ensemble.allocations.at("task").type = jobs::AllocationType::service;
    if (with_more) ensemble.allocations["more"] = ensemble.allocations.at("task");
    if (with_more) ensemble.nodes.at("node").allocations.emplace_back("more");
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
  /// Its provider ends the run and does not answer yet; the next one has not written.
  void begin_restart() {
    provider.answers_restarts = false;
    provider.runs.at("task").health = Health::unhealthy;
    ASSERT_TRUE(until([&] { return provider.restarts == 1; }));
    leave_no_output();
    ASSERT_EQ(task().restarts, 0u);
  }
  void leave_no_output() {
    provider.runs.at("task").out.clear();
    provider.runs.at("task").last_words.clear();
  }
  /// So that it runs anew.
  void change_task() {
    jobs::Ensemble ensemble = deployment->record().ensemble;
    ensemble.allocations.at("task").resources.ram.size.bytes *= 2;
    ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
    ASSERT_FALSE(deployment->record().superseded.empty());
  }
  bool is_replaced() {
    return until([&] { return deployment->record().superseded.empty() && task().status == AllocationStatus::running; },
                 5min);
  }
  void expect_all_of_the_first_run() {
    EXPECT_EQ(previous_text(), "first, bye");
    EXPECT_EQ(previous().incomplete, "");
    EXPECT_TRUE(deployment->record().rests.empty());
  }
  /// A shutdown during a restart, of which the first requests for output are not answered; how long it takes.
  Duration shut_down_in_restart(int unanswered = 0) {
    run_service();
    begin_restart();
    provider.unanswered_pages = unanswered;
    const SteadyTime begun = w.world.now();
    EXPECT_TRUE(w.run(a, deployment->shutdown()));
    return w.world.now() - begun;
  }
  bool is_settled() {
    return until([&] { return deployment->record().rests.empty(); });
  }
  std::string current_text() {
    DeploymentLogsRequest request;
    request.ensemble_id = "d1";
    request.allocation_name = "task";
    request.stream = "stdout";
    const Result<LogPage> page = w.run(a, deployment->page(request));
    return page ? std::string(as_text(page->data)) : page.error().to_string();
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

TEST_F(RestTest, TheRunIsReadUntilTheNextOneCounts) {
  run_service();
  begin_restart();
  EXPECT_EQ(current_text(), "first, bye") << "its provider has the next run";
  provider.refuse_pages = "not now";
  EXPECT_EQ(current_text(), "first") << "as it was fetched before the request";
  provider.refuse_pages.clear();
  ASSERT_EQ(task().restarts, 0u);
  provider.runs.at("task").out = "second";
  ASSERT_TRUE(until([&] { return task().restarts == 1u; }));
  EXPECT_EQ(current_text(), "second");
}

TEST_F(RestTest, AShutdownDuringARestartFetchesIt) {
  shut_down_in_restart();
  expect_all_of_the_first_run();
  EXPECT_EQ(task().reason, "it was shut down");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(RestTest, AShutdownBeforeItIsFetchedFetchesIt) {
  provider.previous_ends = false;
  run_service();
  restart_run();
  ASSERT_EQ(deployment->record().rests.size(), 1u);
  provider.previous_ends = true;
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  expect_all_of_the_first_run();
  EXPECT_EQ(output(), "second, bye");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(RestTest, AShutdownWaitsForItForABoundedTime) {
  provider.previous_ends = false;
  EXPECT_LE(shut_down_in_restart(), kShutdownPatience);
  EXPECT_EQ(previous_text(), "first, bye") << "what has come is kept";
  EXPECT_NE(previous().incomplete.find("has not stored the end"), std::string::npos) << previous().incomplete;
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(RestTest, AShutdownLeavesAMarkIfTheProviderKeepsNoEarlierRun) {
  provider.keeps_previous = false;
  shut_down_in_restart();
  EXPECT_EQ(previous_text(), "first");
  EXPECT_NE(previous().incomplete.find("keeps the output of no earlier run"), std::string::npos)
      << previous().incomplete;
  EXPECT_TRUE(provider.runs.empty());
}

/// Its provider does not send the output of the next run, which is asked for first.
TEST_F(RestTest, AShutdownWaitsForItAndForOtherOutputTogether) {
  provider.previous_ends = false;
  const Duration took = shut_down_in_restart(1);
  EXPECT_GE(took, kPageAnswer);
  EXPECT_LE(took, kLastOutput + 1s);
  EXPECT_EQ(previous_text(), "first, bye");
  EXPECT_NE(previous().incomplete.find("has not stored the end"), std::string::npos) << previous().incomplete;
}

TEST_F(RestTest, AShutdownThatHasNoTimeLeftAsksForItOnceMore) {
  EXPECT_GE(shut_down_in_restart(2), kLastOutput);
  expect_all_of_the_first_run();
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(RestTest, AShutdownThatHasNoTimeLeftLeavesAMarkSoon) {
  provider.previous_ends = false;
  const Duration took = shut_down_in_restart(2);
  EXPECT_GE(took, kLastOutput);
  EXPECT_LE(took, kLastOutput + kReleaseTimeout + 1s);
  EXPECT_NE(previous().incomplete.find("has not stored the end"), std::string::npos) << previous().incomplete;
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(RestTest, AnUpdateDuringARestartFetchesIt) {
  run_service();
  begin_restart();
  change_task();
  ASSERT_TRUE(is_replaced());
  expect_all_of_the_first_run();
}

TEST_F(RestTest, AnUpdateBeforeItIsFetchedFetchesIt) {
  provider.previous_ends = false;
  run_service();
  restart_run();
  leave_no_output();
  change_task();
  provider.previous_ends = true;
  ASSERT_TRUE(is_replaced());
  expect_all_of_the_first_run();
}

TEST_F(RestTest, AnUpdateWaitsForItForABoundedTime) {
  provider.previous_ends = false;
  run_service();
  restart_run();
  leave_no_output();
  change_task();
  ASSERT_TRUE(is_replaced());
  ASSERT_EQ(deployment->record().rests.size(), 1u);
  const std::string missing = deployment->record().rests.at(0).missing;
  EXPECT_NE(missing.find("has not stored the end"), std::string::npos) << missing;
}

TEST_F(RestTest, AnUpdateThatRemovesTheWorkFetchesIt) {
  run_service("first", true);
  begin_restart();
  jobs::Ensemble ensemble = deployment->record().ensemble;
  ensemble.allocations.erase("task");
  ensemble.nodes.at("node").allocations = {"more"};
  ASSERT_TRUE(w.run(a, deployment->update(ensemble)));
  ASSERT_FALSE(deployment->record().superseded.empty());
  ASSERT_TRUE(until([&] { return deployment->record().superseded.empty(); }));
  expect_all_of_the_first_run();
  EXPECT_FALSE(provider.runs.contains("task"));
}

TEST_F(RestTest, AProviderThatIsAwayWhileItIsFetchedIsAskedWhenItIsBack) {
  provider.previous_ends = false;
  run_service();
  begin_restart();
  change_task();
  const int before = provider.pages;
  ASSERT_TRUE(until([&] { return provider.pages > before; }));
  cut(b);
  w.settle(2 * kLastOutput);
  ASSERT_EQ(deployment->record().rests.size(), 1u);
  EXPECT_EQ(deployment->record().rests.at(0).missing, "");
  provider.previous_ends = true;
  cut(b, false);
  ASSERT_TRUE(is_replaced());
  expect_all_of_the_first_run();
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
