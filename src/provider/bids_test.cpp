#include "provider/bids.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/log.hpp"
#include "provider/admission.hpp"
#include "provider/testing.hpp"

namespace dms::provider {
namespace {

using namespace protocol;

struct ChooseRequest : testing::Test {
  SeededRandom random{1};
  Offering offering;
  EnsembleBidRequest request;
  NodeRequest node;
  void SetUp() override {
    offering.self = crypto::PeerId::from(crypto::PrivateKey::generate(random).public_key());
    offering.onboarded = true;
    offering.executors = {"sandbox"};
    offering.free = machine(4, 8);
    node.node_id = "n1";
    node.executors = {"sandbox"};
    node.resources = machine(1, 1);
    request.id = "ensemble";
  }
  std::expected<NodeRequest, NoBid> choose() {
    request.request = {BidRequest{node}};
    const auto chosen = choose_requests(request, offering, random);
    if (!chosen) return std::unexpected(chosen.error());
    return *chosen->nodes.front();
  }
  BidRefusal refusal() { return choose().error().reason; }
};

TEST_F(ChooseRequest, SelectsANodeThatTheMachineCanServe) { EXPECT_EQ(choose()->node_id, "n1"); }

TEST_F(ChooseRequest, EachReasonNotToBidIsNamed) {
  offering.onboarded = false;
  EXPECT_EQ(refusal(), BidRefusal::not_onboarded);
  offering.onboarded = true;
  node.executors = {"docker"};
  EXPECT_EQ(refusal(), BidRefusal::executor);
  node.executors = {"sandbox"};
  node.resources = machine(1, 9);
  EXPECT_EQ(refusal(), BidRefusal::resources);
  node.resources = machine(1, 1);
  node.location.accept = {{.continent = "Asia"}};
  EXPECT_EQ(refusal(), BidRefusal::location);
  node.location = {};
  node.general_requirements.privileged_docker = true;
  EXPECT_EQ(refusal(), BidRefusal::privileged_docker);
  node.general_requirements = {};
  request.peer_exclusion = {offering.self.to_string()};
  EXPECT_EQ(refusal(), BidRefusal::excluded);
  request.peer_exclusion = {};
  node.public_ports.dynamic = 1;
  EXPECT_EQ(refusal(), BidRefusal::ports) << "without a description of them there are none";
  offering.ports_available = [](const PublicPorts&) -> Result<void> {
    return fail(dms::Errc::limit_exceeded, "no ports");
  };
  EXPECT_EQ(refusal(), BidRefusal::ports);
  node.public_ports = {};
  node.resources.gpus.emplace_back();
  EXPECT_EQ(refusal(), BidRefusal::unsupported) << "no executor hands cards to the work";
}

/// Nothing is cut: a lease is granted as it is asked for, or there is no bid.
TEST_F(ChooseRequest, ALeaseOutOfBoundsGetsNoBid) {
  offering.min_lease = 10s;
  offering.max_lease = 24h;
  for (const Duration lease : {Duration(0), Duration(10s), Duration(24h)}) {
    node.lease_ns = lease.count();
    EXPECT_TRUE(choose()) << lease.count();
  }
  for (const Duration lease : {Duration(-1), Duration(9s), Duration(1000h)}) {
    node.lease_ns = lease.count();
    EXPECT_EQ(refusal(), BidRefusal::lease) << lease.count();
  }
  EXPECT_NE(choose().error().text.find("3600000 s is requested, 10 to 86400 s are granted"), std::string::npos);
}

TEST_F(ChooseRequest, ResultsNeedAProviderThatReturnsSome) {
  node.results_limit = 1000;
  EXPECT_EQ(refusal(), BidRefusal::results);
  offering.max_results = 1;
  EXPECT_TRUE(choose()) << "the orchestrator decides whether that is enough";
}

/// As orchestrators of DMS 0.5.x and strangers write them; what is not asked for is there as zero values.
TEST_F(ChooseRequest, WhatIsAskedForBeyondWhatIsReadGetsNoBidAndIsNamed) {
  const auto asked = [&](std::string_view of_request, std::string_view of_node, std::string_view of_resources) {
    const std::string text =
        fmt::format(R"({{"id":"e","nonce":1{},"request":[{{"V1":{{"node_id":"n1","executors":["sandbox"],"resources":)"
                    R"({{"cpu":{{"cores":1}},"ram":{{"size":1}},"disk":{{"size":1}}{}}}{}}}}}]}})",
                    of_request, of_resources, of_node);
    const Result<EnsembleBidRequest> read = json::decode<EnsembleBidRequest>(text);
    if (!read) return read.error().to_string();
    const auto chosen = choose_requests(*read, offering, random);
    if (chosen) return std::string("a bid");
    EXPECT_EQ(chosen.error().reason, BidRefusal::unsupported) << chosen.error().text;
    return chosen.error().text;
  };
  EXPECT_EQ(asked("", "", ""), "a bid");
  EXPECT_EQ(
      asked(R"(,"version":"","edge_constraints":null)",
            R"(,"ContractDID":"","Contracts":{"c":{"did":"","host":""}},"edges":[{"S":"a","T":"b","RTT":0,"BW":0}])",
            R"(,"gpus":[],"gpu":null)"),
      "a bid");
  EXPECT_EQ(asked(R"(,"version":"V1")", "", ""), "a bid");
  const std::string_view no = ": not supported by this provider";
  EXPECT_EQ(asked(R"(,"version":"V9")", "", ""), fmt::format("version{}", no));
  EXPECT_EQ(asked(R"(,"edge_constraints":[{"S":"a","T":"b","RTT":5}])", "", ""), fmt::format("edge_constraints{}", no));
  EXPECT_EQ(asked("", R"(,"edge_constraints":{"rtt":0,"bw":7})", ""), fmt::format("n1: edge_constraints{}", no));
  EXPECT_EQ(asked("", R"(,"ContractDID":"did:key:z6Mk")", ""), fmt::format("n1: ContractDID{}", no));
  EXPECT_EQ(asked("", R"(,"contracts":{"c":{"did":"did:key:z6Mk"}})", ""), fmt::format("n1: contracts{}", no));
  EXPECT_EQ(asked("", R"(,"volumes":["v:/data"])", ""), fmt::format("n1: volumes{}", no));
  EXPECT_EQ(asked("", "", R"(,"gpu":[{"vram":1}])"), fmt::format("n1: resources.gpu{}", no));
  EXPECT_EQ(asked(R"(,"priority":0)", R"(,"priority":"","x":{"y":[0,null]})", R"(,"tpu":[])"), "a bid");
  EXPECT_EQ(asked(R"(,"priority":3)", "", ""), fmt::format("priority{}", no));
  EXPECT_EQ(asked("", R"(,"x":{"y":[0,"z"]})", ""), fmt::format("n1: x{}", no));
  EXPECT_EQ(asked("", R"(,"Location":{"reject":[{"continent":"Asia"},{"region":"Asia","zone":1}]})", ""),
            fmt::format("n1: Location.reject[1].zone{}", no));
  EXPECT_NE(asked("", "", R"(,"gpus":[{"vram":1}])").find("n1: Resources.gpus: graphics cards"), std::string::npos);
}

TEST_F(ChooseRequest, ARequestOfAnotherVersionGetsNoBid) {
  const auto read = json::decode<EnsembleBidRequest>(R"({"id":"e","nonce":1,"request":[{"V9":{"node_id":"n1"}}]})");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(choose_requests(*read, offering, random).error().reason, BidRefusal::malformed);
}

TEST_F(ChooseRequest, TheNodesThatFitAreAnsweredAmongMany) {
  NodeRequest large = node;
  large.node_id = "large";
  large.resources = machine(64, 64);
  for (int i = 0; i < 20; ++i) {
    request.request = {BidRequest{large}, BidRequest{node}, BidRequest{}};
    const auto chosen = choose_requests(request, offering, random);
    ASSERT_EQ(chosen->nodes.size(), 1U);
    EXPECT_EQ(chosen->nodes.front()->node_id, "n1");
  }
  request.request.assign(kMaxNodeRequests + 1, BidRequest{node});
  EXPECT_EQ(choose_requests(request, offering, random).error().reason, BidRefusal::malformed);
}

TEST_F(ChooseRequest, AllNodesThatFitAreChosenOnceEachInRandomOrder) {
  std::set<std::string> first;
  for (int i = 0; i < 100; ++i) {
    request.request.clear();
    for (const char* name : {"a", "b", "c", "b"}) {
      node.node_id = name;
      request.request.emplace_back().v1 = node;
    }
    const auto chosen = choose_requests(request, offering, random);
    std::set<std::string> names;
    for (const NodeRequest* one : chosen->nodes) names.insert(one->node_id);
    EXPECT_EQ(names, (std::set<std::string>{"a", "b", "c"}));
    EXPECT_EQ(chosen->nodes.size(), 3U);
    EXPECT_FALSE(chosen->is_cut);
    first.insert(chosen->nodes.front()->node_id);
  }
  EXPECT_EQ(first.size(), 3U);
}

TEST_F(ChooseRequest, HowManyNodesAreChosenIsBoundedInNumberAndInBytes) {
  request.request.clear();
  for (std::size_t i = 0; i < kMaxNodeRequests; ++i) {
    node.node_id = std::to_string(i);
    request.request.emplace_back().v1 = node;
  }
  EXPECT_EQ(choose_requests(request, offering, random)->nodes.size(), kMaxAlso + 1);
  for (BidRequest& one : request.request) one.v1->resources.cpu.vendor = std::string(kMaxResources / 3, 'x');
  const auto chosen = choose_requests(request, offering, random);
  EXPECT_EQ(chosen->nodes.size(), 2U);
  EXPECT_TRUE(chosen->is_cut) << "the orchestrator is told that these are not all";
}

struct BidsTest : ProviderTest {
  Metrics metrics;
  Bids bids{*node.root,
            [this](const EnsembleKey&) {
              Offering offering;
              offering.self = node.network->self();
              offering.onboarded = true;
              offering.executors = {"null"};
              offering.share = machine(8, 10);
              offering.free = machine(4, 8);
              offering.max_results = 1000;
              offering.prices = {.node = 7, .core = 1000};
              offering.unenforced = {{"null", "processor time is not limited"}, {"docker", "disk is not limited"}};
              return Result<Offering>(offering);
            },
            metrics};
  bool opened(const actor::TestNode& by, const std::string& ensemble) {
    return bids.open({by.did(), ensemble}).has_value();
  }
};

TEST_F(BidsTest, WhyThisNodeDoesNotBidForItsOwnDeploymentIsLoggedOnce) {
  std::vector<std::string> lines;
  log::set_level(log::Level::info);
  log::set_sink([&](const log::Line& line) { lines.emplace_back(line.text); });
  for (const char* ensemble : {"e", "e", "other", "e"})
    EXPECT_FALSE(bids.answer(bid_request(ensemble, 64), node.did()));
  EXPECT_FALSE(bids.answer(bid_request("e", 64), alice.did()));
  log::set_sink({});
  log::set_level(log::Level::warn);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].starts_with("no bid for e of this node: ")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("no bid for other of this node: ")) << lines[1];
}

TEST_F(BidsTest, ABidIsSignedAndOpenUntilItExpires) {
  const auto bid = bids.answer(bid_request("e"), alice.did());
  ASSERT_TRUE(bid);
  EXPECT_EQ(bid->ensemble_id, "e");
  EXPECT_TRUE(bid->verify());
  EXPECT_TRUE(opened(alice, "e"));
  w.settle(kBidTime + 1s);
  EXPECT_FALSE(opened(alice, "e"));
  bids.sweep();
  EXPECT_EQ(bids.size(), 0U);
  EXPECT_EQ(metrics.bids.value(), 1U);
  EXPECT_EQ(metrics.open_bids.value(), 0);
}

TEST_F(BidsTest, ABidGrantsResultsOfTheSizeAskedForOrLess) {
  for (const auto& [asked, granted] : {std::pair(0ULL, 0ULL), std::pair(100ULL, 100ULL), std::pair(5000ULL, 1000ULL)}) {
    EnsembleBidRequest request = bid_request("e");
    request.request[0].v1->results_limit = asked;
    const auto bid = bids.answer(request, alice.did());
    ASSERT_TRUE(bid);
    EXPECT_EQ(bid->offer->results_limit, granted);
  }
}

TEST_F(BidsTest, ABidStatesItsPriceTheLoadOfTheMachineAndWhatIsNotEnforced) {
  const auto bid = bids.answer(bid_request("e", 2), alice.did());
  ASSERT_TRUE(bid);
  EXPECT_EQ(bid->offer->price, 7u + 2000u);
  EXPECT_EQ(bid->offer->load, 500u) << "half of the cores are in use, and less of the memory and disk";
  EXPECT_EQ(bid->offer->unenforced, (std::map<std::string, std::string>{{"null", "processor time is not limited"}}))
      << "of the executors that the node needs";
  EXPECT_FALSE(bid->offer_signature.empty());
  EXPECT_TRUE(bid->verify());
}

TEST_F(BidsTest, ABidIsForAllNodesThatTheMachineCanServeWithTheTermsOfEach) {
  EnsembleBidRequest request = bid_request("e", 1);
  for (const auto& [name, cores] : {std::pair("m", 2), std::pair("large", 64)}) {
    NodeRequest& one = request.request.emplace_back().v1.emplace(node_request(cores));
    one.node_id = name;
    one.results_limit = 10;
  }
  const auto bid = bids.answer(request, alice.did());
  ASSERT_TRUE(bid);
  EXPECT_TRUE(bid->verify());
  const std::vector<Bid> made = bid->by_node();
  std::map<std::string, Bid> by_node;
  for (const Bid& one : made) by_node.emplace(one.node_id, one);
  ASSERT_EQ(by_node.size(), 2U);
  EXPECT_EQ(by_node.at("n").offer->price, 7u + 1000u);
  EXPECT_EQ(by_node.at("n").offer->results_limit, 0u);
  EXPECT_EQ(by_node.at("m").offer->price, 7u + 2000u);
  EXPECT_EQ(by_node.at("m").offer->results_limit, 10u);
  for (const auto& [name, one] : by_node) {
    EXPECT_EQ(one.offer->free, machine(4, 8));
    EXPECT_EQ(one.offer->load, 500u);
    EXPECT_EQ(one.offer->unenforced, (std::map<std::string, std::string>{{"null", "processor time is not limited"}}));
  }
  EXPECT_FALSE(bid->offer->also->at(0).free) << "it does not differ";

  const Bids::Open open = bids.open({alice.did(), "e"}).value();
  EXPECT_EQ(open.of("n"), machine(1, 1));
  EXPECT_EQ(open.of("m"), machine(2, 2));
  EXPECT_EQ(open.of("large"), open.of(bid->node_id)) << "of a node that was not bid for: what V1 is for";
  EXPECT_EQ(bids.size(), 1U);
}

TEST_F(BidsTest, ARequesterThatCopiesAnEnsembleIdDoesNotBlockItsOwner) {
  ASSERT_TRUE(bids.answer(bid_request("e", 1), bob.did())) << "bob's request with alice's id is the first";
  ASSERT_TRUE(bids.answer(bid_request("e", 2), alice.did()));
  EXPECT_EQ(bids.open({alice.did(), "e"})->of("n"), machine(2, 2));
  bids.withdraw({bob.did(), "e"});
  EXPECT_TRUE(opened(alice, "e"));
  EXPECT_FALSE(opened(bob, "e"));
}

TEST_F(BidsTest, ARoundIsAnsweredOnceForEachRequester) {
  const EnsembleBidRequest round = bid_request("e");
  ASSERT_TRUE(bids.answer(round, alice.did()));
  EXPECT_EQ(bids.answer(round, alice.did()).error().reason, BidRefusal::repeated);
  EXPECT_TRUE(bids.answer(round, bob.did()));
  EXPECT_TRUE(bids.answer(bid_request("e"), alice.did()));
  EXPECT_EQ(metrics.bid_refusals[BidRefusal::repeated].value(), 1U);
}

TEST_F(BidsTest, TheBidsOfOneRequesterAreBoundedAndDoNotAffectOthers) {
  for (std::size_t i = 0; i < kMaxBidsPerOwner; ++i)
    ASSERT_TRUE(bids.answer(bid_request("e" + std::to_string(i)), alice.did())) << i;
  EXPECT_EQ(bids.answer(bid_request("more"), alice.did()).error().reason, BidRefusal::too_many);
  EXPECT_TRUE(bids.answer(bid_request("e0"), alice.did())) << "another round of an open bid";
  EXPECT_TRUE(bids.answer(bid_request("more"), bob.did()));
}

TEST_F(BidsTest, ManyUnknownRequestersLeavePlacesForNamedOnes) {
  std::size_t made = 0;
  for (std::size_t owner = 0; owner * kMaxBidsPerOwner < kMaxBids; ++owner) {
    const auto stranger = did::Did::from(crypto::PrivateKey::generate(node.lane().random()).public_key()).value();
    for (std::size_t i = 0; i < kMaxBidsPerOwner; ++i)
      made += bids.answer(bid_request(fmt::format("e{}", i)), stranger) ? 1 : 0;
  }
  EXPECT_EQ(made, kMaxBids - kReservedBids);
  EXPECT_EQ(bids.answer(bid_request("e"), bob.did()).error().reason, BidRefusal::too_many) << "bob is not named";
  actor::TestWorld::trust(node, alice);
  EXPECT_TRUE(bids.answer(bid_request("e"), alice.did()));
}

TEST_F(BidsTest, WhatIsKeptOfARequestIsBoundedInBytes) {
  const std::string large(1 << 20, 'x');
  EnsembleBidRequest request = bid_request("e");
  request.request[0].v1->node_id = large;
  EXPECT_EQ(bids.answer(request, alice.did()).error().reason, BidRefusal::malformed);
  request = bid_request("e");
  request.request[0].v1->resources.cpu.vendor = large;
  EXPECT_EQ(bids.answer(request, alice.did()).error().reason, BidRefusal::malformed);
  EXPECT_EQ(bids.size(), 0U);
  request = bid_request("e");
  request.request[0].v1->resources.cpu.vendor = std::string(kMaxResources / 2, 'x');
  EXPECT_TRUE(bids.answer(request, alice.did()));
}

TEST_F(BidsTest, UnsafeIdsGetNoBid) {
  for (const char* id : {"", "../x", "a/b", ".hidden", "a b"})
    EXPECT_EQ(bids.answer(bid_request(id), alice.did()).error().reason, BidRefusal::malformed) << id;
  EXPECT_EQ(bids.size(), 0U);
}

}  // namespace
}  // namespace dms::provider
