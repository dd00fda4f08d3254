// Every state of small configurations of the protocol, and a fault that is found for each deliberate mistake.
#include "sim/model/explorer.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/random.hpp"

namespace dms::sim::model {
namespace {

Limits small() {
  Limits limits;
  limits.cancel = false;
  limits.in_flight = 2;
  limits.lease = 3;
  limits.lifetime = 0;
  limits.bid = 1;
  limits.retention = 1;
  return limits;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DMS_ADDRESS_SANITIZER
#endif
#endif
#ifdef DMS_ADDRESS_SANITIZER
constexpr std::size_t kMostStates = 150'000;  // a second of -O2 is half a minute here
#else
constexpr std::size_t kMostStates = 4'000'000;
#endif

void expect_no_fault(const Limits& limits) {
#ifdef DMS_ADDRESS_SANITIZER
  GTEST_SKIP() << "skipped: takes a minute with the address sanitizer, which sees the same code in Mistakes";
#endif
  const Exploration found = explore(limits);
  EXPECT_TRUE(found.complete);
  EXPECT_FALSE(found.fault) << found.fault->to_string();
}

TEST(Protocol, HoldsWithMessagesLostAndLate) {
  Limits limits = small();
  limits.crashes = limits.duplicates = 0;
  expect_no_fault(limits);
}

TEST(Protocol, HoldsWithACrashAtEachStepOfOneAttempt) {
  Limits limits = small();
  limits.attempts = 1;
  limits.cancel = true;
  limits.lease = 2;
  expect_no_fault(limits);
}

TEST(Protocol, HoldsWithMessagesThatOutliveATick) {
  Limits limits = small();
  limits.crashes = limits.duplicates = 0;
  limits.attempts = 1;
  limits.lifetime = 1;
  limits.in_flight = 3;
  expect_no_fault(limits);
}

TEST(Protocol, HoldsWithFastReplacements) {
  Limits limits = small();
  limits.crashes = limits.duplicates = 0;
  limits.exclusive = false;
  limits.lease = 2;
  expect_no_fault(limits);
}

/// Each step of a state is one of its images, under other numbers.
TEST(Symmetry, NoStepTellsNumbersApart) {
  const auto reached = [](const State& from, const Limits& limits) {
    std::set<State> found;
    successors(from, limits, false,
               [&](const Step&, const State& next, const Violation&) { found.insert(canonical(next, limits)); });
    return found;
  };
  SeededRandom random(9);
  std::set<State> seen;
  for (int walk = 0; walk < 60; ++walk) {
    Limits limits = small();
    limits.allocations = 1 + walk % 2;
    limits.capacity = 1 + walk % 3 % 2;
    limits.crashes = 2;
    limits.cancel = true;
    limits.lifetime = 1;
    limits.in_flight = 3;
    State state = initial_state(limits);
    for (int step = 0; step < 40; ++step) {
      const std::set<State> next = reached(state, limits);
      for (const State& image : images(state, limits)) {
        ASSERT_TRUE(canonical(image, limits) == canonical(state, limits));
        ASSERT_EQ(check(image, limits).property, check(state, limits).property);
        ASSERT_TRUE(reached(image, limits) == next) << "walk " << walk << ", step " << step;
      }
      seen.insert(state);
      std::vector<State> ways;
      successors(state, limits, false, [&](const Step&, const State& way, const Violation&) { ways.push_back(way); });
      state = ways[random.below(ways.size())];
    }
  }
  EXPECT_GT(seen.size(), 500U) << "different states";
}

TEST(Symmetry, OneOfManyStatesFindsWhatAllOfThemHave) {
#ifdef DMS_ADDRESS_SANITIZER
  GTEST_SKIP() << "skipped: takes a minute with the address sanitizer";
#endif
  Limits limits = small();
  limits.attempts = 1;
  limits.crashes = limits.duplicates = 0;
  const Exploration all = explore(limits, kMostStates, Symmetry::none);
  const Exploration one = explore(limits, kMostStates);
  EXPECT_TRUE(all.complete && one.complete && !all.fault && !one.fault);
  EXPECT_LT(one.states, all.states);
  EXPECT_GE(2 * one.states, all.states) << "two providers have two images at most";
  limits.crashes = 1;
  limits.mutation = Mutation::restart_extends_lease;
  const Exploration first = explore(limits, kMostStates, Symmetry::none);
  const Exploration same = explore(limits, kMostStates);
  ASSERT_TRUE(first.fault && same.fault);
  EXPECT_EQ(first.fault->property, same.fault->property);
  EXPECT_EQ(first.fault->steps.size(), same.fault->steps.size()) << same.fault->to_string();
}

/// Minutes and gigabytes: for the nightly run.
constexpr std::size_t kMostInFull = 60'000'000;
struct ProtocolInFull : testing::TestWithParam<int> {};
TEST_P(ProtocolInFull, Holds) {
  if (std::getenv("NUNET_NIGHTLY") == nullptr) GTEST_SKIP() << "skipped: takes minutes; set NUNET_NIGHTLY=1";
  Limits limits = small();
  switch (GetParam()) {
    case 0: break;                                            // two attempts, a crash at each step and a duplicate
    case 1: limits.crashes = 0, limits.cancel = true; break;  // cancelled in each state, a duplicate
    case 2: limits.lifetime = 1, limits.lease = 2, limits.crashes = 0; break;  // messages that outlive a tick
    case 3: limits.exclusive = false, limits.duplicates = 0, limits.lease = 2; break;
    case 4: limits.attempts = 1, limits.crashes = 2, limits.cancel = true, limits.lease = 2; break;
    case 5:
      limits.attempts = 1, limits.allocations = 2, limits.crashes = 0, limits.duplicates = 0, limits.lease = 1;
      break;
    default: FAIL();
  }
  const Exploration found = explore(limits, kMostInFull);
  std::printf("configuration %d: %zu states, %zu transitions%s\n", GetParam(), found.states, found.transitions,
              found.complete ? "" : ", and what follows from the rest was not explored");
  EXPECT_TRUE(found.complete) << found.states << " states are the most that are explored";
  EXPECT_FALSE(found.fault) << found.fault->to_string();
}
INSTANTIATE_TEST_SUITE_P(Configurations, ProtocolInFull, testing::Range(0, 6));

/// What is expected of each mutation: the property that it breaks.
struct Mistake {
  Mutation mutation;
  std::string_view broken;
};
struct Mistakes : testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreFound) {
  Limits limits = small();
  limits.duplicates = 0;
  limits.mutation = GetParam().mutation;
  const Exploration found = explore(limits, kMostStates);
#ifdef DMS_ADDRESS_SANITIZER
  if (!found.fault) GTEST_SKIP() << "skipped: needs more than " << kMostStates << " states with the address sanitizer";
#endif
  ASSERT_TRUE(found.fault) << to_string(limits.mutation) << ": " << found.states << " states without a fault";
  EXPECT_NE(found.fault->property.find(GetParam().broken), std::string::npos) << found.fault->to_string();
}

constexpr std::string_view kTwoRun = "two incarnations of an exclusive allocation";
constexpr std::string_view kNoLease = "without a lease";
constexpr std::string_view kOnce = "exactly once";
INSTANTIATE_TEST_SUITE_P(
    All, Mistakes,
    testing::Values(
        Mistake{Mutation::replace_at_once, kTwoRun}, Mistake{Mutation::forget_unacknowledged_start, kTwoRun},
        Mistake{Mutation::count_from_receipt, "surely ended"}, Mistake{Mutation::forget_wait_at_restart, kTwoRun},
        Mistake{Mutation::renew_the_lost, kTwoRun}, Mistake{Mutation::restart_extends_lease, "surely ended"},
        Mistake{Mutation::no_deadline_in_the_engine, kNoLease}, Mistake{Mutation::release_twice, kOnce},
        Mistake{Mutation::release_forgets, "without an allocation"}, Mistake{Mutation::resources_in_memory, kOnce},
        Mistake{Mutation::start_again, "runs once"}, Mistake{Mutation::count_each_notice, "counted once"},
        Mistake{Mutation::release_before_collecting, "output of an ended run"},
        Mistake{Mutation::ignore_releasing, kTwoRun}, Mistake{Mutation::count_cut_short, "cut short"}),
    [](const auto& info) { return to_string(info.param.mutation); });

/// Mistakes that keep a deployment from its end are visible only when every state is known.
struct Endless : testing::TestWithParam<Mistake> {};
TEST_P(Endless, AreFound) {
  Limits limits = small();
  limits.attempts = 1;
  limits.lease = 1;
  limits.duplicates = 0;
  limits.mutation = GetParam().mutation;
  const Exploration found = explore(limits);
  ASSERT_TRUE(found.fault) << to_string(limits.mutation) << ": " << found.states << " states without a fault";
  EXPECT_NE(found.fault->property.find(GetParam().broken), std::string::npos) << found.fault->to_string();
}
INSTANTIATE_TEST_SUITE_P(All, Endless,
                         testing::Values(Mistake{Mutation::reservation_without_expiry, "hold nothing"},
                                         Mistake{Mutation::no_resume, "the deployment ends"}),
                         [](const auto& info) { return to_string(info.param.mutation); });

TEST(Assumptions, AReleaseThatNamesNoIncarnationCanHitTheNextAttempt) {
  Limits limits = small();
  limits.duplicates = 0;
  limits.releases_name_incarnations = false;
  const Exploration found = explore(limits);
  ASSERT_TRUE(found.fault);
  EXPECT_NE(found.fault->property.find("output of an ended run"), std::string::npos) << found.fault->to_string();
}

TEST(Assumptions, RenewalsCountFromTheClockThatTheyRepeatSoSlowWallClocksDoNotMatter) {
  Limits limits = small();
  limits.skew = 1;
  limits.crashes = limits.duplicates = 0;
  limits.attempts = 1;
  expect_no_fault(limits);
  limits.clocks = false;
  const Exploration found = explore(limits);
  ASSERT_TRUE(found.fault);
  EXPECT_NE(found.fault->property.find("surely ended"), std::string::npos) << found.fault->to_string();
}

TEST(Assumptions, ARenewalWithoutAClockNeedsTheWallClocksSoAQuestionComesFirst) {
  Limits limits = small();
  limits.skew = 1;
  limits.duplicates = 0;
  limits.attempts = 1;
  expect_no_fault(limits);
  limits.mutation = Mutation::renew_without_clock;
  const Exploration found = explore(limits);
  ASSERT_TRUE(found.fault);
  EXPECT_NE(found.fault->property.find("surely ended"), std::string::npos) << found.fault->to_string();
}

}  // namespace
}  // namespace dms::sim::model
