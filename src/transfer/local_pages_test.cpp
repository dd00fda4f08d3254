#include "transfer/local_pages.hpp"

#include <gtest/gtest.h>

#include "simulation/sim_world.hpp"

namespace dms::transfer {
namespace {

struct LocalPagesTest : ::testing::Test {
  static Task<Result<std::uint64_t>> keep(std::string& file, std::uint64_t offset, Bytes data) {
    if (offset != file.size()) co_return fail(Errc::invalid_argument, "a gap");
    file += as_text(data);
    co_return file.size();
  }
  static Task<Result<Bytes>> show(std::string& file, std::uint64_t offset) {
    co_return to_bytes(std::string_view(file).substr(std::min<std::size_t>(offset, file.size())));
  }
  std::string offer_writing() {
    return pages.offer_writing(
        [this](std::uint64_t offset, Bytes data) { return keep(file, offset, std::move(data)); });
  }
  std::string offer_reading() {
    return pages.offer_reading([this](std::uint64_t offset) { return show(file, offset); });
  }
  Result<std::uint64_t> write(const std::string& ticket, std::uint64_t offset, std::string_view data) {
    return world.run(node, pages.write(ticket, offset, to_bytes(data)));
  }
  std::string read(const std::string& ticket, std::uint64_t offset) {
    const auto data = world.run(node, pages.read(ticket, offset));
    return data ? std::string(as_text(*data)) : "(" + data.error().to_string() + ")";
  }

  SimWorld world{5};
  SimNode& node = world.add_node("node");
  LocalPages pages{node.runtime().lane};
  std::string file;
};

TEST_F(LocalPagesTest, ATicketIsForItsFunction) {
  const std::string put = offer_writing();
  const std::string get = offer_reading();
  EXPECT_EQ(write(put, 0, "abc").value_or(0), 3U);
  EXPECT_FALSE(write(put, 9, "x")) << "the function refuses";
  EXPECT_EQ(write(put, 3, "de").value_or(0), 5U);
  EXPECT_EQ(read(get, 1), "bcde");
  EXPECT_EQ(read(get, 5), "");
  EXPECT_TRUE(write(get, 5, "x").error().is(Errc::not_found));
  EXPECT_NE(read(put, 0).find("repeat the command"), std::string::npos);
  for (const std::string& unknown : {std::string(), std::string("00"), std::string(64, '0'), put + "00"}) {
    EXPECT_FALSE(pages.knows(unknown));
    EXPECT_TRUE(write(unknown, 5, "x").error().is(Errc::not_found)) << unknown;
  }
  EXPECT_EQ(file, "abcde");
}

TEST_F(LocalPagesTest, OneThatIsNotUsedEnds) {
  const std::string put = offer_writing();
  const std::string idle = offer_writing();
  world.run_for(LocalPages::kUnused - 1s);
  EXPECT_TRUE(write(put, 0, "a"));
  world.run_for(2s);
  EXPECT_FALSE(pages.knows(idle));
  EXPECT_TRUE(write(put, 1, "b"));
  (void)offer_writing();
  EXPECT_EQ(pages.size(), 2U) << "it is forgotten";
}

TEST_F(LocalPagesTest, TheLongestUnusedMakesRoom) {
  const std::string first = offer_writing();
  const std::string second = offer_writing();
  world.run_for(1s);
  EXPECT_TRUE(write(first, 0, "a"));
  for (std::size_t i = 0; i < LocalPages::kMaxOffers - 1; ++i) (void)offer_writing();
  EXPECT_EQ(pages.size(), LocalPages::kMaxOffers);
  EXPECT_FALSE(pages.knows(second));
  EXPECT_TRUE(pages.knows(first));
}

}  // namespace
}  // namespace dms::transfer
