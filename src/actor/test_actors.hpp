// Test fixture: two actors, over the in-memory network and over libp2p.
#pragma once

#include "actor/test_world.hpp"
#include "network/libp2p_network.hpp"

namespace dms::actor {

inline constexpr auto kHello = "/dms/node/hello";
inline constexpr auto kTopic = "/nunet/hello";
inline constexpr auto kBroadcast = "/broadcast/hello";

enum class Backend { memory, libp2p };

using Substrate = std::shared_ptr<network::MemorySubstrate>;

inline TestWorld::MakeNetwork networks(Backend backend, const Substrate& substrate) {
  if (backend == Backend::libp2p)
    return [](TestNode& node) -> std::unique_ptr<network::Network> {
      auto made = std::make_unique<network::Libp2pNetwork>(node.node.runtime(), node.key);
      EXPECT_TRUE(made->listen("/ip4/0.0.0.0/tcp/9000"));
      return made;
    };
  return [substrate](TestNode& node) -> std::unique_ptr<network::Network> {
    return std::make_unique<network::MemoryNetwork>(substrate, node.lane(),
                                                    crypto::PeerId::from(node.key.public_key()));
  };
}

/// Two nodes with an actor each; tests grant the capabilities.
struct ActorTest : testing::TestWithParam<Backend> {
  ActorTest() : ActorTest(RateLimits{}) {}
  explicit ActorTest(RateLimits limits) : w(21, networks(GetParam(), substrate), std::move(limits)) {}
  ~ActorTest() override { w.close(); }

  /// An envelope from `from` to `to`, provided and signed, as its actor would send it.
  Envelope signed_message(TestNode& from, TestNode& to, const std::string& behaviour, std::string text = "hi") {
    Envelope envelope = from.root->message(to.root->handle(), behaviour, to_payload(Note{std::move(text)}));
    envelope.nonce = from.root->security().next_nonce();
    auto capabilities = ucan::parse_capabilities({behaviour}).value();
    EXPECT_TRUE(from.root->security().provide(envelope, capabilities, {}, w.world.unix_now()));
    return envelope;
  }
  Envelope signed_broadcast(TestNode& from, std::string topic = kTopic, std::string behaviour = kBroadcast) {
    Envelope envelope = from.root->broadcast(behaviour, to_payload(Note{"all"}), {.topic = std::move(topic)});
    envelope.nonce = from.root->security().next_nonce();
    auto capabilities = ucan::parse_capabilities({behaviour}).value();
    EXPECT_TRUE(from.root->security().provide_broadcast(envelope, capabilities, w.world.unix_now()));
    return envelope;
  }
  static std::uint64_t refused(const TestNode& node, Refusal reason) {
    const auto& counters = node.system->metrics.refused;
    EXPECT_EQ(counters.total(), counters[reason].value()) << "another reason was counted, too";
    return counters[reason].value();
  }

  Substrate substrate = std::make_shared<network::MemorySubstrate>();
  TestWorld w;
  TestNode& a = w.add("a");
  TestNode& b = w.add("b");
};

inline const auto kBackends = testing::Values(Backend::memory, Backend::libp2p);
inline std::string backend_name(const testing::TestParamInfo<Backend>& info) {
  return info.param == Backend::memory ? "memory" : "libp2p";
}

/// A handler that does not end by itself: 1 when it has begun, 3 when it was cancelled.
inline Task<void> wait_forever(std::shared_ptr<int> state, Envelope) {
  *state = 1;
  Result<void> waited = co_await sleep_for(24h);
  *state = waited ? 2 : 3;
}

}  // namespace dms::actor
