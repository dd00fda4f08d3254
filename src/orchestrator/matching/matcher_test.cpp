#include "orchestrator/matching/matcher.hpp"

#include <gtest/gtest.h>

namespace dms::orchestrator {
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

TEST(Matcher, ABidWithoutAnOfferScoresLowest) {
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
