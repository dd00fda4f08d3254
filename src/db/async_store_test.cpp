#include "db/async_store.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <filesystem>
#include <latch>
#include <thread>

#include "runtime/nursery.hpp"
#include "runtime/real_runtime.hpp"
#include "simulation/sim_world.hpp"

namespace dms::db {
namespace {

Store open_memory() { return *Store::open(std::string(Store::kMemory)); }

struct SimulatedStore {
  SimWorld world{1};
  SimNode& node = world.add_node("node");
  AsyncStore store{node.runtime().lane, open_memory()};
  Nursery nursery{node.runtime().lane, "test"};
  std::vector<std::string> events;

  void close() {
    world.run(node, nursery.close());
    world.run(node, store.close());
  }
};

Task<void> put_and_note(AsyncStore& store, std::string id, std::string json, std::vector<std::string>& events) {
  Result<void> done = co_await store.put("a", id, json);
  events.push_back(done ? id : done.error().to_string());
}

TEST(AsyncStore, HasTheOperationsOfTheStore) {
  SimulatedStore w;
  EXPECT_TRUE(w.world.run(w.node, w.store.put("a", "1", "{}")));
  EXPECT_EQ(**w.world.run(w.node, w.store.get("a", "1")), "{}");
  EXPECT_EQ(*w.world.run(w.node, w.store.get("a", "2")), std::nullopt);
  EXPECT_EQ(*w.world.run(w.node, w.store.list("a")), (std::vector<Document>{{"1", "{}"}}));
  EXPECT_TRUE(*w.world.run(w.node, w.store.erase("a", "1")));
  EXPECT_FALSE(*w.world.run(w.node, w.store.erase("a", "1")));
  EXPECT_FALSE(w.world.run(w.node, w.store.put("", "1", "{}"))) << "errors of the store reach the caller";
  EXPECT_TRUE(w.world.run(w.node, w.store.put_value("v", "n", std::uint64_t{7})));
  EXPECT_EQ(*w.world.run(w.node, w.store.get_value<std::uint64_t>("v", "n")), 7U);
  EXPECT_EQ(w.world.run(w.node, w.store.list_values<std::uint64_t>("v"))->at(0).second, 7U);
  EXPECT_FALSE(w.world.run(w.node, w.store.list_values<std::string>("v"))) << "of another type";
  w.close();
}

TEST(AsyncStore, OperationsAreCarriedOutInTheOrderOfTheirStart) {
  SimulatedStore w;
  for (int i = 0; i < 50; ++i) w.nursery.spawn(put_and_note(w.store, "x", std::to_string(i), w.events));
  w.nursery.spawn([](AsyncStore& store, std::vector<std::string>& events) -> Task<void> {
    Result<std::optional<std::string>> seen = co_await store.get("a", "x");
    events.push_back("read " + **seen);
  }(w.store, w.events));
  w.world.run(w.node, w.nursery.join());
  ASSERT_EQ(w.events.size(), 51U);
  EXPECT_EQ(w.events.back(), "read 49") << "a read sees what was started before it";
  w.close();
}

TEST(AsyncStore, ATransactionIsAllOrNothing) {
  SimulatedStore w;
  const auto change = [](bool succeeds) {
    return [succeeds](Store& store) -> Result<void> {
      TRY_VOID(store.put("a", "1", "{}"));
      TRY_VOID(store.put("a", "2", "{}"));
      if (!succeeds) return fail(dms::Errc::internal, "no");
      return {};
    };
  };
  EXPECT_FALSE(w.world.run(w.node, w.store.transaction(change(false))));
  EXPECT_TRUE(w.store.blocking().list("a")->empty());
  EXPECT_TRUE(w.world.run(w.node, w.store.transaction(change(true))));
  EXPECT_EQ(w.store.blocking().list("a")->size(), 2U);
  w.close();
}

TEST(AsyncStore, ACancelledCallerDoesNotUndoItsWrite) {
  SimulatedStore w;
  w.nursery.spawn(put_and_note(w.store, "1", "{}", w.events));
  w.nursery.cancel();
  w.world.run(w.node, w.nursery.join());
  EXPECT_EQ(w.events, (std::vector<std::string>{"1"}));
  EXPECT_EQ(w.store.blocking().list("a")->size(), 1U);
  w.close();
}

TEST(AsyncStore, CloseWaitsForWhatIsQueuedAndRefusesTheRest) {
  SimulatedStore w;
  for (int i = 0; i < 3; ++i) w.nursery.spawn(put_and_note(w.store, std::to_string(i), "{}", w.events));
  w.nursery.spawn(w.store.close());
  w.nursery.spawn(put_and_note(w.store, "late", "{}", w.events));
  w.world.run(w.node, w.nursery.join());
  EXPECT_EQ(w.store.blocking().list("a")->size(), 3U);
  EXPECT_EQ(w.store.metrics().operations.value(), 3U);
  EXPECT_EQ(w.store.metrics().queued.value(), 0);
}

TEST(AsyncStore, TheQueueIsBounded) {
  SimulatedStore w;
  for (std::size_t i = 0; i < AsyncStore::kMaxQueued + 5; ++i)
    w.nursery.spawn(put_and_note(w.store, "x", "{}", w.events));
  w.world.run(w.node, w.nursery.join());
  EXPECT_EQ(w.store.metrics().refused.value(), 5U);
  EXPECT_EQ(w.store.metrics().operations.value(), AsyncStore::kMaxQueued);
  w.close();
}

TEST(AsyncStore, AWriteFaultIsTheResultOfEachWriteAndChangesNothing) {
  SimulatedStore w;
  ASSERT_TRUE(w.world.run(w.node, w.store.put("a", "1", "{}")));
  int asked = 0;
  w.store.set_write_fault([&asked]() -> Result<void> {
    if (++asked > 3) return {};
    return fail(dms::Errc::io, "no space left");
  });
  EXPECT_TRUE(w.world.run(w.node, w.store.put("a", "2", "{}")).error().is(dms::Errc::io));
  EXPECT_TRUE(w.world.run(w.node, w.store.erase("a", "1")).error().is(dms::Errc::io));
  AsyncStore::Change change = [](Store& store) { return store.put("a", "3", "{}"); };
  EXPECT_TRUE(w.world.run(w.node, w.store.transaction(std::move(change))).error().is(dms::Errc::io));
  EXPECT_EQ(w.world.run(w.node, w.store.list("a"))->size(), 1U) << "a read is no write";
  EXPECT_TRUE(w.world.run(w.node, w.store.put("a", "2", "{}")));
  EXPECT_EQ(asked, 4);
  w.close();
}

TEST(AsyncStore, RunsReplay) {
  const auto trace = [] {
    SimulatedStore w;
    for (int i = 0; i < 20; ++i) w.nursery.spawn(put_and_note(w.store, std::to_string(i), "{}", w.events));
    w.world.run(w.node, w.nursery.join());
    w.close();
    return w.world.trace();
  };
  EXPECT_EQ(trace(), trace());
}

/// The write ends only after the lane has run something else: it fails to end if the lane waits for it.
Task<void> write_while_the_lane_works(AsyncStore& store, bool& written) {
  TaskContext context = co_await this_task();
  std::latch lane_ran(1);
  context.lane->call_at(context.lane->now() + 1ms, [&lane_ran] { lane_ran.count_down(); });
  Result<void> done = co_await store.transaction([&lane_ran](Store& database) -> Result<void> {
    lane_ran.wait();
    return database.put("a", "1", "{}");
  });
  written = done.has_value();
  co_await store.close();
}

TEST(AsyncStore, ARealLaneRunsWhileAWriteIsPending) {
  const auto folder = std::filesystem::temp_directory_path() / ("nunet-async-db-" + std::to_string(::getpid()));
  auto opened = Store::open((folder / "nunet.db").string());
  ASSERT_TRUE(opened) << opened.error().to_string();
  {
    RealRuntime runtime;
    AsyncStore store(runtime.runtime().lane, *std::move(opened));
    bool written = false;
    runtime.run(write_while_the_lane_works(store, written));
    EXPECT_TRUE(written);
    EXPECT_EQ(store.blocking().list("a")->size(), 1U);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace dms::db
