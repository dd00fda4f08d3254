#include <gtest/gtest.h>

#include "encoding/multibase.hpp"
#include "protocol/bid.hpp"

namespace dms::protocol {
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

TEST_F(BidTest, TheSignatureVerifiesAfterARoundTrip) {
  bid.offer = Offer{machine(4, 8)};
  auto back = json::decode<Bid>(json::encode(bid));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_TRUE(back->verify());
  EXPECT_EQ(back->ensemble_id, "e<1>");
  EXPECT_EQ(back->offer->free, machine(4, 8));
}

TEST_F(BidTest, AChangedFieldInvalidatesTheSignature) {
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

/// The offer is not a part of V1, over whose known members other implementations verify.
TEST_F(BidTest, TheOfferIsSignedForItsBid) {
  bid.offer = Offer{machine(4, 8)};
  bid.offer->price = 250'000;
  bid.offer->load = 500;
  bid.offer->unenforced = {{"sandbox", "processor time is not limited"}};
  ASSERT_TRUE(bid.sign(key));
  const std::string text = json::encode(bid);
  const Bid back = json::decode<Bid>(text).value();
  EXPECT_TRUE(back.verify());
  EXPECT_EQ(back.offer->price, 250'000u);
  EXPECT_EQ(back.offer->load, 500u);
  EXPECT_EQ(back.offer->unenforced, bid.offer->unenforced);
  EXPECT_FALSE(json::parse(text)->at("V1").as_object().contains("price"));

  const auto refused = [](const json::Value& wire) {
    const Result<Bid> read = json::from_value<Bid>(wire);
    return read && !read->verify() && read->verify().error().is(Errc::permission_denied);
  };
  json::Value wire = json::parse(text).value();
  wire.at("Offer").as_object()["price"] = 1;
  EXPECT_TRUE(refused(wire)) << "changed after it was signed";
  wire = json::parse(text).value();
  wire.as_object().erase("OfferSignature");
  EXPECT_TRUE(refused(wire)) << "a price that nobody has signed";
  wire.at("Offer").as_object().erase("price");
  EXPECT_TRUE(refused(wire)) << "a load that nobody has signed";
  wire.at("Offer").as_object().erase("load");
  EXPECT_TRUE(json::from_value<Bid>(wire)->verify()) << "of an older version";

  Bid another = bid;
  another.node_id = "n2";
  ASSERT_TRUE(another.sign(key));
  wire = json::to_value(another);
  wire.at("Offer") = json::parse(text)->at("Offer");
  wire.at("OfferSignature") = json::parse(text)->at("OfferSignature");
  EXPECT_TRUE(refused(wire)) << "made for another bid";

  wire = json::parse(text).value();
  wire.at("Offer").as_object()["of a newer version"] = 7;
  wire.at("OfferSignature") = json::to_value(
      key.sign(as_bytes("dms-offer-" + encode(Base::hex, bid.signature) + "-" + json::write(wire.at("Offer"))))
          .value());
  EXPECT_TRUE(json::from_value<Bid>(wire)->verify()) << "members of newer versions are covered";
}

TEST_F(BidTest, TheOtherNodesOfABidHaveTermsOfTheirOwnAndAreSigned) {
  bid.offer = Offer{machine(4, 8)};
  bid.offer->features = {"lease"};
  bid.offer->max_lease_ns = 7;
  bid.offer->price = 1;
  bid.offer->load = 500;
  std::vector<OtherNode>& also = bid.offer->also.emplace();
  also.resize(2);
  also[0].node_id = "n2";
  also[0].price = 2;
  also[0].results_limit = 100;
  also[0].unenforced = {{"sandbox", "disk is not limited"}};
  also[1].node_id = "n3";
  also[1].free = machine(2, 4);
  also[1].load = 750;
  ASSERT_TRUE(bid.sign(key));
  const std::string text = json::encode(bid);
  const Bid back = json::decode<Bid>(text).value();
  EXPECT_TRUE(back.verify());

  const std::vector<Bid> made = back.by_node();
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[0].node_id, "n1");
  EXPECT_EQ(made[0].offer->price, 1u);
  EXPECT_EQ(made[0].offer->load, 500u);
  EXPECT_EQ(made[1].node_id, "n2");
  EXPECT_EQ(made[1].offer->price, 2u);
  EXPECT_EQ(made[1].offer->results_limit, 100u);
  EXPECT_EQ(made[1].offer->unenforced, also[0].unenforced);
  EXPECT_EQ(made[1].offer->free, machine(4, 8)) << "that of the offer";
  EXPECT_EQ(made[1].offer->load, 500u);
  EXPECT_EQ(made[2].node_id, "n3");
  EXPECT_EQ(made[2].offer->price, 0u);
  EXPECT_EQ(made[2].offer->free, machine(2, 4));
  EXPECT_EQ(made[2].offer->load, 750u);
  for (const Bid& one : made) {
    EXPECT_EQ(one.ensemble_id, "e<1>");
    EXPECT_EQ(one.peer, bid.peer);
    EXPECT_EQ(one.location, bid.location);
    EXPECT_EQ(one.offer->max_lease_ns, 7);
    EXPECT_FALSE(one.offer->also);
  }

  json::Value wire = json::parse(text).value();
  wire.at("Offer").at("also").as_array()[0].as_object()["price"] = 1;
  EXPECT_FALSE(json::from_value<Bid>(wire)->verify()) << "changed after it was signed";
  bid.offer = Offer{machine(4, 8)};
  bid.offer->also.emplace();
  ASSERT_TRUE(bid.sign(key));
  wire = json::to_value(bid);
  EXPECT_TRUE(json::from_value<Bid>(wire)->offer->also) << "that there is no other node is stated";
  wire.as_object().erase("OfferSignature");
  EXPECT_FALSE(json::from_value<Bid>(wire)->verify()) << "older versions do not state it";
}

TEST_F(BidTest, OtherNodesThatAreTooManyOrNamedTwiceAreRefused) {
  const auto error = [this](std::vector<std::string> nodes) {
    bid.offer = Offer{machine(4, 8)};
    std::vector<OtherNode>& also = bid.offer->also.emplace();
    for (std::string& node : nodes) also.emplace_back().node_id = std::move(node);
    EXPECT_TRUE(bid.sign(key));
    const Result<Bid> read = json::decode<Bid>(json::encode(bid));
    return read ? std::string() : read.error().to_string();
  };
  std::vector<std::string> many;
  for (std::size_t i = 0; i < kMaxAlso; ++i) many.push_back("o" + std::to_string(i));
  EXPECT_EQ(error(many), "");
  many.emplace_back("more");
  EXPECT_NE(error(many).find("Offer.also: at most 31 are expected, found 32"), std::string::npos) << error(many);
  many.resize(5000, "x");
  EXPECT_NE(error(many).find("found 5000"), std::string::npos);
  EXPECT_NE(error({"n2", "n2"}).find("Offer.also: a node is named twice: n2"), std::string::npos);
  EXPECT_NE(error({"n2", "n1"}).find("Offer.also: a node is named twice: n1"), std::string::npos) << "that of V1";
}

TEST_F(BidTest, ABidForAnotherPeerIsRefused) {
  const auto other = crypto::PrivateKey::generate(random);
  bid.peer = crypto::PeerId::from(other.public_key()).to_string();
  ASSERT_TRUE(bid.sign(key));
  EXPECT_FALSE(bid.verify());
}

TEST_F(BidTest, MembersOfNewerNodesAreCoveredByTheSignature) {
  const auto with = [this](std::string_view member, json::Value value) {
    json::Value v1 = json::to_value(bid).at("V1");
    v1.get_object()[member] = std::move(value);
    v1.get_object()["Signature"] = nullptr;
    json::Value wire;
    auto signature = key.sign(as_bytes("dms-bid-" + json::write(v1)));
    v1.get_object()["Signature"] = json::to_value(*signature);
    wire.emplace_object()["V1"] = v1;
    return json::from_value<Bid>(wire).value();
  };
  const Bid addressed = with("PubAddress", "192.0.2.1");
  EXPECT_TRUE(addressed.verify());
  EXPECT_EQ(addressed.pub_addresses, std::vector<std::string>{"192.0.2.1"});
  EXPECT_FALSE(addressed.is_promise);
  EXPECT_TRUE(with("PromiseBid", true).verify());
  EXPECT_TRUE(with("PromiseBid", true).is_promise);
  EXPECT_TRUE(with("PromiseBid", json::Object{{"Provider", "incus"}}).is_promise);
  for (const char* nothing : {"false", "0", "\"\"", "{}", "{\"Provider\":\"\"}"})
    EXPECT_FALSE(with("PromiseBid", *json::parse(nothing)).is_promise) << nothing;
  EXPECT_FALSE(with("PromiseBid", nullptr).is_promise);
}

TEST_F(BidTest, APromiseAndAddressesOfAProviderOfTheExistingImplementationAreRead) {
  json::Value wire = json::to_value(bid);
  json::Object& v1 = wire.at("V1").as_object();
  v1["PromiseBid"] = true;
  json::Array many;
  for (std::size_t i = 0; i < 2 * kMaxPubAddresses; ++i) many.emplace_back("192.0.2.1");
  many[0] = std::string(kMaxPubAddress + 1, 'x');
  v1["PubAddress"] = many;
  const auto back = json::from_value<Bid>(wire);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_TRUE(back->is_promise);
  EXPECT_EQ(back->pub_addresses, std::vector<std::string>(kMaxPubAddresses, "192.0.2.1"));
}

TEST_F(BidTest, MalformedBidsAreRefusedWithTheFieldsName) {
  EXPECT_NE(json::decode<Bid>(R"({"V1":{"Peer":5}})").error().to_string().find("V1.Peer"), std::string::npos);
  EXPECT_FALSE(json::decode<Bid>(R"({"V1":null})"));
  EXPECT_FALSE(json::decode<Bid>(R"([])"));
}

}  // namespace
}  // namespace dms::protocol
