#include "orchestrator/deployment/record.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "orchestrator/test_records.hpp"
#include "simulation/sim_world.hpp"

namespace dms::orchestrator {
namespace {

using protocol::DeploymentStatus;

struct RecordTest : testing::Test {
  SimWorld world{1};
  SimNode& node = world.add_node("orchestrator");
  db::AsyncStore db{node.runtime().lane, db::Store::open(std::string(db::Store::kMemory)).value()};
  RefusingRecordStore store{db};

  static DeploymentRecord record(std::string id, DeploymentStatus status = DeploymentStatus::running) {
    DeploymentRecord made;
    made.id = std::move(id);
    made.ensemble = one_task_ensemble();
    made.status = status;
    return made;
  }
  template <class T>
  T run(Task<T> task) {
    return world.run(node, std::move(task));
  }
  void run(Task<void> task) { world.run(node, std::move(task)); }
  void keep(DeploymentRecord record) { ASSERT_TRUE(run(store.save(std::move(record)))); }
};

TEST_F(RecordTest, NothingIsStoredOnceItIsClosed) {
  DurableRecord durable(store, record("d1"));
  const DurableRecord::Change nothing = [](DeploymentRecord&) {};
  ASSERT_TRUE(run(durable.update(nothing)));
  run(durable.close());
  ASSERT_TRUE(run(store.erase("d1")));
  EXPECT_TRUE(run(durable.update(nothing)).error().is(Errc::closed));
  EXPECT_TRUE(run(durable.update_until_stored(nothing)).error().is(Errc::closed));
  EXPECT_FALSE(run(store.exists("d1")).value());
}

TEST_F(RecordTest, AChangeThatIsNotStoredHasNoEffect) {
  DurableRecord durable(store, record("d1", DeploymentStatus::preparing));
  const DurableRecord::Change to_running = [](DeploymentRecord& r) { r.status = DeploymentStatus::running; };
  store.refuse = true;
  EXPECT_FALSE(run(durable.update(to_running)));
  EXPECT_EQ(durable->status, DeploymentStatus::preparing);
  store.refuse = false;
  EXPECT_TRUE(run(durable.update(to_running)));
  EXPECT_EQ(durable->status, DeploymentStatus::running);
  EXPECT_EQ(run(store.load("d1")).value()->status, DeploymentStatus::running);
}

TEST_F(RecordTest, EachChangeOfTheStatusIsLogged) {
  std::vector<std::string> lines;
  log::set_level(log::Level::info);
  log::set_sink([&](const log::Line& line) { lines.emplace_back(line.text); });
  DurableRecord durable(store, record("d1", DeploymentStatus::preparing));
  const auto change_to = [&](DeploymentStatus status, std::string error) {
    const DurableRecord::Change change = [status, error](DeploymentRecord& r) {
      r.status = status;
      r.error = error;
    };
    EXPECT_TRUE(run(durable.update(change)));
  };
  change_to(DeploymentStatus::committing, "");
  change_to(DeploymentStatus::committing, "");
  change_to(DeploymentStatus::failed, "no provider");
  log::set_sink({});
  log::set_level(log::Level::warn);
  EXPECT_EQ(lines, (std::vector<std::string>{"d1: Preparing -> Committing", "d1: Committing -> Failed: no provider"}));
}

TEST_F(RecordTest, ARefusedChangeIsRepeatedUntilItIsStored) {
  DurableRecord durable(store, record("d1", DeploymentStatus::preparing));
  store.refuse = true;
  node.runtime().lane.call_at(world.now() + 10s, [this] { store.refuse = false; });
  const DurableRecord::Change to_failed = [](DeploymentRecord& r) { r.status = DeploymentStatus::failed; };
  const SteadyTime before = world.now();
  EXPECT_TRUE(run(durable.update_until_stored(to_failed)));
  EXPECT_GE(world.now() - before, 10s);
  EXPECT_GT(store.refused, 2u);
  EXPECT_EQ(durable->status, DeploymentStatus::failed);
}

TEST_F(RecordTest, RepeatingAChangeEndsWhenItsCallerIsCancelled) {
  DurableRecord durable(store, record("d1"));
  store.refuse = true;
  const DurableRecord::Change nothing = [](DeploymentRecord&) {};
  const Result<void> done = run(with_timeout(1min, durable.update_until_stored(nothing)));
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().is(Errc::deadline_exceeded));
}

Task<void> append(DurableRecord& durable, std::string text) {
  const DurableRecord::Change change = [&text](DeploymentRecord& r) { r.error += text; };
  EXPECT_TRUE(co_await durable.update(change));
}
Task<void> append_both(DurableRecord& durable, Lane& lane) {
  Nursery nursery(lane, "changes");
  nursery.spawn(append(durable, "a"));
  nursery.spawn(append(durable, "b"));
  co_await nursery.join();
}

TEST_F(RecordTest, ChangesOfOneRecordAreAppliedOneAfterAnother) {
  store.delay = 1s;
  DurableRecord durable(store, record("d1"));
  run(append_both(durable, node.runtime().lane));
  EXPECT_EQ(durable->error, "ab");
  EXPECT_EQ(run(store.load("d1")).value()->error, "ab") << "none of the changes is lost on disk";
}

TEST_F(RecordTest, ADamagedRecordDoesNotHideOthers) {
  keep(record("good"));
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "broken", "{\"id\":5}"));
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "empty", R"({"id":"empty","status":"Running"})"));
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "future", R"({"id":"future","status":"Hibernating"})"));
  ASSERT_TRUE(db.blocking().put(kDeploymentCollection, "renamed", R"({"id":"other","status":"Running"})"));
  const auto loaded = run(store.load_all());
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  ASSERT_EQ(loaded->records.size(), 1u);
  EXPECT_EQ(loaded->records[0].id, "good");
  EXPECT_FALSE(run(store.load("empty")));
  EXPECT_EQ(loaded->unreadable, (std::vector<std::string>{"broken", "empty", "future", "renamed"}));
}

TEST_F(RecordTest, EndedDeploymentsArePrunedByAgeAndNumberAndOthersNever) {
  const std::uint64_t now = world.unix_now().nanos;
  const auto ago = [now](Duration age) { return now - static_cast<std::uint64_t>(age.count()); };
  DeploymentRecord old_running = record("old-running");
  old_running.created = ago(2 * kEndedRetention);
  keep(old_running);
  DeploymentRecord old_ended = record("old-ended", DeploymentStatus::completed);
  old_ended.created = ago(3 * kEndedRetention);
  old_ended.ended = ago(kEndedRetention + 1h);
  keep(old_ended);
  for (std::size_t i = 0; i < kMaxEndedDeployments + 5; ++i) {
    DeploymentRecord ended = record(fmt::format("ended-{:05}", i), DeploymentStatus::failed);
    ended.ended = ago(1min * static_cast<int>(i));
    keep(ended);
  }
  const auto expired = run(store.expired(world.unix_now()));
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->size(), 6u);
  EXPECT_TRUE(std::ranges::count(*expired, "old-ended") == 1);
  EXPECT_TRUE(std::ranges::count(*expired, "ended-01004") == 1) << "the oldest are removed first";
  EXPECT_FALSE(std::ranges::count(*expired, "ended-00999") == 1);
  EXPECT_FALSE(std::ranges::count(*expired, "old-running") == 1);
  EXPECT_TRUE(run(store.exists("old-ended")).value());
  ASSERT_TRUE(run(store.erase("old-ended")));
  EXPECT_FALSE(run(store.exists("old-ended")).value());
}

}  // namespace
}  // namespace dms::orchestrator
