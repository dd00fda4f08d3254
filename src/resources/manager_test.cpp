#include "resources/manager.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"
#include "db/readable.hpp"
#include "simulation/sim_world.hpp"

namespace dms::resources {
namespace {

using capability::kGiB;
using capability::Resources;

Resources make(std::uint64_t cores, std::uint64_t ram, std::uint64_t disk, std::vector<std::uint64_t> vram = {}) {
  Resources r;
  r.cpu.cores = {cores * 1000};
  r.ram.size = {ram * kGiB};
  r.disk.size = {disk * kGiB};
  for (std::size_t i = 0; i < vram.size(); ++i)
    r.gpus.push_back({.index = static_cast<std::int64_t>(i), .vram = {vram[i] * kGiB}});
  return r;
}

class ManagerTest : public testing::Test {
 protected:
  void SetUp() override { reopen(); }
  /// The state after a restart.
  void reopen() {
    manager_.reset();
    auto opened = Manager::open(store_, [this] { return now_; });
    ASSERT_TRUE(opened) << opened.error().to_string();
    manager_ = *std::move(opened);
  }
  [[nodiscard]] SteadyTime in(std::uint64_t seconds) const { return now_ + std::chrono::seconds(seconds); }

  using Done = Result<void>;
  Done run(Task<Done> task) { return world_.run(node_, std::move(task)); }
  Done onboard(const Resources& share, const Resources& machine) { return run(manager_->onboard(share, machine)); }
  Done offboard() { return run(manager_->offboard()); }
  Done commit(const std::string& id, const Resources& required, SteadyTime expires) {
    return run(manager_->commit(id, required, expires));
  }
  Done uncommit(const std::string& id) { return run(manager_->uncommit(id)); }
  Done allocate(const std::string& id) { return run(manager_->allocate(id)); }
  Done deallocate(const std::string& id) { return run(manager_->deallocate(id)); }
  Done release_all(std::set<std::string> except = {}) { return run(manager_->release_all(std::move(except))); }

  SimWorld world_{1};
  SimNode& node_ = world_.add_node("machine");
  db::AsyncStore store_{node_.runtime().lane, *db::Store::open(":memory:")};
  SteadyTime now_{1000s};
  std::unique_ptr<Manager> manager_;
};

TEST_F(ManagerTest, AShareLargerThanTheMachineIsRefused) {
  const Resources machine = make(4, 8, 100, {16});
  const auto refused = onboard(make(2, 9, 50), machine);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            "the machine has less than this share: ram.size: 9 GiB cannot be taken from 8 GiB");
  EXPECT_FALSE(onboard(make(0, 1, 1), machine));
  EXPECT_FALSE(onboard(make(1, 1, 1, {8, 8}), machine));
  Resources twice = make(1, 1, 1, {4, 4});
  twice.gpus[1].index = 0;
  EXPECT_FALSE(onboard(twice, machine));
  EXPECT_FALSE(manager_->onboarded());
  EXPECT_TRUE(onboard(machine, machine)) << "all of it is allowed";
}

TEST_F(ManagerTest, StepsOutOfOrderChangeNothing) {
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  const Resources half = make(2, 4, 50);
  EXPECT_TRUE(allocate("a").error().is(Errc::not_found));
  EXPECT_TRUE(uncommit("a").error().is(Errc::not_found));
  ASSERT_TRUE(commit("a", half, in(60)));
  EXPECT_TRUE(commit("a", half, in(60)).error().is(Errc::already_exists));
  EXPECT_TRUE(deallocate("a").error().is(Errc::not_found));
  ASSERT_TRUE(allocate("a"));
  EXPECT_TRUE(allocate("a").error().is(Errc::already_exists));
  EXPECT_TRUE(uncommit("a").error().is(Errc::not_found));
  EXPECT_TRUE(commit("a", half, in(60)).error().is(Errc::already_exists));
  EXPECT_EQ(manager_->free()->to_string(), "2 cores, 4 GiB memory, 50 GiB disk");
  ASSERT_TRUE(deallocate("a"));
  EXPECT_TRUE(deallocate("a").error().is(Errc::not_found));
  EXPECT_EQ(*manager_->free(), *manager_->onboarded());
}

TEST_F(ManagerTest, AShortageNamesWhatIsMissing) {
  EXPECT_TRUE(commit("a", make(1, 1, 1), in(60)).error().is(Errc::not_found)) << "nothing is onboarded";
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  EXPECT_EQ(commit("a", make(5, 9, 1), in(60)).error().message(),
            "not enough is free for a: cpu.cores: 5 required, 4 available; ram.size: 9 GiB required, 8 GiB available");
  EXPECT_FALSE(commit("", make(1, 1, 1), in(60)));
  EXPECT_TRUE(manager_->list().empty());
}

TEST_F(ManagerTest, CommitsExpireAndAllocationsDoNot) {
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  EXPECT_TRUE(commit("late", make(1, 1, 1), now_).error().is(Errc::deadline_exceeded));
  ASSERT_TRUE(commit("a", make(2, 4, 50), in(60)));
  ASSERT_TRUE(commit("b", make(2, 4, 50), in(60)));
  ASSERT_TRUE(allocate("b"));
  now_ = in(60);
  EXPECT_TRUE(allocate("a").error().is(Errc::not_found));
  EXPECT_EQ(manager_->free()->cpu.cores.millis, 2000U);
  EXPECT_TRUE(commit("a", make(1, 1, 1), in(60))) << "the id is free again";
  reopen();
  EXPECT_EQ(manager_->list().size(), 2U);
}

TEST_F(ManagerTest, CardsAreChosenAndCountedByIndex) {
  ASSERT_TRUE(onboard(make(4, 8, 100, {8, 16}), make(4, 8, 100, {8, 16})));
  Resources big = make(1, 1, 1, {12});
  ASSERT_TRUE(commit("a", big, in(60)));
  EXPECT_EQ(manager_->find("a")->resources.gpus[0].index, 1);
  EXPECT_FALSE(commit("b", big, in(60))) << "only 4 GiB of the large card are left";
  ASSERT_TRUE(commit("b", make(1, 1, 1, {8}), in(60)));
  EXPECT_EQ(manager_->find("b")->resources.gpus[0].index, 0);
  ASSERT_TRUE(uncommit("a"));
  EXPECT_TRUE(commit("c", big, in(60)));
}

TEST_F(ManagerTest, TheShareCannotShrinkBelowWhatIsUsed) {
  const Resources machine = make(8, 16, 200);
  ASSERT_TRUE(onboard(make(4, 8, 100), machine));
  ASSERT_TRUE(commit("a", make(2, 4, 50), in(60)));
  ASSERT_TRUE(allocate("a"));
  EXPECT_FALSE(onboard(make(1, 8, 100), machine));
  EXPECT_TRUE(offboard().error().is(Errc::permission_denied));
  // The existing implementation loses the running part at each repetition.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(onboard(make(6, 8, 100), machine));
  EXPECT_EQ(manager_->free()->cpu.cores.millis, 4000U);
  ASSERT_TRUE(release_all());
  EXPECT_TRUE(offboard());
  EXPECT_TRUE(offboard().error().is(Errc::not_found));
}

TEST_F(ManagerTest, AShareThatWasWithdrawnIsADecisionForGood) {
  EXPECT_FALSE(manager_->is_decided());
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  EXPECT_TRUE(manager_->is_decided());
  ASSERT_TRUE(offboard());
  EXPECT_TRUE(manager_->is_decided());
  const auto again = Manager::open(store_, [] { return SteadyTime(1s); });
  ASSERT_TRUE(again);
  EXPECT_TRUE((*again)->is_decided());
  EXPECT_FALSE((*again)->onboarded());
}

TEST_F(ManagerTest, ConcurrentCommitsNeverReserveTheSameTwice) {
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  std::vector<Task<Result<void>>> commits;
  for (int i = 0; i < 8; ++i) commits.push_back(manager_->commit("id" + std::to_string(i), make(1, 2, 25), in(60)));
  const auto results = world_.run(node_, when_all(std::move(commits)));
  EXPECT_EQ(std::ranges::count_if(results, [](const auto& r) { return r.has_value(); }), 4);
  EXPECT_EQ(manager_->free()->cpu.cores.millis, 0U);
}

TEST_F(ManagerTest, ADamagedRecordIsSetAsideAndTheManagerOpens) {
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  ASSERT_TRUE(commit("whole", make(1, 1, 1), in(60)));
  ASSERT_TRUE(store_.blocking().put("resources.promises", "damaged", R"({"state":"unknown"})"));
  reopen();
  EXPECT_EQ(manager_->list().size(), 1U);
  EXPECT_TRUE(manager_->find("whole"));
  EXPECT_EQ(store_.blocking().get(db::unreadable("resources.promises"), "damaged")->value_or(""),
            R"({"state":"unknown"})");
  ASSERT_TRUE(release_all());
  ASSERT_TRUE(store_.blocking().put("resources.onboarded", "share", "[]"));
  reopen();
  EXPECT_FALSE(manager_->onboarded()) << "an unreadable share counts as none";
  EXPECT_EQ(store_.blocking().list(db::unreadable("resources.onboarded"))->size(), 1U);
  EXPECT_TRUE(onboard(make(2, 2, 2), make(4, 8, 100)));
}

TEST_F(ManagerTest, AStartReleasesAllButWhatIsNamed) {
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  for (const char* id : {"kept", "left", "committed"}) ASSERT_TRUE(commit(id, make(1, 1, 1), in(60)));
  for (const char* id : {"kept", "left"}) ASSERT_TRUE(allocate(id));
  reopen();
  ASSERT_TRUE(release_all({"kept", "unknown"}));
  reopen();
  EXPECT_EQ(manager_->list().size(), 1U);
  EXPECT_TRUE(manager_->find("kept"));
}

TEST_F(ManagerTest, AWatcherIsToldEachReservationAndEachEndOfOneOnce) {
  using Step = Manager::Step;
  std::vector<std::pair<std::string, Step>> told;
  ASSERT_TRUE(onboard(make(4, 8, 100), make(4, 8, 100)));
  manager_->watch([&](const std::string& id, Step step) { told.emplace_back(id, step); });
  const auto expect = [&](std::vector<std::pair<std::string, Step>> steps) {
    EXPECT_EQ(std::exchange(told, {}), steps);
  };
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(commit(id, make(1, 1, 1), in(60)));
  expect({{"a", Step::reserved}, {"b", Step::reserved}, {"c", Step::reserved}});
  EXPECT_FALSE(commit("a", make(1, 1, 1), in(60)));
  EXPECT_FALSE(commit("d", make(5, 1, 1), in(60)));
  ASSERT_TRUE(allocate("a"));
  ASSERT_TRUE(run(manager_->resize("a", make(2, 1, 1))));
  expect({});
  ASSERT_TRUE(deallocate("a"));
  expect({{"a", Step::released}});
  EXPECT_FALSE(deallocate("a"));
  EXPECT_FALSE(deallocate("b")) << "it is committed";
  expect({{"a", Step::not_held}, {"b", Step::not_held}});
  ASSERT_TRUE(uncommit("b"));
  expect({{"b", Step::released}});
  now_ = in(60);
  ASSERT_TRUE(commit("d", make(1, 1, 1), in(60)));
  expect({{"c", Step::released}, {"d", Step::reserved}});
  ASSERT_TRUE(release_all());
  expect({{"d", Step::released}});
}

/// Random steps, restarts and time against a plain model of the same rules.
TEST_F(ManagerTest, AgreesWithANaiveModelAcrossRestarts) {
  struct Held {
    State state;
    std::uint64_t cores, ram;
    SteadyTime expires;
  };
  std::map<std::string, Held> model;
  std::uint64_t cores = 16;
  const std::uint64_t ram = 32;
  const Resources machine = make(64, 64, 1000);
  ASSERT_TRUE(onboard(make(cores, ram, 1000), machine));
  SeededRandom random(99);
  for (int step = 0; step < 4000; ++step) {
    std::erase_if(model, [&](const auto& e) { return e.second.state == State::committed && e.second.expires <= now_; });
    std::uint64_t used_cores = 0;
    std::uint64_t used_ram = 0;
    for (const auto& [id, held] : model) used_cores += held.cores, used_ram += held.ram;
    const std::string id = "id" + std::to_string(random.below(6));
    const auto known = model.find(id);
    const bool committed = known != model.end() && known->second.state == State::committed;
    const bool allocated = known != model.end() && known->second.state == State::allocated;
    switch (random.below(7)) {
      case 0: {
        const Held wish{State::committed, 1 + random.below(8), 1 + random.below(12), in(1 + random.below(20))};
        const bool fits = known == model.end() && used_cores + wish.cores <= cores && used_ram + wish.ram <= ram;
        ASSERT_EQ(commit(id, make(wish.cores, wish.ram, 1), wish.expires).has_value(), fits) << "step " << step;
        if (fits) model[id] = wish;
        break;
      }
      case 1:
        ASSERT_EQ(uncommit(id).has_value(), committed) << "step " << step;
        if (committed) model.erase(id);
        break;
      case 2:
        ASSERT_EQ(allocate(id).has_value(), committed) << "step " << step;
        if (committed) known->second.state = State::allocated;
        break;
      case 3:
        ASSERT_EQ(deallocate(id).has_value(), allocated) << "step " << step;
        if (allocated) model.erase(id);
        break;
      case 4: {
        const std::uint64_t wish = 1 + random.below(24);
        const bool fits = wish >= used_cores;
        ASSERT_EQ(onboard(make(wish, ram, 1000), machine).has_value(), fits) << "step " << step;
        if (fits) cores = wish;
        break;
      }
      case 5: now_ = in(random.below(4)); break;
      default: reopen();
    }
    std::erase_if(model, [&](const auto& e) { return e.second.state == State::committed && e.second.expires <= now_; });
    used_cores = used_ram = 0;
    for (const auto& [name, held] : model) used_cores += held.cores, used_ram += held.ram;
    const auto free = manager_->free();
    ASSERT_TRUE(free) << free.error().to_string();
    ASSERT_EQ(free->cpu.cores.millis, (cores - used_cores) * 1000) << "step " << step;
    ASSERT_EQ(free->ram.size.bytes, (ram - used_ram) * kGiB) << "step " << step;
    ASSERT_EQ(manager_->list().size(), model.size()) << "step " << step;
  }
}

TEST_F(ManagerTest, WhatIsAllocatedIsResized) {
  ASSERT_TRUE(onboard(make(4, 8, 100, {16}), make(4, 8, 100, {16})));
  ASSERT_TRUE(commit("a", make(3, 4, 50, {8}), in(60)));
  EXPECT_TRUE(run(manager_->resize("a", make(1, 1, 1))).error().is(Errc::not_found)) << "only committed";
  ASSERT_TRUE(allocate("a"));
  ASSERT_TRUE(run(manager_->resize("a", make(0, 0, 50))));
  reopen();
  EXPECT_EQ(manager_->find("a")->resources, make(0, 0, 50));
  EXPECT_EQ(manager_->find("a")->state, State::allocated);
  ASSERT_TRUE(commit("b", make(4, 8, 50, {16}), in(60))) << "all the rest";
  const auto refused = run(manager_->resize("a", make(3, 4, 50, {8})));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::limit_exceeded));
  EXPECT_EQ(manager_->find("a")->resources, make(0, 0, 50));
  ASSERT_TRUE(uncommit("b"));
  ASSERT_TRUE(run(manager_->resize("a", make(3, 4, 50, {8}))));
  EXPECT_EQ(manager_->free()->gpus.at(0).vram.bytes, 8 * kGiB);
  ASSERT_TRUE(deallocate("a"));
  EXPECT_EQ(*manager_->free(), *manager_->onboarded());
}

}  // namespace
}  // namespace dms::resources
