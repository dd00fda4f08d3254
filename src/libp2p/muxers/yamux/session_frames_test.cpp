// A session against raw frames: a hostile peer, or one that behaves differently.
#include "libp2p/muxers/yamux/session.hpp"

#include "libp2p/testing.hpp"

namespace dms::libp2p::yamux {
namespace {

using namespace libp2p::testing;
using StreamPtr = std::unique_ptr<ByteStream>;

Task<Result<void>> write_bytes(ByteStream& stream, Bytes bytes) { co_return co_await stream.write(bytes); }

Task<Result<std::size_t>> read_byte(ByteStream& stream) {
  Bytes into(1);
  co_return co_await stream.read_some(into);
}

/// A session whose peer is the test.
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
  void send(Bytes bytes) { (void)w.run(write_bytes(*wire, std::move(bytes))); }
  bool died() {
    w.world.run_for(100ms);
    return session.closing();
  }
  LaneWorld w;
  Session session;
  StreamPtr wire;
};

TEST(YamuxFrames, HeaderRoundTrips) {
  const FrameHeader header{FrameType::window_update, kSyn | kRst, 0x01020304, 0xa0b0c0d0};
  const auto bytes = header.encode();
  EXPECT_EQ(to_bytes(BytesView(bytes)), (Bytes{0, 1, 0, 9, 1, 2, 3, 4, 0xa0, 0xb0, 0xc0, 0xd0}));
  EXPECT_EQ(*FrameHeader::decode(bytes), header);
}

TEST(YamuxFrames, ProtocolViolationsEndTheSession) {
  const auto ends = [](std::vector<std::pair<FrameHeader, std::size_t>> frames) {
    Raw raw;
    for (auto& [header, payload] : frames) raw.send(header, payload);
    return raw.died();
  };
  EXPECT_FALSE(ends({{{FrameType::data, kSyn, 1, 5}, 5}}));
  EXPECT_TRUE(ends({{{FrameType::data, kSyn, 2, 5}, 5}}));  // the listener's parity
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

TEST(YamuxFrames, FramesForForgottenStreamsAreDropped) {
  Raw raw;
  raw.send({FrameType::data, kNone, 77, 1000}, 1000);
  raw.send({FrameType::window_update, kRst, 79, 0});
  raw.send({FrameType::data, kSyn, 81, 3}, 3);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 1u);
}

TEST(YamuxFrames, WhatArrivedBeforeTheEndStaysReadableAfterAReset) {
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
  StreamPtr stream = *raw.w.run(raw.session.accept_stream());  // the second: the first was reset
  EXPECT_EQ(raw.w.run(read_to_end(*stream, 1000))->size(), 100u);
  send_and_reset(5, true);
  EXPECT_FALSE(raw.died());
  stream = *raw.w.run(raw.session.accept_stream());
  stream->abort();
  EXPECT_FALSE(raw.w.run(read_byte(*stream))) << "aborted";
  send_and_reset(7, true);
  EXPECT_FALSE(raw.died());
  stream = *raw.w.run(raw.session.accept_stream());
  stream.reset();
  EXPECT_EQ(raw.session.buffered(), 0u);
}

TEST(YamuxFrames, EndedStreamsThatAreStillHeldCountAgainstTheByteLimit) {
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

/// Everything that the session has written so far, as frames without payloads.
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

TEST(YamuxFrames, AWriterToAReleasedStreamGetsOneReset) {
  Raw raw;
  std::vector<FrameHeader> frames;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, frames));
  raw.send({FrameType::data, kSyn, 1, 5}, 5);
  StreamPtr stream = *raw.w.run(raw.session.accept_stream());
  ASSERT_TRUE(raw.w.run(stream->close_write()));
  stream.reset();
  EXPECT_FALSE(raw.died());
  const auto resets = [&] { return std::ranges::count(frames, FrameHeader{FrameType::window_update, kRst, 1, 0}); };
  raw.send({FrameType::window_update, kNone, 1, 1000});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(resets(), 0) << "no sender waits";
  for (int i = 0; i < 3; ++i) raw.send({FrameType::data, kNone, 1, 100}, 100);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(resets(), 1);
  // A peer that has ended its half, or ends it now, needs no reset.
  raw.send({FrameType::data, kSyn, 3, 5}, 5);
  stream = *raw.w.run(raw.session.accept_stream());
  ASSERT_TRUE(raw.w.run(stream->close_write()));
  stream.reset();
  raw.send({FrameType::data, kFin, 3, 0});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(std::ranges::count(frames, FrameHeader{FrameType::window_update, kRst, 3, 0}), 0);
  raw.session.abort();
  raw.w.run(nursery.close());
}

Task<void> discard(ByteStream& stream) {
  (void)co_await read_to_end(stream, 1 << 22);
  (void)co_await stream.close_write();
}

TEST(YamuxFrames, TheRoundTripIsMeasuredWhenAStreamEndsWhoseWindowHasGrown) {
  Raw raw({.keep_alive = 0s});
  std::vector<FrameHeader> frames;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, frames));
  const auto pings = [&] {
    raw.w.world.run_for(10ms);
    return std::ranges::count_if(frames, [](const auto& h) { return h.type == FrameType::ping && h.has(kSyn); });
  };
  const auto answer = [&] { raw.send({FrameType::ping, kAck, 0, static_cast<std::uint32_t>(pings())}); };
  const auto transfer = [&](std::uint32_t id, std::uint32_t size) {
    raw.send({FrameType::data, kSyn, id, 0});
    const StreamPtr stream = *raw.w.run(raw.session.accept_stream());
    Nursery reader(raw.w.lane(), "read");
    reader.spawn(discard(*stream));
    for (std::uint32_t sent = 0; sent < size; sent += 100'000) {
      raw.send({FrameType::data, kNone, id, 100'000}, 100'000);
      raw.w.world.run_for(1ms);
    }
    raw.send({FrameType::data, kFin, id, 0});
    raw.w.run(reader.join());
  };
  EXPECT_EQ(pings(), 1) << "at the start";
  answer();
  transfer(1, 100'000);
  EXPECT_EQ(pings(), 1) << "no window has grown";
  transfer(3, 600'000);
  EXPECT_GT(std::ranges::count_if(frames, [](const auto& h) { return h.stream == 3 && h.length > kInitialWindow; }), 0);
  for (int i = 0; i < Session::kRttSeries; ++i) {
    EXPECT_EQ(pings(), 2 + i) << "one after another";
    answer();
  }
  EXPECT_EQ(pings(), 1 + Session::kRttSeries);
  transfer(5, 100'000);
  EXPECT_EQ(pings(), 1 + Session::kRttSeries);
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, AnOutboundStreamThatIsNeverEndedIsResetOnce) {
  Raw raw({.keep_alive = 0s});
  std::vector<FrameHeader> frames;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, frames));
  for (const bool ended : {true, false}) {
    StreamPtr stream = *raw.w.run(raw.session.open_stream());
    ASSERT_TRUE(raw.w.run(stream->close_write()));
    stream.reset();
    if (ended) raw.send({FrameType::data, kFin, 2, 0});
  }
  raw.w.world.run_for(Session::kReleaseGrace + 1s);
  raw.send({FrameType::data, kNone, 4, 100}, 100);
  raw.w.world.run_for(Session::kReleaseGrace + 1s);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(std::ranges::count(frames, FrameHeader{FrameType::window_update, kRst, 2, 0}), 0);
  EXPECT_EQ(std::ranges::count(frames, FrameHeader{FrameType::window_update, kRst, 4, 0}), 1);
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, ProtocolViolationsAreAnsweredWithTheReason) {
  Raw raw;
  std::vector<FrameHeader> frames;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, frames));
  raw.send({FrameType::data, kSyn, 2, 0});
  EXPECT_TRUE(raw.died());
  EXPECT_EQ(frames.back(), (FrameHeader{FrameType::go_away, kNone, 0, 1}));
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, OneHundredThousandStreamOpensHoldNoMemoryAfterwards) {
  Raw raw({.max_inbound_streams = 100, .accept_backlog = 50});
  std::vector<FrameHeader> frames;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, frames));
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
  EXPECT_GE(frames.size(), 100'000u - 50u) << "each one refused with a reset";
  for (std::uint32_t i = 0; i < 100'000; ++i)  // and the accepted ones are reset
    raw.send({FrameType::window_update, kRst, 1 + 2 * i, 0});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 0u);
  EXPECT_EQ(raw.session.buffered(), 0u);
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, StreamsOpenedAndResetAtOnceDoNotFillTheBacklog) {
  Raw raw({.accept_backlog = 50});
  std::vector<FrameHeader> frames;
  Nursery nursery(raw.w.lane(), "listen");
  nursery.spawn(collect(*raw.wire, frames));
  for (std::uint32_t i = 0; i < 10'000; ++i) raw.send({FrameType::window_update, kSyn | kRst, 1 + 2 * i, 0});
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 0u);
  raw.send({FrameType::data, kSyn, 30'001, 2}, 2);
  EXPECT_FALSE(raw.died());
  EXPECT_EQ(raw.session.streams(), 1u) << "streams that were reset do not fill the backlog";
  raw.session.abort();
  raw.w.run(nursery.close());
}

TEST(YamuxFrames, APeerThatDoesNotReadItsAnswersIsNotReadFrom) {
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

// Any bytes: the session ends cleanly.
TEST(YamuxFrames, RandomFramesEndTheSessionCleanly) {
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
