#include "orchestrator/auction/edge_survey.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "orchestrator/matching/explanation.hpp"
#include "protocol/serve.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

constexpr std::size_t kMaxTicket = 128;

/// In what is worth a measurement.
bool is_better(Cost a, Cost b) {
  a.distance = a.waste = a.lot = b.distance = b.waste = b.lot = 0;
  return a < b;
}

std::size_t most_pairs(const Wanted& wanted) { return std::clamp(4 * wanted.edges.size(), kLeastPairs, kMostPairs); }

/// Adds what one side has measured; why it has not.
std::string add_measured(Link& link, const Result<EdgeReply>& reply, bool with_bandwidth) {
  if (!reply) return network::plain(reply.error());
  if (!reply->rtt_ns || *reply->rtt_ns <= 0 || (with_bandwidth && !reply->bandwidth))
    return reply->error.empty() ? "its reply has no figures" : reply->error;
  const Duration rtt(*reply->rtt_ns);
  link.rtt = std::max(link.rtt.value_or(rtt), rtt);
  if (with_bandwidth) link.bandwidth = std::min(link.bandwidth.value_or(*reply->bandwidth), *reply->bandwidth);
  return {};
}

}  // namespace

std::vector<Link> MeasuredLinks::links() const {
  std::vector<Link> links;
  links.reserve(kept_.size());
  for (const Kept& kept : kept_) links.push_back(kept.link);
  return links;
}

void MeasuredLinks::add(Link link, SteadyTime now, std::uint64_t bandwidth) {
  if (kept_.size() >= kMostKept) kept_.erase(kept_.begin());
  kept_.push_back({std::move(link), now, bandwidth});
}

void MeasuredLinks::forget_old(SteadyTime now) {
  std::erase_if(kept_, [now](const Kept& kept) {
    return now - kept.at >= (kept.link.failure.empty() ? kMeasuredFor : kFailureFor);
  });
}

void MeasuredLinks::forget_below(std::uint64_t bandwidth) {
  std::erase_if(kept_, [bandwidth](const Kept& kept) { return kept.bandwidth < bandwidth; });
}

Task<void> EdgeSurvey::run(const RoundBids& bids, const Placed& placed, const Wanted& wanted) {
  if (wanted.edges.empty()) co_return;
  const SteadyTime until = actor_.lane().now() + kSurveyTime;
  std::uint64_t bandwidth = 0;
  for (const WantedEdge& edge : wanted.edges) bandwidth = std::max(bandwidth, edge.bandwidth);
  measured_.forget_below(bandwidth);
  while (actor_.lane().now() < until) {
    const Pairs pairs = next(bids, placed, wanted);
    if (pairs.empty()) co_return;
    pairs_ += pairs.size();
    std::vector<Task<Link>> measuring;
    for (const auto& [a, b] : pairs) measuring.push_back(measure(a, b, bandwidth, until));
    const TaskContext context = co_await this_task();
    std::vector<Link> measured = co_await when_all(std::move(measuring));
    if (context.scope != nullptr && context.scope->reason()) co_return;
    for (Link& link : measured) {
      log::info("orchestrator", "{}: from {} to {}: {}", ensemble_id_, link.a, link.b,
                link.failure.empty() ? "measured" : printable(link.failure));
      measured_.add(std::move(link), actor_.lane().now(), bandwidth);
    }
  }
}

EdgeSurvey::Pairs EdgeSurvey::next(const RoundBids& bids, const Placed& placed, const Wanted& wanted) const {
  Wanted open = wanted;
  open.budget = kBudget / 4;
  open.unmeasured_holds = false;
  Market market = market_of(bids, placed, measured_.links());
  const Cost sure = match(market, open).cost;
  open.unmeasured_holds = true;
  const std::size_t most = most_pairs(wanted);
  Pairs pairs;
  while (pairs.size() < kPairsAtOnce && pairs_ + pairs.size() < most) {
    const Match found = match(market, open);
    if (found.unmeasured.empty() || !is_better(found.cost, sure)) break;
    for (const auto& [a, b] : found.unmeasured)
      if (pairs_ + pairs.size() < most && pairs.emplace(std::min(a, b), std::max(a, b)).second)
        market.add({a, b, {}, {}, "the next choice is without it"});
  }
  return pairs;
}

Task<Link> EdgeSurvey::measure(std::string a, std::string b, std::uint64_t bandwidth, SteadyTime until) {
  Link link;
  link.a = a;
  link.b = b;
  Task<Result<EdgeReply>> forth = ask(a, b, bandwidth);
  const Result<EdgeReply> there = co_await with_deadline(until, std::move(forth));
  std::string why = add_measured(link, there, bandwidth > 0);
  std::string who = a;
  if (why.empty()) {
    Task<Result<EdgeReply>> back = ask(b, a, bandwidth);
    const Result<EdgeReply> here = co_await with_deadline(until, std::move(back));
    why = add_measured(link, here, bandwidth > 0);
    who = b;
  }
  if (why.empty()) co_return link;
  Link failed;
  failed.a = a;
  failed.b = b;
  failed.failure = fmt::format("{}: {}", who, shortened(std::move(why), kMaxVerdict));
  co_return failed;
}

Task<Result<EdgeReply>> EdgeSurvey::ask(std::string s, std::string t, std::uint64_t bandwidth) {
  CO_TRY(const crypto::PeerId s_peer, crypto::PeerId::parse(s));
  CO_TRY(const crypto::PeerId t_peer, crypto::PeerId::parse(t));
  CO_TRY(const actor::Handle from, actor::Handle::from(s_peer));
  CO_TRY(const actor::Handle to, actor::Handle::from(t_peer));
  EdgeRequest request;
  request.ensemble_id = ensemble_id_;
  request.s = s;
  request.t = t;
  request.bw = bandwidth;
  Task<Result<EdgeReply>> agreeing = call(actor_, kEdge, to, request, kAgreement);
  CO_TRY(const EdgeReply agreed, co_await std::move(agreeing));
  if (!agreed.ok || agreed.ticket.empty() || agreed.ticket.size() > kMaxTicket)
    co_return fail(Errc::permission_denied, "{} does not take part: {}", t, shortened(agreed.error, kMaxVerdict));
  request.ticket = agreed.ticket;
  request.addresses = actor_.system().network.addresses_of(t_peer);
  if (request.addresses.size() > kMaxEdgeAddresses) request.addresses.resize(kMaxEdgeAddresses);
  Task<Result<EdgeReply>> measuring = call(actor_, kEdge, from, request);
  co_return co_await std::move(measuring);
}

}  // namespace dms::orchestrator
