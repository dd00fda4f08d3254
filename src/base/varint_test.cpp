#include "base/varint.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace dms {
namespace {

Bytes encode(std::uint64_t value) {
  Bytes out;
  append_varint(out, value);
  return out;
}

// The examples of the multiformats specification.
TEST(Varint, SpecificationExamples) {
  EXPECT_EQ(encode(1), (Bytes{0x01}));
  EXPECT_EQ(encode(127), (Bytes{0x7f}));
  EXPECT_EQ(encode(128), (Bytes{0x80, 0x01}));
  EXPECT_EQ(encode(255), (Bytes{0xff, 0x01}));
  EXPECT_EQ(encode(300), (Bytes{0xac, 0x02}));
  EXPECT_EQ(encode(16384), (Bytes{0x80, 0x80, 0x01}));
}

TEST(Varint, ReadsBackWhatItWrites) {
  SeededRandom random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random.u64() >> (1 + random.below(63));
    Bytes bytes = encode(value);
    EXPECT_EQ(bytes.size(), varint_size(value));
    bytes.push_back(0x55);  // what follows is not touched
    auto back = parse_varint(bytes);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->value, value);
    EXPECT_EQ(back->size, bytes.size() - 1);
  }
  EXPECT_EQ(parse_varint(encode(kMaxVarint))->value, kMaxVarint);
}

TEST(Varint, RefusesWhatIsNotTheOneForm) {
  EXPECT_FALSE(parse_varint(Bytes{}));
  EXPECT_EQ(parse_varint(Bytes{0x80}).error().place(), "byte 1");
  EXPECT_FALSE(parse_varint(Bytes{0x80, 0x00}));        // zero in two bytes
  EXPECT_FALSE(parse_varint(Bytes{0x81, 0x80, 0x00}));  // one in three
  EXPECT_EQ(parse_varint(Bytes(9, 0x80)).error().place(), "byte 8");
  EXPECT_FALSE(parse_varint(Bytes{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}));  // ten bytes
}

}  // namespace
}  // namespace dms
