// What is said of machines that were chosen and of those that were not.
#include "orchestrator/matching/explanation.hpp"

#include <gtest/gtest.h>

namespace dms::orchestrator {
namespace {

using protocol::Choice;

Machine machine(std::string peer, std::uint64_t gib = 4) {
  Machine m;
  m.peer = std::move(peer);
  m.free.emplace();
  m.free->cpu.cores = {4000};
  m.free->ram.size = {gib * capability::kGiB};
  m.free->disk.size = {gib * capability::kGiB};
  return m;
}

struct ExplanationTest : testing::Test {
  ExplanationTest() {
    wanted.deployment = "d";
    wanted.nodes.resize(1);
    wanted.nodes[0].name = "n";
    wanted.nodes[0].resources = *machine("", 2).free;
  }
  std::string of(const std::string& peer, const std::string& node = "n") {
    const Market market(machines, links);
    Explanation explanation;
    explanation.add_match(market, wanted, match(market, wanted));
    for (const auto& verdict : explanation.get().machines)
      if (verdict.peer == peer && verdict.node == node) return (verdict.chosen ? "chosen: " : "") + verdict.reason;
    return "nothing";
  }

  std::vector<Machine> machines{machine("a")};
  std::vector<Link> links;
  Wanted wanted;
};

TEST_F(ExplanationTest, TheFirstThingThatDecidedIsNamedWithItsNumbers) {
  machines[0].price = 250'000;
  machines[0].load = 130;
  machines[0].rtt = Duration(12ms);
  EXPECT_EQ(of("a"),
            "chosen: price 0.25 an hour, load 10 %, round trip 12 ms, free: 4 cores, 4 GiB memory, 4 GiB disk");
  machines[0].unenforced = "sandbox: processor time is not limited";
  EXPECT_TRUE(of("a").ends_with(", not enforced: sandbox: processor time is not limited")) << of("a");
  const auto other = [this](auto change) {
    machines.resize(1);
    machines.push_back(machines[0]);
    machines[1].peer = "b";
    change(machines[1]);
    return of("b");
  };
  EXPECT_EQ(other([](Machine& m) { m.price = 500'000; }), "its price is 0.5 an hour, that of the chosen machine 0.25");
  EXPECT_EQ(other([](Machine& m) { m.load = 999; }), "its load is 90 %, that of the chosen machine 10 %");
  EXPECT_EQ(other([](Machine& m) { m.load.reset(); }), "its load is not stated, that of the chosen machine 10 %");
  EXPECT_EQ(other([](Machine& m) { m.rtt.reset(); }),
            "its round trip is not measured, that of the chosen machine 12 ms");
  EXPECT_EQ(other([](Machine& m) { m.free = machine("", 64).free; }),
            "it is larger than needed: 4 cores, 64 GiB memory, 64 GiB disk free, on the chosen machine 4 cores, 4 GiB "
            "memory, 4 GiB disk");
  EXPECT_EQ(other([](Machine& m) { m.free.reset(); }), "what it offers is not known");
  EXPECT_NE(other([](Machine& m) { m.free = machine("", 1).free; }).find("ram.size: 2 GiB required, 1 GiB available"),
            std::string::npos);
  const std::string equal = other([](Machine&) {});
  EXPECT_TRUE(equal.starts_with("chosen") || equal == "it is as good as the chosen machine, and a lot decided");
}

TEST_F(ExplanationTest, AConstraintThatIsNotKeptIsNamed) {
  machines.push_back(machine("b"));
  wanted.excluded = {"b"};
  EXPECT_EQ(of("b"), "it is excluded");
  wanted.excluded.clear();
  wanted.nodes[0].peer = "a";
  EXPECT_EQ(of("b"), "the node is pinned to a");
  wanted.nodes[0].peer.clear();
  machines[0].location.continent = "Europe";
  wanted.nodes[0].location.accept.push_back({.continent = "Europe"});
  EXPECT_EQ(of("b"), "its location is not accepted: it states no location");
  machines[1].location = {.continent = "Asia", .country = "JP", .asn = 7};
  EXPECT_EQ(of("b"), "its location is not accepted: it is in Asia, JP, AS7");
}

TEST_F(ExplanationTest, WhatDoesNotHoldBetweenMachinesIsNamed) {
  wanted.nodes.push_back(wanted.nodes[0]);
  wanted.nodes[1].name = "m";
  wanted.nodes[1].peer = "a";
  wanted.edges.push_back({.s = 0, .t = 1, .rtt = Duration(50ms)});
  machines = {machine("a"), machine("b"), machine("c"), machine("d")};
  links = {{"a", "b", Duration(80ms), {}}, {"a", "c", Duration(20ms), {}}};
  EXPECT_EQ(of("b"), "to a, which has node m: a round trip of 80 ms, 50 ms at most is asked for");
  EXPECT_EQ(of("d"), "to a, which has node m: a round trip that was not measured: only pairs of the best choices are");
  EXPECT_TRUE(of("c").starts_with("chosen: "));
  EXPECT_EQ(of("a"), "it is kept for node m, which is pinned to it");
  EXPECT_EQ(of("c", "m"), "the node is pinned to a");
  wanted.edges.clear();
  wanted.nodes[1].peer.clear();
  machines.resize(1);
  EXPECT_EQ((of("a") + of("a", "m")).find("and a machine runs one") == std::string::npos, false);
}

TEST_F(ExplanationTest, OfAMachineThatHasANodeNothingIsSaidForOthersThatItCouldHave) {
  wanted.nodes.push_back(wanted.nodes[0]);
  wanted.nodes[1].name = "m";
  machines = {machine("a"), machine("b"), machine("c")};
  machines[2].price = 5;
  const Market market(machines, links);
  Explanation explanation;
  explanation.add_match(market, wanted, match(market, wanted));
  const std::vector<protocol::MachineVerdict> told = explanation.get().machines;
  ASSERT_EQ(told.size(), 4u);
  EXPECT_TRUE(told[0].chosen && told[1].chosen);
  EXPECT_NE(told[0].peer, told[1].peer);
  for (const std::size_t i : {2u, 3u}) {
    EXPECT_EQ(told[i].peer, "c");
    EXPECT_NE(told[i].reason.find("its price is "), std::string::npos) << told[i].reason;
  }
}

TEST_F(ExplanationTest, OfMachinesThatHaveANodeNoReasonIsCountedForOneWithoutAMachine) {
  wanted.nodes.push_back(wanted.nodes[0]);
  wanted.nodes[1].name = "m";
  const Market market(machines, links);
  Explanation explanation;
  const Match match_of_one = match(market, wanted);
  explanation.add_match(market, wanted, match_of_one);
  EXPECT_EQ(explanation.get().machines.size(), 2u);
  EXPECT_TRUE(explanation.against({"n", "m"}).empty());
  explanation.add_refusal("b", "too old", "m");
  ASSERT_EQ(explanation.against({"n", "m"}).size(), 1u);
  EXPECT_EQ(explanation.against({"n", "m"})[0].text, "too old");
  EXPECT_TRUE(explanation.against({"n", "m"})[0].counts);
}

TEST_F(ExplanationTest, AMachineThatIsNotInAnotherAreaIsNamedWithTheAreaAndTheOneThere) {
  wanted.nodes.push_back(wanted.nodes[0]);
  wanted.nodes[1].name = "m";
  wanted.apart.push_back({.nodes = {0, 1}, .area = capability::Area::country});
  machines = {machine("a"), machine("b"), machine("c"), machine("d")};
  for (Machine& one : machines) one.node = "n";
  machines[0].node = "m";
  machines[0].location = {.continent = "Europe", .country = "DE", .city = "Berlin"};
  machines[1].location = {.continent = "Europe", .country = "DE", .city = "Bonn"};
  machines[2].location = {.continent = "Europe"};
  machines[3].location = {.continent = "Europe", .country = "FR"};
  EXPECT_TRUE(of("d").starts_with("chosen: ")) << of("d");
  EXPECT_EQ(of("b"), "it is in the country of a, which has node m: DE");
  EXPECT_EQ(of("c"), "it does not state its country, by which anti_affinity keeps nodes apart: it is in Europe");
  wanted.apart[0].area = capability::Area::city;
  EXPECT_EQ(of("d"), "it does not state its city, by which anti_affinity keeps nodes apart: it is in Europe, FR");
  EXPECT_TRUE(of("b").starts_with("chosen: ")) << of("b");
  machines.resize(2);
  machines[1].location.city = "berlin";
  machines[1].price = 1;
  EXPECT_EQ(of("b"), "it is in the city of a, which has node m: berlin, DE");
  wanted.nodes[1].peer = "a";
  wanted.nodes[1].placed = true;
  machines[0].location = {};
  EXPECT_EQ(of("b"), "a, which has node m, does not state its country");
}

TEST_F(ExplanationTest, OfEachPairThatWasMeasuredItIsSaidWhatWasAskedAndFound) {
  wanted.nodes.push_back(wanted.nodes[0]);
  wanted.nodes[1].name = "m";
  wanted.nodes[1].peer = "a";
  wanted.nodes[1].placed = true;
  wanted.edges.push_back({.s = 0, .t = 1, .rtt = Duration(50ms), .bandwidth = 1000});
  machines = {machine("a"), machine("b"), machine("c"), machine("d")};
  machines[0].node = "m";
  for (std::size_t i = 1; i < machines.size(); ++i) machines[i].node = "n";
  links = {{"a", "b", Duration(80ms), 2000}, {"c", "a", Duration(20ms), 1000}, {"a", "d", {}, {}, "no\x1b[2J answer"}};
  Explanation explanation;
  const Market market(machines, links);
  explanation.add_match(market, wanted, match(market, wanted), links);
  const Choice choice = explanation.get();
  ASSERT_EQ(choice.edges.size(), 3u);
  EXPECT_EQ(choice.edges[0].s, "n");
  EXPECT_EQ(choice.edges[0].t, "m");
  EXPECT_EQ(choice.edges[0].a, "b");
  EXPECT_EQ(choice.edges[0].b, "a");
  EXPECT_EQ(choice.edges[0].asked, "50 ms at most, 1000 bit/s at least");
  EXPECT_EQ(choice.edges[0].measured, "80 ms, 2000 bit/s");
  EXPECT_FALSE(choice.edges[0].holds);
  EXPECT_TRUE(choice.edges[1].holds);
  EXPECT_EQ(choice.edges[2].measured, "not measured: no\\x1b[2J answer");
  for (const auto& verdict : choice.machines) EXPECT_EQ(verdict.node, "n") << "the other node is not chosen for";
  Choice all = choice;
  merge(all, choice, {"n"});
  EXPECT_EQ(all.edges.size(), 3u) << "the latest replaces what was said";
}

TEST_F(ExplanationTest, WhatOtherMachinesWriteIsPrintableAndBounded) {
  Explanation explanation;
  for (int i = 0; i < 200; ++i)
    explanation.add_refusal(fmt::format("p{}\x1b[2J", i), "\n\x1b" + std::string(1000, 'x'));
  machines[0].location.country = "\x1b[31m";
  const Market market(machines);
  explanation.add_match(market, wanted, match(market, wanted));
  const Choice choice = explanation.get();
  ASSERT_EQ(choice.machines.size(), kMaxVerdicts);
  EXPECT_EQ(choice.left_out, 201 - kMaxVerdicts);
  EXPECT_TRUE(choice.machines[0].chosen) << "those chosen are first";
  for (const auto& verdict : choice.machines) {
    EXPECT_LE(verdict.reason.size(), kMaxVerdict);
    EXPECT_EQ((verdict.peer + verdict.reason).find_first_of("\x1b\n"), std::string::npos);
  }
}

TEST_F(ExplanationTest, AReasonIsWholeOrSaysHowMuchOfItIsLeftOut) {
  const std::string executor = "docker: processor time is not limited, memory is not limited";
  for (int i = 0; i < 5; ++i) machines[0].unenforced += executor;
  const std::string whole = of("a");
  EXPECT_GT(whole.size(), 300u);
  EXPECT_TRUE(whole.ends_with(executor)) << whole;
  machines[0].unenforced = "x";
  for (std::size_t i = 0; i < kMaxVerdict; ++i) machines[0].unenforced += "\u00e9";
  const std::string cut = of("a").substr(std::string_view("chosen: ").size());
  EXPECT_LE(cut.size(), kMaxVerdict);
  const std::size_t end = cut.find("... (");
  ASSERT_NE(end, std::string::npos) << cut;
  EXPECT_TRUE(cut.ends_with(" more bytes)")) << cut;
  EXPECT_EQ(cut.substr(end - 2, 2), "\u00e9") << "no half of a character";
}

TEST_F(ExplanationTest, TheLatestRoundCountsForItsNodes) {
  Choice all;
  all.machines = {{"a", "n", true, "old"}, {"b", "other", false, "kept"}, {"c", "", false, "gone"}};
  Choice latest;
  latest.machines = {{"d", "n", true, "new"}};
  merge(all, latest, {"n"});
  ASSERT_EQ(all.machines.size(), 2u);
  EXPECT_EQ(all.machines[0].peer, "d");
  EXPECT_EQ(all.machines[1].peer, "b");
  latest.machines = {{"d", "", false, "it has node n"}, {"e", "", false, "exclude_peers names it"}};
  merge(all, latest, {"m"});
  ASSERT_EQ(all.machines.size(), 3u) << "of the machine of a node nothing else is said";
  EXPECT_TRUE(all.machines[0].chosen);
  EXPECT_EQ(all.machines[2].peer, "e");
}

TEST_F(ExplanationTest, MachinesThatMayNotBidAreTheLastAndWereNotHeard) {
  Explanation explanation;
  explanation.add_refusal("b", "too old");
  std::map<std::string, std::string> why{{"b", "exclude_peers names it"}};
  for (int i = 0; i < 100; ++i) why.emplace(fmt::format("p{}", i), "exclude_peers\x1b names it");
  explanation.set_excluded(why);
  const Choice choice = explanation.get();
  ASSERT_EQ(choice.machines.size(), kMaxVerdicts);
  EXPECT_EQ(choice.left_out, 101 - kMaxVerdicts);
  EXPECT_EQ(choice.machines[0].peer, "b");
  EXPECT_EQ(choice.machines[0].reason, "too old") << "what is said of its bid counts";
  EXPECT_EQ(choice.machines[1].peer, "p0");
  EXPECT_EQ(choice.machines[1].reason, "exclude_peers\\x1b names it");
  EXPECT_EQ(explanation.heard(), 1u);
  EXPECT_EQ(explanation.against({"n"}).size(), 1u);
}

}  // namespace
}  // namespace dms::orchestrator
