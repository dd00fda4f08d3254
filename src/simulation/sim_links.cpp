#include "simulation/sim_links.hpp"

#include <algorithm>

namespace dms {
namespace {
constexpr std::size_t kSocketBuffers = 256 * 1024;
constexpr std::size_t kMinSegment = 1460;
constexpr std::size_t kMaxSegment = 64 * 1024;
}  // namespace

std::size_t SimLink::stream_window() const {
  if (window > 0) return window;
  const double round_trip = std::chrono::duration<double>(2 * (latency + jitter)).count();
  return kSocketBuffers + static_cast<std::size_t>(static_cast<double>(bandwidth) * round_trip);
}

std::size_t SimLink::segment_size() const {
  if (bandwidth == 0) return kSocketBuffers;
  return std::clamp<std::size_t>(bandwidth / 256, kMinSegment, kMaxSegment);
}

Duration SimLink::transmission(std::size_t bytes) const {
  if (bandwidth == 0) return 0ns;
  return Duration(static_cast<std::int64_t>(static_cast<double>(bytes) / static_cast<double>(bandwidth) * 1e9));
}

const SimLink& SimLinks::link(NodeNumber from, NodeNumber to) const {
  const auto own = links_.find(direction(from, to));
  return own == links_.end() ? default_ : own->second;
}

void SimLinks::cut(NodeNumber a, NodeNumber b, bool is_cut) {
  for (const std::uint64_t way : {direction(a, b), direction(b, a)}) {
    if (is_cut)
      cuts_.insert(way);
    else
      cuts_.erase(way);
  }
}

void SimLinks::partition(const std::vector<std::vector<NodeNumber>>& groups) {
  groups_.clear();
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (const NodeNumber node : groups[i]) groups_[node] = i + 1;
}

std::size_t SimLinks::group(NodeNumber node) const {
  const auto it = groups_.find(node);
  return it == groups_.end() ? 0 : it->second;
}

bool SimLinks::is_cut(NodeNumber from, NodeNumber to) const {
  return group(from) != group(to) || cuts_.contains(direction(from, to));
}

Duration SimLinks::delay(NodeNumber from, NodeNumber to) {
  const SimLink& link = this->link(from, to);
  Duration delay = link.latency;
  if (link.jitter > 0ns) delay += Duration(random_.below(static_cast<std::uint64_t>(link.jitter.count())));
  if (link.loss > 0) {
    const auto threshold = static_cast<std::uint64_t>(link.loss * 1e6);
    for (int tries = 0; tries < 10 && random_.below(1'000'000) < threshold; ++tries) delay += link.retransmit;
  }
  return delay;
}

Duration SimLinks::connect_delay(NodeNumber from, NodeNumber to) {
  const Duration spread = link(from, to).connect_jitter;
  const Duration extra = spread > 0ns ? Duration(random_.below(static_cast<std::uint64_t>(spread.count()))) : 0ns;
  return delay(from, to) + extra;
}

SteadyTime SimLinks::reserve(NodeNumber from, NodeNumber to, std::size_t bytes, SteadyTime now) {
  const SimLink& link = this->link(from, to);
  if (link.bandwidth == 0) return now;
  SteadyTime& free_at = free_at_[direction(from, to)];
  free_at = std::max(now, free_at) + link.transmission(bytes);
  return free_at;
}

}  // namespace dms
