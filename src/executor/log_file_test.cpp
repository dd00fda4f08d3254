#include "executor/log_file.hpp"

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

namespace dms::executor {
namespace {
namespace fs = std::filesystem;

class LogFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / fmt::format("log_file_test_{}_{}", ::getpid(), ++counter_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  LogFile open(std::uint64_t limit, LogFile::Begin begin = LogFile::Begin::fresh) {
    Result<LogFile> log = LogFile::open(dir_, kOutLog, limit, begin);
    EXPECT_TRUE(log) << log.error().to_string();
    return *std::move(log);
  }
  /// The bytes of a run: every offset has its own, so a wrong offset is noticed.
  static std::string text(std::uint64_t from, std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + (from + i) % 23 + (from + i) / 1000 % 3);
    return bytes;
  }
  std::uint64_t bytes_on_disk() const {
    std::uint64_t sum = 0;
    for (const auto& entry : fs::directory_iterator(dir_))
      if (entry.path().filename() != kOutLog) sum += entry.file_size();
    return sum;
  }
  LogPage page(std::uint64_t offset, std::size_t max) const { return read_log_page(dir_, kOutLog, offset, max); }

  static inline int counter_ = 0;
  fs::path dir_;
};

TEST_F(LogFileTest, KeepsTheNewestBytesUnderTheirOffsets) {
  constexpr std::uint64_t kLimit = 64 * 1024;
  LogFile log = open(kLimit);
  std::mt19937 random(7);
  std::uint64_t total = 0;
  while (total < 10 * kLimit) {
    const std::size_t size = random() % 9000;
    log.write(as_bytes(text(total, size)));
    total += size;
    EXPECT_LE(bytes_on_disk(), kLimit + kLimit / 8);
    EXPECT_GE(bytes_on_disk(), std::min(total, kLimit));
    const LogPage read = page(random() % total, 1 + random() % 20000);
    EXPECT_EQ(read.total, total);
    EXPECT_EQ(read.data, text(read.offset, read.data.size()));
    EXPECT_FALSE(read.data.empty());
  }
  EXPECT_EQ(log.total(), total);
  EXPECT_EQ(log.dropped(), total - bytes_on_disk());
  EXPECT_EQ(page(0, 10).offset, log.dropped()) << "a page says where it starts";
  EXPECT_EQ(page(total + 5, 10).offset, total);
  EXPECT_EQ(read_log_tail(dir_, kOutLog, 3000), text(total - 3000, 3000));
  EXPECT_EQ(page(log.dropped(), 1 << 20).data,
            text(log.dropped(), kLimit + kLimit / 8).substr(0, total - log.dropped()))
      << "one page spans segments";
  std::ifstream newest(dir_ / kOutLog, std::ios::binary);
  const std::string shown((std::istreambuf_iterator<char>(newest)), std::istreambuf_iterator<char>());
  EXPECT_FALSE(shown.empty());
  EXPECT_EQ(shown, text(total - shown.size(), shown.size())) << "the name of the log is the newest segment";
}

TEST_F(LogFileTest, ResumesWhereTheFilesEnd) {
  std::uint64_t total = 0;
  for (int i = 0; i < 30; ++i) {
    LogFile log = open(32 * 1024, i == 0 ? LogFile::Begin::fresh : LogFile::Begin::resume);
    EXPECT_EQ(log.total(), total);
    log.write(as_bytes(text(total, 5000)));
    total += 5000;
  }
  EXPECT_EQ(page(0, 0).total, total);
  EXPECT_EQ(read_log_tail(dir_, kOutLog, 20000), text(total - 20000, 20000));
  EXPECT_LE(bytes_on_disk(), 36 * 1024u);
  open(32 * 1024);
  EXPECT_EQ(page(0, 100).total, 0u) << "a fresh log does not show an earlier run";
}

TEST_F(LogFileTest, AFullDiskIsAGapThatIsCounted) {
  if (::mount("tmpfs", dir_.c_str(), "tmpfs", 0, "size=128k") != 0) GTEST_SKIP() << "skipped: this user may not mount";
  LogFile log = open(1 << 20);
  const fs::path filler = dir_ / "filler";
  log.write(as_bytes(text(0, 10000)));
  std::ofstream(filler) << std::string(200'000, 'x');
  log.write(as_bytes(text(10000, 70000)));  // what is left of a page fits
  EXPECT_EQ(log.total(), 80000u);
  EXPECT_GT(log.dropped(), 50000u);
  fs::remove(filler);
  log.write(as_bytes(text(80000, 5000)));
  EXPECT_EQ(log.total(), 85000u);
  EXPECT_EQ(page(0, 0).total, 85000u);
  const LogPage before = page(0, 1 << 20);
  EXPECT_EQ(before.data, text(0, before.data.size()));
  EXPECT_EQ(before.data.size(), 80000 - log.dropped());
  const LogPage after = page(before.data.size(), 1 << 20);
  EXPECT_EQ(after.offset, 80000u) << "the gap shows";
  EXPECT_EQ(after.data, text(80000, 5000));
  EXPECT_EQ(read_log_tail(dir_, kOutLog, 100'000), before.data + after.data);
  ::umount2(dir_.c_str(), MNT_DETACH);
}

TEST_F(LogFileTest, LinksAndForeignNamesAreNotRead) {
  const fs::path secret = dir_ / "secret";
  std::ofstream(secret) << "secret";
  fs::create_symlink(secret, dir_ / "stdout.log.0");
  fs::create_symlink(secret, dir_ / "stdout.log");
  EXPECT_EQ(page(0, 100).data, "");
  LogFile log = open(10000);
  log.write(as_bytes(std::string_view("hello")));
  EXPECT_EQ(page(0, 100).data, "hello");
  std::ifstream kept(secret);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(kept), {}), "secret") << "no link was followed";
  for (const char* name :
       {"stdout.log.007", "stdout.log.x", "stdout.log.", "stdout.log.99999999999999999999", "stdout.log.1 "})
    std::ofstream(dir_ / name) << "foreign";
  ASSERT_EQ(::mkfifo((dir_ / "stdout.log.3").c_str(), 0600), 0);
  EXPECT_EQ(page(0, 3).data, "hel");
  fs::create_directory_symlink(dir_, dir_ / "linked");
  EXPECT_EQ(read_log_page(dir_ / "linked", kOutLog, 0, 10).data, "");
}

TEST_F(LogFileTest, PagesAreWholeWhileTheWriterRotates) {
  const pid_t writer = ::fork();
  if (writer == 0) {
    Result<LogFile> log = LogFile::open(dir_, kOutLog, 32 * 1024);
    for (std::uint64_t at = 0; log && at < 4'000'000; at += 4000) log->write(as_bytes(text(at, 4000)));
    ::_exit(0);
  }
  std::uint64_t at = 0;
  bool ended = false;
  do {
    if (!ended) ended = ::waitpid(writer, nullptr, WNOHANG) == writer;
    const LogPage read = page(at, 10000);
    ASSERT_GE(read.offset, std::min(at, read.total));
    ASSERT_EQ(read.data, text(read.offset, read.data.size())) << at;
    at = read.offset + read.data.size();
  } while (!ended || at < page(0, 0).total);
  EXPECT_EQ(at, 4'000'000u);
}

}  // namespace
}  // namespace dms::executor
