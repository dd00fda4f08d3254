// The output of deployments, in pages.
#include <gmock/gmock.h>

#include "cli/commands/test_deployments.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using testing::HasSubstr;

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_F(DeployTest, LogsAreCopiedByteForByte) {
  const std::string raw("\x1b[1mbold\x1b[0m\n\xff\0\u009b", 17);
  streams["work/stdout"].text = raw;
  EXPECT_EQ(nunet({"deployment", "logs", "abc"}).out, raw);
}

TEST_F(DeployTest, OutputOfAnyLengthComesBackInPages) {
  std::string text;
  for (int i = 1; i <= 200'000; ++i) text += fmt::format("{}\n", i);
  streams["work/stdout"].text = text;
  const auto result = nunet({"deployment", "logs", "abc", "work"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(result.out == text) << result.out.size();
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(pages, 4U) << "three of its standard output, one of its standard error";
}

TEST_F(DeployTest, DroppedBytesAreCountedOnStandardError) {
  streams["work/stdout"] = {.text = std::string(1000, 'a') + "newest\n", .dropped = 1000};
  const auto result = nunet({"deployment", "logs", "abc"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "newest\n");
  EXPECT_EQ(result.err,
            "(1000 bytes of the standard output of work are missing here: only the newest output is kept)\n");
}

TEST_F(DeployTest, BytesThatAreDroppedWhileReadingAreCountedToo) {
  streams["work/stdout"] = {.text = "aaaabbbbccccdddd"};
  page_size = 4;
  on_page = [&] {
    if (pages == 1) streams["work/stdout"].dropped = 12;
  };
  const auto result = nunet({"deployment", "logs", "abc", "--stdout"});
  EXPECT_EQ(result.out, "aaaadddd");
  EXPECT_THAT(result.err, HasSubstr("(8 bytes of the standard output of work are missing here"));
}

TEST_F(DeployTest, LogsOfRunningWorkEndWhereItWasAtTheRequest) {
  FakeStream& out = streams["work/stdout"];
  out = {.text = "begin", .ended = false};
  page_size = 4;
  on_page = [&] { out.text += "more"; };
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "--stdout"}).out, "begin");
  out.text = "1\n2\n";
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "--stdout", "--tail", "1"}).out, "2\n");
}

TEST_F(DeployTest, OutputThatIsStillOnItsWayIsAwaited) {
  FakeStream& out = streams["work/stdout"];
  out = {.text = "firstlast"};
  const auto until = world.now() + 5s;
  answer = [&, until](const Envelope& e) -> std::optional<std::string> {
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    auto reply = logs(e);
    if (world.now() >= until || reply.total_size == 0) return json::encode(reply);
    reply.data = reply.offset == 0 ? to_bytes("first") : Bytes();
    reply.next_offset = 5;
    reply.eof = false;
    return json::encode(reply);
  };
  const auto result = nunet({"deployment", "logs", "abc"});
  EXPECT_EQ(result.out, "firstlast");
  EXPECT_EQ(result.err, "");
}

TEST_F(DeployTest, OutputThatDoesNotComeBackIsReported) {
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    return R"({"LogsWrittenTo":"","Error":"","total_size":9})";
  };
  const auto result = nunet({"deployment", "logs", "abc", "--stdout"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("(the last 9 bytes of the standard output of work are missing"));
}

TEST_F(DeployTest, PagesThatContradictThemselvesAreRefused) {
  for (const char* page :
       {R"("next_offset":3,"total_size":9,"data":"YWE=")", R"("next_offset":2,"total_size":1,"data":"YWE=")",
        R"("offset":7,"next_offset":2,"total_size":9,"data":"YWE=")"}) {
    always(fmt::format(R"({{"LogsWrittenTo":"","Error":"",{}}})", page));
    const auto result = nunet({"deployment", "logs", "abc", "work"});
    EXPECT_EQ(result.code, 1) << page;
    EXPECT_THAT(result.err, HasSubstr("contradicts itself"));
  }
}

TEST_F(DeployTest, ADaemonThatSendsNoPagesIsNamed) {
  always(R"({"LogsWrittenTo":"/var/lib/nunet/deployments/abc","Error":""})");
  const auto result = nunet({"deployment", "logs", "abc", "work"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("wrote that of work to /var/lib/nunet/deployments/abc"));
}

TEST_F(DeployTest, TheLastLinesAreFoundFromTheEnd) {
  const auto tail = [&](const std::string& lines) {
    return nunet({"deployment", "logs", "abc", "work", "--tail", lines, "--stdout"}).out;
  };
  streams["work/stdout"].text = "1\n2\n3\n4\n";
  EXPECT_EQ(tail("2"), "3\n4\n");
  EXPECT_EQ(tail("0"), "");
  EXPECT_EQ(tail("9"), "1\n2\n3\n4\n");
  streams["work/stdout"].text = "1\n2\nunfinished";
  EXPECT_EQ(tail("2"), "2\nunfinished");
  streams["work/stdout"].text = "\n\n\n";
  EXPECT_EQ(tail("2"), "\n\n");
  streams["work/stdout"] = {.text = "gone\nhalf\n3\n", .dropped = 7};
  EXPECT_EQ(tail("9"), "lf\n3\n");
  std::string text;
  for (int i = 1; i <= 1'000'000; ++i) text += fmt::format("{}\n", i);
  streams["work/stdout"] = {.text = text};
  pages = 0;
  EXPECT_EQ(tail("1"), "1000000\n");
  EXPECT_LE(pages, 3U) << "what is before is not fetched";
  EXPECT_EQ(tail("500000").substr(0, 7), "500001\n");
  page_size = 1000;
  EXPECT_EQ(tail("50000").substr(0, 7), "950001\n") << "pages shorter than requested";
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "work", "--tail", "many"}).code, 2);
}

TEST_F(DeployTest, FollowingPrintsBothStreamsUntilTheWorkHasEnded) {
  streams = {{"work/stdout", {.text = "a\n", .ended = false}}, {"work/stderr", {.text = "", .ended = false}}};
  states = {"Running"};
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (!e.behaviour.ends_with("/status")) return respond(e);
    return R"({"Status":"Running","Allocations":{"work":{"status":"completed"}}})";
  };
  on_page = [&] {
    if (pages == 4) streams["work/stdout"].text += "b\n", streams["work/stderr"].text += "oops\n";
    if (pages == 12) streams["work/stdout"].text += "c\n";
    if (pages == 20)
      for (auto& [name, stream] : streams) stream.ended = true;
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "-f"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "a\nb\nc\n");
  EXPECT_EQ(result.err, "oops\n");
}

TEST_F(DeployTest, FollowingContinuesWhenTheWorkIsRestarted) {
  streams = {{"work/stdout", {.text = "first run\n", .ended = true}}};
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (!e.behaviour.ends_with("/status")) return respond(e);
    if (++asked == 2) streams["work/stdout"].text = "second\n";
    return fmt::format(R"({{"Status":"Running","Allocations":{{"work":{{"status":"{}"}}}}}})",
                       asked <= 2 ? "restarting" : "completed");
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"});
  EXPECT_EQ(result.out, "first run\nsecond\n");
  EXPECT_EQ(result.err,
            "(the standard output of work starts anew: the work was restarted; "
            "`nunet deployment logs abc work --previous` prints the run before)\n");
}

TEST_F(DeployTest, FollowingSaysWhatHasEndedTheRunBefore) {
  for (const auto& [count, why] :
       {std::pair("changes", "an update has changed the work"),
        std::pair("moves", "the work has moved to another machine"), std::pair("restarts", "the work was restarted")}) {
    streams = {{"work/stdout", {.text = "first run\n", .ended = true}}};
    streams["work/stderr"] = {.text = "oh no, at first\n", .ended = true};
    int asked = 0;
    answer = [&](const Envelope& e) -> std::optional<std::string> {
      if (!e.behaviour.ends_with("/status")) return respond(e);
      if (++asked == 2)
        for (auto& [name, stream] : streams) stream.text = "next\n";
      return fmt::format(R"({{"Status":"Running","Allocations":{{"work":{{"status":"{}","{}":{}}}}}}})",
                         asked <= 2 ? "running" : "completed", count, asked < 2 ? 4 : 5);
    };
    const auto result = nunet({"deployment", "logs", "abc", "work", "--follow"});
    for (const std::string_view stream : {"output", "error"})
      EXPECT_THAT(result.err, HasSubstr(fmt::format("(the standard {} of work starts anew: {}; ", stream, why)));
  }
}

TEST_F(DeployTest, ARestartIsNoticedThoughTheNewRunHasWrittenMore) {
  std::string run = "first";
  streams["work/stdout"] = {.text = "first run\n", .ended = false};
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status")) return R"({"Status":"Completed"})";
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    if (++asked == 3) {
      run = "second";
      streams["work/stdout"] = {.text = "a second run, which is longer\n"};
    }
    auto reply = logs(e);
    reply.incarnation = run;
    return json::encode(reply);
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"});
  EXPECT_EQ(result.out, "first run\na second run, which is longer\n");
  EXPECT_THAT(result.err, HasSubstr("(the standard output of work starts anew: the work was started again; "));
}

/// As it is when following begins just before a move. The stream that stays empty is not told of.
TEST_F(DeployTest, ANewRunIsToldThoughTheOneBeforeHadWrittenNothing) {
  streams = {{"work/stdout", {.text = "", .ended = false}}, {"work/stderr", {.text = "", .ended = false}}};
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    const bool moved = pages > 2;
    if (e.behaviour.ends_with("/status"))
      return fmt::format(
          R"({{"Status":"Running","Allocations":{{"work":{{"status":"{0}","restarts":{1},"moves":{1}}}}}}})",
          moved ? "completed" : "running", moved ? 1 : 0);
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    if (moved) streams = {{"work/stdout", {.text = "elsewhere\n"}}, {"work/stderr", {}}};
    auto reply = logs(e);
    reply.incarnation = moved ? "second" : "first";
    return json::encode(reply);
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "elsewhere\n");
  EXPECT_EQ(result.err,
            "(the standard output of work starts anew: the work has moved to another machine; "
            "`nunet deployment logs abc work --previous` prints the run before)\n");
}

/// Of a daemon that offers a ticket for what follows a page; the ticket is the name of the stream.
struct RawOutputTest : DeployTest {
  std::size_t raw_pages = 0;
  std::size_t most_raw = 100;
  std::string text;

  RawOutputTest() {
    for (int i = 0; text.size() < 2'000'000; ++i) text += fmt::format("line {}\n", i);
    streams["work/stdout"].text = text;
    answer = [this](const Envelope& e) -> std::optional<std::string> {
      if (!e.behaviour.ends_with("/logs")) return respond(e);
      auto reply = logs(e);
      const auto request = json::decode<protocol::DeploymentLogsRequest>(e.message).value();
      if (request.local && reply.next_offset < reply.total_size) reply.ticket = request.stream;
      return json::encode(reply);
    };
    world.daemon = [this](const HttpRequest& r) { return r.path().starts_with(api::kFilePath) ? raw(r) : serve(r); };
  }
  HttpResponse raw(const HttpRequest& request) {
    if (raw_pages == most_raw) return {404, R"({"error":"no file is open under this ticket"})"};
    ++raw_pages;
    const std::string& all = streams.at("work/" + std::string(request.path().substr(api::kFilePath.size()))).text;
    return {200, all.substr(std::stoull(request.query("offset").value()), 1 << 20), "application/octet-stream"};
  }
};

TEST_F(RawOutputTest, WhatFollowsTheFirstPageComesAsItIs) {
  for (const bool follow : {false, true}) {
    pages = raw_pages = 0;
    std::vector<std::string> words{"deployment", "logs", "abc", "work", "--stdout"};
    if (follow) words.emplace_back("--follow");
    const auto result = nunet(words);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(result.out == text);
    EXPECT_EQ(raw_pages, 2U);
    EXPECT_LE(pages, 4U) << "the first page, and that it has ended";
  }
}

TEST_F(RawOutputTest, WhatDoesNotComeAsItIsComesInMessages) {
  most_raw = 1;
  const auto result = nunet({"deployment", "logs", "abc", "work", "--stdout"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(result.out == text);
  EXPECT_EQ(raw_pages, 1U);
  EXPECT_EQ(pages, 2U);
}

TEST_F(RawOutputTest, ASearchForTheLastLinesAsksForNoTicket) {
  const auto result = nunet({"deployment", "logs", "abc", "work", "--stdout", "--tail", "3"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(std::ranges::count(result.out, '\n'), 3);
  EXPECT_EQ(raw_pages, 0U);
}

struct ReplacedRunTest : DeployTest {
  /// Follows these pages of the standard output, each of them twice; the last one is there at the end.
  struct Page {
    std::string run;
    std::string text;
  };
  auto follow(const std::vector<Page>& served) {
    std::size_t asked = 0;
    answer = [&, asked](const Envelope& e) mutable -> std::optional<std::string> {
      const std::size_t last = served.size() - 1;
      const bool is_last = asked >= 2 * last;
      if (e.behaviour.ends_with("/status"))
        return fmt::format(R"({{"Status":"{}"}})", is_last ? "Completed" : "Running");
      if (!e.behaviour.ends_with("/logs")) return respond(e);
      const std::uint64_t offset = json::decode<protocol::DeploymentLogsRequest>(e.message)->offset;
      if (offset > 0) ++asked;  // another run is read from its start besides
      const Page& page = served.at(std::min(asked / 2, last));
      const FakeStream stream{.text = page.text, .ended = asked >= 2 * last};
      auto reply = stream.page(std::min<std::uint64_t>(offset, page.text.size()), page_size);
      reply.incarnation = page.run;
      return json::encode(reply);
    };
    return nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"});
  }
};

TEST_F(ReplacedRunTest, ARunThatWasFollowedBeforeIsNotPrintedAgain) {
  const auto result = follow({{"first", "ONE\n"}, {"second", "TWO\n"}, {"first", "ONE\n"}, {"third", "THREE\n"}});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "ONE\nTWO\nTHREE\n");
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 2) << "for two changes: " << result.err;
}

TEST_F(ReplacedRunTest, ARunOfWhichLessIsStoredThanWasFollowedIsNotPrintedAgain) {
  const auto result = follow({{"first", "ONE\nONE\n"}, {"first", "ONE\n"}, {"first", "ONE\nONE\nend\n"}});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "ONE\nONE\nend\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(ReplacedRunTest, FollowingEndsWhereLessIsStoredThanWasFollowed) {
  const auto result = follow({{"first", "ONE\nONE\n"}, {"first", "ONE\n"}});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "ONE\nONE\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(DeployTest, FollowingWaitsForWorkThatIsPlacedAnew) {
  streams["work/stdout"] = {.text = "first run\n", .ended = false};
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status"))
      return asked < 6 ? R"({"Status":"Running","Allocations":{"work":{"status":"pending"}}})"
                       : R"({"Status":"Completed"})";
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    if (++asked > 2 && asked < 6) return R"({"LogsWrittenTo":"","Error":"work has no machine at this moment"})";
    if (asked == 6) streams["work/stdout"] = {.text = "second run, elsewhere\n"};
    auto reply = logs(e);
    reply.incarnation = asked < 6 ? "first" : "second";
    return json::encode(reply);
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "first run\nsecond run, elsewhere\n");
}

TEST_F(DeployTest, FollowingGoesOnWhileTheDaemonOfTheProviderIsAway) {
  streams["work/stdout"] = {.text = "before\n", .ended = false};
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status"))
      return fmt::format(R"({{"Status":"Running","Allocations":{{"work":{{"status":"{}"}}}}}})",
                         asked < 30 ? "running" : "completed");
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    ++asked;
    if (asked > 2 && asked < 10) return R"({"LogsWrittenTo":"","Error":"the provider does not answer"})";
    if (asked >= 10 && asked < 20) return std::nullopt;
    if (asked == 20) streams["work/stdout"].text += "after\n";
    streams["work/stdout"].ended = asked >= 30;
    return json::encode(logs(e));
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "before\nafter\n");
  EXPECT_THAT(result.err, HasSubstr("the provider does not answer"));
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << "once: " << result.err;
}

TEST_F(DeployTest, FollowingReadsOnceMoreWhatFailedAroundTheEnd) {
  streams["work/stdout"] = {.text = "before\n", .ended = false};
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status"))
      return asked < 2 ? R"({"Status":"Running","Allocations":{"work":{"status":"running"}}})"
                       : R"({"Status":"Completed","Allocations":{"work":{"status":"completed"}}})";
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    if (++asked == 2) return R"({"LogsWrittenTo":"","Error":"the provider was asked, and has not replied"})";
    if (asked > 2) streams["work/stdout"] = {.text = "before\nafter\n", .ended = true};
    return json::encode(logs(e));
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "before\nafter\n");
}

TEST_F(DeployTest, FollowingNotesOnceForBothStreamsWhatIsInTheWay) {
  streams = {{"work/stdout", {.text = "out\n"}}, {"work/stderr", {.text = "err\n"}}};
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status"))
      return fmt::format(R"({{"Status":"Running","Allocations":{{"work":{{"status":"{}"}}}}}})",
                         asked < 10 ? "pending" : "completed");
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    if (++asked < 10) return R"({"LogsWrittenTo":"","Error":"work has no machine at this moment"})";
    return json::encode(logs(e));
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(occurrences(result.err, "has no machine at this moment"), 1U) << result.err;
}

TEST_F(DeployTest, FollowingPrintsTheOthersWhileTheProviderOfOneIsAway) {
  streams = {{"b/stdout", {.text = "b1\n", .ended = false}}, {"a/stdout", {.text = "", .ended = false}}};
  int asked_a = 0;
  int asked_b = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status"))
      return fmt::format(R"({{"Status":"Running","Allocations":{{"a":{{"status":"{0}"}},"b":{{"status":"{0}"}}}}}})",
                         asked_a < 3 ? "running" : "completed");
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    if (json::decode<protocol::DeploymentLogsRequest>(e.message)->allocation_name == "a") {
      if (++asked_a < 3) return R"({"LogsWrittenTo":"","Error":"the provider does not answer"})";
      streams["a/stdout"] = {.text = "a\n", .ended = true};
    } else if (++asked_b == 2) {
      EXPECT_LT(asked_a, 3);
      streams["b/stdout"] = {.text = "b1\nb2\n", .ended = true};
    }
    return json::encode(logs(e));
  };
  const auto result = nunet({"deployment", "logs", "abc", "--follow", "--stdout"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "b1\nb2\na\n");
}

TEST_F(DeployTest, FollowingPrintsTheOthersWhenOneCannotBeRead) {
  streams = {{"a/stdout", {}}, {"b/stdout", {.text = "b\n", .ended = true}}};
  int asked_b = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status"))
      return fmt::format(R"({{"Status":"Running","Allocations":{{"a":{{"status":"failed"}},"b":{{"status":"{}"}}}}}})",
                         asked_b < 20 ? "running" : "completed");
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    if (json::decode<protocol::DeploymentLogsRequest>(e.message)->allocation_name == "a")
      return R"({"LogsWrittenTo":"","Error":"its output is gone"})";
    ++asked_b;
    return json::encode(logs(e));
  };
  const auto result = nunet({"deployment", "logs", "abc", "--follow", "--stdout"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "b\n");
  EXPECT_GE(asked_b, 20) << "until its end";
  EXPECT_THAT(result.err, HasSubstr("its output is gone"));
  asked_b = 0;
  streams = {{"a/stdout", {}}, {"b/stdout", {.text = "b\n", .ended = true}}, {"b/stderr", {}}};
  EXPECT_EQ(occurrences(nunet({"deployment", "logs", "abc", "--follow"}).err, "its output is gone"),
            occurrences(result.err, "its output is gone"))
      << "once for both streams";
}

TEST_F(DeployTest, FollowingEndsWithTheErrorWhenTheWorkHasEnded) {
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status")) return R"({"Status":"Running","Allocations":{"work":{"status":"failed"}}})";
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    return R"({"LogsWrittenTo":"","Error":"its output is gone"})";
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "-f"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("its output is gone"));
}

TEST_F(DeployTest, FollowingEndsWithPagesThatContradictThemselves) {
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status")) return R"({"Status":"Running","Allocations":{"work":{"status":"running"}}})";
    if (!e.behaviour.ends_with("/logs")) return respond(e);
    return R"({"LogsWrittenTo":"","Error":"","next_offset":3,"total_size":9,"data":"YWE="})";
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "-f"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("contradicts itself"));
}

TEST_F(DeployTest, ARestartIsNoticedWhereReadingBehindTheEndIsRefused) {
  streams["work/stdout"].text = "first run\n";
  int asked = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/status")) {
      if (++asked > 2) return R"({"Status":"Completed"})";
      if (asked == 2) streams["work/stdout"].text = "second\n";
      return R"({"Status":"Running","Allocations":{"work":{"status":"restarting"}}})";
    }
    const auto reply = logs(e);
    if (json::decode<protocol::DeploymentLogsRequest>(e.message)->offset > reply.total_size)
      return R"({"LogsWrittenTo":"","Error":"there is no such offset"})";
    return json::encode(reply);
  };
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"}).out, "first run\nsecond\n");
}

TEST_F(DeployTest, FollowingGoesOnWhereItWasWhenTheDaemonIsBack) {
  for (const Duration away : {Duration(30s), Duration(2min)}) {
    for (const int killed_at : {4, 5}) {  // while one stream, or the other, is read for the third time
      world.daemon_back = {};
      streams = {{"work/stdout", {.text = "a\n", .ended = false}}, {"work/stderr", {.text = "x\n", .ended = false}}};
      pages = 0;
      answer = [&](const Envelope& e) -> std::optional<std::string> {
        if (!e.behaviour.ends_with("/status")) return respond(e);
        return fmt::format(R"({{"Status":"Running","Allocations":{{"work":{{"status":"{}"}}}}}})",
                           pages < 12 ? "running" : "completed");
      };
      on_page = [&] {
        if (std::cmp_equal(pages, killed_at)) {
          world.daemon_back = world.time + away;
          streams["work/stdout"].text += "b\n";
        }
        if (pages < 12) return;
        for (auto& [name, stream] : streams) stream.ended = true;
      };
      const auto result = nunet({"deployment", "logs", "abc", "work", "--follow"});
      EXPECT_EQ(result.code, away < 1min ? 0 : 1) << result.err;
      EXPECT_EQ(result.out, away < 1min ? "a\nb\n" : "a\n") << "nothing is printed twice";
      EXPECT_EQ(occurrences(result.err, "x\n"), 1U) << result.err;
      EXPECT_EQ(occurrences(result.err, "The daemon does not answer; it is asked again for a minute."), 1U)
          << result.err;
    }
  }
}

/// One that is killed while it is asked whether the work has ended.
TEST_F(DeployTest, FollowingGoesOnWhenTheDaemonIsKilledAtTheEnd) {
  on_page = [&] {
    if (pages == 2) world.daemon_back = world.time + 10s;
  };
  states = {"Completed"};
  const auto result = nunet({"deployment", "logs", "abc", "work", "--follow", "--stdout"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "hello\n");
  EXPECT_EQ(result.err, "The daemon does not answer; it is asked again for a minute.\n");
}

TEST_F(DeployTest, FollowingEndsQuietlyWhenInterrupted) {
  streams["work/stdout"].ended = false;
  world.interrupt_after = 3;
  const auto result = nunet({"deployment", "logs", "abc", "-f"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "hello\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(DeployTest, FollowingEndsQuietlyWhenInterruptedBeforeThereIsOutput) {
  streams["work/stdout"] = {.text = "", .ended = false};
  world.interrupt_call = true;
  const auto at_once = nunet({"deployment", "logs", "abc", "-f"});
  EXPECT_TRUE(world.catches_interrupts) << "also between two requests";
  EXPECT_EQ(at_once.code, 0) << at_once.err;
  on_page = [&] { world.interrupt_call = true; };
  const auto later = nunet({"deployment", "logs", "abc", "-f"});
  EXPECT_EQ(later.code, 0) << later.err;
  EXPECT_EQ(later.out + later.err, "");
  world.catches_interrupts = false;
  on_page = [] {};
  EXPECT_EQ(nunet({"deployment", "logs", "abc"}).code, 0);
  EXPECT_FALSE(world.catches_interrupts) << "what ends by itself is ended by the signal";
}

TEST_F(DeployTest, FollowingOutlastsAnUnansweredRequest) {
  int requested = 0;
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/logs") && ++requested == 1) return std::nullopt;
    return respond(e);
  };
  const auto result = nunet({"deployment", "logs", "abc", "work", "-f"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "hello\n");
  answer = [](const Envelope&) { return std::nullopt; };
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "work", "-f"}).code, 3);
}

TEST_F(DeployTest, EarlierRunsAreToldAndTheLastOfThemIsPrintedOnRequest) {
  streams["work/previous:stdout"].text = "the run before\n";
  streams["work/previous:stderr"].text = "it is sick\n";
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (!e.behaviour.ends_with("/status")) return respond(e);
    return R"({"Status":"Running","Allocations":{"work":{"status":"completed","restarts":3}}})";
  };
  const auto plain = nunet({"deployment", "logs", "abc", "work"});
  EXPECT_EQ(plain.out, "hello\n");
  EXPECT_EQ(plain.err,
            "(work has run 3 times before; this is its last run, --previous prints the one before if it is kept)\n");
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "work", "-f"}).err, plain.err);
  const auto previous = nunet({"deployment", "logs", "abc", "work", "--previous"});
  EXPECT_EQ(previous.code, 0) << previous.err;
  EXPECT_EQ(previous.out, "the run before\n");
  EXPECT_EQ(previous.err, "it is sick\n");
  streams["work/previous:stdout"].incomplete = "refused\033";
  const auto cut = nunet({"deployment", "logs", "abc", "work", "--previous", "--stdout"});
  EXPECT_EQ(cut.out, "the run before\n");
  EXPECT_TRUE(cut.err.starts_with("(the end of the standard output of work may be missing: refused")) << cut.err;
  EXPECT_EQ(cut.err.find('\033'), std::string::npos);
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "work", "-p", "-f"}).code, 2);
  streams.erase("work/previous:stdout");
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "work", "--previous"}).code, 1);
}

TEST_F(DeployTest, TheOutputBehindARestartThatHasNotBegunIsTold) {
  answer = [&](const Envelope& e) -> std::optional<std::string> {
    if (!e.behaviour.ends_with("/status")) return respond(e);
    return R"({"Status":"Failed","Allocations":{"work":{"status":"failed","exit_code":-1}}})";
  };
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "work"}).err,
            "(work did not run to its end; if it has run before, --previous prints that)\n");
}

TEST_F(DeployTest, MovesAndChangesAreToldApartFromRestarts) {
  const auto shown = [&](const std::string& counts) {
    always(R"({"Status":"Running","Allocations":{"work":{"status":"running",)" + counts + "}}}");
    return nunet({"deployment", "status", "abc"}).out;
  };
  EXPECT_EQ(shown(R"("restarts":1)"), "Running\n  work: running, restarted once\n");
  EXPECT_EQ(shown(R"("restarts":1,"moves":1)"), "Running\n  work: running, moved once\n");
  EXPECT_EQ(shown(R"("restarts":3,"moves":1,"changes":2)"),
            "Running\n  work: running, restarted 2 times, moved once, changed 2 times\n");
  EXPECT_EQ(shown(R"("restarts":0,"moves":1)"), "Running\n  work: running, moved once\n") << "of a daemon that errs";
}

TEST_F(DeployTest, TheStatusSaysByWhichStrategyWorkIsRestarted) {
  always(R"({"Status":"Running","Allocations":{"work":{"status":"running","strategy":"one_for_all","restarts":1}}})");
  EXPECT_EQ(nunet({"deployment", "status", "abc"}).out, "Running\n  work: running, one_for_all, restarted once\n");
}

TEST_F(DeployTest, TheStatusSaysInHowManySecondsWorkIsStartedAgain) {
  always(R"({"Status":"Running","Allocations":{"work":{"status":"pending","peer":"p1",)"
         R"("reason":"exit code 1; it is started again","starts_again_in":74100000000}}})");
  EXPECT_EQ(nunet({"deployment", "status", "abc"}).out,
            "Running\n  work: pending on p1, exit code 1; it is started again, starts again in 75 s\n");
}

TEST_F(DeployTest, TheStatusSaysWhichMachinesStandBy) {
  const auto shown = [&](const std::string& members) {
    always(R"({"Status":"Running","Allocations":{"web":{"status":"running","redundancy":2)" + members + "}}}");
    return nunet({"deployment", "status", "abc"}).out;
  };
  EXPECT_EQ(shown(""), "Running\n  web: running, no standby yet\n");
  EXPECT_EQ(shown(R"(,"standbys":["p1"])"), "Running\n  web: running, 1 of 2 standbys: p1\n");
}

TEST_F(DeployTest, AnEmptyNameOfAnAllocationIsRefusedByTheNameOfItsArgument) {
  for (const char* command : {"logs", "results"}) {
    const auto positional = nunet({"deployment", command, "abc", ""});
    EXPECT_EQ(positional.code, 2) << command;
    EXPECT_THAT(positional.err, HasSubstr("<name>: the name of the allocation is empty")) << command;
    const auto option = nunet({"deployment", command, "abc", "--allocation", ""});
    EXPECT_EQ(option.code, 2) << command;
    EXPECT_THAT(option.err, HasSubstr("--allocation: the name of the allocation is empty")) << command;
  }
  EXPECT_TRUE(requests.empty());
}

TEST_F(DeployTest, TheErrorOfResultsOfAnUnknownAllocationNamesThoseThereAre) {
  always(R"({"Status":"Running","Created":0,"Allocations":{"db":{},"web":{}},"Removed":{"old":{}}})");
  const auto unknown = nunet({"deployment", "results", "abc", "work"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("the deployment has no allocation work; it has db, web, old"));
  always(R"({"Status":"Preparing","Created":0})");
  EXPECT_THAT(nunet({"deployment", "results", "abc", "work"}).err,
              HasSubstr("the deployment has no allocation work, and nothing of it has a machine yet"));
}

TEST_F(DeployTest, TheResultsOfWorkThatRunsAreToComeWhateverItsReasonIs) {
  answer = [](const Envelope& e) -> std::optional<std::string> {
    if (e.behaviour.ends_with("/manifest")) return R"({"manifest":{"allocations":{"work":{"status":"running"}}}})";
    return R"({"Status":"Running","Created":0,"Allocations":{"work":{"status":"running","reason":"it is sick"}}})";
  };
  const auto result = nunet({"deployment", "results", "abc", "work"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("work (running) has no results here; they come back when the task has ended"));
  EXPECT_EQ(result.err.find("it is sick"), std::string::npos) << result.err;
}

TEST_F(DeployTest, SeveralAllocationsAreNamed) {
  streams["db/stdout"].text = "ready\n";
  streams["db/stderr"];
  const auto result = nunet({"deployment", "logs", "abc"});
  EXPECT_EQ(result.out, "ready\nhello\n");
  EXPECT_EQ(result.err, "==> db <==\n==> work <==\n");
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "-f"}).err, "==> db <==\n==> work <==\n");
  EXPECT_EQ(nunet({"deployment", "logs", "abc", "nothing"}).code, 1);
}

}  // namespace
}  // namespace dms::cli
