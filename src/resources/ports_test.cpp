#include "resources/ports.hpp"

#include <gtest/gtest.h>
#include <set>

#include "base/random.hpp"

namespace dms::resources {
namespace {

using List = std::vector<std::uint16_t>;

TEST(Ports, AFailedClaimTakesAndReleasesNothing) {
  db::Store store = *db::Store::open(":memory:");
  auto ports = *Ports::open(store, {20000, 20009});
  EXPECT_EQ(*ports->claim("a", {20003}, 2), (List{20003, 20000, 20001}));
  EXPECT_TRUE(ports->claim("b", {20005, 20003}, 0).error().is(Errc::already_exists));
  EXPECT_TRUE(ports->claim("b", {20005, 20005}, 0).error().is(Errc::already_exists));
  EXPECT_TRUE(ports->claim("b", {80}, 0).error().is(Errc::invalid_argument));
  EXPECT_TRUE(ports->claim("b", {}, 8).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(ports->release("b").error().is(Errc::not_found));
  EXPECT_EQ(ports->owned_by("a"), (List{20000, 20001, 20003})) << "failed claims of others have no effect";
  EXPECT_EQ(*ports->claim("a", {}, 1), (List{20002}));
  EXPECT_EQ(ports->owned_by("a").size(), 4U) << "a second claim adds";
}

TEST(Ports, PortsUsedByOtherProgramsAreNotGiven) {
  db::Store store = *db::Store::open(":memory:");
  auto ports = *Ports::open(store, {20000, 20003}, [](std::uint16_t port) { return port != 20000; });
  EXPECT_FALSE(ports->claim("a", {20000}, 0));
  EXPECT_EQ(*ports->claim("a", {}, 1), (List{20001}));
  EXPECT_TRUE(ports->check({}, 2));
  EXPECT_FALSE(ports->check({}, 3));
  EXPECT_FALSE(Ports::open(store, {5, 4}));
}

TEST(Ports, ADamagedRecordIsSetAside) {
  db::Store store = *db::Store::open(":memory:");
  ASSERT_TRUE(store.put("resources.ports", "damaged", R"([70000])"));
  ASSERT_TRUE(store.put("resources.ports", "whole", R"([20000])"));
  auto ports = Ports::open(store, {20000, 20003});
  ASSERT_TRUE(ports) << ports.error().to_string();
  EXPECT_EQ((*ports)->owned_by("whole"), (List{20000}));
  EXPECT_EQ((*ports)->taken(), 1U);
}

TEST(Ports, AgreeWithAModelAcrossRestarts) {
  db::Store store = *db::Store::open(":memory:");
  const PortRange range{65500, 65535};
  auto ports = *Ports::open(store, range);
  std::map<std::string, std::set<std::uint16_t>> model;
  SeededRandom random(4);
  for (int step = 0; step < 3000; ++step) {
    const std::string owner = "o" + std::to_string(random.below(5));
    if (random.below(3) == 0) {
      EXPECT_EQ(ports->release(owner).has_value(), model.erase(owner) > 0);
    } else if (random.below(10) == 0) {
      ports = *Ports::open(store, range);
    } else {
      List fixed(random.below(3));
      for (auto& port : fixed) port = static_cast<std::uint16_t>(65500 + random.below(36));
      const std::size_t dynamic = random.below(4);
      std::set<std::uint16_t> taken;
      for (const auto& [name, held] : model) taken.insert(held.begin(), held.end());
      std::set<std::uint16_t> after = taken;
      bool fits = true;
      for (const auto port : fixed) fits = after.insert(port).second && fits;
      fits = fits && after.size() + dynamic <= 36;
      const auto got = ports->claim(owner, fixed, dynamic);
      ASSERT_EQ(got.has_value(), fits) << "step " << step;
      if (got)
        for (const auto port : *got) {
          ASSERT_FALSE(taken.contains(port));
          model[owner].insert(port);
        }
      if (model[owner].empty()) model.erase(owner);
    }
    std::size_t total = 0;
    for (const auto& [name, held] : model) {
      const List now = ports->owned_by(name);
      ASSERT_EQ(std::set<std::uint16_t>(now.begin(), now.end()), held);
      total += held.size();
    }
    ASSERT_EQ(ports->taken(), total);
  }
}

}  // namespace
}  // namespace dms::resources
