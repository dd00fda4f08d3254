#include "network/frame.hpp"

#include <gtest/gtest.h>

#include "runtime/nursery.hpp"
#include "simulation/sim_world.hpp"

namespace dms::network {
namespace {

Bytes header(std::uint64_t length) {
  Bytes out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(length >> (8 * i)));
  return out;
}

TEST(Frame, IsALittleEndianLengthAndTheMessage) {
  auto frame = encode_frame(as_bytes("hello"));
  ASSERT_TRUE(frame);
  EXPECT_EQ(*frame, to_bytes(std::string_view("\x05\0\0\0\0\0\0\0hello", 13)));
}

TEST(Frame, TheSenderCountsTheHeaderIntoTheLimit) {
  EXPECT_TRUE(encode_frame(Bytes(kMaxMessage - kFrameHeader)));
  auto refused = encode_frame(Bytes(kMaxMessage - kFrameHeader + 1));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::limit_exceeded));
}

TEST(Frame, TheReceiverDoesNot) {
  FrameDecoder decoder;
  ASSERT_TRUE(decoder.feed(header(kMaxMessage)));
  const Bytes body(kMaxMessage, 'x');
  auto taken = decoder.feed(body);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, kMaxMessage);
  EXPECT_TRUE(decoder.complete());
  EXPECT_EQ(decoder.take(), body);
}

TEST(Frame, ALengthAboveTheLimitIsRefusedBeforeAnythingIsRead) {
  for (std::uint64_t length : {std::uint64_t{kMaxMessage} + 1, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
    FrameDecoder decoder;
    auto refused = decoder.feed(header(length));
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().is(Errc::limit_exceeded));
  }
}

TEST(Frame, AnyCutIntoPiecesGivesTheSameMessage) {
  const Bytes frame = *encode_frame(as_bytes("a message cut anywhere"));
  for (std::size_t piece = 1; piece <= frame.size(); ++piece) {
    FrameDecoder decoder;
    for (std::size_t at = 0; at < frame.size(); at += piece) {
      const BytesView part = BytesView(frame).subspan(at, std::min(piece, frame.size() - at));
      auto taken = decoder.feed(part);
      ASSERT_TRUE(taken);
      EXPECT_EQ(*taken, part.size());
    }
    ASSERT_TRUE(decoder.complete());
    EXPECT_EQ(as_text(decoder.take()), "a message cut anywhere");
  }
}

TEST(Frame, WhatFollowsIsNotTaken) {
  Bytes input = *encode_frame(as_bytes("one"));
  append(input, as_bytes("two"));
  FrameDecoder decoder;
  EXPECT_EQ(decoder.feed(input).value(), input.size() - 3);
  EXPECT_EQ(decoder.feed(as_bytes("two")).value(), 0u);
}

TEST(Frame, AnEmptyMessageIsComplete) {
  FrameDecoder decoder;
  EXPECT_FALSE(decoder.complete());
  ASSERT_TRUE(decoder.feed(header(0)));
  EXPECT_TRUE(decoder.complete());
}

Task<void> write_and_close(Net& net, IpEndpoint to, Bytes bytes) {
  Result<Accepted> connection = co_await net.connect_tcp(to);
  if (!connection) co_return;
  (void)co_await connection->stream->write(bytes);
  (void)co_await connection->stream->close_write();
  Bytes end(1);
  (void)co_await connection->stream->read_some(end);
}

Task<Result<Bytes>> accept_and_read(Listener& listener) {
  CO_TRY(Accepted connection, co_await listener.accept());
  Bytes scratch(kFrameStep);
  co_return co_await read_frame(*connection.stream, scratch);
}

Result<Bytes> over_the_wire(Bytes bytes) {
  SimWorld world(7);
  SimNode& server = world.add_node("server");
  SimNode& client = world.add_node("client");
  Nursery nursery(client.runtime().lane, "client");
  auto listener = server.runtime().net.listen_tcp({IpAddress(), 9});
  nursery.spawn(write_and_close(client.runtime().net, {server.address(), 9}, std::move(bytes)));
  auto result = world.run(server, accept_and_read(**listener));
  world.run(client, nursery.close());
  return result;
}

TEST(Frame, IsReadFromAStream) {
  const Bytes body(100'000, 'y');
  auto read = over_the_wire(*encode_frame(body));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, body);
}

TEST(Frame, AStreamThatEndsEarlyIsClosed) {
  Bytes half = *encode_frame(Bytes(1000, 'z'));
  half.resize(500);
  auto read = over_the_wire(half);
  ASSERT_FALSE(read);
  EXPECT_TRUE(read.error().is(Errc::closed));
}

}  // namespace
}  // namespace dms::network
