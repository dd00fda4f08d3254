// What users ask for, and what the work of it does with files.
#include "sim/scenario/orders.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/file.hpp"
#include "jobs/ensemble/supported.hpp"

namespace dms::sim {
namespace {

std::vector<std::shared_ptr<Order>> plan(const Scenario& scenario, int count = 60) {
  SeededRandom random(4);
  Planner planner(scenario, random);
  std::vector<std::shared_ptr<Order>> orders;
  for (int i = 0; i < count; ++i) orders.push_back(planner.plan(static_cast<std::size_t>(i), SteadyTime{}));
  return orders;
}

Scenario with_everything() {
  Scenario scenario;
  scenario.largest_file = 4;
  scenario.dependent = scenario.inputs = scenario.results = scenario.updates = scenario.cancels = 0.5;
  scenario.slow_starts = scenario.unhealthy = scenario.supervised = 0.5;
  return scenario;
}

TEST(Orders, AreWhatANodeTakes) {
  for (const auto& order : plan(with_everything())) {
    std::vector<jobs::Ensemble> ensembles = {order->request.ensemble};
    if (order->change) ensembles.push_back(order->change->ensemble);
    for (const jobs::Ensemble& ensemble : ensembles) {
      const Result<void> valid = ensemble.validate();
      EXPECT_TRUE(valid) << valid.error().to_string();
      const Result<void> supported = jobs::check_supported(ensemble);
      EXPECT_TRUE(supported) << supported.error().to_string();
    }
  }
}

TEST(Orders, HaveTheirSharesOfEverything) {
  std::size_t uploads = 0, results = 0, chains = 0, updates = 0, early = 0, late = 0, slow = 0, services = 0,
              checks = 0;
  for (const auto& order : plan(with_everything())) {
    uploads += order->uploads.size();
    results += order->results.size();
    updates += order->change ? 1 : 0;
    slow += order->starts > 0s ? 1 : 0;
    services += order->shut_down_at ? 1 : 0;
    if (order->cancel_after) ++(*order->cancel_after < 5s ? early : late);
    for (const auto& [name, allocation] : order->request.ensemble.allocations) {
      chains += std::ranges::count(allocation.inputs, "a", &jobs::Input::allocation);
      checks += allocation.healthcheck.present() ? 1 : 0;
      EXPECT_FALSE(allocation.healthcheck.present() && !order->shut_down_at) << "a task would never end";
    }
    const bool has_files = !order->results.empty() || !order->uploads.empty();
    EXPECT_FALSE(order->shut_down_at && has_files) << "services have none";
  }
  for (const std::size_t found : {uploads, results, chains, updates, early, late, slow, services, checks})
    EXPECT_GT(found, 2U);
}

TEST(Orders, AChangeLeavesTheOtherAllocationsAsTheyAre) {
  std::set<std::string> changed;
  for (const auto& order : plan(with_everything(), 400)) {
    if (!order->change) continue;
    changed.insert(order->change->allocation);
    const jobs::Ensemble& before = order->request.ensemble;
    const jobs::Ensemble& after = order->change->ensemble;
    EXPECT_FALSE(before == after);
    for (const auto& [name, allocation] : before.allocations) {
      ASSERT_TRUE(after.allocations.contains(name));
      EXPECT_EQ(allocation == after.allocations.at(name), name != order->change->allocation) << name;
    }
    for (const auto& [name, node] : before.nodes) EXPECT_TRUE(after.nodes.at(name) == node) << name;
  }
  EXPECT_EQ(changed, (std::set<std::string>{"c", "d"}));
}

TEST(Orders, PrintOnBothStreams) {
  std::size_t tasks = 0;
  std::size_t readers = 0;
  for (const auto& order : plan(with_everything())) {
    readers += order->read_after ? 1 : 0;
    std::map<std::string, std::string> expected = order->outputs;
    const jobs::Ensemble& ensemble = order->change ? order->change->ensemble : order->request.ensemble;
    if (order->change && !order->change->output.empty()) expected[order->change->allocation] = order->change->output;
    for (const auto& [name, output] : expected) {
      ++tasks;
      std::set<std::string> entries;
      for (const json::Value& entry : ensemble.allocations.at(name).execution.params.at("environment").as_array())
        entries.emplace(std::string(entry.as_string()));
      EXPECT_TRUE(entries.contains("FAKE_OUT=" + output)) << output;
      EXPECT_TRUE(entries.contains("FAKE_ERR=" + errors_of(output))) << output;
    }
  }
  EXPECT_GT(tasks, 50U);
  EXPECT_GT(readers, 5U);
}

TEST(Orders, WhatIsAddedToThemChangesNothingElse) {
  const auto plain = plan(Scenario());
  Scenario files;
  files.inputs = files.cancels = files.unhealthy = 1;
  const auto with_files = plan(files);
  Scenario supervision;
  supervision.supervised = 1;
  const auto supervised = plan(supervision);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_TRUE(plain[i]->uploads.empty() && plain[i]->results.empty() && !plain[i]->change &&
                !plain[i]->cancel_after && plain[i]->starts == 0s);
    EXPECT_EQ(with_files[i]->user, plain[i]->user);
    EXPECT_EQ(with_files[i]->outputs, plain[i]->outputs);
    EXPECT_EQ(with_files[i]->shut_down_at, plain[i]->shut_down_at);
    EXPECT_EQ(supervised[i]->user, plain[i]->user);
    EXPECT_EQ(supervised[i]->shut_down_at, plain[i]->shut_down_at);
    for (const auto& [name, output] : plain[i]->outputs) EXPECT_EQ(supervised[i]->outputs.at(name), output);
    EXPECT_TRUE(supervised[i]->supervised && !plain[i]->supervised);
  }
}

TEST(Orders, AreSupervisedInEachWayThereIs) {
  Scenario scenario;
  scenario.supervised = 1;
  scenario.services = 0.6;
  std::set<std::string> ways;
  for (const auto& order : plan(scenario, 400)) {
    const jobs::Ensemble& ensemble = order->request.ensemble;
    const Result<void> supported = jobs::check_supported(ensemble);
    EXPECT_TRUE(supported) << supported.error().to_string();
    EXPECT_EQ(ensemble.allocations.size(), 3U);
    const jobs::Supervisor& written = ensemble.supervisor;
    if (!written.children.empty()) ways.insert("nested");
    if (!written.allocations.empty()) ways.insert(std::string(to_string(written.strategy)));
    for (const auto& [name, allocation] : ensemble.allocations) {
      ways.insert(std::string(to_string(allocation.failure_recovery)));
      for (const json::Value& entry : allocation.execution.params.at("environment").as_array())
        if (entry.as_string().starts_with("FAKE_CRASH=")) ways.insert("crashes");
    }
    if (ensemble.nodes.at("one").redundancy > 0) ways.insert("standbys");
    for (const auto& [name, node] : ensemble.nodes)
      ways.insert(fmt::format("node {} {}", name, to_string(node.failure_recovery)));
    if (ensemble.escalation_strategy == jobs::EscalationStrategy::redeploy) ways.insert("escalates");
  }
  for (const char* way : {"nested", "standbys", "escalates", "crashes", "stay_down", "one_for_one", "one_for_all",
                          "rest_for_one", "OneForOne", "AllForOne", "RestForOne", "node one restart",
                          "node one redeploy", "node two restart", "node two redeploy"})
    EXPECT_TRUE(ways.contains(way)) << way;
}

struct FileWorkTest : testing::Test {
  FileWorkTest() {
    std::string name = (std::filesystem::temp_directory_path() / "nunet-file-work-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) request.work_dir = name;
  }
  ~FileWorkTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(request.work_dir, ignored);
  }
  FileWork run(std::vector<std::string> environment) {
    request.engine.params.environment = std::move(environment);
    return do_file_work(request);
  }
  executor::Request request;
};

TEST_F(FileWorkTest, WhatOneRunLeavesAnotherFinds) {
  const File file{7, 5000};
  EXPECT_EQ(file.content().size(), 5000u);
  EXPECT_NE(file.content(), (File{8, 5000}).content());
  EXPECT_TRUE(run({"FAKE_SECONDS=1", writes("deep/out", file)}).faults.empty());
  EXPECT_EQ(read_file(request.work_dir / "deep/out", 1 << 20).value_or(""), file.content());
  const FileWork again = run({reads("deep/out", file)});
  EXPECT_EQ(again.read, 1u);
  EXPECT_TRUE(again.faults.empty());
}

TEST_F(FileWorkTest, AnInputThatIsAbsentOrIncompleteIsNamed) {
  const File file{7, 5000};
  const FileWork absent = run({reads("in/data", file)});
  ASSERT_EQ(absent.faults.size(), 1u);
  EXPECT_NE(absent.faults[0].find("the input in/data"), std::string::npos) << absent.faults[0];
  ASSERT_TRUE(write_file(request.work_dir / "in/data", file.content().substr(0, 4999)));
  const FileWork part = run({reads("in/data", file)});
  EXPECT_EQ(part.read, 0u);
  ASSERT_EQ(part.faults.size(), 1u);
  EXPECT_NE(part.faults[0].find("of 4999 bytes"), std::string::npos) << part.faults[0];
}

}  // namespace
}  // namespace dms::sim
