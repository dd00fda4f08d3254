// Scenarios on the production code, and that the checkers see what they look for.
#include "sim/scenario/simulation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

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
  EXPECT_NE(error("machines: 3").find("machines: unknown key"), std::string::npos);
  EXPECT_NE(error("[1]").find("a map"), std::string::npos);
  EXPECT_NE(error("faults: {shortest_outage: 1h, longest_outage: 1s}").find("faults.shortest_outage"),
            std::string::npos);
}

std::vector<std::filesystem::path> scenarios(std::string_view folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(DMS_SOURCE_DIR) / folder))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

Scenario read_scenario(const std::filesystem::path& file) {
  const Result<Scenario> scenario = Scenario::parse(read_file(file, 1 << 20).value_or(""));
  EXPECT_TRUE(scenario) << file << ": " << scenario.error().to_string();
  return scenario.value_or(Scenario());
}

TEST(Scenario, TheExamplesCanBeRead) {
  const auto files = scenarios("docs/howto/scenarios");
  EXPECT_GE(files.size(), 2U);
  for (const auto& file : files) (void)read_scenario(file);
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

/// Runs that once found a fault.
TEST(Simulation, KeptSeedsHold) {
  for (const auto& file : scenarios("src/sim/seeds")) {
    const Report report = Simulation(read_scenario(file)).run();
    EXPECT_TRUE(report.held()) << file << '\n' << report.summary();
  }
}

TEST(Simulation, InFull) {
  if (std::getenv("NUNET_NIGHTLY") == nullptr) GTEST_SKIP() << "skipped: takes an hour or more; set NUNET_NIGHTLY=1";
  const Report report =
      Simulation(read_scenario(std::filesystem::path(DMS_SOURCE_DIR) / "docs/howto/scenarios/full.yaml")).run();
  EXPECT_TRUE(report.held()) << report.summary();
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
