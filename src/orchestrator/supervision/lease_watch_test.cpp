// When a machine is suspected, silent, and when its work has surely ended.
#include "orchestrator/supervision/lease_watch.hpp"

#include <gtest/gtest.h>

#include "orchestrator/supervision/provider_backoff.hpp"

namespace dms::orchestrator {
namespace {

constexpr SteadyTime at(Duration time) { return SteadyTime(time); }

TEST(LeaseWatch, TheIntervalIsAQuarterOfTheLeaseWithinBounds) {
  EXPECT_EQ(renewal_interval(1s), 1s);
  EXPECT_EQ(renewal_interval(10s), 2500ms);
  EXPECT_EQ(renewal_interval(24h), 30s);
}

TEST(LeaseWatch, AMachineThatMissesIsAskedSoonerAndThenSilent) {
  LeaseWatch watch(10min, at(0s));
  EXPECT_EQ(watch.interval(), 30s);
  watch.not_answered("no route", at(0s));
  EXPECT_TRUE(watch.suspected());
  EXPECT_EQ(watch.interval(), kSuspectedRenewal);
  watch.not_answered("no route", at(5s));
  EXPECT_FALSE(watch.silent());
  watch.answered(at(6s), 7);
  watch.not_answered("no route", at(10s));
  EXPECT_FALSE(watch.silent()) << "an answer starts the count anew";
  watch.not_answered("no route", at(15s));
  watch.not_answered("no route", at(20s));
  EXPECT_TRUE(watch.silent());
  EXPECT_EQ(watch.error(), "no route");
}

TEST(LeaseWatch, RequestsThatFailAtOnceCountOnceInAnInterval) {
  LeaseWatch watch(5min, at(0s));
  watch.answered(at(0s), 7);
  for (int second = 1; second < 11; ++second) watch.not_answered("connection refused", at(second * 1s));
  EXPECT_TRUE(watch.suspected());
  EXPECT_FALSE(watch.silent()) << "a daemon that restarts";
  watch.not_answered("connection refused", at(11s));
  EXPECT_TRUE(watch.silent());
}

TEST(LeaseWatch, TheEndCountsFromTheReplyWhoseClockWasRepeated) {
  LeaseWatch watch(60s, at(0s));
  watch.answered(at(100s), 7);
  for (int second = 110; second < 140; second += 10) {
    watch.renewal_sent(at(second * 1s) + 10s);
    watch.not_answered("", at(second * 1s) + 10s);
  }
  EXPECT_TRUE(watch.silent());
  EXPECT_FALSE(watch.surely_ended(at(164s), 5s));
  EXPECT_TRUE(watch.surely_ended(at(165s), 5s)) << "renewals without an answer extend nothing";
}

TEST(LeaseWatch, TheEndIsThatOfTheLastAndLongestLease) {
  LeaseWatch watch(60s, at(0s));
  watch.answered(at(100s), 7);
  watch.placed(80s, at(110s));
  watch.placed(20s, at(105s));
  EXPECT_EQ(watch.interval(), 5s) << "of the shortest";
  for (int i = 0; i < 3; ++i) watch.not_answered("", at(i * 10s));
  EXPECT_FALSE(watch.surely_ended(at(194s), 5s));
  EXPECT_TRUE(watch.surely_ended(at(195s), 5s));
}

TEST(LeaseWatch, NothingIsRenewedBeforeTheFirstAnswerAndWhileItIsSilent) {
  LeaseWatch watch(60s, at(0s));
  EXPECT_FALSE(watch.renews());
  watch.answered(at(1s), 7);
  EXPECT_TRUE(watch.renews());
  for (int i = 0; i < 3; ++i) watch.not_answered("", at(i * 10s));
  EXPECT_FALSE(watch.renews());
  watch.answered(at(100s), 9);
  EXPECT_TRUE(watch.renews());
}

TEST(LeaseWatch, ARenewalWithoutAClockCountsFromItsExpiry) {
  LeaseWatch watch(60s, at(0s));
  watch.answered(at(0s), 0);
  for (int second = 10; second < 40; second += 10) {
    watch.renewal_sent(at(second * 1s) + 10s);
    watch.not_answered("", at(second * 1s) + 10s);
  }
  EXPECT_FALSE(watch.surely_ended(at(104s), 5s));
  EXPECT_TRUE(watch.surely_ended(at(105s), 5s));
}

TEST(LeaseWatch, AMachineThatIsNotSilentHasNotSurelyEnded) {
  LeaseWatch watch(60s, at(0s));
  EXPECT_FALSE(watch.surely_ended(at(1h), 5s));
  watch.not_answered("", at(0s));
  watch.not_answered("", at(10s));
  watch.forgive();
  watch.not_answered("", at(20s));
  EXPECT_FALSE(watch.silent()) << "what was missed while this node was late does not count";
}

TEST(ProviderBackoff, EachFailureExcludesForLonger) {
  ProviderBackoff backoff;
  backoff.failed("p", at(0s));
  EXPECT_TRUE(backoff.excluded(at(29s)).contains("p"));
  EXPECT_FALSE(backoff.excluded(at(30s)).contains("p"));
  EXPECT_TRUE(backoff.excluded(at(4s), {"p"}).contains("p"));
  EXPECT_FALSE(backoff.excluded(at(5s), {"p"}).contains("p")) << "a pinned one has no substitute";
  backoff.failed("p", at(40s));
  EXPECT_TRUE(backoff.excluded(at(99s)).contains("p"));
  EXPECT_FALSE(backoff.excluded(at(100s)).contains("p"));
}

TEST(ProviderBackoff, OneThatDidNotFailForLongIsExcludedAsAtFirst) {
  ProviderBackoff backoff;
  backoff.failed("p", at(0s));
  backoff.failed("p", at(40s));
  const Duration later = 100s + kMaxProviderBackoff + 1s;
  backoff.failed("p", at(later));
  EXPECT_TRUE(backoff.excluded(at(later + 29s)).contains("p"));
  EXPECT_FALSE(backoff.excluded(at(later + 30s)).contains("p"));
}

}  // namespace
}  // namespace dms::orchestrator
