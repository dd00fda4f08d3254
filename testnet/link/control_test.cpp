#include "link/control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dms::testnet {
namespace {

using testing::HasSubstr;

template <class T>
T parsed(std::string_view line) {
  auto command = parse_command(line);
  EXPECT_TRUE(command) << line << ": " << (command ? "" : command.error().to_string());
  return std::get<T>(command.value());
}

std::string refused(std::string_view line) {
  auto command = parse_command(line);
  EXPECT_FALSE(command) << line;
  return command ? "" : command.error().to_string();
}

TEST(ControlTest, ReadsTheCommands) {
  const auto nat = parsed<AddNat>(
      R"({"command":"nat","name":"home","kind":"symmetric","address":"198.18.1.2","region":"eu","udp_timeout_us":3000000})");
  EXPECT_EQ(nat.kind, NatKind::symmetric);
  EXPECT_EQ(nat.timeouts.udp, 3s);
  EXPECT_EQ(to_string(nat.address), "198.18.1.2");
  const auto host = parsed<AddHost>(
      R"({"command":"host","name":"a","address":"10.1.0.2","region":"eu","nat":"home","namespace":"/run/n","device":"tun0"})");
  EXPECT_EQ(host.nat, "home");
  EXPECT_EQ(host.network_namespace, "/run/n");
  const auto quality = parsed<SetQuality>(
      R"({"command":"quality","from":"eu","to":"us","delay_us":1500,"jitter_us":0,"loss":0.25,"bits_per_second":8000,"queue":9})");
  EXPECT_EQ(quality.quality.delay, 1500us);
  EXPECT_EQ(quality.quality.loss, 0.25);
  EXPECT_EQ(quality.quality.bits_per_second, 8000U);
  EXPECT_EQ(parsed<Cut>(R"({"command":"cut","from":["a","b"],"to":["c"]})").from.size(), 2U);
  EXPECT_EQ(parsed<Heal>(R"({"command":"heal","from":["a"],"to":["c"]})").to.size(), 1U);
  EXPECT_TRUE(parsed<SetPower>(R"({"command":"power","host":"a","on":true})").on);
  (void)parsed<HealAll>(R"({"command":"heal_all"})");
  (void)parsed<GetStatus>(R"({"command":"status"})");
  (void)parsed<Stop>(R"({"command":"stop"})");
}

TEST(ControlTest, NamesTheMemberThatIsWrong) {
  EXPECT_THAT(refused(R"({"command":"power","host":"a","on":1})"), HasSubstr("on: expected true or false"));
  EXPECT_THAT(refused(R"({"command":"power","on":true})"), HasSubstr("host: expected"));
  EXPECT_THAT(refused(R"({"command":"cut","from":"a","to":["b"]})"), HasSubstr("from: expected a list"));
  EXPECT_THAT(refused(R"({"command":"cut","from":["a b"],"to":["b"]})"), HasSubstr("from: expected a list"));
  EXPECT_THAT(refused(R"({"command":"nat","name":"n","kind":"cone","address":"1.2.3.4","region":"eu"})"),
              HasSubstr("kind: expected full_cone"));
  EXPECT_THAT(refused(R"({"command":"fly"})"), HasSubstr("command: expected"));
  EXPECT_THAT(refused("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(refused("{"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(refused(std::string(kMaxLine + 1, ' ')), HasSubstr("at most"));
}

TEST(ControlTest, RefusesNumbersOutOfTheirRange) {
  const auto line = [](std::string_view delay, std::string_view loss) {
    return fmt::format(
        R"({{"command":"quality","from":"eu","to":"us","delay_us":{},"jitter_us":0,"loss":{},"bits_per_second":0,"queue":9}})",
        delay, loss);
  };
  EXPECT_TRUE(parse_command(line("1", "1")));
  for (const char* delay : {"-1", "1.5", "1e3", "\"1\"", "null", "99999999999999999999"})
    EXPECT_THAT(refused(line(delay, "0")), HasSubstr("delay_us")) << delay;
  for (const char* loss : {"-0.1", "1.1", "\"0\"", "null"}) EXPECT_THAT(refused(line("1", loss)), HasSubstr("loss"));
}

TEST(ControlTest, RefusesAMemberThatIsUnknown) {
  EXPECT_THAT(refused(R"({"command":"status","verbose":true})"), HasSubstr("unknown"));
}

TEST(ControlTest, AppliesCommandsAndReportsTheNetwork) {
  SeededRandom random(1);
  Switch network(random);
  for (
      const char* line : {
          R"({"command":"nat","name":"home","kind":"full_cone","address":"198.18.1.2","region":"eu"})",
          R"({"command":"host","name":"a","address":"10.1.0.2","region":"eu","nat":"home","namespace":"/n","device":"t"})",
          R"({"command":"host","name":"b","address":"198.18.1.3","region":"eu","nat":"","namespace":"/n","device":"t"})",
          R"({"command":"cut","from":["a"],"to":["b"]})",
          R"({"command":"power","host":"b","on":false})",
      })
    EXPECT_TRUE(carry_out(network, parse_command(line).value())) << line;
  const std::string status = answer(carry_out(network, GetStatus{}));
  EXPECT_THAT(status, HasSubstr(R"("cuts":[{"from":"a","to":"b"}])"));
  EXPECT_THAT(status, HasSubstr(R"({"name":"b","region":"eu","nat":"","address":"198.18.1.3","on":false})"));
  EXPECT_EQ(status.back(), '\n');
  EXPECT_THAT(answer(carry_out(network, Cut{{"a"}, {"nobody"}})), HasSubstr(R"("ok":false)"));
}

}  // namespace
}  // namespace dms::testnet
