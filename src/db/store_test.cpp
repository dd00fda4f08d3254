#include "db/store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/random.hpp"

namespace dms::db {
namespace {

namespace fs = std::filesystem;

class StoreFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "nunet-db-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "nunet.db").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  std::string path_;
};

Store memory() {
  auto store = Store::open(std::string(Store::kMemory));
  EXPECT_TRUE(store) << store.error().to_string();
  return *std::move(store);
}

TEST(Store, KeepsDocumentsByCollectionAndId) {
  Store store = memory();
  ASSERT_TRUE(store.put("a", "2", "{}"));
  ASSERT_TRUE(store.put("a", "10", R"({"x":1})"));
  ASSERT_TRUE(store.put("b", "2", "[]"));
  EXPECT_EQ(**store.get("a", "2"), "{}");
  EXPECT_EQ(*store.get("b", "3"), std::nullopt);
  EXPECT_EQ(*store.list("a"), (std::vector<Document>{{"10", R"({"x":1})"}, {"2", "{}"}})) << "in the order of ids";
  ASSERT_TRUE(store.put("a", "2", "3"));
  EXPECT_EQ(**store.get("a", "2"), "3");
  EXPECT_TRUE(*store.erase("a", "2"));
  EXPECT_FALSE(*store.erase("a", "2"));
  EXPECT_EQ(store.list("a")->size(), 1U);
  EXPECT_EQ(store.list("b")->size(), 1U);
}

TEST(Store, NamesAndSizesAreBounded) {
  Store store = memory();
  EXPECT_FALSE(store.put("", "x", "{}"));
  EXPECT_FALSE(store.put("a", std::string(600, 'x'), "{}"));
  EXPECT_FALSE(store.put("a", std::string("x\0y", 3), "{}"));
  EXPECT_FALSE(store.put("a", "x", std::string(Store::kMaxDocument + 1, ' ')));
  EXPECT_TRUE(store.put("a'; DROP TABLE documents; --", "x", "{}"));
  EXPECT_EQ(store.list("a'; DROP TABLE documents; --")->size(), 1U);
}

TEST(Store, TransactionIsAllOrNothing) {
  Store store = memory();
  const auto failed = store.transaction([&]() -> Result<void> {
    TRY_VOID(store.put("a", "1", "{}"));
    return fail(dms::Errc::internal, "no");
  });
  EXPECT_FALSE(failed);
  EXPECT_TRUE(store.list("a")->empty());
  EXPECT_TRUE(store.transaction([&]() -> Result<void> {
    TRY_VOID(store.put("a", "1", "{}"));
    return store.transaction([&] { return store.put("a", "2", "{}"); });
  }));
  EXPECT_EQ(store.list("a")->size(), 2U);
}

TEST(Store, AFailedInnerTransactionFailsTheOuterOne) {
  Store store = memory();
  const auto done = store.transaction([&]() -> Result<void> {
    TRY_VOID(store.put("a", "1", "{}"));
    (void)store.transaction([&]() -> Result<void> { return fail(dms::Errc::internal, "inner"); });
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "inner");
  EXPECT_TRUE(store.list("a")->empty());
  EXPECT_TRUE(store.put("a", "1", "{}")) << "the store remains usable";
}

TEST(Store, AnExceptionRollsBack) {
  Store store = memory();
  EXPECT_THROW((void)store.transaction([&]() -> Result<void> {
    (void)store.put("a", "1", "{}");
    throw std::runtime_error("bug");
  }),
               std::runtime_error);
  EXPECT_TRUE(store.list("a")->empty());
}

TEST_F(StoreFile, AgreesWithAMapAcrossReopening) {
  SeededRandom random(11);
  std::map<std::pair<std::string, std::string>, std::string> model;
  for (int round = 0; round < 8; ++round) {
    auto store = Store::open(path_);
    ASSERT_TRUE(store) << store.error().to_string();
    for (int i = 0; i < 60; ++i) {
      const std::string collection = "c" + std::to_string(random.below(3));
      const std::string id = std::to_string(random.below(10));
      if (random.below(3) == 0) {
        EXPECT_EQ(*store->erase(collection, id), model.erase({collection, id}) > 0);
      } else {
        const std::string body = std::to_string(random.u64());
        ASSERT_TRUE(store->put(collection, id, body));
        model[{collection, id}] = body;
      }
    }
    std::map<std::pair<std::string, std::string>, std::string> found;
    for (const std::string collection : {"c0", "c1", "c2"}) {
      const auto documents = *store->list(collection);
      for (const auto& document : documents) found[{collection, document.id}] = document.json;
    }
    EXPECT_EQ(found, model);
  }
}

TEST_F(StoreFile, IsPrivateAndMakesItsFolder) {
  path_ = (folder_ / "deep" / "er" / "nunet.db").string();
  auto store = Store::open(path_);
  ASSERT_TRUE(store) << store.error().to_string();
  ASSERT_TRUE(store->put("a", "b", "{}"));
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat((path_ + "-wal").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat((folder_ / "deep").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST_F(StoreFile, ASecondOpenIsRefused) {
  auto store = Store::open(path_);
  ASSERT_TRUE(store);
  auto second = Store::open(path_);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(Errc::in_use)) << second.error().to_string();
}

TEST_F(StoreFile, DamageIsReportedWithTheNextStep) {
  std::ofstream(path_) << "this is no database, however long it is. " << std::string(4096, 'x');
  auto store = Store::open(path_);
  ASSERT_FALSE(store);
  EXPECT_TRUE(store.error().is(Errc::corrupt)) << store.error().to_string();
  EXPECT_NE(store.error().to_string().find("move it"), std::string::npos);
}

TEST_F(StoreFile, DamageInTheMiddleIsFoundAtOpening) {
  {
    auto store = Store::open(path_);
    ASSERT_TRUE(store->transaction([&]() -> Result<void> {
      for (int i = 0; i < 2000; ++i) TRY_VOID(store->put("a", std::to_string(i), std::string(100, 'x')));
      return {};
    }));
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3 * 4096);
    file << std::string(4096, '\x5a');
  }
  auto store = Store::open(path_);
  ASSERT_FALSE(store);
  EXPECT_TRUE(store.error().is(Errc::corrupt)) << store.error().to_string();
}

TEST_F(StoreFile, ANewerFormatIsRefused) {
  { ASSERT_TRUE(Store::open(path_)); }
  {
    // user_version is a big-endian number at byte 60 of the header.
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(60);
    file << std::string("\0\0\0\x63", 4);
  }
  auto store = Store::open(path_);
  ASSERT_FALSE(store);
  EXPECT_TRUE(store.error().is(Errc::newer_format)) << store.error().to_string();
}

/// A child writes pairs of documents and reports each to a pipe until it is killed. What it reported must be there, in
/// order, without gaps and without halves.
void write_until_killed(const std::string& path, int acknowledgements) {
  auto store = Store::open(path);
  for (std::uint32_t i = 0; store; ++i) {
    const std::string id = fmt::format("{:08}", i);
    const auto written = store->transaction([&]() -> Result<void> {
      TRY_VOID(store->put("left", id, std::to_string(i)));
      return store->put("right", id, std::to_string(i));
    });
    if (!written || ::write(acknowledgements, &i, sizeof i) != static_cast<ssize_t>(sizeof i)) break;
  }
  ::_exit(1);
}

TEST_F(StoreFile, SurvivesKill) {
  SeededRandom random(5);
  for (int round = 0; round < 5; ++round) {
    fs::remove(path_);
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(path_, pipe[1]);
    ::close(pipe[1]);
    std::uint32_t acknowledged = 0;
    const auto enough = 10 + random.below(40);
    do
      ASSERT_EQ(::read(pipe[0], &acknowledged, sizeof acknowledged), static_cast<ssize_t>(sizeof acknowledged))
          << "the child ended by itself";
    while (acknowledged < enough);
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    while (::read(pipe[0], &acknowledged, sizeof acknowledged) > 0) {
    }
    ::close(pipe[0]);

    auto store = Store::open(path_);
    ASSERT_TRUE(store) << store.error().to_string();
    const auto left = *store->list("left");
    EXPECT_EQ(left, *store->list("right")) << "half a transaction";
    EXPECT_GT(left.size(), acknowledged) << "an acknowledged write is lost";
    for (std::size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i].json, std::to_string(i)) << "a gap";
  }
}

/// Opens the database in another process, makes changes, and ends as SIGKILL ends it.
void change_and_die(const std::string& path, int documents) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = Store::open(path);
    bool stored = store.has_value();
    for (int i = 0; stored && i < documents; ++i)
      stored = store->put("a", std::to_string(i), std::string(100, 'x')).has_value();
    ::_exit(stored ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0) << "the changes are not stored";
}

TEST_F(StoreFile, OpeningACurrentFileWritesNothing) {
  change_and_die(path_, 10);
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto signal = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit none {
    0, before.rlim_max
  };
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  auto store = Store::open(path_);
  const bool written = store && store->put("a", "more", "{}");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, signal);
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_FALSE(written) << "the limit did not hold";
  EXPECT_EQ(store->list("a")->size(), 10U);
  EXPECT_TRUE(store->put("a", "more", "{}"));
}

TEST_F(StoreFile, AFileReplacedByABackupIsTheDatabase) {
  const auto put = [&](std::string_view value) {
    auto store = Store::open(path_);
    return store && store->put("a", "b", value);
  };
  ASSERT_TRUE(put("1"));
  fs::copy_file(path_, folder_ / "backup");
  ASSERT_TRUE(put("2"));
  fs::copy_file(folder_ / "backup", path_, fs::copy_options::overwrite_existing);
  auto store = Store::open(path_);
  ASSERT_TRUE(store) << store.error().to_string();
  EXPECT_EQ(**store->get("a", "b"), "1");
}

/// The folder is a file system of its own, of 8 MiB.
class StoreOnASmallDisk : public StoreFile {
 protected:
  void SetUp() override {
    StoreFile::SetUp();
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=8m") != 0)
      GTEST_SKIP() << "skipped: a file system cannot be mounted: " << std::generic_category().message(errno);
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    StoreFile::TearDown();
  }
  /// Another process fills the disk to the last byte.
  void fill() {
    const int file = ::open((folder_ / "ballast").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const std::string block(4096, '.');
    while (::write(file, block.data(), block.size()) > 0) {
    }
    ::close(file);
    ASSERT_EQ(fs::space(folder_).available, 0U);
  }

  bool mounted_ = false;
};

TEST_F(StoreOnASmallDisk, AFullDiskLeavesRoomForAStartAndItsChanges) {
  change_and_die(path_, 10);
  fill();
  for (const std::string round : {"after a kill", "after a stop"}) {
    auto store = Store::open(path_);
    ASSERT_TRUE(store) << round << ": " << store.error().to_string();
    EXPECT_GE(store->list("a")->size(), 10U) << round;
    for (int i = 0; i < 100; ++i) {
      const auto stored = store->put("a", std::to_string(i), std::string(200, 'y'));
      ASSERT_TRUE(stored) << round << ": " << stored.error().to_string();
    }
    EXPECT_TRUE(store->erase("a", "99").value_or(false)) << round;
    fill();
  }
}

TEST_F(StoreOnASmallDisk, WhatDoesNotFitIsRefusedUntilThereIsRoom) {
  change_and_die(path_, 10);
  fill();
  auto store = Store::open(path_);
  ASSERT_TRUE(store) << store.error().to_string();
  int stored = 0;
  Result<void> last;
  while ((last = store->put("big", std::to_string(stored), std::string(100'000, 'x')))) ASSERT_LT(++stored, 100);
  EXPECT_NE(last.error().to_string().find("is full"), std::string::npos) << last.error().to_string();
  EXPECT_GT(stored, 0);
  EXPECT_EQ(store->list("a")->size(), 10U);
  fs::remove(folder_ / "ballast");
  EXPECT_TRUE(store->put("big", "last", "{}"));
  EXPECT_EQ(store->list("big")->size(), static_cast<std::size_t>(stored) + 1);
}

}  // namespace
}  // namespace dms::db
