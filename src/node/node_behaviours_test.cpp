#include "node/node_behaviours.hpp"

#include "actor/test_world.hpp"
#include "base/log.hpp"
#include "executor/fake/fake.hpp"
#include "protocol/serve.hpp"

namespace dms::node {
namespace {

struct NodeBehavioursTest : testing::Test {
  ~NodeBehavioursTest() override {
    w.world.run(node.node, async.close());
    w.close();
  }
  void start(std::filesystem::path capabilities_file) {
    options.capabilities_file = std::move(capabilities_file);
    actor::TestWorld::trust(node, user);
    ASSERT_TRUE(behaviours.start());
  }
  protocol::CapAnchorReply anchor(const did::Did& root) {
    protocol::CapAnchorRequest request;
    request.root = {root};
    return w.run(user, protocol::call(*user.root, protocol::kCapAnchor, node.root->handle(), request)).value();
  }

  Task<void> note(did::Did owner) {
    renewed.push_back(std::move(owner));
    co_return;
  }

  protocol::NodeStatus status() {
    auto reply = w.run(user, protocol::call(*user.root, protocol::kNodeStatus, node.root->handle(), {})).value();
    EXPECT_EQ(reply.peers.size(), 1U);
    return reply.peers.at(node.network->self().to_string());
  }

  actor::MemoryTestWorld w{3};
  actor::TestNode& node = w.add("node");
  actor::TestNode& user = w.add("user");
  db::AsyncStore async{node.lane(), *db::Store::open(":memory:")};
  std::unique_ptr<resources::Manager> resources =
      resources::Manager::open(async, [this] { return w.world.now(); }).value();
  Services services{node.node.runtime(), *node.network, async, *resources, {}, {}, {}, "boot", {}, {}};
  Options options;
  CapabilityFile capabilities{node.lane(), node.context, options.capabilities_file};
  std::vector<did::Did> renewed;
  NodeBehaviours behaviours{services, options, *node.root, capabilities,
                            [this](did::Did owner) { return note(std::move(owner)); }};
};

TEST_F(NodeBehavioursTest, AnAnchorThatCannotBeSavedIsUndoneAndReported) {
  start("/proc/no-such-folder/capabilities.json");
  const actor::TestNode& third = w.add("third");
  const std::string before = node.context->serialise();
  const protocol::CapAnchorReply reply = anchor(third.did());
  EXPECT_FALSE(reply.ok);
  EXPECT_FALSE(reply.error.empty());
  EXPECT_EQ(node.context->serialise(), before);
  EXPECT_TRUE(renewed.empty());
}

TEST_F(NodeBehavioursTest, WhoAnchorsCapabilitiesIsHeardFrom) {
  start({});
  ASSERT_TRUE(anchor(w.add("third").did()).ok);
  EXPECT_EQ(renewed, std::vector{user.did()});
}

TEST_F(NodeBehavioursTest, TheAnchorsOfAnotherContextThanTheNodesAreNotListed) {
  start({});
  const auto list = [this](const std::string& context) {
    protocol::CapListRequest request;
    request.context = context;
    return w.run(user, protocol::call(*user.root, protocol::kCapList, node.root->handle(), request)).value();
  };
  EXPECT_TRUE(list("").ok);
  EXPECT_EQ(list("").roots, std::vector{user.did()});
  EXPECT_TRUE(list(std::string(capabilities.name())).ok);
  const protocol::CapListReply refused = list("another");
  EXPECT_FALSE(refused.ok);
  EXPECT_NE(refused.error.find("Context: "), std::string::npos) << refused.error;
  EXPECT_TRUE(refused.roots.empty());
}

TEST_F(NodeBehavioursTest, TheMissingPartOfAShareIsNamed) {
  start({});
  services.machine = [] { return Result<capability::Resources>(capability::Resources{}); };
  protocol::OnboardRequest request;
  const auto reply = w.run(user, protocol::call(*user.root, protocol::kOnboard, node.root->handle(), request)).value();
  EXPECT_FALSE(reply.ok);
  EXPECT_NE(reply.error.find("cores"), std::string::npos) << reply.error;
}

TEST_F(NodeBehavioursTest, TheStatusHoldsEveryPartAndTheSettingsThatMayBeShown) {
  start({});
  capability::Resources machine;
  machine.cpu.cores = *capability::Millicores::from_cores(4);
  machine.ram.size = machine.disk.size = {std::uint64_t{8} << 30};
  services.machine = [machine] { return Result<capability::Resources>(machine); };
  services.hostname = [] { return Result<std::string>("host"); };
  services.interfaces = [] {
    return Result<std::vector<hardware::Interface>>({{"eth0", {"192.0.2.1/24"}, "02:00:00:00:00:01"}});
  };
  options.config = json::parse(R"({"rest":{"port":9999}})").value();
  protocol::NodeStatus found = status();
  EXPECT_EQ(found.hostname, "host");
  EXPECT_EQ(found.did, node.did().uri());
  EXPECT_EQ(json::encode(found.network),
            fmt::format(R"({{"interfaces":[{{"name":"eth0","ip":["192.0.2.1/24"],"mac_address":"02:00:00:00:00:01"}}],)"
                        R"("p2p":{{"id":"{}","listen_addr":"{}"}}}})",
                        node.network->self().to_string(), fmt::join(node.network->listen_addresses(), ", ")));
  EXPECT_FALSE(found.onboarded);
  EXPECT_EQ(found.resources.total, machine);
  EXPECT_EQ(found.config, options.config);
  EXPECT_TRUE(found.errors.empty());

  capability::Resources share = machine;
  share.cpu.cores = *capability::Millicores::from_cores(2);
  ASSERT_TRUE(w.run(node, resources->onboard(share, machine)));
  found = status();
  EXPECT_TRUE(found.onboarded);
  EXPECT_EQ(found.resources.onboarded, share);
  EXPECT_EQ(found.resources.free, share);
}

TEST_F(NodeBehavioursTest, TheStatusCountsTheActorsThatAreThere) {
  start({});
  services.machine = [] { return Result<capability::Resources>(capability::Resources()); };
  services.hostname = [] { return Result<std::string>("host"); };
  services.interfaces = [] { return Result<std::vector<hardware::Interface>>(std::vector<hardware::Interface>()); };
  EXPECT_EQ(status().actors, 1U) << "the node's own";
  const auto child = node.root->create_child("work").value();
  EXPECT_EQ(status().actors, 2U);
  w.run(node, child->stop());
  EXPECT_EQ(status().actors, 1U);
}

TEST_F(NodeBehavioursTest, APartOfTheStatusThatFailsIsListedAndHidesNothingElse) {
  start({});
  services.machine = [] { return Result<capability::Resources>(fail(Errc::io, "no sensors")); };
  services.hostname = [] { return Result<std::string>("host"); };
  services.interfaces = [] { return Result<std::vector<hardware::Interface>>(fail(Errc::io, "no netlink")); };
  const protocol::NodeStatus found = status();
  EXPECT_EQ(found.hostname, "host");
  EXPECT_EQ(found.network.p2p.id, node.network->self().to_string());
  ASSERT_EQ(found.errors.size(), 2U);
  EXPECT_EQ(found.errors[0], "network interfaces: no netlink");
  EXPECT_EQ(found.errors[1], "total resources: no sensors");
}

TEST_F(NodeBehavioursTest, TheLevelOfTheLogChangesWhileTheNodeRunsAndNothingElseIsIgnored) {
  start({});
  const auto configure = [this](const char* payload) {
    actor::Envelope request =
        user.root->message(node.root->handle(), std::string(protocol::kLoggerConfig.path), to_bytes(payload));
    return w.run(user, user.root->call<protocol::Ack>(std::move(request))).value();
  };
  log::set_level(log::Level::warn);
  EXPECT_EQ(configure(R"({"url":"","level":"debug","interval":0,"elastic_enabled":false})").error, "");
  EXPECT_TRUE(log::enabled(log::Level::debug));
  EXPECT_TRUE(configure(R"({"Level":"ERROR"})").ok);
  EXPECT_FALSE(log::enabled(log::Level::warn));
  for (const auto& [payload, named] :
       {std::pair(R"({"Level":"debug","URL":"http://example.org"})", "URL"), std::pair(R"({"Interval":5})", "Interval"),
        std::pair(R"({"APIKey":"s3cret"})", "APIKey"), std::pair(R"({"Level":"loud"})", "loud"),
        std::pair(R"({})", "log level"), std::pair(R"({"Level":5})", "Level")}) {
    const protocol::Ack refused = configure(payload);
    EXPECT_FALSE(refused.ok) << payload;
    EXPECT_NE(refused.error.find(named), std::string::npos) << refused.error;
    EXPECT_EQ(refused.error.find("s3cret"), std::string::npos) << refused.error;
    EXPECT_FALSE(log::enabled(log::Level::warn)) << payload;
  }
  log::set_level(log::Level::warn);
}

TEST_F(NodeBehavioursTest, LimitsThatAnExecutorDoesNotHoldAreToldWhereAMachineIsOffered) {
  start({});
  const auto host = std::make_shared<executor::FakeHost>();
  executor::Fake engine(node.lane(), "null", {}, host);
  services.executors["null"] = &engine;
  services.machine = [] {
    capability::Resources machine;
    machine.cpu.cores = *capability::Millicores::from_cores(4);
    machine.ram.size = machine.disk.size = {std::uint64_t{8} << 30};
    return Result<capability::Resources>(machine);
  };
  services.hostname = [] { return Result<std::string>("host"); };
  services.interfaces = [] { return Result<std::vector<hardware::Interface>>(std::vector<hardware::Interface>()); };
  const auto ask = [this] {
    return w.run(user, protocol::call(*user.root, protocol::kOnboardStatus, node.root->handle(), {})).value();
  };
  EXPECT_TRUE(ask().unenforced.empty());
  host->unenforced = "processor time is not limited";
  const protocol::UnenforcedLimits expected{{"null", host->unenforced}};
  EXPECT_EQ(ask().unenforced, expected);
  EXPECT_EQ(status().unenforced, expected);
  protocol::OnboardRequest request;
  request.config.onboarded_resources.cpu.cores = *capability::Millicores::from_cores(1);
  request.config.onboarded_resources.ram.size = request.config.onboarded_resources.disk.size = {1U << 30};
  const auto reply = w.run(user, protocol::call(*user.root, protocol::kOnboard, node.root->handle(), request)).value();
  EXPECT_TRUE(reply.ok) << reply.error;
  EXPECT_EQ(reply.unenforced, expected);
  services.executors.clear();
  w.run(node, engine.close());
}

TEST_F(NodeBehavioursTest, WhatIsNotServedYetIsRefusedByName) {
  start({});
  for (const auto& [path, payload] : {std::pair("/dms/node/peers/dht", "{}"),
                                      std::pair("/dms/node/subnet/create", R"({"SubnetID":"e1","IP":"10.0.0.1"})")}) {
    actor::Envelope request = user.root->message(node.root->handle(), path, to_bytes(payload));
    const auto reply = w.run(user, user.root->call<protocol::Ack>(std::move(request))).value();
    EXPECT_FALSE(reply.ok);
    EXPECT_NE(reply.error.find(fmt::format("{} is not served yet: ", path)), std::string::npos) << reply.error;
  }
}

}  // namespace
}  // namespace dms::node
