// yamux over a path with a large bandwidth-delay product, in virtual time: throughput, and the latency of small streams
// beside bulk.
#include "libp2p/muxers/yamux/session.hpp"
#include "libp2p/testing.hpp"

namespace dms::libp2p::yamux {
namespace {

using namespace libp2p::testing;
using StreamPtr = std::unique_ptr<ByteStream>;

/// Two sessions, with a simulated network between them.
struct Path {
  explicit Path(SimLink link, Options options = {}, std::uint64_t seed = 1) : world(seed, link) {
    Nursery nursery(left.runtime().lane, "connect");
    nursery.spawn(join(*this, options));
    world.run(left, nursery.join());
  }
  ~Path() {
    Nursery nursery(left.runtime().lane, "close");
    nursery.spawn(a->close());
    nursery.spawn(b->close());
    world.run(left, nursery.join());
  }
  static Task<void> join(Path& path, Options options) {
    auto listener = path.right.runtime().net.listen_tcp({IpAddress(), kPort});
    IpEndpoint to{path.right.address(), kPort};
    Result<Accepted> dialed = co_await path.left.runtime().net.connect_tcp(to);
    Result<Accepted> accepted = co_await (*listener)->accept();
    path.a = std::make_unique<Session>(path.left.runtime().lane, std::move(dialed->stream), Side::dialer, options);
    path.b = std::make_unique<Session>(path.right.runtime().lane, std::move(accepted->stream), Side::listener, options);
  }

  SimWorld world;
  SimNode& left = world.add_node("left");
  SimNode& right = world.add_node("right");
  std::unique_ptr<Session> a;
  std::unique_ptr<Session> b;
};

constexpr SimLink kGigabit = {.latency = 30ms, .jitter = 0ns, .bandwidth = 125'000'000};

Task<void> pour(Session& session) {
  Result<StreamPtr> stream = co_await session.open_stream();
  const Bytes chunk(1 << 20, 1);
  for (;;) {
    Result<void> sent = co_await (*stream)->write(chunk);
    if (!sent) co_return;
  }
}

Task<void> count(Session& session, std::size_t& total) {
  Result<StreamPtr> stream = co_await session.accept_stream();
  Bytes buffer(1 << 18);
  for (;;) {
    Result<std::size_t> got = co_await (*stream)->read_some(buffer);
    if (!got || *got == 0) co_return;
    total += *got;
  }
}

/// Bytes a second over one stream in the two seconds after the first two.
double rate_of_one_stream(SimLink link, Options options, Duration* rtt = nullptr) {
  Path path(link, options);
  Nursery nursery(path.left.runtime().lane, "streams");
  std::size_t total = 0;
  nursery.spawn(pour(*path.a));
  nursery.spawn(count(*path.b, total));
  path.world.run_for(2s);
  const std::size_t before = total;
  path.world.run_for(2s);
  if (rtt != nullptr) *rtt = path.b->rtt().value_or(0ns);
  path.a->abort();
  path.b->abort();
  path.world.run(path.left, nursery.join());
  return static_cast<double>(total - before) / 2;
}

TEST(YamuxPath, OneStreamFillsAGigabitOver60Milliseconds) {
  Duration rtt{};
  const double rate = rate_of_one_stream(kGigabit, {}, &rtt);
  RecordProperty("percent", static_cast<int>(rate / 125e4));
  EXPECT_GT(rate, 0.9 * 125e6);
  EXPECT_GE(rtt, 60ms);
  EXPECT_LT(rtt, 70ms) << "pings that waited in queues do not count";
}

TEST(YamuxPath, WithoutGrowthTheWindowLimitsTheRate) {
  EXPECT_LT(rate_of_one_stream(kGigabit, {.max_window = kInitialWindow}), 0.05 * 125e6);
  EXPECT_LT(rate_of_one_stream(kGigabit, {.max_window_total = 0}), 0.05 * 125e6);
}

TEST(YamuxPath, AWindowStaysSmallWhereThePathIsNarrow) {
  // 1 MB/s and 60 ms: a bandwidth-delay product of 60 KB.
  SimLink narrow = kGigabit;
  narrow.bandwidth = 1'000'000;
  narrow.queue = 10'000;
  Path path(narrow);
  path.world.run_for(1s);  // the first ping does not queue behind the bulk
  Nursery nursery(path.left.runtime().lane, "streams");
  std::size_t total = 0;
  nursery.spawn(pour(*path.a));
  nursery.spawn(count(*path.b, total));
  path.world.run_for(30s);
  EXPECT_GT(static_cast<double>(total), 0.9 * 30e6);
  EXPECT_LE(path.b->extra_windows(), kInitialWindow);
  path.a->abort();
  path.b->abort();
  path.world.run(path.left, nursery.join());
}

TEST(YamuxPath, GrownWindowsOfAllStreamsAreBoundedInSum) {
  constexpr std::size_t kSum = 4 << 20;
  Path path(kGigabit, {.max_window_total = kSum});
  Nursery nursery(path.left.runtime().lane, "streams");
  std::array<std::size_t, 10> totals{};
  for (std::size_t& total : totals) {
    nursery.spawn(pour(*path.a));
    nursery.spawn(count(*path.b, total));
  }
  for (int i = 0; i < 20; ++i) {
    path.world.run_for(100ms);
    EXPECT_LE(path.b->extra_windows(), kSum);
    EXPECT_LE(path.b->buffered(), kSum + totals.size() * kInitialWindow);
  }
  EXPECT_GT(path.b->extra_windows(), kSum / 2);
  path.a->abort();
  path.b->abort();
  path.world.run(path.left, nursery.join());
  EXPECT_EQ(path.b->extra_windows(), 0u);
}

TEST(YamuxPath, WindowsGrowAsFarAsTheMemoryScopeAllows) {
  double before = 0;
  for (const std::uint64_t limit : {0U, 2U << 20, 64U << 20}) {
    Path path(kGigabit);
    const auto scope = std::make_shared<BoundedScope>(limit);
    path.b->count_memory_in(scope);
    Nursery nursery(path.left.runtime().lane, "streams");
    std::size_t total = 0;
    nursery.spawn(pour(*path.a));
    nursery.spawn(count(*path.b, total));
    for (int i = 0; i < 40; ++i) {
      path.world.run_for(50ms);
      EXPECT_LE(path.b->extra_windows(), limit / 2) << "the other half is for required memory";
      EXPECT_EQ(scope->held, std::max(path.b->extra_windows(), path.b->buffered()));
    }
    EXPECT_GT(static_cast<double>(total), 2 * before);
    before = static_cast<double>(total);
    path.a->abort();
    path.b->abort();
    path.world.run(path.left, nursery.join());
    EXPECT_EQ(scope->held, 0u);
  }
}

// ---- a wide path with loss ------------------------------------------------------------------------------------------

/// 100 Mb/s over 60 ms. A segment holds up to 64 KiB, so a loss of one in a hundred is about two packets in ten
/// thousand, as on a radio link. What follows a lost segment waits for it, as in TCP: for `retransmit`, again if it is
/// lost again. The socket buffers are those that Linux grows to.
SimLink lossy(double loss, Duration retransmit) {
  SimLink link = kGigabit;
  link.bandwidth = 12'500'000;
  link.loss = loss;
  link.retransmit = retransmit;
  link.window = 6 << 20;
  return link;
}

/// Measurements of one stream over fifteen seconds.
struct Observed {
  double rate = 0;                      ///< bytes a second after the first five
  std::size_t least_window = SIZE_MAX;  ///< after the first five
  std::size_t greatest_window = 0;
  Duration longest_pause{};  ///< without received bytes
  std::size_t most_buffered = 0, most_outbound = 0;
};

Observed observe(Path& path) {
  constexpr Duration kSample = 5ms;
  Observed seen;
  Nursery nursery(path.left.runtime().lane, "streams");
  std::size_t total = 0, before = 0;
  nursery.spawn(pour(*path.a));
  nursery.spawn(count(*path.b, total));
  Duration pause{};
  for (Duration time{}; time < 15s; time += kSample) {
    if (time == 5s) {
      before = total;
      seen.least_window = SIZE_MAX;
    }
    const std::size_t had = total;
    path.world.run_for(kSample);
    pause = total == had && total > 0 ? pause + kSample : Duration{};
    seen.longest_pause = std::max(seen.longest_pause, pause);
    const std::size_t window = kInitialWindow + path.b->extra_windows();
    seen.least_window = std::min(seen.least_window, window);
    seen.greatest_window = std::max(seen.greatest_window, window);
    seen.most_buffered = std::max(seen.most_buffered, path.b->buffered());
    seen.most_outbound = std::max(seen.most_outbound, path.a->outbound());
  }
  seen.rate = static_cast<double>(total - before) / 10;
  path.a->abort();
  path.b->abort();
  path.world.run(path.left, nursery.join());
  return seen;
}

TEST(YamuxPath, AStreamFillsALossyPathAndItsWindowStaysInProportion) {
  const auto holds = [](const SimLink& link, Duration time) {
    return static_cast<double>(link.bandwidth) * std::chrono::duration<double>(time).count();
  };
  for (const double loss : {0.01, 0.05})
    for (const Duration retransmit : {Duration(60ms), Duration(200ms)})
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        SCOPED_TRACE(fmt::format("loss {}, retransmission after {} ms, seed {}", loss, retransmit / 1ms, seed));
        const SimLink link = lossy(loss, retransmit);
        Path path(link, {}, seed);
        const Observed seen = observe(path);
        EXPECT_GT(seen.rate, 0.9 * static_cast<double>(link.bandwidth));
        EXPECT_GE(seen.longest_pause, retransmit - 20ms) << "otherwise nothing was lost";
        EXPECT_LE(seen.longest_pause, 3 * retransmit) << "otherwise the pause had another cause";
        // What was sent during a stall arrives at its end; two round trips bring at most half a window more.
        EXPECT_GE(static_cast<double>(seen.least_window), 4 * holds(link, 60ms));
        EXPECT_LE(static_cast<double>(seen.greatest_window), 4 * holds(link, 120ms + seen.longest_pause));
        EXPECT_LE(seen.most_buffered, seen.greatest_window);
        EXPECT_LE(seen.most_outbound, Options{}.max_outbound + Session::kMaxChunk + FrameHeader::kSize);
      }
}

// ---- streams beside each other ---------------------------------------------------------------------------------------

Task<void> echo_one(Session& session) {
  Result<StreamPtr> stream = co_await session.accept_stream();
  Bytes buffer(100);
  for (;;) {
    Result<void> got = co_await read_exactly(**stream, buffer);
    if (!got) co_return;
    got = co_await (*stream)->write(buffer);
    if (!got) co_return;
  }
}

/// The longest of `count` small exchanges, one after another.
Task<void> exchange(Session& session, Lane& lane, int count, Duration& longest) {
  Result<StreamPtr> stream = co_await session.open_stream();
  Bytes buffer(100);
  for (int i = 0; i < count; ++i) {
    const SteadyTime start = lane.now();
    (void)co_await (*stream)->write(buffer);
    (void)co_await read_exactly(**stream, buffer);
    longest = std::max(longest, lane.now() - start);
  }
}

TEST(YamuxPath, SmallExchangesAreNotDelayedByBulk) {
  // 12.5 MB/s. Before a small frame there are at most: max_outbound and a chunk (24 ms), the link's queue and a segment
  // (25 ms), and one chunk of each bulk stream (2.6 ms).
  SimLink link = kGigabit;
  link.bandwidth = 12'500'000;
  for (int bulk : {0, 1, 8}) {
    Path path(link);
    Nursery nursery(path.left.runtime().lane, "streams");
    std::vector<std::size_t> totals(static_cast<std::size_t>(bulk));
    for (std::size_t& total : totals) {
      nursery.spawn(pour(*path.a));
      nursery.spawn(count(*path.b, total));
      path.world.run_for(1ms);
    }
    path.world.run_for(5s);
    nursery.spawn(echo_one(*path.b));
    Nursery small(path.left.runtime().lane, "small");
    Duration longest{};
    small.spawn(exchange(*path.a, path.left.runtime().lane, 50, longest));
    path.world.run(path.left, small.join());
    RecordProperty(fmt::format("longest_ms_beside_{}", bulk), static_cast<int>(longest / 1ms));
    EXPECT_GE(longest, 60ms);
    EXPECT_LE(longest, 60ms + 50ms + bulk * 3ms) << bulk;
    path.a->abort();
    path.b->abort();
    path.world.run(path.left, nursery.join());
  }
}

TEST(YamuxPath, SmallExchangesBesideBulkWaitForRetransmissionsOnly) {
  constexpr Duration kRetransmit = 200ms;
  std::vector<Duration> longest;
  for (const double loss : {0.0, 0.02}) {
    Path path(lossy(loss, kRetransmit));
    Nursery nursery(path.left.runtime().lane, "streams");
    std::size_t total = 0;
    nursery.spawn(pour(*path.a));
    nursery.spawn(count(*path.b, total));
    path.world.run_for(5s);
    nursery.spawn(echo_one(*path.b));
    Nursery small(path.left.runtime().lane, "small");
    small.spawn(exchange(*path.a, path.left.runtime().lane, 100, longest.emplace_back()));
    path.world.run(path.left, small.join());
    path.a->abort();
    path.b->abort();
    path.world.run(path.left, nursery.join());
  }
  EXPECT_LE(longest[0], 60ms + 53ms) << "as without loss";
  EXPECT_GE(longest[1], 60ms + kRetransmit / 2) << "otherwise nothing was lost before it";
  EXPECT_LE(longest[1], longest[0] + 3 * kRetransmit);
}

TEST(YamuxPath, BulkStreamsShareEvenly) {
  SimLink link = kGigabit;
  link.bandwidth = 12'500'000;
  Path path(link);
  Nursery nursery(path.left.runtime().lane, "streams");
  std::array<std::size_t, 5> totals{};
  for (std::size_t& total : totals) {
    nursery.spawn(pour(*path.a));
    nursery.spawn(count(*path.b, total));
  }
  path.world.run_for(3s);
  const auto before = totals;
  path.world.run_for(5s);
  std::vector<double> shares;
  for (std::size_t i = 0; i < totals.size(); ++i) shares.push_back(static_cast<double>(totals[i] - before[i]));
  EXPECT_LT(*std::ranges::max_element(shares), 1.1 * *std::ranges::min_element(shares));
  path.a->abort();
  path.b->abort();
  path.world.run(path.left, nursery.join());
}

TEST(YamuxPath, APeerThatLosesPowerIsNoticedByKeepAlive) {
  Path path(kGigabit, {.keep_alive = 10s});
  path.world.run_for(1min);
  EXPECT_FALSE(path.a->closing()) << "pings are answered";
  path.right.power_off();
  path.world.run_for(21s);
  EXPECT_TRUE(path.a->closing());
}

}  // namespace
}  // namespace dms::libp2p::yamux
