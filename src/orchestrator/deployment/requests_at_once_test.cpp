// How many requests of a kind are under way to a machine that has many allocations of a deployment.
#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct ManyTest : DeploymentTest {
  static constexpr int kMany = 150;  // more than a provider takes in progress of one sender
  static constexpr int kAtOnce = static_cast<int>(kRequestsAtOnce);
  static constexpr int kStops = static_cast<int>(kStopsAtOnce);

  void run_many(jobs::AllocationType type, const std::optional<jobs::Results>& results = std::nullopt) {
    if (results) provider.features = {"results", "inputs"};
    DeploymentRecord made = record();
    jobs::Ensemble& ensemble = made.ensemble;
    jobs::Allocation& task = ensemble.allocations.at("task");
    task.type = type;
    task.results = results;
    for (int i = 1; i < kMany; ++i) {
      const std::string name = "task" + std::to_string(i);
      ensemble.allocations[name] = ensemble.allocations.at("task");
      ensemble.nodes.at("node").allocations.push_back(name);
    }
    create(std::move(made));
    deployment->start();
    ASSERT_TRUE(reaches(DeploymentStatus::running)) << deployment->record().error;
    ASSERT_EQ(provider.runs.size(), static_cast<std::size_t>(kMany));
  }
  void end_all() {
    for (const auto& [name, run] : provider.runs)
      provider.end(name, AllocationStatus::completed, 0, "the output of " + name);
  }
};

TEST_F(ManyTest, OutputIsFetchedByAFewRequestsAtATimeAndSoIsItReleased) {
  run_many(jobs::AllocationType::task);
  provider.page_takes = 100ms;
  provider.end_takes = 2s;
  end_all();
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 10min)) << deployment->record().error;
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }, 10min));
  EXPECT_EQ(provider.reading.most, kAtOnce);
  EXPECT_EQ(provider.removing.most, kAtOnce);
  EXPECT_EQ(output(), "the output of task");
  EXPECT_EQ(output("stdout", "task149"), "the output of task149");
}

TEST_F(ManyTest, APageThatAUserReadsDoesNotWaitForTheOutputThatIsCollected) {
  run_many(jobs::AllocationType::service);
  provider.page_takes = 1s;
  provider.runs.at("task").out = "so far";
  end_all();
  provider.runs.at("task").status = AllocationStatus::running;
  ASSERT_TRUE(until([&] { return provider.reading.now == kAtOnce; }, 10min));
  const SteadyTime begun = w.world.now();
  DeploymentLogsRequest request;
  request.ensemble_id = "d1";
  request.allocation_name = "task";
  request.stream = "stdout";
  const Result<LogPage> page = w.run(a, deployment->page(std::move(request)));
  ASSERT_TRUE(page) << page.error().to_string();
  EXPECT_LT(w.world.now() - begun, 2s);
}

TEST_F(ManyTest, ResultsAreFetchedByAFewRequestsAtATime) {
  jobs::Results results;
  results.paths = {"report"};
  run_many(jobs::AllocationType::task, results);
  provider.results_take = 1s;
  end_all();
  ASSERT_TRUE(reaches(DeploymentStatus::completed, 10min)) << deployment->record().error;
  EXPECT_EQ(provider.sending_results.most, kAtOnce);
}

TEST_F(ManyTest, UnhealthyWorkIsRestartedByAFewRequestsAtATime) {
  run_many(jobs::AllocationType::service);
  provider.restart_takes = 1s;
  for (auto& [name, run] : provider.runs) run.health = Health::unhealthy;
  ASSERT_TRUE(until([&] { return provider.restarts == kMany; }, 10min));
  EXPECT_EQ(provider.restarting.most, kAtOnce);
}

TEST_F(ManyTest, AShutdownEndsWorkByABoundedNumberOfRequestsAtATime) {
  run_many(jobs::AllocationType::service);
  for (auto& [name, run] : provider.runs) run.last_words = "bye";
  provider.end_takes = 2s;
  ASSERT_TRUE(w.run(a, deployment->shutdown()));
  EXPECT_EQ(provider.stopped, kMany);
  EXPECT_EQ(provider.stopping.most, kStops);
  EXPECT_LE(provider.removing.most, kAtOnce);
  EXPECT_LE(provider.reading.most, kAtOnce);
  EXPECT_EQ(output("stdout", "task149"), "bye");
  EXPECT_TRUE(until([&] { return provider.runs.empty(); }, 10min));
}

TEST_F(ManyTest, AMachineThatIsBackIsAskedForWhatIsLeftByABoundedNumberOfRequestsAtATime) {
  run_many(jobs::AllocationType::service);
  for (auto& [name, run] : provider.runs) run.out = "until now";
  cut(b);
  EXPECT_FALSE(w.run(a, deployment->shutdown()));
  provider.end_takes = 2s;
  provider.page_takes = 100ms;
  cut(b, false);
  ASSERT_TRUE(until([&] { return provider.runs.empty() && !deployment->record().unsettled(); }, 30min));
  EXPECT_GT(provider.stopping.most, 0);
  EXPECT_LE(provider.stopping.most, kStops);
  EXPECT_LE(provider.removing.most, kAtOnce);
  EXPECT_LE(provider.reading.most, kAtOnce);
  EXPECT_EQ(output("stdout", "task149"), "until now");
}

struct PlacesTest : testing::Test {
  ~PlacesTest() override { world.run(node, users.close()); }
  static Task<void> use(Places& places, std::string machine, Duration time, std::vector<std::string>& begun,
                        std::string name) {
    const Result<Places::Place> place = co_await places.take(std::move(machine));
    if (!place) co_return;
    begun.push_back(std::move(name));
    (void)co_await sleep_for(time);
  }
  static Task<void> give_up(Places& places, std::string machine, Result<void>& outcome) {
    Task<Result<Places::Place>> taking = places.take(std::move(machine));
    const Result<Places::Place> place = co_await with_timeout(1s, std::move(taking));
    outcome = place ? Result<void>() : std::unexpected(place.error());
  }

  SimWorld world{1};
  SimNode& node = world.add_node("node");
  Places places{2};
  std::vector<std::string> begun;
  Nursery users{node.runtime().lane, "users"};
};

TEST_F(PlacesTest, AreGivenInOrderAndByMachine) {
  for (const char* name : {"1", "2", "3", "4"}) users.spawn(use(places, "a", 10s, begun, name));
  users.spawn(use(places, "b", 10s, begun, "other"));
  world.run_for(1s);
  EXPECT_EQ(begun, (std::vector<std::string>{"1", "2", "other"}));
  world.run_for(10s);
  EXPECT_EQ(begun, (std::vector<std::string>{"1", "2", "other", "3", "4"}));
}

TEST_F(PlacesTest, WhoGivesUpWaitingTakesNone) {
  Result<void> outcome;
  for (const char* name : {"1", "2"}) users.spawn(use(places, "a", 10s, begun, name));
  users.spawn(give_up(places, "a", outcome));
  users.spawn(use(places, "a", 10s, begun, "3"));
  world.run_for(5s);
  ASSERT_FALSE(outcome);
  EXPECT_TRUE(outcome.error().is(Errc::deadline_exceeded)) << outcome.error().to_string();
  world.run_for(6s);
  EXPECT_EQ(begun.back(), "3");
}

}  // namespace
}  // namespace dms::orchestrator
