#include "transfer/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "transfer/testing.hpp"

namespace dms::transfer {
namespace {

using testing::TestFolder;

/// One entry of an archive that no pack() would write.
struct Entry {
  std::string path;
  unsigned type = AE_IFREG;
  std::string data;
  std::string target;  // of a link
  unsigned mode = 0644;
  bool hard_link = false;
};

void write_archive(const std::filesystem::path& path, const std::vector<Entry>& entries) {
  archive* a = archive_write_new();
  archive_write_set_format_pax_restricted(a);
  ASSERT_EQ(archive_write_open_filename(a, path.c_str()), ARCHIVE_OK);
  for (const Entry& e : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, e.path.c_str());
    archive_entry_set_filetype(entry, e.type);
    archive_entry_set_perm(entry, static_cast<mode_t>(e.mode));
    archive_entry_set_size(entry, static_cast<la_int64_t>(e.data.size()));
    if (e.hard_link)
      archive_entry_set_hardlink(entry, e.target.c_str());
    else if (!e.target.empty())
      archive_entry_set_symlink(entry, e.target.c_str());
    EXPECT_GE(archive_write_header(a, entry), ARCHIVE_WARN) << archive_error_string(a);
    archive_write_data(a, e.data.data(), e.data.size());
    archive_entry_free(entry);
  }
  archive_write_free(a);
}

struct ArchiveTest : ::testing::Test {
  Result<Packed> pack_it(const std::string& path, ArchiveLimits limits = {}) {
    return pack(dir / "work", path, dir / "packed", limits);
  }
  Result<void> unpack_it(bool folder, const std::string& path = "in", ArchiveLimits limits = {}) {
    return unpack(dir / "packed", folder, dir / "new", path, limits);
  }
  /// The refusal of an archive; nothing may be made outside of the folder.
  std::string refusal(const std::vector<Entry>& entries, ArchiveLimits limits = {}) {
    write_archive(dir / "packed", entries);
    const Result<void> done = unpack_it(true, "in", limits);
    EXPECT_FALSE(std::filesystem::exists(dir / "new/evil"));
    EXPECT_FALSE(std::filesystem::exists(dir / "evil"));
    return done ? "(unpacked)" : done.error().message();
  }
  void write(const std::string& path, const std::string& text) { ASSERT_TRUE(write_file(dir / "work" / path, text)); }

  TestFolder dir;
  bool made = std::filesystem::create_directories(dir / "work") && std::filesystem::create_directories(dir / "new");
};

TEST_F(ArchiveTest, AFileIsPackedAsItIs) {
  write("out/result.bin", "bytes");
  const Result<Packed> packed = pack_it("out/result.bin");
  ASSERT_TRUE(packed) << packed.error().to_string();
  EXPECT_FALSE(packed->folder);
  EXPECT_EQ(packed->content.size, 5u);
  EXPECT_EQ(packed->content.digest, crypto::sha256(as_bytes("bytes")));
  ASSERT_TRUE(unpack_it(false, "a/b"));
  EXPECT_EQ(testing::read(dir / "new/a/b"), "bytes");
}

TEST_F(ArchiveTest, AFolderComesBackWhole) {
  const std::string large = testing::random_text(3'000'000);
  const std::string long_name(200, 'n');
  write("out/large", large);
  write("out/empty", "");
  write("out/deep/er/f\xc3\xbcnf \xff", "odd name");
  write("out/" + long_name + "/" + long_name, "long name");
  std::filesystem::create_directories(dir / "work/out/nothing");
  std::filesystem::create_symlink("deep/er", dir / "work/out/link");
  std::filesystem::create_symlink("../large", dir / "work/out/deep/up");
  ASSERT_EQ(::chmod((dir / "work/out/large").c_str(), 0755), 0);
  const Result<Packed> packed = pack_it("out");
  ASSERT_TRUE(packed) << packed.error().to_string();
  EXPECT_TRUE(packed->folder);
  EXPECT_EQ(packed->left_out_count, 0u);
  EXPECT_EQ(packed->content, content_of(dir / "packed").value());

  const Result<void> done = unpack_it(true);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(testing::read(dir / "new/in/large"), large);
  EXPECT_EQ(testing::read(dir / "new/in/empty"), "");
  EXPECT_EQ(testing::read(dir / "new/in/deep/er/f\xc3\xbcnf \xff"), "odd name");
  EXPECT_EQ(testing::read(dir / ("new/in/" + long_name + "/" + long_name)), "long name");
  EXPECT_TRUE(std::filesystem::is_directory(dir / "new/in/nothing"));
  EXPECT_EQ(std::filesystem::read_symlink(dir / "new/in/link"), "deep/er");
  EXPECT_EQ(std::filesystem::read_symlink(dir / "new/in/deep/up"), "../large");
  EXPECT_EQ(std::filesystem::status(dir / "new/in/large").permissions(), std::filesystem::perms(0755));
  struct stat before {};
  struct stat after {};
  ASSERT_EQ(::stat((dir / "work/out/large").c_str(), &before), 0);
  ASSERT_EQ(::stat((dir / "new/in/large").c_str(), &after), 0);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
}

TEST_F(ArchiveTest, AnEmptyFolderIsAFolder) {
  std::filesystem::create_directories(dir / "work/out");
  ASSERT_TRUE(pack_it("out"));
  const Result<void> done = unpack_it(true);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(std::filesystem::is_empty(dir / "new/in"));
}

TEST_F(ArchiveTest, WhatCannotBeSentIsLeftOutByName) {
  write("out/kept", "text");
  ASSERT_EQ(::mkfifo((dir / "work/out/pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("/etc/passwd", dir / "work/out/absolute");
  std::filesystem::create_symlink("../../secret", dir / "work/out/above");
  write("out/bell\x07", "text");
  std::filesystem::create_symlink("c\x1b[1m", dir / "work/out/colour");
  const Result<Packed> packed = pack_it("out");
  ASSERT_TRUE(packed) << packed.error().to_string();
  EXPECT_EQ(packed->left_out_count, 5u);
  EXPECT_EQ(packed->left_out.at(3), "\"colour\": it is a link to a name with control characters");
  EXPECT_EQ(packed->left_out.back(), "\"pipe\": it is no file, folder or link");
  ASSERT_TRUE(unpack_it(true));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir / "new/in"), {}), 1);
}

/// Opens the folders below `from`, one in the other: their path may be longer than one system call takes.
Fd open_folders(const std::filesystem::path& from, const std::vector<std::string>& names, bool make = false) {
  Fd at(::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const std::string& name : names) {
    if (make) {
      EXPECT_EQ(::mkdirat(at.get(), name.c_str(), 0755), 0) << name;
    }
    Fd next(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    at = std::move(next);
  }
  return at;
}

bool make_file(const Fd& folder, const std::string& name) {
  return static_cast<bool>(Fd(::openat(folder.get(), name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)));
}

TEST_F(ArchiveTest, PathsThatNobodyWouldUnpackAreLeftOut) {
  // The longest path: 16 folders of 240 bytes, each with its slash, and a name of 240 bytes.
  const std::vector<std::string> way(16, std::string(240, 'p'));
  const std::string longest(240, 'q');
  ASSERT_EQ(way.size() * 241 + longest.size(), kMaxPath);
  std::vector<std::string> sent = way;
  sent.push_back(longest);
  std::filesystem::create_directories(dir / "work/out");
  ASSERT_TRUE(make_file(open_folders(dir / "work/out", sent, true), "f"));
  ASSERT_TRUE(make_file(open_folders(dir / "work/out", way), longest + "r"));
  const Result<Packed> packed = pack_it("out");
  ASSERT_TRUE(packed) << packed.error().to_string();
  EXPECT_EQ(packed->left_out_count, 2u);
  for (const std::string& text : packed->left_out) EXPECT_TRUE(text.ends_with("its path is longer than 4096 bytes"));
  const Result<void> done = unpack_it(true);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(open_folders(dir / "new/in", sent));
}

TEST_F(ArchiveTest, PathsThatAreTooDeepAreLeftOut) {
  const std::vector<std::string> way(kMaxDepth, "d");
  std::filesystem::create_directories(dir / "work/out");
  ASSERT_TRUE(make_file(open_folders(dir / "work/out", way, true), "f"));
  const Result<Packed> packed = pack_it("out");
  ASSERT_TRUE(packed) << packed.error().to_string();
  EXPECT_EQ(packed->left_out_count, 1u);
  EXPECT_TRUE(packed->left_out.at(0).ends_with("its path has more than 128 parts")) << packed->left_out.at(0);
  const Result<void> done = unpack_it(true);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(open_folders(dir / "new/in", way));
}

TEST_F(ArchiveTest, LongNamesOfWhatIsLeftOutAreCut) {
  std::string path = "all";
  for (int i = 0; i < 4; ++i) path += "/" + std::string(200, static_cast<char>('a' + i));
  std::filesystem::create_directories(dir / "work" / path);
  ASSERT_EQ(::mkfifo((dir / "work" / path / "pipe").c_str(), 0600), 0);
  const Result<Packed> packed = pack_it("all");
  ASSERT_TRUE(packed) << packed.error().to_string();
  ASSERT_EQ(packed->left_out.size(), 1u);
  EXPECT_LT(packed->left_out[0].size(), Packed::kMaxLeftOutName + 64);
}

TEST_F(ArchiveTest, AResultBehindALinkIsRefused) {
  write("secret/file", "secret");
  std::filesystem::create_symlink("secret", dir / "work/out");
  std::filesystem::create_symlink("secret/file", dir / "work/file");
  EXPECT_TRUE(pack_it("out/file").error().is(Errc::invalid_argument));
  EXPECT_TRUE(pack_it("out").error().is(Errc::invalid_argument));
  EXPECT_TRUE(pack_it("file").error().is(Errc::invalid_argument));
  EXPECT_TRUE(pack_it("../work/secret").error().is(Errc::invalid_argument));
  EXPECT_TRUE(pack_it("/etc/passwd").error().is(Errc::invalid_argument));
  EXPECT_TRUE(pack_it("absent").error().is(Errc::not_found));
  EXPECT_FALSE(std::filesystem::exists(dir / "packed"));
}

TEST_F(ArchiveTest, WhatIsNoFileOrFolderIsRefusedAsSuch) {
  ASSERT_EQ(::mkfifo((dir / "work/pipe").c_str(), 0600), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = dir / "work/socket";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  for (const std::string name : {"pipe", "socket"}) {
    const Result<Packed> packed = pack_it(name);
    ASSERT_FALSE(packed);
    EXPECT_TRUE(packed.error().is(Errc::invalid_argument)) << packed.error().to_string();
  }
}

TEST_F(ArchiveTest, TooLargeIsRefusedAndLeavesNothing) {
  write("out/a", std::string(2000, 'a'));
  write("out/b", std::string(2000, 'b'));
  const ArchiveLimits bytes{.max_bytes = 3000};
  const ArchiveLimits entries{.max_entries = 1};
  EXPECT_TRUE(pack_it("out", bytes).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(pack_it("out", entries).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(pack_it("out/a", {.max_bytes = 1999}).error().is(Errc::limit_exceeded));
  EXPECT_FALSE(std::filesystem::exists(dir / "packed"));
  // A hole takes no disk space, but its archive would.
  std::filesystem::resize_file(dir / "work/out/a", std::uintmax_t{1} << 40);
  EXPECT_TRUE(pack_it("out", bytes).error().is(Errc::limit_exceeded));
}

TEST_F(ArchiveTest, PackingIsCancelled) {
  write("out/a", "text");
  std::stop_source source;
  source.request_stop();
  EXPECT_TRUE(pack(dir / "work", "out", dir / "packed", {}, source.get_token()).error().is(Errc::cancelled));
  EXPECT_FALSE(std::filesystem::exists(dir / "packed"));
  EXPECT_TRUE(content_of(dir / "work/out/a", source.get_token()).error().is(Errc::cancelled));
}

TEST_F(ArchiveTest, UnpackingIsCancelled) {
  write("out/a", "text");
  ASSERT_TRUE(pack_it("out"));
  std::stop_source source;
  source.request_stop();
  const Result<void> done =
      unpack(dir / "packed", true, dir / "new", "in", ArchiveLimits(), Access::owner, source.get_token());
  EXPECT_TRUE(!done && done.error().is(Errc::cancelled));
  EXPECT_FALSE(std::filesystem::exists(dir / "new/in/a"));
}

TEST_F(ArchiveTest, EntriesThatLeaveTheFolderAreRefused) {
  EXPECT_NE(refusal({{.path = "../evil", .data = "x"}}).find("\"..\""), std::string::npos);
  EXPECT_NE(refusal({{.path = "a/../../evil", .data = "x"}}).find("\"..\""), std::string::npos);
  EXPECT_NE(refusal({{.path = (dir / "evil").string(), .data = "x"}}).find("absolute"), std::string::npos);
  EXPECT_NE(refusal({{.path = "l1", .type = AE_IFLNK, .target = ".."}}).find("leaves"), std::string::npos);
  EXPECT_NE(refusal({{.path = "l2", .type = AE_IFLNK, .target = "/etc"}}).find("leaves"), std::string::npos);
  // Link by link upwards: `d/e` is the folder itself, so `d/e/..` would be above it.
  EXPECT_NE(refusal({{.path = "d", .type = AE_IFDIR, .mode = 0755},
                     {.path = "d/e", .type = AE_IFLNK, .target = ".."},
                     {.path = "d/f", .type = AE_IFLNK, .target = "e/.."}})
                .find("leaves"),
            std::string::npos);
}

TEST_F(ArchiveTest, NothingIsWrittenThroughALink) {
  std::filesystem::create_directories(dir / "new/in");
  std::filesystem::create_symlink("..", dir / "new/in/old");
  EXPECT_NE(refusal({{.path = "old/evil", .data = "x"}}).find("symbolic link"), std::string::npos);
  EXPECT_NE(
      refusal({{.path = "l", .type = AE_IFLNK, .target = "t"}, {.path = "l/evil", .data = "x"}}).find("symbolic link"),
      std::string::npos);
}

TEST_F(ArchiveTest, OtherKindsOfEntriesAreRefused) {
  EXPECT_NE(refusal({{.path = "p", .type = AE_IFIFO}}).find("no file, folder or link"), std::string::npos);
  EXPECT_NE(refusal({{.path = "c", .type = AE_IFCHR}}).find("no file, folder or link"), std::string::npos);
  EXPECT_NE(refusal({{.path = "l", .type = AE_IFLNK, .target = "c\x1b[1m"}}).find("control characters"),
            std::string::npos);
  EXPECT_NE(refusal({{.path = "s", .data = "x", .mode = 04755}}).find("set-id"), std::string::npos);
  EXPECT_NE(refusal({{.path = "a", .data = "x"}, {.path = "b", .target = "a", .hard_link = true}}).find("hard link"),
            std::string::npos);
  EXPECT_NE(refusal({{.path = "x", .data = "1"}, {.path = "x", .data = "2"}}).find("exists already"),
            std::string::npos);
}

TEST_F(ArchiveTest, AnArchiveHasLimits) {
  const std::vector<Entry> two{{.path = "1", .data = std::string(100, 'x')},
                               {.path = "2", .data = std::string(100, 'x')}};
  EXPECT_NE(refusal(two, {.max_bytes = 199}).find("larger than the limit"), std::string::npos);
  EXPECT_NE(refusal({{.path = "3"}, {.path = "4"}}, {.max_entries = 1}).find("too many entries"), std::string::npos);
  std::string deep;
  for (std::size_t i = 0; i <= kMaxDepth; ++i) deep += "d/";
  EXPECT_NE(refusal({{.path = deep + "f"}}).find("too deep"), std::string::npos);
}

TEST_F(ArchiveTest, FoldersOnTheWayCountAndSeveralArchivesShareOneLimit) {
  EXPECT_NE(refusal({{.path = "a/b/c/d/e/f"}}, {.max_entries = 5}).find("too many entries"), std::string::npos);
  write_archive(dir / "packed", {{.path = "a/b", .data = std::string(100, 'x')}});
  ArchiveLimits left{.max_bytes = 250, .max_entries = 100};
  ASSERT_TRUE(unpack(dir / "packed", true, dir / "new", "way/1", left));
  EXPECT_EQ(left.max_bytes, 150u);
  EXPECT_EQ(left.max_entries, 96u) << "way, 1, a and b";
  ASSERT_TRUE(unpack(dir / "packed", true, dir / "new", "way/2", left));
  EXPECT_EQ(left.max_entries, 93u) << "way was there";
  EXPECT_TRUE(unpack(dir / "packed", true, dir / "new", "way/3", left).error().is(Errc::limit_exceeded));
}

TEST_F(ArchiveTest, TextIsNoArchive) {
  ASSERT_TRUE(write_file(dir / "packed", testing::random_text(4096)));
  EXPECT_TRUE(unpack_it(true).error().is(Errc::invalid_argument));
}

TEST_F(ArchiveTest, APathThatExistsIsNotReplaced) {
  ASSERT_TRUE(write_file(dir / "new/in", "mine"));
  ASSERT_TRUE(write_file(dir / "packed", "other"));
  EXPECT_TRUE(unpack_it(false).error().is(Errc::invalid_argument));
  EXPECT_EQ(testing::read(dir / "new/in"), "mine");
}

TEST_F(ArchiveTest, TheUmaskOfTheUserCounts) {
  write("out/a/run", "text");
  for (const char* path : {"work/out/a", "work/out/a/run"}) ASSERT_EQ(::chmod((dir / path).c_str(), 0755), 0);
  ASSERT_TRUE(pack_it("out"));
  const mode_t before = ::umask(077);
  const Result<void> done = unpack_it(true);
  ::umask(before);
  ASSERT_TRUE(done) << done.error().to_string();
  for (const char* path : {"new/in/a", "new/in/a/run"})
    EXPECT_EQ(std::filesystem::status(dir / path).permissions(), std::filesystem::perms(0700)) << path;
}

TEST_F(ArchiveTest, WhatIsForEveryoneCanBeChangedByEveryone) {
  write("out/a/b", "text");
  write("out/run", "text");
  ASSERT_EQ(::chmod((dir / "work/out/run").c_str(), 0500), 0);
  ASSERT_TRUE(pack_it("out"));
  ASSERT_TRUE(unpack(dir / "packed", true, dir / "new", "way/in", {}, Access::everyone));
  const auto mode = [&](const char* path) {
    struct stat info {};
    EXPECT_EQ(::stat((dir / path).c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  };
  for (const char* folder : {"new/way", "new/way/in", "new/way/in/a"}) EXPECT_EQ(mode(folder), 0777u) << folder;
  EXPECT_EQ(mode("new/way/in/a/b"), 0666u);
  EXPECT_EQ(mode("new/way/in/run"), 0777u);
}

}  // namespace
}  // namespace dms::transfer
