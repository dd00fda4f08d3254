// Bids as the matcher reads them, and its choice as the auction keeps it.
#include "orchestrator/auction/choice.hpp"

#include <gtest/gtest.h>

#include "orchestrator/test_records.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

Bid bid(const std::string& peer, const std::string& node, std::uint64_t gib) {
  Bid made;
  made.peer = peer;
  made.node_id = node;
  made.offer.emplace();
  made.offer->free.cpu.cores = {4000};
  made.offer->free.ram.size = {gib * capability::kGiB};
  made.offer->free.disk.size = {gib * capability::kGiB};
  return made;
}

jobs::Ensemble two_nodes() {
  jobs::Ensemble ensemble = one_task_ensemble();
  ensemble.allocations["second"] = ensemble.allocations.at("task");
  ensemble.nodes["other"] = ensemble.nodes.at("node");
  ensemble.nodes.at("other").allocations = {"second"};
  return ensemble;
}

Candidate choose(const jobs::Ensemble& ensemble, const std::map<std::string, std::vector<Bid>>& bids) {
  std::set<std::string> nodes;
  for (const auto& [name, node] : ensemble.nodes) nodes.insert(name);
  const Wanted wanted = wanted_of(ensemble, nodes, "ensemble").value();
  const Market market = market_of(bids);
  return chosen_bids(market, wanted, match(market, wanted), bids);
}

/// One bid may be for several nodes.
TEST(Choice, AMachineGetsOneNodeAlsoIfItIsTheBestForTwo) {
  std::map<std::string, std::vector<Bid>> bids;
  bids["node"] = {bid("a", "node", 2)};
  bids["other"] = {bid("a", "other", 2), bid("b", "other", 512)};
  const Candidate candidate = choose(two_nodes(), bids);
  ASSERT_EQ(candidate.size(), 2u);
  EXPECT_EQ(candidate.at("node").peer, "a");
  EXPECT_EQ(candidate.at("other").peer, "b") << "though it fits worse";
}

TEST(Choice, ANodeWithoutAMachineIsLeftOut) {
  std::map<std::string, std::vector<Bid>> bids;
  bids["node"] = {bid("a", "node", 2)};
  bids["other"] = {bid("b", "other", 0)};
  const Candidate candidate = choose(two_nodes(), bids);
  ASSERT_EQ(candidate.size(), 1u);
  EXPECT_EQ(candidate.at("node").peer, "a");
}

TEST(Choice, TheLastBidOfAPeerForANodeIsTheOneThatIsKept) {
  std::map<std::string, std::vector<Bid>> bids;
  bids["node"] = {bid("a", "node", 0), bid("a", "node", 2)};
  const Candidate candidate = choose(one_task_ensemble(), bids);
  ASSERT_EQ(candidate.size(), 1u);
  EXPECT_EQ(candidate.at("node").offer->free.ram.size.bytes, 2 * capability::kGiB);
}

TEST(Choice, PriceComesBeforeLoadAndALoadThatIsNotStatedCountsAsFull) {
  std::map<std::string, std::vector<Bid>> bids;
  bids["node"] = {bid("a", "node", 2), bid("b", "node", 2)};
  Offer& first = *bids["node"][0].offer;
  Offer& second = *bids["node"][1].offer;
  const auto chosen = [&] { return choose(one_task_ensemble(), bids).at("node").peer; };
  first.load = 900;
  EXPECT_EQ(chosen(), "a");
  second.load = 100;
  EXPECT_EQ(chosen(), "b");
  second.price = 1;
  EXPECT_EQ(chosen(), "a");
  first.price = 2;
  EXPECT_EQ(chosen(), "b");
}

/// What was not measured keeps no edge.
TEST(Choice, EdgesBetweenTheNodesAreKept) {
  jobs::Ensemble ensemble = two_nodes();
  ensemble.edges.push_back({.s = "node", .t = "other", .rtt = 10, .bw = 0});
  std::map<std::string, std::vector<Bid>> bids;
  bids["node"] = {bid("a", "node", 2)};
  bids["other"] = {bid("b", "other", 2)};
  EXPECT_EQ(choose(ensemble, bids).size(), 1u);
  ensemble.edges.front().rtt = 0;
  EXPECT_EQ(choose(ensemble, bids).size(), 2u);
}

/// The node that has one is not chosen for again.
TEST(Choice, EdgesToANodeThatHasAMachineAreKept) {
  jobs::Ensemble ensemble = two_nodes();
  ensemble.edges.push_back({.s = "node", .t = "other", .rtt = 10, .bw = 0});
  const RoundBids bids{{"node", {bid("a", "node", 2)}}};
  const Placed placed{{"other", {"b"}}, {"elsewhere", {"c"}}};
  const auto chosen = [&](Duration rtt) {
    const Wanted wanted = wanted_of(ensemble, {"node"}, "ensemble", placed).value();
    const Market market = market_of(bids, placed, {{"b", "a", rtt, {}}});
    return chosen_bids(market, wanted, match(market, wanted), bids);
  };
  EXPECT_TRUE(chosen(11ms).empty());
  const Candidate candidate = chosen(10ms);
  ASSERT_EQ(candidate.size(), 1u);
  EXPECT_EQ(candidate.at("node").peer, "a");
  EXPECT_TRUE(wanted_of(ensemble, {"node"}, "ensemble", {}).value().edges.empty()) << "the other has no machine";
  const Placed silent{{"other", {"b", {}, false}}};
  EXPECT_TRUE(wanted_of(ensemble, {"node"}, "ensemble", silent).value().edges.empty()) << "nothing is measured to it";
}

TEST(Choice, NodesOfAnAntiAffinityGetMachinesInDifferentAreas) {
  jobs::Ensemble ensemble = two_nodes();
  RoundBids bids;
  bids["node"] = {bid("a", "node", 2)};
  bids["other"] = {bid("b", "other", 2)};
  bids["node"][0].location = bids["other"][0].location = {.continent = "Europe", .country = "DE"};
  EXPECT_EQ(choose(ensemble, bids).size(), 2u);
  ensemble.anti_affinity = {{{"node", "other"}, capability::Area::machine}};
  EXPECT_EQ(choose(ensemble, bids).size(), 2u) << "that holds anyway";
  ensemble.anti_affinity[0].by = capability::Area::country;
  EXPECT_EQ(choose(ensemble, bids).size(), 1u);
  bids["other"].push_back(bid("c", "other", 2));
  EXPECT_EQ(choose(ensemble, bids).size(), 1u) << "it does not state where it is";
  bids["other"].back().location = {.continent = "Europe", .country = "FR"};
  EXPECT_EQ(choose(ensemble, bids).at("other").peer, "c");
}

TEST(Choice, TooFewAreasAreCountedWithThoseOfMachinesThatNodesHave) {
  jobs::Ensemble ensemble = two_nodes();
  ensemble.anti_affinity = {{{"node", "other", "placed", "elsewhere"}, capability::Area::country}};
  RoundBids bids;
  bids["node"] = {bid("a", "node", 2), bid("b", "node", 2), bid("c", "node", 2)};
  bids["node"][0].location.country = "DE";
  bids["node"][1].location.country = "de";
  const Placed placed{{"placed", {"x", {.country = "FR"}}}};
  std::vector<TooFewAreas> few = too_few_areas(ensemble, {"other"}, bids, placed);
  EXPECT_TRUE(few.empty()) << "it has no bids: that is another matter";
  few = too_few_areas(ensemble, {"node", "other"}, bids, placed);
  ASSERT_EQ(few.size(), 1u);
  EXPECT_EQ(few[0].needed, 3u) << "one is not known";
  EXPECT_EQ(few[0].known, (std::vector<std::string>{"DE", "FR"}));
  EXPECT_EQ(few[0].unstated, 1u);
  bids["other"] = bids["node"];
  few = too_few_areas(ensemble, {"node", "other"}, bids, placed);
  ASSERT_EQ(few.size(), 1u);
  EXPECT_EQ(few[0].unstated, 1u) << "a machine that bids for both nodes";
  bids.erase("other");
  bids["node"][2].location.country = "IT";
  EXPECT_TRUE(too_few_areas(ensemble, {"node", "other"}, bids, placed).empty());
}

TEST(Choice, ABidOfAnAreaThatHasFewTakesThePlaceOfOneThatHasMost) {
  jobs::Ensemble ensemble = two_nodes();
  const auto from = [](std::string country) {
    Bid made = bid("p", "node", 2);
    made.location.country = std::move(country);
    return made;
  };
  const std::vector<Bid> made{from("DE"), from("FR"), from("DE"), from("FR"), from("de"), from("IT")};
  EXPECT_EQ(find_crowded(ensemble, made, from("ES")), std::nullopt) << "it is not kept apart";
  ensemble.anti_affinity = {{{"node", "other"}, capability::Area::machine},
                            {{"node", "other"}, capability::Area::country}};
  EXPECT_EQ(find_crowded(ensemble, made, from("ES")), 4u);
  EXPECT_EQ(find_crowded(ensemble, made, from("IT")), 4u);
  EXPECT_EQ(find_crowded(ensemble, made, from("FR")), std::nullopt) << "it would be the third as well";
  EXPECT_EQ(find_crowded(ensemble, made, from("")), std::nullopt);
  EXPECT_EQ(find_crowded(ensemble, {from(""), from("DE")}, from("DE")), 0u) << "that cannot be chosen";
}

TEST(Choice, AllListsThatNameTheNodeSayWhichBidTakesThePlaceOfAnother) {
  jobs::Ensemble ensemble = two_nodes();
  const auto from = [](std::string country, std::string city) {
    Bid made = bid("p", "node", 2);
    made.location.country = std::move(country);
    made.location.city = std::move(city);
    return made;
  };
  ensemble.anti_affinity = {{{"node", "other"}, capability::Area::country}, {{"node"}, capability::Area::city}};
  const std::vector<Bid> made{from("DE", "Berlin"), from("FR", "Paris"), from("DE", "Berlin"), from("FR", "Paris")};
  for (int order = 0; order < 2; ++order) {
    EXPECT_EQ(find_crowded(ensemble, made, from("DE", "Bonn")), 2u) << "of the same country, which keeps as many";
    EXPECT_EQ(find_crowded(ensemble, made, from("FR", "Lyon")), 3u);
    EXPECT_EQ(find_crowded(ensemble, made, from("DE", "Berlin")), std::nullopt);
    EXPECT_EQ(find_crowded(ensemble, made, from("ES", "Madrid")), 2u) << "a country more";
    EXPECT_EQ(find_crowded(ensemble, made, from("ES", "")), std::nullopt) << "it cannot be chosen";
    EXPECT_EQ(find_crowded(ensemble, {from("FR", ""), from("DE", "Berlin")}, from("DE", "Berlin")), 0u);
    std::swap(ensemble.anti_affinity[0], ensemble.anti_affinity[1]);
  }
}

/// Whether it answers or not: its work may go on.
TEST(Choice, ANodeIsKeptApartFromOnesThatHaveAMachine) {
  jobs::Ensemble ensemble = two_nodes();
  ensemble.anti_affinity = {{{"other", "node"}, capability::Area::country}, {{"other"}, capability::Area::city}};
  RoundBids bids;
  bids["node"] = {bid("a", "node", 2), bid("c", "node", 2)};
  bids["node"][0].location = {.continent = "Europe", .country = "DE"};
  bids["node"][1].location = {.continent = "Europe", .country = "FR"};
  const auto chosen = [&](const Placed& placed) {
    const Wanted wanted = wanted_of(ensemble, {"node"}, "ensemble", placed).value();
    EXPECT_EQ(wanted.apart.size(), 1u) << "the other one does not concern the node";
    const Market market = market_of(bids, placed);
    const Candidate candidate = chosen_bids(market, wanted, match(market, wanted), bids);
    return candidate.contains("node") ? candidate.at("node").peer : std::string();
  };
  for (const bool answers : {true, false}) {
    EXPECT_EQ(chosen({{"other", {"b", {.continent = "Europe", .country = "DE"}, answers}}}), "c");
    EXPECT_EQ(chosen({{"other", {"b", {.continent = "Europe", .country = "FR"}, answers}}}), "a");
  }
  EXPECT_EQ(chosen({{"other", {"b"}}}), "") << "it is not known where that is";
}

}  // namespace
}  // namespace dms::orchestrator
