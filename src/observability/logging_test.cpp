#include "observability/logging.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fstream>
#include <thread>

#include "encoding/json.hpp"

namespace dms::observability {
namespace {

namespace fs = std::filesystem;

class LoggingTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "nunet-log-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.file = folder_ / "logs" / "node.jsonl";
    options_.console = ::open((folder_ / "console").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    options_.now = [] { return UnixTime{1'700'000'000'123'456'789}; };
  }
  void TearDown() override {
    logging_.reset();
    ::close(options_.console);
    fs::remove_all(folder_);
  }
  void install() {
    auto installed = Logging::install(options_);
    ASSERT_TRUE(installed) << installed.error().to_string();
    logging_ = *std::move(installed);
  }
  static std::vector<std::string> lines(const fs::path& path) {
    std::ifstream in(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }

  fs::path folder_;
  LogOptions options_;
  std::unique_ptr<Logging> logging_;
};

TEST_F(LoggingTest, WritesTextAndJson) {
  install();
  log::info("node", "hello {}", "world");
  log::debug("node", "not at this level");
  EXPECT_EQ(lines(folder_ / "console"), (std::vector<std::string>{"2023-11-14T22:13:20.123Z INFO node: hello world"}));
  EXPECT_EQ(lines(options_.file),
            (std::vector<std::string>{
                R"({"level":"info","timestamp":"2023-11-14T22:13:20.123Z","logger":"node","message":"hello world"})"}));
  struct stat info {};
  ASSERT_EQ(::stat(options_.file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(LoggingTest, TextOfAPeerCannotImitateALine) {
  install();
  log::warn("net", "peer says \n2023 ERROR node: fatal\x1b[2J");
  EXPECT_EQ(lines(folder_ / "console").size(), 1U);
  EXPECT_NE(lines(folder_ / "console")[0].find("\\x0a2023 ERROR node: fatal\\x1b[2J"), std::string::npos);
  ASSERT_EQ(lines(options_.file).size(), 1U);
  EXPECT_TRUE(json::parse(lines(options_.file)[0]));
  log::warn("net", "{}", std::string(1'000'000, 'x'));
  EXPECT_LT(lines(options_.file)[1].size(), Logging::kMaxLine + 200);
}

TEST_F(LoggingTest, FieldsAreMembersOfTheFileAndWordsOnTheConsole) {
  install();
  log::info("node", {{"peer", "a b\"=\n\\"}, {"count", -3}, {"size", 7U}, {"fine", true}, {"took", 1500ms}}, "hello {}",
            1);
  EXPECT_EQ(
      lines(folder_ / "console"),
      (std::vector<std::string>{R"(2023-11-14T22:13:20.123Z INFO node: hello 1 peer="a b\"=\x0a\\" count=-3 size=7 )"
                                R"(fine=true took=1.5s)"}));
  EXPECT_EQ(lines(options_.file),
            (std::vector<std::string>{
                R"({"level":"info","timestamp":"2023-11-14T22:13:20.123Z","logger":"node","message":"hello 1",)"
                R"("peer":"a b\"=\n\\","count":-3,"size":7,"fine":true,"took":1.5})"}));
}

TEST_F(LoggingTest, FieldsOfAPeerCannotImitateALineOrAnotherField) {
  install();
  const std::string text = "x\" reason=fine\r\n2023 ERROR node: lost\x1b[2J\xff" + std::string(10'000, 'y');
  log::warn("net", {{"peer", text}, {"reason", "refused"}}, "refused");
  const auto console = lines(folder_ / "console");
  ASSERT_EQ(console.size(), 1U);
  EXPECT_NE(console[0].find(R"(peer="x\" reason=fine\x0d\x0a2023 ERROR)"), std::string::npos) << console[0];
  EXPECT_TRUE(console[0].ends_with("y\" reason=refused"));
  EXPECT_LT(console[0].size(), 2 * log::kMaxField);
  const auto file = lines(options_.file);
  ASSERT_EQ(file.size(), 1U);
  const auto line = json::parse(file[0]);
  ASSERT_TRUE(line) << "no duplicate member";
  EXPECT_EQ(line->at("reason").as_string(), "refused");
}

TEST_F(LoggingTest, RotatesAndKeepsTheGivenNumberOfBackups) {
  options_.max_size = 300;
  options_.max_backups = 2;
  install();
  for (int i = 0; i < 40; ++i) log::info("node", "line {:02}", i);
  std::vector<std::string> all;
  for (const char* suffix : {".2", ".1", ""}) {
    const fs::path file = options_.file.string() + suffix;
    ASSERT_TRUE(fs::exists(file)) << file;
    EXPECT_LE(fs::file_size(file), 300U);
    for (auto& line : lines(file)) all.push_back(std::move(line));
  }
  EXPECT_FALSE(fs::exists(options_.file.string() + ".3"));
  EXPECT_NE(all.back().find("line 39"), std::string::npos) << "the newest is there, and in order";
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(logging_->dropped(), 0U);
}

TEST_F(LoggingTest, ContinuesTheFileAndDropsOldBackups) {
  install();
  log::info("a", "one");
  logging_.reset();
  std::ofstream(options_.file.string() + ".1") << "old\n";
  options_.now = [] { return UnixTime{4'000'000'000ULL * 1'000'000'000}; };
  install();
  log::info("a", "two");
  EXPECT_EQ(lines(options_.file).size(), 2U);
  EXPECT_FALSE(fs::exists(options_.file.string() + ".1"));
}

TEST_F(LoggingTest, AFileThatCannotBeOpenedIsAnError) {
  std::ofstream(folder_ / "plain") << "x";
  options_.file = folder_ / "plain" / "log";
  const auto installed = Logging::install(options_);
  ASSERT_FALSE(installed);
  EXPECT_NE(installed.error().to_string().find("observability.logging.file"), std::string::npos);
}

TEST_F(LoggingTest, LinesOfManyThreadsStayWhole) {
  options_.max_size = 20'000;
  options_.max_backups = 100;
  install();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) log::info("thread", "{} {}", t, i);
    });
  threads.clear();
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(options_.file.parent_path()))
    for (const auto& line : lines(entry.path())) {
      EXPECT_TRUE(json::parse(line)) << line;
      ++count;
    }
  EXPECT_EQ(count, 800U);
}

TEST(Level, IsReadInAnyCase) {
  EXPECT_EQ(*parse_level("INFO"), log::Level::info);
  EXPECT_EQ(*parse_level("Warning"), log::Level::warn);
  EXPECT_FALSE(parse_level("loud"));
}

TEST(Rfc3339, HandlesTheEdges) {
  EXPECT_EQ(rfc3339({0}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339({1'709'209'845'999'999'999}), "2024-02-29T12:30:45.999Z");
}

}  // namespace
}  // namespace dms::observability
