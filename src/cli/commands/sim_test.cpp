#include <gtest/gtest.h>

#include "cli/framework/fake_environment.hpp"

namespace dms::cli {
namespace {

struct SimCommandTest : testing::Test {
  FakeEnvironment environment;
  const std::string file = (environment.home / ".nunet" / "small.yaml").string();

  SimCommandTest() {
    environment.write("small.yaml", "providers: 3\n");
    environment.simulated->held = true;
    environment.simulated->seed = 7;
    environment.simulated->summary = "every property held\n";
    environment.simulated->report = R"({"seed":7})";
    environment.simulated->scenario = "seed: 7\n";
    environment.simulated->trace = "1.0 provider2: disk full, for 9.0 s\n";
  }
};

TEST_F(SimCommandTest, PrintsTheSummaryAndWritesTheReport) {
  const std::string report = (environment.home / "report.json").string();
  const auto result = run_in(environment, {"sim", file, "--seed", "7", "--report", report});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "every property held\n");
  EXPECT_NE(result.err.find("half of it"), std::string::npos);
  EXPECT_EQ(environment.simulated_scenario, "providers: 3\n");
  EXPECT_EQ(environment.simulated_seed, 7U);
  EXPECT_EQ(read_file(report, 100).value_or(""), "{\"seed\":7}\n");
}

TEST_F(SimCommandTest, AReportThatCannotBeWrittenIsRefusedBeforeTheRun) {
  const std::string home = environment.home.string();
  for (const auto& [path, why] :
       {std::pair(home, "is a folder"), std::pair(home + "/no/report.json", "/no is not a folder")}) {
    const auto result = run_in(environment, {"sim", file, "--report", path});
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
    EXPECT_EQ(environment.simulated_scenario, "") << "nothing was run";
  }
}

TEST_F(SimCommandTest, AsJson) {
  const auto result = run_in(environment, {"sim", file, "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "{\"seed\":7}\n");
  EXPECT_FALSE(environment.simulated_seed);
}

TEST_F(SimCommandTest, KeepsScenarioAndTraceIfAPropertyDoesNotHold) {
  environment.simulated->held = false;
  const std::string folder = (environment.home / "seeds").string();
  const auto result = run_in(environment, {"sim", file, "--keep", folder});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("`nunet sim " + folder + "/seed-7.yaml` replays"), std::string::npos) << result.err;
  EXPECT_EQ(read_file(folder + "/seed-7.trace", 100).value_or(""), environment.simulated->trace);
  EXPECT_EQ(read_file(folder + "/seed-7.yaml", 100).value_or(""), "seed: 7\n");
}

TEST_F(SimCommandTest, NamesTheSeedIfNothingIsKept) {
  environment.simulated->held = false;
  const auto result = run_in(environment, {"sim", file});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("`nunet sim " + file + " --seed 7` replays"), std::string::npos) << result.err;
}

TEST_F(SimCommandTest, AnInterruptedRunHasItsReport) {
  environment.simulated->interrupted = true;
  const auto result = run_in(environment, {"sim", file, "--json"});
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.out, "{\"seed\":7}\n");
}

TEST_F(SimCommandTest, SaysWhatIsWrong) {
  EXPECT_EQ(run_in(environment, {"sim"}).code, 2);
  EXPECT_EQ(run_in(environment, {"sim", file, "--seed", "seven"}).code, 2);
  EXPECT_EQ(run_in(environment, {"sim", file + ".missing"}).code, 1);
  environment.simulated = fail(dms::Errc::invalid_argument, "faults.kills: expected a number");
  const auto result = run_in(environment, {"sim", file});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("small.yaml: faults.kills"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace dms::cli
