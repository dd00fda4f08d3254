// `nunet deployment`: what is listed, shown, updated and removed.
#include <gmock/gmock.h>

#include "cli/commands/test_deployments.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using testing::HasSubstr;

TEST_F(DeployTest, ADeploymentThatWasShutDownHasNotSucceeded) {
  always(R"({"Status":"Completed","Error":"","Reason":"it was shut down"})");
  const auto status = nunet({"deployment", "status", "abc"});
  EXPECT_EQ(status.code, 0);
  EXPECT_EQ(status.out, "Completed: it was shut down\n");
  EXPECT_EQ(json::parse(nunet({"deployment", "status", "abc", "--json"}).out)->at("Reason").as_string(),
            "it was shut down");
  EXPECT_EQ(nunet({"deployment", "info", "abc"}).out, "Completed: it was shut down\n");
  protocol::DeploymentListReply reply;
  reply.deployments = {{"a", "Completed"}};
  reply.details["a"] = {.created = 1'760'000'000'000'000'000, .allocations = 1, .reason = "it was shut down"};
  always(json::encode(reply));
  EXPECT_THAT(nunet({"deployment", "list"}).out, HasSubstr("  Completed: it was shut down  "));
  EXPECT_THAT(nunet({"deployment", "list", "--json"}).out, HasSubstr(R"("reason": "it was shut down")"));
  answer = [this](const actor::Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status")) return R"({"Status":"Completed","Error":"","Reason":"it was shut down"})";
    return respond(e);
  };
  for (const bool as_json : {false, true}) {
    std::vector<std::string> words{"deploy", "-f", file, "--wait"};
    if (as_json) words.emplace_back("--json");
    const auto waited = nunet(words);
    EXPECT_EQ(waited.code, 4) << waited.err;
    EXPECT_THAT(waited.err, HasSubstr("deployment abc did not run to its end: it was shut down"));
  }
}

TEST_F(DeployTest, AnEmptyIdIsRefusedByTheNameOfItsArgument) {
  for (const char* command :
       {"status", "info", "logs", "results", "manifest", "update", "shutdown", "cancel", "delete"}) {
    const auto positional = nunet({"deployment", command, ""});
    EXPECT_EQ(positional.code, 2) << command;
    EXPECT_THAT(positional.err, HasSubstr("<deployment>: the id of the deployment is empty")) << command;
    const auto option = nunet({"deployment", command, "--id", ""});
    EXPECT_EQ(option.code, 2) << command;
    EXPECT_THAT(option.err, HasSubstr("--id: the id of the deployment is empty")) << command;
  }
  for (const char* behaviour : {"status", "manifest", "info", "shutdown", "delete", "logs", "update"}) {
    const auto result = nunet({"actor", "cmd", fmt::format("/dms/node/deployment/{}", behaviour), "--id", "",
                               "--allocation", "work", "-f", file});
    EXPECT_EQ(result.code, 2) << behaviour;
  }
  const auto result = nunet({"actor", "cmd", "/dms/node/deployment/status", "--id", ""});
  EXPECT_THAT(result.err, HasSubstr("--id: expected id of the deployment, found nothing"));
  EXPECT_TRUE(requests.empty());
}

TEST_F(DeployTest, TheFirstCharactersOfAnIdAreEnoughIfNoOtherBeginsSo) {
  std::string asked;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/list"))
      return R"({"Deployments":{"4f2a11":"Running","4f2a22":"Running","4f2a2":"Failed"}})";
    asked = std::string(as_text(e.message));
    return respond(e);
  };
  const auto is_asked_for = [&](std::string_view id) {
    return asked.find(fmt::format("\"{}\"", id)) != std::string::npos;
  };
  for (const char* command : {"status", "info", "logs", "manifest", "shutdown", "cancel", "delete"}) {
    (void)nunet({"deployment", command, "4f2a1"});
    EXPECT_TRUE(is_asked_for("4f2a11")) << command << ": " << asked;
  }
  (void)nunet({"deployment", "results", "4f2a1", "work"});
  EXPECT_TRUE(is_asked_for("4f2a11")) << asked;
  (void)nunet({"deployment", "update", "--id", "4f2a1", "-f", file});
  EXPECT_TRUE(is_asked_for("4f2a11")) << asked;
  (void)nunet({"deployment", "status", "4f2a2"});
  EXPECT_TRUE(is_asked_for("4f2a2")) << "it is an id: " << asked;
  (void)nunet({"deployment", "status", "4f2"});
  EXPECT_TRUE(is_asked_for("4f2")) << "it is too short: " << asked;
  (void)nunet({"deployment", "status", "4f2c"});
  EXPECT_TRUE(is_asked_for("4f2c")) << "the daemon says that there is none: " << asked;
  asked.clear();
  const auto result = nunet({"deployment", "shutdown", "4f2a"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("the id 4f2a is that of several deployments: 4f2a11, 4f2a2, 4f2a22;"));
  EXPECT_EQ(asked, "") << "nothing is shut down";
}

TEST_F(DeployTest, AnExitCodeIsNamedOnce) {
  const auto shown = [this](int code, std::string_view reason) {
    const json::Object work{{"status", "failed"}, {"exit_code", code}, {"reason", reason}};
    always(json::write(json::Object{{"Status", "Failed"}, {"Allocations", json::Object{{"work", work}}}}));
    return nunet({"deployment", "status", "abc"}).out;
  };
  EXPECT_EQ(shown(129, "exit code 129, perhaps SIGHUP"), "Failed\n  work: failed, exit code 129, perhaps SIGHUP\n");
  EXPECT_EQ(shown(7, "out of memory"), "Failed\n  work: failed, exit code 7, out of memory\n");
  EXPECT_EQ(shown(7, ""), "Failed\n  work: failed, exit code 7\n");
  EXPECT_EQ(shown(-1, "its disk is full"), "Failed\n  work: failed, its disk is full\n") << "no process gave one";
}

TEST_F(DeployTest, ALongReasonIsToldOnce) {
  const std::string reason = "the engine has no image of this name, and the registry refuses to give one";
  const auto count = [&](const std::string& text) {
    int found = 0;
    for (auto at = text.find(reason); at != std::string::npos; at = text.find(reason, at + 1)) ++found;
    return found;
  };
  protocol::DeploymentStatusReply status;
  protocol::DeploymentInfoReply info;
  const auto show = [&](const std::string& error, const std::string& first, const std::string& second) {
    status.status = info.status = "Failed";
    status.error = info.error = error;
    status.allocations["first"].reason = info.allocations["first"].reason = first;
    status.allocations["second"].reason = info.allocations["second"].reason = second;
    answer = [&](const Envelope& e) {
      return e.behaviour.ends_with("/info") ? json::encode(info) : json::encode(status);
    };
    const std::string shown = nunet({"deployment", "status", "abc"}).out;
    EXPECT_EQ(count(nunet({"deployment", "info", "abc"}).out), 1) << "as the status";
    EXPECT_EQ(count(shown), 1) << shown;
    return shown;
  };
  EXPECT_THAT(show("first could not be started: " + reason, "it could not be started: " + reason, ""),
              HasSubstr("\n  first could not be started\n"));
  EXPECT_THAT(show(reason + "; 12D3 may hold work", reason, reason + "; an earlier run may exist"),
              HasSubstr("\n  first: pending\n  second: pending, an earlier run may exist\n"));
  EXPECT_THAT(show("", reason, reason), HasSubstr("\n  second: pending, for the same reason as first\n"));
  const std::string all = "the deployment has failed: " + reason;
  EXPECT_THAT(show(reason, all, all), HasSubstr("  second: pending, the deployment has failed\n"));
}

TEST_F(DeployTest, TextOfOtherMachinesReachesTheTerminalEscaped) {
  const std::string hostile = "\x1b[2J\x1b[Hx\u009b2J\u202e\nCompleted";
  const std::string shown = "\\x1b[2J\\x1b[Hx\\u009b2J\\u202e\\x0aCompleted";
  const auto expect_harmless = [](const std::string& text) {
    for (const std::string_view raw : {"\x1b", "\u009b", "\u202e", "\nCompleted"})
      EXPECT_EQ(text.find(raw), std::string::npos) << text;
  };
  always(json::write(
      json::Object{{"Status", "Failed"},
                   {"Allocations", json::Object{{"work", json::Object{{"status", hostile}, {"reason", hostile}}}}}}));
  auto result = nunet({"deployment", "status", "abc"});
  EXPECT_EQ(result.out, fmt::format("Failed\n  work: failed, {}\n", shown));
  result = nunet({"deployment", "status", "abc", "--json"});
  expect_harmless(result.out);
  EXPECT_EQ(json::parse(result.out)->at("Allocations").at("work").at("reason").as_string(), hostile)
      << "the same value";
  always(json::write(json::Object{{"Status", ""}, {"Error", hostile}}));
  for (const char* command : {"status", "manifest", "logs"}) {
    result = nunet({"deployment", command, "abc"});
    EXPECT_EQ(result.code, 1) << command;
    expect_harmless(result.out + result.err);
  }
  always(json::write(json::Object{{"Deployments", json::Object{{hostile, hostile}}}}));
  result = nunet({"deployment", "list"});
  EXPECT_THAT(result.out, HasSubstr(shown));
  expect_harmless(result.out);
  always(json::write(json::Object{{"OK", false}, {"Error", hostile}}));
  result = nunet({"actor", "cmd", "/public/hello"});
  EXPECT_EQ(result.code, 1);
  expect_harmless(result.out + result.err);
  world.daemon = [&](const HttpRequest&) { return HttpResponse{400, json::write(json::Object{{"error", hostile}})}; };
  expect_harmless(nunet({"actor", "cmd", "/public/hello"}).err);
  expect_harmless(nunet({hostile}).err);
}

TEST_F(DeployTest, DeploymentsAreListedShownAndShutDown) {
  EXPECT_EQ(nunet({"deployment", "list"}).out,
            "DEPLOYMENT  NAME  STATUS     CREATED  ALLOCATIONS\nabc         -     Running    -        -\n"
            "abcdef      -     Completed  -        -\n");
  EXPECT_EQ(
      nunet({"deployment", "list", "--json"}).out,
      "{\n  \"abc\": {\n    \"status\": \"Running\"\n  },\n  \"abcdef\": {\n    \"status\": \"Completed\"\n  }\n}\n");
  EXPECT_EQ(nunet({"deployment", "status", "abc"}).out, "Preparing\n");
  EXPECT_EQ(nunet({"deployment", "status", "-i", "abc"}).out, "Running\n");
  EXPECT_EQ(nunet({"deployment", "logs", "abc"}).out, "hello\n");
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "-a", "work"}).out, "hello\n");
  EXPECT_EQ(nunet({"deployment", "status"}).code, 2);
  always(R"({"OK":true,"Error":""})");
  EXPECT_EQ(nunet({"deployment", "shutdown", "abc"}).code, 0);
  EXPECT_EQ(nunet({"deployment", "cancel", "abc"}).err, "Deployment abc is shut down.\n");
  EXPECT_EQ(requests.back().behaviour, "/dms/node/deployment/shutdown");
  always(R"({"OK":true,"Error":"","Status":"Completed"})");
  const auto ended = nunet({"deployment", "shutdown", "abc"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.err,
            "Deployment abc has ended already: Completed. `nunet deployment logs abc` prints its output, "
            "`nunet deployment delete abc` removes it.\n");
  always(R"({"OK":false,"Error":"there is no deployment 'abc'"})");
  EXPECT_EQ(nunet({"deployment", "shutdown", "abc"}).code, 1);
}

TEST_F(DeployTest, AllPagesOfTheListAreFetched) {
  answer = [](const Envelope& e) -> std::optional<std::string> {
    const auto request = json::decode<protocol::DeploymentListRequest>(e.message).value();
    if (request.after.empty()) return R"({"Deployments":{"a":"Running","b":"Failed"},"Next":"b"})";
    if (request.after == "b") return R"({"Deployments":{"c":"Running"}})";
    return R"({"Error":"unexpected"})";
  };
  EXPECT_EQ(nunet({"deployment", "list"}).out,
            "DEPLOYMENT  NAME  STATUS   CREATED  ALLOCATIONS\na           -     Running  -        -\n"
            "b           -     Failed   -        -\nc           -     Running  -        -\n");
  always(R"({"Deployments":{"a":"Running"},"Next":"a"})");
  const auto endless = nunet({"deployment", "list"});
  EXPECT_EQ(endless.code, 1);
  EXPECT_THAT(endless.err, HasSubstr("twice"));
}

TEST_F(DeployTest, TheNewestDeploymentsAreListedFirstWithWhatTheyAre) {
  protocol::DeploymentListReply reply;
  reply.deployments = {{"a", "Completed"}, {"b", "Running"}, {"c", "Unreadable"}};
  reply.details["a"] = {.created = 1'760'000'000'000'000'000, .allocations = 1};
  reply.details["b"] = {.name = "shop", .created = 1'760'000'060'000'000'000, .allocations = 3, .running = 2};
  always(json::encode(reply));
  EXPECT_EQ(nunet({"deployment", "list"}).out,
            "DEPLOYMENT  NAME  STATUS      CREATED                  ALLOCATIONS\n"
            "b           shop  Running     2025-10-09 08:54:20 UTC  3, 2 running\n"
            "a           -     Completed   2025-10-09 08:53:20 UTC  1\n"
            "c           -     Unreadable  -                        -\n");
  const auto page = nunet({"deployment", "list", "-n", "1", "--offset", "1"});
  EXPECT_EQ(page.out,
            "DEPLOYMENT  NAME  STATUS     CREATED                  ALLOCATIONS\n"
            "a           -     Completed  2025-10-09 08:53:20 UTC  1\n");
  EXPECT_EQ(page.err, "1 of 3 deployments, from number 2 on\n");
  const auto printed = json::parse(nunet({"deployment", "list", "--limit", "1", "--json"}).out).value();
  EXPECT_EQ(json::write(printed),
            R"({"b":{"status":"Running","name":"shop","created":1760000060000000000,"allocations":3,"running":2}})");
  EXPECT_EQ(nunet({"deployment", "list", "--offset", "9"}).code, 0);
  EXPECT_EQ(nunet({"deployment", "list", "--limit", "many"}).code, 2);
  const auto none = nunet({"deployment", "list", "-n", "0"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("--limit: expected a number above 0, found 0"));
}

TEST_F(DeployTest, TheListSaysOfWorkThatWaitsThatNoneRuns) {
  protocol::DeploymentListReply reply;
  reply.deployments = {{"a", "Failed"}, {"b", "Committing"}};
  reply.details["a"] = {.created = 1, .allocations = 1};
  reply.details["b"] = {.created = 2, .allocations = 1};
  always(json::encode(reply));
  const auto list = nunet({"deployment", "list"}).out;
  EXPECT_THAT(list, HasSubstr(" UTC  1, 0 running\na "));
  EXPECT_THAT(list, testing::EndsWith(" UTC  1\n"));
}

TEST_F(DeployTest, ATableShortensReasonsAndJsonHasThemWhole) {
  protocol::DeploymentListReply reply;
  reply.deployments = {{"a", "Failed"}};
  reply.details["a"] = {.created = 1, .reason = "no machine\nwas found" + std::string(1000, 'x')};
  always(json::encode(reply));
  const auto table = nunet({"deployment", "list"});
  EXPECT_THAT(table.out, HasSubstr("Failed: no machine\\x0awas foundxxx"));
  EXPECT_THAT(table.out, HasSubstr("xxx...  "));
  EXPECT_LT(table.out.size(), 600u);
  const auto printed = json::parse(nunet({"deployment", "list", "--json"}).out).value();
  EXPECT_EQ(printed.at("a").at("reason").as_string(), reply.details["a"].reason);
}

TEST_F(DeployTest, TheListIsFilteredByTheDaemon) {
  const auto sent = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"deployment", "list"});
    EXPECT_EQ(nunet(words).code, 0);
    return std::string(as_text(requests.back().message));
  };
  EXPECT_EQ(sent({"--status", "running,Failed", "--filter", "team=blue"}),
            R"({"Metadata":{"team":"blue"},"Status":["Running","Failed"]})");
  always(R"({"Deployments":{}})");
  EXPECT_EQ(nunet({"deployment", "list", "--status", "Running"}).err, "No deployment matches.\n");
  const auto wrong = nunet({"deployment", "list", "--status", "Runing"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("ShuttingDown or Completed"));
  for (const char* filter : {"", "team", "=blue"}) {
    const auto refused = nunet({"deployment", "list", "--filter", filter});
    EXPECT_EQ(refused.code, 2) << filter;
    EXPECT_THAT(refused.err, HasSubstr(fmt::format("--filter: expected key=value, found \"{}\"", filter)));
  }
}

TEST_F(DeployTest, InfoShowsWhatAllocationsUse) {
  protocol::DeploymentInfoReply info;
  info.status = "Running";
  info.created = world.now().nanos;
  info.metadata = {{"team", "blue"}};
  protocol::AllocationUsage& usage = info.allocations["work"];
  usage.status = protocol::AllocationStatus::running;
  usage.peer = "12D3";
  usage.health = protocol::Health::healthy;
  usage.node = "place";
  usage.type = "task";
  usage.executor = "sandbox";
  usage.resources.cpu.cores = {500};
  usage.resources.ram.size = {1 << 30};
  usage.resources.disk.size = {1 << 30};
  usage.lease_ns = Duration(5min).count();
  usage.cpu_seconds = 1.5;
  usage.memory_bytes = 64 << 20;
  usage.out_size = 2048;
  usage.err_size = 1024;
  usage.incarnation = "i1";
  usage.results = {"out", "report.txt"};
  always(json::encode(info));
  EXPECT_EQ(nunet({"deployment", "info", "abc"}).out,
            "Running\n"
            "  created 2025-10-09 08:53:20 UTC\n"
            "  team=blue\n"
            "  work: running on 12D3, healthy\n"
            "    node        place\n"
            "    runs as     task in sandbox\n"
            "    reserved    0.5 cores, 1 GiB memory, 1 GiB disk\n"
            "    used        1.50 s of processor time, 64 MiB memory\n"
            "    output      3 KiB, 1 KiB of it on standard error\n"
            "    lease       300.0 s\n"
            "    incarnation i1\n"
            "    results     out, report.txt\n");
  usage.memory_bytes = 0;
  always(json::encode(info));
  EXPECT_THAT(nunet({"deployment", "info", "abc"}).out,
              HasSubstr("used        1.50 s of processor time, unknown memory"));
  usage.cpu_seconds = 0;
  always(json::encode(info));
  EXPECT_THAT(nunet({"deployment", "info", "abc"}).out, HasSubstr("    used        unknown\n"));
  const auto printed = json::parse(nunet({"deployment", "info", "abc", "--json"}).out).value();
  EXPECT_FALSE(printed.at("Allocations").at("work").as_object().contains("cpu_seconds")) << "absent, not 0";
  EXPECT_FALSE(printed.at("Allocations").at("work").as_object().contains("memory_bytes"));
  EXPECT_EQ(json::write(printed), json::encode(info)) << "the reply as it is";
  always(R"({"Status":"","Error":"there is no deployment 'abc'","Created":0,"Ended":0})");
  EXPECT_EQ(nunet({"deployment", "info", "abc"}).code, 1);
  EXPECT_EQ(nunet({"deployment", "info", "abc", "--json"}).code, 1);
}

TEST_F(DeployTest, TheStatusTellsOfAProviderThatDoesNotAnswer) {
  protocol::DeploymentStatusReply status;
  status.status = "Running";
  protocol::AllocationState& state = status.allocations["work"];
  state.status = protocol::AllocationStatus::running;
  state.peer = "12D3";
  state.health = protocol::Health::healthy;
  state.unreachable_ns = Duration(12s).count();
  always(json::encode(status));
  EXPECT_EQ(nunet({"deployment", "status", "abc"}).out,
            "Running\n  work: running on 12D3, healthy when last heard from, not heard from for 12 s\n");
  state.lost_at = world.now().nanos;
  always(json::encode(status));
  EXPECT_EQ(nunet({"deployment", "status", "abc"}).out,
            "Running\n  work: running on 12D3, healthy when last heard from, not heard from for 12 s, lost at "
            "2025-10-09 08:53:20 UTC at the latest\n");
  state.status = protocol::AllocationStatus::restarting;
  always(json::encode(status));
  EXPECT_EQ(
      nunet({"deployment", "status", "abc"}).out,
      "Running\n  work: restarting on 12D3, healthy when last heard from, not heard from for 12 s, its lease ends "
      "at 2025-10-09 08:53:20 UTC at the latest, and its run there with it\n");
  const auto printed = json::parse(nunet({"deployment", "status", "abc", "--json"}).out).value();
  EXPECT_EQ(printed.at("Allocations").at("work").at("unreachable_for").to_number<std::int64_t>(), 12'000'000'000);
}

TEST_F(DeployTest, TheStatusTellsHowFarAStartIs) {
  protocol::DeploymentStatusReply status;
  status.status = "Provisioning";
  protocol::AllocationState& state = status.allocations["web"];
  state.peer = "12D3";
  const auto shown = [&](protocol::StartPhase phase, std::uint64_t done, std::uint64_t total) {
    state.progress = protocol::StartProgress{phase, done, total};
    always(json::encode(status));
    return nunet({"deployment", "status", "abc"}).out;
  };
  using protocol::StartPhase;
  const std::string begin = "Provisioning\n  web: pending on 12D3";
  EXPECT_EQ(shown(StartPhase::inputs, 0, 0), begin + ", fetching inputs\n");
  EXPECT_EQ(shown(StartPhase::pulling, 5, 900), begin + ", pulling image, 5 of 900 B\n");
  EXPECT_EQ(shown(StartPhase::extracting, 34 << 10, 120 << 10), begin + ", extracting image, 34 of 120 KiB\n");
  EXPECT_EQ(shown(StartPhase::loading, 1536ULL << 20, 2ULL << 30), begin + ", loading image, 1.5 of 2.0 GiB\n");
  const auto printed = json::parse(nunet({"deployment", "status", "abc", "--json"}).out).value();
  EXPECT_EQ(json::write(printed.at("Allocations").at("web").at("progress")),
            R"({"phase":"loading","done":1610612736,"total":2147483648})");
  EXPECT_EQ(shown(StartPhase::unknown, 1, 2), begin + "\n");
  EXPECT_EQ(shown(StartPhase::pulling, 3, 2), begin + "\n");
}

TEST_F(DeployTest, ADeploymentIsUpdatedDeletedAndPruned) {
  always(R"({"OK":true,"Error":""})");
  EXPECT_EQ(nunet({"deployment", "update", "abc", "-f", file}).err, "Deployment abc is updated.\n");
  const auto payload = json::parse(as_text(requests.back().message)).value();
  EXPECT_EQ(payload.at("EnsembleID").as_string(), "abc");
  EXPECT_TRUE(payload.at("Ensemble").at("v1").at("allocations").as_object().contains("work"));
  EXPECT_EQ(requests.back().behaviour, "/dms/node/deployment/update");
  always(R"({"OK":true,"Error":"","Unchanged":true})");
  EXPECT_EQ(nunet({"deployment", "update", "abc", "-f", file}).err,
            "Deployment abc has this ensemble already; nothing is changed.\n");
  always(R"({"OK":true,"Error":""})");
  EXPECT_EQ(nunet({"deployment", "delete", "abc"}).err, "Deployment abc and its output are deleted.\n");
  EXPECT_EQ(requests.back().behaviour, "/dms/node/deployment/delete");
  EXPECT_EQ(nunet({"deployment", "delete", "abc", "--json"}).out, "{\n  \"OK\": true,\n  \"Error\": \"\"\n}\n");
  always(R"({"OK":false,"Error":"it has not ended"})");
  for (const char* command : {"update", "delete", "shutdown", "cancel"}) {
    std::vector<std::string> words{"deployment", command, "abc", "--json"};
    if (words[1] == "update") words.insert(words.end(), {"-f", file});
    const auto refused = nunet(words);
    EXPECT_EQ(refused.code, 1) << command;
    EXPECT_THAT(refused.err, HasSubstr("it has not ended"));
    EXPECT_THAT(refused.out, HasSubstr("it has not ended")) << "the reply is printed as well";
  }
  always(R"({"Deployments":["abc","def"]})");
  const auto pruned = nunet({"deployment", "prune", "--older-than", "7d", "--filter", "team=blue"});
  EXPECT_EQ(pruned.out, "abc\ndef\n");
  EXPECT_EQ(pruned.err, "2 deployments and their output are deleted.\n");
  EXPECT_EQ(as_text(requests.back().message), R"({"Metadata":{"team":"blue"},"OlderThan":604800000000000})");
  EXPECT_EQ(nunet({"deployment", "prune", "--older-than", "0s"}).code, 0) << "all that have ended";
  EXPECT_EQ(as_text(requests.back().message), "{}");
  EXPECT_EQ(nunet({"deployment", "prune", "--older-than", "-1s"}).code, 2);
  always(R"({"Deployments":[],"Error":"the disk is full"})");
  EXPECT_EQ(nunet({"deployment", "prune"}).code, 1);
}

TEST_F(DeployTest, IdsAndAllocationsAreCompletedIfThePassphraseIsInTheEnvironment) {
  const auto offered = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"__complete", "--"});
    return nunet(words).out;
  };
  EXPECT_EQ(offered({"deployment", "status", "ab"}), "abc\nabcdef\n");
  EXPECT_EQ(offered({"deployment", "logs", "abc", ""}), "work\n");
  EXPECT_EQ(offered({"deployment", "logs", "abc", "-a", "w"}), "work\n");
  EXPECT_EQ(offered({"deployment", "list", "--status", "Sh"}), "ShuttingDown\n");
  always(R"j({"Deployments":{"$(rm)":"Running","ok":"Running"}})j");
  EXPECT_EQ(offered({"deployment", "status", ""}), "ok\n") << "it goes to a shell";
  world.variables.erase("DMS_PASSPHRASE");
  world.secrets = {"secret"};
  EXPECT_EQ(offered({"deployment", "status", ""}), "");
  EXPECT_TRUE(world.prompts.empty());
}

}  // namespace
}  // namespace dms::cli
