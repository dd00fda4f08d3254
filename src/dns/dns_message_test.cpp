#include "dns/dns_message.hpp"

#include <gtest/gtest.h>

#include "encoding/multibase.hpp"

namespace dms {
namespace {

// Written by hand after RFC 1035: a question for _dnsaddr.a TXT IN, and its answers.
const std::string kHeader = "12348180";
const std::string kQuestion =
    "085f646e7361646472"
    "0161"
    "00"
    "0010"
    "0001";

Bytes message(std::string_view counts, std::string_view records, std::string_view header = kHeader) {
  return hex_decode(std::string(header) + std::string(counts) + kQuestion + std::string(records)).value();
}
std::string record(std::string_view data, std::string_view type = "0010", std::string_view kind = "0001") {
  return fmt::format("c00c{}{}0000003c{:04x}{}", type, kind, data.size() / 2, data);
}

TEST(DnsMessage, TextsOfAllRecords) {
  auto texts = parse_text_records(message("0001000300000000", record("0361626301"
                                                                     "64") +
                                                                  record("00") + record("")));
  ASSERT_TRUE(texts) << texts.error().to_string();
  EXPECT_EQ(*texts, (std::vector<std::string>{"abcd", "", ""}));
}

TEST(DnsMessage, OtherRecordsAreSkipped) {
  auto texts = parse_text_records(
      message("0001000300000000", record("0162c00c", "0005") + record("0161", "0010", "0003") + record("0162")));
  ASSERT_TRUE(texts);
  EXPECT_EQ(*texts, (std::vector<std::string>{"b"}));
}

TEST(DnsMessage, StatusCodesOfTheServerAreErrors) {
  EXPECT_TRUE(parse_text_records(message("0001000000000000", ""))->empty());
  EXPECT_TRUE(parse_text_records(message("0001000000000000", "", "12348183")).error().is(Errc::not_found));
  EXPECT_TRUE(parse_text_records(message("0001000000000000", "", "12348182")).error().is(Errc::io));
  EXPECT_TRUE(parse_text_records(message("0001000000000000", "", "12340100")).error().is(Errc::invalid_argument));
}

TEST(DnsMessage, RecordsAboveTheLimitAreDropped) {
  std::string records;
  for (int i = 0; i < 100; ++i) records += record("0161");
  EXPECT_EQ(parse_text_records(message("0001006400000000", records))->size(), kMaxTextRecords);
}

TEST(DnsMessage, TruncatedMessagesAreRefused) {
  const Bytes whole = message("0001000200000000", record("03616263") + record("0161"));
  ASSERT_TRUE(parse_text_records(whole));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_text_records(BytesView(whole).first(size))) << size;
  // A string that reaches beyond its record, a label of a kind that does not exist.
  EXPECT_FALSE(parse_text_records(message("0001000100000000", record("0461"))));
  EXPECT_FALSE(parse_text_records(message("0001000100000000", "80" + record("0161"))));
}

}  // namespace
}  // namespace dms
