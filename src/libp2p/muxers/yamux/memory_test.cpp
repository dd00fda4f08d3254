// The memory of sessions, with a scope that refuses.
#include "libp2p/muxers/yamux/memory.hpp"

#include "libp2p/muxers/yamux/session.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p::yamux {
namespace {

using namespace libp2p::testing;
using StreamPtr = std::unique_ptr<ByteStream>;
using Use = MemoryScope::Use;

TEST(YamuxMemory, AgreesWithAPlainModelOnRandomOperations) {
  SeededRandom random(3);
  constexpr std::size_t kSome = Memory::kGuaranteed;
  const auto scope = std::make_shared<BoundedScope>(3 * kSome);
  std::size_t unread = 0, windows = 0, outbound = 0, refused = 0;
  {
    Memory memory(2 * kSome);
    memory.count_in(scope);
    for (int step = 0; step < 20'000; ++step) {
      const std::size_t amount = random.below(kSome / 2);
      const auto fits = [&](std::size_t u, std::size_t w, std::size_t o, std::uint64_t limit) {
        const std::size_t would_be = std::max(u, w) + o;
        return would_be <= scope->held || would_be <= limit;
      };
      const auto agree = [&](const Result<void>& result, bool may, std::size_t& of, std::size_t next) {
        ASSERT_EQ(result.has_value(), may) << step;
        if (may) of = next;
        refused += may ? 0 : 1;
      };
      switch (random.below(5)) {
        case 0:
          agree(memory.add_unread(amount),
                unread + amount <= 2 * kSome &&
                    (unread + amount <= kSome || fits(unread + amount, windows, outbound, scope->limit)),
                unread, unread + amount);
          break;
        case 1: memory.remove_unread(std::min(amount, unread)), unread -= std::min(amount, unread); break;
        case 2:
          agree(memory.grow_windows(amount), fits(unread, windows + amount, outbound, scope->limit / 2), windows,
                windows + amount);
          break;
        case 3: memory.shrink_windows(std::min(amount, windows)), windows -= std::min(amount, windows); break;
        default:
          agree(memory.set_outbound(amount, Use::optional),
                amount <= outbound || fits(unread, windows, amount, scope->limit / 2), outbound, amount);
      }
      ASSERT_EQ(scope->held, std::max(unread, windows) + outbound) << step;
      ASSERT_EQ(memory.unread(), unread);
      ASSERT_EQ(memory.windows(), windows);
    }
  }
  EXPECT_GT(refused, 1000u);
  EXPECT_EQ(scope->held, 0u) << "released at the end";
}

TEST(YamuxMemory, WhatWasHeldBeforeThereWasAScopeIsReservedToo) {
  const auto scope = std::make_shared<BoundedScope>(2 * Memory::kGuaranteed);
  Memory memory(10 * Memory::kGuaranteed);
  ASSERT_TRUE(memory.add_unread(3 * Memory::kGuaranteed));
  memory.count_in(scope);
  EXPECT_EQ(scope->held, 0u) << "refused, but held";
  EXPECT_FALSE(memory.add_unread(1));
  memory.remove_unread(Memory::kGuaranteed + 10);
  ASSERT_TRUE(memory.add_unread(1));
  EXPECT_EQ(scope->held, 2 * Memory::kGuaranteed - 9);
}

// ---- sessions -------------------------------------------------------------------------------------------------------

/// Two sessions over a pipe, each with a scope.
struct MeasuredPair {
  explicit MeasuredPair(std::size_t capacity = 1 << 16) : MeasuredPair(make_pipe(capacity)) {}
  explicit MeasuredPair(std::pair<StreamPtr, StreamPtr> pipe)
      : a(w.lane(), std::move(pipe.first), Side::dialer), b(w.lane(), std::move(pipe.second), Side::listener) {
    a.count_memory_in(of_a);
    b.count_memory_in(of_b);
  }
  ~MeasuredPair() {
    Nursery nursery(w.lane(), "close");
    nursery.spawn(a.close());
    nursery.spawn(b.close());
    w.run(nursery.join());
    EXPECT_EQ(of_a->held + of_b->held, 0u);
  }

  LaneWorld w;
  std::shared_ptr<BoundedScope> of_a = std::make_shared<BoundedScope>(1 << 20);
  std::shared_ptr<BoundedScope> of_b = std::make_shared<BoundedScope>(1 << 20);
  Session a;
  Session b;
};

TEST(YamuxMemory, UnreadAndOutboundBytesAreReservedUntilReadOrWritten) {
  MeasuredPair p(1000);
  StreamPtr here = *p.w.run(p.a.open_stream());
  Nursery nursery(p.w.lane(), "send");
  nursery.spawn(send_all(*here, Bytes(200'000, 1)));
  EXPECT_TRUE(p.w.world.run_until([&] {
    EXPECT_EQ(p.of_a->held, p.a.outbound() - std::min(p.a.outbound(), Session::kUncounted));
    EXPECT_EQ(p.of_b->held, p.b.buffered());
    return p.b.buffered() == 200'000;
  }));
  EXPECT_GT(p.of_a->most, 60'000u) << "the writer was ahead of the pipe";
  p.w.run(nursery.join());
  StreamPtr there = *p.w.run(p.b.accept_stream());
  p.w.run(p.b.close());
  EXPECT_EQ(p.of_b->held, 200'000u) << "still readable through the stream";
  EXPECT_EQ(p.w.run(read_to_end(*there, 1 << 20))->size(), 200'000u);
  EXPECT_EQ(p.of_b->held, 0u);
}

TEST(YamuxMemory, AStreamWhoseUnreadBytesAreRefusedIsResetAndTheConnectionContinues) {
  MeasuredPair p;
  p.of_b->limit = 300'000;
  std::vector<StreamPtr> here, there;
  for (int i = 0; i < 3; ++i) {
    here.push_back(*p.w.run(p.a.open_stream()));
    Nursery nursery(p.w.lane(), "send");
    nursery.spawn(send_all(*here.back(), Bytes(200'000, 1)));
    p.w.run(nursery.join());
    p.w.world.run_for(1s);
  }
  EXPECT_LE(p.of_b->most, 300'000u);
  EXPECT_EQ(p.b.buffered(), 200'000u) << "the second and third were refused";
  there.push_back(*p.w.run(p.b.accept_stream()));
  EXPECT_EQ(p.w.run(read_to_end(*there[0], 1 << 20))->size(), 200'000u);
  here.push_back(*p.w.run(p.a.open_stream()));
  Nursery nursery(p.w.lane(), "send");
  nursery.spawn(send_all(*here.back(), Bytes(200'000, 1)));
  there.push_back(*p.w.run(p.b.accept_stream()));
  EXPECT_EQ(p.w.run(read_to_end(*there[1], 1 << 20))->size(), 200'000u) << "admitted again";
  p.w.run(nursery.join());
}

TEST(YamuxMemory, WritersThatAreRefusedContinueFrameByFrame) {
  MeasuredPair p;
  p.of_a->limit = 0;
  std::vector<StreamPtr> here;
  Nursery nursery(p.w.lane(), "send");
  for (std::uint8_t i = 0; i < 4; ++i) {
    here.push_back(*p.w.run(p.a.open_stream()));
    nursery.spawn(send_all(*here.back(), Bytes(200'000, i)));
  }
  EXPECT_TRUE(p.w.world.run_until([&] {
    EXPECT_LE(p.a.outbound(), Session::kUncounted);
    return p.b.buffered() == 800'000;
  }));
  EXPECT_EQ(p.of_a->most, 0u);
  p.w.run(nursery.join());
}

}  // namespace
}  // namespace dms::libp2p::yamux
