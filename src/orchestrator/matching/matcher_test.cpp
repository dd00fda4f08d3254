// The choice of machines against every choice there is, on small instances, and each constraint by itself.
#include "orchestrator/matching/matcher.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "orchestrator/matching/test_instances.hpp"

namespace dms::orchestrator {
namespace {

using capability::Area;
using capability::kGiB;

capability::Resources machine(double cores, std::uint64_t gib) {
  capability::Resources r;
  r.cpu.cores = *capability::Millicores::from_cores(cores);
  r.ram.size = {gib * kGiB};
  r.disk.size = {gib * kGiB};
  return r;
}

Machine bid(std::string peer, std::optional<capability::Resources> free, std::string node = {}) {
  Machine m;
  m.peer = std::move(peer);
  m.node = std::move(node);
  m.free = std::move(free);
  return m;
}

WantedNode node(std::string name, double cores = 1, std::uint64_t gib = 1) {
  WantedNode n;
  n.name = std::move(name);
  n.resources = machine(cores, gib);
  return n;
}

Wanted wanted(std::vector<WantedNode> nodes) {
  Wanted w;
  w.deployment = "deployment";
  w.nodes = std::move(nodes);
  return w;
}

/// The peers of a choice, by nodes and copies.
std::vector<std::vector<std::string>> peers(const Market& market, const Match& match) {
  std::vector<std::vector<std::string>> all;
  for (const auto& copies : match.chosen) {
    all.emplace_back();
    for (const std::uint32_t one : copies) all.back().push_back(market.machines()[one].peer);
  }
  return all;
}
std::string only(const std::vector<Machine>& machines, const Wanted& w) {
  const Market market(machines);
  const Match found = match(market, w);
  return found.complete ? peers(market, found).at(0).at(0) : std::string();
}

TEST(Matcher, TheChoiceIsTheBestOfAllThereAre) {
  SeededRandom random(20261130);
  int coupled = 0;
  int complete = 0;
  for (int round = 0; round < 4000; ++round) {
    const Instance made = random_instance(random);
    const Market market(made.machines, made.links);
    const Match found = match(market, made.w);
    const BruteForce all(market, made.w);
    ASSERT_TRUE(found.optimal) << "instance " << round;
    ASSERT_TRUE(found.cost == all.best()) << "instance " << round << ": " << found.cost.unplaced << " unplaced, "
                                          << all.best().unplaced << " with the best choice";
    coupled += made.w.edges.empty() && made.w.apart.empty() ? 0 : 1;
    complete += found.complete ? 1 : 0;

    // The choice costs what is said, and keeps the constraints.
    Cost sum;
    std::vector<std::pair<std::size_t, std::uint32_t>> chosen;
    for (std::size_t n = 0; n < made.w.nodes.size(); ++n) {
      const std::size_t placed = found.chosen[n].size();
      const bool pinned = !made.w.nodes[n].peer.empty();
      const bool primary =
          placed > 0 && (!pinned || market.machines()[found.chosen[n][0]].peer == made.w.nodes[n].peer);
      sum.unplaced += primary ? 0 : made.w.nodes[n].placed ? kPlacedWorth : 1;
      sum.copies += made.w.nodes[n].copies - static_cast<std::int64_t>(placed) - (primary ? 0 : 1);
      for (const std::uint32_t b : found.chosen[n]) sum += cost_of(market, b, made.w, n), chosen.emplace_back(n, b);
    }
    for (std::size_t i = 0; i < chosen.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) {
        const auto& [n, a] = chosen[i];
        const auto& [m, b] = chosen[k];
        EXPECT_NE(market.peer(a), market.peer(b));
        for (const WantedEdge& edge : made.w.edges)
          if (std::minmax(edge.s, edge.t) == std::minmax(n, m))
            if (const auto& seen = market.measured(market.peer(a), market.peer(b)); seen.rtt)
              sum.distance += (seen.rtt->count() + 999'999) / 1'000'000;
      }
    EXPECT_TRUE(sum == found.cost) << "instance " << round;
  }
  EXPECT_GT(coupled, 1000);
  EXPECT_GT(complete, 1000);
}

/// It costs more than any number of others to leave it.
TEST(Matcher, ANodeThatHasItsMachineKeepsItAndItsEdgesHold) {
  Wanted w = wanted({node("a"), node("b"), node("old")});
  w.nodes[2].peer = "x";
  w.nodes[2].placed = true;
  w.edges = {{.s = 0, .t = 2, .rtt = 10ms}, {.s = 2, .t = 1, .bandwidth = 100}};
  const std::vector<Machine> machines{bid("x", std::nullopt, "old"), bid("p", machine(4, 4), "a"),
                                      bid("q", machine(4, 4), "b"), bid("r", machine(4, 4), "b")};
  const Market far(machines, {{"x", "p", Duration(11ms), 1000}, {"q", "x", Duration(1ms), 99}});
  Match found = match(far, w);
  EXPECT_EQ(peers(far, found), (std::vector<std::vector<std::string>>{{}, {}, {"x"}}));
  EXPECT_FALSE(found.complete);
  const Market near(machines, {{"x", "p", Duration(10ms), {}}, {"q", "x", {}, 99}, {"r", "x", {}, 100}});
  found = match(near, w);
  EXPECT_EQ(peers(near, found), (std::vector<std::vector<std::string>>{{"p"}, {"r"}, {"x"}}));
  EXPECT_TRUE(found.complete);
}

TEST(Matcher, WhatWasMeasuredInVainKeepsNoEdge) {
  Wanted w = wanted({node("a"), node("b")});
  w.edges = {{.s = 0, .t = 1, .rtt = 10ms}};
  w.unmeasured_holds = true;
  const std::vector<Machine> machines{bid("p", machine(4, 4), "a"), bid("q", machine(4, 4), "b")};
  const Market untried(machines);
  Match found = match(untried, w);
  EXPECT_TRUE(found.complete);
  ASSERT_EQ(found.unmeasured.size(), 1u);
  const Market tried(machines, {{"q", "p", {}, {}, "it did not answer"}});
  found = match(tried, w);
  EXPECT_FALSE(found.complete);
  EXPECT_TRUE(found.unmeasured.empty());
}

TEST(Market, ALinkThatIsAddedCountsLikeThoseFromTheBeginning) {
  const std::vector<Machine> machines{bid("p", machine(4, 4)), bid("q", machine(4, 4)), bid("r", machine(4, 4))};
  const std::vector<Link> links{{"p", "q", Duration(5ms), 100},
                                {"r", "p", Duration(1ms), 300},
                                {"q", "p", Duration(7ms), 200},
                                {"p", "r", {}, {}, "it did not answer"},
                                {"p", "stranger", Duration(1ms), 1}};
  const Market built(machines, links);
  Market added(machines);
  for (const Link& link : links) added.add(link);
  for (const Market* market : std::initializer_list<const Market*>{&built, &added}) {
    const std::uint32_t p = market->find_peer("p").value();
    const Market::Measured& q = market->measured(p, market->find_peer("q").value());
    EXPECT_EQ(q.rtt, Duration(7ms));
    EXPECT_EQ(q.bandwidth, 100u);
    EXPECT_FALSE(q.failed);
    EXPECT_TRUE(market->measured(market->find_peer("r").value(), p).failed);
    EXPECT_EQ(market->measured(p).size(), 2u);
  }
}

/// Many nodes that want the same machines, where taking the best one after another is not the best choice.
TEST(Matcher, AnAssignmentIsTheBestOfAllThereAre) {
  SeededRandom random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Machine> machines;
    std::vector<WantedNode> nodes;
    const std::uint64_t count = 3 + random.below(3);
    for (std::uint64_t i = 0; i < count; ++i) nodes.push_back(node(fmt::format("node{}", i)));
    for (std::uint64_t p = 0; p < 5; ++p)
      for (std::uint64_t i = 0; i < count; ++i) {
        if (random.below(3) == 0) continue;
        machines.push_back(bid(fmt::format("peer{}", p), machine(1, 1), fmt::format("node{}", i)));
        machines.back().price = random.below(10);
      }
    const Market market(machines);
    const Wanted w = wanted(std::move(nodes));
    const Match found = match(market, w);
    EXPECT_TRUE(found.cost == BruteForce(market, w).best()) << "instance " << round;
    EXPECT_TRUE(found.optimal);
  }
}

TEST(Matcher, PriceComesBeforeLoadDistanceAndFit) {
  Machine cheap = bid("cheap", machine(64, 64));
  cheap.load = 900;
  cheap.price = 1;
  Machine idle = bid("idle", machine(64, 64));
  idle.price = 2;
  idle.load = 0;
  EXPECT_EQ(only({idle, cheap}, wanted({node("n")})), "cheap");
  idle.price = 1;
  EXPECT_EQ(only({cheap, idle}, wanted({node("n")})), "idle");
  Machine near = idle;
  near.peer = "near";
  near.rtt = Duration(20ms);
  idle.rtt = Duration(200ms);
  EXPECT_EQ(only({cheap, idle, near}, wanted({node("n")})), "near");
  Machine small = near;
  small.peer = "small";
  small.free = machine(2, 2);
  EXPECT_EQ(only({cheap, near, small}, wanted({node("n")})), "small");
}

TEST(Matcher, AnOfferThatIsNotKnownComesLastButFits) {
  Machine unknown = bid("unknown", std::nullopt);
  Machine known = bid("known", machine(512, 512));
  known.price = 1000;
  EXPECT_EQ(only({unknown, known}, wanted({node("n", 2, 2)})), "known");
  EXPECT_EQ(only({unknown}, wanted({node("n", 2, 2)})), "unknown");
  EXPECT_EQ(only({bid("small", machine(1, 1))}, wanted({node("n", 2, 2)})), "");
  EXPECT_EQ(only({}, wanted({node("n")})), "");
}

/// A claim of what was asked for, to the byte, wins exactly as often as one that leaves some room.
TEST(Matcher, AClaimOfExactlyWhatWasAskedForGainsNothing) {
  int exact_wins = 0;
  for (int i = 0; i < 1000; ++i) {
    Wanted w = wanted({node("n", 2, 2)});
    w.deployment = fmt::format("deployment{}", i);
    const std::vector<Machine> honest{bid("liar", machine(7, 7)), bid("a", machine(4, 4)), bid("b", machine(7.9, 3))};
    std::vector<Machine> lying = honest;
    lying[0].free = machine(2, 2);
    EXPECT_EQ(only(honest, w), only(lying, w)) << "the claim has changed the choice";
    exact_wins += only(lying, w) == "liar" ? 1 : 0;
  }
  EXPECT_GT(exact_wins, 270) << "one of three equals";
  EXPECT_LT(exact_wins, 400);
}

TEST(Matcher, TheOrderOfArrivalHasNoInfluence) {
  SeededRandom random(3);
  for (int round = 0; round < 200; ++round) {
    Instance made = random_instance(random);
    // Of several bids of a peer for one node the last counts: only others may be exchanged.
    std::map<std::pair<std::string, std::string>, Machine> once;
    for (Machine& m : made.machines) once[{m.peer, m.node}] = m;
    made.machines.clear();
    for (auto& [name, m] : once) made.machines.push_back(m);
    const Market first(made.machines, made.links);
    std::shuffle(made.machines.begin(), made.machines.end(), random);
    std::shuffle(made.links.begin(), made.links.end(), random);
    const Market second(made.machines, made.links);
    EXPECT_EQ(peers(first, match(first, made.w)), peers(second, match(second, made.w)));
  }
}

TEST(Matcher, CopiesAreOnDifferentMachinesAndTheCheapestIsThePrimary) {
  std::vector<Machine> machines;
  for (const auto& [peer, price, country] : {std::tuple{"a", 3U, "DE"}, {"b", 1U, "DE"}, {"c", 2U, "FR"}}) {
    machines.push_back(bid(peer, machine(4, 4)));
    machines.back().price = price;
    machines.back().location = {.continent = "Europe", .country = country};
  }
  const Market market(machines);
  Wanted w = wanted({node("n")});
  w.nodes[0].copies = 3;
  EXPECT_EQ(peers(market, match(market, w)), (std::vector<std::vector<std::string>>{{"b", "c", "a"}}));
  w.apart = {{{0}, Area::country}};
  Match found = match(market, w);
  EXPECT_FALSE(found.complete) << "there are two countries";
  EXPECT_EQ(peers(market, found), (std::vector<std::vector<std::string>>{{"b", "c"}}));
  w.nodes[0].peer = "a";
  found = match(market, w);
  EXPECT_EQ(peers(market, found), (std::vector<std::vector<std::string>>{{"a", "c"}})) << "its primary is pinned";
}

Machine at(std::string peer, std::string country, std::string city = {}, std::uint64_t price = 0) {
  Machine m = bid(std::move(peer), machine(4, 4));
  m.location = {.continent = "Europe", .country = std::move(country), .city = std::move(city)};
  m.price = price;
  return m;
}

TEST(Matcher, NodesThatAreApartGetTheCheapestMachinesOfDifferentAreas) {
  Wanted w = wanted({node("s"), node("t")});
  w.apart = {{{0, 1}, Area::country}};
  const std::vector<Machine> machines{at("a", "DE", "Berlin", 1), at("b", "DE", "Bonn", 2), at("c", "de", "Ulm", 3),
                                      at("d", "FR", "Paris", 9), at("e", "", "", 0)};
  const auto price = [&](const std::vector<Machine>& all) {
    const Market market(all);
    const Match found = match(market, w);
    EXPECT_TRUE(found.optimal);
    return found.complete ? found.cost.price : -1;
  };
  EXPECT_EQ(price(machines), 10) << "what states no country is not eligible";
  w.apart[0].area = Area::city;
  EXPECT_EQ(price(machines), 3);
  w.apart[0].area = Area::continent;
  EXPECT_EQ(price(machines), -1);
  w.apart[0].area = Area::machine;
  EXPECT_EQ(price(machines), 1);
  w.apart = {{{0}, Area::country}};
  EXPECT_EQ(price(machines), 1) << "e is for the node that is not apart";
}

TEST(Matcher, CitiesOfOneNameInTwoCountriesAreApart) {
  Wanted w = wanted({node("s"), node("t")});
  w.apart = {{{0, 1}, Area::city}};
  EXPECT_TRUE(match(Market({at("a", "FR", "Paris"), at("b", "US", "Paris")}), w).complete);
  EXPECT_FALSE(match(Market({at("a", "FR", "Paris"), at("b", "FR", "Paris")}), w).complete);
}

TEST(Matcher, ANodeIsApartFromOnesThatHaveTheirMachines) {
  Wanted w = wanted({node("s"), node("old"), node("older")});
  for (const std::size_t n : {1U, 2U}) w.nodes[n].placed = true;
  w.nodes[1].peer = "x";
  w.nodes[2].peer = "y";
  w.apart = {{{0, 1, 2}, Area::country}};
  std::vector<Machine> machines{at("a", "DE", "", 1), at("b", "FR", "", 2), at("x", "DE"), at("y", "DE")};
  machines[2].node = "old";
  machines[3].node = "older";
  const Market market(machines);
  const Match found = match(market, w);
  EXPECT_EQ(peers(market, found), (std::vector<std::vector<std::string>>{{"b"}, {"x"}, {"y"}}))
      << "what has its machine keeps it";
  EXPECT_TRUE(found.complete);
  machines[2].location = {};
  EXPECT_TRUE(match(Market(machines), w).chosen[0].empty()) << "it is not known where that is";
}

/// The bound that takes each area once shows it: without it every choice of machines would be tried.
TEST(Matcher, ThatThereAreTooFewAreasIsSeenAtOnce) {
  std::vector<Machine> machines;
  for (std::size_t i = 0; i < 60; ++i)
    machines.push_back(at(fmt::format("peer{}", i), fmt::format("C{}", i % 3), fmt::format("c{}", i), i % 7));
  Wanted w = wanted({});
  w.apart.emplace_back().area = Area::country;
  for (std::size_t n = 0; n < 10; ++n) {
    w.nodes.push_back(node(fmt::format("node{}", n)));
    w.apart[0].nodes.push_back(n);
  }
  const Match found = match(Market(machines), w);
  EXPECT_TRUE(found.optimal);
  EXPECT_EQ(found.cost.unplaced, 7);
  EXPECT_LT(found.work, kBudget / 10);
}

/// Otherwise the time and the memory of a decision would grow with the number of lists.
TEST(Matcher, ListsThatRepeatWhatAnotherSaysAreOneConstraint) {
  constexpr std::size_t kSlots = 256;
  std::vector<Machine> machines;
  for (std::size_t i = 0; i < 300; ++i) machines.push_back(at(fmt::format("peer{}", i), fmt::format("C{}", i % 8)));
  Wanted w = wanted({});
  WantedApart all;
  all.area = Area::country;
  for (std::size_t n = 0; n < kSlots; ++n) {
    w.nodes.push_back(node(fmt::format("node{}", n)));
    all.nodes.push_back(n);
  }
  w.apart = {all};
  const Market market(machines);
  const Match one = match(market, w);
  EXPECT_EQ(one.cost.unplaced, 248);
  w.apart.assign(31, all);
  w.apart.push_back({{0, 1, 2}, Area::country});
  const Match many = match(market, w);
  EXPECT_EQ(many.chosen, one.chosen);
  EXPECT_EQ(many.work, one.work);
  EXPECT_EQ(match(Market(std::vector<Machine>()), w).cost.unplaced, 256) << "nobody has bid";
}

TEST(Matcher, ThePairsThatAreStillToBeMeasuredAreNamedUntilTheChoiceIsKnown) {
  std::vector<Machine> machines;
  for (int i = 0; i < 5; ++i) {
    machines.push_back(bid(fmt::format("peer{}", i), machine(4, 4)));
    machines.back().price = static_cast<std::uint64_t>(i);
  }
  Wanted w = wanted({node("s"), node("t")});
  w.edges.push_back({.s = 0, .t = 1, .rtt = 50ms});
  EXPECT_FALSE(match(Market(machines), w).complete) << "nothing was measured";
  w.unmeasured_holds = true;
  std::vector<Link> links;
  int rounds = 0;
  for (;; ++rounds) {
    const Market market(machines, links);
    const Match found = match(market, w);
    ASSERT_TRUE(found.complete);
    if (found.unmeasured.empty()) {
      EXPECT_EQ(found.cost.price, 5) << "1 and 4, or 2 and 3";
      break;
    }
    // Only machines whose numbers add up to 5 are near each other.
    for (const auto& [a, b] : found.unmeasured)
      links.push_back({a, b, a.back() - '0' + (b.back() - '0') == 5 ? Duration(10ms) : Duration(80ms), {}});
  }
  EXPECT_LE(rounds, 8) << "fewer than all ten pairs";
}

/// Sixty nodes that must all be near each other among machines where few are: the work is bounded, and it is said.
TEST(Matcher, TheWorkIsBoundedAndItIsSaidWhetherTheChoiceIsTheBest) {
  SeededRandom random(5);
  std::vector<Machine> machines;
  std::vector<Link> links;
  for (int i = 0; i < 200; ++i) {
    machines.push_back(bid(fmt::format("peer{}", i), machine(4, 4)));
    machines.back().price = random.below(1000);
    for (int k = 0; k < i; ++k)
      links.push_back({fmt::format("peer{}", i), fmt::format("peer{}", k), Duration(random.below(100'000'000)), {}});
  }
  Wanted w = wanted({});
  for (std::size_t n = 0; n < 20; ++n) {
    w.nodes.push_back(node(fmt::format("node{}", n)));
    for (std::size_t m = 0; m < n; ++m) w.edges.push_back({.s = m, .t = n, .rtt = 60ms});
  }
  const Market market(machines, links);
  const Match found = match(market, w);
  EXPECT_FALSE(found.optimal);
  EXPECT_LT(found.work, 2 * kBudget);
  std::vector<std::uint32_t> placed;
  for (const auto& copies : found.chosen)
    if (!copies.empty()) placed.push_back(copies[0]);
  EXPECT_GT(placed.size(), 4U);
  for (const std::uint32_t a : placed)
    for (const std::uint32_t b : placed)
      if (a != b) {
        EXPECT_LE(*market.measured(market.peer(a), market.peer(b)).rtt, 60ms);
      }
}

TEST(Market, OfSeveralMeasurementsTheWorstCounts) {
  const std::vector<Machine> machines{bid("a", machine(1, 1)), bid("b", machine(1, 1))};
  const Market market(machines,
                      {{"a", "b", Duration(10ms), 1000}, {"b", "a", Duration(30ms), {}}, {"a", "x", 1ms, {}}});
  const auto& seen = market.measured(*market.find_peer("a"), *market.find_peer("b"));
  EXPECT_EQ(seen.rtt, Duration(30ms));
  EXPECT_EQ(seen.bandwidth, 1000U);
}

TEST(Market, TheLastBidOfAPeerForANodeCounts) {
  Machine early = bid("a", machine(1, 1), "n");
  Machine late = bid("a", machine(8, 8), "n");
  EXPECT_EQ(only({early, late}, wanted({node("n", 4, 4)})), "a");
  EXPECT_EQ(only({late, early}, wanted({node("n", 4, 4)})), "");
  late.node.clear();
  EXPECT_EQ(only({late, early}, wanted({node("n", 4, 4)})), "") << "its bid for the node is the one for the node";
}

}  // namespace
}  // namespace dms::orchestrator
