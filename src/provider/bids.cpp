#include "provider/bids.hpp"

#include <algorithm>

#include "actor/error_reply.hpp"
#include "base/assert.hpp"
#include "base/log.hpp"
#include "provider/admission.hpp"

namespace dms::provider {
namespace {

template <class... Args>
std::unexpected<NoBid> no_bid(BidRefusal reason, fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected(NoBid{reason, fmt::format(text, std::forward<Args>(args)...)});
}

std::expected<void, NoBid> can_serve(const protocol::NodeRequest& node, const Offering& offering) {
  if (node.node_id.size() > kMaxId)
    return no_bid(BidRefusal::malformed, "node_id: {} bytes, at most {} are expected", node.node_id.size(), kMaxId);
  if (const Result<void> size = check_size(node.resources); !size)
    return no_bid(BidRefusal::malformed, "{}", size.error().to_string());
  if (!node.beyond.empty()) return no_bid(BidRefusal::unsupported, "{}: not supported by this provider", node.beyond);
  if (const Result<void> cards = check_no_gpus(node.resources); !cards)
    return no_bid(BidRefusal::unsupported, "{}", cards.error().to_string());
  if (!node.location.allows(offering.location)) return no_bid(BidRefusal::location, "it may not run at this location");
  for (const std::string& executor : node.executors)
    if (!offering.executors.contains(executor))
      return no_bid(BidRefusal::executor, "executor '{}' is not available here", executor);
  if (node.general_requirements.privileged_docker && !offering.privileged_docker)
    return no_bid(BidRefusal::privileged_docker,
                  "privileged containers are not allowed here (job.allow_privileged_docker)");
  const Result<capability::Resources> free = offering.free_for(node.node_id);
  if (!free) return no_bid(BidRefusal::internal, "{}", free.error().to_string());
  if (!capability::covers(*free, node.resources))
    return no_bid(BidRefusal::resources, "{}", capability::explain_shortage(*free, node.resources));
  if (const Duration lease(node.lease_ns); lease != 0ns && (lease < offering.min_lease || lease > offering.max_lease))
    return no_bid(BidRefusal::lease,
                  "a lease of {} s is requested, {} to {} s are granted (job.min_lease, job.max_lease)", lease / 1s,
                  offering.min_lease / 1s, offering.max_lease / 1s);
  if (node.results_limit != 0 && offering.max_results == 0)
    return no_bid(BidRefusal::results, "results are not returned here (job.max_results)");
  if (!node.public_ports.fixed.empty() || node.public_ports.dynamic != 0) {
    if (!offering.ports_available) return no_bid(BidRefusal::ports, "this provider has no public ports");
    if (const Result<void> ports = offering.ports_available(node.public_ports); !ports)
      return no_bid(BidRefusal::ports, "{}", ports.error().to_string());
  }
  return {};
}

/// In thousandths.
std::uint32_t load_of(const capability::Resources& share, const capability::Resources& free) {
  const auto used = [](std::uint64_t all, std::uint64_t left) -> std::uint32_t {
    if (left >= all) return 0;
    return static_cast<std::uint32_t>(static_cast<unsigned __int128>(all - left) * 1000 / all);
  };
  return std::max({used(share.cpu.cores.millis, free.cpu.cores.millis), used(share.ram.size.bytes, free.ram.size.bytes),
                   used(share.disk.size.bytes, free.disk.size.bytes)});
}

/// What differs by node.
protocol::OtherNode terms_of(const protocol::NodeRequest& node, const Offering& offering) {
  protocol::OtherNode terms;
  terms.node_id = node.node_id;
  terms.price = offering.prices.of(node.resources);
  terms.results_limit = std::min(node.results_limit, offering.max_results);
  terms.free = offering.free_for(node.node_id).value_or(offering.free);
  terms.load = load_of(offering.share, *terms.free);
  for (const std::string& executor : node.executors)
    if (const auto found = offering.unenforced.find(executor); found != offering.unenforced.end())
      terms.unenforced.insert(*found);
  return terms;
}

/// `nodes` are not empty.
protocol::Offer offer_for(const std::vector<const protocol::NodeRequest*>& nodes, const Offering& offering) {
  protocol::Offer offer;
  const protocol::OtherNode first = terms_of(*nodes.front(), offering);
  offer.free = *first.free;
  for (const protocol::Feature feature : offering.features) offer.features.emplace_back(to_string(feature));
  offer.max_lease_ns = offering.max_lease.count();
  offer.results_limit = first.results_limit;
  offer.price = first.price;
  offer.load = first.load;
  offer.unenforced = first.unenforced;
  std::vector<protocol::OtherNode>& also = offer.also.emplace();
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    protocol::OtherNode& other = also.emplace_back(terms_of(*nodes[i], offering));
    if (other.free == first.free) {
      other.free.reset();
      other.load.reset();
    }
  }
  return offer;
}

std::string others_text(const protocol::Bid& bid) {
  constexpr std::size_t kMaxShown = 8;
  std::string text;
  if (!bid.offer || !bid.offer->also) return text;
  const std::vector<protocol::OtherNode>& also = *bid.offer->also;
  for (std::size_t i = 0; i < std::min(also.size(), kMaxShown); ++i)
    text += fmt::format("{}{}", i == 0 ? ", or instead for " : ", ", also[i].node_id);
  if (also.size() > kMaxShown) text += fmt::format(" and {} more", also.size() - kMaxShown);
  return text;
}

}  // namespace

const capability::Resources& Bids::Open::of(const std::string& node) const {
  const auto found = std::ranges::find(nodes, node, [](const auto& one) -> const std::string& { return one.first; });
  return found == nodes.end() ? nodes.front().second : found->second;
}

Result<capability::Resources> Offering::free_for(const std::string& node) const {
  capability::Resources all = free;
  for (const auto& [name, used] : held)
    if (name.empty() || name == node) {
      TRY(all, capability::add(all, used));
    }
  return all;
}

std::expected<ChosenRequests, NoBid> choose_requests(const protocol::EnsembleBidRequest& request,
                                                     const Offering& offering, Random& random) {
  if (request.request.empty()) return no_bid(BidRefusal::malformed, "request: at least one node is expected");
  if (request.request.size() > kMaxNodeRequests)
    return no_bid(BidRefusal::malformed, "request: {} nodes, at most {} are considered", request.request.size(),
                  kMaxNodeRequests);
  if (!request.beyond.empty())
    return no_bid(BidRefusal::unsupported, "{}: not supported by this provider", request.beyond);
  if (!offering.onboarded) return no_bid(BidRefusal::not_onboarded, "this machine is not onboarded");
  if (std::ranges::find(request.peer_exclusion, offering.self.to_string()) != request.peer_exclusion.end())
    return no_bid(BidRefusal::excluded, "this machine is excluded by the request");

  if (!offering.room) return no_bid(BidRefusal::full, "{}", offering.room.error().to_string());

  std::vector<const protocol::NodeRequest*> nodes;
  for (const protocol::BidRequest& entry : request.request)
    if (entry.v1) nodes.push_back(&*entry.v1);
  std::shuffle(nodes.begin(), nodes.end(), random);

  NoBid refused{BidRefusal::malformed, {}};
  ChosenRequests chosen;
  std::set<std::string_view> names;
  std::size_t size = 0;
  for (const protocol::NodeRequest* node : nodes) {
    if (chosen.nodes.size() > protocol::kMaxAlso) break;
    const std::expected<void, NoBid> fits = can_serve(*node, offering);
    if (fits) {
      if (names.contains(node->node_id)) continue;
      const std::size_t more = json::encode(node->resources).size();
      if (size + more > kMaxResources) {
        chosen.is_cut = true;
        continue;
      }
      size += more;
      names.insert(node->node_id);
      chosen.nodes.push_back(node);
      continue;
    }
    if (refused.text.empty()) refused.reason = fits.error().reason;
    refused.text +=
        fmt::format("{}{}: {}", refused.text.empty() ? "" : "; ", node->node_id.substr(0, kMaxId), fits.error().text);
  }
  if (!chosen.nodes.empty()) return chosen;
  if (refused.text.empty()) refused.text = "no node request of a known version";
  return std::unexpected(std::move(refused));
}

Task<void> Bids::on_request(actor::Envelope envelope) {
  Result<protocol::EnsembleBidRequest> request = actor::payload<protocol::EnsembleBidRequest>(envelope);
  if (!request) {
    ++metrics_.bid_refusals[BidRefusal::malformed];
    log::debug("provider", "{}", request.error().to_string());
    co_return;
  }
  const std::expected<protocol::Bid, NoBid> bid = answer(*request, envelope.from.did);
  if (!bid) {
    if (!is_own(envelope.from.did)) co_return;
    const actor::ErrorReply declined{bid.error().text, std::string(actor::kDeclined), {}};
    if (Result<void> sent = co_await root_.reply(envelope, declined); !sent)
      log::debug("provider", "telling why there is no bid for {}: {}", request->id, sent.error().to_string());
    co_return;
  }
  log::info("provider", {{"node_id", bid->node_id}, {"ensemble", bid->ensemble_id}}, "bidding for node {} of {}{}",
            bid->node_id, bid->ensemble_id, others_text(*bid));
  if (Result<void> sent = co_await root_.reply(envelope, *bid); !sent)
    log::info("provider", "bidding for {}: {}", bid->ensemble_id, sent.error().to_string());
}

std::expected<protocol::Bid, NoBid> Bids::answer(const protocol::EnsembleBidRequest& request,
                                                 const did::Did& requester) {
  const auto refuse = [&](NoBid why) {
    ++metrics_.bid_refusals[why.reason];
    const bool own = is_own(requester);
    if (own && told_.size() >= kMaxBidsPerOwner) told_.clear();
    if (own && told_.emplace(request.id, why.reason).second)
      log::info("provider", "no bid for {} of this node: {}", request.id, why.text);
    else
      log::debug("provider", "no bid for {}: {}", request.id, why.text);
    return std::unexpected(std::move(why));
  };
  if (auto admitted = admit(request, requester); !admitted) return refuse(std::move(admitted.error()));
  const Result<Offering> offering = describe_({requester, request.id});
  if (!offering) return refuse({BidRefusal::internal, offering.error().to_string()});
  auto chosen = choose_requests(request, *offering, root_.lane().random());
  if (!chosen) return refuse(std::move(chosen.error()));

  protocol::Bid bid;
  bid.ensemble_id = request.id;
  bid.node_id = chosen->nodes.front()->node_id;
  bid.peer = offering->self.to_string();
  bid.location = offering->location;
  bid.handle = root_.handle();
  bid.offer = offer_for(chosen->nodes, *offering);
  bid.offer->more = chosen->is_cut;
  if (const Result<void> signed_bid = bid.sign(root_.security().key()); !signed_bid)
    return refuse({BidRefusal::internal, signed_bid.error().to_string()});

  Answered& answered = bids_[requester][request.id];
  answered.rounds.insert(request.nonce);
  answered.bid = {};
  for (const protocol::NodeRequest* node : chosen->nodes)
    answered.bid.nodes.emplace_back(node->node_id, node->resources);
  answered.bid.expires = now() + kBidTime;
  ++metrics_.bids;
  count();
  return bid;
}

std::expected<void, NoBid> Bids::admit(const protocol::EnsembleBidRequest& request, const did::Did& requester) const {
  if (const Result<void> id = check_id("id", request.id); !id)
    return no_bid(BidRefusal::malformed, "{}", id.error().to_string());
  const auto owner = bids_.find(requester);
  const std::size_t of_owner = owner == bids_.end() ? 0 : owner->second.size();
  if (of_owner > 0)
    if (const auto known = owner->second.find(request.id); known != owner->second.end()) {
      const std::set<std::uint64_t>& rounds = known->second.rounds;
      if (rounds.contains(request.nonce)) return no_bid(BidRefusal::repeated, "this round has been answered");
      if (rounds.size() >= kMaxRounds)
        return no_bid(BidRefusal::too_many, "{} rounds have been answered", rounds.size());
      return {};
    }
  const bool is_named = root_.security().capabilities()->trust(requester) != ucan::Trust::none;
  if (size_ + (is_named ? 0 : kReservedBids) >= kMaxBids || of_owner >= kMaxBidsPerOwner)
    return no_bid(BidRefusal::too_many, "{} bids are open, {} of them for this orchestrator", size_, of_owner);
  return {};
}

Result<Bids::Open> Bids::open(const EnsembleKey& key) const {
  if (const auto owner = bids_.find(key.owner); owner != bids_.end())
    if (const auto found = owner->second.find(key.ensemble);
        found != owner->second.end() && now() <= found->second.bid.expires)
      return found->second.bid;
  return fail(Errc::not_found, "no bid to this orchestrator is open for ensemble {}", key.ensemble);
}

void Bids::withdraw(const EnsembleKey& key) {
  const auto owner = bids_.find(key.owner);
  if (owner == bids_.end()) return;
  owner->second.erase(key.ensemble);
  if (owner->second.empty()) bids_.erase(owner);
  count();
}

void Bids::sweep() {
  for (auto& [owner, ensembles] : bids_)
    std::erase_if(ensembles, [&](const auto& entry) { return entry.second.bid.expires < now(); });
  std::erase_if(bids_, [](const auto& entry) { return entry.second.empty(); });
  count();
}

void Bids::count() {
  size_ = 0;
  for (const auto& [owner, ensembles] : bids_) size_ += ensembles.size();
  DMS_DEBUG_ASSERT(size_ <= kMaxBids, "{} bids are open", size_);
  metrics_.open_bids.set(static_cast<std::int64_t>(size_));
}

}  // namespace dms::provider
