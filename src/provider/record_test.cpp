#include "provider/record.hpp"

#include "db/readable.hpp"
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

TEST_F(RecordTest, TheKeyOfAnActorFollowsFromNameAndTime) {
  AllocationRecord later = record("e_a");
  later.created_ns = 8;
  EXPECT_EQ(actor_key_label(record("e_a")), "allocation/e_a/7");
  EXPECT_NE(actor_key_label(record("e_a")), actor_key_label(later));
}

}  // namespace
}  // namespace dms::provider
