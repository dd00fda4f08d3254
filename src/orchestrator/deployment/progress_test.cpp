// How far the start of an allocation is: what of that is believed, and for how long.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

const StartProgress kPart{StartPhase::pulling, 34, 120};
const StartProgress kMore{StartPhase::extracting, 60, 120};

TEST_F(DeploymentTest, TheProgressOfAStartIsKnownUntilItRuns) {
  provider.start_takes = 10s;
  create(record());
  deployment->start();
  ASSERT_TRUE(until([&] { return provider.starts == 1; }));
  EXPECT_FALSE(deployment->progress("task"));
  for (const StartProgress& told : {kPart, kMore}) {
    ASSERT_TRUE(w.run(b, provider.tell(told)));
    w.settle(100ms);
    EXPECT_EQ(deployment->progress("task"), told);
  }
  EXPECT_FALSE(deployment->progress("other"));
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  EXPECT_EQ(provider.starts, 1) << "it is no hint";
  EXPECT_FALSE(deployment->progress("task"));
  ASSERT_TRUE(w.run(b, provider.tell(kPart)));
  w.settle(100ms);
  EXPECT_FALSE(deployment->progress("task")) << "what comes late";
}

TEST_F(DeploymentTest, ProgressThatCannotBeOrIsOfAnotherRunOrActorIsIgnored) {
  provider.start_takes = 10s;
  create(record());
  deployment->start();
  ASSERT_TRUE(until([&] { return provider.starts == 1; }));
  ASSERT_TRUE(w.run(b, provider.tell(kPart)));
  ASSERT_TRUE(w.run(b, provider.tell({StartPhase::pulling, 121, 120})));
  ASSERT_TRUE(w.run(b, provider.tell({StartPhase::unknown, 1, 2})));
  ASSERT_TRUE(w.run(b, provider.tell(kMore, "another run")));
  AllocationProgress forged;
  forged.allocation_id = jobs::allocation_id("d1", "task");
  forged.incarnation = task().incarnation;
  forged.progress = kMore;
  actor::Envelope envelope = message(*b.root, kAllocationProgress, provider.runs.at("task").orchestrator, forged);
  ASSERT_TRUE(w.run(b, b.root->send(std::move(envelope))));
  w.settle(100ms);
  EXPECT_EQ(deployment->progress("task"), kPart);
}

TEST_F(DeploymentTest, AReportHasTheProgressToo) {
  provider.lease = 8s;
  provider.start_takes = 40s;
  provider.progress = kPart;
  create(record());
  deployment->start();
  ASSERT_TRUE(until([&] { return deployment->progress("task") == kPart; }, 20s));
  provider.progress = StartProgress{StartPhase::pulling, 5, 1};
  ASSERT_TRUE(until([&] { return !deployment->progress("task"); }, 10s)) << "it cannot be";
  provider.progress = kMore;
  ASSERT_TRUE(until([&] { return deployment->progress("task") == kMore; }, 10s));
  provider.progress.reset();
  ASSERT_TRUE(until([&] { return !deployment->progress("task"); }, 10s)) << "nothing is waited for any more";
}

}  // namespace
}  // namespace dms::orchestrator
