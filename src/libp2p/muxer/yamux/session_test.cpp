#include "libp2p/muxer/yamux/session.hpp"

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

TEST(Yamux, BytesGoBothWaysAndHalvesCloseApart) {
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

TEST(Yamux, AStreamLetGoAfterClosingStillDeliversAllOfIt) {
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

TEST(Yamux, AStreamLetGoUnfinishedIsReset) {
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

/// As a listener answers a protocol that was proposed lazily to somebody who only wanted to leave a message.
TEST(Yamux, AMessageIsWholeAlsoIfItsSenderAnswersTheReplyWithAReset) {
  Pair p;
  const Bytes message(10'000, 9);
  StreamPtr here = p.open(p.a);
  ASSERT_TRUE(p.write(*here, message));
  ASSERT_TRUE(p.w.run(here->close_write()));
  here.reset();
  StreamPtr there = p.accept(p.b);
  ASSERT_TRUE(p.write(*there, to_bytes("a reply that nobody wants")));
  p.settle();
  EXPECT_EQ(p.b.streams(), 0u) << "its place is free";
  EXPECT_EQ(p.b.buffered(), message.size()) << "and its bytes count as long as they are there";
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
  EXPECT_EQ(nursery.size(), 1u);  // one byte is still to go
  auto all = p.w.run(read_to_end(*there, 1 << 20));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), kInitialWindow + 1);
  p.w.run(nursery.join());
}

TEST(Yamux, ASlowReaderHoldsUpOnlyItsOwnStream) {
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
  ASSERT_TRUE(p.write(*here, to_bytes("last words")));
  StreamPtr there = p.accept(p.b);
  p.w.run(p.a.close());
  p.settle();
  EXPECT_TRUE(p.b.closing());
  EXPECT_FALSE(p.write(*here, Bytes(1)));
  // What had arrived before the end can still be read; then there is no end of stream but an error.
  EXPECT_EQ(as_text(*p.read(*there, 10)), "last words");
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

TEST(Yamux, AStreamFloodIsResetNotServed) {
  Pair p({.max_inbound_streams = 10, .max_unacknowledged = 1000, .accept_backlog = 5});
  std::vector<StreamPtr> streams;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(p.open(p.a));
    ASSERT_TRUE(p.write(*streams.back(), Bytes(1)));
  }
  p.settle();
  EXPECT_EQ(p.b.streams(), 5u);
  std::size_t alive = 0;
  for (auto& stream : streams) alive += p.write(*stream, Bytes(1)) ? 1 : 0;
  EXPECT_EQ(alive, 5u);
}

/// A message on a stream of its own, which is let go when it is written.
Task<void> send_message(Session& session, std::uint8_t number) {
  Result<StreamPtr> stream = co_await session.open_stream();
  EXPECT_TRUE(stream);
  if (!stream) co_return;
  EXPECT_TRUE(co_await (*stream)->write(Bytes(1 + number % 7, number)));
  EXPECT_TRUE(co_await (*stream)->close_write());
}

/// A stream ends here late, and in one of three ways.
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

/// Most would be refused if a stream counted at its sender only until that has let it go.
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
  EXPECT_FALSE(two) << "it is still open at the other side";
  accepted.reset();
  p.w.run(nursery.join());
  EXPECT_TRUE(two && *two);
}

TEST(Yamux, AStreamThatTheOtherSideNeverEndsGivesItsPlaceBackAfterAWhile) {
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
    p.w.world.run_for(Session::kLetGoGrace - 1ms);
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

TEST(Yamux, ManyStreamsThatTheOtherSideNeverEndsAreAllGivenBackEachInItsTime) {
  Pair p;
  std::vector<StreamPtr> held;
  for (int i = 0; i < 100; ++i) {
    StreamPtr stream = p.open(p.a);
    ASSERT_TRUE(p.write(*stream, Bytes(1)));
    ASSERT_TRUE(p.w.run(stream->close_write()));
    held.push_back(p.accept(p.b));
    stream.reset();
    p.w.world.run_for(1s);
    EXPECT_EQ(p.b.streams(), std::min<std::size_t>(held.size(), Session::kLetGoGrace / 1s - 1));
  }
  for (auto& stream : held) stream.reset();
  p.settle();
  EXPECT_EQ(p.b.streams(), 0u);
}

TEST(Yamux, UnreadBytesOverAllStreamsAreBounded) {
  Pair p({.max_buffered = 300'000});
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

TEST(Yamux, WritersShareTheWire) {
  Pair p({.max_outbound = 64 * 1024}, 4096);
  std::vector<StreamPtr> here;
  Nursery nursery(p.w.lane(), "send");
  for (int i = 0; i < 4; ++i) {
    here.push_back(p.open(p.a));
    nursery.spawn(send_all(*here.back(), Bytes(kInitialWindow, static_cast<std::uint8_t>(i))));
  }
  // When half of all has arrived, nobody is far ahead; the first had the wire to itself for a moment.
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

// ---- a hostile other side: raw frames -------------------------------------------------------------------------------

/// A session facing bytes of our choice.
struct Raw {
  explicit Raw(Options options = {}) : Raw(make_pipe(1 << 20), options) {}
  Raw(std::pair<StreamPtr, StreamPtr> pipe, Options options)
      : session(w.lane(), std::move(pipe.first), Side::listener, options), wire(std::move(pipe.second)) {}
  ~Raw() {
    wire.reset();
    w.run(session.close());
  }
  void send(FrameHeader header, std::size_t payload = 0) {
    Bytes bytes = to_bytes(BytesView(header.encode()));
    bytes.resize(bytes.size() + payload);
    send(std::move(bytes));
  }
  void send(Bytes bytes) { (void)w.run(Pair::write_bytes(*wire, std::move(bytes))); }
  bool died() {
    w.world.run_for(100ms);
    return session.closing();
  }
  LaneWorld w;
  Session session;
  StreamPtr wire;
};

TEST(YamuxFrames, HeaderReadsBack) {
  const FrameHeader header{FrameType::window_update, kSyn | kRst, 0x01020304, 0xa0b0c0d0};
  const auto bytes = header.encode();
  EXPECT_EQ(to_bytes(BytesView(bytes)), (Bytes{0, 1, 0, 9, 1, 2, 3, 4, 0xa0, 0xb0, 0xc0, 0xd0}));
  EXPECT_EQ(*FrameHeader::decode(bytes), header);
}

TEST(YamuxFrames, WhatBreaksTheRulesEndsTheSession) {
  const auto ends = [](std::vector<std::pair<FrameHeader, std::size_t>> frames) {
    Raw raw;
    for (auto& [header, payload] : frames) raw.send(header, payload);
    return raw.died();
  };
  EXPECT_FALSE(ends({{{FrameType::data, kSyn, 1, 5}, 5}}));
  EXPECT_TRUE(ends({{{FrameType::data, kSyn, 2, 5}, 5}}));  // the listener's number
  EXPECT_FALSE(ends({{{FrameType::data, kSyn, 3, 0}, 0}, {{FrameType::data, kSyn, 1, 0}, 0}}));  // in another order
  EXPECT_TRUE(ends({{{FrameType::data, kSyn, 1, 0}, 0}, {{FrameType::data, kSyn, 1, 0}, 0}}));   // twice
  EXPECT_TRUE(ends({{{FrameType::data, kSyn, 1, kInitialWindow + 1}, 0}}));                      // more than the window
  EXPECT_TRUE(ends({{{FrameType::data, kSyn, 0, 0}, 0}}));                                       // no stream
  EXPECT_TRUE(ends({{{FrameType::ping, kSyn, 1, 0}, 0}}));                                       // a ping for a stream
  EXPECT_TRUE(
      ends({{{FrameType::window_update, kSyn, 1, 0}, 0}, {{FrameType::window_update, kNone, 1, 0xffffffff}, 0}}));
  EXPECT_TRUE(ends({{{FrameType::data, kSyn | kFin, 1, 0}, 0}, {{FrameType::data, kNone, 1, 1}, 1}}));  // after the end
  Raw version;
  version.send(Bytes{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0});
  EXPECT_TRUE(version.died());
  Raw type;
  type.send(Bytes{0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0});
  EXPECT_TRUE(type.died());
}

TEST(YamuxFrames, FramesForStreamsThatAreGoneAreDropped) {
  Raw raw;
  raw.send({FrameType::data, kNone, 77, 1000}, 1000);
  raw.send({FrameType::window_update, kRst, 79, 0});
  raw.send({FrameType::data, kSyn, 81, 3}, 3);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 1u);
}

TEST(YamuxFrames, WhatCameBeforeTheEndStaysReadableAfterAReset) {
  Raw raw;
  const auto send_and_reset = [&raw](std::uint32_t id, bool finish) {
    raw.send({FrameType::data, static_cast<std::uint16_t>(finish ? kSyn | kFin : kSyn), id, 100}, 100);
    raw.send({FrameType::window_update, kRst, id, 0});
  };
  send_and_reset(1, false);
  send_and_reset(3, true);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 0u);
  EXPECT_EQ(raw.session.buffered(), 100u);
  StreamPtr stream = *raw.w.run(raw.session.accept_stream());  // the second: of the first there is nothing to see
  EXPECT_EQ(raw.w.run(read_to_end(*stream, 1000))->size(), 100u);
  send_and_reset(5, true);
  EXPECT_FALSE(raw.died());
  stream = *raw.w.run(raw.session.accept_stream());
  stream->abort();
  EXPECT_FALSE(raw.w.run(read_once(*stream))) << "we want no more of it";
  send_and_reset(7, true);
  EXPECT_FALSE(raw.died());
  stream = *raw.w.run(raw.session.accept_stream());
  stream.reset();
  EXPECT_EQ(raw.session.buffered(), 0u);
}

TEST(YamuxFrames, StreamsThatHaveEndedAndAreHeldStayWithinTheBoundOfBytes) {
  Raw raw({.accept_backlog = 10, .max_buffered = 1'000'000});
  std::vector<StreamPtr> held;
  for (std::uint32_t id = 1; id < 100; id += 2) {
    raw.send({FrameType::data, kSyn | kFin, id, 100'000}, 100'000);
    raw.send({FrameType::window_update, kRst, id, 0});
    EXPECT_FALSE(raw.died());
    EXPECT_LE(raw.session.buffered(), 1'000'000u);
    if (id < 20) held.push_back(*raw.w.run(raw.session.accept_stream()));
  }
  EXPECT_EQ(raw.session.buffered(), 1'000'000u);
  held.clear();
  EXPECT_EQ(raw.session.buffered(), 0u);
}

/// Everything the session has written so far, as frames (payloads skipped).
Task<void> collect(ByteStream& wire, std::vector<FrameHeader>& into) {
  for (;;) {
    std::array<std::uint8_t, FrameHeader::kSize> bytes{};
    Result<void> read = co_await read_exactly(wire, bytes);
    if (!read) co_return;
    into.push_back(*FrameHeader::decode(bytes));
    Bytes payload(into.back().type == FrameType::data ? into.back().length : 0);
    read = co_await read_exactly(wire, payload);
    if (!read) co_return;
  }
}

TEST(YamuxFrames, AWriterToAStreamThatWasLetGoIsToldOnce) {
  Raw raw;
  std::vector<FrameHeader> heard;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, heard));
  raw.send({FrameType::data, kSyn, 1, 5}, 5);
  StreamPtr stream = *raw.w.run(raw.session.accept_stream());
  ASSERT_TRUE(raw.w.run(stream->close_write()));
  stream.reset();
  EXPECT_FALSE(raw.died());
  const auto resets = [&] { return std::ranges::count(heard, FrameHeader{FrameType::window_update, kRst, 1, 0}); };
  raw.send({FrameType::window_update, kNone, 1, 1000});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(resets(), 0) << "only who sends would wait";
  for (int i = 0; i < 3; ++i) raw.send({FrameType::data, kNone, 1, 100}, 100);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(resets(), 1);
  // One that had ended its half before, or ends it now, needs no telling.
  raw.send({FrameType::data, kSyn, 3, 5}, 5);
  stream = *raw.w.run(raw.session.accept_stream());
  ASSERT_TRUE(raw.w.run(stream->close_write()));
  stream.reset();
  raw.send({FrameType::data, kFin, 3, 0});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(std::ranges::count(heard, FrameHeader{FrameType::window_update, kRst, 3, 0}), 0);
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, AStreamOfOursThatIsNeverEndedIsResetOnce) {
  Raw raw({.keep_alive = 0s});
  std::vector<FrameHeader> heard;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, heard));
  for (const bool ended : {true, false}) {
    StreamPtr stream = *raw.w.run(raw.session.open_stream());
    ASSERT_TRUE(raw.w.run(stream->close_write()));
    stream.reset();
    if (ended) raw.send({FrameType::data, kFin, 2, 0});
  }
  raw.w.world.run_for(Session::kLetGoGrace + 1s);
  raw.send({FrameType::data, kNone, 4, 100}, 100);
  raw.w.world.run_for(Session::kLetGoGrace + 1s);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(std::ranges::count(heard, FrameHeader{FrameType::window_update, kRst, 2, 0}), 0);
  EXPECT_EQ(std::ranges::count(heard, FrameHeader{FrameType::window_update, kRst, 4, 0}), 1);
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, GoAwayStopsNewStreamsAndLetsOldOnesEnd) {
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

TEST(YamuxFrames, WhatBreaksTheRulesIsAnsweredWithTheReason) {
  Raw raw;
  std::vector<FrameHeader> heard;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, heard));
  raw.send({FrameType::data, kSyn, 2, 0});
  EXPECT_TRUE(raw.died());
  EXPECT_EQ(heard.back(), (FrameHeader{FrameType::go_away, kNone, 0, 1}));
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, OneHundredThousandStreamOpensLeaveNothingBehind) {
  Raw raw({.max_inbound_streams = 100, .accept_backlog = 50});
  std::vector<FrameHeader> heard;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, heard));
  for (std::uint32_t batch = 0; batch < 100; ++batch) {
    Bytes bytes;
    for (std::uint32_t i = 0; i < 1000; ++i) {
      const std::uint32_t id = 1 + 2 * (batch * 1000 + i);
      append(bytes, BytesView(FrameHeader{FrameType::data, kSyn, id, 10}.encode()));
      bytes.resize(bytes.size() + 10);
    }
    raw.send(std::move(bytes));
    raw.w.world.run_for(1ms);
    EXPECT_LE(raw.session.streams(), 50u);
    EXPECT_LE(raw.session.buffered(), 500u);
  }
  EXPECT_FALSE(raw.died());
  EXPECT_GE(heard.size(), 100'000u - 50u) << "each one refused by name";
  for (std::uint32_t i = 0; i < 100'000; ++i)  // and those that were let in are taken back
    raw.send({FrameType::window_update, kRst, 1 + 2 * i, 0});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 0u);
  EXPECT_EQ(raw.session.buffered(), 0u);
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, OpenedAndTakenBackAtOnceTheBacklogStaysBounded) {
  Raw raw({.accept_backlog = 50});
  std::vector<FrameHeader> heard;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, heard));
  for (std::uint32_t i = 0; i < 10'000; ++i) raw.send({FrameType::window_update, kSyn | kRst, 1 + 2 * i, 0});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 0u);
  raw.send({FrameType::data, kSyn, 30'001, 2}, 2);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 1u) << "the taken back do not fill the backlog for ever";
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, APeerThatAsksWithoutReadingIsNotReadFrom) {
  Raw raw({.max_outbound = 64 * 1024});
  Bytes pings;
  for (int i = 0; i < 100; ++i) append(pings, BytesView(FrameHeader{FrameType::ping, kSyn, 0, 1}.encode()));
  Nursery nursery(raw.w.lane(), "flood");
  nursery.spawn([](ByteStream& wire, Bytes bytes) -> Task<void> {
    for (;;) {
      Result<void> sent = co_await wire.write(bytes);
      if (!sent) co_return;
    }
  }(*raw.wire, pings));
  raw.w.world.run_for(30s);
  EXPECT_LE(raw.session.outbound(), 64u * 1024 + Session::kMaxAnswers + 64 * 1024);
  raw.w.world.run_for(1min);  // the write timeout
  EXPECT_TRUE(raw.session.closing());
  raw.w.run(nursery.close());
}

// Any bytes at all: nothing but an orderly end.
TEST(YamuxFrames, RandomFramesDoNoHarm) {
  SeededRandom random(5);
  for (int round = 0; round < 300; ++round) {
    Raw raw({.max_inbound_streams = 4, .accept_backlog = 3, .max_buffered = 100'000});
    for (int i = 0; i < 30; ++i) {
      FrameHeader header;
      header.type = static_cast<FrameType>(random.below(10) == 0 ? random.below(5) : random.below(2));
      header.flags = static_cast<std::uint16_t>(random.below(16));
      header.stream = static_cast<std::uint32_t>(random.below(10));
      header.length = static_cast<std::uint32_t>(random.below(8) == 0 ? random.u64() : random.below(5000));
      raw.send(header, header.type == FrameType::data ? std::min<std::size_t>(header.length, 10'000) : 0);
    }
    EXPECT_LE(raw.session.buffered(), 100'000u);
    EXPECT_LE(raw.session.streams(), 4u);
  }
}

}  // namespace
}  // namespace dms::libp2p::yamux
