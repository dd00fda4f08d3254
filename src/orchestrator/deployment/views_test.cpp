// What users see of a record.
#include "orchestrator/deployment/views.hpp"

#include "orchestrator/deployment/test_placed_record.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct ViewsTest : PlacedRecordTest {};

TEST_F(ViewsTest, ListsAreFilteredAndPaged) {
  RecordStore::Loaded loaded;
  for (const char* id : {"c", "a", "b", "d"}) {
    record.id = id;
    record.ensemble.metadata = {{"team", std::string(id) == "b" ? "red" : "blue"}};
    record.status = std::string(id) == "d" ? DeploymentStatus::failed : DeploymentStatus::running;
    loaded.records.push_back(record);
  }
  loaded.unreadable = {{"e", "damaged"}};
  DeploymentListRequest request;
  EXPECT_EQ(list_of(loaded, request).deployments.size(), 5u);
  request.metadata = {{"team", "blue"}};
  request.status = {"Running"};
  const DeploymentListReply blue = list_of(loaded, request);
  EXPECT_EQ(blue.deployments, (json::StringMap{{"a", "Running"}, {"c", "Running"}}));
  EXPECT_EQ(blue.next, "");

  request = {};
  request.limit = 2;
  std::string seen;
  for (int page = 0; page < 3; ++page) {
    const DeploymentListReply reply = list_of(loaded, request);
    for (const auto& [id, status] : reply.deployments) seen += id;
    seen += '|';
    request.after = reply.next;
  }
  EXPECT_EQ(seen, "ab|cd|e|");
  EXPECT_EQ(request.after, "");
}

TEST_F(ViewsTest, AListTellsWhatEachDeploymentIs) {
  RecordStore::Loaded loaded;
  record.id = "a";
  record.created = 7;
  record.ensemble.metadata = {{"name", std::string(1000, 'x')}};
  ASSERT_FALSE(record.manifest.allocations.empty());
  for (auto& [name, allocation] : record.manifest.allocations) allocation.status = AllocationStatus::completed;
  record.manifest.allocations.begin()->second.status = AllocationStatus::running;
  loaded.records.push_back(record);
  loaded.unreadable = {{"e", "damaged"}};
  const DeploymentListReply reply = list_of(loaded, {});
  ASSERT_EQ(reply.details.size(), 1u) << "of what cannot be read there are none";
  const DeploymentSummary& summary = reply.details.at("a");
  EXPECT_LE(summary.name.size(), kMaxListedName);
  EXPECT_TRUE(summary.name.starts_with("xxx"));
  EXPECT_EQ(summary.created, 7u);
  EXPECT_EQ(summary.allocations, record.ensemble.allocations.size());
  EXPECT_EQ(summary.running, 1u);
}

TEST_F(ViewsTest, AListTellsWhyADeploymentHasFailedInPagesOfOneMessage) {
  RecordStore::Loaded loaded;
  record.status = DeploymentStatus::failed;
  record.error = "no machine\n" + std::string(2000, 'x');
  for (int i = 0; i < 1000; ++i) {
    record.id = fmt::format("d{:04}", i);
    loaded.records.push_back(record);
  }
  DeploymentListRequest request;
  std::size_t listed = 0;
  std::size_t pages = 0;
  do {
    const DeploymentListReply reply = list_of(loaded, request);
    ASSERT_LE(json::encode(reply).size(), kMaxView + 1024);
    ASSERT_FALSE(reply.details.empty());
    for (const auto& [id, summary] : reply.details) EXPECT_EQ(summary.reason, record.error) << id;
    listed += reply.deployments.size();
    request.after = reply.next;
    ++pages;
  } while (!request.after.empty());
  EXPECT_EQ(listed, 1000u);
  EXPECT_GE(pages, 2u);
}

TEST_F(ViewsTest, TheStatusTellsOfARunThatMayExistElsewhere) {
  supersede_node(record, "left", false);
  EXPECT_NE(status_of(record).allocations.at("web").reason.find("may still exist on p-left"), std::string::npos);
  EXPECT_EQ(status_of(record).allocations.at("job").reason, "");
}

/// The members of NuNet's manifest, those of features that are refused with what says so.
TEST_F(ViewsTest, TheManifestHasTheMembersThatTheExistingImplementationWrites) {
  jobs::HealthCheck& check = record.ensemble.allocations.at("web").healthcheck;
  check.type = jobs::HealthCheckType::command;
  check.exec = {"true"};
  record.manifest.nodes.at("left").pub_address = {"192.0.2.1"};
  const json::Value manifest = json::to_value(manifest_of(record));
  const json::Value& web = manifest.at("allocations").at("web");
  EXPECT_EQ(web.at("healthcheck").at("type"), "command");
  EXPECT_EQ(web.at("priv_addr"), "");
  EXPECT_EQ(web.at("redundancy_group"), "");
  EXPECT_EQ(web.at("is_standby"), false);
  EXPECT_TRUE(web.at("ports").is_object());
  EXPECT_EQ(manifest.at("allocations").at("db").at("healthcheck").at("type"), "");
  const json::Value& left = manifest.at("nodes").at("left");
  EXPECT_EQ(left.at("pub_address").at(0), "192.0.2.1");
  EXPECT_EQ(left.at("redundancy_role"), "primary");
  EXPECT_EQ(left.at("primary_node"), "");
  EXPECT_TRUE(left.at("standby_nodes").as_array().empty());
  EXPECT_EQ(left.at("standby_index"), 0);
  EXPECT_EQ(left.at("status"), "active");
  EXPECT_TRUE(manifest.at("subnet").is_object());
  EXPECT_TRUE(manifest.at("contracts").as_object().empty());
}

TEST_F(ViewsTest, ResultsThatWillNotComeAreNamedOnceTheirRunHasEnded) {
  record.absent["web"] = {{"report", "there is no such file"}};
  entry("web").status = AllocationStatus::running;
  EXPECT_TRUE(info_of(record).allocations.at("web").absent.empty()) << "of the run before";
  entry("web").status = AllocationStatus::completed;
  EXPECT_EQ(info_of(record).allocations.at("web").absent, record.absent.at("web"));
  EXPECT_TRUE(info_of(record).allocations.at("db").absent.empty());
}

TEST_F(ViewsTest, WhatHasEndedIsShownOnTheMachineWhereItEndedAfterItsNodeHasMoved) {
  entry("db").status = AllocationStatus::completed;
  record.manifest.nodes.at("left").peer = "p-spare";
  record.manifest.nodes.at("left").handle.address.host = "p-spare";
  entry("web").handle.address.host = "p-spare";
  EXPECT_EQ(status_of(record).allocations.at("db").peer, "p-left");
  EXPECT_EQ(info_of(record).allocations.at("db").peer, "p-left");
  EXPECT_EQ(status_of(record).allocations.at("web").peer, "p-spare");
}

TEST_F(ViewsTest, WhatHasEndedHasNoHealth) {
  entry("web").health = Health::healthy;
  EXPECT_EQ(status_of(record).allocations.at("web").health, Health::healthy);
  EXPECT_EQ(manifest_of(record).allocations.at("web").health, Health::healthy);
  for (const AllocationStatus end :
       {AllocationStatus::completed, AllocationStatus::failed, AllocationStatus::terminated}) {
    entry("web").status = end;
    EXPECT_EQ(status_of(record).allocations.at("web").health, Health::unknown);
    EXPECT_EQ(info_of(record).allocations.at("web").health, Health::unknown);
    EXPECT_EQ(manifest_of(record).allocations.at("web").health, Health::unknown);
  }
}

TEST_F(ViewsTest, ARestartCountsOnceItHasBegun) {
  supersede_node(record, "left", false);
  const auto shown = [&] { return status_of(record).allocations.at("web").restarts; };
  EXPECT_EQ(shown(), 0u) << "it waits for a machine";
  EXPECT_EQ(manifest_of(record).allocations.at("web").restarts, 0u);
  DeploymentRecord begun = record;
  begun.manifest.allocations.at("web").status = AllocationStatus::running;
  EXPECT_EQ(status_of(begun).allocations.at("web").restarts, 1u);
  supersede_node(record, "left", false);
  EXPECT_EQ(shown(), 0u) << "it is lost again before it has begun";
  end_unplaced(record, AllocationStatus::terminated, "it was shut down");
  EXPECT_EQ(shown(), 0u);
  EXPECT_EQ(entry("web").status, AllocationStatus::terminated) << "it has run once, and is shown";
}

TEST_F(ViewsTest, WhatHasNeverRunIsShownWithTheEndOfItsDeployment) {
  supersede_node(record, "left", false);
  entry("db").restarts = 0;
  record.manifest.allocations.erase("web");
  EXPECT_EQ(status_of(record).allocations.count("web"), 0u) << "the deployment goes on";
  record.status = DeploymentStatus::shutting_down;
  end_unplaced(record, AllocationStatus::terminated, "it was shut down");
  ASSERT_EQ(record.manifest.allocations.count("db"), 0u) << "it has never run";
  const auto expect_shown = [&](std::string_view reason) {
    const DeploymentStatusReply status = status_of(record);
    const DeploymentInfoReply info = info_of(record);
    for (const char* name : {"db", "web"}) {
      ASSERT_EQ(status.allocations.count(name), 1u) << name;
      EXPECT_EQ(status.allocations.at(name).status, AllocationStatus::terminated) << name;
      EXPECT_EQ(status.allocations.at(name).reason, reason) << name;
      EXPECT_EQ(info.allocations.at(name).reason, reason) << name;
      EXPECT_EQ(info.allocations.at(name).node, "left") << name;
    }
    EXPECT_EQ(status.allocations.size(), record.ensemble.allocations.size());
  };
  record.superseded.clear();
  expect_shown("it never ran: it was shut down");
  record.status = DeploymentStatus::failed;
  expect_shown("it never ran: the deployment has failed");
  Superseded unanswered;
  unanswered.node = "left";
  unanswered.allocations = {{"db", "db-1"}};
  unanswered.unfetched = unanswered.unstarted = {"db"};
  record.superseded.push_back(std::move(unanswered));
  EXPECT_FALSE(status_of(record).allocations.at("db").reason.contains("never ran")) << "that is still to be asked";
}

TEST_F(ViewsTest, TheErrorOfAnUnknownAllocationNamesThoseThereAre) {
  record.manifest.allocations.clear();
  EXPECT_EQ(check_allocation(record, "no").error().message(),
            "deployment d1 has no allocation 'no' on any machine (it is Running)");
  record.manifest.allocations["web"];
  record.outputs = {{"old", "old-1"}, {"web", "web-1"}};
  EXPECT_EQ(check_allocation(record, "no").error().message(),
            "deployment d1 has no allocation 'no' on any machine (it is Running); it has old, web");
}

}  // namespace
}  // namespace dms::orchestrator
