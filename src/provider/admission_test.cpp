#include "provider/admission.hpp"

#include "jobs/ensemble/program_limits.hpp"
#include "jobs/ensemble/work_path.hpp"
#include "provider/testing.hpp"

namespace dms::provider {
namespace {

protocol::AllocationConfig config() { return ProviderWorld::allocate_request("e", "a").allocations.at("a"); }

std::string refusal(const protocol::AllocationConfig& wanted) {
  const Result<void> honoured = check_config(wanted);
  return honoured ? std::string() : honoured.error().to_string();
}

TEST(Admission, WhatIsHonouredPasses) {
  protocol::AllocationConfig wanted = config();
  wanted.execution.params["environment"] = json::Array{"A=b"};
  wanted.execution.params["restart_policy"] = "";
  wanted.health_check.emplace();
  EXPECT_EQ(refusal(wanted), "");
  wanted.execution.params["restart_policy"] = "no";
  EXPECT_EQ(refusal(wanted), "") << "what exits is not started again";
}

TEST(Admission, WhatIsNotHonouredIsRefusedByName) {
  protocol::AllocationConfig wanted = config();
  wanted.executor = jobs::ExecutorType::docker;
  EXPECT_TRUE(refusal(wanted).starts_with("Execution.type: ")) << refusal(wanted);
  wanted = config();
  wanted.execution.params["restart_policy"] = "always";
  EXPECT_TRUE(refusal(wanted).starts_with("execution.params.restart_policy: ")) << refusal(wanted);
  wanted = config();
  wanted.execution.params["environment"] = 7;
  EXPECT_TRUE(refusal(wanted).starts_with("execution.params.environment")) << refusal(wanted);
  wanted = config();
  wanted.provision_scripts["setup"] = to_bytes("#!/bin/sh");
  EXPECT_TRUE(refusal(wanted).starts_with("ProvisionScripts: ")) << refusal(wanted);
  wanted = config();
  wanted.inputs.emplace_back();
  EXPECT_TRUE(refusal(wanted).starts_with("Inputs: ")) << refusal(wanted);
  wanted = config();
  wanted.results.emplace().paths = {"../out"};
  EXPECT_TRUE(refusal(wanted).starts_with("Results: ")) << refusal(wanted);
  wanted = config();
  wanted.health_check = jobs::HealthCheck{.type = jobs::HealthCheckType::http, .endpoint = "http://10.0.0.1/"};
  EXPECT_TRUE(refusal(wanted).starts_with("HealthCheck.endpoint: ")) << refusal(wanted);
}

TEST(Admission, AConfigurationIsBoundedInBytes) {
  protocol::AllocationConfig wanted = config();
  wanted.execution.params["environment"] = json::Array{boost::json::string("A=" + std::string(kMaxConfig / 3, 'x'))};
  EXPECT_EQ(refusal(wanted), "");
  const boost::json::string word(std::string(kMaxConfig / 3, 'x'));
  wanted.execution.params["cmd"] = json::Array{word, word};
  EXPECT_TRUE(refusal(wanted).starts_with("Config: ")) << refusal(wanted).substr(0, 200);
}

TEST(Admission, WhatNoProgramCanBeStartedWithIsRefusedByName) {
  protocol::AllocationConfig wanted = config();
  wanted.execution.params["cmd"] = json::Array{boost::json::string(std::string(jobs::kMaxArgument, 'x'))};
  EXPECT_EQ(refusal(wanted), "");
  wanted.execution.params["cmd"] = json::Array{boost::json::string(std::string(jobs::kMaxArgument + 1, 'x'))};
  EXPECT_TRUE(refusal(wanted).starts_with("execution.params.cmd[0]: ")) << refusal(wanted).substr(0, 200);
  wanted = config();
  wanted.execution.params["environment"] = json::Array{boost::json::string(std::string("A=\0", 3))};
  EXPECT_TRUE(refusal(wanted).starts_with("execution.params.environment[0]: ")) << refusal(wanted);
  wanted = config();
  wanted.execution.params["working_directory"] = std::string(jobs::kMaxFolderName + 1, 'd');
  EXPECT_TRUE(refusal(wanted).starts_with("execution.params.working_directory: ")) << refusal(wanted);
}

TEST(Admission, PathsAreBoundedAndNoneIsInsideAnother) {
  const auto refused = [](std::vector<std::string> paths) {
    protocol::AllocationConfig wanted = config();
    for (const std::string& path : paths) wanted.inputs.push_back({.to = path});
    const bool inputs = refusal(wanted).starts_with("Inputs: ");
    wanted.inputs.clear();
    wanted.results.emplace().paths = std::move(paths);
    const std::string results = refusal(wanted);
    EXPECT_EQ(results.starts_with("Results: "), inputs) << results;
    return inputs;
  };
  EXPECT_FALSE(refused({"a", "ab", "b/c", "b/d"}));
  EXPECT_TRUE(refused({"a", "b", "a/"}));
  EXPECT_TRUE(refused({"b/c/d", "b/c"}));
  EXPECT_TRUE(refused({"b//c"}));
  std::vector<std::string> many;
  for (std::size_t i = 0; i < jobs::kMaxTransfers; ++i) many.push_back(std::to_string(i));
  EXPECT_FALSE(refused(many));
  many.emplace_back("one more");
  EXPECT_TRUE(refused(many));
}

TEST(Admission, ResultsFitTheReservedDisk) {
  protocol::AllocationConfig wanted = config();
  const std::uint64_t disk = wanted.resources.disk.size.bytes;
  ASSERT_GT(disk, 0u);
  wanted.results.emplace().paths = {"out"};
  wanted.results->limit = disk;
  EXPECT_EQ(refusal(wanted), "");
  wanted.results->limit = disk + 1;
  EXPECT_TRUE(refusal(wanted).starts_with("Results.limit: ")) << refusal(wanted);
}

TEST(Admission, InputsAndResultsNeedADisk) {
  protocol::AllocationConfig wanted = config();
  wanted.resources.disk.size = {};
  EXPECT_EQ(refusal(wanted), "") << "other work can do without";
  wanted.inputs.push_back({.to = "in"});
  EXPECT_TRUE(refusal(wanted).starts_with("Resources.disk: ")) << refusal(wanted);
  wanted.inputs.clear();
  wanted.results.emplace().paths = {"out"};
  EXPECT_TRUE(refusal(wanted).starts_with("Resources.disk: ")) << refusal(wanted);
  wanted.resources.disk.size = {1};
  EXPECT_EQ(refusal(wanted), "");
}

TEST(Admission, AnImageIsNamedOrAnInputThatIsAFile) {
  protocol::AllocationConfig wanted = config();
  wanted.executor = jobs::ExecutorType::docker;
  wanted.execution.type = "docker";
  wanted.execution.params.clear();
  wanted.execution.params["image_archive"] = "app.tar";
  wanted.inputs = {{.to = "data"}, {.to = "app.tar"}};
  EXPECT_EQ(refusal(wanted), "");
  EXPECT_EQ(image_input(wanted), 1U);
  const auto refused = [&](auto change) {
    protocol::AllocationConfig changed = wanted;
    change(changed);
    return refusal(changed).starts_with("execution.params.image_archive: ");
  };
  EXPECT_TRUE(refused([](auto& c) { c.execution.params["image"] = "nginx"; }));
  EXPECT_TRUE(refused([](auto& c) { c.inputs[1].folder = true; }));
  EXPECT_TRUE(refused([](auto& c) { c.inputs.pop_back(); }));
  EXPECT_TRUE(refused([](auto& c) { c.execution.params["image_archive"] = 7; }));
  EXPECT_TRUE(refused([](auto& c) {
    c.executor = jobs::ExecutorType::sandbox;
    c.execution.type = "sandbox";
  }));
}

TEST(Admission, GraphicsCardsAreRefused) {
  protocol::AllocationConfig wanted = config();
  wanted.resources.gpus.emplace_back();
  EXPECT_TRUE(refusal(wanted).starts_with("Resources.gpus: ")) << refusal(wanted);
}

TEST(Admission, AHealthCheckWithoutATypeIsRefusedUnlessItIsEmpty) {
  protocol::AllocationConfig wanted = config();
  wanted.health_check.emplace();
  EXPECT_EQ(refusal(wanted), "") << "as DMS 0.5.x writes none";
  wanted.health_check->exec = {"true"};
  EXPECT_EQ(refusal(wanted), "HealthCheck.type: expected command, http or tcp");
}

TEST(Admission, MembersThatOnlyOtherImplementationsHaveAreRefusedByName) {
  const auto check = [](std::string_view text) { return check_members(to_bytes(text)); };
  EXPECT_TRUE(check(""));
  EXPECT_TRUE(check(R"({"Allocations": 7})"));
  EXPECT_TRUE(check(R"({"Allocations": {"a": 7, "b": {"Keys": null, "Volume": [], "Contracts": {}}}})"));
  const Result<void> refused = check(R"({"Allocations": {"a": {"Volume": [{"src": "/"}]}}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "a: Volume: not supported by this provider");
  EXPECT_TRUE(
      check(R"({"Allocations": {"a": {"Keys": [], "Contracts": {"c": {"did": ""}}, "Resources": {"gpu": []}}}})"))
      << "as Go writes what is not given";
  EXPECT_EQ(check(R"({"Allocations": {"a": {"Resources": {"gpu": [{"vram": 1}]}}}})").error().message(),
            "a: Resources.gpu: not supported by this provider");
  EXPECT_FALSE(check(R"({"Allocations": {"a": {"volumes": ["v:/data"]}}})"));
  EXPECT_TRUE(check_commit_members(to_bytes(R"({"Resources": {"gpu": null, "gpus": []}})")));
  EXPECT_EQ(check_commit_members(to_bytes(R"({"Resources": {"gpu": [{"vram": 1}]}})")).error().message(),
            "Resources.gpu: not supported by this provider");
  EXPECT_FALSE(check("{"));
}

TEST(Admission, MembersThatNothingHereReadsAreRefusedByNameIfTheyAreSet) {
  const auto refusal_of = [](Result<void> checked) { return checked ? std::string() : checked.error().message(); };
  const auto allocate = [&](std::string_view text) { return refusal_of(check_members(to_bytes(text))); };
  const std::string why = ": unknown member, not supported by this provider";
  EXPECT_EQ(allocate(R"({"EnsembleID": "e", "Priority": 5})"), "Priority" + why);
  EXPECT_EQ(allocate(R"({"Allocations": {"a": {"Type": "task", "Runtime": "fast"}}})"), "Allocations.a.Runtime" + why);
  EXPECT_EQ(allocate(R"({"Allocations": {"a": {"Execution": {"type": "null", "policy": "x"}}}})"),
            "Allocations.a.Execution.policy" + why);
  EXPECT_EQ(allocate(R"({"Allocations": {"a": {"Resources": {"npu": {"count": 1}}}}})"),
            "Allocations.a.Resources.npu" + why);
  EXPECT_EQ(allocate(R"({"priority": 0, "Allocations": {"a": {"Runtime": "", "Execution": {"policy": null}}}})"), "")
      << "they ask for nothing";
  EXPECT_EQ(refusal_of(check_commit_members(to_bytes(R"({"EnsembleID": "e", "Burst": true})"))), "Burst" + why);
  EXPECT_EQ(refusal_of(check_commit_members(to_bytes(R"({"EnsembleID": "e", "Burst": false})"))), "");
}

TEST(Admission, AStartWithASubnetOrPortsIsRefused) {
  EXPECT_TRUE(check_start({}));
  EXPECT_FALSE(check_start({.subnet_ip = "10.0.0.2"}));
  EXPECT_FALSE(check_start({.port_mapping = {{"80", 80}}}));
}

TEST(Admission, IncarnationsDiffer) {
  SeededRandom random(1);
  EXPECT_NE(random_incarnation(random), random_incarnation(random));
  EXPECT_EQ(random_incarnation(random).size(), 32U);
}

}  // namespace
}  // namespace dms::provider
