#include "simulation/sim_world.hpp"

#include "base/assert.hpp"
#include "simulation/sim_net.hpp"

namespace dms {

SimNode::SimNode(SimWorld& world, std::string name, std::uint32_t number, std::uint64_t seed)
    : name_(std::move(name)),
      number_(number),
      lane_(std::make_unique<SimLane>(world.clock_, number, seed)),
      sockets_(std::make_unique<SimSockets>()),
      net_(std::make_unique<SimNet>(*world.network_, *sockets_)) {
  sockets_->node = number;
  sockets_->address = SimNetwork::address_of(number);
}
SimNode::~SimNode() = default;

Runtime SimNode::runtime() { return {*lane_, *net_}; }
IpAddress SimNode::address() const { return sockets_->address; }
bool SimNode::alive() const { return sockets_->alive; }
void SimNode::stall(Duration time) { static_cast<SimLane&>(*lane_).stall(time); }
void SimNode::set_wall_clock(Duration ahead) { static_cast<SimLane&>(*lane_).set_ahead(ahead); }
void SimNode::set_user(std::optional<UserId> user) { sockets_->user = user; }
void SimNode::power_on() { sockets_->alive = true; }
std::size_t SimNode::open_streams() const {
  return sockets_->streams.size() + sockets_->listeners.size() + sockets_->unix_listeners.size();
}

void SimNode::kill() {
  sockets_->alive = false;
  while (!sockets_->listeners.empty()) sockets_->listeners.begin()->second->close();
  while (!sockets_->unix_listeners.empty()) sockets_->unix_listeners.begin()->second->close();
  const auto streams = sockets_->streams;
  for (const auto& [number, stream] : streams) stream->abort();
}

void SimNode::power_off() {
  sockets_->alive = false;
  for (const auto& [number, stream] : sockets_->streams) stream->power_off();
  while (!sockets_->listeners.empty()) sockets_->listeners.begin()->second->close();
  while (!sockets_->unix_listeners.empty()) sockets_->unix_listeners.begin()->second->close();
}

SimWorld::SimWorld(std::uint64_t seed, SimLink link)
    : random_(seed),
      links_(random_, link),
      network_(std::make_unique<SimNetwork>(SimNetwork{clock_, links_, names_, {}})) {}
SimWorld::~SimWorld() = default;

SimNode& SimWorld::add_node(std::string name) {
  const auto number = static_cast<std::uint32_t>(nodes_.size() + 1);
  DMS_ASSERT(number <= SimNetwork::kMaxNodes, "more nodes than addresses in 10.0.0.0/8");
  nodes_.push_back(std::unique_ptr<SimNode>(new SimNode(*this, std::move(name), number, random_.u64())));
  network_->nodes.push_back(nodes_.back()->sockets_.get());
  return *nodes_.back();
}

void SimWorld::set_link(const SimNode& a, const SimNode& b, SimLink forth, SimLink back) {
  links_.set(a.number_, b.number_, forth);
  links_.set(b.number_, a.number_, back);
}

void SimWorld::partition(const std::vector<std::vector<SimNode*>>& groups) {
  std::vector<std::vector<SimLinks::NodeNumber>> numbers;
  for (const auto& group : groups) {
    auto& into = numbers.emplace_back();
    for (const SimNode* node : group) into.push_back(node->number_);
  }
  links_.partition(numbers);
}

void SimWorld::run(SimNode& node, Task<void> task) {
  Nursery nursery(*node.lane_, "simulation");
  nursery.spawn(std::move(task));
  while (nursery.size() > 0)
    DMS_ASSERT(clock_.step(), "the simulation has nothing left to do, but its task on '{}' still waits", node.name_);
}

bool SimWorld::run_until(const std::function<bool()>& condition, Duration limit) {
  const SteadyTime end = now() + limit;
  while (!condition()) {
    const auto next = clock_.next();
    if (!next || *next > end) return false;
    clock_.step();
  }
  return true;
}

void SimWorld::run_for(Duration duration) {
  const SteadyTime end = now() + duration;
  for (auto next = clock_.next(); next && *next <= end; next = clock_.next()) clock_.step();
  clock_.advance_to(end);
}

}  // namespace dms
