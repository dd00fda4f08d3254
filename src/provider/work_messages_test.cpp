#include "provider/work_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dms::provider {
namespace {

using ::testing::HasSubstr;

std::string refusal_of(std::string_view line, std::uint64_t id = 0) {
  const auto parsed = parse_work_request(line);
  const auto* bad = std::get_if<BadWorkRequest>(&parsed);
  if (bad == nullptr) return "accepted";
  EXPECT_EQ(bad->id, id) << line;
  return bad->error;
}

TEST(WorkMessages, ARequestHasTheMembersOfItsOperation) {
  const auto parsed = parse_work_request(
      R"({"id":7,"op":"invoke","to":"b","behaviour":"/work/sum","payload":{"a":[1,2]},"timeout":5000})");
  const auto* request = std::get_if<WorkRequest>(&parsed);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->id, 7U);
  EXPECT_EQ(request->op, WorkOp::invoke);
  EXPECT_EQ(request->to, "b");
  EXPECT_EQ(request->behaviour, "/work/sum");
  EXPECT_EQ(json::write(request->payload), R"({"a":[1,2]})");
  EXPECT_EQ(request->timeout_ms, 5000U);
  for (const char* line : {R"({"op":"whoami"})", R"({"op":"send","to":"b","behaviour":"/work/x"})",
                           R"({"op":"publish","topic":"/work/news","behaviour":"/work/on","payload":null})",
                           R"({"op":"register","behaviour":"/work/on","topic":"/work/news"})",
                           R"({"op":"register","behaviour":"/work/a/b"})",
                           R"({"op":"unregister","behaviour":"/work/on"})", R"({"op":"reply","call":1,"payload":"x"})"})
    EXPECT_EQ(refusal_of(line), "accepted") << line;
}

TEST(WorkMessages, WhatIsNotUsedOrOutOfItsLimitsIsRefusedByName) {
  EXPECT_NE(refusal_of("{"), "accepted");
  EXPECT_THAT(refusal_of("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(refusal_of("{}"), HasSubstr("op: expected whoami, invoke"));
  EXPECT_THAT(refusal_of(R"({"id":3,"op":"fly"})", 3), HasSubstr("op: expected whoami, invoke"));
  EXPECT_THAT(refusal_of(R"({"id":3,"op":"whoami","to":"b"})", 3), HasSubstr("to: the operation whoami has no such"));
  EXPECT_THAT(refusal_of(R"({"op":"whoami","Id":1})"), HasSubstr("Id: the operation whoami has no such member"));
  EXPECT_THAT(refusal_of(R"({"op":"invoke","behaviour":"/work/x"})"), HasSubstr("to: expected the name"));
  EXPECT_THAT(refusal_of(R"({"op":"invoke","to":"b","behaviour":"x"})"), HasSubstr("behaviour: expected a path"));
  EXPECT_THAT(refusal_of(R"({"op":"invoke","to":"b","behaviour":"/x","timeout":0})"), HasSubstr("timeout: expected 1"));
  EXPECT_THAT(refusal_of(R"({"op":"invoke","to":"b","behaviour":"/x","timeout":300001})"), HasSubstr("timeout"));
  EXPECT_THAT(refusal_of(R"({"op":"reply","payload":1})"), HasSubstr("call: expected the number"));
  for (const char* name :
       {"", "/", "/work", "/work/", "/work//a", "/work/a/", "/dms/node", "/work/a b", "/work/\\u00e4"})
    EXPECT_THAT(refusal_of(fmt::format(R"({{"op":"register","behaviour":"{}"}})", name)),
                HasSubstr("behaviour: expected /work/name"))
        << name;
  EXPECT_TRUE(check_work_name("behaviour", "/work/" + std::string(kMaxWorkName - 6, 'a')));
  EXPECT_FALSE(check_work_name("behaviour", "/work/" + std::string(kMaxWorkName - 5, 'a')));
  EXPECT_THAT(refusal_of(R"({"op":"publish","behaviour":"/work/x"})"), HasSubstr("topic: expected /work/name"));
}

TEST(WorkMessages, LinesAreTheSameHoweverTheyAreCut) {
  const std::string text = "{\"a\":1}\n\n\r\nsecond\r\nlast";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    LineSplitter splitter;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size(); at += step) {
      splitter.add(std::string_view(text).substr(at, step));
      for (auto line = splitter.next(); line && *line; line = splitter.next()) lines.push_back(**line);
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"{\"a\":1}", "second"})) << step;
  }
}

TEST(WorkMessages, ALineThatIsTooLongIsNotStored) {
  LineSplitter splitter;
  splitter.add(std::string(kMaxWorkLine, 'x') + "\n");
  auto line = splitter.next();
  ASSERT_TRUE(line && *line);
  EXPECT_EQ((*line)->size(), kMaxWorkLine);
  splitter.add(std::string(kMaxWorkLine, 'x'));
  line = splitter.next();
  ASSERT_TRUE(line);
  EXPECT_FALSE(*line);
  splitter.add("x");
  EXPECT_TRUE(splitter.next().error().is(Errc::limit_exceeded));
}

TEST(WorkMessages, WhatIsWrittenIsOneLineWithinTheLimit) {
  EXPECT_EQ(work_answer(1, json::parse(R"({"text":"a\nb"})").value()),
            "{\"id\":1,\"ok\":true,\"payload\":{\"text\":\"a\\nb\"}}\n");
  EXPECT_EQ(work_refusal(2, "no\nway"), "{\"id\":2,\"ok\":false,\"error\":\"no\\nway\"}\n");
  EXPECT_EQ(work_call({3, "/work/x", "did:key:z", json::Value(1)}),
            "{\"call\":3,\"behaviour\":\"/work/x\",\"from\":\"did:key:z\",\"payload\":1}\n");
  EXPECT_EQ(work_call({0, "/work/x", "did:key:z", nullptr}),
            "{\"behaviour\":\"/work/x\",\"from\":\"did:key:z\",\"payload\":null}\n");
  const json::Value long_text(std::string(kMaxWorkLine, 'x'));
  EXPECT_THAT(work_answer(4, long_text), HasSubstr("\"ok\":false,\"error\":\"the answer takes a line of"));
  EXPECT_FALSE(work_call({5, "/work/x", "did:key:z", long_text}));
}

}  // namespace
}  // namespace dms::provider
