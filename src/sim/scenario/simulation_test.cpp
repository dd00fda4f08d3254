// Scenarios on the production code, and that the checkers see what they look for.
#include "sim/scenario/simulation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/file.hpp"

namespace dms::sim {
namespace {

TEST(Scenario, ReadsEveryKeyAndWritesItBack) {
  Scenario scenario;
  scenario.seed = 77;
  scenario.providers = 3;
  scenario.loss = 0.25;
  scenario.lease = 90s;
  scenario.latency = 1500us;
  scenario.settle = 30 * 24h - 1ns;
  scenario.power_losses = 1.5;
  scenario.dishonest = 0.1;
  scenario.full_disks = 2;
  scenario.clock_errors = 3;
  scenario.largest_clock_error = 4min;
  scenario.dependent = 0.5;
  scenario.inputs = 0.25;
  scenario.results = 0.125;
  scenario.largest_file = 1000;
  scenario.updates = 0.2;
  scenario.cancels = 0.3;
  scenario.slow_starts = 0.4;
  scenario.slowest_start = 30s;
  scenario.unhealthy = 0.6;
  scenario.supervised = 0.7;
  scenario.failing = 0.8;
  const Result<Scenario> again = Scenario::parse(scenario.to_yaml());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, scenario);
}

TEST(Scenario, AnErrorNamesTheKey) {
  const auto error = [](std::string_view yaml) {
    const Result<Scenario> scenario = Scenario::parse(yaml);
    return scenario ? std::string("none") : scenario.error().to_string();
  };
  EXPECT_NE(error("faults: {kills: many}").find("faults.kills"), std::string::npos) << error("faults: {kills: many}");
  EXPECT_NE(error("providers: 0").find("providers"), std::string::npos);
  EXPECT_NE(error("network: {loss: 2}").find("network.loss"), std::string::npos);
  EXPECT_NE(error("duration: soon").find("duration"), std::string::npos);
  EXPECT_NE(error("work: 3").find("work"), std::string::npos);
  EXPECT_NE(error("faults: {full_disks: -1}").find("faults.full_disks"), std::string::npos);
  EXPECT_NE(error("faults: {largest_clock_error: -10m}").find("faults.largest_clock_error"), std::string::npos);
  EXPECT_NE(error("work: {inputs: 2}").find("work.inputs: expected a number from 0 to 1"), std::string::npos);
  EXPECT_NE(error("work: {largest_file: 0}").find("work.largest_file"), std::string::npos);
  EXPECT_NE(error("work: {slowest_start: 60}").find("work.slowest_start"), std::string::npos);
  EXPECT_NE(error("work: {uploads: 0.1}").find("work.uploads: unknown key"), std::string::npos);
  EXPECT_NE(error("machines: 3").find("machines: unknown key"), std::string::npos);
  EXPECT_NE(error("[1]").find("a map"), std::string::npos);
  EXPECT_NE(error("faults: {shortest_outage: 1h, longest_outage: 1s}").find("faults.shortest_outage"),
            std::string::npos);
}

/// The scenarios of a folder, by file; every one has to be readable.
std::map<std::filesystem::path, Scenario> read_scenarios(const std::filesystem::path& folder) {
  std::map<std::filesystem::path, Scenario> read;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    const Result<Scenario> scenario = Scenario::parse(read_file(entry.path(), 1 << 20).value_or("unreadable"));
    EXPECT_TRUE(scenario) << entry.path() << ": " << scenario.error().to_string();
    if (scenario) read[entry.path()] = *scenario;
  }
  return read;
}

const std::filesystem::path kSources = DMS_SOURCE_DIR;

bool is_nightly() { return std::getenv("NUNET_NIGHTLY") != nullptr; }

/// A run that is too large for each change is replayed nightly.
bool is_small(const Scenario& scenario) {
  return scenario.providers + scenario.users <= 60 && scenario.deployments <= 300;
}

TEST(Scenario, TheExamplesCanBeRead) {
  const auto examples = read_scenarios(kSources / "docs/howto/scenarios");
  EXPECT_GE(examples.size(), 3U);
  EXPECT_GT(examples.at(kSources / "docs/howto/scenarios/supervision.yaml").supervised, 0);
  const Scenario& full = examples.at(kSources / "docs/howto/scenarios/full.yaml");
  for (const double share :
       {full.dependent, full.inputs, full.results, full.updates, full.cancels, full.slow_starts, full.unhealthy})
    EXPECT_GT(share, 0) << "the full scenario has everything";
  EXPECT_FALSE(is_small(full));
}

Scenario small() {
  Scenario scenario;
  scenario.providers = 10;
  scenario.users = 3;
  scenario.deployments = 25;
  scenario.duration = 5min;
  scenario.longest_task = 90s;
  scenario.service_time = 3min;
  return scenario;
}

TEST(Simulation, WithoutFaultsEveryPropertyHolds) {
  Scenario scenario = small();
  scenario.deployments = 15;
  scenario.duration = 3min;
  const Report report = Simulation(scenario).run();
  EXPECT_TRUE(report.held()) << report.summary();
  EXPECT_EQ(report.submitted, 15U);
  EXPECT_EQ(report.completed, 15U) << report.summary();
  EXPECT_GT(report.outputs, 5U) << report.summary();
  EXPECT_GT(report.checks, 180U);
  EXPECT_GE(report.choices, 15U) << report.summary();
}

TEST(Simulation, WithFaultsAndDishonestProvidersEveryPropertyHolds) {
  Scenario scenario = small();
  scenario.seed = 3;
  scenario.dishonest = 0.4;
  scenario.loss = 0.01;
  scenario.kills = scenario.partitions = 12;
  scenario.power_losses = 5;
  scenario.lease = 40s;
  const Report report = Simulation(scenario).run();
  EXPECT_TRUE(report.held()) << report.summary();
  EXPECT_GT(report.completed, 10U) << report.summary();
  EXPECT_GT(report.kills, 3U);
  EXPECT_GT(report.partitions, 3U);
}

TEST(Simulation, WithFullDisksAndWrongClocksEveryPropertyHolds) {
  Scenario scenario = small();
  scenario.seed = 5;
  scenario.full_disks = scenario.clock_errors = 12;
  scenario.kills = 6;
  scenario.longest_outage = 3min;
  scenario.lease = 40s;
  const Report report = Simulation(scenario).run();
  EXPECT_TRUE(report.held()) << report.summary();
  EXPECT_GT(report.completed, 10U) << report.summary();
  EXPECT_GT(report.full_disks, 5U);
  EXPECT_GT(report.clock_errors, 5U);
}

TEST(Simulation, WithFilesUpdatesCancelsAndSlowStartsEveryPropertyHolds) {
  Scenario scenario = small();
  scenario.seed = 11;
  scenario.dependent = scenario.inputs = scenario.results = scenario.updates = 0.5;
  scenario.cancels = scenario.slow_starts = 0.3;
  scenario.slowest_start = 30s;
  const Report report = Simulation(scenario).run();
  EXPECT_TRUE(report.held()) << report.summary();
  EXPECT_EQ(report.failed + report.refused, 0U) << report.summary();
  EXPECT_EQ(report.completed + report.cancelled, 25U) << report.summary();
  for (const std::uint64_t found : {report.inputs, report.results, report.updates, report.cancelled, report.outputs})
    EXPECT_GT(found, 0U) << report.summary();
  std::uint64_t ends = 0;
  for (const Ending& ending : report.ends) ends += ending.end == "not updated" ? 0 : ending.count;
  EXPECT_EQ(ends, report.submitted) << report.summary();
}

TEST(Simulation, WithUnhealthyServicesEveryPropertyHolds) {
  Scenario scenario = small();
  scenario.seed = 13;
  scenario.services = scenario.unhealthy = 0.7;
  scenario.updates = scenario.cancels = 0.2;
  scenario.kills = scenario.partitions = 6;
  scenario.lease = 40s;
  const Report report = Simulation(scenario).run();
  EXPECT_TRUE(report.held()) << report.summary();
  EXPECT_GT(report.completed, 5U) << report.summary();
  EXPECT_GT(report.restarts, 5U) << report.summary();
}

Scenario supervised() {
  Scenario scenario = small();
  scenario.deployments = 15;
  scenario.services = 0.7;
  scenario.supervised = 1;
  scenario.failing = 0.6;
  scenario.lease = 40s;
  return scenario;
}

TEST(Simulation, SupervisionIsAsItShouldBe) {
  Scenario scenario = supervised();
  scenario.seed = 17;
  scenario.unhealthy = 0.2;
  const Report report = Simulation(scenario).run();
  EXPECT_TRUE(report.held()) << report.summary();
  EXPECT_EQ(report.supervised, 15U) << report.summary();
  EXPECT_GT(report.failures, 5U) << report.summary();
  EXPECT_GT(report.restarts, 3U) << report.summary();
  EXPECT_GT(report.comparisons, 100U) << report.summary();
}

TEST(Simulation, SupervisionUnderChurnIsAsItShouldBe) {
  Scenario scenario = supervised();
  scenario.seed = 19;
  scenario.kills = scenario.partitions = scenario.clock_errors = 6;
  scenario.power_losses = 4;
  const Report report = Simulation(scenario).run();
  EXPECT_TRUE(report.held()) << report.summary();
  EXPECT_GT(report.supervised, 10U) << report.summary();
  EXPECT_GT(report.failures, 5U) << report.summary();
  EXPECT_GT(report.kills + report.power_losses + report.partitions, 5U) << report.summary();
}

/// What a run that once found a fault finds now; nothing of those that are too large.
std::map<std::filesystem::path, Report> replay(const std::filesystem::path& folder) {
  std::map<std::filesystem::path, Report> reports;
  for (const auto& [file, scenario] : read_scenarios(folder))
    if (is_nightly() || is_small(scenario)) reports[file] = Simulation(scenario).run();
  return reports;
}

TEST(Simulation, KeptSeedsHold) {
  const auto reports = replay(kSources / "src/sim/seeds");
  if (reports.empty()) GTEST_SKIP() << "skipped: no seed is kept in src/sim/seeds";
  for (const auto& [file, report] : reports) EXPECT_TRUE(report.held()) << file << '\n' << report.summary();
}

/// As `nunet sim --keep` leaves them.
TEST(Simulation, AKeptSeedIsReplayedFromItsFolder) {
  std::string name = (std::filesystem::temp_directory_path() / "nunet-seeds-XXXXXX").string();
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const std::filesystem::path folder = name;
  EXPECT_TRUE(replay(folder).empty());
  Scenario scenario = small();
  scenario.deployments = 4;
  scenario.duration = 1min;
  scenario.settle = 1s;  // too short for services
  scenario.services = 1;
  const Report first = Simulation(scenario).run();
  ASSERT_TRUE(write_file(folder / "seed-1.yaml", first.scenario));
  ASSERT_TRUE(write_file(folder / "seed-1.trace", "1.0 not a scenario\n"));
  scenario.providers = 100;
  ASSERT_TRUE(write_file(folder / "seed-2.yaml", scenario.to_yaml()));
  const auto reports = replay(folder);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  ASSERT_EQ(reports.size(), is_nightly() ? 2U : 1U);
  const Report& again = reports.begin()->second;
  EXPECT_FALSE(again.held());
  EXPECT_EQ(again.trace, first.trace);
}

TEST(Simulation, InFull) {
  if (!is_nightly()) GTEST_SKIP() << "skipped: takes an hour or more; set NUNET_NIGHTLY=1";
  const Report report =
      Simulation(read_scenarios(kSources / "docs/howto/scenarios").at(kSources / "docs/howto/scenarios/full.yaml"))
          .run();
  EXPECT_TRUE(report.held()) << report.summary();
  // A failure that a fault explains is no finding: most of the work has to succeed all the same.
  EXPECT_EQ(report.submitted, 5000U);
  EXPECT_GT(report.completed, 3500U);
  EXPECT_LT(report.failed, 500U);
  for (const std::uint64_t faults :
       {report.kills, report.power_losses, report.partitions, report.full_disks, report.clock_errors})
    EXPECT_GT(faults, 50U);
}

TEST(Simulation, ARunThatFailsReplaysFromItsReport) {
  Scenario scenario = small();
  scenario.deployments = 6;
  scenario.duration = 2min;
  scenario.settle = 1s;  // too short for services
  scenario.services = 0.5;
  scenario.kills = scenario.full_disks = scenario.clock_errors = 30;
  scenario.longest_outage = 20s;
  scenario.loss = 0.02;
  const Report first = Simulation(scenario).run();
  ASSERT_FALSE(first.held());
  EXPECT_GT(first.kills, 0U);
  for (const std::string_view part : {": daemon killed, for", ": disk full, for", ": clock wrong, for", " is Running",
                                      "DOES NOT HOLD: each deployment ends or runs"})
    EXPECT_TRUE(std::ranges::any_of(first.trace, [&](const auto& line) { return line.contains(part); })) << part;
  const Result<Scenario> kept = Scenario::parse(first.scenario);
  ASSERT_TRUE(kept) << kept.error().to_string();
  const Report again = Simulation(*kept).run();
  EXPECT_EQ(again.trace, first.trace);
  EXPECT_EQ(again.events, first.events);
  EXPECT_EQ(again.messages, first.messages);
}

}  // namespace
}  // namespace dms::sim
