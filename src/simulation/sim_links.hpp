// The links of a simulated network: how long bytes take from one node to another, and whether they arrive.
//
// Model
//  1. A link is a direction between two nodes, known by their numbers. It has settings of its own or the default ones.
//  2. A link with a bandwidth is a pipe of that width, shared by all streams of the two nodes in that direction, with a
//     queue in front of it. Its streams behave as TCP with perfect congestion control: a writer waits while the queue
//     is full, nothing is dropped for lack of space, and the socket buffers are as large as the path can hold
//     (`window`).
//  3. Nodes of different groups of a partition, and both directions of a link that is cut, do not reach each other.
//
// Threads: none. Cost: every query is O(1); memory grows with links that have settings, a bandwidth or a cut.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"

namespace dms {

struct SimLink {
  Duration latency = 5ms;  ///< one way
  Duration jitter = 1ms;   ///< uniform, added to the latency
  double loss = 0.0;       ///< of each segment; a lost one arrives a retransmission later
  Duration retransmit = 200ms;
  Duration give_up = 30s;          ///< how long a stream outlives a cut
  std::uint64_t bandwidth = 0;     ///< bytes a second, each way; 0: unlimited
  std::size_t queue = 256 * 1024;  ///< bytes that wait in front of the bandwidth before writers must wait
  std::size_t window = 0;  ///< bytes of one stream written and not yet read; 0: 256 KiB beyond what fills the path
  /// Uniform, added to each way of a connection attempt: with a large one, a later attempt may finish first.
  Duration connect_jitter = 0ns;

  /// Of one stream; what socket buffers that adapt to the path would hold.
  [[nodiscard]] std::size_t stream_window() const;
  /// Some 4 ms of the bandwidth, so that streams which share it take turns at the cost of few events.
  [[nodiscard]] std::size_t segment_size() const;
  /// How long `bytes` take at the bandwidth; nothing where it is unlimited.
  [[nodiscard]] Duration transmission(std::size_t bytes) const;
};

class SimLinks {
 public:
  using NodeNumber = std::uint32_t;

  /// Delays and losses are drawn from `random`.
  SimLinks(Random& random, SimLink link) : random_(random), default_(link) {}

  void set_default(SimLink link) { default_ = link; }
  void set(NodeNumber from, NodeNumber to, SimLink link) { links_[direction(from, to)] = link; }
  [[nodiscard]] const SimLink& default_link() const { return default_; }
  [[nodiscard]] const SimLink& link(NodeNumber from, NodeNumber to) const;

  void cut(NodeNumber a, NodeNumber b, bool is_cut);
  /// Replaces the partition before. Nodes named nowhere are a group of their own.
  void partition(const std::vector<std::vector<NodeNumber>>& groups);
  [[nodiscard]] bool is_cut(NodeNumber from, NodeNumber to) const;

  /// Of one segment, retransmissions included.
  Duration delay(NodeNumber from, NodeNumber to);
  /// Of one way of a connection attempt.
  Duration connect_delay(NodeNumber from, NodeNumber to);
  /// The next place in the bandwidth for so many bytes: when the last of them leaves. Places are given in the order of
  /// the calls, so that waiting writers take turns.
  SteadyTime reserve(NodeNumber from, NodeNumber to, std::size_t bytes, SteadyTime now);

 private:
  static std::uint64_t direction(NodeNumber from, NodeNumber to) { return std::uint64_t{from} << 32 | to; }
  [[nodiscard]] std::size_t group(NodeNumber node) const;

  Random& random_;
  SimLink default_;
  std::unordered_map<std::uint64_t, SimLink> links_;
  std::unordered_map<std::uint64_t, SteadyTime> free_at_;  ///< when the bandwidth of a direction is next unused
  std::unordered_set<std::uint64_t> cuts_;
  std::unordered_map<NodeNumber, std::size_t> groups_;
};

}  // namespace dms
