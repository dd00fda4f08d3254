#include "encoding/multibase.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "encoding/testing.hpp"

namespace dms {
namespace {

std::vector<Base> all_bases() {
  std::vector<Base> bases;
  for (std::size_t i = 0; i < kBases; ++i) bases.push_back(static_cast<Base>(i));
  return bases;
}

struct Vector {
  Base base;
  std::string_view bytes;
  std::string_view text;
};

// RFC 4648 section 10, Bitcoin's base58 tests and the multibase repository's "yes mani !".
constexpr Vector kVectors[] = {
    {Base::base64, "", ""},
    {Base::base64, "f", "Zg=="},
    {Base::base64, "fo", "Zm8="},
    {Base::base64, "foo", "Zm9v"},
    {Base::base64, "foob", "Zm9vYg=="},
    {Base::base64, "fooba", "Zm9vYmE="},
    {Base::base64, "foobar", "Zm9vYmFy"},
    {Base::base32_upper, "", ""},
    {Base::base32_upper, "f", "MY======"},
    {Base::base32_upper, "fo", "MZXQ===="},
    {Base::base32_upper, "foo", "MZXW6==="},
    {Base::base32_upper, "foob", "MZXW6YQ="},
    {Base::base32_upper, "fooba", "MZXW6YTB"},
    {Base::base32_upper, "foobar", "MZXW6YTBOI======"},
    {Base::hex, "foobar", "666f6f626172"},
    {Base::base58btc, "", ""},
    {Base::base58btc, "Hello World!", "2NEpo7TZRRrLZSi2U"},
    {Base::base58btc, "The quick brown fox jumps over the lazy dog.",
     "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"},
    {Base::base64url, "yes mani !", "eWVzIG1hbmkgIQ"},
    {Base::base32, "yes mani !", "pfsxgidnmfxgsibb"},
};

TEST(Multibase, PublishedVectors) {
  for (const Vector& v : kVectors) {
    EXPECT_EQ(encode(v.base, as_bytes(v.bytes)), v.text);
    auto decoded = decode(v.base, v.text);
    ASSERT_TRUE(decoded) << v.text << ": " << decoded.error().to_string();
    EXPECT_EQ(as_text(*decoded), v.bytes);
  }
}

/// As RFC 4648 says it, a bit at a time.
std::string slow_base64(BytesView bytes, std::string_view digits) {
  std::string text;
  std::uint32_t pending = 0;
  unsigned bits = 0;
  for (const std::uint8_t byte : bytes)
    for (int i = 7; i >= 0; --i) {
      pending = pending << 1 | (byte >> i & 1U);
      if (++bits % 6 == 0) text += digits[std::exchange(pending, 0)];
    }
  if (bits % 6 != 0) text += digits[pending << (6 - bits % 6)];
  return text;
}

RC_GTEST_PROP(Multibase, Base64IsThatOfTheStandardInEveryLength, (const Bytes& bytes)) {
  std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string padded = slow_base64(bytes, digits);
  padded.append((4 - padded.size() % 4) % 4, '=');
  RC_ASSERT(encode(Base::base64, bytes) == padded);
  RC_ASSERT(*decode(Base::base64, padded) == bytes);
  std::string behind = "text";
  append_base64(behind, bytes);
  RC_ASSERT(behind == "text" + padded);
  digits.replace(62, 2, "-_");
  RC_ASSERT(encode(Base::base64url, bytes) == slow_base64(bytes, digits));
  RC_ASSERT(*decode(Base::base64url, slow_base64(bytes, digits)) == bytes);
}

TEST(Multibase, AWrongDigitOfBase64IsNamedWhereverItIs) {
  const std::string text = encode(Base::base64url, Bytes(30, 0xff));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string wrong = text;
    wrong[i] = '\xe4';
    const auto decoded = decode(Base::base64url, wrong);
    ASSERT_FALSE(decoded);
    EXPECT_NE(decoded.error().to_string().find(fmt::format("position {} ", i)), std::string::npos)
        << decoded.error().to_string();
  }
}

TEST(Multibase, LeadingZerosOfBase58AreOnes) {
  EXPECT_EQ(base58btc_encode(Bytes{0, 0, 0x28, 0x7f, 0xb4, 0xcd}), "11233QC4");
  EXPECT_EQ(*base58btc_decode("11233QC4"), (Bytes{0, 0, 0x28, 0x7f, 0xb4, 0xcd}));
  EXPECT_EQ(*base58btc_decode("111"), (Bytes{0, 0, 0}));
}

/// The multibase repository's vectors: a first line `encoding, "the bytes"`, then `name, "text"`.
void check_multibase_file(const std::string& name, std::string_view bytes) {
  std::size_t known = 0;
  for (const auto& row : test::read_csv("multiformats/" + name)) {
    const auto base = base_named(row.at(0));
    const std::string& text = row.at(1);
    if (!base) {
      EXPECT_EQ(row.at(0), "base256emoji") << "the one row of these files that is not supported";
      EXPECT_TRUE(multibase_decode(text).error().is(Errc::unsupported));
      continue;
    }
    ++known;
    EXPECT_EQ(multibase_encode(*base, as_bytes(bytes)), text);
    auto decoded = multibase_decode(text);
    ASSERT_TRUE(decoded) << text << ": " << decoded.error().to_string();
    EXPECT_EQ(decoded->base, *base);
    EXPECT_EQ(as_text(decoded->bytes), bytes);
    EXPECT_EQ(multibase_name(*base), row.at(0));
  }
  EXPECT_EQ(known, kBases);
}

TEST(Multibase, VectorsOfTheMultibaseRepository) {
  using namespace std::string_view_literals;
  check_multibase_file("multibase_basic.csv", "yes mani !");
  check_multibase_file("multibase_leading_zero.csv", "\0yes mani !"sv);
  check_multibase_file("multibase_two_leading_zeros.csv", "\0\0yes mani !"sv);
}

TEST(Multibase, OnlyHexIsReadInEitherCase) {
  for (const auto& row : test::read_csv("multiformats/multibase_case_insensitivity.csv")) {
    auto decoded = multibase_decode(row.at(1));
    if (row.at(0).starts_with("base16")) {
      ASSERT_TRUE(decoded) << row.at(1);
      EXPECT_EQ(as_text(decoded->bytes), "hello world");
    } else {
      EXPECT_FALSE(decoded) << row.at(1) << ": a second text for the same bytes";
    }
  }
}

TEST(Multibase, RefusesEverySecondTextForTheSameBytes) {
  const std::pair<Base, std::string_view> broken[] = {
      {Base::base64, "Zg="},
      {Base::base64, "Zg"},
      {Base::base64, "Zg==="},
      {Base::base64, "Zh=="},
      {Base::base64, "Zm8"},
      {Base::base64, "Zm9="},
      {Base::base64, "Zm9v===="},
      {Base::base64, "===="},
      {Base::base64, "Zg==Zg=="},
      {Base::base64, "Zm 9v"},
      {Base::base64, "Zm9v\n"},
      {Base::base64, "Zm-v"},
      {Base::base64, "Z==="},
      {Base::base64url, "Zg=="},
      {Base::base64url, "Zh"},
      {Base::base64url, "Z"},
      {Base::base64url, "Zm+v"},
      {Base::base32_upper, "MY"},
      {Base::base32_upper, "my======"},
      {Base::base32_upper, "MZ======"},
      {Base::base32_upper, "M======="},
      {Base::base32_upper, "MZXQ========"},
      {Base::base32, "PFSXGIDNMFXGSIBB"},
      {Base::base32, "p"},
      {Base::base32, "pf1"},
      {Base::hex, "0"},
      {Base::hex, "0g"},
      {Base::hex, " 00"},
      {Base::base58btc, "0"},
      {Base::base58btc, "O"},
      {Base::base58btc, "I"},
      {Base::base58btc, "l"},
      {Base::base58btc, "2NEpo 7TZ"},
  };
  for (const auto& [base, text] : broken)
    EXPECT_FALSE(decode(base, text)) << static_cast<int>(base) << " '" << text << "'";
  EXPECT_TRUE(decode(Base::hex, "0A0b"));
  EXPECT_EQ(decode(Base::base64, "Zm 9").error().place(), "byte 2");
  EXPECT_FALSE(multibase_decode(""));
  EXPECT_FALSE(multibase_decode("Q00"));
}

TEST(Multibase, TextsAboveTheLimitAreRefused) {
  EXPECT_TRUE(decode(Base::hex, std::string(8, '0'), 8));
  auto over = decode(Base::hex, std::string(10, '0'), 8);
  ASSERT_FALSE(over);
  EXPECT_TRUE(over.error().is(Errc::limit_exceeded));
  EXPECT_TRUE(base58btc_decode(std::string(kMaxRadixText, 'z')));
  EXPECT_FALSE(base58btc_decode(std::string(kMaxRadixText + 1, 'z')));
}

RC_GTEST_PROP(Multibase, RoundTripsInEveryBase, (const Bytes& bytes)) {
  for (Base base : all_bases()) {
    const std::string text = encode(base, bytes);
    auto decoded = decode(base, text);
    RC_ASSERT(decoded.has_value());
    RC_ASSERT(*decoded == bytes);
    auto prefixed = multibase_decode(multibase_encode(base, bytes));
    RC_ASSERT(prefixed.has_value());
    RC_ASSERT(prefixed->bytes == bytes);
  }
}

}  // namespace
}  // namespace dms
