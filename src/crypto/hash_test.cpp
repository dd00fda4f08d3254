#include "crypto/hash.hpp"

#include <gtest/gtest.h>

namespace dms::crypto {
namespace {

TEST(Sha256, InPiecesIsTheDigestOfTheWhole) {
  Bytes data(100'000);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 31);
  Sha256 hash;
  EXPECT_EQ(hash.digest(), sha256({}));
  for (std::size_t at = 0; at < data.size(); at += 777) {
    const BytesView piece = BytesView(data).subspan(at, std::min<std::size_t>(777, data.size() - at));
    hash.add(piece);
    EXPECT_EQ(hash.digest(), sha256(BytesView(data).first(at + piece.size())));
  }
}

}  // namespace
}  // namespace dms::crypto
