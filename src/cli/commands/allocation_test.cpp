// `nunet allocation` and `nunet status`.
#include <gmock/gmock.h>

#include "cli/commands/test_deployments.hpp"
#include "protocol/node.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using protocol::AllocationStatus;
using testing::HasSubstr;
using testing::Not;

protocol::AllocationInfo held(const std::string& id, AllocationStatus status = AllocationStatus::running) {
  protocol::AllocationInfo info;
  info.id = info.name = id;
  info.orchestrator = "did:key:z6MkStranger";
  info.status = status;
  info.resources.cpu.cores = {500};
  info.resources.ram.size = {1 << 30};
  info.resources.disk.size = {1 << 30};
  info.created_at = 1'760'000'000'000'000'000;
  return info;
}

/// A daemon on whose machine strangers' work runs.
struct HeldTest : DaemonTest {
  std::vector<protocol::AllocationInfo> allocations;
  std::map<std::string, FakeStream> streams;  ///< "<name>/stdout"
  std::size_t rounds = 0;
  std::function<void()> on_page = [] {};
  protocol::OwnerStopReply ended{.ok = true, .status = "terminated"};
  protocol::NodeStatus node_status;

  HeldTest() {
    allocations = {held("4f2a11_web"), held("4f2a11_db"), held("77aa_job", AllocationStatus::completed)};
    allocations[0].started_at = 1'760'000'060'000'000'000;
    allocations[0].lease_ns = Duration(5min).count();
    allocations[1].being_ended = true;
    allocations[2].reason = "exit code 0";
    streams = {{"4f2a11_web/stdout", {.text = "serving\n"}}, {"4f2a11_web/stderr", {.text = "bad\n"}}};
    node_status.hostname = "machine";
    node_status.did = "did:key:z6MkNode";
    node_status.network.p2p = {"12D3Node", "/ip4/192.0.2.7/tcp/9000"};
    node_status.onboarded = true;
    node_status.resources.onboarded = held("").resources;
    node_status.resources.free.cpu.cores = {250};
    answer = [this](const Envelope& e) { return respond(e); };
  }

  std::optional<std::string> respond(const Envelope& e) {
    if (e.behaviour == "/dms/node/allocations/list") return json::encode(page(e));
    if (e.behaviour == "/dms/node/allocations/logs") return json::encode(logs(e));
    if (e.behaviour == "/dms/node/allocations/stop") return json::encode(ended);
    if (e.behaviour == "/dms/node/peers/list") return R"({"Peers":["12D3A","12D3B"]})";
    if (e.behaviour == "/dms/node/deployment/list") return R"({"Deployments":{"abc":"Running"}})";
    if (e.behaviour != "/dms/node/status") return std::nullopt;
    protocol::NodeStatusReply reply;
    reply.peers.emplace("12D3Node", node_status);
    return json::encode(reply);
  }
  /// One allocation in a page.
  protocol::AllocationsReply page(const Envelope& e) {
    const auto request = json::decode<protocol::AllocationsRequest>(e.message).value();
    const std::size_t at = request.after.empty() ? 0 : std::stoul(request.after);
    protocol::AllocationsReply reply;
    if (at < allocations.size()) reply.allocations = {allocations[at]};
    if (at + 1 < allocations.size()) reply.next = std::to_string(at + 1);
    return reply;
  }
  protocol::AllocationLogsResponse logs(const Envelope& e) {
    const auto request = json::decode<protocol::OwnerLogsRequest>(e.message).value();
    protocol::AllocationLogsResponse response;
    const auto found = streams.find(request.id + "/" + request.stream);
    if (found == streams.end()) {
      response.error = "no allocation here has a name that begins so";
    } else {
      auto taken = found->second.page(request.offset, protocol::kLogPage);
      static_cast<protocol::LogPage&>(response) = std::move(taken);
    }
    ++rounds;
    on_page();
    return response;
  }
  std::vector<std::string> asked_to_end() {
    std::vector<std::string> names;
    for (const Envelope& e : requests)
      if (e.behaviour == "/dms/node/allocations/stop")
        names.push_back(json::decode<protocol::OwnerStopRequest>(e.message).value().id);
    return names;
  }
};

TEST_F(HeldTest, TheListSaysWhatRunsHereForWhomAndUntilWhen) {
  const auto listed = nunet({"allocation", "list"});
  EXPECT_EQ(listed.code, 0) << listed.err;
  std::string table;
  const auto add = [&](std::string_view name, std::string_view status, std::string_view whose, std::string_view what,
                       std::string_view since, std::string_view until) {
    table += fmt::format("{:<10}  {:<22}  {:<20}  {:<35}  {:<23}  {}\n", name, status, whose, what, since, until);
  };
  const std::string_view whose = "did:key:z6MkStranger";
  const std::string_view what = "0.5 cores, 1 GiB memory, 1 GiB disk";
  add("ALLOCATION", "STATUS", "ORCHESTRATOR", "RESOURCES", "SINCE", "LEASE UNTIL");
  add("4f2a11_web", "running", whose, what, "2025-10-09 08:54:20 UTC", "2025-10-09 08:58:20 UTC");
  add("4f2a11_db", "running, being ended", whose, what, "2025-10-09 08:53:20 UTC", "-");
  add("77aa_job", "completed: exit code 0", whose, what, "2025-10-09 08:53:20 UTC", "-");
  EXPECT_EQ(listed.out, table);
  const auto printed = json::parse(nunet({"allocation", "list", "--json"}).out).value();
  ASSERT_EQ(printed.as_object().size(), 3U);
  EXPECT_EQ(printed.at("4f2a11_web").at("deployment").as_string(), "4f2a11");
  EXPECT_EQ(printed.at("4f2a11_web").at("allocation").as_string(), "web");
  EXPECT_EQ(printed.at("4f2a11_web").at("orchestrator").as_string(), "did:key:z6MkStranger");
  EXPECT_EQ(printed.at("4f2a11_web").at("lease").to_number<std::int64_t>(), Duration(5min).count());
  EXPECT_EQ(printed.at("77aa_job").at("reason").as_string(), "exit code 0");
  allocations.clear();
  const auto none = nunet({"allocation", "list"});
  EXPECT_EQ(none.out, "");
  EXPECT_EQ(none.err, "Nothing runs on this machine.\n");
}

TEST_F(HeldTest, PagesThatGoInACircleAreRefused) {
  int asked = 0;
  answer = [&](const Envelope&) -> std::optional<std::string> {
    if (++asked > 10) return std::nullopt;
    protocol::AllocationsReply reply;
    reply.allocations = {allocations[0]};
    reply.next = asked % 2 == 0 ? "a" : "b";
    return json::encode(reply);
  };
  const auto listed = nunet({"allocation", "list"});
  EXPECT_EQ(listed.code, 1);
  EXPECT_THAT(listed.err, HasSubstr("the daemon sent a page of allocations twice"));
}

TEST_F(HeldTest, TheListSaysHowFarAStartIs) {
  allocations = {held("4f2a11_web", AllocationStatus::pending)};
  allocations[0].progress = protocol::StartProgress{protocol::StartPhase::pulling, 34 << 20, 120 << 20};
  EXPECT_THAT(nunet({"allocation", "list"}).out, HasSubstr("4f2a11_web  pending, pulling image, 34 of 120 MiB  "));
  const auto printed = json::parse(nunet({"allocation", "list", "--json"}).out).value();
  EXPECT_EQ(json::write(printed.at("4f2a11_web").at("progress")),
            R"({"phase":"pulling","done":35651584,"total":125829120})");
}

TEST_F(HeldTest, WhatStrangersWriteReachesTheTerminalEscaped) {
  const std::string hostile = "\x1b[2J\u202e\rx";
  allocations[0].reason = hostile;
  allocations[0].orchestrator = hostile;
  streams["4f2a11_web/stdout"].text = "a\tb\n" + hostile + "\xff\ncut \xc3";
  streams["4f2a11_web/stderr"].text = hostile;
  for (const auto& shown : {nunet({"allocation", "list"}), nunet({"allocation", "logs", "4f2a11_web"}),
                            nunet({"status"}), nunet({"allocation", "stop", "4f2a11_web"})})
    for (const std::string_view raw : {"\x1b", "\u202e", "\r", "\xff"}) {
      EXPECT_EQ(shown.out.find(raw), std::string::npos) << shown.out;
      EXPECT_EQ(shown.err.find(raw), std::string::npos) << shown.err;
    }
  EXPECT_EQ(nunet({"allocation", "logs", "4f2a11_web"}).out, "a\tb\n\\x1b[2J\\u202e\\x0dx\\xff\ncut \\xc3");
  const auto raw = nunet({"allocation", "logs", "4f2a11_web", "--raw"});
  EXPECT_EQ(raw.out, streams["4f2a11_web/stdout"].text);
  EXPECT_EQ(raw.err, hostile);
}

TEST_F(HeldTest, TheOutputOfOneIsPrinted) {
  const auto both = nunet({"allocation", "logs", "4f2a11_w"});
  EXPECT_EQ(both.code, 0) << both.err;
  EXPECT_EQ(both.out, "serving\n");
  EXPECT_EQ(both.err, "bad\n");
  EXPECT_EQ(nunet({"allocation", "logs", "4f2a11_web", "--stdout"}).err, "");
  EXPECT_EQ(nunet({"allocation", "logs", "4f2a11_web", "--stderr"}).out, "");
  EXPECT_EQ(nunet({"allocation", "logs", "4f2a11_web", "--stdout", "--stderr"}).code, 2);
  streams["4f2a11_web/stdout"] = {.text = "gone newest\n", .dropped = 5};
  const auto dropped = nunet({"allocation", "logs", "4f2a11_web", "--stdout"});
  EXPECT_EQ(dropped.out, "newest\n");
  EXPECT_EQ(dropped.err,
            "(5 bytes of the standard output of 4f2a11_web are missing here: only the newest output is kept)\n");
  streams.clear();
  EXPECT_EQ(nunet({"allocation", "logs", "4f2a11_web"}).code, 1);
}

TEST_F(HeldTest, WhatIsWrittenMeanwhileIsPrintedOnlyIfItIsFollowed) {
  FakeStream& out = streams["4f2a11_web/stdout"];
  out = {.text = "1\n", .ended = false};
  on_page = [&] { out.text += "2\n"; };
  EXPECT_EQ(nunet({"allocation", "logs", "4f2a11_web", "--stdout"}).out, "1\n");
  out = {.text = "1\n", .ended = false};
  streams["4f2a11_web/stderr"].ended = false;
  rounds = 0;
  on_page = [&] {
    if (rounds == 4) out.text += "2\n";
    if (rounds != 8) return;
    out.text += "3\n";
    for (auto& [name, stream] : streams) stream.ended = true;
    allocations[0].status = AllocationStatus::completed;
  };
  const auto followed = nunet({"allocation", "logs", "4f2a11_web", "--follow"});
  EXPECT_EQ(followed.code, 0) << followed.err;
  EXPECT_EQ(followed.out, "1\n2\n3\n");
  EXPECT_EQ(followed.err, "bad\n");
  EXPECT_TRUE(world.catches_interrupts);
}

TEST_F(HeldTest, FollowingEndsOnceItsOrchestratorHasHadTheWorkRemoved) {
  for (auto& [name, stream] : streams) stream.ended = false;
  rounds = 0;
  on_page = [&] {
    if (rounds != 5) return;
    streams.clear();
    allocations.erase(allocations.begin());
  };
  const auto followed = nunet({"allocation", "logs", "4f2a11_web", "--follow"});
  EXPECT_EQ(followed.code, 0) << followed.err;
  EXPECT_EQ(followed.out, "serving\n");
  EXPECT_THAT(followed.err,
              HasSubstr("(4f2a11_web is no longer on this machine; the end of its output may be missing)"));
}

TEST_F(HeldTest, FollowingIsInterruptedAndWaitsForADaemonThatIsStartedAgain) {
  for (auto& [name, stream] : streams) stream.ended = false;
  world.interrupt_after = 3;
  EXPECT_EQ(nunet({"allocation", "logs", "4f2a11_web", "--follow"}).code, 0);
  world.interrupt_after = 0;
  rounds = 0;
  on_page = [&] {
    if (rounds == 4) world.daemon_back = world.now() + 10s;
    if (rounds != 8) return;
    for (auto& [name, stream] : streams) stream.ended = true;
    allocations[0].status = AllocationStatus::completed;
  };
  const auto followed = nunet({"allocation", "logs", "4f2a11_web", "--follow"});
  EXPECT_EQ(followed.code, 0) << followed.err;
  EXPECT_EQ(followed.out, "serving\n");
  EXPECT_THAT(followed.err, HasSubstr("The daemon does not answer"));
}

TEST_F(HeldTest, WorkIsEndedOnceTheOwnerConfirmsIt) {
  const auto unasked = nunet({"allocation", "stop", "4f2a11_w"});
  EXPECT_EQ(unasked.code, 1);
  EXPECT_THAT(unasked.err,
              HasSubstr("4f2a11_web runs here for did:key:z6MkStranger, who is told that you have ended it"));
  EXPECT_THAT(unasked.err, HasSubstr("Use --yes to confirm."));
  world.at_terminal = true;
  EXPECT_EQ(nunet({"allocation", "stop", "4f2a11_w"}, "n\n").code, 1);
  EXPECT_TRUE(asked_to_end().empty());
  EXPECT_EQ(nunet({"allocation", "stop", "4f2a11_w"}, "y\n").code, 0);
  world.at_terminal = false;
  const auto stopped = nunet({"allocation", "stop", "4f2a11_d", "--yes"});
  EXPECT_EQ(stopped.code, 0) << stopped.err;
  EXPECT_EQ(stopped.err, "4f2a11_db is ended.\n");
  EXPECT_EQ(asked_to_end(), (std::vector<std::string>{"4f2a11_web", "4f2a11_db"}));
  ended = {.ok = true, .status = "completed", .before = true};
  EXPECT_EQ(
      nunet({"allocation", "stop", "77aa"}).err,
      "77aa_job has ended already: completed. `nunet allocation logs 77aa_job` prints its output while it is kept.\n")
      << "no question";
  EXPECT_THAT(nunet({"allocation", "stop", "77aa", "--json"}).out, HasSubstr(R"("EndedBefore": true)"));
  ended = {.error = "only the owner of this machine may do this"};
  const auto refused = nunet({"allocation", "stop", "4f2a11_web", "-y"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("only the owner of this machine may do this"));
}

TEST_F(HeldTest, TheGraceIsPassedOnAndWaitedFor) {
  EXPECT_EQ(nunet({"allocation", "stop", "4f2a11_web", "-y", "--grace", "2m"}).code, 0);
  const auto request = json::decode<protocol::OwnerStopRequest>(requests.back().message).value();
  EXPECT_EQ(request.grace_ns, Duration(2min).count());
  EXPECT_EQ(requests.back().expiry(), world.now() + protocol::kAllocationsStop.timeout + 2min);
  EXPECT_EQ(nunet({"allocation", "stop", "4f2a11_web", "-y"}).code, 0);
  EXPECT_FALSE(json::decode<protocol::OwnerStopRequest>(requests.back().message).value().grace_ns);
  EXPECT_EQ(nunet({"allocation", "stop", "4f2a11_web", "-y", "--grace", "0s"}).code, 0) << "at once";
  EXPECT_EQ(json::decode<protocol::OwnerStopRequest>(requests.back().message).value().grace_ns, 0);
  const std::size_t before = requests.size();
  for (const char* wrong : {"soon", "-1s", "6m"})
    EXPECT_EQ(nunet({"allocation", "stop", "4f2a11_web", "-y", "--grace", wrong}).code, 2) << wrong;
  EXPECT_EQ(requests.size(), before);
}

TEST_F(HeldTest, AnIdThatNamesNoneOrSeveralEndsNothing) {
  for (const char* command : {"logs", "stop"}) {
    const auto several = nunet({"allocation", command, "4f2a"});
    EXPECT_EQ(several.code, 2);
    EXPECT_THAT(several.err, HasSubstr("the id 4f2a is that of several allocations: 4f2a11_web, 4f2a11_db;"));
    const auto none = nunet({"allocation", command, "77ab"});
    EXPECT_EQ(none.code, 1);
    EXPECT_THAT(none.err, HasSubstr("no allocation on this machine has the id 77ab"));
    EXPECT_EQ(nunet({"allocation", command, "77a"}).code, 1) << "it is too short";
    const std::size_t before = requests.size();
    EXPECT_EQ(nunet({"allocation", command, ""}).code, 2);
    EXPECT_EQ(requests.size(), before);
  }
  EXPECT_TRUE(asked_to_end().empty());
}

TEST_F(HeldTest, ARefusalEndsWithThree) {
  answer = [](const Envelope&) { return std::nullopt; };
  for (const char* command : {"list", "logs", "stop"}) {
    std::vector<std::string> words{"allocation", command};
    if (words[1] != "list") words.emplace_back("4f2a11_web");
    EXPECT_EQ(nunet(words).code, 3) << command;
  }
  EXPECT_EQ(nunet({"status"}).code, 3);
}

TEST_F(HeldTest, IdsOfAllocationsAreCompleted) {
  allocations.push_back(held("$(rm)_x"));
  allocations.push_back(held(std::string(64, 'e') + "_long"));
  EXPECT_EQ(nunet({"__complete", "--", "allocation", "stop", "4f"}).out, "4f2a11_db\n4f2a11_web\n");
  EXPECT_EQ(nunet({"__complete", "--", "allocation", "logs", "e"}).out, std::string(64, 'e') + "_long\n");
  EXPECT_EQ(nunet({"__complete", "--", "allocation", "logs", "$"}).out, "") << "it goes to a shell";
}

TEST_F(HeldTest, TheStatusIsOnOneScreen) {
  const auto status = nunet({"status"});
  EXPECT_EQ(status.code, 0) << status.err;
  EXPECT_THAT(status.out, HasSubstr("host      machine\n"
                                    "identity  did:key:z6MkNode\n"
                                    "peer      12D3Node\n"
                                    "addresses /ip4/192.0.2.7/tcp/9000\n"
                                    "peers     2 connected\n"
                                    "offers    0.5 cores, 1 GiB memory, 1 GiB disk\n"
                                    "free      0.25 cores"));
  EXPECT_THAT(status.out, HasSubstr("4f2a11_web  running"));
  EXPECT_THAT(status.out, Not(HasSubstr("77aa_job")));
  EXPECT_THAT(status.out, HasSubstr("1 ended and kept for their orchestrators"));
  EXPECT_THAT(status.out, HasSubstr("abc         -     Running"));
  const auto printed = json::parse(nunet({"status", "--json"}).out).value();
  EXPECT_EQ(printed.at("node").at("did").as_string(), "did:key:z6MkNode");
  EXPECT_EQ(printed.at("peers").as_array().size(), 2U);
  EXPECT_EQ(printed.at("allocations").as_object().size(), 3U) << "what has ended, too";
  EXPECT_EQ(printed.at("deployments").at("abc").at("status").as_string(), "Running");
  node_status.onboarded = false;
  node_status.errors = {"total resources: unknown"};
  node_status.unenforced = {{"sandbox", "memory is not limited"}};
  allocations.clear();
  const auto idle = nunet({"status"}).out;
  EXPECT_THAT(idle, HasSubstr("offers    nothing; "));
  EXPECT_THAT(idle, Not(HasSubstr("free  ")));
  EXPECT_THAT(idle, HasSubstr("limits    sandbox: memory is not limited\n"));
  EXPECT_THAT(idle, HasSubstr("unknown   total resources: unknown\n"));
  EXPECT_THAT(idle, HasSubstr("Nothing runs on this machine.\n"));
}

TEST_F(HeldTest, TheStatusShowsTheNewestDeployments) {
  protocol::DeploymentListReply many;
  for (std::uint64_t i = 0; i < 12; ++i) {
    const std::string id = fmt::format("d{:02}", i);
    many.deployments[id] = "Completed";
    many.details[id] = {.created = 1'760'000'000'000'000'000 + i, .allocations = 1};
  }
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    return e.behaviour == "/dms/node/deployment/list" ? json::encode(many) : respond(e);
  };
  const auto status = nunet({"status"}).out;
  EXPECT_THAT(status, HasSubstr("\nd11"));
  EXPECT_THAT(status, HasSubstr("\nd02"));
  EXPECT_THAT(status, Not(HasSubstr("\nd01")));
  EXPECT_THAT(status, HasSubstr("2 older ones; see `nunet deployment list`\n"));
}

}  // namespace
}  // namespace dms::cli
