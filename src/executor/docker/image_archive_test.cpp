#include "executor/docker/image_archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include <array>
#include <cstring>
#include <map>

#include "base/file.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

/// An entry of a tar archive, with its content.
std::string entry(const std::string& name, const std::string& content, char type = '0', const std::string& link = "") {
  std::array<char, 512> head{};
  const auto put = [&](std::size_t at, const std::string& text) {
    std::memcpy(head.data() + at, text.data(), text.size());
  };
  put(0, name);
  put(100, "0000644");
  put(124, fmt::format("{:011o}", content.size()));
  put(136, "00000000000");
  put(148, "        ");
  head[156] = type;
  put(157, link);
  put(257, "ustar");
  put(263, "00");
  unsigned sum = 0;
  for (const char c : head) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum) + std::string(1, '\0'));
  return std::string(head.data(), head.size()) + content + std::string((512 - content.size() % 512) % 512, '\0');
}

std::string hex(const std::string& text) { return encode(Base::hex, crypto::sha256(as_bytes(text))); }
std::string blob(const std::string& content) { return entry("blobs/sha256/" + hex(content), content); }
std::string described(const std::string& content) { return fmt::format(R"({{"digest":"sha256:{}"}})", hex(content)); }

const std::string kConfig = R"({"os":"linux","rootfs":{"type":"layers"}})";
const std::string kManifest =
    R"([{"Config":"c.json","RepoTags":["nginx:latest"],"Layers":["a/layer.tar","b/layer.tar"]}])";

class ImageArchive : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / fmt::format("image_archive_test_{}", ::getpid());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  Result<std::string> rewrite(const std::string& entries) {
    EXPECT_TRUE(write_file(dir_ / "given", entries + std::string(1024, '\0')));
    return rewrite_image(dir_ / "given", dir_ / "made");
  }
  std::string refusal(const std::string& entries) {
    const auto made = rewrite(entries);
    EXPECT_FALSE(made);
    EXPECT_FALSE(fs::exists(dir_ / "made"));
    return made ? std::string() : made.error().to_string();
  }
  /// What was made, by name.
  std::map<std::string, std::string> content() {
    std::map<std::string, std::string> found;
    archive* a = archive_read_new();
    archive_read_support_format_tar(a);
    EXPECT_EQ(archive_read_open_filename(a, (dir_ / "made").c_str(), 4096), ARCHIVE_OK);
    for (archive_entry* e = nullptr; archive_read_next_header(a, &e) == ARCHIVE_OK;) {
      std::string text(static_cast<std::size_t>(archive_entry_size(e)), '\0');
      EXPECT_EQ(archive_read_data(a, text.data(), text.size()), static_cast<la_ssize_t>(text.size()));
      found[archive_entry_pathname(e)] = text;
    }
    archive_read_free(a);
    return found;
  }

  fs::path dir_;
};

TEST_F(ImageArchive, OfDockerSaveLosesItsNamesAndAllElse) {
  const auto id = rewrite(entry("repositories", R"({"nginx":{"latest":"a"}})") + entry("c.json", kConfig) +
                          entry("a/layer.tar", "first") + entry("b/layer.tar", "", '2', "../a/layer.tar") +
                          entry("index.json", "{}") + entry("manifest.json", kManifest) + entry("more", "x"));
  ASSERT_TRUE(id) << id.error().to_string();
  EXPECT_EQ(*id, hex(kConfig));
  EXPECT_THAT(content(),
              ElementsAre(Pair("0.tar", "first"), Pair("config.json", kConfig),
                          Pair("manifest.json", R"([{"Config":"config.json","Layers":["0.tar","0.tar"]}])")));
}

TEST_F(ImageArchive, OfAnOciLayoutBecomesOne) {
  const std::string manifest =
      fmt::format(R"({{"config":{},"layers":[{},{}]}})", described(kConfig), described("one"), described("two"));
  const std::string index = fmt::format(
      R"({{"manifests":[{{"digest":"sha256:{}","annotations":{{"io.containerd.image.name":"nginx:latest"}}}}]}})",
      hex(manifest));
  const auto id = rewrite(entry("./oci-layout", "{}") + entry("./index.json", index) + blob("two") + blob(kConfig) +
                          blob(manifest) + blob("one"));
  ASSERT_TRUE(id) << id.error().to_string();
  EXPECT_EQ(*id, hex(kConfig));
  const auto made = content();
  EXPECT_THAT(made, Not(::testing::Contains(Pair(::testing::_, HasSubstr("nginx")))));
  EXPECT_EQ(made.at("manifest.json"), R"([{"Config":"config.json","Layers":["0.tar","1.tar"]}])");
  EXPECT_EQ(made.at("0.tar"), "one");
  EXPECT_EQ(made.at("1.tar"), "two");
}

TEST_F(ImageArchive, WhatIsNoArchiveOfOneImageIsRefusedWithTheReason) {
  const std::string whole = entry("c.json", kConfig) + entry("a/layer.tar", "first") + entry("b/layer.tar", "second");
  ASSERT_TRUE(rewrite(whole + entry("manifest.json", kManifest)));
  fs::remove(dir_ / "made");
  EXPECT_THAT(refusal("no tar at all, but some text"), HasSubstr("execution.image_archive: "));
  EXPECT_THAT(refusal("no tar at all, but some text"), HasSubstr("expected a tar archive"));
  EXPECT_THAT(refusal(whole), HasSubstr("neither manifest.json (docker save) nor index.json"));
  EXPECT_THAT(refusal(whole + entry("manifest.json", "[")), HasSubstr("manifest.json"));
  EXPECT_THAT(refusal(whole + entry("manifest.json", "[{},{}]")), HasSubstr("lists 2 images; save one"));
  EXPECT_THAT(refusal(entry("a/layer.tar", "first") + entry("c.json", kConfig) + entry("manifest.json", kManifest)),
              HasSubstr("\"b/layer.tar\" is missing"));
  EXPECT_THAT(refusal(entry("manifest.json", R"([{"Config":"../c","Layers":["/etc/passwd"]}])")),
              HasSubstr("\"../c\" is missing"));
  EXPECT_THAT(refusal(entry("c.json", kConfig) + entry("a/layer.tar", "", '2', "../b/layer.tar") +
                      entry("b/layer.tar", "", '2', "../a/layer.tar") + entry("manifest.json", kManifest)),
              HasSubstr("is missing"));
  EXPECT_THAT(refusal(entry("index.json", R"({"manifests":[{},{}]})")), HasSubstr("lists 2 images"));
  EXPECT_THAT(refusal(entry("index.json", R"({"manifests":[{"digest":"md5:00"}]})")), HasSubstr("sha256:<hex>"));
  const std::string inner = R"({"manifests":[]})";
  EXPECT_THAT(refusal(entry("index.json", fmt::format(R"({{"manifests":[{}]}})", described(inner))) + blob(inner)),
              HasSubstr("lists no image"));
  const std::string other = R"({"layers":[]})";
  EXPECT_THAT(refusal(entry("index.json", fmt::format(R"({{"manifests":[{}]}})", described(other))) + blob(other)),
              HasSubstr("is not the manifest of an image"));
}

TEST_F(ImageArchive, OfSeveralPlatformsTheOneOfThisMachineIsTaken) {
#if defined(__x86_64__)
  const std::string here = "amd64";
#elif defined(__aarch64__)
  const std::string here = "arm64";
#else
  GTEST_SKIP() << "skipped: the test does not know what images call this architecture";
#endif
  const auto at = [](const std::string& content, const std::string& os, const std::string& architecture) {
    const std::string descriptor = described(content);
    return fmt::format(R"({},"platform":{{"os":"{}","architecture":"{}"}}}})",
                       descriptor.substr(0, descriptor.size() - 1), os, architecture);
  };
  const auto manifest_of = [](const std::string& layer) {
    return fmt::format(R"({{"config":{},"layers":[{}]}})", described(kConfig), described(layer));
  };
  const std::string mine = manifest_of("mine");
  const std::string others = manifest_of("others");
  const std::string inner =
      fmt::format(R"({{"manifests":[{},{},{},{}]}})", at(others, "linux", "s390x"), at(others, "unknown", "unknown"),
                  at(mine, "linux", here), at(others, "windows", here));
  const std::string blobs = blob(kConfig) + blob(mine) + blob(others) + blob("mine") + blob("others");
  const std::string outer = entry("index.json", fmt::format(R"({{"manifests":[{}]}})", described(inner)));
  const auto id = rewrite(outer + blob(inner) + blobs);
  ASSERT_TRUE(id) << id.error().to_string();
  EXPECT_EQ(content().at("0.tar"), "mine");
  fs::remove(dir_ / "made");

  const auto index = [](const std::string& first, const std::string& second) {
    return entry("index.json", fmt::format(R"({{"manifests":[{},{}]}})", first, second));
  };
  ASSERT_TRUE(rewrite(index(at(mine, "linux", "s390x"), at(others, "unknown", "unknown")) + blobs))
      << "one image and its signature";
  fs::remove(dir_ / "made");
  EXPECT_THAT(
      refusal(index(at(mine, "linux", "s390x"), at(others, "linux", "riscv64")) + blobs),
      HasSubstr("execution.image_archive: \"index.json\" lists 2 images (\"linux/s390x\", \"linux/riscv64\"), 0 of "
                "them for this machine, linux/" +
                here));
  EXPECT_THAT(refusal(index(at(mine, "linux", here), at(others, "linux", here)) + blobs), HasSubstr("2 of them"));
  // The digest of what names itself cannot be known; a chain of indexes can be made.
  std::string chain = mine;
  std::string chained = blobs;
  for (int depth = 0; depth < 5; ++depth) {
    chain = fmt::format(R"({{"manifests":[{}]}})", described(chain));
    chained += blob(chain);
  }
  EXPECT_THAT(refusal(entry("index.json", chain) + chained), HasSubstr("an index of indexes"));
}

TEST_F(ImageArchive, ACompressedOneIsRefusedWithWhatHelps) {
  using namespace std::string_literals;
  EXPECT_THAT(refusal("\x1f\x8b\x08\x00"s),
              HasSubstr("execution.image_archive: the archive is compressed by gzip; send "
                        "what `gzip -d` makes of it"));
  EXPECT_THAT(refusal("\x28\xb5\x2f\xfd"s), HasSubstr("compressed by zstd"));
  EXPECT_THAT(refusal("\xfd"
                      "7zXZ\x00"s),
              HasSubstr("compressed by xz"));
  EXPECT_THAT(refusal("BZh9"s), HasSubstr("compressed by bzip2"));
}

TEST_F(ImageArchive, ACutOneLeavesNothing) {
  const std::string whole = entry("manifest.json", kManifest) + entry("c.json", kConfig) +
                            entry("a/layer.tar", "first") + entry("b/layer.tar", std::string(5000, 'b'));
  for (std::size_t size = 0; size + 512 < whole.size(); size += 256) {
    ASSERT_TRUE(write_file(dir_ / "given", whole.substr(0, size)));
    EXPECT_FALSE(rewrite_image(dir_ / "given", dir_ / "made")) << size;
    EXPECT_FALSE(fs::exists(dir_ / "made")) << size;
  }
}

}  // namespace
}  // namespace dms::executor
