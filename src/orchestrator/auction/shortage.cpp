#include "orchestrator/auction/shortage.hpp"

#include <algorithm>
#include <iterator>

#include "orchestrator/deployment/reasons.hpp"

namespace dms::orchestrator {

namespace {

constexpr std::size_t kMaxShownNodes = 3;
constexpr std::size_t kMaxArchitecture = 64;
constexpr std::size_t kMaxArea = 64;

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
  for (const jobs::AntiAffinity& apart : ensemble.anti_affinity) {
    if (apart.by == capability::Area::machine || std::ranges::count(apart.nodes, name) == 0) continue;
    std::vector<std::string> others;
    std::ranges::copy_if(apart.nodes, std::back_inserter(others), [&](const auto& other) { return other != name; });
    if (!others.empty()) text += fmt::format(", in another {} than {}", to_string(apart.by), few_of(others));
  }
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

/// What would help, too.
std::string area_hint(const TooFewAreas& areas) {
  std::string known;
  for (std::size_t i = 0; i < std::min(areas.known.size(), kMaxShownNodes); ++i)
    known += fmt::format("{}{}", i > 0 ? "; " : "", shortened(printable(areas.known[i]), kMaxArea));
  if (areas.known.size() > kMaxShownNodes) known += fmt::format("; {} more", areas.known.size() - kMaxShownNodes);
  std::string text = fmt::format("; anti_affinity asks for {} machines in different {}, and the known ones are in {}",
                                 areas.needed, capability::plural(areas.area), areas.known.size());
  if (!known.empty()) text += fmt::format(" ({})", known);
  if (areas.unstated > 0)
    text += fmt::format(", {} its {}", peers(areas.unstated, "machine does not state", "machines do not state"),
                        to_string(areas.area));
  return text + fmt::format(
                    "; connect machines in other {}, let each state its own (general.host_{}), or keep fewer "
                    "nodes and standbys apart",
                    capability::plural(areas.area), to_string(areas.area));
}

std::string reasons_against(const Explanation& explanation, const std::set<std::string>& nodes) {
  std::string text;
  std::size_t shown = 0;
  std::size_t others = 0;
  for (const auto& [why, counts, machines] : explanation.against(nodes)) {
    if (shown++ >= kMaxShownReasons)
      others += machines;
    else
      text += fmt::format("; {}: {}",
                          counts ? peers(machines, "machine is not chosen", "machines are not chosen")
                                 : peers(machines, "bid does not count", "bids do not count"),
                          why);
  }
  if (others > 0) text += fmt::format("; {} for other reasons", others);
  return text;
}

}  // namespace

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

void Shortage::set_self_declined(std::string_view why) { self_declined_ = shortened(printable(why), kMaxDeclined); }

std::string Shortage::asked(std::size_t bidders) const {
  if (connected_ == 0 && bidders == 0 && self_left_out_)
    return "no peer is connected, and this machine is excluded (exclude_peers, a failure a short time ago, or work "
           "that its owner has ended)";
  if (connected_ == 0 && bidders == 0)
    return fmt::format("no peer is connected{}", self_declined_.empty() ? ", and this machine has not bid" : "");
  constexpr std::string_view kLeftOut =
      "exclude_peers, a failure a short time ago, work that its owner has ended, or another node of this ensemble "
      "there: a machine runs one";
  if (connected_ > 0 && left_out_ >= connected_ && bidders == 0)
    return fmt::format("{} be asked ({})",
                       peers(connected_, "connected peer, which may not", "connected peers may not"), kLeftOut);
  std::string text = connected_ == 0 ? "no peer is connected"
                                     : peers(connected_, "connected peer was asked", "connected peers were asked");
  if (connected_ > 0 && left_out_ > 0) text += fmt::format(" except {} ({})", left_out_, kLeftOut);
  return text + (bidders == 0 ? ", none has bid" : ", " + peers(bidders, "has bid", "have bid"));
}

std::string Shortage::describe(const jobs::Ensemble& ensemble, const std::set<std::string>& missing,
                               const Explanation& explanation, std::size_t chosen) const {
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
  text += broadcast ? asked(explanation.heard()) : "no other machine was asked";
  if (chosen > 0)
    text += fmt::format("; {} of the ensemble (a machine runs one)",
                        peers(chosen, "machine has another node", "machines have other nodes"));
  text += reasons_against(explanation, missing);
  for (const TooFewAreas& areas : areas_) text += area_hint(areas);
  if (const std::string ahead = clocks(); !ahead.empty()) text += "; " + ahead;
  if (!self_declined_.empty()) text += "; this machine does not bid: " + self_declined_;
  return text + lease_hint(ensemble, missing) +
         "; a provider bids only if it has free all that the node asks for: compare with `nunet actor cmd "
         "/dms/node/peers/list` and, on the provider, `nunet actor cmd /dms/node/resources/free`; `nunet cap list -c "
         "dms` shows whether both have granted each other "
         "/dms/deployment";
}

}  // namespace dms::orchestrator
