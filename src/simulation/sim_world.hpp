// The simulated world: many nodes in one process and one thread, on a virtual clock, from one seed.
//
// Model
//  1. Time stands still while code runs and jumps to the next event when nothing is left to do (sim_clock.hpp). A day
//     of timers costs what its callbacks cost.
//  2. All randomness comes from the seed: each node's Random, and the delays and losses of the links. The same seed and
//     the same program give the same order of events; trace() is a fingerprint of that order, so a test can prove it.
//  3. Each node has its own lane and its own Net. Streams between nodes behave as TCP does (sim_stream.hpp), on links
//     with latency, loss and bandwidth (sim_links.hpp).
//  4. kill() is `kill -9`: streams are reset at once and the network of the node refuses everything from then on. cut()
//     and partition() disconnect links, power_off() is a loss of power: other nodes are not notified.
//
// Cost: an event for each segment, and a segment holds up to 64 KiB: a gigabyte over a gigabit is some 20,000 events.
// Connecting does not depend on the number of nodes (runtime_bench.cpp).
//
// Threads: none. Everything runs inside run(), run_until() and run_for().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/nursery.hpp"
#include "runtime/stream.hpp"
#include "simulation/sim_clock.hpp"
#include "simulation/sim_links.hpp"
#include "simulation/sim_names.hpp"

namespace dms {

struct SimNetwork;
struct SimSockets;
class SimWorld;

class SimNode {
 public:
  ~SimNode();
  [[nodiscard]] Runtime runtime();
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] IpAddress address() const;
  /// Resets every stream and closes every listener; from now on this node's network refuses everything.
  void kill();
  /// As kill(), but this node sends nothing any more: other nodes notice by a timeout, or by give_up when they write.
  void power_off();
  /// After power_off(): the machine is up again without any state. Writes to a stream from before are answered by a
  /// reset.
  void power_on();
  [[nodiscard]] bool alive() const;
  /// The node's process does nothing for that long, as on a machine that is suspended or starved; then it does what was
  /// due.
  void stall(Duration time);
  /// Sets the node's wall clock: ahead of the world's by that much, or behind. Its timers do not notice.
  void set_wall_clock(Duration ahead);
  /// The user of the processes that connect and listen on this node from now on: ByteStream::peer_user() inside the
  /// node.
  void set_user(std::optional<UserId> user);
  /// How many streams and listeners are open, for tests that look for leaks.
  [[nodiscard]] std::size_t open_streams() const;

 private:
  friend class SimWorld;
  SimNode(SimWorld& world, std::string name, std::uint32_t number, std::uint64_t seed);

  std::string name_;
  std::uint32_t number_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<SimSockets> sockets_;
  std::unique_ptr<Net> net_;
};

class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed, SimLink link = {});
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;
  ~SimWorld();

  /// Nodes live as long as the world. Addresses are 10.0.0.1, 10.0.0.2, ...
  SimNode& add_node(std::string name);

  /// Cuts or restores the link between two nodes, both ways.
  void cut(const SimNode& a, const SimNode& b, bool is_cut = true) { links_.cut(a.number_, b.number_, is_cut); }
  /// All links that have no setting of their own.
  void set_link(SimLink link) { links_.set_default(link); }
  /// What the name servers know; for tests to fill.
  [[nodiscard]] SimNames& names() { return names_; }
  /// The link between two nodes, for each way; what is under way keeps its instant of arrival.
  void set_link(const SimNode& a, const SimNode& b, SimLink both) { set_link(a, b, both, both); }
  void set_link(const SimNode& a, const SimNode& b, SimLink forth, SimLink back);
  [[nodiscard]] const SimLink& link(const SimNode& from, const SimNode& to) const {
    return links_.link(from.number_, to.number_);
  }
  /// Divides the world into groups that do not reach each other; nodes named nowhere are a group of their own.
  /// Replaces what partition() did before, and adds to what cut() did.
  void partition(const std::vector<std::vector<SimNode*>>& groups);
  void heal() { partition({}); }

  /// Runs the world until `task` has finished on `node`'s lane. A task that can never finish (nothing is left to
  /// happen) is a bug of the test (fatal).
  void run(SimNode& node, Task<void> task);
  template <class T>
  T run(SimNode& node, Task<T> task) {
    std::optional<T> result;
    run(node, detail::store_result(std::move(task), result));
    return std::move(*result);
  }
  /// Runs until `condition` holds; false if `limit` of virtual time passed, or nothing is left to happen, before.
  bool run_until(const std::function<bool()>& condition, Duration limit = 10min);
  void run_for(Duration duration);

  [[nodiscard]] SteadyTime now() const { return clock_.now(); }
  [[nodiscard]] UnixTime unix_now() const { return clock_.unix_now(); }
  [[nodiscard]] std::uint64_t trace() const { return clock_.trace(); }
  [[nodiscard]] std::uint64_t events() const { return clock_.processed(); }
  [[nodiscard]] std::size_t pending() const { return clock_.pending(); }

 private:
  friend class SimNode;

  SeededRandom random_;
  SimClock clock_;
  SimLinks links_;
  SimNames names_;
  std::unique_ptr<SimNetwork> network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace dms
