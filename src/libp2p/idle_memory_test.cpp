// The memory of an idle connection: the sum of the program's allocations, not what the system has mapped.
#include <malloc.h>

#include "libp2p/swarm/upgrader.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p {
namespace {

using namespace libp2p::testing;

/// Of one end. OpenSSL keeps a session of 17 KiB for each connection (docs/decisions/0601-tls-records.md).
std::size_t bound_of(const std::string& security) { return (security == "/tls/1.0.0" ? 32 : 18) * 1024; }

std::size_t allocated() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

struct Many {
  explicit Many(const std::string& with) : security(with) {}
  std::string security;
  LaneWorld w;
  StandardUpgrader a{w.lane(), standard_securities(make_key(1), w.lane()), {security}, {}};
  StandardUpgrader b{w.lane(), standard_securities(make_key(2), w.lane()), {security}, {}};
  std::vector<Connection> ends;

  void connect(int count) {
    for (int i = 0; i < count; ++i) {
      auto [left, right] = make_pipe(1 << 20);
      auto [dialed, accepted] = run_both(w, a.upgrade(std::move(left), Side::dialer, std::nullopt),
                                         b.upgrade(std::move(right), Side::listener, std::nullopt));
      ASSERT_TRUE(dialed && accepted);
      ends.push_back(std::move(*dialed));
      ends.push_back(std::move(*accepted));
    }
    w.world.run_for(1s);
  }
  void close() {
    Nursery nursery(w.lane(), "close");
    for (Connection& end : ends) nursery.spawn(end.muxer->close());
    w.run(nursery.join());
    ends.clear();
  }
};

Task<void> discard(Muxer& muxer) {
  Result<std::unique_ptr<ByteStream>> stream = co_await muxer.accept_stream();
  if (!stream) co_return;
  (void)co_await read_to_end(**stream, 64 << 20);
  (void)co_await (*stream)->close_write();
}

Task<void> pour(Muxer& muxer) {
  Result<std::unique_ptr<ByteStream>> stream = co_await muxer.open_stream();
  if (!stream) co_return;
  const Bytes much(4 << 20, 1);
  (void)co_await (*stream)->write(much);
  (void)co_await (*stream)->close_write();
  (void)co_await read_to_end(**stream, 1);
}

class IdleMemoryOf : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, IdleMemoryOf, ::testing::Values("/noise", "/tls/1.0.0"),
                         [](const auto& info) { return info.param.substr(1, info.param.find('/', 1) - 1); });

TEST_P(IdleMemoryOf, AnIdleConnectionIsSmall) {
  if (allocated() == 0) GTEST_SKIP() << "skipped: this allocator does not report allocated bytes";
  Many many(GetParam());
  many.connect(2);  // warm-up: allocations made once
  const std::size_t before = allocated();
  many.ends.reserve(many.ends.size() + 200);
  const std::size_t had = many.ends.size();
  many.connect(100);
  const std::size_t each = (allocated() - before) / (many.ends.size() - had);
  RecordProperty("bytes", static_cast<int>(each));
  std::printf("an idle connection holds %zu bytes\n", each);
  EXPECT_LE(each, bound_of(GetParam()));
  EXPECT_GT(each, 1000u) << "otherwise nothing was measured";
  many.close();
}

TEST_P(IdleMemoryOf, ABusyConnectionBecomesSmallAgain) {
  if (allocated() == 0) GTEST_SKIP() << "skipped: this allocator does not report allocated bytes";
  Many many(GetParam());
  many.connect(2);
  const std::size_t before = allocated();
  const std::size_t had = many.ends.size();
  many.ends.reserve(had + 20);
  many.connect(10);
  Nursery nursery(many.w.lane(), "bulk");
  for (std::size_t i = had; i < many.ends.size(); i += 2) {
    nursery.spawn(pour(*many.ends[i].muxer));
    nursery.spawn(discard(*many.ends[i + 1].muxer));
  }
  many.w.run(nursery.join());
  many.w.world.run_for(5min);  // a few pings
  const std::size_t each = (allocated() - before) / (many.ends.size() - had);
  std::printf("a connection that was busy holds %zu bytes\n", each);
  EXPECT_LE(each, bound_of(GetParam()));
  many.close();
}

// ---- what an attack leaves behind -----------------------------------------------------------------------------------

/// Fills a stream that is not read, up to its window, until a timeout.
Task<void> fill(Muxer& muxer) {
  Result<std::unique_ptr<ByteStream>> stream = co_await muxer.open_stream();
  if (!stream) co_return;
  const Bytes much(1 << 20, 1);
  (void)co_await with_timeout(10s, (*stream)->write(much));
}

Task<void> hold(Muxer& muxer, std::size_t count) {
  std::vector<std::unique_ptr<ByteStream>> held;
  while (held.size() < count) {
    Result<std::unique_ptr<ByteStream>> stream = co_await muxer.accept_stream();
    if (!stream) co_return;
    held.push_back(std::move(*stream));
  }
  (void)co_await sleep_for(20s);
}

TEST(IdleMemory, UnreadStreamsStayWithinTheirWindowsAndLeaveNothing) {
  if (allocated() == 0) GTEST_SKIP() << "skipped: this allocator does not report allocated bytes";
  constexpr std::size_t kStreams = 40;
  Many many("/noise");
  many.connect(1);
  Muxer& attacker = *many.ends[0].muxer;
  Muxer& victim = *many.ends[1].muxer;
  const auto attack = [&] {
    const std::size_t before = allocated();
    Nursery nursery(many.w.lane(), "attack");
    nursery.spawn(hold(victim, kStreams));
    for (std::size_t i = 0; i < kStreams; ++i) nursery.spawn(fill(attacker));
    many.w.world.run_for(5s);
    EXPECT_GT(allocated(), before + kStreams * yamux::kInitialWindow) << "each holds a window";
    // A window each, at most doubled by the queue's pieces, and what the writers still hold.
    EXPECT_LT(allocated(), before + kStreams * (2 * yamux::kInitialWindow + (1 << 20) + 64 * 1024));
    many.w.run(nursery.join());
    many.w.world.run_for(5min);  // a few pings: the buffers shrink
  };
  attack();  // warm-up: allocations made once
  const std::size_t before = allocated();
  for (int i = 0; i < 3; ++i) attack();
  EXPECT_EQ(attacker.streams() + victim.streams(), 0u);
  EXPECT_LT(allocated(), before + 16 * 1024);
  many.close();
}

}  // namespace
}  // namespace dms::libp2p
