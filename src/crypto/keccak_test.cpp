#include "crypto/keccak.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "encoding/multibase.hpp"

namespace dms::crypto {
namespace {

TEST(Keccak, PublishedDigests) {
  EXPECT_EQ(hex_encode(keccak_256({})), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  EXPECT_EQ(hex_encode(keccak_256(as_bytes("abc"))),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
  EXPECT_EQ(hex_encode(keccak_256(as_bytes("The quick brown fox jumps over the lazy dog"))),
            "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15");
}

// Lengths around the block of 136 bytes are the critical ones.
TEST(Keccak, EqualsOpenSslsSha3ExceptForThePaddingAtEveryLength) {
  Bytes data;
  for (std::size_t size = 0; size <= 3 * 136 + 1; ++size) {
    ASSERT_EQ(keccak_sponge_256(data, 0x06), sha3_256(data)) << size;
    data.push_back(static_cast<std::uint8_t>(size * 37 + 11));
  }
}

RC_GTEST_PROP(Keccak, EqualsOpenSslsSha3ExceptForThePadding, (const Bytes& data)) {
  RC_ASSERT(keccak_sponge_256(data, 0x06) == sha3_256(data));
}

}  // namespace
}  // namespace dms::crypto
