#include "encoding/cid.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "encoding/testing.hpp"

namespace dms {
namespace {
using dms::test::hex;

TEST(Cid, PublishedTexts) {
  for (const auto& row : test::read_csv("multiformats/cids.csv")) {
    const std::string& text = row.at(1);
    const auto cid = Cid::parse(text);
    ASSERT_TRUE(cid) << text << ": " << cid.error().to_string();
    EXPECT_EQ(std::to_string(cid->version()), row.at(2)) << text;
    EXPECT_EQ(to_string(cid->content()), row.at(3)) << text;
    EXPECT_EQ(hex_encode(cid->multihash().bytes()), row.at(4)) << text;
    const Base base = cid->version() == 0 ? Base::base58btc : multibase_decode(text)->base;
    EXPECT_EQ(cid->to_string(base), text);
    EXPECT_EQ(Cid::from_bytes(cid->bytes()).value(), *cid);
  }
}

TEST(Cid, TheSameHashInBothVersions) {
  // docs.ipfs.tech gives these two as names of one block.
  const Cid v0 = Cid::parse("QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR").value();
  const Cid v1 = Cid::v1(v0.content(), v0.multihash());
  EXPECT_EQ(v1.to_string(), "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi");
  EXPECT_FALSE(v0 == v1);
  EXPECT_EQ(Cid::v0(v1.multihash()).value(), v0);
  const Bytes digest(20, 1);
  EXPECT_TRUE(Cid::v0({Multicodec::sha1, digest}).error().is(Errc::invalid_argument));
}

TEST(Cid, RefusesWhatIsNoCid) {
  const Cid v0 = Cid::parse("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n").value();
  EXPECT_FALSE(Cid::parse(multibase_encode(Base::base32, v0.bytes()))) << "version 0 behind a multibase prefix";
  EXPECT_FALSE(Cid::parse("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zIII")) << "go-cid: not base58";
  for (std::string_view text : {"", "Qm", "b", "z", "bafk", "1QmX", "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1"})
    EXPECT_FALSE(Cid::parse(text)) << text;
  EXPECT_TRUE(Cid::from_bytes(hex("0255120101")).error().is(Errc::unsupported)) << "version 2 is reserved";
  EXPECT_EQ(Cid::from_bytes(hex("01")).error().place(), "byte 0");
  EXPECT_FALSE(Cid::from_bytes(hex("0155")));
  EXPECT_FALSE(Cid::from_bytes(hex("015511010203"))) << "a byte follows";
  EXPECT_FALSE(Cid::from_bytes(hex("81005511010203"))) << "the version is not in its shortest form";
  EXPECT_TRUE(Cid::parse("b" + std::string(Cid::kMaxText, 'a')).error().is(Errc::limit_exceeded));
}

RC_GTEST_PROP(Cid, HasOneTextInEachBaseAndOneFormInBytes, (std::uint32_t content, const Bytes& data)) {
  const Bytes digest(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(std::min(data.size(), kMaxDigest)));
  const Cid cid = Cid::v1(static_cast<Multicodec>(content), {Multicodec::identity, digest});
  RC_ASSERT(Cid::from_bytes(cid.bytes()).value() == cid);
  RC_ASSERT(to_bytes(cid.multihash().digest) == digest);
  for (std::size_t i = 0; i < kBases; ++i) {
    const auto base = static_cast<Base>(i);
    const std::string text = cid.to_string(base);
    const Cid back = Cid::parse(text).value();
    RC_ASSERT(back == cid);
    RC_ASSERT(back.content() == cid.content());
    RC_ASSERT(back.to_string(base) == text);
  }
}

}  // namespace
}  // namespace dms
