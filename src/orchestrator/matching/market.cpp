#include "orchestrator/matching/market.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>

#include "protocol/bid.hpp"

namespace dms::orchestrator {
namespace {

/// A machine whose distance is not known counts as this far away.
constexpr std::int64_t kUnknownDistance = 1000;
constexpr std::int64_t kMaxDistance = 60'000;
constexpr std::uint32_t kFullLoad = 1000;

std::int64_t milliseconds(Duration rtt) {
  return std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(rtt).count(), 0, kMaxDistance);
}

Market::Preference preference_of(const Machine& machine) {
  return {!machine.free, std::min(machine.price, protocol::kMaxPrice),
          std::min(machine.load.value_or(kFullLoad), kFullLoad) / 100,
          machine.rtt ? milliseconds(*machine.rtt) : kUnknownDistance};
}

/// One for each other peer.
void join_measurements(std::vector<std::pair<std::uint32_t, Market::Measured>>& links) {
  std::ranges::stable_sort(links, {}, [](const auto& link) { return link.first; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < links.size(); ++i) {
    if (kept == 0 || links[kept - 1].first != links[i].first) {
      links[kept++] = links[i];
      continue;
    }
    Market::Measured& known = links[kept - 1].second;
    const Market::Measured& more = links[i].second;
    known.failed = known.failed || more.failed;
    if (more.rtt) known.rtt = std::max(known.rtt.value_or(*more.rtt), *more.rtt);
    if (more.bandwidth) known.bandwidth = std::min(known.bandwidth.value_or(*more.bandwidth), *more.bandwidth);
  }
  links.resize(kept);
}

}  // namespace

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return mix(hash);
}

Market::Market(std::vector<Machine> machines, const std::vector<Link>& links) {
  // The last bid of a peer for a node comes first among its bids for it, and stays.
  std::reverse(machines.begin(), machines.end());
  const auto name = [](const Machine& m) { return std::tie(m.peer, m.node); };
  std::stable_sort(machines.begin(), machines.end(),
                   [&](const Machine& a, const Machine& b) { return name(a) < name(b); });
  machines.erase(std::unique(machines.begin(), machines.end(),
                             [&](const Machine& a, const Machine& b) { return name(a) == name(b); }),
                 machines.end());

  std::vector<Preference> unsorted;
  unsorted.reserve(machines.size());
  for (const Machine& machine : machines) unsorted.push_back(preference_of(machine));
  std::vector<std::size_t> order(machines.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return unsorted[a] < unsorted[b]; });

  constexpr std::uint64_t kEverything = std::numeric_limits<std::uint64_t>::max();
  std::map<std::tuple<std::string, std::string, std::string, std::uint64_t, std::string>, std::uint32_t> places;
  std::vector<bool> bids_for_any;
  machines_.reserve(order.size());
  for (const std::size_t i : order) {
    Machine& m = machines[i];
    const auto peer = peer_names_.try_emplace(m.peer, static_cast<std::uint32_t>(peer_names_.size())).first->second;
    bids_for_any.resize(peer_names_.size());
    if (m.node.empty()) bids_for_any[peer] = true;
    peer_.push_back(peer);
    node_.push_back(
        m.node.empty() ? kAny
                       : node_names_.try_emplace(m.node, static_cast<std::uint32_t>(node_names_.size())).first->second);
    const auto& at = m.location;
    location_.push_back(
        places
            .try_emplace({at.continent, at.country, at.city, at.asn, at.isp}, static_cast<std::uint32_t>(places.size()))
            .first->second);
    cores_.push_back(m.free ? m.free->cpu.cores.millis : kEverything);
    ram_.push_back(m.free ? m.free->ram.size.bytes : kEverything);
    disk_.push_back(m.free ? m.free->disk.size.bytes : kEverything);
    hash_.push_back(hash_of(m.peer));
    preferences_.push_back(unsorted[i]);
    machines_.push_back(std::move(m));
  }
  location_count_ = places.size();
  for (std::size_t i = 0; i < machines_.size(); ++i)
    if (node_[i] != kAny && bids_for_any[peer_[i]]) named_.emplace(std::uint64_t{peer_[i]} << 32 | node_[i], true);
  group_end_.resize(machines_.size());
  for (std::size_t i = machines_.size(); i-- > 0;)
    group_end_[i] = i + 1 < machines_.size() && preferences_[i + 1] == preferences_[i] ? group_end_[i + 1] : i + 1;

  links_.resize(peers());
  for (const Link& link : links) add(link);
}

void Market::add(const Link& link) {
  const auto a = find_peer(link.a);
  const auto b = find_peer(link.b);
  if (!a || !b || *a == *b) return;
  const Measured measured{link.rtt, link.bandwidth, !link.failure.empty()};
  links_[*a].emplace_back(*b, measured);
  links_[*b].emplace_back(*a, measured);
  for (const std::uint32_t peer : {*a, *b}) join_measurements(links_[peer]);
}

std::optional<std::uint32_t> Market::find_peer(std::string_view name) const {
  const auto found = peer_names_.find(std::string(name));
  if (found == peer_names_.end()) return std::nullopt;
  return found->second;
}

std::uint32_t Market::find_node(std::string_view name) const {
  const auto found = node_names_.find(std::string(name));
  return found == node_names_.end() ? kNoSuchNode : found->second;
}

const Market::Measured& Market::measured(std::uint32_t a, std::uint32_t b) const {
  static const Measured kNothing;
  const auto& links = links_[a];
  const auto found = std::ranges::lower_bound(links, b, {}, [](const auto& link) { return link.first; });
  return found == links.end() || found->first != b ? kNothing : found->second;
}

}  // namespace dms::orchestrator
