#include "executor/docker/image_stream.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace dms::executor {
namespace {
using ::testing::HasSubstr;
using Phase = ImageProgress::Phase;

/// A line of a layer, as an engine writes it.
std::string layer_line(std::string_view id, std::string_view status, std::string_view detail = "") {
  return fmt::format("{{\"status\":\"{}\",\"progressDetail\":{{{}}},\"id\":\"{}\"}}\r\n", status, detail, id);
}
std::string sizes(std::int64_t current, std::int64_t total) {
  return fmt::format("\"current\":{},\"total\":{}", current, total);
}
ImageStream pull_stream() { return {"pull", Phase::pulling}; }
testing::Matcher<std::optional<ImageProgress>> is_at(Phase phase, std::uint64_t done, std::uint64_t total) {
  return testing::Eq(std::optional(ImageProgress{phase, done, total}));
}

TEST(ImageStreamTest, APullSumsTheLayersThatItsEngineFetches) {
  ImageStream stream = pull_stream();
  ASSERT_TRUE(stream.feed(as_bytes("{\"status\":\"Pulling from library/x\",\"id\":\"latest\"}\n")));
  EXPECT_FALSE(stream.progress()) << "the tag is no layer";
  ASSERT_TRUE(stream.feed(
      as_bytes(layer_line("a", "Pulling fs layer") + layer_line("b", "Waiting") + layer_line("c", "Already exists"))));
  EXPECT_THAT(stream.progress(), is_at(Phase::pulling, 0, 0));
  ASSERT_TRUE(stream.feed(as_bytes(layer_line("a", "Downloading", sizes(30, 100)))));
  EXPECT_THAT(stream.progress(), is_at(Phase::pulling, 30, 100));
  ASSERT_TRUE(
      stream.feed(as_bytes(layer_line("b", "Downloading", sizes(4, 20)) + layer_line("a", "Verifying Checksum"))));
  EXPECT_THAT(stream.progress(), is_at(Phase::pulling, 104, 120));
  ASSERT_TRUE(stream.feed(as_bytes(layer_line("a", "Extracting", sizes(50, 100)))));
  EXPECT_THAT(stream.progress(), is_at(Phase::pulling, 104, 120)) << "until all are here";
  ASSERT_TRUE(stream.feed(as_bytes(layer_line("b", "Download complete"))));
  EXPECT_THAT(stream.progress(), is_at(Phase::extracting, 50, 120));
  ASSERT_TRUE(stream.feed(as_bytes(layer_line("a", "Pull complete") + layer_line("b", "Pull complete"))));
  EXPECT_THAT(stream.progress(), is_at(Phase::extracting, 120, 120));
  EXPECT_TRUE(stream.end());
}

TEST(ImageStreamTest, ALoadIsOfTheSizeOfItsArchive) {
  ImageStream stream("load", Phase::loading, 200);
  EXPECT_FALSE(stream.progress());
  ASSERT_TRUE(stream.feed(as_bytes(layer_line("a", "Loading layer", sizes(60, 90)))));
  EXPECT_THAT(stream.progress(), is_at(Phase::extracting, 60, 200));
  ASSERT_TRUE(stream.feed(as_bytes("{\"stream\":\"Loaded image ID: sha256:\"}\n{\"stream\":\"ab\"}")));
  EXPECT_EQ(stream.said(), "Loaded image ID: sha256:");
  ASSERT_TRUE(stream.end());
  EXPECT_EQ(stream.said(), "Loaded image ID: sha256:ab");
}

TEST(ImageStreamTest, AnErrorEndsItWithTheWordsOfTheEngine) {
  ImageStream stream = pull_stream();
  const auto failed = stream.feed(as_bytes("no JSON\n{\"errorDetail\":{},\"error\":\"denied: no access\"}\n"));
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().is(Errc::not_found));
  EXPECT_THAT(failed.error().to_string(), HasSubstr("pull: denied: no access"));
}

TEST(ImageStreamTest, NumbersAndLayersAreBounded) {
  ImageStream stream = pull_stream();
  const auto feed = [&](const std::string& lines) { ASSERT_TRUE(stream.feed(as_bytes(lines))) << lines; };
  feed(layer_line("a", "Downloading", sizes(-5, 10)));
  EXPECT_THAT(stream.progress(), is_at(Phase::pulling, 0, 10));
  feed(layer_line("a", "Downloading", sizes(50, 10)));
  EXPECT_THAT(stream.progress(), is_at(Phase::pulling, 10, 10)) << "not more than all";
  feed(layer_line("a", "Downloading", sizes(3, -1)) + layer_line("a", "Downloading", "\"current\":\"x\"") +
       layer_line("a", "Extracting", "\"current\":7,\"total\":9,\"units\":\"s\""));
  EXPECT_THAT(stream.progress(), is_at(Phase::extracting, 0, 10)) << "seconds are no bytes";
  feed(layer_line("a", "Extracting", sizes(10, 10)) + layer_line("a", "Downloading", sizes(1, 2)) +
       layer_line("a", "Download complete"));
  EXPECT_THAT(stream.progress(), is_at(Phase::extracting, 2, 2));
  feed(layer_line(std::string(ImageStream::kMaxLayerId + 1, 'x'), "Downloading", sizes(1, 2)));
  feed("[]\n7\n{\"status\":7,\"id\":[]}\n");
  EXPECT_THAT(stream.progress(), is_at(Phase::extracting, 2, 2));
  constexpr auto kHuge = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < 2 * ImageStream::kMaxLayers; ++i)
    feed(layer_line(fmt::format("layer{}", i), "Downloading", sizes(kHuge, kHuge)));
  const std::uint64_t most = (ImageStream::kMaxLayers - 1) * ImageStream::kMaxLayer + 2;
  EXPECT_THAT(stream.progress(), is_at(Phase::pulling, most, most));
}

TEST(ImageStreamTest, LinesAndTextWithoutEndAreRefused) {
  ImageStream lines = pull_stream();
  const std::string part(ImageStream::kMaxLine, 'x');
  EXPECT_TRUE(lines.feed(as_bytes(part)));
  const auto refused = lines.feed(as_bytes("x"));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::limit_exceeded));
  EXPECT_FALSE(pull_stream().feed(as_bytes(part + "x\n"))) << "also in one piece";
  ImageStream text = pull_stream();
  const std::string word = fmt::format("{{\"stream\":\"{}\"}}\n", std::string(1000, 'x'));
  Result<void> fed;
  for (std::size_t i = 0; fed && i <= ImageStream::kMaxSaid / 1000; ++i) fed = text.feed(as_bytes(word));
  ASSERT_FALSE(fed);
  EXPECT_TRUE(fed.error().is(Errc::limit_exceeded));
}

}  // namespace
}  // namespace dms::executor
