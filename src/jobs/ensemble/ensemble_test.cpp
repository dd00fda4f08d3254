#include "jobs/ensemble/ensemble.hpp"

#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "jobs/ensemble/normalise.hpp"

namespace dms::jobs {
namespace {

/// testdata/*.case: what is written after `--- yaml` becomes what stands after `--- json`, or is refused with the
/// message after `--- refused`. A case `--- wire` starts from the network's JSON instead.
struct Case {
  std::string name;
  std::map<std::string, std::string> parts;
  friend void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }
};

std::vector<Case> load_cases() {
  std::vector<Case> cases;
  for (const auto& entry : std::filesystem::directory_iterator(DMS_SOURCE_DIR "/src/jobs/ensemble/testdata")) {
    if (entry.path().extension() != ".case") continue;
    std::ifstream in(entry.path());
    Case one{.name = entry.path().stem().string(), .parts = {}};
    std::string line;
    std::string part;
    while (std::getline(in, line)) {
      if (line.starts_with("--- "))
        part = line.substr(4);
      else if (!part.empty())
        one.parts[part] += line + "\n";
    }
    cases.push_back(std::move(one));
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.name < b.name; });
  return cases;
}

std::string trim(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string pretty(const Ensemble& ensemble) { return trim(json::write_pretty(json::to_value(ensemble))); }

class EnsembleCase : public testing::TestWithParam<Case> {};

TEST_P(EnsembleCase, HasTheExpectedOutcome) {
  const Case& one = GetParam();
  ASSERT_NE(one.parts.contains("json"), one.parts.contains("refused")) << "a case has one outcome";
  const Result<Ensemble> read = one.parts.contains("yaml") ? Ensemble::parse_yaml(one.parts.at("yaml"))
                                                           : json::decode<Ensemble>(one.parts.at("wire"));
  if (one.parts.contains("refused")) {
    ASSERT_FALSE(read) << pretty(*read);
    EXPECT_EQ(read.error().to_string(), trim(one.parts.at("refused")));
    return;
  }
  ASSERT_TRUE(read) << read.error().to_string();
  const auto expected = json::parse(one.parts.at("json"));
  ASSERT_TRUE(expected) << "this case expects what is no JSON; it becomes\n" << json::encode(*read);
  EXPECT_EQ(pretty(*read), trim(json::write_pretty(*expected)));
  const auto again = json::decode<Ensemble>(json::encode(*read));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, *read) << "the wire form is incomplete";
}

INSTANTIATE_TEST_SUITE_P(Data, EnsembleCase, testing::ValuesIn(load_cases()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

TEST(Ensemble, ThereAreCases) { EXPECT_GE(load_cases().size(), 40U); }

constexpr std::string_view kTwoNodes = R"(
version: "V1"
allocations:
  db: {executor: docker, type: service, resources: {cpu: {cores: 1}, ram: {size: 1}, disk: {size: 1}}, execution: {type: docker, image: postgres}}
  web: {executor: sandbox, type: service, depends_on: [db], resources: {cpu: {cores: 0.5}, ram: {size: 512 MiB}, disk: {size: 1}}, execution: {type: sandbox, cmd: [serve]}}
  job: {executor: "null", type: task, resources: {cpu: {cores: 2}, ram: {size: 2}, disk: {size: 1}}, execution: {type: "null"}}
nodes:
  front: {allocations: [web, db], ports: [{public: 0, private: 80, allocation: web}]}
  back: {allocations: [job]}
)";

TEST(Ensemble, AnswersTheQueriesOfTheOrchestrator) {
  const auto ensemble = Ensemble::parse_yaml(kTwoNodes);
  ASSERT_TRUE(ensemble) << ensemble.error().to_string();
  const auto need = ensemble->node_requirement("front");
  ASSERT_TRUE(need);
  EXPECT_EQ(need->cpu.cores.millis, 1500U);
  EXPECT_EQ(need->ram.size.to_string(), "1.5 GiB");
  EXPECT_FALSE(ensemble->node_requirement("middle"));
  EXPECT_EQ(ensemble->node_executors("front"), (std::vector{ExecutorType::docker, ExecutorType::sandbox}));
  EXPECT_EQ(ensemble->start_order("front"), (std::vector<std::string>{"db", "web"}));
  EXPECT_EQ(ensemble->ports_of("web").size(), 1U);
  EXPECT_TRUE(ensemble->ports_of("db").empty());
  EXPECT_FALSE(ensemble->tasks_only());
}

TEST(AllocationId, SplitsWhereItWasJoined) {
  const std::string id = allocation_id("ab_cd", "web.front");
  EXPECT_EQ(id, "ab_cd_web.front");
  EXPECT_EQ(allocation_name(id), "web.front");
  EXPECT_EQ(ensemble_id(id), "ab_cd");
  EXPECT_EQ(ensemble_id("plain"), "plain");
  EXPECT_EQ(allocation_name("plain"), "plain");
}

TEST(Duration, ReadsTheFormOfGo) {
  EXPECT_EQ(*parse_duration("1h30m"), 5'400'000'000'000);
  EXPECT_EQ(*parse_duration("1.5s"), 1'500'000'000);
  EXPECT_EQ(*parse_duration("500ms"), 500'000'000);
  for (const char* text : {"", "5", "s", "-1s", "1.2.3s", "1x", "99999999999999h"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

}  // namespace
}  // namespace dms::jobs
