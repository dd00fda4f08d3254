// Downloads of results, from a daemon that serves them in pages.
#include "cli/client/download.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "cli/commands/test_deployments.hpp"
#include "encoding/multibase.hpp"
#include "transfer/archive.hpp"

namespace dms::cli {
namespace {

using actor::Envelope;
using testing::HasSubstr;

struct ResultsTest : DeployTest {
  std::vector<std::string> names{"report.txt"};
  std::string reason;
  json::StringMap absent;
  bool is_removed = false;  ///< by an update
  std::map<std::string, std::string> digests;
  std::set<std::string> folders;
  std::filesystem::path to = world.home / "to";
  bool serves_raw = false;
  bool fetching = false;
  int manifests = 0;
  std::function<void(int)> arrives = [](int) {};
  std::size_t most_raw = 100;
  std::size_t raw_pages = 0;
  std::size_t raw_refused = 0;
  bool interrupt_raw = false;  ///< behind the first page

  ResultsTest() {
    answer = [this](const Envelope& e) -> std::optional<std::string> {
      if (e.behaviour.ends_with("/info")) return info();
      if (e.behaviour.ends_with("/manifest") && fetching) return being_fetched();
      if (!e.behaviour.ends_with("/logs")) return respond(e);
      auto reply = logs(e);
      const auto request = json::decode<protocol::DeploymentLogsRequest>(e.message).value();
      const std::string name = request.stream.substr(request.stream.find(':') + 1);
      if (digests.contains(name)) reply.digest = digests.at(name);
      reply.folder = folders.contains(name);
      if (request.local && serves_raw) reply.ticket = name;
      return json::encode(reply);
    };
  }

  /// The ticket of a result is its name.
  HttpResponse raw(const HttpRequest& request) {
    if (raw_pages == most_raw) ++raw_refused;
    if (raw_pages == most_raw) return {404, R"({"error":"no file is open under this ticket"})"};
    ++raw_pages;
    world.interrupt_call = std::exchange(interrupt_raw, false);
    const std::string& text =
        streams.at("work/result:" + std::string(request.path().substr(api::kFilePath.size()))).text;
    return {200, text.substr(std::stoull(request.query("offset").value()), 1 << 20), "application/octet-stream"};
  }
  void serve_raw() {
    serves_raw = true;
    world.daemon = [this](const HttpRequest& r) { return r.path().starts_with(api::kFilePath) ? raw(r) : serve(r); };
  }
  /// Of a daemon that fetches the results from the provider; `arrives` is called with the number of requests.
  std::string being_fetched() {
    arrives(++manifests);
    protocol::DeploymentManifestReply reply;
    auto& entry = reply.manifest.allocations["work"];
    entry.status = protocol::AllocationStatus::completed;
    entry.results_limit = 1000;
    entry.collected = !names.empty();
    return json::encode(reply);
  }
  std::string info() const {
    protocol::DeploymentInfoReply reply;
    reply.status = "Completed";
    if (is_removed) {
      reply.removed["work"].results = names;
      reply.removed["work"].absent = absent;
      return json::encode(reply);
    }
    reply.allocations["work"].results = names;
    reply.allocations["work"].reason = reason;
    reply.allocations["work"].status = protocol::AllocationStatus::completed;
    reply.allocations["work"].absent = absent;
    return json::encode(reply);
  }
  void serve_result(const std::string& name, const std::string& bytes) {
    streams["work/result:" + name].text = bytes;
    digests[name] = encode(Base::hex, crypto::sha256(as_bytes(bytes)));
  }
  CommandResult fetch(std::vector<std::string> more = {}) {
    std::vector<std::string> words{"deployment", "results", "abc", "work", "-o", to.string()};
    words.insert(words.end(), more.begin(), more.end());
    return nunet(words);
  }
  std::filesystem::path part_of(const std::string& name) const {
    const crypto::Digest256 digest = crypto::sha256(as_bytes(name));
    return to / (".nunet-" + encode(Base::hex, BytesView(digest).first(16)) + ".part");
  }
  std::string written(const std::string& name) const { return read_file(to / name, 16 << 20).value_or("(nothing)"); }
};

TEST_F(ResultsTest, FilesArriveUnderTheirNames) {
  names = {"report.txt", "out/model.bin"};
  serve_result("report.txt", "fine\n");
  const std::string model(2'000'000, 'm');
  serve_result("out/model.bin", model);
  const auto result = fetch();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, fmt::format("{0}/report.txt\n{0}/out/model.bin\n", to.string()));
  EXPECT_EQ(written("report.txt"), "fine\n");
  EXPECT_TRUE(written("out/model.bin") == model);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(to), {}), 2) << "no part is left";
}

TEST_F(ResultsTest, MostOfALargeOneComesAsItIs) {
  serve_raw();
  const std::string text(3'000'000, 'r');
  serve_result("report.txt", text);
  const auto result = fetch();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(written("report.txt") == text);
  EXPECT_EQ(raw_pages, 3U);
  EXPECT_EQ(pages, 3U) << "what it is, the first page, and that it has ended";
}

TEST_F(ResultsTest, WhatDoesNotComeAsItIsComesInMessages) {
  serve_raw();
  most_raw = 1;
  const std::string text(3'000'000, 'r');
  serve_result("report.txt", text);
  const auto result = fetch();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(written("report.txt") == text);
  EXPECT_EQ(raw_refused, 1U) << "it is not tried again behind each message";
}

TEST_F(ResultsTest, AnInterruptEndsItAndItContinues) {
  serve_raw();
  const std::string text(3'000'000, 'r');
  serve_result("report.txt", text);
  interrupt_raw = true;
  EXPECT_EQ(fetch().code, 130);
  EXPECT_EQ(raw_pages, 1U);
  EXPECT_EQ(written("report.txt"), "(nothing)");
  EXPECT_EQ(fetch().code, 0);
  EXPECT_TRUE(written("report.txt") == text);
}

TEST_F(ResultsTest, WhatIsThereIsReplacedOnlyOnRequest) {
  serve_result("report.txt", "new");
  ASSERT_TRUE(write_file(to / "report.txt", "old"));
  const auto refused = fetch();
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--force replaces it and continues"));
  EXPECT_EQ(written("report.txt"), "old");
  EXPECT_EQ(fetch({"--force"}).code, 0);
  EXPECT_EQ(written("report.txt"), "new");
}

TEST_F(ResultsTest, WhatHasArrivedWholeIsNotFetchedAgain) {
  names = {"a.bin", "b.bin"};
  serve_result("a.bin", "first");
  serve_result("b.bin", "second");
  auto whole = answer;
  answer = [&, whole](const Envelope& e) {
    const bool of_second = e.behaviour.ends_with("/logs") && as_text(e.message).find("b.bin") != std::string::npos;
    return of_second ? std::nullopt : whole(e);
  };
  EXPECT_EQ(fetch().code, 3);
  EXPECT_EQ(written("a.bin"), "first");
  answer = whole;
  pages = 0;
  const auto again = fetch();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("a.bin is here already"));
  EXPECT_EQ(again.out, fmt::format("{0}/a.bin\n{0}/b.bin\n", to.string()));
  EXPECT_EQ(written("b.bin"), "second");
  EXPECT_EQ(pages, 3U) << "what the first is; what the second is, and its bytes";
}

TEST_F(ResultsTest, WhatIsRefusedDoesNotKeepTheOthersFromComing) {
  names = {"a.bin", "b.bin", "c.bin"};
  for (const auto& name : names) serve_result(name, "right");
  ASSERT_TRUE(write_file(to / "a.bin", "mine!"));  // of the same size
  ASSERT_TRUE(write_file(to / "b.bin", "longer than it"));
  const auto result = fetch();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("a.bin exists already"));
  EXPECT_THAT(result.err, HasSubstr("b.bin exists already"));
  EXPECT_EQ(result.out, (to / "c.bin").string() + "\n");
  EXPECT_EQ(written("a.bin"), "mine!");
  EXPECT_EQ(written("b.bin"), "longer than it");
  EXPECT_EQ(written("c.bin"), "right");
}

TEST_F(ResultsTest, AnInterruptedDownloadContinues) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += fmt::format("{}\n", i);
  serve_result("report.txt", text);
  page_size = 1000;
  auto whole = answer;
  answer = [&, whole](const Envelope& e) { return pages < 3 ? whole(e) : std::nullopt; };
  EXPECT_EQ(fetch().code, 3);
  EXPECT_EQ(written("report.txt"), "(nothing)");
  answer = whole;
  pages = 0;
  EXPECT_EQ(fetch().code, 0);
  EXPECT_TRUE(written("report.txt") == text);
  EXPECT_EQ(pages, 3U) << "one that asks what it is, two for the rest";
}

TEST_F(ResultsTest, APartOfAnotherFileIsDropped) {
  serve_result("report.txt", "right bytes");
  ASSERT_TRUE(write_file(part_of("report.txt"), "wrong"));
  EXPECT_EQ(fetch().code, 0);
  EXPECT_EQ(written("report.txt"), "right bytes");
  std::filesystem::remove(to / "report.txt");
  ASSERT_TRUE(write_file(part_of("report.txt"), "longer than the file itself"));
  EXPECT_EQ(fetch().code, 0);
  EXPECT_EQ(written("report.txt"), "right bytes");
}

TEST_F(ResultsTest, BytesWithAnotherDigestAreNotKept) {
  serve_result("report.txt", "fine");
  streams["work/result:report.txt"].text = "evil";
  const auto result = fetch();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("SHA-256"));
  EXPECT_EQ(written("report.txt"), "(nothing)");
  EXPECT_FALSE(std::filesystem::exists(part_of("report.txt")));
}

TEST_F(ResultsTest, FilesOfTheUserAreNotTakenForParts) {
  const auto from = world.home / "from";
  ASSERT_TRUE(write_file(from / "out/a", "A"));
  ASSERT_TRUE(transfer::pack(from, "out", world.home / "packed", {}));
  names = {"out.tar", "out/", "report.txt", "report.txt.part"};
  folders = {"out/"};
  serve_result("out.tar", "no archive");
  serve_result("out/", read_file(world.home / "packed", 1 << 20).value());
  serve_result("report.txt", "report");
  serve_result("report.txt.part", "a part");
  ASSERT_TRUE(write_file(to / "out.tar.part", "mine"));
  const auto result = fetch();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(written("out.tar"), "no archive");
  EXPECT_EQ(written("out/a"), "A");
  EXPECT_EQ(written("report.txt"), "report");
  EXPECT_EQ(written("report.txt.part"), "a part");
  EXPECT_EQ(written("out.tar.part"), "mine");
}

TEST_F(ResultsTest, AFolderIsUnpacked) {
  const auto from = world.home / "from";
  ASSERT_TRUE(write_file(from / "out/a", "A"));
  ASSERT_TRUE(write_file(from / "out/deep/b", "B"));
  ASSERT_TRUE(transfer::pack(from, "out", world.home / "out.tar", {}));
  names = {"out/"};
  folders = {"out/"};
  serve_result("out/", read_file(world.home / "out.tar", 1 << 20).value());
  const auto result = fetch();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(written("out/a"), "A");
  EXPECT_EQ(written("out/deep/b"), "B");
  EXPECT_FALSE(std::filesystem::exists(to / "out.tar"));

  ASSERT_TRUE(write_file(to / "out/old", "old"));
  const auto refused = fetch();
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr(R"(out exists already and differs from the result in "old"; --force)"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(to), {}), 1) << "nothing else is left";
  EXPECT_EQ(written("out/old"), "old");
  EXPECT_EQ(fetch({"--force"}).code, 0);
  EXPECT_EQ(written("out/a"), "A");
  EXPECT_EQ(written("out/old"), "(nothing)");
}

TEST_F(ResultsTest, AFolderThatIsThereWithTheSameContentIsDone) {
  const auto from = world.home / "from";
  ASSERT_TRUE(write_file(from / "out/deep/a", "A"));
  std::filesystem::create_symlink("deep/a", from / "out/link");
  ASSERT_TRUE(transfer::pack(from, "out", world.home / "out.tar", {}));
  names = {"out/"};
  folders = {"out/"};
  serve_result("out/", read_file(world.home / "out.tar", 1 << 20).value());
  ASSERT_EQ(fetch().code, 0);
  const auto inode = [&] {
    struct stat info {};
    return ::stat((to / "out").c_str(), &info) == 0 ? info.st_ino : 0;
  };
  const auto before = inode();
  std::filesystem::create_directory(to / (part_of("out").stem().string() + ".folder"));  // as a kill leaves it
  for (const bool force : {false, true}) {
    const auto again = force ? fetch({"--force"}) : fetch();
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(again.err, HasSubstr("out is here already, with the same content"));
    EXPECT_EQ(again.out, (to / "out").string() + "\n");
    EXPECT_EQ(inode(), before) << "it is not replaced";
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(to), {}), 1) << "nothing else is left";
  }
  ASSERT_TRUE(write_file(to / "out/deep/a", "B"));
  EXPECT_THAT(fetch().err, HasSubstr(R"(differs from the result in "deep/a")"));
  EXPECT_EQ(written("out/deep/a"), "B");
  ASSERT_TRUE(write_file(to / "out/deep/a", "A"));
  std::filesystem::remove(to / "out/link");
  std::filesystem::create_symlink("deep", to / "out/link");
  EXPECT_THAT(fetch().err, HasSubstr(R"(differs from the result in "link")"));
}

TEST_F(ResultsTest, NamesDoNotLeaveTheFolder) {
  for (const char* name : {"../evil", "/tmp/evil", "a/../../evil", ""}) {
    names = {name};
    serve_result(name, "evil");
    EXPECT_EQ(fetch().code, 1) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(world.home / "evil"));
}

TEST_F(ResultsTest, ResultsThatAreBeingFetchedAreWaitedFor) {
  serve_result("report.txt", "fine\n");
  names.clear();
  fetching = true;
  const auto never = fetch();
  EXPECT_EQ(never.code, 1);
  EXPECT_THAT(never.err, HasSubstr("are being fetched from the provider (2 s)"));
  EXPECT_THAT(never.err, HasSubstr("repeat the command in a minute"));
  arrives = [&](int count) {
    if (count == 3) names = {"report.txt"};
  };
  manifests = 0;
  const auto result = fetch();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(written("report.txt"), "fine\n");
}

TEST_F(ResultsTest, WhyAResultIsMissingIsSaid) {
  const std::string why = "the results are larger than their limit of 10 bytes";
  reason = fmt::format(R"(result "model.bin": {})", why);
  absent = {{"model.bin", why}};
  serve_result("report.txt", "fine\n");
  const auto some = fetch();
  EXPECT_EQ(some.code, 1) << some.err;
  EXPECT_EQ(some.out, (to / "report.txt").string() + "\n") << "the others come all the same";
  EXPECT_THAT(some.err, HasSubstr("work: " + reason + "\n"));
  EXPECT_THAT(some.err, HasSubstr(R"(1 of the 2 results that work declares did not come back: "model.bin")"));
  EXPECT_EQ(some.err.find(why), some.err.rfind(why)) << "once: " << some.err;
  absent["log"] = "its provider did not send it";
  const auto printed = fetch({"--json"});
  EXPECT_EQ(printed.code, 1);
  EXPECT_TRUE(json::parse(printed.out).value().as_object().contains("report.txt")) << printed.out;
  EXPECT_THAT(printed.err, HasSubstr(R"(result "log": its provider did not send it)"));
  EXPECT_THAT(printed.err, HasSubstr(R"(2 of the 3 results that work declares did not come back: "log", "model.bin")"));
  names.clear();
  const auto none = fetch();
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("has no results here: " + reason));
}

TEST_F(ResultsTest, ThoseOfAnAllocationThatAnUpdateHasRemovedAreFetched) {
  is_removed = true;
  names = {"report.txt"};
  serve_result("report.txt", "fine\n");
  const auto result = fetch();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(written("report.txt"), "fine\n");
  EXPECT_THAT(result.err, HasSubstr("work: an update has removed it"));
  const auto info = nunet({"deployment", "info", "abc"});
  EXPECT_THAT(info.out, HasSubstr("  work: removed by an update, its output is kept\n    results     report.txt\n"));
  names.clear();
  EXPECT_THAT(fetch().err, HasSubstr("an update has removed work, and none of its results are here"));
}

TEST_F(ResultsTest, MissingBytesAndResultsAreErrors) {
  serve_result("report.txt", "0123456789");
  streams["work/result:report.txt"].dropped = 4;
  EXPECT_THAT(fetch().err, HasSubstr("4 bytes of it are missing"));
  names.clear();
  EXPECT_THAT(fetch().err, HasSubstr("has no results here"));
  EXPECT_EQ(nunet({"deployment", "results", "abc"}).code, 2);
  EXPECT_EQ(nunet({"deployment", "results", "abc", "nothing"}).code, 1);
}

}  // namespace
}  // namespace dms::cli
