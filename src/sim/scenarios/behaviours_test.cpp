// What src/protocol declares is what a node serves.
#include <gtest/gtest.h>

#include "protocol/table.hpp"
#include "sim/cluster/cluster.hpp"

namespace dms::sim {
namespace {

TEST(Behaviours, ANodeServesEachDeclaredOne) {
  Cluster cluster(1);
  Machine& machine = cluster.add("provider", 4, 8);
  cluster.start();
  // Served by actors that live for one deployment or one allocation, not by the node's root actor.
  const std::set<std::string_view> elsewhere = {"/dms/deployment/bid",
                                                "/dms/allocation/start",
                                                "/dms/allocation/restart",
                                                "/dms/allocation/stats",
                                                "/dms/actor/healthcheck/register",
                                                "/dms/orchestrator/task-termination",
                                                "/dms/orchestrator/allocation-changed",
                                                "/dms/orchestrator/allocation-progress",
                                                "/dms/orchestrator/input",
                                                "/dms/orchestrator/work",
                                                "/dms/ensemble/{ensemble}/allocation/logs",
                                                "/dms/ensemble/{ensemble}/allocation/results",
                                                "/dms/ensemble/{ensemble}/allocation/shutdown"};
  for (const protocol::TableEntry& entry : protocol::behaviour_table()) {
    const std::string path(entry.declaration->path);
    EXPECT_EQ(machine.node().root().has_behaviour(path), !elsewhere.contains(path)) << path;
  }
  cluster.stop();
}

}  // namespace
}  // namespace dms::sim
