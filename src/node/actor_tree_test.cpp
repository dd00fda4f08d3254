#include "node/actor_tree.hpp"

#include "actor/test_world.hpp"
#include "protocol/serve.hpp"

namespace dms::node {
namespace {

using protocol::ActorInfo;

/// A node with two actors of deployments and one of an allocation, which a deployment of another node supervises.
struct ActorTreeTest : testing::Test {
  ActorTreeTest() {
    actor::TestWorld::trust(node, user);
    EXPECT_TRUE(tree.start());
    add("d2");
    add("d1");
    actor::Handle supervisor = user.root->handle();
    supervisor.address.inbox = "x";
    add("x_task", supervisor);
  }
  ~ActorTreeTest() override {
    for (const auto& child : children) w.run(node, child->stop());
    children.clear();
    w.close();
  }
  void add(std::string inbox, std::optional<actor::Handle> supervisor = {}) {
    actor::ChildOptions options;
    options.supervisor = std::move(supervisor);
    children.push_back(node.root->create_child(std::move(inbox), std::move(options)).value());
  }
  Result<protocol::ActorTreeReply> ask(actor::TestNode& by, const protocol::ActorTreeRequest& request = {}) {
    return w.run(by, protocol::call(*by.root, protocol::kActorTree, node.root->handle(), request));
  }
  std::string inboxes(const protocol::ActorTreeRequest& request = {}) {
    const auto reply = ask(user, request);
    if (!reply || !reply->error.empty()) return reply ? reply->error : reply.error().to_string();
    std::string text;
    for (const ActorInfo& actor : reply->actors) text += actor.handle.address.inbox + " ";
    return text + reply->next;
  }
  void describe(ActorInfo& actor) {
    if (!actor.handle.address.inbox.starts_with('d')) return;
    actor.deployment.emplace();
    actor.deployment->error = reason;
  }

  actor::MemoryTestWorld w{5};
  actor::TestNode& node = w.add("node");
  actor::TestNode& user = w.add("user");
  std::vector<std::unique_ptr<actor::Actor>> children;
  std::string reason = "a reason";
  ActorTree tree{*node.root, [this](ActorInfo& actor) { describe(actor); }};
};

TEST_F(ActorTreeTest, TheRootIsFirstAndWhoHasMadeAndWhoSupervisesAnActorIsTold) {
  const auto reply = ask(user);
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->error, "");
  EXPECT_EQ(reply->next, "");
  ASSERT_EQ(reply->actors.size(), 4U);
  EXPECT_EQ(reply->actors[0].handle, node.root->handle());
  EXPECT_EQ(reply->actors[0].parent, "");
  EXPECT_EQ(reply->actors[1].handle, children[1]->handle()) << "in the order of their inboxes";
  EXPECT_EQ(reply->actors[1].parent, "root");
  EXPECT_FALSE(reply->actors[1].supervisor);
  ASSERT_TRUE(reply->actors[2].deployment);
  EXPECT_EQ(reply->actors[2].deployment->error, "a reason");
  EXPECT_FALSE(reply->actors[3].deployment);
  ASSERT_TRUE(reply->actors[3].supervisor);
  EXPECT_EQ(reply->actors[3].supervisor->address.host, user.network->self().to_string());
  EXPECT_EQ(reply->actors[3].supervisor->address.inbox, "x");
}

TEST_F(ActorTreeTest, OneThatHasStoppedIsNotThere) {
  w.run(node, children[0]->stop());
  EXPECT_EQ(inboxes(), "root d1 x_task ");
}

TEST_F(ActorTreeTest, OfOneDeploymentItsActorAndItsAllocationsHereAreShown) {
  EXPECT_EQ(inboxes({.deployment = "d1"}), "root d1 ");
  EXPECT_EQ(inboxes({.deployment = "x"}), "root x_task ");
  const std::string none = inboxes({.deployment = std::string(1000, 'y')});
  EXPECT_TRUE(none.starts_with("no actor here is of a deployment 'yyy")) << none;
  EXPECT_LT(none.size(), 300U);
}

TEST_F(ActorTreeTest, WhatDoesNotFitIntoAMessageComesInPages) {
  reason = std::string(400 * 1024, 'x');
  EXPECT_EQ(inboxes(), "root d1 d1");
  EXPECT_EQ(inboxes({.after = "d1"}), "d2 x_task ");
  EXPECT_EQ(inboxes({.after = "x_task"}), "");
  EXPECT_EQ(inboxes({.deployment = "x", .after = "d1"}), "x_task ");
}

TEST_F(ActorTreeTest, WithoutTheCapabilityThereIsNoReply) {
  actor::TestNode& stranger = w.add("stranger");
  EXPECT_FALSE(ask(stranger));
  w.grant(node, stranger, {"/dms/node/allocations"});
  EXPECT_FALSE(ask(stranger));
  w.grant(node, stranger, {"/dms/node/actors"});
  EXPECT_TRUE(ask(stranger));
}

TEST_F(ActorTreeTest, AMemberThatNothingReadsIsRefused) {
  actor::Envelope request = user.root->message(node.root->handle(), std::string(protocol::kActorTree.path),
                                               to_bytes(R"({"Deployment":"d1","Depth":1})"));
  const auto reply = w.run(user, user.root->call<protocol::ActorTreeReply>(std::move(request)));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_TRUE(reply->error.starts_with("Depth: unknown member")) << reply->error;
  EXPECT_TRUE(reply->actors.empty());
}

}  // namespace
}  // namespace dms::node
