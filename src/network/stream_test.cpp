// open_stream() and handle_stream(), alike in memory and over libp2p.
#include <gtest/gtest.h>

#include "network/libp2p_network.hpp"
#include "network/memory_network.hpp"
#include "simulation/sim_world.hpp"

namespace dms::network {
namespace {

constexpr auto kStreams = "/test/stream/1.0.0";
constexpr std::size_t kStreamsPerPeer = 3;

/// Two nodes with networks of one kind.
struct Pair {
  virtual ~Pair() = default;
  virtual Network& a() = 0;
  virtual Network& b() = 0;
  SimWorld world{31};
  SimNode& node_a = world.add_node("a");
  SimNode& node_b = world.add_node("b");
};

struct MemoryPair final : Pair {
  static crypto::PeerId id(SimNode& node) {
    return crypto::PeerId::from(crypto::PrivateKey::generate(node.runtime().lane.random()).public_key());
  }
  Network& a() override { return a_; }
  Network& b() override { return b_; }
  std::shared_ptr<MemorySubstrate> substrate = std::make_shared<MemorySubstrate>();
  MemoryNetwork a_{substrate, node_a.runtime().lane, id(node_a)};
  MemoryNetwork b_{substrate, node_b.runtime().lane, id(node_b)};
};

struct Libp2pPair final : Pair {
  Libp2pPair() {
    EXPECT_TRUE(b_.listen("/ip4/0.0.0.0/tcp/9000"));
    EXPECT_TRUE(world.run(node_a, a_.connect(b_.listen_addresses().front())));
    world.run_for(100ms);
  }
  static crypto::PrivateKey key(SimNode& node) { return crypto::PrivateKey::generate(node.runtime().lane.random()); }
  static Libp2pOptions options() {
    Libp2pOptions options;
    options.max_streams_per_peer = kStreamsPerPeer;
    return options;
  }
  Network& a() override { return a_; }
  Network& b() override { return b_; }
  Libp2pNetwork a_{node_a.runtime(), key(node_a), options()};
  Libp2pNetwork b_{node_b.runtime(), key(node_b), options()};
};

/// Reads to the end of a stream and sends everything back.
Task<void> echo(std::unique_ptr<ByteStream> stream) {
  Result<Bytes> all = co_await read_to_end(*stream, 64 << 20);
  if (!all) co_return;
  (void)co_await stream->write(*all);
  (void)co_await stream->close_write();
}

Task<Result<Bytes>> ask(Network& network, crypto::PeerId to, Bytes bytes) {
  Task<Result<std::unique_ptr<ByteStream>>> opening = network.open_stream(to, kStreams);
  CO_TRY(std::unique_ptr<ByteStream> stream, co_await std::move(opening));
  CO_TRY_VOID(co_await stream->write(bytes));
  CO_TRY_VOID(co_await stream->close_write());
  Result<Bytes> back = co_await read_to_end(*stream, 64 << 20);
  co_return std::move(back);
}

template <class Kind>
struct StreamTest : testing::Test {
  ~StreamTest() override {
    held.clear();
    pair.world.run(pair.node_b, nursery.close());
    pair.world.run(pair.node_a, pair.a().close());
    pair.world.run(pair.node_b, pair.b().close());
  }
  void serve_echo() {
    ASSERT_TRUE(pair.b().handle_stream(kStreams, [this](const crypto::PeerId& from, auto stream) {
      peers.push_back(from);
      nursery.spawn(echo(std::move(stream)));
    }));
  }
  void hold_streams() {
    ASSERT_TRUE(pair.b().handle_stream(
        kStreams, [this](const crypto::PeerId&, auto stream) { held.push_back(std::move(stream)); }));
  }
  Result<Bytes> ask_b(Bytes bytes) {
    return pair.world.run(pair.node_a, ask(pair.a(), pair.b().self(), std::move(bytes)));
  }
  Result<std::unique_ptr<ByteStream>> open() {
    return pair.world.run(pair.node_a, pair.a().open_stream(pair.b().self(), kStreams));
  }
  Kind pair;
  std::vector<crypto::PeerId> peers;
  std::vector<std::unique_ptr<ByteStream>> held;
  Nursery nursery{pair.node_b.runtime().lane, "test"};
};

using Kinds = testing::Types<MemoryPair, Libp2pPair>;
TYPED_TEST_SUITE(StreamTest, Kinds);

TYPED_TEST(StreamTest, BytesGoBothWays) {
  this->serve_echo();
  SeededRandom random(1);
  const Bytes sent = random.bytes(10'000'000);
  const Result<Bytes> back = this->ask_b(sent);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, sent);
  EXPECT_EQ(this->peers, std::vector{this->pair.a().self()});
}

TYPED_TEST(StreamTest, ANodeReachesItself) {
  this->serve_echo();
  Pair& pair = this->pair;
  const Result<Bytes> back = pair.world.run(pair.node_b, ask(pair.b(), pair.b().self(), to_bytes("note")));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(as_text(*back), "note");
  EXPECT_EQ(this->peers, std::vector{pair.b().self()});
}

TYPED_TEST(StreamTest, AnUnknownProtocolAndAnUnknownPeerAreErrors) {
  EXPECT_TRUE(this->ask_b({}).error().is(Errc::unsupported));
  Pair& pair = this->pair;
  const auto nobody =
      crypto::PeerId::from(crypto::PrivateKey::generate(pair.node_a.runtime().lane.random()).public_key());
  EXPECT_TRUE(pair.world.run(pair.node_a, ask(pair.a(), nobody, {})).error().is(Errc::not_found));
}

TYPED_TEST(StreamTest, AProtocolHasOneHandlerOfEitherKind) {
  Network& b = this->pair.b();
  this->serve_echo();
  EXPECT_TRUE(b.handle_stream(kStreams, {}).error().is(Errc::already_exists));
  EXPECT_TRUE(b.handle(kStreams, {}).error().is(Errc::already_exists));
  b.remove_handler(kStreams);
  EXPECT_TRUE(this->ask_b({}).error().is(Errc::unsupported));
  ASSERT_TRUE(b.handle(kStreams, [](const crypto::PeerId&, const Bytes&) {}));
  EXPECT_TRUE(b.handle_stream(kStreams, {}).error().is(Errc::already_exists));
}

TYPED_TEST(StreamTest, AnAbortedStreamFailsAtTheOtherEnd) {
  this->hold_streams();
  Result<std::unique_ptr<ByteStream>> stream = this->open();
  ASSERT_TRUE(stream);
  this->pair.world.run_for(1s);
  ASSERT_EQ(this->held.size(), 1u);
  (*stream)->abort();
  Bytes buffer(16);
  EXPECT_FALSE(this->pair.world.run(this->pair.node_b, this->held[0]->read_some(buffer)));
}

TYPED_TEST(StreamTest, AfterCloseNothingOpens) {
  this->serve_echo();
  Pair& pair = this->pair;
  pair.world.run(pair.node_a, pair.a().close());
  EXPECT_TRUE(this->open().error().is(Errc::closed));
}

using Libp2pStreamTest = StreamTest<Libp2pPair>;

TEST_F(Libp2pStreamTest, APeerHoldsALimitedNumberOfStreams) {
  hold_streams();
  std::vector<std::unique_ptr<ByteStream>> opened;
  for (std::size_t i = 0; i < kStreamsPerPeer + 2; ++i) {
    Result<std::unique_ptr<ByteStream>> stream = open();
    if (stream) opened.push_back(std::move(*stream));
  }
  pair.world.run_for(1s);
  EXPECT_EQ(held.size(), kStreamsPerPeer);
  EXPECT_EQ(pair.b_.metrics().refused.value(), 2u);
  held.pop_back();
  opened.clear();
  Result<std::unique_ptr<ByteStream>> again = open();
  ASSERT_TRUE(again);
  const Bytes first = to_bytes("x");
  ASSERT_TRUE(pair.world.run(pair.node_a, (*again)->write(first)));
  pair.world.run_for(1s);
  EXPECT_EQ(held.size(), kStreamsPerPeer);
}

}  // namespace
}  // namespace dms::network
