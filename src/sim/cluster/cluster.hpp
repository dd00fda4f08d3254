// A network of whole nodes in one process, in virtual time: the same libp2p, actors, orchestration and resources as the
// real daemon, on a simulated wire, with scripted executors and databases in memory.
//
// Model
//  1. Machines share a SimWorld: one seed determines keys, delays, losses and choices. The same seed gives the same
//     run.
//  2. Trust is set up as NuNet's documents describe it for organisations: each machine accepts what the organisation
//     delegates, and holds a delegation of the organisation for itself.
//  3. crash() is a loss of power: the machine's network fails at once, nothing that it does afterwards has an effect,
//     and what runs is gone; what has ended is on its disk. kill_daemon() is `kill -9`: the same, but the work lives
//     on. restart() starts from what the machine had stored; after crash() it is another boot.
//  4. set_disk_full() and set_wall_clock() outlast the ends of the daemon. A daemon that cannot write while it starts
//     would end and be started again: here its disk refuses writes from the end of the start on.
//  5. Wiring::memory joins the machines by network::MemorySubstrate instead: for hundreds of machines, and for faults
//     in messages (its tap). Everything above the network is the same.
//  6. ask() does what a user's command does: a signed call to a node, from an actor of the machine.
//
// Threads: none; see simulation/sim_world.hpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "executor/fake/fake.hpp"
#include "network/libp2p_network.hpp"
#include "network/memory_network.hpp"
#include "node/node.hpp"
#include "simulation/sim_world.hpp"

namespace dms::sim {

class Cluster;

/// How machines reach each other.
enum class Wiring { libp2p, memory };

class Machine {
 public:
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] SimNode& host() { return *host_; }
  [[nodiscard]] node::Node& node() { return *node_; }
  [[nodiscard]] executor::Fake& executor() { return *executor_; }
  /// The work on this machine, whether its daemon runs or not.
  [[nodiscard]] const executor::FakeHost& work() const { return *work_; }
  /// From now on its work gets sockets of its actors.
  void bind_actors() { work_->binds_actor_dir = true; }
  /// What each of its runs does as it begins.
  void on_run(std::function<void(const executor::Request&)> begins) { work_->begins = std::move(begins); }
  /// Told of each of its runs that ends, with what it has printed. What runs when the machine loses power has no end.
  void on_end(std::function<void(const executor::Request&, const executor::ExecutionResult&)> ends) {
    work_->ends = std::move(ends);
  }
  [[nodiscard]] resources::Manager& resources() { return *resources_; }
  /// What it offers, and what of it is reserved: as its daemon says, and as it is stored, also while no daemon runs.
  [[nodiscard]] const capability::Resources& share() const { return share_; }
  [[nodiscard]] std::map<std::string, resources::Reservation> reserved() const { return resources_->list(); }
  [[nodiscard]] db::Store& stored() { return store_ ? store_->blocking() : *disk_; }
  /// Called at each start of the daemon with what it has stored, before anything is changed.
  void on_ledger(std::function<void(resources::Manager&)> opened) { opened_ = std::move(opened); }
  /// Writes that the full disk has refused so far.
  [[nodiscard]] std::uint64_t refused_writes() const { return refused_writes_; }
  /// Where its node keeps files.
  [[nodiscard]] const std::filesystem::path& work_dir() const { return work_dir_; }
  /// An actor of the machine's user.
  [[nodiscard]] actor::Actor& user() { return *user_; }
  [[nodiscard]] network::Network& network() { return *network_; }
  [[nodiscard]] crypto::PeerId peer() const { return crypto::PeerId::from(key_.public_key()); }
  [[nodiscard]] bool up() const { return node_ != nullptr; }
  [[nodiscard]] const std::shared_ptr<ucan::CapabilityContext>& capabilities() { return capabilities_; }

 private:
  friend class Cluster;
  Machine(std::string name, crypto::PrivateKey key) : name_(std::move(name)), key_(std::move(key)) {}

  std::string name_;
  crypto::PrivateKey key_;
  capability::Resources size_;
  capability::Resources share_;
  int boots_ = 1;
  bool disk_full_ = false;
  std::uint64_t refused_writes_ = 0;
  std::filesystem::path work_dir_;
  std::function<void(resources::Manager&)> opened_;
  Duration clock_ahead_{};
  SimNode* host_ = nullptr;
  std::unique_ptr<db::Store> disk_;        ///< while the machine is down
  std::unique_ptr<db::AsyncStore> store_;  ///< while it is up
  std::shared_ptr<ucan::CapabilityContext> capabilities_;
  std::shared_ptr<executor::FakeHost> work_ = std::make_shared<executor::FakeHost>();
  std::unique_ptr<executor::Fake> executor_;
  std::unique_ptr<resources::Manager> resources_;
  std::unique_ptr<network::Network> network_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<actor::Actor> user_;
};

class Cluster {
 public:
  explicit Cluster(std::uint64_t seed, SimLink link = {}, Wiring wiring = Wiring::libp2p);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster();

  [[nodiscard]] SimWorld& world() { return world_; }
  [[nodiscard]] const SimWorld& world() const { return world_; }
  /// What joins the machines with Wiring::memory.
  [[nodiscard]] network::MemorySubstrate& substrate() { return *substrate_; }

  /// Of nodes that start after this: told of each choice of machines that they make.
  void on_match(orchestrator::Matched told) { matched_ = std::move(told); }

  /// A machine with that many cores and GiB of memory and disk, all of it onboarded (none if `cores` is 0).
  Machine& add(std::string name, double cores, std::uint64_t gib);
  [[nodiscard]] const std::vector<std::unique_ptr<Machine>>& machines() const { return machines_; }
  /// Starts every machine and connects each to the first.
  void start();
  /// Power off, see (3).
  void crash(Machine& machine);
  /// The end of the daemon alone, see (3).
  void kill_daemon(Machine& machine);
  /// The daemon starts again, under a new address, with what it had stored.
  void restart(Machine& machine);
  /// From now on the machine's database refuses every write, but those of the start of its daemon; or no longer.
  void set_disk_full(Machine& machine, bool full) { machine.disk_full_ = full; }
  /// The machine's wall clock is ahead of the world's by that much, or behind; its daemon may start again.
  void set_wall_clock(Machine& machine, Duration ahead);
  /// Ends everything, in order.
  void stop();

  /// A call of a user on one machine to the node of another, or of the same. `payload` as JSON text.
  Result<json::Value> ask(Machine& from, Machine& to, std::string_view behaviour, std::string payload,
                          Duration timeout = 30s);
  template <class Request, class Reply>
  Result<Reply> call(Machine& from, Machine& to, const protocol::Behaviour<Request, Reply>& behaviour,
                     const Request& request, std::optional<Duration> timeout = {}, std::string path = {}) {
    if (path.empty()) path = behaviour.path;
    TRY(const json::Value value, ask(from, to, path, json::encode(request), timeout.value_or(behaviour.timeout)));
    return json::from_value<Reply>(value);
  }
  /// The same to the machine's own node.
  template <class Request, class Reply>
  Result<Reply> call(Machine& at, const protocol::Behaviour<Request, Reply>& behaviour, const Request& request,
                     std::optional<Duration> timeout = {}) {
    return call(at, at, behaviour, request, timeout);
  }

  /// Deploys and returns the ensemble's id.
  Result<std::string> deploy(Machine& at, const jobs::Ensemble& ensemble, Duration timeout = 5min);
  Result<protocol::DeploymentStatusReply> status(Machine& at, const std::string& id);
  /// Runs the world until the deployment has one of these states, or `limit` of virtual time has passed.
  /// It looks a quarter of a second later at the earliest, after a while an eighth of the time that has passed.
  bool wait_for(Machine& at, const std::string& id, std::set<std::string> states, Duration limit = 10min);
  /// The DID that all machines accept and that has delegated to each.
  [[nodiscard]] ucan::CapabilityContext& organisation() { return organisation_; }
  /// Folder for what nodes write; removed with the cluster.
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  void boot(Machine& machine);
  Task<Result<void>> boot_node(Machine& machine);
  Result<std::unique_ptr<network::Network>> join(Machine& machine);
  void connect(Machine& machine, Machine& to);
  Task<void> shut(Machine& machine);
  void end_at_once(Machine& machine);
  void trust(Machine& machine);

  Wiring wiring_;
  std::shared_ptr<network::MemorySubstrate> substrate_ = std::make_shared<network::MemorySubstrate>();
  SimWorld world_;
  SeededRandom random_;
  crypto::PrivateKey organisation_key_;
  ucan::CapabilityContext organisation_;
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<Machine>> machines_;
  orchestrator::Matched matched_;
};

/// An ensemble of one node with one task for the "null" executor.
jobs::Ensemble one_task(double cores, std::uint64_t mib, std::map<std::string, std::string> environment = {});

}  // namespace dms::sim
