#include "base/remove_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/random.hpp"

namespace dms {
namespace {
namespace fs = std::filesystem;

constexpr uid_t kNobody = 65534;

/// Acts as a user without privileges, because root may read folders of any mode.
class AsUnprivilegedUser {
 public:
  AsUnprivilegedUser() : active_(::geteuid() == 0) {
    if (active_) become(kNobody);
  }
  AsUnprivilegedUser(const AsUnprivilegedUser&) = delete;
  AsUnprivilegedUser& operator=(const AsUnprivilegedUser&) = delete;
  ~AsUnprivilegedUser() {
    if (active_) become(0);
  }

 private:
  static void become(uid_t user) { EXPECT_EQ(::seteuid(user), 0); }
  bool active_;
};

/// Lowers the number of descriptors this process may open.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t count) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit few = before_;
    few.rlim_cur = count;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

class RemoveTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Not below TMPDIR, whose folders may be closed to the user without privileges.
    std::string pattern = "/tmp/dms-remove-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::permissions(folder_, fs::perms::all);
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

  static void put(const fs::path& file) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "x";
  }
  /// A chain of folders of this depth, each with a file; made without long paths.
  static void make_chain(const fs::path& top, int depth, const std::string& name) {
    fs::create_directory(top);
    int at = ::open(top.c_str(), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < depth; ++i) {
      ASSERT_EQ(::mkdirat(at, name.c_str(), 0700), 0);
      ::close(::openat(at, "file", O_CREAT | O_WRONLY, 0600));
      const int next = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY);
      ASSERT_GE(next, 0);
      ::close(at);
      at = next;
    }
    ::close(at);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_)) found.push_back(entry.path().filename());
    return found;
  }

  fs::path folder_;
};

TEST_F(RemoveTreeTest, RemovesFilesFoldersAndNothing) {
  put(folder_ / "a/b/c/file");
  put(folder_ / "file");
  EXPECT_TRUE(remove_tree(folder_ / "a"));
  EXPECT_TRUE(remove_tree(folder_ / "file"));
  EXPECT_TRUE(remove_tree(folder_ / "none"));
  EXPECT_TRUE(names().empty());
}

TEST_F(RemoveTreeTest, FollowsNoLinkOutOfTheTree) {
  put(folder_ / "outside/kept");
  fs::create_directories(folder_ / "tree/sub");
  fs::create_directory_symlink(folder_ / "outside", folder_ / "tree/sub/link");
  fs::create_symlink(folder_ / "outside/kept", folder_ / "tree/file_link");
  fs::create_directory_symlink("..", folder_ / "tree/sub/up");
  EXPECT_TRUE(remove_tree(folder_ / "tree"));
  fs::create_directory_symlink(folder_ / "outside", folder_ / "tree");
  EXPECT_TRUE(remove_tree(folder_ / "tree"));
  EXPECT_TRUE(fs::exists(folder_ / "outside/kept"));
}

TEST_F(RemoveTreeTest, EmptiesFoldersWithoutAnyMode) {
  const AsUnprivilegedUser unprivileged;
  for (const int mode : {0, 0100, 0200, 0400, 0500}) {
    put(folder_ / "tree/outer/inner/file");
    ASSERT_EQ(::chmod((folder_ / "tree/outer/inner").c_str(), static_cast<mode_t>(mode)), 0);
    ASSERT_EQ(::chmod((folder_ / "tree/outer").c_str(), static_cast<mode_t>(mode)), 0);
    ASSERT_EQ(::chmod((folder_ / "tree").c_str(), static_cast<mode_t>(mode)), 0);
    const Result<void> removed = remove_tree(folder_ / "tree");
    EXPECT_TRUE(removed) << mode << ": " << removed.error().to_string();
  }
}

TEST_F(RemoveTreeTest, RemovesTreesDeeperThanDescriptorsAndPathsAllow) {
  const AsUnprivilegedUser unprivileged;
  make_chain(folder_ / "tree", 500, std::string(200, 'd'));
  const FewDescriptors few(40);
  const Result<void> removed = remove_tree(folder_ / "tree");
  EXPECT_TRUE(removed) << removed.error().to_string();
  EXPECT_TRUE(names().empty());
}

TEST_F(RemoveTreeTest, MovedFoldersDoNotOverwriteEntriesOfTheTop) {
  // The names that the remover itself would choose, as files, non-empty and empty folders.
  for (int i = 0; i < 30; ++i) put(folder_ / "tree" / std::to_string(i) / "full");
  for (int i = 30; i < 60; ++i) put(folder_ / "tree" / std::to_string(i));
  for (int i = 60; i < 90; ++i) fs::create_directories(folder_ / "tree" / std::to_string(i));
  make_chain(folder_ / "tree/0/chain", 300, "0");
  make_chain(folder_ / "tree/zz", 300, "0");
  EXPECT_TRUE(remove_tree(folder_ / "tree"));
}

TEST_F(RemoveTreeTest, RandomTrees) {
  SeededRandom random(8);
  for (int round = 0; round < 5; ++round) {
    std::vector<fs::path> folders{folder_ / "tree"};
    fs::create_directory(folders.front());
    for (int i = 0; i < 200; ++i) {
      const fs::path path = folders[random.below(folders.size())] / std::to_string(random.below(40));
      if (fs::symlink_status(path).type() != fs::file_type::not_found) continue;
      if (random.below(3) == 0) {
        std::ofstream(path) << "x";
      } else {
        fs::create_directory(path);
        folders.push_back(path);
      }
    }
    ASSERT_TRUE(remove_tree(folder_ / "tree"));
  }
}

TEST_F(RemoveTreeTest, StopsOnRequest) {
  put(folder_ / "tree/file");
  std::stop_source source;
  source.request_stop();
  EXPECT_TRUE(remove_tree(folder_ / "tree", source.get_token()).error().is(Errc::cancelled));
  EXPECT_TRUE(fs::exists(folder_ / "tree/file"));
}

TEST_F(RemoveTreeTest, WhatCannotBeRemovedIsQuarantinedAndReported) {
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: only root can make a folder that this user cannot remove";
  put(folder_ / "tree/of_root/file");
  put(folder_ / "tree/own/file");
  for (const char* own : {"tree", "tree/own"}) ASSERT_EQ(::chown((folder_ / own).c_str(), kNobody, kNobody), 0);
  {
    const AsUnprivilegedUser unprivileged;
    const Result<void> removed = remove_tree(folder_ / "tree");
    ASSERT_FALSE(removed);
    EXPECT_NE(removed.error().to_string().find("file: Permission denied"), std::string::npos)
        << removed.error().to_string();
    EXPECT_FALSE(fs::exists(folder_ / "tree/own")) << "the rest is removed";
    ASSERT_TRUE(discard_tree(folder_ / "tree"));
    EXPECT_EQ(names(), std::vector<std::string>{".quarantine-1-tree"});
    EXPECT_EQ(sweep_quarantine(folder_), 1U);
    fs::create_directory(folder_ / "tree");
    ASSERT_TRUE(quarantine_entries(folder_));
    EXPECT_EQ(names().size(), 2U);
    EXPECT_EQ(sweep_quarantine(folder_), 1U) << "what can be removed is removed";
  }
  EXPECT_EQ(sweep_quarantine(folder_), 0U);
  EXPECT_TRUE(names().empty());
}

TEST_F(RemoveTreeTest, EntersNoMountPoint) {
  put(folder_ / "outside/kept");
  fs::create_directories(folder_ / "tree/mount");
  if (::mount((folder_ / "outside").c_str(), (folder_ / "tree/mount").c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "skipped: mounting is not allowed here";
  const Result<void> removed = remove_tree(folder_ / "tree");
  ::umount2((folder_ / "tree/mount").c_str(), MNT_DETACH);
  EXPECT_FALSE(removed);
  EXPECT_TRUE(fs::exists(folder_ / "outside/kept"));
}

TEST_F(RemoveTreeTest, NamedEntriesAreNotQuarantined) {
  put(folder_ / "kept/file");
  put(folder_ / "other/file");
  ASSERT_TRUE(quarantine_entries(folder_, {"kept", "absent"}));
  EXPECT_EQ(sweep_quarantine(folder_), 0U);
  EXPECT_EQ(names(), std::vector<std::string>{"kept"});
  EXPECT_TRUE(fs::exists(folder_ / "kept/file"));
}

TEST_F(RemoveTreeTest, WhatIsQuarantinedIsListed) {
  put(folder_ / "kept/file");
  put(folder_ / "other/file");
  ASSERT_TRUE(quarantine_entries(folder_, {"kept"}));
  EXPECT_EQ(quarantined_entries(folder_), std::vector<fs::path>{folder_ / ".quarantine-1-other"});
}

TEST_F(RemoveTreeTest, AMissingFolderHasNoEntries) {
  EXPECT_TRUE(quarantined_entries(folder_ / "none").empty());
  EXPECT_TRUE(quarantine_entries(folder_ / "none"));
  EXPECT_EQ(sweep_quarantine(folder_ / "none"), 0U);
}

}  // namespace
}  // namespace dms
