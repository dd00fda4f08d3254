// `nunet actor tree`.
#include <gmock/gmock.h>

#include "cli/commands/test_daemon.hpp"
#include "protocol/actor_tree.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using protocol::ActorInfo;
using protocol::AllocationStatus;
using protocol::Supervised;
using testing::HasSubstr;

const std::string kId(64, 'a');

ActorInfo actor_at(const std::string& host, const std::string& inbox) {
  ActorInfo info;
  info.handle.address = {host, inbox};
  info.parent = "root";
  return info;
}

Supervised supervisor(std::string name, std::string strategy) {
  Supervised made;
  made.name = std::move(name);
  made.strategy = std::move(strategy);
  made.phase = "running";
  made.intensity = 10;
  made.period_ns = Duration(1h).count();
  return made;
}

Supervised work(std::string name, AllocationStatus status = AllocationStatus::running) {
  Supervised made;
  made.name = std::move(name);
  made.restart = "permanent";
  made.phase = "running";
  made.allocation.emplace();
  made.allocation->status = status;
  made.allocation->peer = "12D3Bob";
  return made;
}

/// A daemon that has one actor on each page.
struct ActorTreeTest : DaemonTest {
  std::vector<ActorInfo> actors;  ///< the root and, in the order of their inboxes, the others
  std::vector<std::string> wanted;

  ActorTreeTest() {
    answer = [this](const Envelope& e) { return respond(e); };
    ActorInfo root;
    root.handle = node;
    ActorInfo own = actor_at(node.address.host, kId);
    own.deployment.emplace();
    own.deployment->status = "Running";
    own.deployment->name = "demo";
    actors = {root, own};
  }
  std::optional<std::string> respond(const Envelope& e) {
    if (e.behaviour == "/dms/node/deployment/list") return fmt::format(R"({{"Deployments":{{"{}":"Running"}}}})", kId);
    if (e.behaviour != "/dms/node/actors/tree") return std::nullopt;
    const auto request = json::decode<protocol::ActorTreeRequest>(e.message).value();
    wanted.push_back(request.deployment);
    std::size_t at = request.after.empty() ? 0 : 1;
    while (at < actors.size() && at > 0 && actors[at].handle.address.inbox <= request.after) ++at;
    protocol::ActorTreeReply reply;
    if (at < actors.size()) reply.actors.push_back(actors[at]);
    // Behind the root, which is out of order, the first one follows.
    if (at + 1 < actors.size()) reply.next = at == 0 ? "!" : actors[at].handle.address.inbox;
    return json::encode(reply);
  }
  Supervised& supervision() { return actors[1].deployment->supervision; }
  std::string shown() {
    const auto printed = nunet({"actor", "tree"});
    EXPECT_EQ(printed.code, 0) << printed.err;
    return printed.out;
  }
  std::string root_line() { return fmt::format("root: the node {}, {}\n", node.address.host, node.did.uri()); }
  std::string own_line(std::string_view more) { return fmt::format("  deployment {} (demo): Running{}\n", kId, more); }
};

TEST_F(ActorTreeTest, ADeploymentIsShownWithItsSupervisorsAndWhatTheySupervise) {
  supervision() = supervisor("", "one_for_one");
  supervision().intensity = 0;
  Supervised written = supervisor("supervisor", "rest_for_one");
  written.recent = 2;
  written.restarts = 1;
  written.last = "it needed more than 10 restarts in 1 h";
  Supervised first = work("db");
  first.allocation->health = protocol::Health::healthy;
  first.allocation->restarts = 1;
  first.last = "exit code 7";
  Supervised second = work("web", AllocationStatus::pending);
  second.phase = "waiting";
  second.last = "exit code 1";
  second.allocation->peer.clear();
  second.allocation->reason = "exit code 1; it is started again";
  second.pause_ns = Duration(9s + 1ms).count();
  Supervised inner = supervisor("[0]", "one_for_all");
  inner.phase = "waiting";
  inner.period_ns = Duration(5min).count();
  inner.pause_ns = Duration(2min).count();
  Supervised third = work("log");
  third.restart = "transient";
  third.escalates = true;
  third.phase = "waiting";
  third.allocation.reset();
  inner.children = {third};
  written.children = {first, second, inner};
  supervision().children = {written};
  actors[1].deployment->error = "a machine is suspected";
  EXPECT_EQ(shown(), root_line() + own_line(", one_for_one, running, gives up at the first failure") +
                         "    supervisor: rest_for_one, running, 2 of 10 restarts in 1 h, started again once, last "
                         "ended: it needed more "
                         "than 10 restarts in 1 h\n"
                         "      db: permanent, running on 12D3Bob, healthy, restarted once, last ended: exit code 7\n"
                         "      web: permanent, pending, exit code 1; it is started again, starts again in 10 s\n"
                         "      [0]: one_for_all, waiting, 0 of 10 restarts in 5 min, starts again in 2 min\n"
                         "        log: transient, escalates, has no machine yet, waits for its turn\n"
                         "    a machine is suspected\n");
}

TEST_F(ActorTreeTest, WithoutSupervisionTheAllocationsAreBelowTheDeployment) {
  Supervised task = work("task", AllocationStatus::completed);
  task.restart = task.phase = "";
  supervision().children = {task};
  EXPECT_EQ(shown(), root_line() + own_line("") + "    task: completed on 12D3Bob\n");
}

TEST_F(ActorTreeTest, WhatRunsHereIsShownWithWhoseItIsAndWhoSupervisesIt) {
  ActorInfo held = actor_at(node.address.host, "4f_task");
  held.allocation.emplace();
  held.allocation->id = held.allocation->name = "4f_task";
  held.allocation->status = AllocationStatus::failed;
  held.allocation->orchestrator = "did:key:z6MkStranger";
  held.allocation->restarts = 2;
  held.allocation->reason = "exit code 3";
  held.supervisor.emplace();
  held.supervisor->address = {"12D3Alice", "4f"};
  ActorInfo own = held;
  own.handle.address.inbox = own.allocation->name = kId + "_task";
  own.allocation->status = AllocationStatus::running;
  own.allocation->being_ended = true;
  own.allocation->restarts = 0;
  own.allocation->reason.clear();
  own.supervisor->address = {node.address.host, kId};
  const ActorInfo auction = actor_at(node.address.host, "99");
  actors.insert(actors.begin() + 1, {held, auction});
  actors.push_back(own);
  const std::string printed = shown();
  EXPECT_EQ(printed,
            root_line() + own_line("") +
                "  allocation 4f_task: failed, restarted 2 times, for did:key:z6MkStranger, supervised by 4f on "
                "12D3Alice, exit code 3\n" +
                fmt::format("  allocation {0}_task: running, being ended, for did:key:z6MkStranger, supervised by {0} "
                            "here\n",
                            kId) +
                "  actor 99\n");
}

TEST_F(ActorTreeTest, WhatStrangersHaveWrittenIsEscaped) {
  const std::string attack = "\x1b[2J\nroot: \xe2\x80\xae";
  supervision() = supervisor("", "one_for_one");
  Supervised task = work("task");
  task.last = task.allocation->peer = attack;
  supervision().children = {task};
  actors[1].deployment->name = actors[1].deployment->error = attack;
  ActorInfo held = actor_at(node.address.host, kId + "_x");
  held.allocation.emplace();
  held.allocation->orchestrator = held.allocation->reason = held.allocation->name = attack;
  held.supervisor.emplace();
  held.supervisor->address = {attack, attack};
  actors.push_back(held);
  for (const bool as_json : {false, true}) {
    const auto printed = as_json ? nunet({"actor", "tree", "--json"}) : nunet({"actor", "tree"});
    EXPECT_EQ(printed.code, 0) << printed.err;
    EXPECT_EQ(printed.out.find('\x1b'), std::string::npos) << printed.out;
    EXPECT_EQ(printed.out.find("\xe2\x80\xae"), std::string::npos) << printed.out;
    EXPECT_EQ(printed.out.find("\nroot: \\"), std::string::npos) << printed.out;
  }
}

TEST_F(ActorTreeTest, OneDeploymentIsNamedByHowItsIdBegins) {
  const auto printed = nunet({"actor", "tree", "--deployment", "aaaa"});
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(wanted, (std::vector<std::string>{kId, kId}));
  requests.clear();
  EXPECT_EQ(nunet({"actor", "tree", "--deployment", ""}).code, 2);
  EXPECT_TRUE(requests.empty());
  EXPECT_EQ(nunet({"__complete", "--", "actor", "tree", "--deployment", "aa"}).out, kId + "\n");
}

TEST_F(ActorTreeTest, AsJsonItIsAnObjectWithTheActorsByTheirInboxes) {
  supervision() = supervisor("", "one_for_one");
  supervision().children = {work("task")};
  const auto printed = nunet({"actor", "tree", "--json"});
  EXPECT_EQ(printed.code, 0) << printed.err;
  const auto read = json::parse(printed.out).value();
  ASSERT_EQ(read.as_object().size(), 2U);
  EXPECT_EQ(read.at("root").at("handle").at("did").at("uri").as_string(), node.did.uri());
  const json::Value& own = read.at(kId);
  EXPECT_EQ(own.at("parent").as_string(), "root");
  EXPECT_EQ(own.at("deployment").at("supervision").at("max_restarts").to_number<int>(), 10);
  const json::Value& child = own.at("deployment").at("supervision").at("children").at(0);
  EXPECT_EQ(child.at("allocation").at("peer").as_string(), "12D3Bob");
}

TEST_F(ActorTreeTest, AnErrorAndAPageThatComesTwiceEndWithOne) {
  always(R"({"actors":[],"error":"no actor here is of a deployment 'x'"})");
  auto printed = nunet({"actor", "tree", "--deployment", "x"});
  EXPECT_EQ(printed.code, 1);
  EXPECT_EQ(printed.out, "");
  EXPECT_THAT(printed.err, testing::StartsWith("nunet: no actor here is of a deployment 'x'"));
  always(R"({"actors":[],"next":"x"})");
  printed = nunet({"actor", "tree"});
  EXPECT_EQ(printed.code, 1);
  EXPECT_THAT(printed.err, HasSubstr("a page of actors twice"));
  answer = [](const Envelope&) { return std::nullopt; };
  EXPECT_EQ(nunet({"actor", "tree"}).code, 3);
}

}  // namespace
}  // namespace dms::cli
