// A supervisor by itself; what it does for a deployment is tested beside that.
#include "orchestrator/supervision/supervisor.hpp"

#include "orchestrator/deployment/test_deployment.hpp"

namespace dms::orchestrator {
namespace {

using namespace protocol;

struct SupervisorTest : DeploymentTest {
  ~SupervisorTest() override { w.run(a, work.close()); }
  DeploymentRecord placed() {
    DeploymentRecord made = record();
    NodeManifest& node = made.manifest.nodes["node"];
    node.id = "node";
    node.peer = provider.peer();
    node.handle = b.root->handle();
    node.allocations = {"task"};
    AllocationManifest& entry = made.manifest.allocations["task"];
    entry.node_id = "node";
    entry.handle = b.root->handle();
    entry.incarnation = "1";
    entry.lease_ns = Duration(1min).count();
    entry.status = AllocationStatus::running;
    return made;
  }
  static Supervisor::Events ignored() {
    Supervisor::Events events;
    events.lost = [](std::string, std::string, bool) -> Task<void> { co_return; };
    events.missing = [](std::string, std::string, std::string) -> Task<void> { co_return; };
    events.ended = [](std::string, AllocationReport) -> Task<void> { co_return; };
    return events;
  }

  Services own = services();
  DurableRecord durable{records, placed()};
  ProviderClient providers{*a.root, "d1"};
  OutputStore output{folder};
  Liveness liveness{*a.network};
  Nursery work{a.lane(), "supervising"};
  Supervisor supervisor{Parts{own, *a.root, durable, providers, output}, liveness, heartbeats, work, ignored()};
};

TEST_F(SupervisorTest, HintsThatBringNothingForwardWakeNobody) {
  w.run(a, supervisor.ask("node"));
  ASSERT_GT(provider.renewals, 0);
  const std::uint64_t before = durable.changed().count();
  for (int i = 0; i < 100; ++i) supervisor.hint("node");
  EXPECT_EQ(durable.changed().count(), before + 1) << "the first one brings the next renewal forward";
}

}  // namespace
}  // namespace dms::orchestrator
