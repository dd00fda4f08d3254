#include "orchestrator/inputs/blobs.hpp"

#include <gtest/gtest.h>

#include "base/file.hpp"
#include "base/remove_tree.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"
#include "runtime/nursery.hpp"
#include "simulation/sim_world.hpp"

namespace dms::orchestrator {
namespace {

struct BlobsTest : testing::Test {
  BlobsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "blobs-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    blobs = std::make_unique<Blobs>(folder);
  }
  ~BlobsTest() override { EXPECT_TRUE(remove_tree(folder)); }

  static protocol::DeploymentInputRequest page_of(std::string_view whole, std::uint64_t offset, std::string_view data) {
    const crypto::Digest256 digest = crypto::sha256(as_bytes(whole));
    protocol::DeploymentInputRequest page;
    page.digest = encode(Base::hex, digest);
    page.size = whole.size();
    page.offset = offset;
    page.data = to_bytes(data);
    return page;
  }
  Result<protocol::DeploymentInputReply> put(protocol::DeploymentInputRequest page) {
    return world.run(node, blobs->put(std::move(page)));
  }
  Result<std::filesystem::path> find(std::string_view whole) {
    const protocol::DeploymentInputRequest page = page_of(whole, 0, "");
    return world.run(node, blobs->find(page.digest, page.size));
  }
  void keep_only(std::set<std::string> referred) { world.run(node, blobs->keep_only(std::move(referred))); }

  SimWorld world{1};
  SimNode& node = world.add_node("orchestrator");
  std::filesystem::path folder;
  std::unique_ptr<Blobs> blobs;
};

TEST_F(BlobsTest, AFileComesInPagesAndIsWholeOrAbsent) {
  const std::string text = "0123456789";
  EXPECT_EQ(put(page_of(text, 0, ""))->offset, 0u);
  EXPECT_EQ(put(page_of(text, 0, "0123"))->offset, 4u);
  EXPECT_TRUE(find(text).error().is(Errc::not_found));
  EXPECT_EQ(put(page_of(text, 0, "0123"))->offset, 4u) << "repeated";
  EXPECT_EQ(put(page_of(text, 6, "6789"))->offset, 4u) << "a gap";
  blobs = std::make_unique<Blobs>(folder);  // the daemon starts again
  const auto last = put(page_of(text, 4, "456789"));
  ASSERT_TRUE(last);
  EXPECT_TRUE(last->complete);
  EXPECT_EQ(read_file(find(text).value(), 100).value(), text);
  EXPECT_TRUE(put(page_of(text, 0, ""))->complete);
}

TEST_F(BlobsTest, AnEmptyFileIsAFile) {
  EXPECT_TRUE(put(page_of("", 0, ""))->complete);
  EXPECT_TRUE(find(""));
}

TEST_F(BlobsTest, OtherBytesThanAnnouncedAreNotKept) {
  const auto refused = put(page_of("these", 0, "other"));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(dms::Errc::invalid_argument));
  EXPECT_EQ(put(page_of("these", 0, ""))->offset, 0u);
}

TEST_F(BlobsTest, WhatIsNoDigestBecomesNoPath) {
  for (const std::string digest : {"", "../../../etc/passwd", "ABCD", "0123"}) {
    protocol::DeploymentInputRequest page = page_of("text", 0, "text");
    page.digest = digest;
    EXPECT_FALSE(put(page)) << digest;
    EXPECT_FALSE(world.run(node, blobs->find(digest, 4))) << digest;
  }
  protocol::DeploymentInputRequest page = page_of("text", 2, "text");
  EXPECT_FALSE(put(page)) << "beyond the end";
  page = page_of("text", 0, "text");
  page.size = kMaxBlob + 1;
  EXPECT_FALSE(put(page));
}

TEST_F(BlobsTest, FilesThatWereBegunDoNotGrowBeyondTheBoundTogether) {
  blobs = std::make_unique<Blobs>(folder, 25);
  const std::string first = "0123456789";
  const std::string second = "abcdefghij";
  const std::string third = "ABCDEFGHIJ";
  for (const std::string& text : {first, second, third}) ASSERT_TRUE(put(page_of(text, 0, text.substr(0, 1))));
  EXPECT_TRUE(put(page_of(first, 1, first.substr(1)))->complete);
  EXPECT_TRUE(put(page_of(second, 1, second.substr(1)))->complete);
  const auto refused = put(page_of(third, 1, third.substr(1)));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(dms::Errc::limit_exceeded));
  EXPECT_EQ(put(page_of(third, 1, "BCDE"))->offset, 5u) << "25 bytes in all";
  EXPECT_FALSE(put(page_of(third, 5, "F")));
  EXPECT_FALSE(put(page_of("another", 0, "a")));
}

TEST_F(BlobsTest, OnlySoManyFilesAreBegun) {
  const auto text = [](std::size_t i) { return fmt::format("{:03}", i); };
  for (std::size_t i = 0; i < kMaxParts; ++i) ASSERT_TRUE(put(page_of(text(i), 0, "0"))) << i;
  const auto refused = put(page_of(text(kMaxParts), 0, "0"));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(dms::Errc::limit_exceeded));
  EXPECT_TRUE(put(page_of(text(0), 1, text(0).substr(1)))->complete) << "what was begun goes on";
  EXPECT_TRUE(put(page_of(text(kMaxParts), 0, "0"))) << "and leaves its place";
}

TEST_F(BlobsTest, ARequestWithoutDataBeginsNoFile) {
  EXPECT_EQ(put(page_of("0123456789", 0, ""))->offset, 0u);
  EXPECT_EQ(put(page_of("0123456789", 4, "45"))->offset, 0u) << "nor one that is not its beginning";
  EXPECT_TRUE(!std::filesystem::exists(folder / "blobs") || std::filesystem::is_empty(folder / "blobs"));
}

TEST_F(BlobsTest, WhatNoDeploymentRefersToIsRemovedAfterAWhile) {
  for (const std::string_view text : {"used", "unused"}) ASSERT_TRUE(put(page_of(text, 0, text))->complete);
  ASSERT_TRUE(put(page_of("part", 0, "pa")));
  const std::set<std::string> referred = {page_of("used", 0, "").digest};
  keep_only(referred);
  world.run_for(kUploadGrace - 1s);
  keep_only(referred);
  EXPECT_TRUE(find("unused")) << "and asked for: its time begins anew";
  world.run_for(1s);
  keep_only(referred);
  EXPECT_TRUE(find("used"));
  EXPECT_EQ(put(page_of("part", 0, ""))->offset, 0u) << "a part is removed too";
  keep_only(referred);
  world.run_for(kUploadGrace);
  keep_only(referred);
  EXPECT_FALSE(find("unused"));
  EXPECT_TRUE(find("used"));
}

TEST_F(BlobsTest, WhatIsFoundIsNotRemovedMeanwhile) {
  Lane& lane = node.runtime().lane;
  const std::string text = "text";
  const protocol::DeploymentInputRequest page = page_of(text, 0, text);
  const auto look = [](Blobs& from, std::string digest, std::uint64_t size, bool& found) -> Task<void> {
    const auto path = co_await from.find(std::move(digest), size);
    found = path.has_value();
  };
  int times_found = 0;
  for (int turns = 0; turns < 12; ++turns) {
    ASSERT_TRUE(put(page)->complete);
    keep_only({});
    world.run_for(kUploadGrace);
    Nursery nursery(lane, "test");
    nursery.spawn(blobs->keep_only({}));
    bool found = false;
    std::function<void(int)> later = [&](int left) {
      if (left == 0) return nursery.spawn(look(*blobs, page.digest, page.size, found));
      lane.post([&, left] { later(left - 1); });
    };
    later(turns);
    world.run_for(1s);
    world.run(node, nursery.join());
    EXPECT_EQ(found, std::filesystem::exists(folder / "blobs" / page.digest)) << turns;
    times_found += found ? 1 : 0;
  }
  EXPECT_GT(times_found, 0);
  EXPECT_LT(times_found, 12);
}

}  // namespace
}  // namespace dms::orchestrator
