// Each choice of the matcher is the best one, and one that is worse, or not allowed, is told.
#include "sim/scenario/choices.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

using orchestrator::Market;
using orchestrator::Match;
using orchestrator::Wanted;

capability::Resources room(std::uint64_t cores) {
  return one_task(static_cast<double>(cores), 1024 * cores).allocations.at("task").resources;
}

orchestrator::Machine offer(std::string peer, std::uint64_t cores, std::uint64_t price, std::string node = "") {
  orchestrator::Machine made;
  made.peer = std::move(peer);
  made.node = std::move(node);
  made.free = room(cores);
  made.price = price;
  made.load = 0;
  return made;
}

Wanted nodes(std::uint64_t count, std::uint64_t cores = 1) {
  Wanted wanted;
  wanted.deployment = "d";
  for (std::uint64_t n = 0; n < count; ++n) {
    orchestrator::WantedNode& node = wanted.nodes.emplace_back();
    node.name = fmt::format("node{}", n);
    node.resources = room(cores);
  }
  return wanted;
}

TEST(Choices, AreTheBestThereAre) {
  SeededRandom random(11);
  std::size_t contested = 0;
  for (int round = 0; round < 1000; ++round) {
    Wanted wanted = nodes(1 + random.below(3), 1 + random.below(4));
    wanted.deployment = fmt::format("d{}", round);
    std::vector<orchestrator::Machine> machines;
    const std::uint64_t count = 1 + random.below(7);
    for (std::uint64_t p = 0; p < count; ++p)
      machines.push_back(offer(fmt::format("p{}", p), 1 + random.below(6), random.below(4),
                               random.below(3) == 0 ? fmt::format("node{}", random.below(3)) : ""));
    if (random.below(4) == 0) wanted.excluded.insert("p0");
    if (random.below(4) == 0) wanted.nodes[0].peer = "p1";
    const Market market(std::move(machines));
    const Match match = orchestrator::match(market, wanted);
    ASSERT_EQ(compare_with_all(market, wanted, match), "") << "round " << round;
    contested += match.complete && wanted.nodes.size() > 1 ? 1 : 0;
  }
  EXPECT_GT(contested, 100U);
}

TEST(Choices, OneThatIsWorseOrNotAllowedIsTold) {
  Wanted wanted = nodes(2, 2);
  const Market market({offer("cheap", 4, 1), offer("dear", 4, 2), offer("small", 1, 0), offer("third", 4, 3)});
  const auto bid_of = [&](std::string_view peer) {
    std::uint32_t bid = 0;
    while (market.machines()[bid].peer != peer) ++bid;
    return bid;
  };
  Match match = orchestrator::match(market, wanted);
  EXPECT_EQ(compare_with_all(market, wanted, match), "");
  const auto says = [&](std::string_view text) {
    const std::optional<std::string> found = compare_with_all(market, wanted, match);
    return found && found->contains(text) ? std::string() : found.value_or("not compared");
  };
  match.chosen = {{bid_of("cheap")}, {bid_of("third")}};
  EXPECT_EQ(says("price 4, load 0"), "");
  match.chosen = {{bid_of("cheap")}, {}};
  EXPECT_EQ(says("the choice costs 1 without a machine"), "");
  match.chosen = {{bid_of("cheap")}, {bid_of("cheap")}};
  EXPECT_EQ(says("node node1 has machine cheap, as another one"), "");
  match.chosen = {{bid_of("cheap")}, {bid_of("small")}};
  EXPECT_EQ(says("node node1 may not have machine small"), "");
  wanted.excluded = {"dear"};
  match.chosen = {{bid_of("cheap")}, {bid_of("dear")}};
  EXPECT_EQ(says("node node1 may not have machine dear"), "");
}

TEST(Choices, WhatIsNotTriedIsNotCompared) {
  std::vector<orchestrator::Machine> many;
  for (int p = 0; p < 40; ++p) many.push_back(offer(fmt::format("p{}", p), 4, 1));
  const Market market(std::move(many));
  EXPECT_TRUE(compare_with_all(market, nodes(2), orchestrator::match(market, nodes(2))));
  EXPECT_FALSE(compare_with_all(market, nodes(3), orchestrator::match(market, nodes(3)))) << "41^3 choices";
  Wanted near = nodes(2);
  near.edges.push_back({.s = 0, .t = 1, .rtt = 10ms});
  EXPECT_FALSE(compare_with_all(market, near, orchestrator::match(market, near)));
}

}  // namespace
}  // namespace dms::sim
