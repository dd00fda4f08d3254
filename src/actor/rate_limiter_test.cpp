#include "actor/rate_limiter.hpp"

#include <gtest/gtest.h>

#include <list>

namespace dms::actor {
namespace {

crypto::PeerId peer(std::uint64_t number) {
  SeededRandom random(number);
  return crypto::PeerId::from(crypto::PrivateKey::generate(random).public_key());
}
SteadyTime at(Duration since) { return SteadyTime(since); }

Envelope unicast(std::string behaviour) {
  Envelope envelope;
  SeededRandom random(99);
  envelope.to.id = Id::from(crypto::PrivateKey::generate(random).public_key());
  envelope.behaviour = std::move(behaviour);
  return envelope;
}
Envelope broadcast(std::string topic) {
  Envelope envelope;
  envelope.behaviour = "/broadcast/hello";
  envelope.options.topic = std::move(topic);
  return envelope;
}

const crypto::PeerId kSelf = peer(0);
const crypto::PeerId kAlice = peer(1);
const crypto::PeerId kBob = peer(2);

TEST(RateLimiter, APeerIsChargedToItsOwnBucket) {
  RateLimiter limiter(kSelf, {.rate = 10, .burst = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.charge(kAlice, at(0s)));
  EXPECT_FALSE(limiter.charge(kAlice, at(0s)));
  EXPECT_TRUE(limiter.charge(kBob, at(0s)));
  EXPECT_FALSE(limiter.charge(kAlice, at(99ms)));
  EXPECT_TRUE(limiter.charge(kAlice, at(110ms)));
  EXPECT_FALSE(limiter.charge(kAlice, at(110ms)));
}

TEST(RateLimiter, ABucketRefillsUpToTheBurst) {
  RateLimiter limiter(kSelf, {.rate = 10, .burst = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.charge(kAlice, at(0s)));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.charge(kAlice, at(1h)));
  EXPECT_FALSE(limiter.charge(kAlice, at(1h)));
}

TEST(RateLimiter, TheLocalHostIsNotCharged) {
  RateLimiter limiter(kSelf, {.rate = 1, .burst = 1});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limiter.charge(kSelf, at(0s)));
}

TEST(RateLimiter, AMessageIsChargedByItsSize) {
  constexpr std::size_t kUnit = RateLimiter::kBytesPerCharge;
  RateLimiter limiter(kSelf, {.rate = 1, .burst = 4});
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), kUnit)) << "one";
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), kUnit + 1)) << "two";
  EXPECT_FALSE(limiter.charge(kAlice, at(0s), kUnit + 1));
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), 1)) << "one is left";
  EXPECT_FALSE(limiter.charge(kAlice, at(0s)));
  EXPECT_TRUE(limiter.charge(kBob, at(0s), 100 * kUnit)) << "at most the burst: no message is refused for ever";
  EXPECT_FALSE(limiter.charge(kBob, at(3s), 100 * kUnit));
  EXPECT_TRUE(limiter.charge(kBob, at(4s), 100 * kUnit));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limiter.charge(kSelf, at(0s), 100 * kUnit));
}

TEST(RateLimiter, EachExpectedReplyFreesOneMessage) {
  constexpr std::size_t kLarge = 10 * RateLimiter::kBytesPerCharge;
  RateLimiter limiter(kSelf, {.rate = 1, .burst = 2});
  std::optional<RateLimiter::Expected> first(std::in_place, limiter, kAlice);
  std::optional<RateLimiter::Expected> second(std::in_place, limiter, kAlice);
  EXPECT_TRUE(limiter.charge(kAlice, at(0s))) << "a small one is charged";
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), kLarge)) << "free";
  first.reset();
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), kLarge)) << "free: the reply to the second request";
  EXPECT_FALSE(limiter.charge(kAlice, at(0s), kLarge)) << "both are used";
  EXPECT_FALSE(limiter.charge(kBob, at(0s), kLarge) && limiter.charge(kBob, at(0s), kLarge)) << "not expected of bob";
  second.reset();
  EXPECT_TRUE(limiter.charge(kAlice, at(0s))) << "the bucket was not touched";
  EXPECT_FALSE(limiter.charge(kAlice, at(0s)));
  const RateLimiter::Expected third(limiter, kAlice);
  EXPECT_TRUE(limiter.charge(kAlice, at(0s))) << "a small reply is not refused, either";
  EXPECT_FALSE(limiter.charge(kAlice, at(0s)));
}

TEST(RateLimiter, APeerThatAnswersNothingGetsABoundedNumberOfFreeMessages) {
  constexpr std::size_t kPage = 64 * RateLimiter::kBytesPerCharge;
  const RateLimits defaults;
  RateLimiter limiter(kSelf);
  std::list<RateLimiter::Expected> unanswered;
  for (int i = 0; i < 1024; ++i) unanswered.emplace_back(limiter, kAlice);
  const RateLimiter::Expected other(limiter, kBob);
  std::size_t taken = 0;
  while (taken < 1024 && limiter.charge(kAlice, at(0s), kPage)) ++taken;
  EXPECT_EQ(taken, defaults.free_per_peer + static_cast<std::size_t>(defaults.burst) / 64) << "then the bucket paid";
  EXPECT_TRUE(limiter.charge(kBob, at(0s), kPage)) << "another peer has places of its own";
  unanswered.pop_back();
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), kPage)) << "one for the request that has ended";
  EXPECT_FALSE(limiter.charge(kAlice, at(0s), kPage));
}

TEST(RateLimiter, MoreRepliesThanPlacesAreFreeInTurn) {
  constexpr std::size_t kLarge = 10 * RateLimiter::kBytesPerCharge;
  RateLimiter limiter(kSelf, {.rate = 1, .burst = 2, .free_per_peer = 1});
  std::list<RateLimiter::Expected> awaited;
  for (int i = 0; i < 10; ++i) awaited.emplace_back(limiter, kAlice);
  for (; !awaited.empty(); awaited.pop_back()) EXPECT_TRUE(limiter.charge(kAlice, at(0s), kLarge)) << awaited.size();
  EXPECT_TRUE(limiter.charge(kAlice, at(0s))) << "the bucket was not touched";
  EXPECT_TRUE(limiter.charge(kAlice, at(0s)));
  EXPECT_FALSE(limiter.charge(kAlice, at(0s)));
}

TEST(RateLimiter, ALargeNoticeLeavesTheBucketToTheReplyAndToSmallOnes) {
  constexpr std::size_t kLarge = 10 * RateLimiter::kBytesPerCharge;
  RateLimiter limiter(kSelf, {.rate = 1, .burst = 11});
  const RateLimiter::Expected reply(limiter, kAlice);
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), kLarge)) << "a notice, in the place of the reply";
  EXPECT_TRUE(limiter.charge(kAlice, at(0s), kLarge)) << "the reply";
  EXPECT_TRUE(limiter.charge(kAlice, at(0s))) << "a small notice";
  EXPECT_FALSE(limiter.charge(kAlice, at(0s)));
}

TEST(RateLimiter, TheTableOfPeersIsBoundedAndDropsFullBuckets) {
  RateLimiter limiter(kSelf, {.rate = 1, .burst = 2, .peers = 3});
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(limiter.charge(peer(i), at(0s)));
  EXPECT_FALSE(limiter.charge(peer(4), at(0s))) << "no bucket is full yet";
  EXPECT_TRUE(limiter.charge(kAlice, at(500ms))) << "known peers are served";
  EXPECT_TRUE(limiter.charge(peer(4), at(1200ms))) << "the buckets of peers 2 and 3 are full and are dropped";
  EXPECT_EQ(limiter.peers(), 2u);
}

TEST(RateLimiter, PlacesArePerPeerAndInAll) {
  RateLimiter limiter(kSelf, {.active = 3, .active_per_peer = 2});
  auto a = limiter.admit(kAlice, unicast("/x"));
  auto b = limiter.admit(kAlice, unicast("/x"));
  EXPECT_TRUE(a && b);
  EXPECT_FALSE(limiter.admit(kAlice, unicast("/x")));
  auto c = limiter.admit(kBob, unicast("/x"));
  EXPECT_TRUE(c);
  EXPECT_FALSE(limiter.admit(kBob, unicast("/x")));
  a.reset();
  EXPECT_TRUE(limiter.admit(kBob, unicast("/x")));
  EXPECT_EQ(limiter.active(), 2u);
}

TEST(RateLimiter, BroadcastsAndPublicBehavioursHaveSeparateLimits) {
  RateLimiter limiter(kSelf,
                      {.active_public = 1, .active_broadcast = 3, .active_per_topic = 1, .topics = {{"/wide", 5}}});
  auto a = limiter.admit(kAlice, broadcast("/narrow"));
  EXPECT_TRUE(a);
  EXPECT_FALSE(limiter.admit(kBob, broadcast("/narrow")));
  auto b = limiter.admit(kAlice, broadcast("/wide"));
  auto c = limiter.admit(kAlice, broadcast("/wide"));
  EXPECT_TRUE(b && c);
  EXPECT_FALSE(limiter.admit(kAlice, broadcast("/wide"))) << "three broadcasts in all";
  auto d = limiter.admit(kAlice, unicast("/public/hello"));
  EXPECT_TRUE(d);
  EXPECT_FALSE(limiter.admit(kBob, unicast("/public/hello")));
  EXPECT_TRUE(limiter.admit(kBob, unicast("/dms/node/peers/list")));
}

TEST(RateLimiter, EveryPlaceIsReleased) {
  RateLimiter limiter(
      kSelf, {.active = 8, .active_per_peer = 4, .active_public = 3, .active_broadcast = 3, .active_per_topic = 2});
  SeededRandom random(5);
  std::vector<RateLimiter::Permit> held;
  for (int i = 0; i < 2000; ++i) {
    if (!held.empty() && random.below(2) == 0) {
      held.pop_back();
      continue;
    }
    const Envelope envelopes[] = {unicast("/public/x"), unicast("/y"), broadcast("/a"), broadcast("/b")};
    auto permit = limiter.admit(peer(random.below(3)), envelopes[random.below(4)]);
    if (permit) held.push_back(std::move(*permit));
    ASSERT_EQ(limiter.active(), held.size());
  }
  held.clear();
  EXPECT_EQ(limiter.active(), 0u);
  EXPECT_TRUE(limiter.admit(kAlice, broadcast("/a")));
}

}  // namespace
}  // namespace dms::actor
