#include "executor/docker/docker_log.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <random>

namespace dms::executor {
namespace {
namespace fs = std::filesystem;

std::string frame(int channel, std::string_view payload) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  std::string out{static_cast<char>(channel), 0, 0, 0};
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  return out + std::string(payload);
}

class DockerLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / fmt::format("docker_log_test_{}_{}", ::getpid(), ++counter_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  DockerLog open(LogFile::Begin begin) {
    Result<DockerLog> log = DockerLog::open(dir_, 1 << 20, begin);
    EXPECT_TRUE(log) << log.error().to_string();
    return *std::move(log);
  }
  std::string text(LogStream stream) const {
    return read_log_tail(dir_, stream == LogStream::out ? kOutLog : kErrLog, 1 << 20);
  }

  static inline int counter_ = 0;
  fs::path dir_;
};

struct Entry {
  int channel = 1;
  std::int64_t time = 0;
  std::string text;
};

/// The engine: what it sends for `since`.
std::string replay(const std::vector<Entry>& entries, std::size_t known, std::string_view since) {
  const auto point = since.find('.');
  const std::int64_t from = std::stoll(std::string(since.substr(0, point))) * 1'000'000'000 +
                            std::stoll(std::string(since.substr(point + 1)));
  std::string wire;
  for (std::size_t i = 0; i < known; ++i) {
    const Entry& entry = entries[i];
    if (entry.time < from) continue;
    const std::string time = fmt::format("2026-11-28T10:{:02}:{:02}.{:09}Z", entry.time / 1'000'000'000 / 60 % 60,
                                         entry.time / 1'000'000'000 % 60, entry.time % 1'000'000'000);
    wire += frame(entry.channel, time + " " + entry.text);
  }
  return wire;
}

std::int64_t base() { return *parse_log_time("2026-11-28T10:00:00Z"); }

TEST_F(DockerLogTest, NothingIsLostOrDoubledWhenItIsCutAnywhere) {
  for (const bool clock_goes_back : {false, true}) {
    std::mt19937 random(clock_goes_back ? 3 : 2);
    std::vector<Entry> entries;
    std::int64_t now = base();
    std::string expected[2];
    for (int i = 0; i < 400; ++i) {
      now += random() % 3 == 0 ? 0 : static_cast<std::int64_t>(random() % 400'000'000);  // some share their time
      if (clock_goes_back && i == 200) now -= 10'000'000'000;
      const int channel = 1 + static_cast<int>(random() % 2);
      std::string text = fmt::format("{} {}\n", i, std::string(random() % 300, 'x'));
      expected[channel - 1] += text;
      entries.push_back({channel, now, std::move(text)});
    }
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    std::size_t known = 0;
    bool first = true;
    while (known < entries.size() || first) {
      known = std::min(entries.size(), known + random() % 40);
      DockerLog log = open(first ? LogFile::Begin::fresh : LogFile::Begin::resume);
      first = false;
      std::string wire = replay(entries, known, since_of(log.positions()));
      // The daemon is killed after any byte of what it was sent.
      if (known < entries.size()) wire.resize(wire.empty() ? 0 : random() % (wire.size() + 1));
      for (std::size_t at = 0; at < wire.size();) {
        const std::size_t piece = std::min<std::size_t>(wire.size() - at, 1 + random() % 500);
        ASSERT_TRUE(log.feed(as_bytes(std::string_view(wire).substr(at, piece))));
        at += piece;
      }
    }
    EXPECT_TRUE(text(LogStream::out) == expected[0]) << text(LogStream::out).size() << " for " << expected[0].size();
    EXPECT_TRUE(text(LogStream::err) == expected[1]) << text(LogStream::err).size() << " for " << expected[1].size();
  }
}

TEST_F(DockerLogTest, AnOldOrDamagedPositionIsExactToo) {
  std::vector<Entry> entries;
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    entries.push_back({1, base() + i, fmt::format("line {}\n", i)});
    expected += entries.back().text;
  }
  ASSERT_TRUE(open(LogFile::Begin::fresh).feed(as_bytes(replay(entries, 10, "0.0"))));
  for (const char* damaged : {"", "1 2 3\n", "x y z u \n", "99999999999999999999 0 0 0 \n"}) {
    std::ofstream(dir_ / "engine.position", std::ios::trunc) << damaged;
    DockerLog log = open(LogFile::Begin::resume);
    EXPECT_EQ(since_of(log.positions()), "0.000000000");
    ASSERT_TRUE(log.feed(as_bytes(replay(entries, 20, since_of(log.positions())))));
    EXPECT_EQ(text(LogStream::out), expected);
  }
}

TEST_F(DockerLogTest, WhatTheEngineHasDroppedWhileNoDaemonFollowedIsMarked) {
  std::vector<Entry> entries;
  for (int i = 0; i < 8; ++i) entries.push_back({1, base() + i, fmt::format("line {}\n", i)});
  entries.push_back({2, base(), "bad\n"});
  ASSERT_TRUE(open(LogFile::Begin::fresh).feed(as_bytes(replay(entries, 3, "0.0"))));
  const std::vector<Entry> kept(entries.begin() + 5, entries.end());
  for (int i = 0; i < 2; ++i) {
    DockerLog log = open(LogFile::Begin::resume);
    ASSERT_TRUE(log.feed(as_bytes(replay(kept, kept.size(), since_of(log.positions())))));
    log.mark_unreached();
    EXPECT_EQ(text(LogStream::out),
              "line 0\nline 1\nline 2\n\n[output is missing here: the Docker engine does not have it any more]\n"
              "line 5\nline 6\nline 7\n")
        << "once";
    EXPECT_EQ(text(LogStream::err), "bad\n");
  }
}

TEST_F(DockerLogTest, ALogThatIsShorterThanWhatWasTakenFromItIsMarked) {
  const std::vector<Entry> entries{{1, base(), "one\n"}, {1, base() + 1, "two\n"}};
  ASSERT_TRUE(open(LogFile::Begin::fresh).feed(as_bytes(replay(entries, 2, "0.0"))));
  DockerLog log = open(LogFile::Begin::resume);
  ASSERT_TRUE(log.feed(as_bytes(replay(entries, 1, since_of(log.positions())))));
  EXPECT_EQ(text(LogStream::out), "one\ntwo\n");
  log.mark_unreached();
  const std::string marked = "one\ntwo\n\n[output is missing here: the Docker engine does not have it any more]\n";
  EXPECT_EQ(text(LogStream::out), marked);
  EXPECT_EQ(text(LogStream::err), "");
  DockerLog again = open(LogFile::Begin::resume);
  ASSERT_TRUE(again.feed(as_bytes(replay(entries, 1, since_of(again.positions())))));
  again.mark_unreached();
  EXPECT_EQ(text(LogStream::out), marked) << "once";
}

TEST_F(DockerLogTest, EntriesWithoutATimeAreTakenWhole) {
  DockerLog log = open(LogFile::Begin::fresh);
  ASSERT_TRUE(log.feed(as_bytes(frame(1, "hello world\n") + frame(1, "x") + frame(1, "") + frame(1, "yy zz"))));
  EXPECT_EQ(text(LogStream::out), "hello world\nxyy zz");
}

TEST(DockerLogTime, Parses) {
  EXPECT_EQ(parse_log_time("1970-01-01T00:00:01Z"), 1'000'000'000);
  EXPECT_EQ(parse_log_time("1970-01-02T00:00:00.5Z"), 86'400'500'000'000);
  EXPECT_EQ(parse_log_time("2026-11-28T10:00:02.000000005Z"), 1'795'860'002'000'000'005);
  for (const char* wrong :
       {"", "Z", "2026-11-28T10:00:02", "2026-13-28T10:00:02Z", "2026-02-30T10:00:02Z", "2026-11-28T24:00:02Z",
        "2026-11-28T10:00:02.Z", "2026-11-28T10:00:02.1234567890Z", "2026-11-28T10:00:02+01:00Z",
        "2026-11-28 10:00:02Z", "1900-11-28T10:00:02Z", "9999-11-28T10:00:02Z", "-026-11-28T10:00:02Z"})
    EXPECT_FALSE(parse_log_time(wrong)) << wrong;
}

}  // namespace
}  // namespace dms::executor
