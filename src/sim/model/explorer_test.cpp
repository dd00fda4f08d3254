// Every state of small configurations of the protocol, and a fault that is found for each deliberate mistake.
#include "sim/model/explorer.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/random.hpp"
#include "sim/model/state_table.hpp"

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

/// The least configuration in which a provider that has restarted receives a message of an earlier attempt again.
Limits two_attempts() {
  Limits limits = small();
  limits.in_flight = 1;
  limits.lease = 1;
  return limits;
}
/// The least one in which a crash meets two allocations that contend for a provider. ProtocolInFull has all its states.
Limits two_allocations() {
  Limits limits = two_attempts();
  limits.attempts = limits.providers = 1;
  limits.allocations = 2;
  limits.duplicates = 0;
  return limits;
}

TEST(Protocol, HoldsWithACrashAndADuplicateInTwoAttempts) { expect_no_fault(two_attempts()); }

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
  for (int walk = 0; walk < 75; ++walk) {
    Limits limits = small();
    limits.allocations = 1 + walk % 2;
    limits.providers = walk % 5 == 0 ? 1 : kProviders;
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

TEST(Reduced, OneOfManyStatesFindsWhatAllOfThemHave) {
#ifdef DMS_ADDRESS_SANITIZER
  GTEST_SKIP() << "skipped: takes a minute with the address sanitizer";
#endif
  Limits limits = small();
  limits.attempts = 1;
  limits.crashes = limits.duplicates = 0;
  const Exploration all = explore(limits, kMostStates, Reduction::none);
  const Exploration one = explore(limits, kMostStates, Reduction::of_numbers);
  EXPECT_TRUE(all.complete && one.complete && !all.fault && !one.fault);
  EXPECT_LT(one.states, all.states);
  EXPECT_GE(2 * one.states, all.states) << "two providers have two images at most";
  limits.crashes = 1;
  limits.mutation = Mutation::restart_extends_lease;
  const Exploration first = explore(limits, kMostStates, Reduction::none);
  const Exploration same = explore(limits, kMostStates, Reduction::of_numbers);
  ASSERT_TRUE(first.fault && same.fault);
  EXPECT_EQ(first.fault->property, same.fault->property);
  EXPECT_EQ(first.fault->steps.size(), same.fault->steps.size()) << same.fault->to_string();
}

TEST(Reduced, StatesWithFewerFaultsFindWhatTheOthersHave) {
#ifdef DMS_ADDRESS_SANITIZER
  GTEST_SKIP() << "skipped: takes a minute with the address sanitizer";
#endif
  Limits limits = two_attempts();
  limits.attempts = 1;
  for (int i = 0; i < kMutations; ++i) {
    limits.mutation = static_cast<Mutation>(i);
    const Exploration all = explore(limits, kMostStates, Reduction::of_numbers);
    const Exploration fewer = explore(limits, kMostStates);
    SCOPED_TRACE(to_string(limits.mutation));
    EXPECT_EQ(all.complete, fewer.complete);
    EXPECT_EQ(all.fault.has_value(), fewer.fault.has_value());
    EXPECT_TRUE(!all.complete || fewer.states < all.states);
  }
}

/// A duplicate does nothing before a crash.
TEST(Reduced, DuplicatesWithoutACrashAddNoState) {
  Limits limits = two_attempts();
  limits.attempts = 1;
  limits.crashes = 0;
  const Exploration with = explore(limits, kMostStates);
  limits.duplicates = 0;
  EXPECT_EQ(explore(limits, kMostStates).states, with.states);
  limits.crashes = 1;
  const Exploration crash = explore(limits, kMostStates);
  limits.duplicates = 1;
  EXPECT_GT(explore(limits, kMostStates).states, crash.states);
}

TEST(StateTable, ReturnsWhatWasAddedAndWhatStandsForIt) {
  const Limits limits = small();
  StateTable table;
  SeededRandom random(4);
  State state = initial_state(limits);
  for (int step = 0; step < 200; ++step) {
    const StateTable::Found found = table.add(state, true);
    ASSERT_TRUE(!found.is_new || table.state(found.number) == state);
    std::vector<State> ways;
    successors(state, limits, false, [&](const Step&, const State& way, const Violation&) { ways.push_back(way); });
    state = ways[random.below(ways.size())];
  }
  State fewer = initial_state(limits);
  fewer.cancelled = 1;
  State more = fewer;
  more.crashes = 1;
  State other = fewer;
  other.duplicates = 1;
  const StateTable::Found first = table.add(more, true);
  EXPECT_TRUE(first.is_new);
  EXPECT_TRUE(table.add(other, true).is_new) << "neither has fewer of both";
  EXPECT_EQ(table.covering(first.number), StateTable::kNone);
  const StateTable::Found least = table.add(fewer, true);
  EXPECT_TRUE(least.is_new);
  EXPECT_EQ(table.covering(first.number), least.number);
  EXPECT_EQ(table.covering(least.number), StateTable::kNone);
  more.duplicates = 1;
  EXPECT_FALSE(table.add(more, true).is_new);
  EXPECT_TRUE(table.add(more, false).is_new);
}

/// Minutes and gigabytes: for the nightly run.
constexpr std::size_t kMostInFull = 60'000'000;
struct ProtocolInFull : testing::TestWithParam<int> {};
TEST_P(ProtocolInFull, Holds) {
  if (std::getenv("NUNET_NIGHTLY") == nullptr) GTEST_SKIP() << "skipped: takes minutes; set NUNET_NIGHTLY=1";
  Limits limits = small();
  switch (GetParam()) {
    case 0: break;                                                             // two attempts, a crash, a duplicate
    case 1: limits.crashes = 0, limits.cancel = true; break;                   // cancelled in each state
    case 2: limits.lifetime = 1, limits.lease = 2, limits.crashes = 0; break;  // messages that outlive a tick
    case 3: limits.exclusive = false, limits.duplicates = 0, limits.lease = 2; break;
    case 4: limits.attempts = 1, limits.crashes = 2, limits.cancel = true, limits.lease = 2; break;
    case 5:
      limits.attempts = 1, limits.allocations = 2, limits.crashes = 0, limits.duplicates = 0, limits.lease = 1;
      break;
    case 6: limits = two_allocations(), limits.duplicates = 1; break;  // a crash and a duplicate, one provider
    default: FAIL();
  }
  const Exploration found = explore(limits, kMostInFull);
  std::printf("configuration %d: %zu states, %zu transitions%s\n", GetParam(), found.states, found.transitions,
              found.complete ? "" : ", and what follows from the rest was not explored");
  EXPECT_TRUE(found.complete) << kMostInFull << " states are the most that are reached";
  EXPECT_FALSE(found.fault) << found.fault->to_string();
}
INSTANTIATE_TEST_SUITE_P(Configurations, ProtocolInFull, testing::Range(0, 7));

/// That a mistake breaks a property. Breadth first, since most of them need few steps.
void expect_found(Limits limits, Mutation mutation, std::string_view broken) {
  limits.mutation = mutation;
  const Exploration found = explore(limits, kMostStates, Reduction::of_numbers);
#ifdef DMS_ADDRESS_SANITIZER
  if (!found.fault) GTEST_SKIP() << "skipped: needs more than " << kMostStates << " states with the address sanitizer";
#endif
  ASSERT_TRUE(found.fault) << to_string(mutation) << ": " << found.states << " states without a fault";
  EXPECT_NE(found.fault->property.find(broken), std::string::npos) << found.fault->to_string();
}

/// What is expected of each mutation: the property that it breaks.
struct Mistake {
  Mutation mutation;
  std::string_view broken;
};
struct Mistakes : testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreFound) {
  Limits limits = small();
  limits.duplicates = 0;
  expect_found(limits, GetParam().mutation, GetParam().broken);
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

TEST(Combined, MistakesInTwoAttemptsAreFoundWithACrashAndADuplicate) {
  expect_found(two_attempts(), Mutation::start_again, "runs once");
  expect_found(two_attempts(), Mutation::release_twice, kOnce);
}

TEST(Combined, AMistakeOfTwoAllocationsIsFound) {
  Limits limits = two_allocations();
  limits.crashes = 0;
  expect_found(limits, Mutation::reserve_without_room, "over-committed");
}

TEST(Combined, AMistakeThatNeedsACrashAndTwoAllocationsIsFound) {
  Limits one = two_allocations();
  one.allocations = 1;
  one.mutation = Mutation::restart_frees_resources;
  const Exploration alone = explore(one, kMostStates);
  EXPECT_TRUE(alone.complete);
  EXPECT_FALSE(alone.fault) << alone.fault->to_string();
  expect_found(two_allocations(), Mutation::restart_frees_resources, "over-committed");
}

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
  expect_found(limits, Mutation::none, "output of an ended run");
}

TEST(Assumptions, RenewalsCountFromTheClockThatTheyRepeatSoSlowWallClocksDoNotMatter) {
  Limits limits = small();
  limits.skew = 1;
  limits.crashes = limits.duplicates = 0;
  limits.attempts = 1;
  expect_no_fault(limits);
  limits.clocks = false;
  expect_found(limits, Mutation::none, "surely ended");
}

TEST(Assumptions, ARenewalWithoutAClockNeedsTheWallClocksSoAQuestionComesFirst) {
  Limits limits = small();
  limits.skew = 1;
  limits.duplicates = 0;
  limits.attempts = 1;
  expect_no_fault(limits);
  expect_found(limits, Mutation::renew_without_clock, "surely ended");
}

}  // namespace
}  // namespace dms::sim::model
