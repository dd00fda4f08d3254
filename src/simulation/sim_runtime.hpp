// The simulated world: many nodes in one process and one thread, on a virtual clock, from one seed.
//
// Model
//  1. Time stands still while code runs and jumps to the next event when nothing is left to do. A day of timers costs
//     what its callbacks cost.
//  2. All randomness comes from the seed: each node's Random, and the wire's delays and losses. The same seed and the
//     same program give the same order of events; trace() is a fingerprint of that order, so a test can prove it.
//  3. Each node has its own lane and its own wire. Streams between nodes behave as TCP does: bytes arrive in order,
//     late, and not at all while the link is cut; what is cut for longer than `give_up` is reset.
//  4. A link with a bandwidth is a pipe of that width for each direction, shared by all streams of the two nodes, with
//     a queue in front of it. Its streams behave as TCP with perfect congestion control: a writer waits while the queue
//     is full, nothing is dropped for want of room, and the socket buffers are as large as the path can hold
//     (`window`).
//  5. kill() is `kill -9`: the wire is reset at once and never works again. cut() and partition() are pulled cables,
//     vanish() is a pulled plug: nobody is told.
//
// Cost: an event for each segment, and a segment holds up to 64 KiB: a gigabyte over a gigabit is some 20,000 events.
//
// Threads: none. Everything runs inside run(), run_until() and run_for().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/nursery.hpp"
#include "runtime/stream.hpp"

namespace dms {

struct SimLink {
  Duration latency = 5ms;  ///< one way
  Duration jitter = 1ms;   ///< uniform, added to the latency
  double loss = 0.0;       ///< of each segment; a lost one arrives a retransmission later
  Duration retransmit = 200ms;
  Duration give_up = 30s;          ///< how long a stream outlives a cut
  std::uint64_t bandwidth = 0;     ///< bytes a second, each way; 0: any
  std::size_t queue = 256 * 1024;  ///< bytes that wait in front of the bandwidth before writers must wait
  std::size_t window = 0;  ///< bytes of one stream written and not yet read; 0: 256 KiB beyond what fills the path
  /// Uniform, added to each way of a connection attempt: with a large one, a later attempt may finish first.
  Duration connect_jitter = 0ns;

  /// Of one stream; what socket buffers that adapt to the path would hold.
  [[nodiscard]] std::size_t stream_window() const;
};

/// The names of a simulated world, in lower case.
struct SimNames {
  std::map<std::string, std::vector<IpAddress>> hosts;
  std::map<std::string, std::vector<std::string>> texts;
  std::set<std::string> silent;  ///< nobody answers who asks for these
  Duration latency = 20ms;       ///< of a query and its answer
  std::size_t queries = 0;       ///< how many were made
};

class SimWorld;

class SimNode {
 public:
  ~SimNode();
  [[nodiscard]] Runtime runtime();
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] IpAddress address() const { return address_; }
  /// Resets every stream and closes every listener; from now on this node's wire refuses everything.
  void kill();
  /// As kill(), but nothing leaves this node any more: others notice by its silence, or by give_up when they write to it.
  void vanish();
  /// After vanish(): the machine is up again and knows nothing of before. Whoever still writes to an old stream is reset.
  void reappear() { alive_ = true; }
  [[nodiscard]] bool alive() const { return alive_; }
  /// How many streams and listeners are open, for tests that look for leaks.
  [[nodiscard]] std::size_t open_streams() const;

 private:
  friend class SimWorld;
  friend class SimNet;
  friend class SimStream;
  friend class SimListener;
  class SimLane;
  SimNode(SimWorld& world, std::string name, IpAddress address, std::uint64_t seed);

  SimWorld& world_;
  std::string name_;
  IpAddress address_;
  bool alive_ = true;
  std::size_t group_ = 0;  ///< nodes of different groups do not reach each other
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Net> net_;
  std::map<std::uint16_t, class SimListener*> listeners_;
  std::map<std::uint64_t, class SimStream*> streams_;  ///< in the order they were made, so that a seed replays
  std::uint64_t last_stream_ = 0;
  std::uint16_t next_port_ = 40000;
};

class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed, SimLink link = {});
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;
  ~SimWorld();

  /// Nodes live as long as the world. Addresses are 10.0.0.1, 10.0.0.2, ...
  SimNode& add_node(std::string name);

  /// Cuts or mends the link between two nodes, both ways.
  void cut(const SimNode& a, const SimNode& b, bool is_cut = true);
  /// All links that have no setting of their own.
  void set_link(SimLink link) { link_ = link; }
  /// What the name servers know; for tests to fill.
  [[nodiscard]] SimNames& names() { return names_; }
  /// The link between two nodes, for each way; what is under way keeps its instant of arrival.
  void set_link(const SimNode& a, const SimNode& b, SimLink both) { set_link(a, b, both, both); }
  void set_link(const SimNode& a, const SimNode& b, SimLink forth, SimLink back);
  [[nodiscard]] const SimLink& link(const SimNode& from, const SimNode& to) const;
  /// Cuts the world into groups that do not reach each other; nodes named nowhere are a group of their own.
  /// Replaces what partition() did before, and adds to what cut() did.
  void partition(const std::vector<std::vector<SimNode*>>& groups);
  void heal() { partition({}); }

  /// Runs the world until `task` has finished on `node`'s lane. A task that can never finish (nothing is left to happen)
  /// is a bug of the test: the program stops and says so.
  void run(SimNode& node, Task<void> task);
  template <class T>
  T run(SimNode& node, Task<T> task) {
    std::optional<T> result;
    run(node, store(std::move(task), result));
    return std::move(*result);
  }
  /// Runs until `condition` holds; false if `limit` of virtual time passed, or nothing is left to happen, before.
  bool run_until(const std::function<bool()>& condition, Duration limit = 10min);
  void run_for(Duration duration);

  [[nodiscard]] SteadyTime now() const { return now_; }
  [[nodiscard]] UnixTime unix_now() const { return epoch_ + now_.time_since_epoch(); }
  [[nodiscard]] std::uint64_t trace() const { return trace_; }
  [[nodiscard]] std::uint64_t events() const { return processed_; }
  [[nodiscard]] std::size_t pending() const { return events_.size(); }

 private:
  friend class SimNode;
  friend class SimNet;
  friend class SimStream;
  friend class SimListener;
  struct Pipe;
  /// One direction between two nodes: how much of its bandwidth is spoken for.
  struct Wire {
    SteadyTime free_at{};
  };
  using EventId = std::pair<SteadyTime, std::uint64_t>;

  EventId schedule(SteadyTime when, std::uint32_t owner, Callback work);
  void unschedule(const EventId& id) { events_.erase(id); }
  bool step();
  Duration delay(const SimNode& from, const SimNode& to);
  Duration connect_delay(const SimNode& from, const SimNode* to);
  [[nodiscard]] bool is_cut(const SimNode& a, const SimNode& b) const;
  [[nodiscard]] SimNode* find(const IpAddress& address) const;
  template <class T>
  static Task<void> store(Task<T> task, std::optional<T>& into) {
    into.emplace(co_await std::move(task));
  }

  struct Event {
    std::uint32_t owner;
    Callback work;
  };
  SimLink link_;
  SimNames names_;
  using Direction = std::pair<const SimNode*, const SimNode*>;
  std::map<Direction, SimLink> links_;
  std::map<Direction, Wire> wires_;
  SeededRandom random_;
  SteadyTime now_{};
  // Any fixed instant will do; a real one keeps expiry arithmetic honest.
  UnixTime epoch_{1'760'000'000ULL * 1'000'000'000ULL};
  std::map<EventId, Event> events_;
  std::uint64_t sequence_ = 0;
  std::uint64_t processed_ = 0;
  std::uint64_t trace_ = 0xcbf29ce484222325ULL;
  std::set<Direction> cuts_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace dms
