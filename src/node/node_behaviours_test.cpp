#include "node/node_behaviours.hpp"

#include "actor/test_world.hpp"
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

  actor::MemoryTestWorld w{3};
  actor::TestNode& node = w.add("node");
  actor::TestNode& user = w.add("user");
  db::AsyncStore async{node.lane(), *db::Store::open(":memory:")};
  std::unique_ptr<resources::Manager> resources =
      resources::Manager::open(async, [this] { return w.world.unix_now(); }).value();
  Services services{node.node.runtime(), *node.network, async, *resources, {}, {}, {}, "boot"};
  Options options;
  NodeBehaviours behaviours{services, options, *node.root};
};

TEST_F(NodeBehavioursTest, AnAnchorThatCannotBeSavedIsUndoneAndReported) {
  start("/proc/no-such-folder/capabilities.json");
  const actor::TestNode& third = w.add("third");
  const std::string before = node.context->serialise();
  const protocol::CapAnchorReply reply = anchor(third.did());
  EXPECT_FALSE(reply.ok);
  EXPECT_FALSE(reply.error.empty());
  EXPECT_EQ(node.context->serialise(), before);
}

TEST_F(NodeBehavioursTest, TheMissingPartOfAShareIsNamed) {
  start({});
  services.machine = [] { return Result<capability::Resources>(capability::Resources{}); };
  protocol::OnboardRequest request;
  const auto reply = w.run(user, protocol::call(*user.root, protocol::kOnboard, node.root->handle(), request)).value();
  EXPECT_FALSE(reply.ok);
  EXPECT_NE(reply.error.find("cores"), std::string::npos) << reply.error;
}

}  // namespace
}  // namespace dms::node
