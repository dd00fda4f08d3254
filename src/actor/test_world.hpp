// Test fixture: connected nodes with a root actor each, in one simulation, over a given network.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "actor/actor.hpp"
#include "network/memory_network.hpp"
#include "simulation/sim_world.hpp"

namespace dms::actor {

/// The envelopes that a behaviour has received.
using Received = std::shared_ptr<std::vector<Envelope>>;

struct Note {
  std::string text;
  static constexpr auto json_fields() { return std::tuple(json::field("Text", &Note::text)); }
};

inline Task<void> record(Received received, Envelope envelope) {
  received->push_back(std::move(envelope));
  co_return;
}
inline Task<void> answer(Actor& actor, Received received, Note note, Envelope envelope) {
  received->push_back(envelope);
  (void)co_await actor.reply(envelope, note);
}

struct TestNode {
  TestNode(SimNode& sim, crypto::PrivateKey private_key) : node(sim), key(std::move(private_key)) {}

  Lane& lane() { return node.runtime().lane; }
  [[nodiscard]] const did::Did& did() const { return context->did(); }

  Received listen(const std::string& path, BehaviourOptions options = {}) {
    return listen(*root, path, std::move(options));
  }
  static Received listen(Actor& actor, const std::string& path, BehaviourOptions options = {}) {
    auto received = std::make_shared<std::vector<Envelope>>();
    auto added = actor.add_behaviour(
        path, [received](Envelope envelope) { return record(received, std::move(envelope)); }, std::move(options));
    EXPECT_TRUE(added);
    return received;
  }
  Received answer_with(const std::string& path, std::string text, BehaviourOptions options = {}) {
    return answer_with(*root, path, std::move(text), std::move(options));
  }
  static Received answer_with(Actor& actor, const std::string& path, std::string text, BehaviourOptions options = {}) {
    auto received = std::make_shared<std::vector<Envelope>>();
    auto added = actor.add_behaviour(
        path,
        [&actor, received, text](Envelope envelope) {
          return answer(actor, received, Note{text}, std::move(envelope));
        },
        std::move(options));
    EXPECT_TRUE(added);
    return received;
  }

  SimNode& node;
  crypto::PrivateKey key;
  std::unique_ptr<network::Network> network;
  std::shared_ptr<ucan::CapabilityContext> context;
  std::unique_ptr<System> system;
  std::unique_ptr<Actor> root;
};

class TestWorld {
 public:
  using MakeNetwork = std::function<std::unique_ptr<network::Network>(TestNode&)>;
  explicit TestWorld(std::uint64_t seed, MakeNetwork make, RateLimits limits = {})
      : world(seed), make_(std::move(make)), limits_(std::move(limits)) {}

  TestNode& add(std::string name) {
    SimNode& sim = world.add_node(std::move(name));
    nodes_.push_back(std::make_unique<TestNode>(sim, crypto::PrivateKey::generate(sim.runtime().lane.random())));
    TestNode& node = *nodes_.back();
    node.network = make_(node);
    for (const auto& other : nodes_)
      if (other.get() != &node) connect(node, *other);
    node.context = std::make_shared<ucan::CapabilityContext>(
        ucan::CapabilityContext::create(node.key, node.lane().random()).value());
    node.system = std::make_unique<System>(node.lane(), *node.network, limits_);
    auto security = SecurityContext::create(node.key, node.context, node.lane().unix_now());
    node.root = Actor::start(*node.system, std::move(*security)).value();
    return node;
  }

  void connect(TestNode& from, TestNode& to) {
    auto connected = run(from, from.network->connect(to.network->listen_addresses().front()));
    ASSERT_TRUE(connected) << connected.error().to_string();
    settle(100ms);  // the listener is ready a little later
  }

  /// `node` trusts `other` for everything.
  static void trust(TestNode& node, const TestNode& other) {
    ucan::Anchors anchors;
    anchors.roots.push_back(other.did());
    ASSERT_TRUE(node.context->anchor(anchors, node.lane().unix_now()));
  }
  /// `node` grants `other` the use of `paths` on its actors, broadcasts on `topics` included.
  void grant(TestNode& node, TestNode& other, const std::vector<std::string>& paths,
             const std::vector<std::string>& topics = {}, Duration lifetime = 1h) {
    ucan::Grant grant;
    grant.subject = other.did();
    grant.capabilities = ucan::parse_capabilities(paths).value();
    grant.topics = ucan::parse_capabilities(topics).value();
    grant.expires = world.unix_now() + lifetime;
    ucan::Anchors anchors;
    anchors.provide.tokens.push_back(node.context->grant(ucan::Action::delegate, grant).value());
    ASSERT_TRUE(other.context->anchor(anchors, world.unix_now()));
  }

  template <class T>
  T run(TestNode& node, Task<T> task) {
    return world.run(node.node, std::move(task));
  }
  void settle(Duration time = 1s) { world.run_for(time); }

  /// Sends the bytes as an attacker at `from` would.
  void inject(TestNode& from, TestNode& to, const Envelope& envelope, std::string inbox = "root") {
    inject(from, to, envelope.encode(), std::move(inbox));
  }
  void inject(TestNode& from, TestNode& to, Bytes bytes, std::string inbox = "root") {
    auto sent = run(from, from.network->send(to.network->self(), inbox_protocol(inbox), std::move(bytes)));
    ASSERT_TRUE(sent) << sent.error().to_string();
    settle();
  }
  void inject_broadcast(TestNode& from, const std::string& topic, const Envelope& envelope) {
    settle();  // subscriptions have to be announced first
    ASSERT_TRUE(run(from, from.network->publish(topic, envelope.encode())));
    settle();
  }

  void close() {
    for (auto& node : nodes_) {
      if (node->root) run(*node, node->root->stop());
      node->root.reset();
      run(*node, node->network->close());
    }
  }

  SimWorld world;

 private:
  MakeNetwork make_;
  RateLimits limits_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
};

/// A TestWorld over the memory network.
class MemoryTestWorld : public TestWorld {
 public:
  explicit MemoryTestWorld(std::uint64_t seed) : MemoryTestWorld(seed, std::make_shared<network::MemorySubstrate>()) {}

  const std::shared_ptr<network::MemorySubstrate> substrate;

 private:
  MemoryTestWorld(std::uint64_t seed, const std::shared_ptr<network::MemorySubstrate>& shared)
      : TestWorld(seed,
                  [shared](TestNode& node) -> std::unique_ptr<network::Network> {
                    return std::make_unique<network::MemoryNetwork>(shared, node.lane(),
                                                                    crypto::PeerId::from(node.key.public_key()));
                  }),
        substrate(shared) {}
};

}  // namespace dms::actor
