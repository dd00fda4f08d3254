#include "provider/bidder.hpp"

#include <gtest/gtest.h>

namespace dms::provider {
namespace {

using namespace protocol;
using capability::kGiB;

capability::Resources machine(double cores, std::uint64_t gib) {
  capability::Resources r;
  r.cpu.cores = *capability::Millicores::from_cores(cores);
  r.ram.size = {gib * kGiB};
  r.disk.size = {gib * kGiB};
  return r;
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

}  // namespace
}  // namespace dms::provider
