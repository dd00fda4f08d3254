// One auction against scripted bidders, in virtual time: which bids count, which is chosen, and when a round ends.
#include "orchestrator/auction/auction.hpp"

#include <gtest/gtest.h>

#include <array>

#include "actor/error_reply.hpp"
#include "actor/test_world.hpp"
#include "orchestrator/test_records.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

capability::Resources machine(std::uint64_t gib) {
  capability::Resources resources;
  resources.cpu.cores = *capability::Millicores::from_cores(1);
  resources.ram.size = {gib * capability::kGiB};
  resources.disk.size = {gib * capability::kGiB};
  return resources;
}

/// Answers each request for bids with one bid, changed before and after it is signed.
struct Bidder {
  using Change = std::function<void(Bid&)>;
  Bidder(actor::TestNode& made_for, std::uint64_t gib) : node(made_for), free(machine(gib)) {
    EXPECT_TRUE(node.root->add_behaviour(
        std::string(kBidRequest.path), [this](actor::Envelope envelope) { return bid(std::move(envelope)); },
        behaviour_options(kBidRequest)));
    EXPECT_TRUE(node.root->subscribe(std::string(kDeploymentTopic)));
    EXPECT_TRUE(serve(*node.root, kRevert, *this, &Bidder::revert));
    EXPECT_TRUE(serve(*node.root, kEdge, *this, &Bidder::measure));
  }
  /// As T it agrees; as S it says what `way` does.
  Task<EdgeReply> measure(EdgeRequest request, const actor::Envelope&) {
    EdgeReply reply;
    reply.ok = true;
    if (request.t == peer()) {
      reply.ticket = "of " + peer();
    } else {
      EXPECT_EQ(request.s, peer());
      EXPECT_EQ(request.ticket, "of " + request.t);
      ++measured;
      reply = way(request);
    }
    co_return reply;
  }
  Task<Ack> revert(RevertRequest, const actor::Envelope&) {
    ++reverts;
    Ack reply;
    reply.ok = true;
    co_return reply;
  }
  Task<void> bid(actor::Envelope envelope) {
    const auto request = actor::payload<EnsembleBidRequest>(envelope).value();
    last = request.request;
    if (answers_after > Duration(0)) (void)co_await sleep_for(answers_after);
    if (!declines.empty()) {
      const actor::ErrorReply declined{declines, std::string(actor::kDeclined), {}};
      (void)co_await node.root->reply(envelope, declined);
      co_return;
    }
    if (++requests <= silent_rounds) co_return;
    Bid bid;
    bid.ensemble_id = request.id;
    bid.node_id = "node";
    bid.peer = node.network->self().to_string();
    bid.handle = node.root->handle();
    bid.offer.emplace().free = free;
    before(bid);
    EXPECT_TRUE(bid.sign(node.key));
    after(bid);
    json::Value wire = json::to_value(bid);
    if (promises) promise(wire.at("V1").get_object());
    forge(wire.get_object());
    (void)co_await node.root->reply(envelope, wire);
  }
  void promise(json::Object& v1) {
    v1["PromiseBid"] = true;
    v1["Signature"] = nullptr;
    const Bytes signature = node.key.sign(as_bytes("dms-bid-" + json::write(json::Value(v1)))).value();
    v1["Signature"] = json::to_value(signature);
  }
  [[nodiscard]] std::string peer() const { return node.network->self().to_string(); }

  actor::TestNode& node;
  capability::Resources free;
  Change before = [](Bid&) {};
  Change after = [](Bid&) {};
  std::function<void(json::Object&)> forge = [](json::Object&) {};
  std::vector<BidRequest> last;
  int requests = 0;
  int reverts = 0;
  int measured = 0;
  std::function<EdgeReply(const EdgeRequest&)> way = [](const EdgeRequest&) { return EdgeReply(); };
  int silent_rounds = 0;
  Duration answers_after{0};
  bool promises = false;
  std::string declines;  ///< why it does not bid
};

/// Some messages, and nobody is waited for.
constexpr Duration kAtOnce = 20ms;

struct AuctionTest : testing::Test {
  AuctionTest() {
    for (actor::TestNode* provider : {&b, &c}) {
      actor::TestWorld::trust(a, *provider);
      actor::TestWorld::trust(*provider, a);
    }
    w.settle();  // subscriptions are announced
  }
  ~AuctionTest() override { w.close(); }

  Result<Candidate> run(const std::string& pinned = {}, std::set<std::string> excluded = {}) {
    jobs::Ensemble ensemble = one_task_ensemble(pinned);
    change(ensemble);
    const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
    const SteadyTime begun = a.lane().now();
    Result<Candidate> candidate =
        w.run(a, auction->run(std::move(ensemble), begun + 12s, [excluded] { return excluded; }));
    took = a.lane().now() - begun;
    return candidate;
  }

  actor::MemoryTestWorld w{11};
  actor::TestNode& a = w.add("orchestrator");
  actor::TestNode& b = w.add("large");
  actor::TestNode& c = w.add("small");
  Bidder large{b, 8};
  Bidder small{c, 1};
  Duration took{0};
  std::function<void(jobs::Ensemble&)> change = [](jobs::Ensemble&) {};
};

TEST_F(AuctionTest, TheBestOfAllIsChosenOnceEveryoneHasAnswered) {
  EXPECT_EQ(run().value().at("node").peer, small.peer());
  EXPECT_LT(took, kAtOnce);
  w.settle();
  EXPECT_EQ(large.reverts, 1) << "the bidder that was not chosen is told";
  EXPECT_EQ(small.reverts, 0);
}

TEST_F(AuctionTest, ACheaperMachineThatIsFarAwayIsWaitedFor) {
  small.before = [](Bid& bid) { bid.offer->price = 5; };
  large.before = [](Bid& bid) { bid.offer->price = 4; };
  large.answers_after = 300ms;
  EXPECT_EQ(run().value().at("node").peer, large.peer());
  EXPECT_GE(took, large.answers_after);
  EXPECT_LT(took, large.answers_after + kAtOnce) << "everyone has answered";
}

TEST_F(AuctionTest, APeerThatDoesNotAnswerIsWaitedForABoundedTime) {
  small.silent_rounds = 1000;
  EXPECT_EQ(run().value().at("node").peer, large.peer());
  EXPECT_GE(took, kBidSettle);
  EXPECT_LT(took, kBidSettle + kAtOnce);
  small.silent_rounds = 0;
  small.answers_after = 2 * kBidSettle;
  EXPECT_EQ(run().value().at("node").peer, large.peer());
  EXPECT_LT(took, kBidSettle + kAtOnce) << "after the first machine for each node, whatever comes later";
}

TEST_F(AuctionTest, WhoMayNotBidOrHasBidInVainIsNotWaitedFor) {
  small.silent_rounds = 1000;
  EXPECT_EQ(run({}, {small.peer()}).value().at("node").peer, large.peer());
  EXPECT_LT(took, kAtOnce);
  small.silent_rounds = 0;
  small.before = [](Bid& bid) { bid.ensemble_id = "other"; };
  EXPECT_EQ(run().value().at("node").peer, large.peer());
  EXPECT_LT(took, kAtOnce);
  small.forge = [](json::Object& bid) { bid.erase("V1"); };
  EXPECT_EQ(run().value().at("node").peer, large.peer());
  EXPECT_LT(took, kAtOnce);
}

TEST_F(AuctionTest, ItIsSaidOfEachMachineWhyItWasChosenOrNot) {
  large.before = [](Bid& bid) { bid.ensemble_id = "other"; };
  const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
  Choice told;
  auction->tell_choice([&told](const Choice& choice) { told = choice; });
  ASSERT_TRUE(
      w.run(a, auction->run(one_task_ensemble(), a.lane().now() + 12s, [] { return std::set<std::string>(); })));
  ASSERT_EQ(told.machines.size(), 2u);
  EXPECT_EQ(told.machines[0].peer, small.peer());
  EXPECT_TRUE(told.machines[0].chosen);
  EXPECT_EQ(told.machines[1].peer, large.peer());
  EXPECT_EQ(told.machines[1].node, "");
  EXPECT_NE(told.machines[1].reason.find("it is for ensemble other"), std::string::npos) << told.machines[1].reason;
  EXPECT_NE(told.at, 0u);
}

TEST_F(AuctionTest, ItIsSaidWhichFieldOfABidIsWrongAndWhatIsExpected) {
  const std::vector<std::pair<std::function<void(json::Object&)>, std::string>> wrong{
      {[](json::Object& bid) { bid.at("V1").get_object()["NodeID"] = 5; },
       "it cannot be read: V1.NodeID: expected a string, found a whole number"},
      {[](json::Object& bid) { bid.at("V1").get_object()["Handle"] = "b"; },
       "it cannot be read: V1.Handle: expected an object, found a string"},
      {[](json::Object& bid) {
         bid["Offer"] = {{"price", "cheap"}};
       },
       "it cannot be read: Offer.price: expected a whole number, found a string"},
      {[](json::Object& bid) { bid["OfferSignature"] = 5; }, "it cannot be read: OfferSignature: expected"},
      {[](json::Object& bid) { bid.erase("V1"); }, "it cannot be read: V1: a bid of version 1 is expected"},
      {[this](json::Object& bid) { bid.at("V1").get_object()["Handle"] = json::to_value(c.root->handle()); },
       "V1.Handle: expected that of the sender"},
  };
  for (const auto& [forge, why] : wrong) {
    large.forge = forge;
    const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
    ASSERT_TRUE(
        w.run(a, auction->run(one_task_ensemble(), a.lane().now() + 12s, [] { return std::set<std::string>(); })));
    const Choice choice = auction->choice();
    ASSERT_EQ(choice.machines.size(), 2u) << why;
    EXPECT_EQ(choice.machines[1].peer, large.peer());
    EXPECT_NE(choice.machines[1].reason.find(why), std::string::npos) << choice.machines[1].reason;
  }
}

TEST_F(AuctionTest, APinnedNodeIsAskedDirectlyAndTakenAtOnce) {
  EXPECT_EQ(run(large.peer()).value().at("node").peer, large.peer());
  EXPECT_EQ(small.requests, 0);
  EXPECT_LT(took, kAtOnce);
}

TEST_F(AuctionTest, AnExcludedPeerDoesNotCount) {
  EXPECT_EQ(run({}, {small.peer()}).value().at("node").peer, large.peer());
}

TEST_F(AuctionTest, TheBidOfAPinnedPeerThatIsExcludedIsRefusedWithTheCause) {
  const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
  const auto error = [&] {
    jobs::Ensemble ensemble = one_task_ensemble(large.peer());
    change(ensemble);
    const Result<Candidate> found = w.run(a, auction->run(std::move(ensemble), a.lane().now() + 12s,
                                                          [this] { return std::set<std::string>{large.peer()}; }));
    return found ? std::string() : found.error().to_string();
  };
  std::string text = error();
  EXPECT_NE(text.find("1 bid does not count: "), std::string::npos) << text;
  EXPECT_NE(text.find("a request to it has failed a short time ago"), std::string::npos) << text;
  auction->explain_exclusions([](const std::string&) { return std::string("its owner has ended work"); });
  text = error();
  EXPECT_NE(text.find("its owner has ended work"), std::string::npos) << text;
}

TEST_F(AuctionTest, OfAConnectedMachineThatMayNotBidItIsSaidWhy) {
  large.silent_rounds = small.silent_rounds = 1000;
  const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
  auction->explain_exclusions([](const std::string&) { return std::string("its owner has ended work"); });
  jobs::Ensemble ensemble = one_task_ensemble();
  ensemble.exclude_peers = {small.peer()};
  const Result<Candidate> found = w.run(a, auction->run(std::move(ensemble), a.lane().now() + 12s, [this] {
    return std::set<std::string>{large.peer(), "of a machine that is not connected"};
  }));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().to_string().find("2 connected peers may not be asked"), std::string::npos)
      << found.error().to_string();
  json::StringMap why;
  for (const MachineVerdict& verdict : auction->choice().machines) {
    EXPECT_FALSE(verdict.chosen);
    EXPECT_EQ(verdict.node, "");
    why[verdict.peer] = verdict.reason;
  }
  EXPECT_EQ(why,
            (json::StringMap{{large.peer(), "its owner has ended work"}, {small.peer(), "exclude_peers names it"}}));
}

TEST_F(AuctionTest, ANodeWithoutABidIsAskedForAgain) {
  large.silent_rounds = small.silent_rounds = 1;
  EXPECT_EQ(run().value().at("node").peer, small.peer());
  EXPECT_GE(took, kBidRound);
}

TEST_F(AuctionTest, AMachineThatIsOnlyPromisedDoesNotCount) {
  small.promises = true;
  EXPECT_EQ(run().value().at("node").peer, large.peer());
}

TEST_F(AuctionTest, BidsThatDoNotCountAreRefusedAndTheErrorCountsTheirMachines) {
  const std::vector<std::pair<std::string, std::pair<Bidder::Change, Bidder::Change>>> wrong{
      {"another ensemble", {[](Bid& bid) { bid.ensemble_id = "other"; }, [](Bid&) {}}},
      {"a node that was not asked for", {[](Bid& bid) { bid.node_id = "other"; }, [](Bid&) {}}},
      {"a handle of another peer", {[this](Bid& bid) { bid.handle = a.root->handle(); }, [](Bid&) {}}},
      {"changed after it was signed", {[](Bid&) {}, [](Bid& bid) { bid.location.city = "elsewhere"; }}},
      {"cheaper than it was signed", {[](Bid& bid) { bid.offer->price = 5; }, [](Bid& bid) { bid.offer->price = 4; }}},
      {"signed by another peer",
       {[this](Bid& bid) { bid.handle = a.root->handle(), bid.peer = bid.handle.address.host; }, [](Bid&) {}}},
      {"of another peer, which has signed it",
       {[this](Bid& bid) { bid.handle = c.root->handle(), bid.peer = bid.handle.address.host; },
        [this](Bid& bid) { EXPECT_TRUE(bid.sign(c.key)); }}},
  };
  small.silent_rounds = 1000;
  for (const auto& [what, change] : wrong) {
    std::tie(large.before, large.after) = change;
    const Result<Candidate> candidate = run();
    ASSERT_FALSE(candidate) << what;
    EXPECT_TRUE(candidate.error().is(Errc::deadline_exceeded)) << what;
    const std::string text = candidate.error().to_string();
    EXPECT_NE(text.find("no machine was found for node node in time"), std::string::npos) << text;
    EXPECT_NE(text.find("2 connected peers were asked, 1 has bid; 1 bid does not count: "), std::string::npos)
        << what << ", one a round: " << text;
  }
}

TEST_F(AuctionTest, WithoutABidTheErrorSaysWhatWasAskedForAndOfWhom) {
  large.silent_rounds = small.silent_rounds = 1000;
  const auto error = [this](const std::string& pinned = {}, std::set<std::string> excluded = {}) {
    const Result<Candidate> candidate = run(pinned, std::move(excluded));
    return candidate ? std::string() : candidate.error().to_string();
  };
  std::string text = error();
  EXPECT_NE(text.find("nodes.node asks for 1 core, 1 GiB memory, 1 GiB disk and null; 2 connected peers were asked, "
                      "none has bid; this machine does not bid: unknown behaviour: the actor in inbox root has no "
                      "behaviour /dms/deployment/request; a provider bids only if it has free all that the node asks "
                      "for: compare with `nunet actor cmd /dms/node/peers/list`"),
            std::string::npos)
      << text;
  change = [](jobs::Ensemble& ensemble) {
    ensemble.allocations.at("task").resources.cpu.architecture = "arm64";
    ensemble.nodes.at("node").location.reject.emplace_back().continent = "Asia";
  };
  text = error();
  EXPECT_NE(text.find("and null, of the architecture arm64, in a place that its location allows; 2"), std::string::npos)
      << text;
  change = [](jobs::Ensemble&) {};
  text = error({}, {small.peer()});
  EXPECT_NE(text.find("2 connected peers were asked except 1 (exclude_peers, "), std::string::npos) << text;
  text = error(large.peer());
  EXPECT_NE(text.find("on " + large.peer() + ", which was asked; no other machine was asked"), std::string::npos)
      << text;
  for (const actor::TestNode* node : {&b, &c}) w.substrate->cut(a.network->self(), node->network->self(), true);
  text = error(large.peer());
  EXPECT_NE(text.find("on " + large.peer() + ", which could not be asked ("), std::string::npos) << text;
  text = error();
  EXPECT_NE(text.find("; no peer is connected; this machine does not bid: unknown behaviour: "), std::string::npos)
      << text;
  text = error({}, {a.network->self().to_string()});
  EXPECT_NE(text.find("; no peer is connected, and this machine is excluded (exclude_peers, "), std::string::npos)
      << text;
}

struct OwnMachineTest : AuctionTest {
  void cut_all() {
    for (const actor::TestNode* node : {&b, &c}) w.substrate->cut(a.network->self(), node->network->self());
  }
  Bidder own{a, 2};
};

TEST_F(OwnMachineTest, ALoneMachineIsChosenAtOnce) {
  cut_all();
  EXPECT_EQ(run().value().at("node").peer, own.peer());
  EXPECT_LT(took, kAtOnce);
  EXPECT_EQ(own.requests, 1);
}

TEST_F(OwnMachineTest, ItIsNotWaitedForIfItSaysThatItDoesNotBid) {
  own.declines = "this machine is not onboarded";
  EXPECT_EQ(run().value().at("node").peer, small.peer());
  EXPECT_LT(took, kAtOnce);
}

TEST_F(OwnMachineTest, ItCompetesWithTheOthersHoweverFarTheyAre) {
  w.substrate->set_latency(100ms);
  own.free = machine(4);
  EXPECT_EQ(run().value().at("node").peer, small.peer()) << "the smallest that fits, although its bid comes later";
  w.settle();
  EXPECT_EQ(own.reverts, 1) << "as any other that is not chosen";
  std::swap(small.free, own.free);
  EXPECT_EQ(run().value().at("node").peer, own.peer());
  EXPECT_EQ(large.requests, 2);
}

TEST_F(OwnMachineTest, WhyItDoesNotBidIsTold) {
  own.declines = "this machine is not onboarded\n";
  large.declines = "a text of another machine";
  small.silent_rounds = 1000;
  std::string text = run().error().to_string();
  EXPECT_NE(text.find("; this machine does not bid: this machine is not onboarded\\x0a; a provider bids"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find(large.declines), std::string::npos) << text;
  text = run(own.peer()).error().to_string();
  EXPECT_NE(text.find("; this machine does not bid: this machine is not onboarded"), std::string::npos) << text;
  cut_all();
  text = run().error().to_string();
  EXPECT_NE(text.find("; no peer is connected; this machine does not bid: this machine is not onboarded"),
            std::string::npos)
      << text;
}

TEST_F(OwnMachineTest, ItIsNotAskedWhereItMayNotRunAnything) {
  cut_all();
  EXPECT_FALSE(run({}, {own.peer()}));
  change = [this](jobs::Ensemble& ensemble) { ensemble.exclude_peers = {own.peer()}; };
  EXPECT_FALSE(run());
  change = [](jobs::Ensemble&) {};
  EXPECT_FALSE(run(large.peer()));
  EXPECT_EQ(own.requests, 0);
  EXPECT_EQ(run(own.peer()).value().at("node").peer, own.peer());
  EXPECT_EQ(own.requests, 1);
}

TEST_F(AuctionTest, MachinesThatAreTakenAreCounted) {
  change = [](jobs::Ensemble& ensemble) {
    ensemble.allocations["second"] = ensemble.allocations.at("task");
    ensemble.nodes["other"] = ensemble.nodes.at("node");
    ensemble.nodes.at("other").allocations = {"second"};
  };
  const Result<Candidate> candidate = run();
  ASSERT_FALSE(candidate);
  const std::string text = candidate.error().to_string();
  EXPECT_NE(text.find("no machine was found for node other in time: nodes.other asks for"), std::string::npos) << text;
  EXPECT_NE(text.find("2 connected peers were asked, 2 have bid; 1 machine has another node of the ensemble"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("; 2 bids do not count: it is for node node, which is not in this round"), std::string::npos)
      << text;
}

TEST_F(AuctionTest, AMachineThatHasBidWithTooLittleFreeIsCounted) {
  large.free = machine(0);
  small.silent_rounds = 1000;
  const Result<Candidate> candidate = run();
  ASSERT_FALSE(candidate);
  const std::string text = candidate.error().to_string();
  EXPECT_NE(text.find("1 has bid; 1 machine is not chosen: ram.size: 1 GiB required, "), std::string::npos) << text;
}

TEST_F(AuctionTest, BidsThatAreWorthNothingEndNoRoundAndTakeNoPlaces) {
  large.free = machine(0);
  small.silent_rounds = 1;
  EXPECT_EQ(run().value().at("node").peer, small.peer());
  EXPECT_EQ(large.requests, 2) << "the first round lasted";
  EXPECT_GE(took, kBidRound);
}

/// Three machines, each of which bids for the same node first, and for the others as well.
struct SeveralNodesTest : AuctionTest {
  SeveralNodesTest() {
    change = [](jobs::Ensemble& ensemble) {
      for (const char* name : {"second", "third"}) {
        ensemble.allocations[name] = ensemble.allocations.at("task");
        ensemble.nodes[name] = ensemble.nodes.at("node");
        ensemble.nodes.at(name).allocations = {name};
      }
    };
    for (Bidder* bidder : {&large, &small, &own}) states(*bidder, {0, 0, 0});
  }
  /// `prices` of node, second and third.
  void states(Bidder& bidder, std::array<std::uint64_t, 3> prices) {
    bidder.before = [this, prices](Bid& bid) {
      bid.node_id = first;
      std::vector<OtherNode>& also = bid.offer->also.emplace();
      for (std::size_t i = 0; i < prices.size(); ++i) {
        const std::string name = kNames[i];
        if (name == first) {
          bid.offer->price = prices[i];
          continue;
        }
        OtherNode& other = also.emplace_back();
        other.node_id = name;
        other.price = prices[i];
      }
      forge_also(also);
    };
  }
  std::string error() {
    const Result<Candidate> candidate = run();
    return candidate ? std::string() : candidate.error().to_string();
  }
  static constexpr std::array kNames{"node", "second", "third"};
  std::string first = "node";  ///< that every machine has drawn
  std::function<void(std::vector<OtherNode>&)> forge_also = [](std::vector<OtherNode>&) {};
  Bidder own{a, 2};
};

TEST_F(SeveralNodesTest, AsManyNodesAsMachinesArePlacedInOneRoundWhateverIsDrawn) {
  for (const char* name : kNames) {
    first = name;
    const Result<Candidate> candidate = run();
    ASSERT_TRUE(candidate) << candidate.error().to_string();
    std::set<std::string> peers;
    for (const auto& [node, bid] : *candidate) {
      EXPECT_EQ(bid.node_id, node);
      peers.insert(bid.peer);
    }
    EXPECT_EQ(peers.size(), 3u);
    EXPECT_LT(took, kAtOnce);
  }
  EXPECT_EQ(large.requests, 3) << "one round of each run";
  w.settle();
  EXPECT_EQ(large.reverts + small.reverts + own.reverts, 0);
}

TEST_F(SeveralNodesTest, TheCheapestOfAllAssignmentsIsChosenWithTheTermsOfEachNode) {
  states(large, {1, 9, 2});
  states(small, {1, 2, 9});
  states(own, {2, 9, 9});
  for (const char* name : kNames) {
    first = name;
    const Candidate candidate = run().value();
    EXPECT_EQ(candidate.at("node").peer, own.peer());
    EXPECT_EQ(candidate.at("node").offer->price, 2u);
    EXPECT_EQ(candidate.at("second").peer, small.peer());
    EXPECT_EQ(candidate.at("second").offer->price, 2u);
    EXPECT_EQ(candidate.at("third").peer, large.peer());
    EXPECT_EQ(candidate.at("third").offer->price, 2u);
  }
}

TEST_F(SeveralNodesTest, BidsForOneNodeCompeteWithThoseForSeveral) {
  own.before = [](Bid& bid) { bid.node_id = "third"; };  // as of DMS 0.5.x
  const Candidate candidate = run().value();
  EXPECT_EQ(candidate.size(), 3u);
  EXPECT_EQ(candidate.at("third").peer, own.peer());
  EXPECT_LT(took, kAtOnce);
}

TEST_F(SeveralNodesTest, ABidCountsForTheNodesWhoseTermsSuffice) {
  const auto three_nodes = change;
  change = [three_nodes](jobs::Ensemble& ensemble) {
    three_nodes(ensemble);
    ensemble.allocations.at("third").results.emplace().paths = {"out"};
    ensemble.nodes.at("second").location.reject.emplace_back().continent = "Asia";
  };
  for (Bidder* bidder : {&large, &small, &own}) {
    bidder->before = [terms = bidder->before](Bid& bid) {
      terms(bid);
      bid.offer->features = {"results"};
    };
  }
  small.before = [terms = small.before](Bid& bid) {
    terms(bid);
    bid.location.continent = "Asia";
  };
  forge_also = [](std::vector<OtherNode>& also) {
    for (OtherNode& other : also) other.results_limit = 1;
  };
  const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
  jobs::Ensemble ensemble = one_task_ensemble();
  change(ensemble);
  const Result<Candidate> candidate =
      w.run(a, auction->run(ensemble, a.lane().now() + 12s, [] { return std::set<std::string>(); }));
  ASSERT_TRUE(candidate) << candidate.error().to_string();
  EXPECT_NE(candidate->at("second").peer, small.peer());
  std::string why;
  for (const MachineVerdict& verdict : auction->choice().machines)
    if (verdict.peer == small.peer() && verdict.node == "second") why = verdict.reason;
  EXPECT_NE(why.find("the location of the machine is not allowed for the node"), std::string::npos) << why;

  forge_also = [](std::vector<OtherNode>&) {};
  const std::string text = error();
  EXPECT_NE(text.find("no machine was found for node third"), std::string::npos) << text;
}

TEST_F(SeveralNodesTest, OtherNodesThatNobodyHasAskedForOrThatAreManyOrNamedTwiceGainNothing) {
  large.silent_rounds = small.silent_rounds = 1000;
  change = [](jobs::Ensemble&) {};
  forge_also = [](std::vector<OtherNode>& also) { also[0].node_id = "unknown"; };
  const Candidate candidate = run().value();
  EXPECT_EQ(candidate.size(), 1u);
  EXPECT_EQ(candidate.at("node").peer, own.peer());
  const std::vector<std::pair<std::function<void(std::vector<OtherNode>&)>, std::string>> wrong{
      {[](std::vector<OtherNode>& also) { also[1].node_id = also[0].node_id; }, "a node is named twice: second"},
      {[](std::vector<OtherNode>& also) { also[1].node_id = "node"; }, "a node is named twice: node"},
      {[](std::vector<OtherNode>& also) {
         for (int i = 0; i < 5000; ++i) also.emplace_back().node_id = std::to_string(i);
       },
       "Offer.also: at most 31 are expected, found 5002"},
  };
  for (const auto& [forge, why] : wrong) {
    forge_also = forge;
    const std::string text = error();
    EXPECT_NE(text.find(why), std::string::npos) << text;
  }
}

TEST_F(SeveralNodesTest, TermsThatWereChangedAfterTheyWereSignedDoNotCount) {
  large.after = [](Bid& bid) { bid.offer->also->at(0).price = 0; };
  states(large, {1, 1, 1});
  const std::string text = error();
  EXPECT_NE(text.find("1 bid does not count: "), std::string::npos) << text;
  EXPECT_NE(text.find("the offer of the bid is not signed by its peer"), std::string::npos) << text;
}

TEST_F(SeveralNodesTest, ABidThatStatesTooMuchForAllOfItsNodesIsRefused) {
  change = [](jobs::Ensemble&) {};
  small.silent_rounds = own.silent_rounds = 1000;
  large.before = [](Bid& bid) { bid.location.city = std::string(kMaxShared, 'x'); };
  const std::string text = error();
  EXPECT_NE(text.find("at most 16384 are kept"), std::string::npos) << text;
}

TEST_F(SeveralNodesTest, AnAuctionThatEndsEarlyAsksAgainOnlyThoseWhoseBidsHaveNamedOneOfSeveral) {
  const auto rounds = [&] {
    jobs::Ensemble ensemble = one_task_ensemble();
    change(ensemble);
    const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
    auction->end_early();
    const int before = own.requests;
    EXPECT_FALSE(w.run(a, auction->run(ensemble, a.lane().now() + 16s, [] { return std::set<std::string>(); })));
    return own.requests - before;
  };
  large.before = small.before = own.before = [](Bid& bid) { bid.offer->also.emplace(); };
  EXPECT_EQ(rounds(), 1) << "they can serve the first node alone";
  small.before = own.before = [](Bid& bid) { bid.offer->price = 5; };
  EXPECT_GT(rounds(), 1) << "they may bid for another one";
  small.before = own.before = [](Bid& bid) {
    bid.offer->price = 5;
    bid.offer->also.emplace();
    bid.offer->more = true;
  };
  EXPECT_GT(rounds(), 1) << "they can serve more than they name";
}

TEST(ShortageTest, LaterReasonsAreCounted) {
  Shortage shortage;
  shortage.set_peers(9, 0);
  Explanation explanation;
  for (const char* why : {"b", "a", "c", "a", "d", "e"}) explanation.add_refusal(fmt::format("of {}", why), why);
  explanation.add_refusal("of another", "a");
  const std::string text = shortage.describe(one_task_ensemble(), {"node"}, explanation, 0);
  EXPECT_NE(text.find("9 connected peers were asked, 6 have bid; 2 bids do not count: a; 1 bid does not count: b; "
                      "1 bid does not count: c; 2 for other reasons; a provider bids only if"),
            std::string::npos)
      << text;
}

/// The offer is refused by name where it is less than the ensemble asks for.
TEST_F(AuctionTest, ABidThatGrantsLessThanTheEnsembleInsistsOnDoesNotCount) {
  small.silent_rounds = 1000;
  const auto offer = [this](std::int64_t lease, std::uint64_t results) {
    large.before = [=](Bid& bid) {
      bid.offer->features = {"lease", "results"};
      bid.offer->max_lease_ns = lease;
      bid.offer->results_limit = results;
    };
  };
  change = [](jobs::Ensemble& ensemble) {
    ensemble.nodes.at("node").lease_ns = Duration(1000h).count();
    ensemble.allocations.at("task").results.emplace().paths = {"out"};
    ensemble.allocations.at("task").results->limit = 1000;
  };
  const auto error = [this] {
    const Result<Candidate> candidate = run();
    return candidate ? std::string() : candidate.error().to_string();
  };
  offer(Duration(24h).count(), 1000);
  std::string text = error();
  EXPECT_NE(text.find("a lease of at most 86400 s, and nodes.node.lease is 3600000 s"), std::string::npos) << text;
  EXPECT_NE(text.find("providers grant 10 s to 24 h"), std::string::npos) << text;
  offer(Duration(1000h).count(), 999);
  text = error();
  EXPECT_NE(text.find("at most 999 bytes (its job.max_results), and allocations.task asks for 1000"), std::string::npos)
      << text;
  offer(Duration(1000h).count(), 1000);
  EXPECT_EQ(error(), "");
  EXPECT_EQ(large.last.at(0).v1->lease_ns, Duration(1000h).count()) << "providers are told";
  EXPECT_EQ(large.last.at(0).v1->results_limit, 1000u);
}

/// Two nodes, of which `large` bids for one and `small` for the other.
struct EdgeAuctionTest : AuctionTest {
  EdgeAuctionTest() {
    change = [this](jobs::Ensemble& ensemble) {
      ensemble.allocations["second"] = ensemble.allocations.at("task");
      ensemble.nodes["other"] = ensemble.nodes.at("node");
      ensemble.nodes.at("other").allocations = {"second"};
      ensemble.edges = {edge};
    };
    large.before = [](Bid& bid) { bid.offer->features = {"edges"}; };
    small.before = [](Bid& bid) {
      bid.offer->features = {"edges"};
      bid.node_id = "other";
    };
    large.way = small.way = [](const EdgeRequest&) { return found(8ms, 1000); };
  }
  static EdgeReply found(Duration rtt, std::uint64_t bandwidth) {
    EdgeReply reply;
    reply.ok = true;
    reply.rtt_ns = rtt.count();
    reply.bandwidth = bandwidth;
    return reply;
  }
  std::string error() {
    const Result<Candidate> candidate = run();
    return candidate ? std::string() : candidate.error().to_string();
  }
  jobs::Edge edge{.s = "node", .t = "other", .rtt = 10, .bw = 1000};
};

TEST_F(EdgeAuctionTest, TheWayBetweenTwoMachinesIsMeasuredFromBothSides) {
  const Candidate candidate = run().value();
  EXPECT_EQ(candidate.at("node").peer, large.peer());
  EXPECT_EQ(candidate.at("other").peer, small.peer());
  EXPECT_EQ(large.measured, 1);
  EXPECT_EQ(small.measured, 1);
  EXPECT_LT(took, 5 * kAtOnce);
}

TEST_F(EdgeAuctionTest, WithoutLimitsNothingIsMeasured) {
  edge.rtt = edge.bw = 0;
  EXPECT_TRUE(run());
  EXPECT_EQ(large.measured + small.measured, 0);
}

TEST_F(EdgeAuctionTest, TheWorseOfBothSidesCounts) {
  small.way = [](const EdgeRequest&) { return found(12ms, 1000); };
  std::string text = error();
  EXPECT_NE(text.find("a round trip of 12 ms, 10 ms at most is asked for"), std::string::npos) << text;
  small.way = [](const EdgeRequest&) { return found(8ms, 999); };
  text = error();
  EXPECT_NE(text.find("999 bit/s, 1000 bit/s at least is asked for"), std::string::npos) << text;
  EXPECT_EQ(small.measured, 2) << "once in each auction, whatever the number of rounds";
}

TEST_F(EdgeAuctionTest, AWayThatIsNotMeasuredKeepsNoEdge) {
  small.way = [](const EdgeRequest&) {
    EdgeReply reply;
    reply.error = "busy\x1b[2J";
    return reply;
  };
  const std::string text = error();
  EXPECT_NE(text.find("the way there could not be measured"), std::string::npos) << text;
  large.before = [](Bid&) {};
  const std::string old = error();
  EXPECT_NE(old.find("the provider does not offer 'edges', which the node needs"), std::string::npos) << old;
}

TEST_F(EdgeAuctionTest, EdgesToAMachineThatANodeHasHold) {
  jobs::Ensemble ensemble = one_task_ensemble();
  large.way = [](const EdgeRequest& request) { return found(request.bw == 1000 ? 11ms : 1ms, 1000); };
  const std::set<std::string> taken{small.peer()};
  const auto excluded = [taken] { return taken; };
  for (const bool forth : {true, false}) {
    ensemble.edges = {edge};
    if (!forth) std::swap(ensemble.edges[0].s, ensemble.edges[0].t);
    const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
    auction->join({{"other", {small.peer()}}});
    const int before = large.measured;
    EXPECT_FALSE(w.run(a, auction->run(ensemble, a.lane().now() + 6s, excluded)));
    ASSERT_EQ(auction->choice().edges.size(), 1u);
    EXPECT_EQ(auction->choice().edges[0].measured, "11 ms, 1000 bit/s");
    EXPECT_FALSE(auction->choice().edges[0].holds);
    ensemble.edges[0].rtt = 11;
    const Result<Candidate> candidate = w.run(a, auction->run(ensemble, a.lane().now() + 6s, excluded));
    ASSERT_TRUE(candidate) << candidate.error().to_string();
    EXPECT_EQ(candidate->at("node").peer, large.peer());
    ASSERT_EQ(auction->choice().edges.size(), 1u);
    EXPECT_TRUE(auction->choice().edges[0].holds);
    EXPECT_EQ(large.measured - before, 1) << "what was measured for the first run counts for the second";
  }
}

TEST_F(EdgeAuctionTest, WhatWasMeasuredCountsInTheNextAuctionsForAWhile) {
  MeasuredLinks measured;
  const auto hold = [&] {
    const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
    auction->share(measured);
    jobs::Ensemble ensemble = one_task_ensemble();
    change(ensemble);
    return w.run(a, auction->run(ensemble, a.lane().now() + 6s, [] { return std::set<std::string>(); })).has_value();
  };
  large.way = small.way = [](const EdgeRequest& request) { return found(8ms, request.bw); };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(hold());
  EXPECT_EQ(small.measured, 1);
  edge.bw /= 2;
  EXPECT_TRUE(hold());
  EXPECT_EQ(small.measured, 1) << "for more than is asked for now";
  edge.bw *= 4;
  EXPECT_TRUE(hold());
  EXPECT_EQ(small.measured, 2) << "for less than is asked for now";
  w.settle(kMeasuredFor);
  EXPECT_TRUE(hold());
  EXPECT_EQ(small.measured, 3) << "too long ago";
  EXPECT_EQ(measured.links().size(), 1u);

  // A measurement that has failed counts as well, and not as long.
  w.settle(kMeasuredFor);
  small.way = [](const EdgeRequest&) { return EdgeReply(); };
  EXPECT_FALSE(hold());
  small.way = large.way;
  EXPECT_FALSE(hold());
  EXPECT_EQ(small.measured, 4);
  w.settle(kFailureFor);
  EXPECT_TRUE(hold());
  EXPECT_EQ(small.measured, 5);
}

TEST(MeasuredLinks, OfManyTheOldestAreForgotten) {
  MeasuredLinks measured;
  for (std::size_t i = 0; i <= kMostKept; ++i) {
    Link link;
    link.a = "a";
    link.b = std::to_string(i);
    measured.add(std::move(link), SteadyTime(), 0);
  }
  ASSERT_EQ(measured.links().size(), kMostKept);
  EXPECT_EQ(measured.links().front().b, "1");
}

/// A chain of three nodes. The machines of the first round keep no edge to that of the last node; of those that bid
/// later one keeps that edge, and the edge to another machine for the first node.
TEST_F(EdgeAuctionTest, NodesGiveTheirMachinesUpForANodeThatFindsNoneBesideThem) {
  const auto two_nodes = change;
  change = [two_nodes](jobs::Ensemble& ensemble) {
    two_nodes(ensemble);
    ensemble.allocations["third"] = ensemble.allocations.at("task");
    ensemble.nodes["last"] = ensemble.nodes.at("node");
    ensemble.nodes.at("last").allocations = {"third"};
    jobs::Edge second = ensemble.edges.at(0);
    second.s = "other";
    second.t = "last";
    ensemble.edges.push_back(second);
  };
  const auto add = [this](const char* name) -> actor::TestNode& {
    actor::TestNode& node = w.add(name);
    actor::TestWorld::trust(a, node);
    actor::TestWorld::trust(node, a);
    return node;
  };
  Bidder end(add("end"), 1);
  Bidder later_node(add("later-node"), 1);
  Bidder later_other(add("later-other"), 1);
  w.settle();  // subscriptions are announced
  const auto bids_for = [](Bidder& bidder, const std::string& node, std::uint64_t price) {
    bidder.before = [node, price](Bid& bid) {
      bid.offer->features = {"edges"};
      bid.offer->price = price;
      bid.node_id = node;
    };
  };
  bids_for(end, "last", 5);
  bids_for(later_node, "node", 0);
  bids_for(later_other, "other", 0);
  later_node.silent_rounds = later_other.silent_rounds = 1;
  const auto far_from = [](const Bidder& other) {
    return [peer = other.peer()](const EdgeRequest& request) { return found(request.t == peer ? 50ms : 8ms, 1000); };
  };
  small.way = far_from(end);
  large.way = far_from(later_other);
  end.way = later_node.way = later_other.way = [](const EdgeRequest&) { return found(8ms, 1000); };
  const Result<Candidate> candidate = run();
  ASSERT_TRUE(candidate) << candidate.error().to_string();
  EXPECT_EQ(candidate->at("node").peer, later_node.peer());
  EXPECT_EQ(candidate->at("other").peer, later_other.peer());
  EXPECT_EQ(candidate->at("last").peer, end.peer());
}

/// Two nodes, of which `large` bids for one and `small` for the other.
struct ApartAuctionTest : AuctionTest {
  ApartAuctionTest() {
    change = [this](jobs::Ensemble& ensemble) {
      ensemble.allocations["second"] = ensemble.allocations.at("task");
      ensemble.nodes["other"] = ensemble.nodes.at("node");
      ensemble.nodes.at("other").allocations = {"second"};
      ensemble.anti_affinity = {{{"node", "other"}, by}};
    };
    large.before = [this](Bid& bid) { bid.location = of_large; };
    small.before = [this](Bid& bid) {
      bid.location = of_small;
      bid.node_id = "other";
    };
  }
  std::string error() {
    const Result<Candidate> candidate = run();
    return candidate ? std::string() : candidate.error().to_string();
  }
  capability::Area by = capability::Area::country;
  capability::Location of_large{.continent = "Europe", .country = "DE", .city = "Berlin"};
  capability::Location of_small{.continent = "Europe", .country = "DE", .city = "Bonn"};
};

TEST_F(ApartAuctionTest, MachinesInDifferentAreasAreChosenAtOnce) {
  by = capability::Area::city;
  const Candidate candidate = run().value();
  EXPECT_EQ(candidate.at("node").peer, large.peer());
  EXPECT_EQ(candidate.at("other").peer, small.peer());
  EXPECT_LT(took, kAtOnce);
}

TEST_F(ApartAuctionTest, ThatThereAreTooFewAreasIsSaidWithWhatWouldHelp) {
  std::string text = error();
  EXPECT_NE(text.find(", in another country than "), std::string::npos) << text;
  EXPECT_NE(text.find("it is in the country of "), std::string::npos) << text;
  EXPECT_NE(text.find("; anti_affinity asks for 2 machines in different countries, and the known ones are in 1 (DE); "
                      "connect machines in other countries, let each state its own (general.host_country), or keep "
                      "fewer nodes and standbys apart"),
            std::string::npos)
      << text;
  of_small = {.continent = "Europe"};
  text = error();
  EXPECT_NE(text.find("it does not state its country, by which anti_affinity keeps nodes apart: it is in Europe"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(" are in 1 (DE), 1 machine does not state its country; "), std::string::npos) << text;
  of_small.country = "FR";
  EXPECT_EQ(error(), "");
}

struct ThreeApartAuctionTest : ApartAuctionTest {
  Bidder own{a, 2};
};

/// The third machine can only be that of `other`, which has one after the first round. The second one finds none.
TEST_F(ThreeApartAuctionTest, NodesGiveUpTheirMachinesIfTheNextOneFindsNone) {
  own.silent_rounds = 1;
  own.before = [](Bid& bid) {
    bid.location = {.continent = "Asia", .country = "JP"};
    bid.node_id = "other";
  };
  jobs::Ensemble ensemble = one_task_ensemble();
  change(ensemble);
  const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
  const Candidate candidate =
      w.run(a, auction->run(ensemble, a.lane().now() + 30s, [] { return std::set<std::string>(); })).value();
  EXPECT_EQ(candidate.at("node").peer, large.peer());
  EXPECT_EQ(candidate.at("other").peer, own.peer());
  EXPECT_EQ(large.requests, 3);
}

TEST_F(ApartAuctionTest, ANodeIsKeptApartFromTheMachineOfAnotherOne) {
  jobs::Ensemble ensemble = one_task_ensemble();
  ensemble.anti_affinity = {{{"node", "placed"}, capability::Area::country}};
  const auto auction = Auction::open(*a.root, *a.network, "ensemble").value();
  const auto chosen = [&](const capability::Location& there) {
    auction->join({{"placed", {small.peer(), there, false}}});
    const std::set<std::string> taken{small.peer()};
    const Result<Candidate> candidate =
        w.run(a, auction->run(ensemble, a.lane().now() + 6s, [taken] { return taken; }));
    return candidate ? candidate->at("node").peer : candidate.error().to_string();
  };
  EXPECT_NE(chosen(of_small).find(" are in 1 (DE)"), std::string::npos);
  EXPECT_EQ(chosen({.continent = "Europe", .country = "FR"}), large.peer());
}

TEST_F(AuctionTest, ResultsWithoutALimitOfTheirOwnTakeWhatTheBidGrants) {
  change = [](jobs::Ensemble& ensemble) { ensemble.allocations.at("task").results.emplace().paths = {"out"}; };
  large.before = [](Bid& bid) {
    bid.offer->features = {"results"};
    bid.offer->results_limit = 1;
  };
  small.before = [](Bid& bid) { bid.offer->features = {"results"}; };
  EXPECT_EQ(run().value().at("node").peer, large.peer()) << "the other grants none";
}

}  // namespace
}  // namespace dms::orchestrator
