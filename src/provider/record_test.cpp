#include "provider/record.hpp"

#include "base/log.hpp"
#include "db/readable.hpp"
#include "encoding/testing.hpp"
#include "provider/testing.hpp"

namespace dms::provider {
namespace {

struct RecordTest : ProviderTest {
  AllocationStore allocations{*store};

  AllocationRecord record(const std::string& name) {
    AllocationRecord made;
    made.id = made.name = name;
    made.config = allocate_request("e", "a").allocations.at("a");
    made.orchestrator = alice.root->handle();
    made.created_ns = 7;
    made.incarnation = "abc";
    return made;
  }
  std::vector<AllocationStore::Loaded> load() { return allocations.load().value(); }
  void put(const std::string& collection, const std::string& id, std::string_view json) {
    ASSERT_TRUE(store->blocking().put(collection, id, json));
  }
};

TEST_F(RecordTest, ARecordIsReadAsItWasWritten) {
  AllocationRecord written = record("e_a");
  written.phase = Phase::ended;
  written.end = End{protocol::AllocationStatus::terminated, 137, true, "the lease has ended", 5, 6, 7, true};
  written.config.health_check = jobs::HealthCheck{.type = jobs::HealthCheckType::tcp, .port = 80};
  ASSERT_TRUE(run(allocations.create(written, Lease{"boot", 1, 2, true})));
  const auto loaded = load();
  ASSERT_EQ(loaded.size(), 1U);
  EXPECT_EQ(json::encode(loaded[0].record), json::encode(written));
  EXPECT_EQ(loaded[0].record.orchestrator, written.orchestrator);
  EXPECT_EQ(loaded[0].lease.length_ns, 2);
  EXPECT_TRUE(loaded[0].lease.by_contact);
  ASSERT_TRUE(run(allocations.erase("e_a")));
  EXPECT_TRUE(load().empty());
  EXPECT_TRUE(store->blocking().list(kLeaseCollection)->empty());
}

TEST_F(RecordTest, WhatCannotBeReadOrUsedIsSetAside) {
  const std::string good = json::encode(record("e_a"));
  put("allocations", "e_a", good);
  put("allocations", "damaged", "[]");
  put("allocations", "other_name", good);
  AllocationRecord escaping = record("x");
  escaping.name = "../../etc";
  put("allocations", "../../etc", json::encode(escaping));
  AllocationRecord endless = record("endless");
  endless.phase = Phase::ended;
  put("allocations", "endless", json::encode(endless));
  put("allocations.leases", "gone", "{}");
  put("allocations.leases", "e_a", "7");
  const auto loaded = load();
  ASSERT_EQ(loaded.size(), 1U);
  EXPECT_EQ(loaded[0].record.name, "e_a");
  EXPECT_EQ(loaded[0].lease.length_ns, 0) << "over: its lease cannot be read";
  EXPECT_EQ(store->blocking().list(db::unreadable("allocations"))->size(), 4U);
  EXPECT_EQ(store->blocking().list("allocations")->size(), 1U);
  EXPECT_TRUE(store->blocking().list("allocations.leases")->empty());
}

/// Members that this version does not know included.
TEST_F(RecordTest, WhatIsSetAsideIsNamedAndKeptAsItWasStored) {
  const std::string begin = R"({"hibernates":true,)";
  AllocationRecord endless = record("endless");
  endless.phase = Phase::ended;
  const std::string invalid = begin + json::encode(endless).substr(1);
  std::string unknown = begin + json::encode(record("unknown")).substr(1);
  const std::string phase = R"("phase":"allocated")";
  ASSERT_NE(unknown.find(phase), std::string::npos);
  unknown.replace(unknown.find(phase), phase.size(), R"("phase":"hibernating")");
  put("allocations", "endless", invalid);
  put("allocations", "unknown", unknown);
  put("allocations.leases", "unknown", R"({"boot":"boot","end":"never","length":2})");
  std::vector<std::string> errors;
  log::set_sink([&](const log::Line& line) { errors.emplace_back(line.text); });
  EXPECT_TRUE(load().empty());
  log::set_sink({});
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_NE(errors[0].find("endless of allocations"), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find("end: present exactly"), std::string::npos) << errors[0];
  EXPECT_NE(errors[1].find("unknown of allocations"), std::string::npos) << errors[1];
  EXPECT_NE(errors[1].find("hibernating"), std::string::npos) << errors[1];
  EXPECT_NE(errors[2].find("unknown of allocations.leases"), std::string::npos) << errors[2];
  const auto kept = [&](const char* collection, const char* id) {
    return store->blocking().get(db::unreadable(collection), id)->value_or("");
  };
  EXPECT_EQ(kept("allocations", "endless"), invalid);
  EXPECT_EQ(kept("allocations", "unknown"), unknown);
  EXPECT_EQ(kept("allocations.leases", "unknown"), R"({"boot":"boot","end":"never","length":2})");
}

TEST_F(RecordTest, RecordsOfEarlierReleasesAreReadWithTheirValues) {
  using Collections = std::map<std::string, std::map<std::string, json::Value>>;
  const auto formats = json::decode<std::map<std::string, Collections>>(test::read_vectors("records/allocations.json"));
  ASSERT_TRUE(formats) << formats.error().to_string();
  for (const auto& [format, collections] : *formats)
    for (const auto& [collection, documents] : collections)
      for (const auto& [id, document] : documents) put(collection, id, json::encode(document));
  std::map<std::string, AllocationStore::Loaded> found;
  for (AllocationStore::Loaded& loaded : load()) {
    const std::string name = loaded.record.name;
    found[name] = std::move(loaded);
  }
  ASSERT_EQ(found.size(), 4U);
  for (const auto& [name, loaded] : found) {
    SCOPED_TRACE(name);
    const AllocationRecord& record = loaded.record;
    EXPECT_EQ(record.id, name);
    EXPECT_EQ(record.config.executor, jobs::ExecutorType::sandbox);
    EXPECT_EQ(record.config.execution.params.at("cmd").as_array().size(), 3U);
    EXPECT_EQ(record.config.resources.ram.size.bytes, 32U << 20);
    EXPECT_TRUE(record.config.inputs.empty());
    EXPECT_FALSE(record.config.results);
    EXPECT_EQ(record.orchestrator.address.inbox, name.substr(0, name.find('_')));
    EXPECT_EQ(record.orchestrator.did.uri(), "did:key:z6MkiGAhSLujf4kD7w1HLconUoGjHCwWa51pn3KWn8rwxdSv");
    EXPECT_EQ(record.boot_id, loaded.lease.boot_id);
    EXPECT_GT(record.created_ns, 1796036985000000000U);
    EXPECT_GT(record.started_ns, record.created_ns);
    EXPECT_FALSE(record.stopping);
    EXPECT_EQ(record.over_disk, "");
  }
  const auto& service = found.at("d-first-service_service");
  EXPECT_EQ(service.record.config.type, jobs::AllocationType::service);
  ASSERT_TRUE(service.record.config.health_check);
  EXPECT_EQ(service.record.config.health_check->exec, std::vector<std::string>{"/bin/true"});
  EXPECT_EQ(service.record.phase, Phase::running);
  EXPECT_EQ(service.record.incarnation, "3aaed0348b4a98f74fdf785c71c69ceb");
  EXPECT_EQ(service.record.previous, "9b57e0e8d5f84b1f8d0b7d1c2a3f4e55");
  EXPECT_EQ(service.record.node, "");
  EXPECT_FALSE(service.record.end);
  EXPECT_EQ(service.lease.end_ns, 59386353326853);
  EXPECT_EQ(service.lease.length(), 5min);
  EXPECT_FALSE(service.lease.by_contact);

  const auto& task = found.at("d-first-task_task");
  EXPECT_EQ(task.record.phase, Phase::ended);
  ASSERT_TRUE(task.record.end);
  const End& end = *task.record.end;
  EXPECT_EQ(end.status, protocol::AllocationStatus::failed);
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_TRUE(end.killed && end.acknowledged);
  EXPECT_EQ(end.reason, "exit code 3");
  EXPECT_EQ(end.out_size, 79U);
  EXPECT_EQ(end.err_size, 8U);
  EXPECT_EQ(end.at_ns, 59180543897947);
  EXPECT_EQ(end.cpu_seconds, 0);
  EXPECT_EQ(end.memory_bytes, 0U);
  EXPECT_FALSE(end.restart_failed);
  EXPECT_EQ(task.lease.length(), 24h);
  EXPECT_TRUE(task.lease.by_contact);

  for (const char* name : {"d-service_service", "d-task_later"}) {
    EXPECT_EQ(found.at(name).record.phase, Phase::running);
    EXPECT_EQ(found.at(name).record.node, "place");
    EXPECT_FALSE(found.at(name).record.end);
  }
  EXPECT_EQ(found.at("d-task_later").lease.length(), 2min);
}

TEST_F(RecordTest, TheKeyOfAnActorFollowsFromNameAndTime) {
  AllocationRecord later = record("e_a");
  later.created_ns = 8;
  EXPECT_EQ(actor_key_label(record("e_a")), "allocation/e_a/7");
  EXPECT_NE(actor_key_label(record("e_a")), actor_key_label(later));
}

}  // namespace
}  // namespace dms::provider
