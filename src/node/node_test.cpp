// A whole node while it starts.
#include "node/node.hpp"

#include "actor/test_world.hpp"
#include "base/temporary_folder.hpp"
#include "executor/fake/fake.hpp"
#include "protocol/serve.hpp"

namespace dms::node {
namespace {

using Started = Result<std::unique_ptr<Node>>;

template <class T>
Task<void> keep(Task<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}

/// A node whose engine takes a while to say what it still runs.
struct NodeTest : testing::Test {
  NodeTest() {
    host->recovering = 3s;
    actor::TestWorld::trust(machine, user);
    w.run(machine, machine.root->stop());  // the node has its inbox
    machine.root.reset();
    Services services{machine.node.runtime(), *machine.network, store, *resources, {{"null", &engine}}, {}, {}, "boot"};
    Options options;
    options.work_dir = folder.path();
    starting.spawn(keep(Node::start(std::move(services), machine.key, machine.context, std::move(options)), started));
    asking.spawn(keep(protocol::call(*user.root, protocol::kAllocationsList, handle, {}), answer));
    w.settle();
    EXPECT_FALSE(started);
    EXPECT_FALSE(answer);
  }
  ~NodeTest() override {
    w.run(user, asking.close());
    w.run(machine, starting.close());
    if (started && *started) {
      w.run(machine, (**started)->stop());
      (*started)->reset();
    }
    started.reset();
    w.run(machine, engine.close());
    w.run(machine, store.close());
    w.close();
  }

  TemporaryFolder folder = TemporaryFolder::make("node").value();
  actor::MemoryTestWorld w{4};
  actor::TestNode& machine = w.add("machine");
  actor::TestNode& user = w.add("user");
  const actor::Handle handle = machine.root->handle();
  std::shared_ptr<executor::FakeHost> host = std::make_shared<executor::FakeHost>();
  executor::Fake engine{machine.lane(), "null", {}, host};
  db::AsyncStore store{machine.lane(), *db::Store::open(":memory:")};
  std::unique_ptr<resources::Manager> resources =
      resources::Manager::open(store, [this] { return w.world.now(); }).value();
  std::optional<Started> started;
  std::optional<Result<protocol::AllocationsReply>> answer;
  Nursery starting{machine.lane(), "starting"};
  Nursery asking{user.lane(), "asking"};
};

TEST_F(NodeTest, ARequestThatArrivesDuringTheStartIsAnsweredAfterIt) {
  w.settle(3s);
  ASSERT_TRUE(started && *started) << (started ? started->error().to_string() : "it has not started");
  ASSERT_TRUE(answer && *answer) << (answer ? answer->error().to_string() : "no reply");
  EXPECT_EQ((*answer)->error, "");
}

TEST_F(NodeTest, AStartedNodeShowsItsActors) {
  w.settle(3s);
  ASSERT_TRUE(started && *started);
  const auto reply = w.run(user, protocol::call(*user.root, protocol::kActorTree, handle, {}));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->error, "");
  ASSERT_EQ(reply->actors.size(), 1U);
  EXPECT_EQ(reply->actors[0].handle, handle);
}

TEST_F(NodeTest, AStartThatFailsEndsWhileARequestWaits) {
  w.run(machine, store.close());
  w.settle(3s);
  ASSERT_TRUE(started);
  ASSERT_FALSE(*started);
  EXPECT_TRUE(started->error().is(Errc::closed)) << started->error().to_string();
  EXPECT_FALSE(answer);
}

}  // namespace
}  // namespace dms::node
