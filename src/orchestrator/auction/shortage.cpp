#include "orchestrator/auction/shortage.hpp"

#include <algorithm>

#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

constexpr std::size_t kMaxShownNodes = 3;
constexpr std::size_t kMaxArchitecture = 64;

/// "1 peer has", "2 peers have"
std::string peers(std::size_t count, std::string_view one, std::string_view several) {
  return fmt::format("{} {}", count, count == 1 ? one : several);
}

std::string request_of(const jobs::Ensemble& ensemble, const std::string& name) {
  std::vector<std::string_view> executors;
  for (const jobs::ExecutorType executor : ensemble.node_executors(name))
    executors.push_back(jobs::to_string(executor));
  const Result<capability::Resources> required = ensemble.node_requirement(name);
  std::string text =
      fmt::format("nodes.{} asks for {} and {}", name, required ? required->to_string() : required.error().to_string(),
                  fmt::join(executors, ", "));
  if (required && !required->cpu.architecture.empty())
    text += fmt::format(", of the architecture {}", shortened(printable(required->cpu.architecture), kMaxArchitecture));
  const capability::LocationConstraints& location = ensemble.nodes.at(name).location;
  if (!location.accept.empty() || !location.reject.empty()) text += ", in a place that its location allows";
  return text;
}

/// Providers do not bid for what they do not grant, so they do not say why either.
std::string lease_hint(const jobs::Ensemble& ensemble, const std::set<std::string>& nodes) {
  for (const std::string& name : nodes) {
    const jobs::Node& node = ensemble.nodes.at(name);
    if (node.lease_ns != 0 &&
        (node.lease() < jobs::Node::kUsualShortestLease || node.lease() > jobs::Node::kUsualLongestLease))
      return fmt::format(
          "; nodes.{}.lease: providers grant {} s to {} h, unless their settings say otherwise "
          "(job.min_lease, job.max_lease)",
          name, jobs::Node::kUsualShortestLease / 1s, jobs::Node::kUsualLongestLease / 1h);
  }
  return {};
}

/// Of the nodes' bids, which offer less than the nodes ask for.
std::string too_little(const jobs::Ensemble& ensemble, const std::set<std::string>& nodes, const Shortage::Bids& bids) {
  std::set<std::string> bidders;
  std::string last;
  for (const std::string& name : nodes) {
    const auto made = bids.find(name);
    const Result<capability::Resources> required = ensemble.node_requirement(name);
    if (made == bids.end() || !required) continue;
    for (const Bid& bid : made->second) {
      bidders.insert(bid.peer);
      if (bid.offer) last = capability::explain_shortage(bid.offer->free, *required);
    }
  }
  if (bidders.empty()) return {};
  return fmt::format("; {} too little free ({})", peers(bidders.size(), "has", "have"), last);
}

}  // namespace

void Shortage::add_refusal(const std::string& peer, const std::string& why) {
  auto found = std::ranges::find_if(refusals_, [&](const auto& refusal) { return refusal.first == why; });
  if (found == refusals_.end() && refusals_.size() == kMaxShownReasons) {
    ++other_refusals_;
    return;
  }
  if (found == refusals_.end()) found = refusals_.insert(refusals_.end(), {why, {}});
  if (found->second.size() < kMaxCountedPeers) found->second.insert(peer);
}

std::string Shortage::clocks() const {
  if (clocks_.empty()) return {};
  const auto [least, most] = std::ranges::minmax(clocks_);
  const std::int64_t from = std::chrono::round<std::chrono::seconds>(least).count();
  const std::int64_t to = std::chrono::round<std::chrono::seconds>(most).count();
  return fmt::format("{} {} ahead of that of this machine: requests for bids have expired when they arrive there",
                     peers(clocks_.size(), "peer that has not bid has a clock that is",
                           "peers that have not bid have clocks that are"),
                     from == to ? fmt::format("{} s", from) : fmt::format("{} s to {} s", from, to));
}

std::string Shortage::asked(const Bids& bids) const {
  std::set<std::string> bidders;
  for (const auto& [node, made] : bids)
    for (const Bid& bid : made) bidders.insert(bid.peer);
  for (const auto& [why, refused] : refusals_) bidders.insert(refused.begin(), refused.end());
  if (connected_ == 0 && bidders.empty())
    return fmt::format(
        "no peer is connected, and this machine {}",
        self_left_out_ ? "is excluded (exclude_peers, or a failure a short time ago)"
                       : "has not bid: its log says why (not onboarded, too little free, an executor that is missing)");
  constexpr std::string_view kLeftOut =
      "exclude_peers, a failure a short time ago, or another node of this ensemble there: a machine runs one";
  if (connected_ > 0 && left_out_ >= connected_ && bidders.empty())
    return fmt::format("{} be asked ({})",
                       peers(connected_, "connected peer, which may not", "connected peers may not"), kLeftOut);
  std::string text = connected_ == 0 ? "no peer is connected"
                                     : peers(connected_, "connected peer was asked", "connected peers were asked");
  if (connected_ > 0 && left_out_ > 0) text += fmt::format(" except {} ({})", left_out_, kLeftOut);
  return text + (bidders.empty() ? ", none has bid" : ", " + peers(bidders.size(), "has bid", "have bid"));
}

std::string Shortage::describe(const jobs::Ensemble& ensemble, const std::set<std::string>& missing, const Bids& bids,
                               std::size_t chosen) const {
  std::string text;
  std::size_t shown = 0;
  bool broadcast = false;
  for (const std::string& name : missing) {
    const std::string& peer = ensemble.nodes.at(name).peer;
    broadcast = broadcast || peer.empty();
    if (shown++ == kMaxShownNodes) text += fmt::format("{} more nodes; ", missing.size() - kMaxShownNodes);
    if (shown > kMaxShownNodes) continue;
    text += request_of(ensemble, name);
    const auto unreached = unreached_.find(name);
    if (unreached != unreached_.end())
      text += fmt::format(" on {}, which could not be asked ({})", peer, unreached->second);
    else if (!peer.empty())
      text += fmt::format(" on {}, which was asked", peer);
    text += "; ";
  }
  text += broadcast ? asked(bids) : "no other machine was asked";
  if (chosen > 0)
    text += fmt::format("; {} of the ensemble (a machine runs one)",
                        peers(chosen, "machine has another node", "machines have other nodes"));
  text += too_little(ensemble, missing, bids);
  for (const auto& [why, refused] : refusals_)
    text += fmt::format("; {} not count: {}", peers(refused.size(), "bid does", "bids do"), why);
  if (other_refusals_ > 0) text += fmt::format("; {} for other reasons", other_refusals_);
  if (const std::string ahead = clocks(); !ahead.empty()) text += "; " + ahead;
  return text + lease_hint(ensemble, missing) +
         "; compare with `nunet actor cmd /dms/node/peers/list` and, on the provider, `nunet actor cmd "
         "/dms/node/resources/free`; `nunet cap list -c dms` shows whether both have granted each other "
         "/dms/deployment";
}

}  // namespace dms::orchestrator
