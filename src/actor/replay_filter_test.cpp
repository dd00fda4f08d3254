#include "actor/replay_filter.hpp"

#include <gtest/gtest.h>

#include <map>

namespace dms::actor {
namespace {

using Verdict = ReplayFilter::Verdict;

Id sender(int number) {
  SeededRandom random(static_cast<std::uint64_t>(number));
  return Id::from(crypto::PrivateKey::generate(random).public_key());
}

struct ReplayFilterTest : testing::Test {
  Verdict take(const Id& from, std::uint64_t nonce, UnixTime now, UnixTime expiry) {
    const Verdict verdict = filter.check(from, nonce, now);
    if (verdict == Verdict::fresh) filter.remember(from, nonce, expiry);
    return verdict;
  }
  ReplayFilter filter{{.senders = 2, .window = 4}};
  const Id ann = sender(1);
  const Id bob = sender(2);
  const Id eve = sender(3);
};

TEST_F(ReplayFilterTest, TakesAMessageOnce) {
  EXPECT_EQ(take(ann, 7, {10}, {100}), Verdict::fresh);
  EXPECT_EQ(take(ann, 7, {11}, {100}), Verdict::seen);
  EXPECT_EQ(take(ann, 8, {11}, {100}), Verdict::fresh);
  EXPECT_EQ(take(bob, 7, {11}, {100}), Verdict::fresh) << "nonces are each sender's own";
}

TEST_F(ReplayFilterTest, RemembersUpToTheLastInstantOfTheMessage) {
  EXPECT_EQ(take(ann, 7, {10}, {100}), Verdict::fresh);
  EXPECT_EQ(take(ann, 7, {100}, {100}), Verdict::seen);
  EXPECT_EQ(filter.check(ann, 7, {101}), Verdict::fresh) << "from here on its age refuses it";
  EXPECT_EQ(filter.senders(), 0u);
}

TEST_F(ReplayFilterTest, ALaterShortLivedMessageDoesNotShortenTheMemory) {
  EXPECT_EQ(take(ann, 7, {10}, {100}), Verdict::fresh);
  EXPECT_EQ(take(ann, 8, {10}, {20}), Verdict::fresh);
  EXPECT_EQ(take(ann, 7, {50}, {100}), Verdict::seen);
}

TEST_F(ReplayFilterTest, BeyondTheWindowOldNoncesCountAsSeen) {
  for (std::uint64_t nonce : {10, 12, 14, 16, 18}) EXPECT_EQ(take(ann, nonce, {1}, {100}), Verdict::fresh);
  EXPECT_EQ(take(ann, 10, {1}, {100}), Verdict::seen);
  EXPECT_EQ(take(ann, 9, {1}, {100}), Verdict::seen) << "older than what is remembered";
  EXPECT_EQ(take(ann, 11, {1}, {100}), Verdict::fresh) << "late, but within the window";
}

TEST_F(ReplayFilterTest, WhenAllPlacesAreTakenAFurtherSenderIsRefusedUntilOneIsFree) {
  EXPECT_EQ(take(ann, 1, {1}, {100}), Verdict::fresh);
  EXPECT_EQ(take(bob, 1, {1}, {200}), Verdict::fresh);
  EXPECT_EQ(take(eve, 1, {1}, {100}), Verdict::full);
  EXPECT_EQ(take(ann, 2, {1}, {100}), Verdict::fresh) << "those who have a place keep it";
  EXPECT_EQ(take(eve, 1, {101}, {200}), Verdict::fresh);
}

// Against a memory without bounds: nothing is ever taken twice, and with few enough messages nothing is refused
// wrongly.
TEST(ReplayFilterModel, NeverTakesAMessageTwice) {
  SeededRandom random(42);
  ReplayFilter filter({.senders = 3, .window = 8});
  const Id ids[] = {sender(1), sender(2), sender(3), sender(4), sender(5)};
  std::map<std::pair<Id, std::uint64_t>, std::uint64_t> taken;
  std::uint64_t now = 1000;
  std::size_t fresh = 0;
  for (int i = 0; i < 20'000; ++i) {
    now += random.below(3);
    const Id& id = ids[random.below(5)];
    const std::uint64_t nonce = now / 4 + random.below(12);
    const std::uint64_t expiry = now + random.below(60);
    const auto key = std::pair(id, nonce);
    const auto verdict = filter.check(id, nonce, {now});
    const auto before = taken.find(key);
    const bool must_refuse = before != taken.end() && before->second >= now;
    if (must_refuse) {
      ASSERT_NE(verdict, Verdict::fresh) << "message " << i;
    }
    if (verdict != Verdict::fresh) continue;
    ++fresh;
    filter.remember(id, nonce, {expiry});
    taken[key] = expiry;
    ASSERT_LE(filter.senders(), 3u);
  }
  EXPECT_GT(fresh, 1000u);
}

}  // namespace
}  // namespace dms::actor
