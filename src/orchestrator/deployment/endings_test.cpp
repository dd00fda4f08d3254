// The end of a run: its notice, its output.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

TEST_F(DeploymentTest, TheEndOfATaskIsAcknowledgedOnlyOnceItIsStored) {
  run_task();
  provider.end("task", AllocationStatus::completed, 0, "hello");
  records.refuse = true;
  EXPECT_FALSE(notify()) << "no acknowledgement";
  EXPECT_EQ(task().status, AllocationStatus::running);
  records.refuse = false;
  EXPECT_TRUE(notify()) << "the repeated notice";
  EXPECT_TRUE(reaches(DeploymentStatus::completed));
}

TEST_F(DeploymentTest, TheUsageOfARunIsStoredWithItsEnd) {
  run_task();
  provider.runs.at("task").cpu_seconds = 1.5;
  provider.end("task", AllocationStatus::completed, 0, "hello");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(task().cpu_seconds, 1.5);
}

TEST_F(DeploymentTest, AReasonOfAnyLengthIsStoredShortened) {
  run_task();
  provider.runs.at("task").reason = std::string(500'000, 'x');
  provider.end("task", AllocationStatus::failed, 4, "hello");
  ASSERT_TRUE(notify());
  EXPECT_LE(task().reason.size(), kMaxReportedText + 16);
  EXPECT_GT(task().reason.size(), kMaxReportedText / 2);
}

TEST_F(DeploymentTest, AnEndReportedByAnotherActorIsIgnored) {
  run_task();
  TaskTermination notice;
  notice.allocation_id = jobs::allocation_id("d1", "task");
  notice.status = "completed";
  notice.incarnation = task().incarnation;
  (void)w.run(b, call(*b.root, kTaskTermination, provider.runs.at("task").orchestrator, notice, 2s));
  (void)w.run(c, call(*c.root, kTaskTermination, provider.runs.at("task").orchestrator, notice, 2s));
  EXPECT_EQ(task().status, AllocationStatus::running);
  EXPECT_TRUE(provider.runs_now());
}

TEST_F(DeploymentTest, ANoticeOfAnotherRunIsAcknowledgedAndDoesNotEndThisOne) {
  run_task();
  EXPECT_TRUE(w.run(b, provider.notify("task", "a run of before")));
  EXPECT_EQ(task().status, AllocationStatus::running);
}

TEST_F(DeploymentTest, AnEndWhoseNoticeIsLostIsFoundByRenewal) {
  run_task();
  provider.end("task", AllocationStatus::failed, 4, "all of it");
  ASSERT_TRUE(reaches(DeploymentStatus::failed));
  EXPECT_EQ(task().exit_code, 4);
  EXPECT_EQ(output(), "all of it");
  EXPECT_TRUE(provider.runs.empty());
}

TEST_F(DeploymentTest, OutputThatIsLongerThanTheNoticeIsCollectedByPages) {
  provider.tail_size = 10;
  provider.page_size = 1000;
  run_task();
  std::string out;
  for (int i = 0; out.size() < 10'000; ++i) out += std::to_string(i) + "\n";
  provider.end("task", AllocationStatus::completed, 0, out);
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), out);
  EXPECT_GE(provider.pages, 10);
  EXPECT_TRUE(provider.runs.empty());
}

/// The provider removes what has ended after its retention, while there is no room for it here.
TEST_F(DeploymentTest, OutputThatTheProviderHasRemovedIsGivenUpAtOnce) {
  provider.tail_size = 10;
  run_task();
  ASSERT_TRUE(write_file(folder / "deployments", "a file is in the way, as a full disk is"));
  provider.end("task", AllocationStatus::completed, 0, std::string(100, 'x'));
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return deployment->record().error.find("is being collected") != std::string::npos; }));
  w.settle(10s);
  EXPECT_FALSE(task().collected);
  w.run(b, provider.wipe());
  ASSERT_TRUE(until([&] { return task().collected; }, 5min));
  EXPECT_EQ(task().reason, "its output could not be fetched completely: " + std::string(kGone));
  EXPECT_TRUE(reaches(DeploymentStatus::completed)) << deployment->record().error;
}

TEST_F(DeploymentTest, OutputThatTheProviderHasDroppedIsMarked) {
  provider.tail_size = 10;
  run_task();
  provider.runs.at("task").dropped = 100;
  provider.end("task", AllocationStatus::completed, 0, std::string(100, 'x') + "the rest\nof it\n");
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "[100 bytes were dropped here]\nthe rest\nof it\n");
}

TEST_F(DeploymentTest, OutputWhoseEndTheProviderCouldNotWriteIsMarked) {
  provider.tail_size = 10;
  provider.forge = [](LogPage& page) {
    if (page.offset + page.data.size() < 50) return;
    page.data.clear();
    page.offset = page.next_offset = page.total_size;
  };
  provider.page_size = 40;
  run_task();
  provider.end("task", AllocationStatus::completed, 0, std::string(39, 'x') + "\n" + std::string(60, 'y'));
  ASSERT_TRUE(notify());
  ASSERT_TRUE(reaches(DeploymentStatus::completed)) << deployment->record().error;
  EXPECT_EQ(output(), std::string(39, 'x') + "\n[60 bytes were dropped here]\n");
}

TEST_F(DeploymentTest, APageWhoseNumbersWrapAroundIsNotStored) {
  provider.tail_size = 10;
  int forged = 0;
  provider.forge = [&forged](LogPage& page) {
    if (++forged > 3) return;  // else who believes it asks without end
    page.offset = std::numeric_limits<std::uint64_t>::max() - 9;
    page.next_offset = page.offset + page.data.size();
  };
  run_task();
  const std::string out(100, 'x');
  provider.end("task", AllocationStatus::completed, 0, out);
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return !deployment->record().error.empty(); }));
  EXPECT_NE(deployment->record().error.find("contradicts itself"), std::string::npos) << deployment->record().error;
  EXPECT_EQ(output(), "");
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), out);
}

TEST_F(DeploymentTest, AProviderThatSendsPagesOfAFewBytesIsGivenUp) {
  provider.tail_size = 10;
  provider.page_size = 1;
  provider.page_takes = 1s;
  run_task();
  provider.end("task", AllocationStatus::completed, 0, std::string(20'000, 'x'));
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return task().collected; }, 2 * kCollectPatience));
  EXPECT_NE(task().reason.find("in pages of a few bytes"), std::string::npos) << task().reason;
  EXPECT_EQ(output().size() % kMaxPoorPages, 0u) << "each fetch ended after as many";
  EXPECT_LT(output().size(), 20'000u);
}

TEST_F(DeploymentTest, AFetchThatTakesLongGoesOnInAnother) {
  provider.tail_size = 10;
  provider.page_size = kPoorPage;
  provider.page_takes = 1min;
  run_task();
  const auto minutes = static_cast<std::size_t>(kLongestFetch / 1min);
  const std::string out(kPoorPage * (minutes + 10), 'x');
  provider.end("task", AllocationStatus::completed, 0, out);
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return !deployment->record().error.empty(); }, 2 * kLongestFetch));
  EXPECT_NE(deployment->record().error.find("is not here completely"), std::string::npos) << deployment->record().error;
  ASSERT_TRUE(reaches(DeploymentStatus::completed, kLongestFetch)) << deployment->record().error;
  EXPECT_EQ(output(), out);
  EXPECT_EQ(task().reason, "");
}

TEST_F(DeploymentTest, AProviderKeepsTheOutputUntilThereIsRoomForIt) {
  provider.tail_size = 3;
  run_task();
  ASSERT_TRUE(write_file(folder / "deployments", "a file is in the way, as a full disk is"));
  provider.end("task", AllocationStatus::completed, 0, "the output");
  ASSERT_TRUE(notify());
  w.settle(1min);
  EXPECT_EQ(task().status, AllocationStatus::completed) << "the end is known";
  EXPECT_EQ(deployment->status(), DeploymentStatus::running) << "and the output is not here yet";
  EXPECT_NE(deployment->record().error.find("the output of task is being collected"), std::string::npos)
      << deployment->record().error;
  EXPECT_TRUE(provider.runs.contains("task"));
  std::filesystem::remove(folder / "deployments");
  ASSERT_TRUE(reaches(DeploymentStatus::completed)) << deployment->record().error;
  EXPECT_EQ(output(), "the output");
  EXPECT_EQ(deployment->record().error, "");
}

TEST_F(DeploymentTest, OutputThatCameWholeIsNotFetchedAnewWhileItsEndIsStored) {
  run_task();
  provider.end("task", AllocationStatus::completed, 0, "hello");
  records.delay = 10s;
  EXPECT_FALSE(notify()) << "the store is slower than that";
  ASSERT_EQ(output(), "hello");
  ASSERT_EQ(task().status, AllocationStatus::running);
  const auto folder = w.run(a, deployment->logs("task"));
  EXPECT_TRUE(folder) << folder.error().to_string();
  records.delay = Duration(0);
  ASSERT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "hello");
}

TEST_F(DeploymentTest, OutputThatIsBeingFetchedWhenTheRunEndsIsFetchedToItsEnd) {
  provider.page_takes = 3s;
  run_task();
  provider.runs.at("task").out = "hello";
  Nursery nursery(a.lane(), "test");
  const auto ask = [](Deployment& of) -> Task<void> { (void)co_await of.logs("task"); };
  nursery.spawn(ask(*deployment));
  w.settle(1s);
  provider.end("task", AllocationStatus::completed, 0, "hello, world");
  EXPECT_TRUE(notify());
  EXPECT_EQ(task().status, AllocationStatus::completed) << "the end does not wait for a fetch";
  EXPECT_TRUE(reaches(DeploymentStatus::completed));
  EXPECT_EQ(output(), "hello, world");
  w.run(a, nursery.join());
}

TEST_F(DeploymentTest, ALongTransferThatIsInterruptedGoesOn) {
  provider.tail_size = 10;
  provider.page_size = 10;
  provider.page_takes = 1min;
  run_task();
  const int half = static_cast<int>(kCollectPatience / 1min) + 5;
  std::string out;
  for (int i = 0; i < 2 * half; ++i) out += fmt::format("{:09}\n", i);
  provider.end("task", AllocationStatus::completed, 0, out);
  ASSERT_TRUE(notify());
  ASSERT_TRUE(until([&] { return provider.pages == half; }, 2 * kCollectPatience));
  cut(b);
  ASSERT_TRUE(until([&] { return !deployment->record().error.empty(); }, kCollectPatience));
  cut(b, false);
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 4 * kCollectPatience)) << deployment->record().error;
  EXPECT_EQ(output(), out);
  EXPECT_EQ(task().reason, "");
}

TEST_F(DeploymentTest, OutputOfWhichNothingComesIsGivenUp) {
  provider.tail_size = 10;
  provider.page_takes = 1min;
  run_task();
  provider.end("task", AllocationStatus::completed, 0, std::string(100, 'x'));
  ASSERT_TRUE(notify());
  cut(b);
  ASSERT_TRUE(until([&] { return task().collected; }, 2 * kCollectPatience));
  EXPECT_NE(task().reason.find("could not be fetched completely"), std::string::npos) << task().reason;
}

struct PackingTest : DeploymentTest {
  /// The task has ended, and its provider packs a result.
  void end_while_it_packs() {
    provider.packing = true;
    DeploymentRecord made = record();
    made.ensemble.allocations.at("task").results.emplace().paths = {"report"};
    provider.features = {"results"};
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    provider.end("task", AllocationStatus::completed, 0, "hello");
    ASSERT_TRUE(notify());
  }
};

TEST_F(PackingTest, ResultsThatAreBeingPackedAreWaitedFor) {
  end_while_it_packs();
  if (HasFatalFailure()) return;
  w.settle(2 * kCollectPatience);
  EXPECT_FALSE(task().collected) << task().reason;
  provider.packing = false;
  ASSERT_TRUE(reaches(DeploymentStatus::completed)) << deployment->record().error;
  EXPECT_NE(task().reason.find("the provider does not report it"), std::string::npos) << task().reason;
  EXPECT_EQ(deployment->record().absent.at("task").at("report"), "the provider does not report it");
}

TEST_F(PackingTest, AResultThatDoesNotComeIsStoredBeforeItsRunCountsAsCollected) {
  end_while_it_packs();
  if (HasFatalFailure()) return;
  w.settle(10s);
  records.refuse = true;
  provider.packing = false;
  w.settle(3 * kMaxCollectPause);
  EXPECT_FALSE(task().collected);
  records.refuse = false;
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 5min)) << deployment->record().error;
  ASSERT_TRUE(deployment->record().absent.contains("task"));
  EXPECT_EQ(deployment->record().absent.at("task").at("report"), "the provider does not report it");
}

}  // namespace
}  // namespace dms::orchestrator
