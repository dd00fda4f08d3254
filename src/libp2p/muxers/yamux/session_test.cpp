#include "libp2p/muxers/yamux/session.hpp"

#include "libp2p/testing.hpp"

namespace dms::libp2p::yamux {
namespace {

using namespace libp2p::testing;
using StreamPtr = std::unique_ptr<ByteStream>;

/// Two sessions over a pipe.
struct Pair {
  explicit Pair(Options options = {}, std::size_t capacity = 1 << 16) : Pair(make_pipe(capacity), options) {}
  Pair(std::pair<StreamPtr, StreamPtr> pipe, Options options)
      : a(w.lane(), std::move(pipe.first), Side::dialer, options),
        b(w.lane(), std::move(pipe.second), Side::listener, options) {}
  ~Pair() {
    Nursery nursery(w.lane(), "close");
    nursery.spawn(a.close());
    nursery.spawn(b.close());
    w.run(nursery.join());
  }
  StreamPtr open(Session& session) { return *w.run(session.open_stream()); }
  StreamPtr accept(Session& session) { return *w.run(session.accept_stream()); }
  Result<void> write(ByteStream& stream, Bytes bytes) { return w.run(write_bytes(stream, std::move(bytes))); }
  Result<Bytes> read(ByteStream& stream, std::size_t count) { return w.run(read_bytes(stream, count)); }
  void settle() { w.world.run_for(1s); }

  static Task<Result<void>> write_bytes(ByteStream& stream, Bytes bytes) { co_return co_await stream.write(bytes); }
  static Task<Result<Bytes>> read_bytes(ByteStream& stream, std::size_t count) {
    Bytes out(count);
    CO_TRY_VOID(co_await read_exactly(stream, out));
    co_return std::move(out);
  }

  LaneWorld w;
  Session a;
  Session b;
};

TEST(Yamux, BytesFlowBothWaysAndHalvesCloseSeparately) {
  Pair p;
  StreamPtr here = p.open(p.a);
  ASSERT_TRUE(p.write(*here, to_bytes("hello")));
  StreamPtr there = p.accept(p.b);
  EXPECT_EQ(as_text(*p.read(*there, 5)), "hello");
  ASSERT_TRUE(p.w.run(here->close_write()));
  EXPECT_EQ(p.w.run(read_to_end(*there, 10))->size(), 0u);
  ASSERT_TRUE(p.write(*there, to_bytes("still open this way")));
  ASSERT_TRUE(p.w.run(there->close_write()));
  EXPECT_EQ(as_text(*p.w.run(read_to_end(*here, 100))), "still open this way");
  EXPECT_FALSE(p.write(*here, to_bytes("no more")));
  p.settle();
  EXPECT_EQ(p.a.streams() + p.b.streams(), 0u);
}

TEST(Yamux, EitherSideOpens) {
  Pair p;
  StreamPtr from_b = p.open(p.b);
  ASSERT_TRUE(p.write(*from_b, to_bytes("b")));
  StreamPtr at_a = p.accept(p.a);
  EXPECT_EQ(as_text(*p.read(*at_a, 1)), "b");
}

TEST(Yamux, AStreamReleasedAfterClosingDeliversEverything) {
  Pair p({}, 1000);
  const Bytes message(100'000, 9);
  StreamPtr here = p.open(p.a);
  Nursery nursery(p.w.lane(), "send");
  nursery.spawn(send_all(*here, message));
  p.w.run(nursery.join());
  here.reset();
  StreamPtr there = p.accept(p.b);
  auto read = p.w.run(read_to_end(*there, 1 << 20));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, message);
}

TEST(Yamux, AStreamReleasedBeforeClosingIsReset) {
  Pair p;
  StreamPtr here = p.open(p.a);
  ASSERT_TRUE(p.write(*here, Bytes(10, 1)));
  StreamPtr there = p.accept(p.b);
  here.reset();
  p.settle();
  EXPECT_FALSE(p.w.run(read_to_end(*there, 100)));
  EXPECT_FALSE(p.write(*there, Bytes(1)));
  EXPECT_EQ(p.b.streams(), 0u);
  EXPECT_EQ(p.b.buffered(), 0u);
}

/// As with a lazily proposed protocol whose dialer sends one message and releases the stream.
TEST(Yamux, AMessageIsCompleteEvenIfItsSenderResetsOnTheReply) {
  Pair p;
  const Bytes message(10'000, 9);
  StreamPtr here = p.open(p.a);
  ASSERT_TRUE(p.write(*here, message));
  ASSERT_TRUE(p.w.run(here->close_write()));
  here.reset();
  StreamPtr there = p.accept(p.b);
  ASSERT_TRUE(p.write(*there, to_bytes("an unwanted reply")));
  p.settle();
  EXPECT_EQ(p.b.streams(), 0u) << "the stream is forgotten";
  EXPECT_EQ(p.b.buffered(), message.size()) << "its bytes count until they are read";
  EXPECT_FALSE(p.write(*there, Bytes(1)));
  EXPECT_FALSE(p.w.run(there->close_write()));
  const auto read = p.w.run(read_to_end(*there, 1 << 20));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, message);
  EXPECT_EQ(p.b.buffered(), 0u);
}

Task<Result<std::size_t>> read_once(ByteStream& stream) {
  Bytes into(1);
  co_return co_await stream.read_some(into);
}

TEST(Yamux, AWriterStopsAtTheWindowUntilTheReaderReads) {
  Pair p;
  StreamPtr here = p.open(p.a);
  Nursery nursery(p.w.lane(), "send");
  nursery.spawn(send_all(*here, Bytes(kInitialWindow + 1, 3)));
  StreamPtr there = p.accept(p.b);
  p.settle();
  EXPECT_EQ(p.b.buffered(), kInitialWindow);
  EXPECT_EQ(nursery.size(), 1u);  // one byte is still unsent
  auto all = p.w.run(read_to_end(*there, 1 << 20));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), kInitialWindow + 1);
  p.w.run(nursery.join());
}

TEST(Yamux, ASlowReaderBlocksOnlyItsOwnStream) {
  Pair p;
  StreamPtr slow = p.open(p.a);
  Nursery nursery(p.w.lane(), "send");
  nursery.spawn(send_all(*slow, Bytes(1 << 20, 1)));
  StreamPtr unread = p.accept(p.b);
  p.settle();
  StreamPtr quick = p.open(p.a);
  ASSERT_TRUE(p.write(*quick, to_bytes("past it")));
  StreamPtr there = p.accept(p.b);
  EXPECT_EQ(as_text(*p.read(*there, 7)), "past it");
  unread.reset();  // resets; the writer fails
  p.w.run(nursery.join());
}

TEST(Yamux, ClosingEndsEveryStreamAndTask) {
  Pair p;
  StreamPtr here = p.open(p.a);
  ASSERT_TRUE(p.write(*here, to_bytes("final text")));
  StreamPtr there = p.accept(p.b);
  p.w.run(p.a.close());
  p.settle();
  EXPECT_TRUE(p.b.closing());
  EXPECT_FALSE(p.write(*here, Bytes(1)));
  // What had arrived before the end can still be read; then there is no end of stream but an error.
  EXPECT_EQ(as_text(*p.read(*there, 10)), "final text");
  EXPECT_FALSE(p.w.run(read_once(*there)));
  EXPECT_FALSE(p.w.run(p.b.open_stream()));
  EXPECT_FALSE(p.w.run(p.b.accept_stream()));
}

TEST(Yamux, OpeningWaitsForAcknowledgement) {
  Pair p({.max_unacknowledged = 2});
  StreamPtr one = p.open(p.a);
  StreamPtr two = p.open(p.a);
  std::optional<Result<StreamPtr>> third;
  Nursery nursery(p.w.lane(), "open");
  nursery.spawn(keep(p.a.open_stream(), third));
  p.settle();
  EXPECT_FALSE(third);
  ASSERT_TRUE(p.write(*one, Bytes(1)));
  StreamPtr accepted = p.accept(p.b);
  p.w.run(nursery.join());
  ASSERT_TRUE(third && *third);
}

TEST(Yamux, AStreamFloodIsReset) {
  Pair p({.max_inbound_streams = 10, .max_unacknowledged = 1000, .accept_backlog = 5});
  std::vector<StreamPtr> streams;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(p.open(p.a));
    ASSERT_TRUE(p.write(*streams.back(), Bytes(1)));
  }
  p.settle();
  EXPECT_EQ(p.b.streams(), 5u);
  std::size_t open = 0;
  for (auto& stream : streams) open += p.write(*stream, Bytes(1)) ? 1 : 0;
  EXPECT_EQ(open, 5u);
}

/// A message on its own stream, which is released when it is written.
Task<void> send_message(Session& session, std::uint8_t number) {
  Result<StreamPtr> stream = co_await session.open_stream();
  EXPECT_TRUE(stream);
  if (!stream) co_return;
  EXPECT_TRUE(co_await (*stream)->write(Bytes(1 + number % 7, number)));
  EXPECT_TRUE(co_await (*stream)->close_write());
}

/// Ends a stream late, in one of three ways.
Task<void> take_message(StreamPtr stream, std::uint64_t chance, std::size_t& whole) {
  (void)co_await sleep_for(std::chrono::milliseconds(chance % 500));
  Result<Bytes> all = co_await read_to_end(*stream, 100);
  EXPECT_TRUE(all) << all.error().to_string();
  if (all && all->size() == 1U + all->front() % 7U) ++whole;
  (void)co_await sleep_for(std::chrono::milliseconds(chance % 300));
  if (chance % 3 == 0) (void)co_await stream->close_write();
  if (chance % 3 == 1) stream->abort();
}

Task<void> take_messages(Session& session, Nursery& nursery, SeededRandom& random, std::size_t& whole) {
  for (;;) {
    Result<StreamPtr> stream = co_await session.accept_stream();
    if (!stream) co_return;
    if (random.below(4) == 0) (void)co_await sleep_for(std::chrono::milliseconds(random.below(50)));
    nursery.spawn(take_message(std::move(*stream), random.below(10'000), whole));
  }
}

/// Most would be refused if a stream counted at its sender only until its release.
TEST(Yamux, ASenderWithTheSameBoundsIsNeverRefused) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Pair p({.max_inbound_streams = 20, .max_outbound_streams = 20, .max_unacknowledged = 6, .accept_backlog = 6});
    SeededRandom random(seed);
    std::size_t whole = 0, most = 0;
    Nursery sending(p.w.lane(), "send"), taking(p.w.lane(), "take");
    taking.spawn(take_messages(p.b, taking, random, whole));
    for (std::uint64_t i = 0; i < 500; ++i) sending.spawn(send_message(p.a, static_cast<std::uint8_t>(i)));
    ASSERT_TRUE(p.w.world.run_until([&] {
      most = std::max(most, p.b.streams());
      return whole == 500;
    })) << whole
        << " arrived";
    EXPECT_EQ(most, 20u);
    p.settle();
    EXPECT_EQ(p.a.streams() + p.b.streams(), 0u);
    p.w.run(sending.close());
    p.w.run(taking.close());
  }
}

TEST(Yamux, AFullSenderOpensAgainWhenAStreamHasEndedAtBothSides) {
  Pair p({.max_outbound_streams = 1});
  StreamPtr one = p.open(p.a);
  ASSERT_TRUE(p.write(*one, Bytes(1)));
  StreamPtr accepted = p.accept(p.b);
  std::optional<Result<StreamPtr>> two;
  Nursery nursery(p.w.lane(), "test");
  nursery.spawn(keep(p.a.open_stream(), two));
  p.settle();
  EXPECT_FALSE(two);
  ASSERT_TRUE(p.w.run(one->close_write()));
  one.reset();
  p.settle();
  EXPECT_FALSE(two) << "it is still open at the peer";
  accepted.reset();
  p.w.run(nursery.join());
  EXPECT_TRUE(two && *two);
}

TEST(Yamux, AReleasedStreamThatThePeerNeverEndsIsResetAfterAWhile) {
  for (const bool accepts : {true, false}) {
    Pair p({.max_outbound_streams = accepts ? 1U : 10U, .max_unacknowledged = accepts ? 10U : 1U});
    StreamPtr one = p.open(p.a);
    ASSERT_TRUE(p.write(*one, to_bytes("a message")));
    ASSERT_TRUE(p.w.run(one->close_write()));
    StreamPtr held = accepts ? p.accept(p.b) : nullptr;
    one.reset();
    std::optional<Result<StreamPtr>> two;
    Nursery nursery(p.w.lane(), "test");
    nursery.spawn(keep(p.a.open_stream(), two));
    p.w.world.run_for(Session::kReleaseGrace - 1ms);
    EXPECT_FALSE(two);
    p.w.world.run_for(10ms);
    EXPECT_TRUE(two && *two);
    EXPECT_EQ(p.b.streams(), 0u) << "both sides have forgotten it";
    if (!accepts) held = p.accept(p.b);
    EXPECT_EQ(as_text(*p.w.run(read_to_end(*held, 100))), "a message");
    EXPECT_FALSE(p.write(*held, to_bytes("a reply, much too late")));
    p.w.run(nursery.close());
  }
}

TEST(Yamux, ManyReleasedStreamsThatThePeerNeverEndsAreResetEachInTime) {
  Pair p;
  std::vector<StreamPtr> held;
  for (int i = 0; i < 100; ++i) {
    StreamPtr stream = p.open(p.a);
    ASSERT_TRUE(p.write(*stream, Bytes(1)));
    ASSERT_TRUE(p.w.run(stream->close_write()));
    held.push_back(p.accept(p.b));
    stream.reset();
    p.w.world.run_for(1s);
    EXPECT_EQ(p.b.streams(), std::min<std::size_t>(held.size(), Session::kReleaseGrace / 1s - 1));
  }
  for (auto& stream : held) stream.reset();
  p.settle();
  EXPECT_EQ(p.b.streams(), 0u);
}

TEST(Yamux, UnreadBytesOverAllStreamsAreBounded) {
  Pair p({.max_buffered = 300'000, .max_outbound = 256 * 1024});
  std::vector<StreamPtr> here, there;
  for (int i = 0; i < 3; ++i) {
    here.push_back(p.open(p.a));
    (void)p.write(*here.back(), Bytes(200'000, 1));
    there.push_back(p.accept(p.b));
  }
  p.settle();
  EXPECT_LE(p.b.buffered(), 300'000u);
  EXPECT_GT(p.b.buffered(), 0u);
}

TEST(Yamux, WritersShareTheConnection) {
  Pair p({.max_outbound = 64 * 1024}, 4096);
  std::vector<StreamPtr> here;
  Nursery nursery(p.w.lane(), "send");
  for (int i = 0; i < 4; ++i) {
    here.push_back(p.open(p.a));
    nursery.spawn(send_all(*here.back(), Bytes(kInitialWindow, static_cast<std::uint8_t>(i))));
  }
  // When half has arrived, no writer is far ahead; the first had the connection to itself at the start.
  ASSERT_TRUE(p.w.world.run_until([&] { return p.b.buffered() >= 2 * kInitialWindow; }));
  std::vector<StreamPtr> there;
  std::vector<std::size_t> shares;
  Bytes buffer(kInitialWindow);
  for (int i = 0; i < 4; ++i) {
    there.push_back(p.accept(p.b));
    shares.push_back(*p.w.run(there.back()->read_some(buffer)));
  }
  EXPECT_LE(*std::ranges::max_element(shares), *std::ranges::min_element(shares) + 3 * Session::kMaxChunk);
  there.clear();
  p.w.run(nursery.join());
}

TEST(Yamux, ASilentPeerIsNoticed) {
  LaneWorld w;
  auto [left, right] = make_pipe();
  Session session(w.lane(), std::move(left), Side::dialer, {.keep_alive = 30s});
  w.world.run_for(59s);
  EXPECT_FALSE(session.closing());
  w.world.run_for(2s);
  EXPECT_TRUE(session.closing());
  w.run(session.close());
}

TEST(Yamux, APeerThatShowsNoSignOfLifeWhenAskedIsGivenUp) {
  LaneWorld w;
  auto [left, right] = make_pipe();
  Session session(w.lane(), std::move(left), Side::dialer);
  w.world.run_for(1s);
  session.prove_alive(10s);
  w.world.run_for(5s);
  session.prove_alive(10s);
  w.world.run_for(4s);
  EXPECT_FALSE(session.closing());
  w.world.run_for(2s);
  EXPECT_TRUE(session.closing());
  w.run(session.close());
}

TEST(Yamux, APeerThatAnswersWhenAskedIsKept) {
  Pair p;
  p.w.world.run_for(1s);
  p.a.prove_alive(10s);
  p.w.world.run_for(11s);
  EXPECT_FALSE(p.a.closing());
  EXPECT_FALSE(p.b.closing());
}

TEST(Yamux, AReadTellsTheEndOfTheConnectionFromThatOfTheStream) {
  Pair p;
  StreamPtr reset = p.open(p.a);
  StreamPtr cut = p.open(p.a);
  ASSERT_TRUE(p.write(*reset, to_bytes("x")));
  ASSERT_TRUE(p.write(*cut, to_bytes("y")));
  p.accept(p.b)->abort();
  p.settle();
  Result<Bytes> read = p.read(*reset, 1);
  EXPECT_TRUE(read.error().is(Errc::closed));
  EXPECT_FALSE(read.error().is(EndedErrc::connection));
  p.b.abort();
  p.settle();
  read = p.read(*cut, 1);
  EXPECT_TRUE(read.error().is(Errc::closed));
  EXPECT_TRUE(read.error().is(EndedErrc::connection));
}

TEST(Yamux, GoAwayStopsNewStreamsAndLetsOpenOnesEnd) {
  for (const GoAway reason :
       {GoAway::normal, GoAway::protocol_error, GoAway::internal_error, static_cast<GoAway>(77)}) {
    Pair p;
    StreamPtr here = p.open(p.a);
    ASSERT_TRUE(p.write(*here, to_bytes("before")));
    StreamPtr there = p.accept(p.b);
    p.b.go_away(reason);
    p.settle();
    EXPECT_EQ(p.a.remote_reason(), reason);
    EXPECT_TRUE(p.a.closing() && p.b.closing());
    EXPECT_FALSE(p.w.run(p.a.open_stream()));
    EXPECT_FALSE(p.w.run(p.b.open_stream()));
    ASSERT_TRUE(p.write(*here, to_bytes(" and after")));
    EXPECT_EQ(as_text(*p.read(*there, 16)), "before and after");
    ASSERT_TRUE(p.write(*there, to_bytes("both ways")));
    EXPECT_EQ(as_text(*p.read(*here, 9)), "both ways");
  }
}

}  // namespace
}  // namespace dms::libp2p::yamux
