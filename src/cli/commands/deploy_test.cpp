// `nunet deploy`: what is sent, and waiting for the end.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <thread>

#include "cli/commands/test_deployments.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using testing::HasSubstr;
using testing::Not;

TEST_F(DeployTest, DeployPrintsTheIdAndSendsTheEnsemble) {
  const auto result = nunet({"deploy", "-f", file, "-t", "2m"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "abc\n");
  EXPECT_EQ(requests.at(0).expiry(), world.now() + 2min);
  const auto payload = json::parse(as_text(requests.at(0).message)).value();
  EXPECT_TRUE(payload.at("Ensemble").at("v1").at("allocations").as_object().contains("work"));
}

TEST_F(DeployTest, TheLeastTimeLimitIsNamed) {
  const auto least = protocol::kMinDeploymentTime / 1s + 1;
  EXPECT_THAT(nunet({"deploy", "--help"}).out, HasSubstr(fmt::format("at least {}s [5m]", least)));
  const auto result = nunet({"deploy", "-f", file, "-t", fmt::format("{}s", least - 1)});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr(fmt::format("--timeout: expected at least {} s", least)));
  EXPECT_TRUE(requests.empty());
  EXPECT_EQ(nunet({"deploy", "-f", file, "-t", fmt::format("{}s", least)}).code, 0);
}

TEST_F(DeployTest, AnEnsembleIsReadFromStandardInput) {
  world.variables.erase("DMS_PASSPHRASE");
  world.secrets = {"secret"};
  const auto result = nunet({"deploy", "-f", "-"}, std::string(kEnsemble));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "abc\n");
  EXPECT_EQ(world.prompts.size(), 1U) << "the passphrase comes from the terminal";
  const auto payload = json::parse(as_text(requests.at(0).message)).value();
  EXPECT_TRUE(payload.at("Ensemble").at("v1").at("allocations").as_object().contains("work"));
  world.secrets = {"secret"};
  EXPECT_EQ(nunet({"actor", "cmd", "/dms/node/deployment/new", "-f", "-"}, std::string(kEnsemble)).code, 0);
  EXPECT_EQ(as_text(requests.at(1).message), as_text(requests.at(0).message));
  EXPECT_THAT(nunet({"deploy", "-f", "-"}, "version: V1\n").err, HasSubstr("standard input: "));
  EXPECT_EQ(nunet({"deploy", "-f", "-"}, std::string(2 << 20, ' ')).code, 1) << "bounded";
}

TEST_F(DeployTest, FilesNamedInAPipedEnsembleAreInTheWorkingFolder) {
  const auto pipe = (world.home / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto folder = std::filesystem::current_path();
  ASSERT_TRUE(write_file(world.home / "here/token", "s3cret"));
  std::filesystem::current_path(world.home / "here");
  std::string yaml(kEnsemble);
  yaml.insert(yaml.find("cmd:"), "environment: {A: \"${file:token}\"}, ");
  std::thread writer([&] { std::ofstream(pipe) << yaml; });
  const auto result = nunet({"deploy", "-f", pipe});
  writer.join();
  std::filesystem::current_path(folder);
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(DeployTest, PlaceholdersAreFilledInBeforeTheEnsembleIsSent) {
  (void)write_file(world.home / "token", "s3cret");
  world.variables["TOKEN"] = "t";
  std::string text(kEnsemble);
  text.insert(text.find("cmd:"), "environment: {A: \"${file:token}\", B: \"${env:TOKEN}\"}, ");
  (void)write_file(file, text);
  EXPECT_EQ(nunet({"deploy", "-f", file}).code, 0);
  EXPECT_EQ(nunet({"actor", "cmd", "/dms/node/deployment/new", "-f", file}).code, 0);
  ASSERT_GE(requests.size(), 2U);
  for (const auto& envelope : requests)
    EXPECT_THAT(std::string(as_text(envelope.message)), HasSubstr(R"("environment":["A=s3cret","B=t"])"));
}

TEST_F(DeployTest, FilesOutsideOfTheFolderOfTheEnsembleAreSentOnlyIfTheUserSaysSo) {
  ASSERT_TRUE(write_file(world.home / "token", "s3cret"));
  ASSERT_TRUE(write_file(world.home / "job/inside", "inside"));
  std::filesystem::create_symlink(world.home / "token", world.home / "job/link");
  file = (world.home / "job/ensemble.yaml").string();
  const auto deploy = [&](const std::string& named, std::vector<std::string> words) {
    std::string text(kEnsemble);
    text.insert(text.find("cmd:"), "environment: {A: \"${file:" + named + "}\"}, ");
    (void)write_file(file, text);
    words.insert(words.end(), {"-f", file});
    return nunet(words);
  };
  EXPECT_EQ(deploy("inside", {"deploy"}).code, 0);
  EXPECT_EQ(deploy((world.home / "job/inside").string(), {"deploy"}).code, 0);
  for (const std::string& outside : {std::string("../token"), (world.home / "token").string(), std::string("link")}) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"deploy"}, {"deployment", "update", "abc"}, {"actor", "cmd", "/dms/node/deployment/new"}}) {
      const auto refused = deploy(outside, words);
      EXPECT_EQ(refused.code, 1) << outside;
      EXPECT_THAT(refused.err, HasSubstr("--any-file"));
    }
    EXPECT_EQ(deploy(outside, {"deploy", "--any-file"}).code, 0) << outside;
    EXPECT_EQ(deploy(outside, {"actor", "cmd", "/dms/node/deployment/new", "--any-file"}).code, 0) << outside;
  }
}

TEST_F(DeployTest, ThePassphraseIsNotFilledIn) {
  std::string text(kEnsemble);
  text.insert(text.find("cmd:"), "environment: {A: \"${env:DMS_PASSPHRASE}\"}, ");
  (void)write_file(file, text);
  EXPECT_EQ(nunet({"deploy", "-f", file}).code, 1);
}

TEST_F(DeployTest, EveryPlaceholderThatCannotBeFilledInIsNamedWithItsPlace) {
  std::string text(kEnsemble);
  text.insert(text.find("cmd:"), "environment: {A: \"${file:gone}\", B: \"${env:UNSET}\"}, ");
  (void)write_file(file, text);
  const auto result = nunet({"deploy", "-f", file});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("allocations.work.execution.environment.A: ${file:gone}: "));
  EXPECT_THAT(result.err,
              HasSubstr("allocations.work.execution.environment.B: ${env:UNSET}: the variable UNSET is not set"));
  EXPECT_TRUE(requests.empty());
}

TEST_F(DeployTest, WaitingPrintsEachStatusOnceAndTheOutput) {
  const auto result = nunet({"deploy", "-f", file, "--wait"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "abc\nhello\n");
  EXPECT_EQ(result.err, "Preparing\nRunning\nCompleted\n");
}

TEST_F(DeployTest, AFailedDeploymentFailsTheCommand) {
  states = {"Preparing", "Failed"};
  const auto result = nunet({"deploy", "-f", file, "--follow"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("no bids"));
}

TEST_F(DeployTest, AResultThatDidNotComeBackFailsTheCommandThatWaits) {
  std::string text(kEnsemble);
  text.insert(text.find("    execution:"), "    results: [made, report]\n");
  (void)write_file(file, text);
  protocol::DeploymentInfoReply info;
  info.status = "Completed";
  info.allocations["work"].results = {"made"};
  answer = [this, &info](const actor::Envelope& e) -> std::optional<std::string> {
    return e.behaviour.ends_with("/info") ? json::encode(info) : respond(e);
  };
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait"}).code, 0) << "all have";
  info.allocations["work"].absent["report"] = "the work did not make it";
  for (const bool as_json : {false, true}) {
    polls = 0;
    std::vector<std::string> words{"deploy", "-f", file, "--wait"};
    if (as_json) words.emplace_back("--json");
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr("work: result \"report\": the work did not make it"));
    EXPECT_THAT(result.err, HasSubstr("declared results did not come back: \"report\" of work"));
    EXPECT_THAT(result.err, HasSubstr("nunet deployment results abc work"));
  }
}

TEST_F(DeployTest, ADaemonThatIsBeingStartedAgainIsWaitedFor) {
  for (const Duration away : {Duration(30s), Duration(2min)}) {
    polls = 0;
    world.daemon_back = {};
    answer = [this, away](const actor::Envelope& e) {
      if (e.behaviour.ends_with("/status") && polls == 1) world.daemon_back = world.time + away;
      return respond(e);
    };
    const auto result = nunet({"deploy", "-f", file, "--wait"});
    EXPECT_THAT(result.err, HasSubstr("The daemon does not answer; it is asked again for a minute."));
    if (away < 1min) {
      EXPECT_EQ(result.code, 0) << result.err;
      EXPECT_THAT(result.err, HasSubstr("Completed"));
    } else {
      EXPECT_EQ(result.code, 1) << result.err;
      EXPECT_THAT(result.err, HasSubstr("The deployment continues. To see its status: nunet deployment status abc"));
    }
  }
}

TEST_F(DeployTest, ADaemonThatIsLostWithItsReplyMayHaveAcceptedTheDeployment) {
  answer = [&](const actor::Envelope& e) -> std::optional<std::string> {
    world.lose_reply = e.behaviour.ends_with("/new");
    return respond(e);
  };
  const auto result = nunet({"deploy", "-f", file});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("The deployment may have been accepted. To see it: nunet deployment list"));
}

TEST_F(DeployTest, InterruptingDoesNotEndTheDeployment) {
  states = {"Running"};
  world.interrupt_after = 3;
  const auto result = nunet({"deploy", "-f", file, "--wait"});
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.out, "abc\n");
  EXPECT_THAT(result.err, HasSubstr("nunet deployment shutdown abc"));
}

TEST_F(DeployTest, OnATerminalTheUserIsAskedWhetherToLeaveTheDeploymentRunning) {
  states = {"Running"};
  world.at_terminal = true;
  const auto is_shut_down = [this] { return requests.back().behaviour == "/dms/node/deployment/shutdown"; };
  const auto interrupted = [&](const std::string& input) {
    world.interrupt_after = 3;
    return nunet({"deploy", "-f", file, "--wait"}, input);
  };
  for (const char* leave : {"\n", "y\n", ""}) {
    const auto result = interrupted(leave);
    EXPECT_EQ(result.code, 130) << leave;
    EXPECT_THAT(result.err, HasSubstr("Leave the deployment running? [Y/n] "));
    EXPECT_THAT(result.err, HasSubstr("The deployment continues."));
    EXPECT_FALSE(is_shut_down()) << leave;
  }
  world.hesitates = true;
  EXPECT_EQ(interrupted("n\n").code, 130) << "a minute later";
  world.hesitates = false;
  EXPECT_FALSE(is_shut_down());
  answer = [&](const actor::Envelope& e) -> std::optional<std::string> {
    return e.behaviour.ends_with("/shutdown") ? R"({"OK":true,"Error":""})" : respond(e);
  };
  const auto ended = interrupted("n\n");
  EXPECT_EQ(ended.code, 4);
  EXPECT_THAT(ended.err, HasSubstr("deployment abc was shut down"));
  EXPECT_THAT(ended.err, Not(HasSubstr("The deployment continues.")));
  EXPECT_TRUE(is_shut_down());
  requests.clear();
  world.interrupt_after = 3;
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait", "--json"}, "n\n").code, 130) << "programs are not asked";
  EXPECT_FALSE(is_shut_down());
}

TEST_F(DeployTest, OnATerminalBidsAreShownOnceWithTheReasons) {
  protocol::DeploymentExplainReply explained;
  explained.status = "Preparing";
  explained.choice.emplace();
  explained.choice->machines = {{"peer1", "place", true, "price 0 an hour"}, {"peer2", "", false, "\x1b[2J"}};
  answer = [&](const actor::Envelope& e) -> std::optional<std::string> {
    return e.behaviour.ends_with("/explain") ? json::encode(explained) : respond(e);
  };
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait"}).err, "Preparing\nRunning\nCompleted\n")
      << "programs get the states";
  polls = 0;
  world.at_terminal = true;
  const auto watched = nunet({"deploy", "-f", file, "--wait"});
  EXPECT_EQ(watched.code, 0) << watched.err;
  EXPECT_EQ(watched.err,
            "Preparing\n"
            "  peer1 is chosen for node place: price 0 an hour\n"
            "  peer2 is not chosen: \\x1b[2J\n"
            "Running\n"
            "Completed\n");
  polls = 0;
  answer = [&](const actor::Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/explain")) return std::nullopt;
    return respond(e);
  };
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait"}).code, 0) << "a user who may not ask why";
}

TEST_F(DeployTest, OnATerminalTheStartOfAnAllocationIsALineForEachTenth) {
  using protocol::StartPhase;
  std::vector<protocol::StartProgress> steps;
  for (const std::uint64_t mib : {0, 3, 12, 13, 34, 120}) steps.push_back({StartPhase::pulling, mib << 20, 120 << 20});
  for (const std::uint64_t mib : {60, 61}) steps.push_back({StartPhase::extracting, mib << 20, 120 << 20});
  std::size_t asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/explain")) return std::nullopt;
    if (!e.behaviour.ends_with("/status")) return respond(e);
    protocol::DeploymentStatusReply reply;
    protocol::AllocationState& web = reply.allocations["web"];
    const bool starts = asked < steps.size();
    reply.status = starts ? "Provisioning" : "Completed";
    web.status = starts ? protocol::AllocationStatus::pending : protocol::AllocationStatus::completed;
    web.peer = "12D3";
    if (starts) web.progress = steps[asked++];
    return json::encode(reply);
  };
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait"}).err,
            "Provisioning\n  web: pending on 12D3, pulling image, 0 of 120 MiB\n"
            "Provisioning\n  web: pending on 12D3, extracting image, 60 of 120 MiB\n"
            "Completed\n  web: completed on 12D3\n")
      << "programs get the phases";
  asked = 0;
  world.at_terminal = true;
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait"}).err,
            "Provisioning\n  web: pending on 12D3, pulling image, 0 of 120 MiB\n"
            "  web: pulling image, 12 of 120 MiB\n"
            "  web: pulling image, 34 of 120 MiB\n"
            "  web: pulling image, 120 of 120 MiB\n"
            "Provisioning\n  web: pending on 12D3, extracting image, 60 of 120 MiB\n"
            "Completed\n  web: completed on 12D3\n");
}

TEST_F(DeployTest, InterruptingAtAnyMomentIsToldAndNotLeftToTheSignal) {
  answer = [&](const actor::Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/new")) world.interrupt_call = true;  // the first request for the status
    return respond(e);
  };
  const auto watching = nunet({"deploy", "-f", file, "--wait"});
  EXPECT_TRUE(world.catches_interrupts) << "also between two requests";
  EXPECT_EQ(watching.code, 130);
  EXPECT_EQ(watching.out, "abc\n");
  EXPECT_THAT(watching.err, HasSubstr("nunet deployment shutdown abc"));
  world.catches_interrupts = false;
  answer = [this](const actor::Envelope& e) { return respond(e); };
  EXPECT_EQ(nunet({"deploy", "-f", file}).code, 0);
  EXPECT_FALSE(world.catches_interrupts);
}

TEST_F(DeployTest, AsJsonOneObjectIsPrintedHoweverItEnds) {
  const auto deploy = [this](bool wait) {
    std::vector<std::string> words{"deploy", "-f", file, "--json"};
    if (wait) words.emplace_back("--wait");
    polls = 0;
    return nunet(words);
  };
  auto result = deploy(false);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "{\n  \"Status\": \"OK\",\n  \"EnsembleID\": \"abc\"\n}\n");
  EXPECT_EQ(result.err, "");
  result = deploy(true);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "{\n  \"EnsembleID\": \"abc\",\n  \"Status\": \"Completed\",\n  \"Error\": \"\"\n}\n");
  EXPECT_EQ(result.err, "Preparing\nRunning\nCompleted\n");
  EXPECT_EQ(pages, 0U) << "the output is not printed, so it is not fetched";
  states = {"Preparing", "Failed"};
  result = deploy(true);
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("deployment abc failed: no bids"));
  EXPECT_EQ(json::parse(result.out)->at("Error").as_string(), "no bids");
  states = {"Running"};
  world.interrupt_after = 3;
  result = deploy(true);
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(json::parse(result.out)->at("EnsembleID").as_string(), "abc");
  EXPECT_EQ(json::parse(result.out)->at("Status").as_string(), "Running");
  EXPECT_THAT(result.err, HasSubstr("nunet deployment shutdown abc"));
  always(R"({"Status":"ERROR","Error":"the disk is full"})");
  for (const bool wait : {false, true}) {
    result = deploy(wait);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("not accepted: the disk is full"));
    EXPECT_EQ(json::parse(result.out)->at("Error").as_string(), "the disk is full") << "the reply is printed as well";
  }
}

TEST_F(DeployTest, AnInvalidEnsembleIsRefusedBeforeItIsSent) {
  (void)write_file(file, "version: V1\nallocations: {}\n");
  EXPECT_EQ(nunet({"deploy", "-f", file}).code, 1);
  EXPECT_EQ(nunet({"deploy", "-f", file + ".missing"}).code, 1);
  EXPECT_TRUE(requests.empty());
}

TEST_F(DeployTest, WhatWaitsForALaterVersionNeedNotBeCorrectedFirst) {
  (void)write_file(file, "version: V1\nallocations: {}\ncontracts: 7\n");
  const auto refused = nunet({"deploy", "-f", file});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("contracts: contracts are not available yet; remove it"));
  EXPECT_EQ(refused.err.find("contracts: expected"), std::string::npos) << refused.err;
}

TEST_F(DeployTest, AFieldWithoutEffectIsRefusedBeforeTheEnsembleIsSent) {
  std::string text(kEnsemble);
  text.insert(text.find("resources:"), "dns_name: elsewhere\n    ");
  text.insert(text.find("cmd:"), "restart_policy: always, ");
  (void)write_file(file, text);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"deploy", "-f", file}, {"deployment", "update", "abc", "-f", file}}) {
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("2 fields are not available:"));
    EXPECT_THAT(result.err, HasSubstr("allocations.work.execution.restart_policy: "));
    EXPECT_THAT(result.err, HasSubstr("allocations.work.dns_name: "));
  }
  EXPECT_TRUE(requests.empty());
}

TEST_F(DeployTest, WaitingShowsHealthAndRestarts) {
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (!e.behaviour.ends_with("/status")) return respond(e);
    const bool healthy = ++asked > 2;
    return json::write(
        json::Object{{"Status", healthy ? "Completed" : "Provisioning"},
                     {"Allocations", json::Object{{"work", json::Object{{"status", healthy ? "completed" : "running"},
                                                                        {"peer", "12D3"},
                                                                        {"health", healthy ? "healthy" : "starting"},
                                                                        {"restarts", healthy ? 2 : 0}}}}}});
  };
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait"}).err,
            "Provisioning\n  work: running on 12D3, starting\n"
            "Completed\n  work: completed on 12D3, restarted 2 times\n");
}

TEST_F(DeployTest, WaitingAsksOftenAtFirstAndSeldomLater) {
  states = std::vector<std::string>(120, "Running");
  states.emplace_back("Completed");
  const auto begin = world.now();
  EXPECT_EQ(nunet({"deploy", "-f", file, "--wait"}).code, 0);
  EXPECT_EQ(world.now() - begin, 100 * 50ms + 20 * 500ms);
}

}  // namespace
}  // namespace dms::cli
