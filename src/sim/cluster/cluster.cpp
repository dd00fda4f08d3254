#include "sim/cluster/cluster.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "protocol/deployment.hpp"

namespace dms::sim {
namespace {

using capability::kGiB;
using capability::kMiB;

capability::Resources size_of(double cores, std::uint64_t ram, std::uint64_t disk) {
  capability::Resources size;
  size.cpu.cores = *capability::Millicores::from_cores(cores);
  size.cpu.architecture = "x86_64";
  size.ram.size = {ram};
  size.disk.size = {disk};
  return size;
}

/// A failure in the harness is a bug of the test.
template <class T>
T must(Result<T> result, std::string_view what) {
  if (!result) {
    std::fprintf(stderr, "simulation: %.*s: %s\n", static_cast<int>(what.size()), what.data(),
                 result.error().to_string().c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

ucan::Capabilities capabilities(std::vector<std::string> paths) {
  return must(ucan::parse_capabilities(paths), "capabilities");
}

ucan::Grant membership(did::Did subject, UnixTime expires) {
  ucan::Grant grant;
  grant.subject = std::move(subject);
  grant.capabilities = capabilities({"/dms/deployment", "/broadcast", "/public"});
  grant.topics = capabilities({"/nunet"});
  grant.expires = expires;
  return grant;
}

std::filesystem::path make_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "nunet-sim-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  return name;
}

}  // namespace

Cluster::Cluster(std::uint64_t seed, SimLink link, Wiring wiring)
    : wiring_(wiring),
      world_(seed, link),
      random_(seed ^ 0x5eed),
      organisation_key_(crypto::PrivateKey::generate(random_)),
      organisation_(must(ucan::CapabilityContext::create(organisation_key_, random_), "organisation")),
      folder_(make_folder()) {}

Cluster::~Cluster() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Machine& Cluster::add(std::string name, double cores, std::uint64_t gib) {
  machines_.push_back(std::unique_ptr<Machine>(new Machine(std::move(name), crypto::PrivateKey::generate(random_))));
  Machine& machine = *machines_.back();
  machine.size_ =
      size_of(std::max(cores, 1.0), std::max<std::uint64_t>(gib, 1) * kGiB, std::max<std::uint64_t>(gib, 1) * kGiB);
  if (cores > 0) machine.share_ = machine.size_;
  machine.work_dir_ = folder_ / machine.name_;
  machine.disk_ = std::make_unique<db::Store>(must(db::Store::open(std::string(db::Store::kMemory)), "store"));
  trust(machine);
  return machine;
}

void Cluster::trust(Machine& machine) {
  const UnixTime now = world_.unix_now();
  const UnixTime expires = now + 24h * 365;
  machine.capabilities_ = std::make_shared<ucan::CapabilityContext>(
      must(ucan::CapabilityContext::create(machine.key_, random_), "context"));
  ucan::Anchors anchors;
  anchors.require.tokens.push_back(
      must(machine.capabilities_->grant(ucan::Action::delegate, membership(organisation_.did(), expires)), "require"));
  anchors.provide.tokens.push_back(
      must(organisation_.grant(ucan::Action::delegate, membership(machine.capabilities_->did(), expires)), "provide"));
  must(machine.capabilities_->anchor(anchors, now), "anchor");
}

void Cluster::boot(Machine& machine) {
  machine.host_ = &world_.add_node(machine.name_);
  machine.host_->set_wall_clock(machine.clock_ahead_);
  must(world_.run(*machine.host_, boot_node(machine)), "boot");
}

Task<Result<void>> Cluster::boot_node(Machine& machine) {
  const Runtime runtime = machine.host_->runtime();
  machine.executor_ = std::make_unique<executor::Fake>(runtime.lane, "null", executor::FakeScript{}, machine.work_);
  machine.store_ = std::make_unique<db::AsyncStore>(runtime.lane, std::move(*machine.disk_));
  machine.store_->set_write_fault([&machine]() -> Result<void> {
    if (!machine.disk_full_ || !machine.up()) return {};
    ++machine.refused_writes_;
    return fail(Errc::io, "no space left on device");
  });
  CO_TRY(machine.resources_, resources::Manager::open(*machine.store_, [lane = &runtime.lane] { return lane->now(); }));
  if (machine.opened_) machine.opened_(*machine.resources_);
  if (!machine.share_.cpu.cores.empty() && !machine.resources_->onboarded())
    CO_TRY_VOID(co_await machine.resources_->onboard(machine.share_, machine.size_));
  CO_TRY(machine.network_, join(machine));

  node::Services services{runtime,
                          *machine.network_,
                          *machine.store_,
                          *machine.resources_,
                          {},
                          {},
                          {},
                          fmt::format("boot {}", machine.boots_)};
  services.executors["null"] = machine.executor_.get();
  services.hostname = [name = machine.name_] { return Result<std::string>(name); };
  services.interfaces = [] { return Result<std::vector<hardware::Interface>>(); };
  services.machine = services.usage = [&machine]() -> Result<capability::Resources> { return machine.size_; };
  services.matched = matched_;
  node::Options options;
  options.work_dir = machine.work_dir();
  CO_TRY(machine.node_,
         co_await node::Node::start(std::move(services), machine.key_, machine.capabilities_, std::move(options)));
  CO_TRY(machine.user_, machine.node_->root().create_child("user"));
  co_return Result<void>();
}

Result<std::unique_ptr<network::Network>> Cluster::join(Machine& machine) {
  const Runtime runtime = machine.host_->runtime();
  if (wiring_ == Wiring::memory)
    return std::make_unique<network::MemoryNetwork>(substrate_, runtime.lane, machine.peer());
  auto made = std::make_unique<network::Libp2pNetwork>(runtime, machine.key_);
  TRY_VOID(made->listen("/ip4/0.0.0.0/tcp/9000"));
  return made;
}

void Cluster::connect(Machine& machine, Machine& to) {
  must(world_.run(machine.host(), machine.network_->connect(to.network_->listen_addresses().back())), "connect");
}

void Cluster::start() {
  for (auto& machine : machines_) boot(*machine);
  if (wiring_ == Wiring::memory) return;
  for (std::size_t i = 1; i < machines_.size(); ++i) connect(*machines_[i], *machines_.front());
  // Every machine is connected to every other.
  for (std::size_t i = 1; i < machines_.size(); ++i)
    for (std::size_t j = 1; j < i; ++j) connect(*machines_[i], *machines_[j]);
  world_.run_for(2s);  // identify and subscriptions travel
}

Task<void> Cluster::shut(Machine& machine) {
  if (machine.user_) co_await machine.user_->stop();
  if (machine.node_) co_await machine.node_->stop();
  machine.user_.reset();
  machine.node_.reset();
  if (machine.network_) co_await machine.network_->close();
  machine.network_.reset();
  if (machine.executor_) co_await machine.executor_->close();
  machine.executor_.reset();
  if (machine.store_) co_await machine.store_->close();
}

/// What is stored now is what the next start finds: the orderly end that frees the memory reaches neither the store, which
/// is closed, nor the network, nor the work.
void Cluster::end_at_once(Machine& machine) {
  machine.host_->kill();
  if (wiring_ == Wiring::memory) world_.run(*machine.host_, machine.network_->close());
  world_.run(*machine.host_, machine.store_->close());
  const auto before = std::exchange(machine.work_, std::make_shared<executor::FakeHost>(*machine.work_));
  before->ends = nullptr;
  world_.run(*machine.host_, shut(machine));
  machine.resources_.reset();
  machine.disk_ = std::make_unique<db::Store>(std::move(machine.store_->blocking()));
  machine.store_.reset();
}

void Cluster::crash(Machine& machine) {
  end_at_once(machine);
  std::erase_if(machine.work_->works, [](const auto& entry) { return !entry.second.over; });
  ++machine.boots_;
}

void Cluster::kill_daemon(Machine& machine) { end_at_once(machine); }

void Cluster::restart(Machine& machine) {
  trust(machine);
  boot(machine);
  if (wiring_ == Wiring::memory) return;
  for (auto& other : machines_)
    if (other->up() && other.get() != &machine) connect(machine, *other);
  world_.run_for(2s);
}

void Cluster::set_wall_clock(Machine& machine, Duration ahead) {
  machine.clock_ahead_ = ahead;
  machine.host_->set_wall_clock(ahead);
}

void Cluster::stop() {
  for (auto& machine : machines_)
    if (machine->up()) world_.run(*machine->host_, shut(*machine));
}

Result<json::Value> Cluster::ask(Machine& from, Machine& to, std::string_view behaviour, std::string payload,
                                 Duration timeout) {
  actor::MessageOptions options;
  options.timeout = timeout;
  actor::Envelope message =
      from.user_->message(to.node_->root().handle(), std::string(behaviour), to_bytes(payload), options);
  TRY(const actor::Envelope reply, world_.run(from.host(), from.user_->invoke(std::move(message))));
  return json::parse(as_text(reply.message));
}

Result<std::string> Cluster::deploy(Machine& at, const jobs::Ensemble& ensemble, Duration timeout) {
  protocol::NewDeploymentRequest request;
  request.ensemble = ensemble;
  TRY(auto reply, call(at, protocol::kDeploymentNew, request, timeout));
  if (reply.status != "OK") return fail(Errc::invalid_argument, "{}", reply.error);
  return reply.ensemble_id;
}

Result<protocol::DeploymentStatusReply> Cluster::status(Machine& at, const std::string& id) {
  return call(at, protocol::kDeploymentStatus, protocol::DeploymentId{id});
}

bool Cluster::wait_for(Machine& at, const std::string& id, std::set<std::string> states, Duration limit) {
  const SteadyTime begin = world_.now();
  while (world_.now() < begin + limit) {
    const auto now = status(at, id);
    if (now && states.contains(now->status)) return true;
    world_.run_for(std::clamp<Duration>((world_.now() - begin) / 8, 250ms, 5s));
  }
  return false;
}

jobs::Ensemble one_task(double cores, std::uint64_t mib, std::map<std::string, std::string> environment) {
  jobs::Ensemble ensemble;
  jobs::Allocation& task = ensemble.allocations["task"];
  task.executor = jobs::ExecutorType::null;
  task.type = jobs::AllocationType::task;
  task.dns_name = "task";
  task.resources = size_of(cores, mib * kMiB, mib * kMiB);
  task.execution.type = "null";
  json::Array variables;
  for (const auto& [key, value] : environment) variables.emplace_back(fmt::format("{}={}", key, value));
  if (!variables.empty()) task.execution.params["environment"] = std::move(variables);
  ensemble.nodes["node"].allocations = {"task"};
  return ensemble;
}

}  // namespace dms::sim
