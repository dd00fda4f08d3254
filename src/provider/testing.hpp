// What tests of the provider share: a provider node and two orchestrator nodes on a network in memory, in virtual time.
// The daemon of the provider can be killed and started again: what is stored, and the executor's host, survive.
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

struct ProviderWorld {
  ProviderWorld() {
    std::string name = (std::filesystem::temp_directory_path() / "nunet-provider-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    boot({});
    EXPECT_TRUE(run(resources->onboard(machine(8, 8), machine(8, 8))));
  }
  ProviderWorld(const ProviderWorld&) = delete;
  ProviderWorld& operator=(const ProviderWorld&) = delete;
  ~ProviderWorld() {
    stop_daemon();
    w.close();
    std::filesystem::remove_all(folder);
  }

  /// As a restart of the daemon does.
  void open_resources() {
    resources = resources::Manager::open(*store, [this] { return w.world.now(); }).value();
  }
  /// Reservations of more than the disk of what has ended.
  [[nodiscard]] std::size_t in_use() const {
    std::size_t count = 0;
    for (const auto& [name, reservation] : resources->list()) count += reservation.resources.cpu.cores.empty() ? 0 : 1;
    return count;
  }
  using Documents = std::map<std::string, std::vector<db::Document>>;  // by collection
  [[nodiscard]] Documents stored() {
    Documents all;
    for (const char* collection : {"resources.onboarded", "resources.promises", "allocations", "allocations.leases"})
      all[collection] = store->blocking().list(collection).value();
    return all;
  }
  void boot(const Documents& documents) {
    store = std::make_unique<db::AsyncStore>(node.lane(), *db::Store::open(":memory:"));
    for (const auto& [collection, list] : documents)
      for (const db::Document& document : list)
        EXPECT_TRUE(store->blocking().put(collection, document.id, document.json));
    executor = std::make_unique<executor::Fake>(node.lane(), "null", executor::FakeScript(), host);
    for (const auto& [job, script] : scripts) executor->script(job, script);
    open_resources();
  }
  void script(const std::string& job, executor::FakeScript script) {
    scripts[job] = script;
    executor->script(job, std::move(script));
  }
  void stop_daemon() {
    run(executor->close());
    executor.reset();
    run(store->close());
    resources.reset();
    store.reset();
  }
  template <class T>
  T run(Task<T> task) {
    return w.world.run(node.node, std::move(task));
  }
  void run(Task<void> task) { w.world.run(node.node, std::move(task)); }

  transfer::Server* transfers = nullptr;
  Services services() {
    Services services{
        node.lane(), *node.network, *resources, {{"null", executor.get()}}, folder, {}, false, *store, boot_id,
        {},          retention};
    services.transfers = transfers;
    services.net = &node.node.runtime().net;
    return services;
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
  static protocol::AllocateRequest allocate_request(std::string ensemble, const std::string& name, double cores = 1,
                                                    Duration lease = 1min) {
    protocol::AllocateRequest request;
    request.ensemble_id = std::move(ensemble);
    request.lease_ns = lease.count();
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
    envelope.options.expires = (sender.root->lane().unix_now() + 1min).nanos;
    return envelope;
  }

  actor::MemoryTestWorld w{7};
  actor::TestNode& node = w.add("provider");
  actor::TestNode& alice = w.add("alice");
  actor::TestNode& bob = w.add("bob");
  std::shared_ptr<executor::FakeHost> host = std::make_shared<executor::FakeHost>();
  std::map<std::string, executor::FakeScript> scripts;
  std::unique_ptr<db::AsyncStore> store;
  std::unique_ptr<executor::Fake> executor;
  std::unique_ptr<resources::Manager> resources;
  std::string boot_id = "boot";
  Duration retention = 2h;
  std::filesystem::path folder;
  std::uint64_t nonce = 0;
};

struct ProviderTest : testing::Test, ProviderWorld {};

}  // namespace dms::provider
