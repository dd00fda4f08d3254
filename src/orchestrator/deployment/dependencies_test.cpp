// What may start.
#include "orchestrator/deployment/dependencies.hpp"

#include "orchestrator/deployment/test_placed_record.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct DependenciesTest : PlacedRecordTest {};

TEST_F(DependenciesTest, ConditionsAreMetWaitOrNeverWillBe) {
  const auto readiness = [&](jobs::Condition condition, AllocationStatus status, Health health = Health::unknown) {
    record.ensemble.allocations.at("web").depends_on = {"db"};
    record.ensemble.allocations.at("web").conditions = {{"db", condition}};
    entry("db").status = status;
    entry("db").health = health;
    return dependency(record, "web").readiness;
  };
  using enum AllocationStatus;
  using jobs::Condition;
  EXPECT_EQ(readiness(Condition::started, pending), Readiness::waits);
  EXPECT_EQ(readiness(Condition::started, running), Readiness::ready);
  EXPECT_EQ(readiness(Condition::started, completed), Readiness::ready);
  EXPECT_EQ(readiness(Condition::started, failed), Readiness::never);
  EXPECT_EQ(readiness(Condition::healthy, running, Health::starting), Readiness::waits);
  EXPECT_EQ(readiness(Condition::healthy, running, Health::unhealthy), Readiness::waits);
  EXPECT_EQ(readiness(Condition::healthy, running, Health::healthy), Readiness::ready);
  EXPECT_EQ(readiness(Condition::healthy, completed), Readiness::never);
  EXPECT_EQ(readiness(Condition::completed, running), Readiness::waits_for_completion);
  EXPECT_EQ(readiness(Condition::completed, completed), Readiness::ready);
  EXPECT_EQ(readiness(Condition::completed, failed), Readiness::never);
  EXPECT_EQ(dependency(record, "web").reason, "web depends on db (completed), which is failed");
}

TEST_F(DependenciesTest, AnInputThatItsAllocationDidNotMakeNeverComes) {
  jobs::Allocation& web = record.ensemble.allocations.at("web");
  web.depends_on = {"db"};
  web.conditions = {{"db", jobs::Condition::completed}};
  web.inputs.emplace_back().allocation = "db";
  web.inputs.back().path = "out/";
  entry("db").status = AllocationStatus::completed;
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::waits_for_completion) << "it is not collected";
  entry("db").collected = true;
  record.absent["db"] = {{"other", "there is no such file"}};
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::ready);
  record.absent["db"] = {{"out", "there is no such file"}};
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::never);
  EXPECT_EQ(dependency(record, "web").reason, "web needs the result \"out\" of db: there is no such file");
  entry("db").collected = false;
  EXPECT_EQ(dependency(record, "web").readiness, Readiness::waits_for_completion) << "of the run before";
}

}  // namespace
}  // namespace dms::orchestrator
