// What tests of the provider share: a provider node and two orchestrator nodes on a network in memory, in virtual time.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "actor/test_world.hpp"
#include "executor/fake/fake.hpp"
#include "protocol/allocation.hpp"
#include "protocol/bid.hpp"
#include "provider/services.hpp"

namespace dms::provider {

inline capability::Resources machine(double cores, std::uint64_t gib) {
  capability::Resources r;
  r.cpu.cores = *capability::Millicores::from_cores(cores);
  r.ram.size = {gib * capability::kGiB};
  r.disk.size = {gib * capability::kGiB};
  return r;
}

struct ProviderTest : testing::Test {
  ProviderTest() {
    std::string name = (std::filesystem::temp_directory_path() / "nunet-provider-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    open_resources();
    EXPECT_TRUE(run(resources->onboard(machine(8, 8), machine(8, 8))));
  }
  ~ProviderTest() override {
    run(executor.close());
    run(store.close());
    w.close();
    std::filesystem::remove_all(folder);
  }

  /// As a restart of the daemon does.
  void open_resources() {
    resources = resources::Manager::open(store, [this] { return w.world.unix_now(); }).value();
  }
  template <class T>
  T run(Task<T> task) {
    return w.world.run(node.node, std::move(task));
  }
  void run(Task<void> task) { w.world.run(node.node, std::move(task)); }

  Services services() {
    return {node.lane(), *node.network, *resources, {{"null", &executor}}, folder, {}, false, store, "boot"};
  }
  protocol::NodeRequest node_request(double cores) const {
    protocol::NodeRequest request;
    request.node_id = "n";
    request.executors = {"null"};
    request.resources = machine(cores, static_cast<std::uint64_t>(cores));
    return request;
  }
  protocol::EnsembleBidRequest bid_request(std::string ensemble, double cores = 2) {
    protocol::EnsembleBidRequest request;
    request.id = std::move(ensemble);
    request.nonce = ++nonce;
    request.request = {protocol::BidRequest{node_request(cores)}};
    return request;
  }
  static protocol::CommitRequest commit_request(std::string ensemble, std::string name, double cores = 1) {
    protocol::CommitRequest request;
    request.ensemble_id = std::move(ensemble);
    request.allocation_name = std::move(name);
    static_cast<capability::Resources&>(request.resources) = machine(cores, 1);
    return request;
  }
  static protocol::AllocateRequest allocate_request(std::string ensemble, const std::string& name, double cores = 1) {
    protocol::AllocateRequest request;
    request.ensemble_id = std::move(ensemble);
    protocol::AllocationConfig& config = request.allocations[name];
    config.executor = jobs::ExecutorType::null;
    config.resources = machine(cores, 1);
    config.execution.type = "null";
    return request;
  }
  /// An envelope as a behaviour receives it.
  static actor::Envelope from(const actor::TestNode& sender) {
    actor::Envelope envelope;
    envelope.from = sender.root->handle();
    return envelope;
  }

  actor::MemoryTestWorld w{7};
  actor::TestNode& node = w.add("provider");
  actor::TestNode& alice = w.add("alice");
  actor::TestNode& bob = w.add("bob");
  db::AsyncStore store{node.lane(), *db::Store::open(":memory:")};
  executor::Fake executor{node.lane()};
  std::unique_ptr<resources::Manager> resources;
  std::filesystem::path folder;
  std::uint64_t nonce = 0;
};

}  // namespace dms::provider
