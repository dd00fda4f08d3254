#include "transfer/wire.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace dms::transfer {
namespace {

TEST(Wire, ARequestIsItsTicketAndItsOffset) {
  FileRequest request;
  for (std::size_t i = 0; i < request.ticket.secret.size(); ++i)
    request.ticket.secret[i] = static_cast<std::uint8_t>(i);
  request.offset = 0x0102030405060708;
  const auto bytes = encode(request);
  EXPECT_EQ(bytes[31], 31);
  EXPECT_EQ(bytes[32], 1);
  EXPECT_EQ(bytes[39], 8);
  const FileRequest again = decode_request(bytes);
  EXPECT_EQ(again.ticket, request.ticket);
  EXPECT_EQ(again.offset, request.offset);
}

TEST(Wire, AnAnswerIsItsStatusSizeAndDigest) {
  FileAnswer answer;
  answer.status = AnswerStatus::ok;
  answer.size = 65536;
  answer.digest.fill(7);
  auto bytes = encode(answer);
  const auto again = decode_answer(bytes);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->size, 65536u);
  EXPECT_EQ(again->digest, answer.digest);
  bytes[0] = 4;
  EXPECT_TRUE(decode_answer(bytes).error().is(Errc::invalid_argument));
}

TEST(Wire, ChunksHaveALimit) {
  std::array<std::uint8_t, kChunkHeader> header{};
  encode_chunk_header(kMaxChunk, header);
  EXPECT_EQ(decode_chunk_header(header).value(), kMaxChunk);
  encode_chunk_header(kMaxChunk + 1, header);
  EXPECT_TRUE(decode_chunk_header(header).error().is(Errc::invalid_argument));
}

TEST(TicketText, IsHex) {
  Ticket ticket;
  ticket.secret[0] = 0xab;
  EXPECT_TRUE(ticket.to_string().starts_with("ab00"));
  EXPECT_EQ(Ticket::parse(ticket.to_string()).value(), ticket);
  EXPECT_FALSE(Ticket::parse("ab00"));
  EXPECT_FALSE(Ticket::parse(ticket.to_string() + "00"));
}

}  // namespace
}  // namespace dms::transfer
