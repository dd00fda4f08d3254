#include "orchestrator/deployment/record.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "encoding/testing.hpp"
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
  ASSERT_EQ(loaded->unreadable.size(), 4u);
  EXPECT_NE(loaded->unreadable.at("broken").find("id"), std::string::npos) << loaded->unreadable.at("broken");
  EXPECT_NE(loaded->unreadable.at("empty").find("ensemble"), std::string::npos) << loaded->unreadable.at("empty");
  EXPECT_NE(loaded->unreadable.at("future").find("Hibernating"), std::string::npos) << loaded->unreadable.at("future");
  EXPECT_NE(loaded->unreadable.at("renamed").find("id: expected"), std::string::npos)
      << loaded->unreadable.at("renamed");
  EXPECT_EQ(run(db.get(std::string(kDeploymentCollection), "future")).value(),
            R"({"id":"future","status":"Hibernating"})")
      << "it is left as it was stored";
}

struct EarlierRecordsTest : RecordTest {
  void SetUp() override {
    using Formats = std::map<std::string, std::map<std::string, json::Value>>;
    const auto formats = json::decode<Formats>(test::read_vectors("records/deployments.json"));
    ASSERT_TRUE(formats) << formats.error().to_string();
    for (const auto& [format, documents] : *formats)
      for (const auto& [id, document] : documents)
        ASSERT_TRUE(db.blocking().put(kDeploymentCollection, id, json::encode(document)));
    auto loaded = run(store.load_all());
    ASSERT_TRUE(loaded) << loaded.error().to_string();
    EXPECT_EQ(loaded->unreadable, json::StringMap());
    for (DeploymentRecord& record : loaded->records) records[record.id] = std::move(record);
    ASSERT_EQ(records.size(), 6u);
    for (const auto& [id, record] : records) {
      SCOPED_TRACE(id);
      EXPECT_EQ(record.manifest.id, id);
      EXPECT_EQ(record.manifest.orchestrator.address.inbox, id);
      EXPECT_EQ(record.error, "");
      const auto& [name, allocation] = *record.ensemble.allocations.begin();
      EXPECT_EQ(allocation.executor, jobs::ExecutorType::sandbox);
      EXPECT_EQ(allocation.execution.params.at("cmd").as_array().size(), 3u);
      EXPECT_EQ(allocation.resources.ram.size.bytes, 32u << 20);
      const protocol::AllocationManifest& entry = record.manifest.allocations.at(name);
      EXPECT_EQ(entry.id, id + "_" + name);
      EXPECT_EQ(entry.node_id, "place");
      EXPECT_EQ(entry.handle.address.inbox, entry.id);
      const protocol::NodeManifest& node = record.manifest.nodes.at("place");
      EXPECT_EQ(node.peer, record.ensemble.nodes.at("place").peer);
      EXPECT_EQ(node.handle.address.host, node.peer);
      EXPECT_FALSE(node.handle.did.empty());
      EXPECT_EQ(node.allocations, std::vector{name});
      EXPECT_EQ(node.redundancy_role, "primary");
      EXPECT_EQ(node.status, "active");
      EXPECT_TRUE(record.moves.empty() && record.changes.empty() && record.unbegun.empty());
      EXPECT_TRUE(record.rests.empty() && record.lost.empty() && record.absent.empty());
      EXPECT_FALSE(record.choice);
    }
  }
  /// Of the only allocation.
  const protocol::AllocationManifest& entry(const std::string& id) {
    return records.at(id).manifest.allocations.begin()->second;
  }
  std::map<std::string, DeploymentRecord> records;
};

TEST_F(EarlierRecordsTest, OneFromBeforeLeasesHasNoBootAndNoRun) {
  const DeploymentRecord& old = records.at("d-before-leases");
  EXPECT_EQ(old.status, DeploymentStatus::running);
  EXPECT_EQ(old.deadline, 1796037090820503866u);
  EXPECT_EQ(old.created, 1796036985825932556u);
  EXPECT_EQ(old.ended, 0u);
  EXPECT_EQ(old.boot_id, "");
  EXPECT_EQ(old.remaining_ns, 0);
  EXPECT_FALSE(old.unsettled());
  EXPECT_EQ(entry(old.id).status, protocol::AllocationStatus::running);
  EXPECT_EQ(entry(old.id).incarnation, "");
  EXPECT_EQ(entry(old.id).lease_ns, 0);
  EXPECT_FALSE(entry(old.id).collected);
}

TEST_F(EarlierRecordsTest, OnesOfTheFirstLeasesAreReadWithWhatIsSuperseded) {
  const DeploymentRecord& service = records.at("d-first-service");
  EXPECT_EQ(service.status, DeploymentStatus::running);
  EXPECT_EQ(service.boot_id, "01234567-89ab-4cde-8f01-23456789abcd\n");
  EXPECT_EQ(service.deploy_until_ns, 59190543897947);
  EXPECT_EQ(service.remaining_ns, 104188646325);
  EXPECT_EQ(service.ensemble.allocations.at("service").type, jobs::AllocationType::service);
  EXPECT_EQ(service.ensemble.allocations.at("service").healthcheck.type, jobs::HealthCheckType::command);
  EXPECT_EQ(service.ensemble.allocations.at("service").healthcheck.interval_ns, Duration(1s).count());
  const std::string run = "3aaed0348b4a98f74fdf785c71c69ceb";
  EXPECT_EQ(entry(service.id).incarnation, run);
  EXPECT_EQ(entry(service.id).lease_ns, Duration(5min).count());
  EXPECT_EQ(entry(service.id).restarts, 2u);
  EXPECT_EQ(entry(service.id).health, protocol::Health::healthy);
  EXPECT_EQ(service.restarting, (json::StringMap{{"service", run}}));
  EXPECT_EQ(service.outputs, (json::StringMap{{"service", "5d1e6bfae92f43f0a0a9c2f7a8a0f6e1"}}));
  EXPECT_TRUE(service.starts.empty() && service.ran_on.empty());
  EXPECT_EQ(service.last_number, 3u);
  ASSERT_EQ(service.superseded.size(), 1u);
  const Superseded& before = service.superseded[0];
  EXPECT_EQ(before.number, 3u);
  EXPECT_EQ(before.node, "place");
  EXPECT_EQ(before.peer, service.manifest.nodes.at("place").peer);
  EXPECT_EQ(before.handle, service.manifest.nodes.at("place").handle);
  EXPECT_EQ(before.allocations, (json::StringMap{{"service", "9b57e0e8d5f84b1f8d0b7d1c2a3f4e55"}}));
  EXPECT_EQ(before.hold_ns, Duration(5min).count());
  EXPECT_TRUE(before.exclusive);
  EXPECT_FALSE(before.ended || before.over) << "it may run";
  EXPECT_TRUE(before.unfetched.empty() && before.unstarted.empty() && before.restarting.empty());
  EXPECT_TRUE(before.stopping.empty());
  EXPECT_TRUE(service.may_run_elsewhere());

  const DeploymentRecord& completed = records.at("d-first-completed");
  EXPECT_EQ(completed.status, DeploymentStatus::completed);
  EXPECT_EQ(completed.ended, 1796036987740080326u);
  EXPECT_EQ(entry(completed.id).status, protocol::AllocationStatus::completed);
  EXPECT_EQ(entry(completed.id).exit_code, 3);
  EXPECT_EQ(entry(completed.id).out_size, 79u);
  EXPECT_EQ(entry(completed.id).err_size, 8u);
  EXPECT_TRUE(entry(completed.id).collected);
  EXPECT_EQ(entry(completed.id).cpu_seconds, 0);
  EXPECT_FALSE(completed.unsettled());
}

TEST_F(EarlierRecordsTest, OnesFromBeforeChoicesAreReadWithRunsAndWhereTheyBegan) {
  for (const auto& [id, run, lease] : {std::tuple("d-service", "3aaed0348b4a98f74fdf785c71c69ceb", Duration(5min)),
                                       std::tuple("d-task", "d1aaab3f72c591f32f6cd38c02bf2c5f", Duration(2min))}) {
    const DeploymentRecord& running = records.at(id);
    const std::string& name = running.ensemble.allocations.begin()->first;
    EXPECT_EQ(running.status, DeploymentStatus::running);
    EXPECT_EQ(entry(id).status, protocol::AllocationStatus::running);
    EXPECT_EQ(entry(id).incarnation, run);
    EXPECT_EQ(entry(id).lease_ns, lease.count());
    EXPECT_EQ(running.starts, (json::StringMap{{name, run}}));
    EXPECT_EQ(running.ran_on, (json::StringMap{{name, running.manifest.nodes.at("place").peer}}));
    EXPECT_FALSE(running.unsettled());
  }
  EXPECT_EQ(records.at("d-task").ensemble.nodes.at("place").lease(), 2min);
  EXPECT_EQ(entry("d-service").health, protocol::Health::healthy);

  const DeploymentRecord& completed = records.at("d-completed");
  const std::string run = "a77dd15aaecd0a76c4fd1a0ba2073c11";
  EXPECT_EQ(completed.status, DeploymentStatus::completed);
  EXPECT_EQ(completed.ended, 1796036987740080326u);
  EXPECT_EQ(completed.outputs, (json::StringMap{{"task", run}}));
  EXPECT_EQ(completed.ensemble.allocations.at("task").results->paths, std::vector<std::string>{"word"});
  EXPECT_EQ(entry(completed.id).incarnation, run);
  EXPECT_EQ(entry(completed.id).results_limit, 1u << 30);
  EXPECT_EQ(entry(completed.id).out_size, 79u);
  EXPECT_EQ(entry(completed.id).cpu_seconds, 0.060352);
  EXPECT_EQ(entry(completed.id).memory_bytes, 1507328u);
  EXPECT_TRUE(entry(completed.id).collected);
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
