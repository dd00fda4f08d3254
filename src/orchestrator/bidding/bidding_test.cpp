#include <gtest/gtest.h>

#include "orchestrator/bidding/bid.hpp"
#include "orchestrator/bidding/bidder.hpp"
#include "orchestrator/matching/matcher.hpp"

namespace dms::orchestrator {
namespace {

using capability::kGiB;

capability::Resources machine(double cores, std::uint64_t gib) {
  capability::Resources r;
  r.cpu.cores = *capability::Millicores::from_cores(cores);
  r.ram.size = {gib * kGiB};
  r.disk.size = {gib * kGiB};
  return r;
}

struct BidTest : testing::Test {
  SeededRandom random{7};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);
  Bid bid;
  void SetUp() override {
    bid.ensemble_id = "e<1>";
    bid.node_id = "n1";
    bid.peer = crypto::PeerId::from(key.public_key()).to_string();
    bid.location.continent = "Europe";
    ASSERT_TRUE(bid.sign(key));
  }
};

TEST_F(BidTest, SignatureSurvivesTheWire) {
  bid.offer = Offer{machine(4, 8)};
  auto back = json::decode<Bid>(json::encode(bid));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_TRUE(back->verify());
  EXPECT_EQ(back->ensemble_id, "e<1>");
  EXPECT_EQ(back->offer->free, machine(4, 8));
}

TEST_F(BidTest, EveryChangedFieldIsNoticed) {
  const std::string text = json::encode(bid);
  for (const auto& [from, to] :
       {std::pair("\"n1\"", "\"n2\""), std::pair("Europe", "Africa"), std::pair("e\\u003c1", "f\\u003c1")}) {
    std::string changed = text;
    changed.replace(changed.find(from), std::string_view(from).size(), to);
    auto back = json::decode<Bid>(changed);
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_TRUE(back->verify().error().is(Errc::permission_denied)) << changed;
  }
}

TEST_F(BidTest, AnotherPeersNameIsNotOursToUse) {
  const auto other = crypto::PrivateKey::generate(random);
  bid.peer = crypto::PeerId::from(other.public_key()).to_string();
  ASSERT_TRUE(bid.sign(key));
  EXPECT_FALSE(bid.verify());
}

TEST_F(BidTest, MembersThatNewerNodesAddAreCoveredByTheirSignature) {
  json::Value v1 = json::parse(json::encode(bid))->at("V1");
  v1.get_object()["PubAddress"] = "192.0.2.1";
  v1.get_object()["Signature"] = nullptr;
  json::Value wire;
  auto signature = key.sign(as_bytes("dms-bid-" + json::write(v1)));
  v1.get_object()["Signature"] = *json::parse(json::encode(*signature));
  wire.emplace_object()["V1"] = v1;
  auto back = json::from_value<Bid>(wire);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->verify());
}

TEST_F(BidTest, MalformedBidsAreRefusedWithTheFieldsName) {
  EXPECT_NE(json::decode<Bid>(R"({"V1":{"Peer":5}})").error().to_string().find("V1.Peer"), std::string::npos);
  EXPECT_FALSE(json::decode<Bid>(R"({"V1":null})"));
  EXPECT_FALSE(json::decode<Bid>(R"([])"));
}

struct BidderTest : testing::Test {
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
  Result<NodeRequest> choose() {
    request.request = {BidRequest{node}};
    return choose_request(request, offering, random);
  }
  std::string refusal() { return choose().error().to_string(); }
};

TEST_F(BidderTest, BidsForWhatItCanServe) { EXPECT_EQ(choose()->node_id, "n1"); }

TEST_F(BidderTest, EachReasonForSilenceIsNamed) {
  offering.onboarded = false;
  EXPECT_NE(refusal().find("not onboarded"), std::string::npos);
  offering.onboarded = true;
  node.executors = {"docker"};
  EXPECT_NE(refusal().find("'docker'"), std::string::npos);
  node.executors = {"sandbox"};
  node.resources = machine(1, 9);
  EXPECT_NE(refusal().find("ram.size"), std::string::npos);
  node.resources = machine(1, 1);
  node.location.accept = {{.continent = "Asia"}};
  EXPECT_NE(refusal().find("location"), std::string::npos);
  node.location = {};
  node.general_requirements.privileged_docker = true;
  EXPECT_NE(refusal().find("privileged"), std::string::npos);
  node.general_requirements = {};
  request.peer_exclusion = {offering.self.to_string()};
  EXPECT_NE(refusal().find("excluded"), std::string::npos);
  request.peer_exclusion = {};
  offering.ports_available = [](const PublicPorts&) -> Result<void> {
    return fail(dms::Errc::limit_exceeded, "no ports");
  };
  EXPECT_NE(refusal().find("no ports"), std::string::npos);
}

TEST_F(BidderTest, TheFirstNodeThatFitsIsAnsweredAmongMany) {
  NodeRequest large = node;
  large.node_id = "large";
  large.resources = machine(64, 64);
  for (int i = 0; i < 20; ++i) {
    request.request = {BidRequest{large}, BidRequest{node}, BidRequest{}};
    EXPECT_EQ(choose_request(request, offering, random)->node_id, "n1");
  }
  request.request.assign(kMaxNodeRequests + 1, BidRequest{node});
  EXPECT_TRUE(choose_request(request, offering, random).error().is(dms::Errc::limit_exceeded));
}

Bid offer(std::string peer, std::optional<capability::Resources> free) {
  Bid bid;
  bid.peer = std::move(peer);
  if (free) bid.offer = Offer{*free};
  return bid;
}

TEST(Matcher, TheSmallestMachineThatFitsIsBest) {
  const auto job = machine(2, 2);
  EXPECT_EQ(
      best_match(job, {offer("big", machine(64, 64)), offer("fit", machine(2, 2)), offer("small", machine(1, 1))}), 1u);
  EXPECT_EQ(best_match(job, {offer("small", machine(1, 1))}), std::nullopt);
  EXPECT_EQ(best_match(job, {}), std::nullopt);
}

TEST(Matcher, ABidWithoutAnOfferIsTheLastResort) {
  const auto job = machine(2, 2);
  EXPECT_EQ(best_match(job, {offer("unknown", std::nullopt), offer("big", machine(512, 512))}), 1u);
  EXPECT_EQ(best_match(job, {offer("unknown", std::nullopt)}), 0u);
}

TEST(Matcher, EqualBidsAreDecidedByPeerId) {
  const auto job = machine(1, 1);
  EXPECT_EQ(best_match(job, {offer("b", machine(2, 2)), offer("a", machine(2, 2))}), 1u);
}

}  // namespace
}  // namespace dms::orchestrator
