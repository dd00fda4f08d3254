#include "api/quota.hpp"

#include <gtest/gtest.h>

namespace dms::api {
namespace {

using Admission = UserQuota::Admission;
constexpr UserId kOwn = 1000;

QuotaLimits small() {
  QuotaLimits limits;
  limits.connections = 10;
  limits.per_user = 3;
  limits.operators = {.rate = 10, .burst = 20};
  limits.foreign = {.rate = 1, .burst = 2};
  limits.all_foreign = {.rate = 2, .burst = 5};
  return limits;
}

TEST(UserQuota, AUserIsServedUpToItsLimitAndAnswered503UpToTwice) {
  UserQuota quota(kOwn, small());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.connect(7), Admission::serve);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.connect(7), Admission::busy);
  EXPECT_EQ(quota.connect(7), Admission::close);
  EXPECT_EQ(quota.connections(), 6U) << "a closed one does not count";
  EXPECT_EQ(quota.connect(8), Admission::serve) << "another user is not affected";
  for (int i = 0; i < 6; ++i) quota.disconnect(7);
  EXPECT_EQ(quota.connect(7), Admission::serve);
}

TEST(UserQuota, ForeignUsersTogetherLeaveConnectionsForTheOperators) {
  UserQuota quota(kOwn, small());
  std::size_t served = 0;
  for (UserId user = 1; user < 100; ++user) served += quota.connect(user) == Admission::serve ? 1 : 0;
  EXPECT_EQ(served, 7U);
  for (int i = 0; i < 3; ++i) EXPECT_NE(quota.connect(kOwn), Admission::close);
  UserQuota empty(kOwn, small());
  for (UserId user = 1; user < 8; ++user) (void)empty.connect(user);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(empty.connect(kOwn), Admission::serve);
  EXPECT_EQ(empty.connect(0), Admission::busy) << "all places are taken";
}

TEST(UserQuota, ForeignConnectionsThatAreAnsweredBusyTakeNoPlaceOfTheOperators) {
  UserQuota quota(kOwn, small());
  for (UserId user = 1; user < 100; ++user)
    for (int i = 0; i < 7; ++i) (void)quota.connect(user);
  EXPECT_EQ(quota.connections(), 14U) << "served and answered busy";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.connect(kOwn), Admission::serve);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.connect(kOwn), Admission::busy);
}

TEST(UserQuota, BodiesOfForeignUsersAreBoundedForOneAndForAll) {
  QuotaLimits limits = small();
  limits.bodies = 100;
  limits.all_foreign_bodies = 150;
  UserQuota quota(kOwn, limits);
  EXPECT_TRUE(quota.hold(7, 60));
  EXPECT_TRUE(quota.hold(7, 40));
  EXPECT_FALSE(quota.hold(7, 1));
  EXPECT_TRUE(quota.hold(8, 50)) << "another user is not affected";
  EXPECT_FALSE(quota.hold(9, 1)) << "as much as foreign users have together";
  EXPECT_FALSE(quota.hold(std::nullopt, 1));
  EXPECT_TRUE(quota.hold(kOwn, 1000));
  EXPECT_TRUE(quota.hold(0, 1000));
  quota.let_go(7, 60);
  EXPECT_TRUE(quota.hold(9, 60));
  EXPECT_FALSE(quota.hold(7, std::numeric_limits<std::uint64_t>::max()));
}

TEST(UserQuota, ItIsToldWhenNothingIsHeldAfterMuchWas) {
  UserQuota quota(kOwn, small());
  ASSERT_TRUE(quota.hold(7, UserQuota::kManyBytes));
  EXPECT_FALSE(quota.let_go(7, UserQuota::kManyBytes)) << "not more than that";
  ASSERT_TRUE(quota.hold(7, UserQuota::kManyBytes));
  ASSERT_TRUE(quota.hold(kOwn, 1));
  EXPECT_FALSE(quota.let_go(7, UserQuota::kManyBytes));
  EXPECT_TRUE(quota.let_go(kOwn, 1));
  ASSERT_TRUE(quota.hold(kOwn, 1));
  EXPECT_FALSE(quota.let_go(kOwn, 1));
}

TEST(UserQuota, LargeBodiesCostMore) {
  UserQuota quota(kOwn, small());
  constexpr std::size_t kUnit = UserQuota::kBytesPerCharge;
  EXPECT_TRUE(quota.charge(7, SteadyTime{}, kUnit)) << "one for the request, one for its body";
  EXPECT_FALSE(quota.charge(7, SteadyTime{}));
  EXPECT_TRUE(quota.charge(8, SteadyTime{}, 100 * kUnit)) << "at most the burst: no request is refused for ever";
  EXPECT_FALSE(quota.charge(9, SteadyTime{}, kUnit)) << "one is left for all foreign users";
  EXPECT_TRUE(quota.charge(kOwn, SteadyTime{}, 19 * kUnit));
  EXPECT_FALSE(quota.charge(kOwn, SteadyTime{}));
}

TEST(UserQuota, ConnectionsWithoutAKnownUserShareOneQuota) {
  UserQuota quota(kOwn, small());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(quota.connect(std::nullopt), Admission::serve);
  EXPECT_EQ(quota.connect(std::nullopt), Admission::busy);
  EXPECT_FALSE(quota.is_operator(std::nullopt));
}

TEST(UserQuota, RequestsAreChargedToTheirUserAndRefill) {
  UserQuota quota(kOwn, small());
  const SteadyTime start{};
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(quota.charge(7, start));
  EXPECT_FALSE(quota.charge(7, start));
  EXPECT_TRUE(quota.charge(8, start));
  EXPECT_TRUE(quota.charge(7, start + 1s));
  EXPECT_FALSE(quota.charge(7, start + 1s));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(quota.charge(kOwn, start));
  EXPECT_FALSE(quota.charge(kOwn, start)) << "the daemon's own user is charged too";
}

TEST(UserQuota, ForeignUsersTogetherHaveALimitToo) {
  UserQuota quota(kOwn, small());
  std::size_t taken = 0;
  for (UserId user = 1; user < 100; ++user) taken += quota.charge(user, SteadyTime{}) ? 1 : 0;
  EXPECT_EQ(taken, 5U);
  EXPECT_TRUE(quota.charge(kOwn, SteadyTime{}));
}

TEST(UserQuota, BucketsOfManyUsersAreBounded) {
  QuotaLimits limits;
  limits.all_foreign = {.rate = 1e9, .burst = 1e9};
  UserQuota quota(kOwn, limits);
  std::size_t taken = 0;
  for (UserId user = 1; user <= 2 * UserQuota::kMaxBuckets; ++user)
    if (user != kOwn) taken += quota.charge(user, SteadyTime{}) ? 1 : 0;
  EXPECT_EQ(taken, UserQuota::kMaxBuckets);
  EXPECT_TRUE(quota.charge(kOwn, SteadyTime{}));
  EXPECT_TRUE(quota.charge(5000, SteadyTime{} + 10s)) << "full buckets are dropped";
}

TEST(UserQuota, AnOperatorIsChargedLikeARemotePeer) {
  const actor::RateLimits peer;
  UserQuota quota(kOwn, {});
  for (int i = 0; i < static_cast<int>(peer.burst); ++i) ASSERT_TRUE(quota.charge(kOwn, SteadyTime{})) << i;
  EXPECT_FALSE(quota.charge(kOwn, SteadyTime{}));
  EXPECT_TRUE(quota.charge(kOwn, SteadyTime{} + 1s));
  EXPECT_TRUE(quota.charge(0, SteadyTime{})) << "root has its own bucket";
}

}  // namespace
}  // namespace dms::api
