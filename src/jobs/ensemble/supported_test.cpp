#include "jobs/ensemble/supported.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <sstream>

namespace dms::jobs {
namespace {

Ensemble plain() {
  const auto ensemble = Ensemble::parse_yaml(R"(
version: "V1"
escalation_strategy: ""
exclude_peers: [12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA]
metadata: {team: blue}
subnet: {join: false}
edges: [{s: n, t: m}, {s: n, t: m, rtt: 2000, bw: 1000000000}]
anti_affinity: [{nodes: [n, m], by: country}]
allocations:
  web:
    executor: docker
    type: service
    resources: {cpu: {cores: 1, clock_speed: 2, architecture: x86_64}, ram: {size: 1}, disk: {size: 1}, gpus: []}
    execution: {type: docker, image: nginx, entrypoint: [/bin/web], cmd: [a], environment: {A: b}, working_directory: /srv,
                user: www, privileged: true, restart_policy: "no"}
    dns_name: web
    healthcheck: {type: command, exec: [nginx, -t], response: {type: string, value: ok}, interval: 1m, timeout: 2s}
    failure_recovery: stay_down
  job:
    executor: sandbox
    type: task
    resources: {cpu: {cores: 1}, ram: {size: 1}, disk: {size: 1}}
    execution: {type: sandbox, entrypoint: [sh], cmd: [x], environment: [A=b], working_directory: /work, restart_policy: no}
    depends_on: {web: healthy}
    inputs: [{file: data, to: data}]
    results: [out]
  alone:
    executor: "null"
    type: task
    resources: {cpu: {cores: 1}, ram: {size: 1}, disk: {size: 1}}
    execution: {type: "null"}
nodes:
  n: {allocations: [web, job], peer: 12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE, redundancy: 0,
      failure_recovery: stay_down, lease: 1h, on_loss: fail, location: {reject: [{continent: Asia}]}}
  m: {allocations: [alone]}
)");
  EXPECT_TRUE(ensemble) << ensemble.error().to_string();
  return *ensemble;
}

TEST(Supported, WhatIsActedOnAndWhatAsksForNothing) {
  const auto checked = check_supported(plain());
  EXPECT_TRUE(checked) << checked.error().to_string();
}

struct Refusal {
  std::string field;
  std::function<void(Ensemble&)> ask;
};

std::vector<Refusal> refusals() {
  const std::string web = "allocations.web.";
  std::vector<Refusal> list = {
      {"escalation_strategy", [](auto& e) { e.escalation_strategy = EscalationStrategy::redeploy; }},
      {"supervisor", [](auto& e) { e.supervisor.children.emplace_back(); }},
      {"keys", [](auto& e) { e.keys["admin"] = "ssh-ed25519 AAAA"; }},
      {"scripts", [](auto& e) { e.scripts["setup"] = to_bytes("true"); }},
      {"subnet.join", [](auto& e) { e.subnet.join = true; }},
      {"contracts", [](auto& e) { e.contracts["main"].did = "did:key:z6Mk"; }},
      {"edges[0].rtt", [](auto& e) { e.edges[0].rtt = Edge::kLongestRtt + 1; }},
      {"edges[0].bw", [](auto& e) { e.edges[0].bw = Edge::kMostBandwidth + 1; }},
      {"nodes.n.ports", [](auto& e) { e.nodes["n"].ports = {{.private_port = 80, .allocation = "web"}}; }},
      {"nodes.n.lease", [](auto& e) { e.nodes["n"].lease_ns = (Node::kLongestLease + 1s).count(); }},
      {"nodes.n.lease", [](auto& e) { e.nodes["n"].lease_ns = 1; }},
      {"nodes.n.location.reject[0].asn", [](auto& e) { e.nodes["n"].location.reject[0].asn = 3320; }},
      {"nodes.n.location.reject[0].isp", [](auto& e) { e.nodes["n"].location.reject[0].isp = "x"; }},
      {"nodes.n.location.reject[0].continent", [](auto& e) { e.nodes["n"].location.reject[0].continent = "Asai"; }},
      {"nodes.n.location.reject[1].continent",
       [](auto& e) { e.nodes["n"].location.reject.push_back({.continent = "europe"}); }},
      {"nodes.n.location.reject", [](auto& e) { e.nodes["n"].location.accept = {{.continent = "Asia"}}; }},
      {"nodes.m.location.accept[0].isp",
       [](auto& e) { e.nodes["m"].location.accept = {{.continent = "Asia", .isp = "x"}}; }},
      {"nodes.n.redundancy", [](auto& e) { e.nodes["n"].redundancy = 1; }},
      {"nodes.n.failure_recovery", [](auto& e) { e.nodes["n"].failure_recovery = NodeRecovery::restart; }},
      {"allocations.job.execution.user", [](auto& e) { e.allocations["job"].execution.params["user"] = "www"; }},
  };
  const auto web_field = [&](std::string field, void (*ask)(Allocation&)) {
    list.push_back({web + field, [ask](Ensemble& e) { ask(e.allocations["web"]); }});
  };
  const auto job_field = [&](std::string field, void (*ask)(Allocation&)) {
    list.push_back({"allocations.job." + field, [ask](Ensemble& e) { ask(e.allocations["job"]); }});
  };
  job_field("execution.restart_policy", [](auto& a) { a.execution.params["restart_policy"] = "on-failure"; });
  job_field("results.limit", [](auto& a) { a.results->limit = a.resources.disk.size.bytes + 1; });
  web_field("execution.working_directory", [](auto& a) { a.execution.params["working_directory"] = "srv"; });
  web_field("executor", [](auto& a) { a.executor = ExecutorType::containerd; });
  web_field("executor", [](auto& a) { a.executor = ExecutorType::firecracker; });
  web_field("resources.cpu.model", [](auto& a) { a.resources.cpu.model = "EPYC"; });
  web_field("resources.cpu.vendor", [](auto& a) { a.resources.cpu.vendor = "AMD"; });
  web_field("resources.cpu.threads", [](auto& a) { a.resources.cpu.threads = 2; });
  web_field("resources.cpu.cache_size", [](auto& a) { a.resources.cpu.cache_size.bytes = 1; });
  web_field("resources.ram.clock_speed", [](auto& a) { a.resources.ram.clock_speed.hertz = 1; });
  web_field("resources.ram.type", [](auto& a) { a.resources.ram.type = "DDR5"; });
  web_field("resources.disk.model", [](auto& a) { a.resources.disk.model = "x"; });
  web_field("resources.disk.vendor", [](auto& a) { a.resources.disk.vendor = "x"; });
  web_field("resources.disk.type", [](auto& a) { a.resources.disk.type = "ssd"; });
  web_field("resources.disk.interface", [](auto& a) { a.resources.disk.interface = "nvme"; });
  web_field("resources.disk.read_speed", [](auto& a) { a.resources.disk.read_speed.bytes = 1; });
  web_field("resources.disk.write_speed", [](auto& a) { a.resources.disk.write_speed.bytes = 1; });
  web_field("resources.gpus", [](auto& a) { a.resources.gpus.emplace_back(); });
  web_field("execution.restart_policy", [](auto& a) { a.execution.params["restart_policy"] = "always"; });
  web_field("execution.registry_auth", [](auto& a) { a.execution.params["registry_auth"] = "x"; });
  web_field("dns_name", [](auto& a) { a.dns_name = "www.example"; });
  web_field("keys", [](auto& a) { a.keys = {{.file = "k"}}; });
  web_field("provision", [](auto& a) { a.provision = {"setup"}; });
  web_field("healthcheck.response.type", [](auto& a) { a.healthcheck.response.type = "regex"; });
  web_field("volume", [](auto& a) { a.volume.emplace_back(); });
  return list;
}

TEST(Supported, AContinentIsOneThatMachinesState) {
  Ensemble ensemble = plain();
  std::vector<capability::Location>& reject = ensemble.nodes["n"].location.reject;
  for (const std::string_view continent : capability::kContinents) {
    reject[0].continent = continent;
    EXPECT_TRUE(check_supported(ensemble)) << continent;
  }
  reject[0].continent = "Asai\n";
  const auto checked = check_supported(ensemble);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message(),
            "nodes.n.location.reject[0].continent: expected one of Africa, Antarctica, Asia, Europe, North America, "
            "Oceania, South America, found \"Asai\\x0a\"");
}

TEST(Supported, WhatIsNotActedOnIsRefusedByName) {
  for (const Refusal& refusal : refusals()) {
    Ensemble ensemble = plain();
    refusal.ask(ensemble);
    const auto checked = check_supported(ensemble);
    ASSERT_FALSE(checked) << refusal.field;
    EXPECT_TRUE(checked.error().is(Errc::unsupported));
    EXPECT_TRUE(checked.error().message().starts_with(refusal.field + ": ")) << checked.error().message();
  }
}

TEST(Supported, SupervisionIsAcceptedUnlessItContradictsItself) {
  Ensemble ensemble = plain();
  ensemble.escalation_strategy = EscalationStrategy::redeploy;
  ensemble.supervisor = {.strategy = SupervisorStrategy::all_for_one, .allocations = {"web"}};
  ensemble.allocations["job"].failure_recovery = AllocationRecovery::rest_for_one;
  const auto checked = check_supported(ensemble);
  EXPECT_TRUE(checked) << checked.error().to_string();
  ensemble.allocations["web"].failure_recovery = AllocationRecovery::one_for_one;
  const auto refused = check_supported(ensemble);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::invalid_argument));
  EXPECT_TRUE(refused.error().message().starts_with("allocations.web.failure_recovery: supervisor has a strategy"))
      << refused.error().message();
}

TEST(Supported, RestartsOfWhatNothingSupervisesAreRefused) {
  const auto refused = [](const std::function<void(Ensemble&)>& change) {
    Ensemble ensemble = plain();
    change(ensemble);
    const auto checked = check_supported(ensemble);
    return checked ? std::string("accepted") : std::string(checked.error().message());
  };
  using testing::StartsWith;
  EXPECT_THAT(refused([](Ensemble& e) { e.allocations["web"].restart = RestartType::temporary; }),
              StartsWith("allocations.web.restart: nothing starts it again"));
  EXPECT_THAT(refused([](Ensemble& e) { e.allocations["job"].significant = true; }),
              StartsWith("allocations.job.significant: no supervisor"));
  EXPECT_THAT(refused([](Ensemble& e) { e.supervisor.max_restarts = 1; }), StartsWith("supervisor: without effect"));
  EXPECT_EQ(refused([](Ensemble& e) {
              e.supervisor = {.allocations = {"job"}, .auto_shutdown = SupervisorShutdown::any_significant};
              e.allocations["job"].significant = true;
            }),
            "accepted");
}

TEST(Supported, ANodeIsStartedAgainUnlessThatContradictsIt) {
  const auto asked = [](NodeRecovery recovery, const std::function<void(Node&)>& change) {
    Ensemble ensemble = plain();
    ensemble.nodes["m"].failure_recovery = recovery;
    change(ensemble.nodes["m"]);
    const auto checked = check_supported(ensemble);
    return checked ? std::string("accepted") : std::string(checked.error().message());
  };
  using testing::HasSubstr;
  using testing::StartsWith;
  const auto pin = [](Node& node) { node.peer = "p"; };
  EXPECT_EQ(asked(NodeRecovery::restart, [](Node&) {}), "accepted");
  EXPECT_EQ(asked(NodeRecovery::redeploy, [](Node&) {}), "accepted");
  EXPECT_EQ(asked(NodeRecovery::restart, pin), "accepted");
  EXPECT_THAT(asked(NodeRecovery::redeploy, pin), StartsWith("nodes.m.failure_recovery: redeploy is for another"));
  EXPECT_THAT(asked(NodeRecovery::redeploy, pin), HasSubstr("write restart, or remove peer"));
  for (const NodeRecovery recovery : {NodeRecovery::restart, NodeRecovery::redeploy})
    EXPECT_THAT(asked(recovery, [](Node& node) { node.on_loss = OnLoss::fail; }),
                StartsWith("nodes.m.failure_recovery: on_loss is fail"));
}

TEST(Supported, StandbysAreForServicesThatAnotherMachineMayHave) {
  const auto asked = [](const std::function<void(Ensemble&)>& change) {
    Ensemble ensemble = plain();
    ensemble.allocations["alone"].type = AllocationType::service;
    ensemble.nodes["m"].redundancy = 2;
    change(ensemble);
    const auto checked = check_supported(ensemble);
    return checked ? std::string("accepted") : std::string(checked.error().message());
  };
  using testing::StartsWith;
  EXPECT_EQ(asked([](Ensemble&) {}), "accepted");
  EXPECT_THAT(asked([](Ensemble& e) { e.allocations["alone"].type = AllocationType::task; }),
              StartsWith("nodes.m.redundancy: alone is a task"));
  EXPECT_THAT(asked([](Ensemble& e) { e.nodes["m"].peer = "p"; }), StartsWith("nodes.m.redundancy: peer names"));
  EXPECT_THAT(asked([](Ensemble& e) { e.nodes["m"].on_loss = OnLoss::fail; }),
              StartsWith("nodes.m.redundancy: without effect: on_loss is fail"));
  EXPECT_THAT(asked([](Ensemble& e) { e.nodes["m-standby-2"] = e.nodes["n"]; }),
              StartsWith("nodes.m.redundancy: its standby would have the name of node m-standby-2"));
}

TEST(Supported, ParametersOfAnotherExecutorThatAskForNothingAreAccepted) {
  Ensemble ensemble = plain();
  ensemble.allocations["job"].execution.params["privileged"] = false;
  ensemble.allocations["job"].execution.params["mounts"] = json::Array();
  EXPECT_TRUE(check_supported(ensemble));
}

TEST(Supported, WorkThatTheSandboxCannotStartIsRefusedByName) {
  const auto refused = [](const char* params) {
    Ensemble ensemble = plain();
    ensemble.allocations["job"].execution.params = json::parse(params)->get_object();
    const auto checked = check_supported(ensemble);
    return checked ? std::string("accepted")
                   : checked.error().message().substr(0, checked.error().message().find(": "));
  };
  const std::string at = "allocations.job.execution.";
  EXPECT_EQ(refused(R"({"cmd": []})"), at + "cmd");
  EXPECT_EQ(refused(R"({"cmd": null, "entrypoint": []})"), at + "cmd");
  EXPECT_EQ(refused(R"({"cmd": ["-l"]})"), at + "cmd");
  EXPECT_EQ(refused(R"({"cmd": ["A=b"]})"), at + "cmd");
  EXPECT_EQ(refused(R"({"cmd": ["a"], "entrypoint": [""]})"), at + "entrypoint");
  EXPECT_EQ(refused(R"({"cmd": [], "entrypoint": ["sh"]})"), "accepted");
  for (const char* folder : {"../x", "/etc", "a/../../b", "/work/../etc", "/workshop"})
    EXPECT_EQ(refused(fmt::format(R"({{"cmd": ["a"], "working_directory": "{}"}})", folder).c_str()),
              at + "working_directory")
        << folder;
  for (const char* folder : {"a", "a/../b", "/work", "/work/", "/tmp/x", "."})
    EXPECT_EQ(refused(fmt::format(R"({{"cmd": ["a"], "working_directory": "{}"}})", folder).c_str()), "accepted")
        << folder;
}

TEST(Supported, TheExecutorOfTheSimulationIsNotOffered) {
  const auto checked = check_offered(plain());
  ASSERT_FALSE(checked);
  EXPECT_TRUE(checked.error().message().starts_with("allocations.alone.executor: ")) << checked.error().message();
  Ensemble without = plain();
  without.allocations.erase("alone");
  EXPECT_TRUE(check_offered(without));
}

TEST(Supported, EveryRefusalIsReportedAtOnce) {
  std::vector<Refusal> list = refusals();
  std::erase_if(list, [](const Refusal& refusal) {  // what is not checked here, or is no mistake beside another
    return refusal.field.ends_with(".executor") || refusal.field == "escalation_strategy";
  });
  Ensemble ensemble = plain();
  for (const Refusal& refusal : list) refusal.ask(ensemble);
  const auto checked = check_supported(ensemble);
  ASSERT_FALSE(checked);
  for (const Refusal& refusal : list)
    EXPECT_NE(checked.error().message().find("\n  " + refusal.field + ": "), std::string::npos) << refusal.field;
}

/// The names of the members of a type, as its JSON has them.
template <class T>
void add_names(std::vector<std::string_view>& names) {
  std::apply([&](const auto&... field) { (names.push_back(field.name), ...); }, T::json_fields());
}

TEST(Supported, TheReadmeSaysOfEveryFieldWhatActsOnIt) {
  std::ifstream in(DMS_SOURCE_DIR "/src/jobs/README.md");
  std::ostringstream readme;
  readme << in.rdbuf();
  std::vector<std::string_view> names = {"type",       "image",         "image_archive",     "entrypoint",
                                         "cmd",        "environment",   "working_directory", "user",
                                         "privileged", "restart_policy"};
  add_names<EnsembleV1>(names);
  add_names<Allocation>(names);
  add_names<Node>(names);
  add_names<Supervisor>(names);
  add_names<HealthCheck>(names);
  add_names<Input>(names);
  add_names<Results>(names);
  add_names<capability::Cpu>(names);
  add_names<capability::Ram>(names);
  add_names<capability::Disk>(names);
  add_names<capability::Resources>(names);
  for (const std::string_view name : names)
    EXPECT_NE(readme.str().find(fmt::format("`{}`", name)), std::string::npos) << name;
}

}  // namespace
}  // namespace dms::jobs
