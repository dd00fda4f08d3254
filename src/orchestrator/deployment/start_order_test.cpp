// What is started at the same time, and what waits for what.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct StartOrderTest : DeploymentTest {
  static constexpr Duration kStart = 10s;

  StartOrderTest() {
    provider.start_takes = other.start_takes = kStart;
    made.deadline = (w.world.unix_now() + 1h).nanos;
    made.ensemble.allocations.at("task").type = jobs::AllocationType::service;
  }
  /// Another one like the first.
  jobs::Allocation& add(const std::string& name, const std::string& node = "node") {
    jobs::Allocation& added = made.ensemble.allocations[name];
    added = made.ensemble.allocations.at("task");
    added.depends_on.clear();
    added.conditions.clear();
    made.ensemble.nodes[node].allocations.push_back(name);
    return added;
  }
  void add_dependant(const std::string& name, const std::string& on, jobs::Condition until) {
    jobs::Allocation& added = add(name);
    added.depends_on = {on};
    added.conditions[on] = until;
  }
  void begin() {
    create(std::move(made));
    deployment->start();
  }
  bool runs(const std::string& name) {
    return until([&] {
      const auto& all = deployment->record().manifest.allocations;
      const auto entry = all.find(name);
      return entry != all.end() && entry->second.status == AllocationStatus::running;
    });
  }

  DeploymentRecord made = record();
};

TEST_F(StartOrderTest, WhatDependsOnNothingStartsAtOnceOnEveryMachine) {
  add("beside");
  for (const char* name : {"elsewhere", "beside-it"}) add(name, "second");
  made.ensemble.nodes.at("second").peer = other.peer();
  begin();
  ASSERT_TRUE(until([&] { return provider.starting.now + other.starting.now > 0; }));
  const SteadyTime begun = w.world.now();
  ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
  EXPECT_EQ(provider.starting.most, 2);
  EXPECT_EQ(other.starting.most, 2);
  EXPECT_LT(w.world.now() - begun, kStart + 1s) << "all four together";
}

TEST_F(StartOrderTest, WhatDependsOnOthersBeginsOnlyOnceTheirConditionsHold) {
  add("job").type = jobs::AllocationType::task;
  add_dependant("after-start", "task", jobs::Condition::started);
  add_dependant("after-check", "task", jobs::Condition::healthy);
  add_dependant("after-end", "job", jobs::Condition::completed);
  begin();
  ASSERT_TRUE(until([&] { return provider.starting.now == 2; })) << "those that depend on nothing";
  w.settle(kStart - 1s);
  EXPECT_EQ(provider.starts, 2);
  ASSERT_TRUE(runs("task"));
  ASSERT_TRUE(runs("job"));
  ASSERT_TRUE(runs("after-start"));
  w.settle(1min);
  EXPECT_EQ(provider.starts, 3);
  provider.runs.at("task").health = Health::healthy;
  ASSERT_TRUE(runs("after-check"));
  w.settle(1min);
  EXPECT_EQ(provider.starts, 4);
  provider.end("job", AllocationStatus::completed);
  ASSERT_TRUE(notify("job"));
  ASSERT_TRUE(runs("after-end"));
  EXPECT_EQ(provider.starts, 5);
}

}  // namespace
}  // namespace dms::orchestrator
