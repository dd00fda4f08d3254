// That the random instances of the matcher's tests are worth something: each kind of constraint decides many of them, and
// the choices keep all of them.
#include <gtest/gtest.h>

#include <map>

#include "orchestrator/matching/test_instances.hpp"

namespace dms::orchestrator {
namespace {

TEST(Instances, EachKindOfConstraintDecidesMany) {
  SeededRandom random(77);
  std::map<std::string, int> decided;
  for (int round = 0; round < 600; ++round) {
    const Instance made = random_instance(random);
    const Market market(made.machines, made.links);
    const Cost best = BruteForce(market, made.w).best();
    const auto without = [&](const char* what, auto drop) {
      Wanted w = made.w;
      drop(w);
      for (WantedNode& node : w.nodes) drop(node);
      for (WantedEdge& edge : w.edges) drop(edge);
      decided[what] += BruteForce(market, w).best() == best ? 0 : 1;
    };
    struct Nothing {
      void operator()(Wanted&) const {}
      void operator()(WantedNode&) const {}
      void operator()(WantedEdge&) const {}
    };
    struct Edges : Nothing {
      using Nothing::operator();
      void operator()(Wanted& w) const { w.edges.clear(); }
    };
    struct RoundTrips : Nothing {
      using Nothing::operator();
      void operator()(WantedEdge& edge) const { edge.rtt = Duration(0); }
    };
    struct Bandwidth : Nothing {
      using Nothing::operator();
      void operator()(WantedEdge& edge) const { edge.bandwidth = 0; }
    };
    struct Unmeasured : Nothing {
      using Nothing::operator();
      void operator()(Wanted& w) const { w.unmeasured_holds = !w.unmeasured_holds; }
    };
    struct Areas : Nothing {
      using Nothing::operator();
      void operator()(Wanted& w) const { w.apart.clear(); }
    };
    struct Exclusions : Nothing {
      using Nothing::operator();
      void operator()(Wanted& w) const { w.excluded.clear(); }
    };
    struct Copies : Nothing {
      using Nothing::operator();
      void operator()(WantedNode& node) const { node.copies = 1; }
    };
    struct Pins : Nothing {
      using Nothing::operator();
      void operator()(WantedNode& node) const {
        if (!node.placed) node.peer.clear();
      }
    };
    struct Accepted : Nothing {
      using Nothing::operator();
      void operator()(WantedNode& node) const { node.location.accept.clear(); }
    };
    struct Rejected : Nothing {
      using Nothing::operator();
      void operator()(WantedNode& node) const { node.location.reject.clear(); }
    };
    without("edges", Edges());
    without("round trips", RoundTrips());
    without("bandwidth", Bandwidth());
    without("what was not measured", Unmeasured());
    without("areas", Areas());
    without("exclusions", Exclusions());
    without("copies", Copies());
    without("pins", Pins());
    without("places that are accepted", Accepted());
    without("places that are rejected", Rejected());
  }
  EXPECT_EQ(decided.size(), 10u);
  for (const auto& [what, count] : decided) EXPECT_GT(count, 5) << what;
}

TEST(Instances, TheChoiceKeepsEveryConstraint) {
  SeededRandom random(78);
  for (int round = 0; round < 2000; ++round) {
    const Instance made = random_instance(random);
    const Market market(made.machines, made.links);
    const BruteForce all(market, made.w);
    const Match found = match(market, made.w);
    std::vector<std::pair<std::size_t, std::size_t>> taken;  // slot, bid
    std::size_t first = 0;
    for (std::size_t n = 0; n < made.w.nodes.size(); ++n) {
      const WantedNode& node = made.w.nodes[n];
      const auto& chosen = found.chosen[n];
      const bool primary = !chosen.empty() && (node.peer.empty() || market.machines()[chosen[0]].peer == node.peer);
      for (std::size_t i = 0; i < chosen.size(); ++i) taken.emplace_back(first + i + (primary ? 0 : 1), chosen[i]);
      first += node.copies;
      EXPECT_LE(chosen.size(), node.copies - (primary ? 0 : 1)) << "instance " << round;
    }
    for (std::size_t i = 0; i < taken.size(); ++i) {
      EXPECT_TRUE(all.may_have(taken[i].first, taken[i].second)) << "instance " << round;
      for (std::size_t k = 0; k < i; ++k)
        EXPECT_TRUE(all.between(taken[i].first, taken[k].first, taken[i].second, taken[k].second))
            << "instance " << round;
    }
  }
}

}  // namespace
}  // namespace dms::orchestrator
