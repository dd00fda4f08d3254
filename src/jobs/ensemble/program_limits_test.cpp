#include "jobs/ensemble/program_limits.hpp"

#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "jobs/ensemble/ensemble.hpp"

namespace dms::jobs {
namespace {

std::string refusal(const char* name, json::Value value) {
  json::Object params;
  params[name] = std::move(value);
  const auto checked = check_program_limits("x", params);
  return checked ? std::string() : checked.error().message();
}

json::Value list(const std::string& word) { return json::Array{json::Value("a"), json::Value(word)}; }

TEST(ProgramLimits, AWordIsBoundedAndHasNoZeroByte) {
  for (const char* name : {"entrypoint", "cmd", "environment"}) {
    EXPECT_EQ(refusal(name, list("B=" + std::string(kMaxArgument - 2, 'b'))), "") << name;
    EXPECT_TRUE(refusal(name, list("B=" + std::string(kMaxArgument - 1, 'b')))
                    .starts_with(fmt::format("x.{}[1]: 131072 bytes, at most 131071 ", name)))
        << name;
    EXPECT_EQ(refusal(name, list(std::string("B=\0", 3))),
              fmt::format("x.{}[1]: a zero byte cannot be handed to a program", name));
  }
}

TEST(ProgramLimits, TheCommandOfAHealthCheckIsBoundedAndHasNoZeroByte) {
  const auto refused = [](std::vector<std::string> words) {
    const auto checked = check_command_limits("x.exec", words);
    return checked ? std::string() : checked.error().message();
  };
  EXPECT_EQ(refused({"test", std::string(kMaxCheckCommand - 6, 'b')}), "");
  EXPECT_EQ(refused({"test", std::string(kMaxCheckCommand - 5, 'b')}), "x.exec: 65537 bytes, at most 65536 are run");
  EXPECT_EQ(refused({"test", std::string("a\0b", 3)}), "x.exec[1]: a zero byte cannot be handed to a program");
}

TEST(ProgramLimits, AFolderCanBeEntered) {
  const char* const name = "working_directory";
  const std::string longest(kMaxFolderName, 'n');
  EXPECT_EQ(refusal(name, json::Value("a/" + longest + "/b")), "");
  EXPECT_EQ(refusal(name, json::Value("/work/" + longest + "n/b")),
            "x.working_directory: the name of a folder has 256 bytes, at most 255 are possible");
  EXPECT_NE(refusal(name, json::Value(longest + "n")), "");
  std::string path;
  while (path.size() < kMaxFolderPath) path += path.size() % 2 == 0 ? "/" : "n";
  EXPECT_EQ(refusal(name, json::Value(path)), "");
  EXPECT_EQ(refusal(name, json::Value(path + "n")),
            "x.working_directory: a path of 4096 bytes, at most 4095 are possible");
  EXPECT_EQ(refusal(name, json::Value(path.substr(1, kMaxFolderPath - 6))), "");
  EXPECT_NE(refusal(name, json::Value(path.substr(1, kMaxFolderPath - 5))), "") << "with /work/ it is too long";
  EXPECT_EQ(refusal(name, json::Value(std::string("a\0b", 3))),
            "x.working_directory: a zero byte cannot be part of a path");
}

TEST(ProgramLimits, AnEnsembleBeyondThemIsRefusedByName) {
  const auto refused = [](const std::string& member) {
    const std::string text = fmt::format(R"(
version: "V1"
allocations:
  job:
    executor: sandbox
    type: task
    resources: {{cpu: {{cores: 1}}, ram: {{size: 1}}, disk: {{size: 1}}}}
    execution:
      type: sandbox
      entrypoint: [sh]
      {}
nodes: {{n: {{allocations: [job]}}}}
)",
                                         member);
    const auto ensemble = Ensemble::parse_yaml(text);
    return ensemble ? std::string() : ensemble.error().message();
  };
  EXPECT_EQ(refused("working_directory: here"), "");
  EXPECT_TRUE(refused("working_directory: " + std::string(256, 'n'))
                  .starts_with("allocations.job.execution.working_directory: the name of a folder"))
      << refused("working_directory: " + std::string(256, 'n'));
  EXPECT_TRUE(refused("cmd: [" + std::string(kMaxArgument + 1, 'c') + "]")
                  .starts_with("allocations.job.execution.cmd[0]: 131072 bytes"));
  EXPECT_TRUE(refused("environment: {A: " + std::string(kMaxArgument - 1, 'v') + "}")
                  .starts_with("allocations.job.execution.environment[0]: 131072 bytes"));
}

}  // namespace
}  // namespace dms::jobs
