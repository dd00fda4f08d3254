#include "provider/reservations.hpp"

#include "provider/admission.hpp"
#include "provider/testing.hpp"

namespace dms::provider {
namespace {

struct ReservationsTest : ProviderTest {
  Metrics metrics;
  LocalNames names;
  capability::Resources allocated;
  bool exists = false;
  Bids bids{*node.root,
            [this](const EnsembleKey&) {
              Offering offering;
              offering.self = node.network->self();
              offering.onboarded = true;
              offering.executors = {"null"};
              offering.free = machine(8, 8);
              return Result<Offering>(offering);
            },
            metrics};
  Reservations reservations{{*node.root, bids, names, *resources, metrics},
                            {[this](const EnsembleKey&) { return Result<capability::Resources>(allocated); },
                             [this](const AllocationKey&) { return exists; }}};

  bool bid(const actor::TestNode& by, const std::string& ensemble, double cores = 2) {
    return bids.answer(bid_request(ensemble, cores), by.did()).has_value();
  }
  Result<void> reserve(const actor::TestNode& by, const std::string& ensemble, const std::string& name,
                       double cores = 1) {
    return run(reservations.reserve(commit_request(ensemble, name, cores), by.did()));
  }
  Result<std::string> claim(const actor::TestNode& by, const std::string& id, double cores = 1) {
    Result<Reservations::Reservation> claimed = run(reservations.claim({by.did(), id}, machine(cores, 1)));
    if (!claimed) return std::unexpected(claimed.error());
    return claimed->name.text();
  }
  [[nodiscard]] std::size_t stored() const { return resources->list().size(); }
};

TEST_F(ReservationsTest, ACommitNeedsABidToTheSameOrchestrator) {
  EXPECT_TRUE(reserve(alice, "e", "task").error().is(Errc::not_found));
  ASSERT_TRUE(bid(alice, "e"));
  EXPECT_TRUE(reserve(bob, "e", "task").error().is(Errc::not_found));
  EXPECT_TRUE(reserve(alice, "e", "task"));
  EXPECT_TRUE(reserve(alice, "e", "task")) << "repeated";
  EXPECT_TRUE(reserve(alice, "e", "task", 2).error().is(Errc::already_exists));
  EXPECT_EQ(stored(), 1U);
  EXPECT_EQ(metrics.reservations.value(), 1U);
}

TEST_F(ReservationsTest, OneIdOfTwoOrchestratorsIsTwoReservations) {
  ASSERT_TRUE(bid(bob, "e"));
  ASSERT_TRUE(reserve(bob, "e", "task")) << "bob commits first, with alice's id";
  ASSERT_TRUE(bid(alice, "e"));
  ASSERT_TRUE(reserve(alice, "e", "task"));
  EXPECT_EQ(stored(), 2U);
  EXPECT_TRUE(run(reservations.cancel({bob.did(), "e_task"})));
  EXPECT_EQ(stored(), 1U);
  const Result<std::string> name = claim(alice, "e_task");
  ASSERT_TRUE(name) << name.error().to_string();
  EXPECT_EQ(*name, "e_task.2");
  EXPECT_EQ(resources->find("e_task.2")->state, resources::State::allocated);
}

TEST_F(ReservationsTest, ReservationsBeyondTheBidAreRefusedAlsoInTotal) {
  ASSERT_TRUE(bid(alice, "e", 2));
  EXPECT_TRUE(reserve(alice, "e", "a", 3).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(reserve(alice, "e", "a", 1));
  allocated = machine(1, 1);
  EXPECT_TRUE(reserve(alice, "e", "b", 1).error().is(Errc::limit_exceeded)) << "one is reserved, one allocated";
  allocated = {};
  EXPECT_TRUE(reserve(alice, "e", "b", 1));
  EXPECT_TRUE(reserve(alice, "e", "c", 1).error().is(Errc::limit_exceeded));
}

TEST_F(ReservationsTest, ACommitTakesAtMostWhatWasBidForItsNode) {
  protocol::EnsembleBidRequest request = bid_request("e", 1);
  request.request.emplace_back().v1.emplace(node_request(3)).node_id = "m";
  ASSERT_TRUE(bids.answer(request, alice.did()));
  const auto commit = [&](const std::string& node, const std::string& name, double cores) {
    protocol::CommitRequest made = commit_request("e", name, cores);
    made.node_id = node;
    return run(reservations.reserve(std::move(made), alice.did()));
  };
  EXPECT_TRUE(commit("n", "a", 2).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(commit("m", "a", 4).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(commit("m", "a", 2));
  EXPECT_TRUE(commit("n", "b", 1).error().is(Errc::limit_exceeded)) << "not both nodes";
  EXPECT_TRUE(commit("m", "b", 1));
  EXPECT_TRUE(commit("m", "c", 1).error().is(Errc::limit_exceeded));
}

TEST_F(ReservationsTest, OneOrchestratorDoesNotTakeAllPlaces) {
  ASSERT_TRUE(bid(alice, "e", 2));
  const auto tiny = [&](const std::string& name) {
    protocol::CommitRequest request = commit_request("e", name, 0.001);
    request.resources.ram.size = {1};
    request.resources.disk.size = {};
    return run(reservations.reserve(std::move(request), alice.did()));
  };
  for (std::size_t i = 0; i < kMaxAllocations; ++i) ASSERT_TRUE(tiny(fmt::format("a{}", i))) << i;
  const Result<void> refused = tiny("more");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("of this orchestrator"), std::string::npos);
  ASSERT_TRUE(bid(bob, "e", 2));
  EXPECT_TRUE(reserve(bob, "e", "task", 0.001));
}

TEST_F(ReservationsTest, InvalidNamesAndAmountsAreRefused) {
  ASSERT_TRUE(bid(alice, "e"));
  EXPECT_TRUE(reserve(alice, "e", "a", 0).error().is(Errc::invalid_argument)) << "0 is no limit";
  EXPECT_TRUE(reserve(alice, "e", "b_c").error().is(Errc::invalid_argument));
  EXPECT_TRUE(reserve(alice, "e", "../etc").error().is(Errc::invalid_argument));
  protocol::CommitRequest ports = commit_request("e", "a");
  ports.port_mapping["0"] = 80;
  EXPECT_TRUE(run(reservations.reserve(ports, alice.did())).error().is(Errc::unsupported));
  protocol::CommitRequest large = commit_request("e", "a");
  large.resources.cpu.vendor = std::string(kMaxResources, 'x');
  EXPECT_TRUE(run(reservations.reserve(large, alice.did())).error().is(Errc::invalid_argument)) << "it would be kept";
  exists = true;
  EXPECT_TRUE(reserve(alice, "e", "a").error().is(Errc::already_exists)) << "an allocation of that name exists";
  EXPECT_EQ(stored(), 0U);
}

TEST_F(ReservationsTest, AReservationExpiresWithItsBid) {
  ASSERT_TRUE(bid(alice, "e"));
  ASSERT_TRUE(reserve(alice, "e", "task"));
  w.settle(kBidTime + 1s);
  EXPECT_FALSE(claim(alice, "e_task"));
  run(reservations.sweep());
  EXPECT_EQ(reservations.size(), 0U);
  EXPECT_EQ(names.size(), 0U);
  ASSERT_TRUE(bid(alice, "e"));
  EXPECT_TRUE(reserve(alice, "e", "task"));
}

TEST_F(ReservationsTest, AClaimForMoreThanWasReservedIsRefusedAndKeepsTheReservation) {
  ASSERT_TRUE(bid(alice, "e"));
  ASSERT_TRUE(reserve(alice, "e", "task", 1));
  EXPECT_TRUE(claim(alice, "e_task", 2).error().is(Errc::limit_exceeded));
  EXPECT_TRUE(claim(bob, "e_task").error().is(Errc::not_found));
  EXPECT_TRUE(claim(alice, "e_task"));
  EXPECT_TRUE(claim(alice, "e_task").error().is(Errc::not_found));
}

TEST_F(ReservationsTest, ConcurrentStepsKeepTheManagerAndTheReservationsConsistent) {
  ASSERT_TRUE(bid(alice, "e", 8));
  Nursery steps(node.lane(), "steps");
  const auto ignore = [](Task<Result<void>> task) -> Task<void> { (void)co_await std::move(task); };
  for (int i = 0; i < 12; ++i) {
    const std::string name = "t" + std::to_string(i);
    steps.spawn(ignore(reservations.reserve(commit_request("e", name, 1), alice.did())));
    if (i % 3 == 0) steps.spawn(ignore(reservations.cancel({alice.did(), "e_" + name})));
  }
  run(steps.join());
  EXPECT_EQ(reservations.size(), stored());
  EXPECT_EQ(reservations.size(), 8U);
}

TEST_F(ReservationsTest, WhatCannotBeFreedStaysReservedAndIsCancelledAgain) {
  ASSERT_TRUE(bid(alice, "e"));
  ASSERT_TRUE(reserve(alice, "e", "task"));
  store->set_write_fault([]() -> Result<void> { return fail(Errc::io, "no space left"); });
  EXPECT_TRUE(run(reservations.cancel({alice.did(), "e_task"})).error().is(Errc::io));
  EXPECT_EQ(reservations.size(), 1U);
  store->set_write_fault({});
  EXPECT_TRUE(run(reservations.cancel({alice.did(), "e_task"})));
  EXPECT_EQ(stored(), 0U);
  EXPECT_TRUE(reserve(alice, "e", "task"));
}

TEST_F(ReservationsTest, AfterCloseNothingIsReservedOrClaimed) {
  ASSERT_TRUE(bid(alice, "e"));
  ASSERT_TRUE(reserve(alice, "e", "task"));
  run(reservations.close());
  EXPECT_EQ(stored(), 0U);
  EXPECT_TRUE(reserve(alice, "e", "task").error().is(Errc::closed));
  EXPECT_TRUE(claim(alice, "e_task").error().is(Errc::closed));
}

}  // namespace
}  // namespace dms::provider
