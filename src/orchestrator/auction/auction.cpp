#include "orchestrator/auction/auction.hpp"

#include <algorithm>
#include <iterator>

#include "actor/error_reply.hpp"
#include "base/log.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "protocol/serve.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

std::string too_many_bids() { return fmt::format("the node has {} bids already", kMaxBidsPerNode); }

/// Whether the bid for one node promises all that the node and its allocations need beyond DMS 0.5.x, as long and as
/// large as they do.
Result<void> check_offer(const jobs::Ensemble& ensemble, const Bid& bid, const std::vector<std::string>& features) {
  const Offer offer = bid.offer.value_or(Offer());
  for (const Feature feature : needed_features(ensemble, bid.node_id))
    if (std::ranges::count(features, to_string(feature)) == 0)
      return fail(Errc::unsupported, "the provider does not offer '{}', which the node needs", to_string(feature));
  const jobs::Node& node = ensemble.nodes.at(bid.node_id);
  if (offer.max_lease_ns > 0 && node.lease_ns > offer.max_lease_ns)
    return fail(Errc::unsupported, "the provider grants a lease of at most {} s, and nodes.{}.lease is {} s",
                Duration(offer.max_lease_ns) / 1s, bid.node_id, node.lease() / 1s);
  for (const std::string& allocation : node.allocations) {
    const std::optional<jobs::Results>& results = ensemble.allocations.at(allocation).results;
    // Without a limit of its own it takes what it gets.
    if (results && (offer.results_limit == 0 || offer.results_limit < results->limit))
      return fail(
          Errc::unsupported,
          "the provider grants results of at most {} bytes (its job.max_results), and allocations.{} asks for {}",
          offer.results_limit, allocation, results->max_bytes());
  }
  return {};
}

}  // namespace

Auction::Auction(actor::Actor& actor, const network::Network& network, std::string ensemble_id)
    : actor_(actor), network_(network), ensemble_id_(std::move(ensemble_id)) {}

Auction::~Auction() { actor_.remove_behaviour(std::string(kBid.path)); }

Result<std::unique_ptr<Auction>> Auction::open(actor::Actor& actor, const network::Network& network,
                                               std::string ensemble_id) {
  std::unique_ptr<Auction> auction(new Auction(actor, network, std::move(ensemble_id)));
  TRY_VOID(actor.add_behaviour(std::string(kBid.path), [a = auction.get()](actor::Envelope envelope) {
    return a->receive(std::move(envelope));
  }));
  return auction;
}

/// Only a bid of the bidder itself counts: an accepted provider could otherwise invent any number of others.
Task<void> Auction::receive(actor::Envelope envelope) {
  const actor::Handle& from = envelope.from;
  Answer answer;
  answer.peer = from.address.host;
  std::optional<actor::ErrorReply> declined;  // only this machine says that it does
  if (from.address.host == network_.self().to_string()) declined = actor::ErrorReply::read(envelope);
  Result<Bid> bid = json::decode<Bid>(envelope.message);
  std::string why;
  if (declined)
    shortage_.set_self_declined(declined->error);
  else if (!bid)
    why = fmt::format("it cannot be read: {}", bid.error().to_string());
  else if (bid->handle.id != from.id || bid->handle.did != from.did || bid->handle.address.host != from.address.host)
    why = "V1.Handle: expected that of the sender";
  else
    answer.bid = *std::move(bid);
  if (!incoming_.try_send(std::move(answer)) && why.empty() && !declined) why = "too many bids";
  if (!why.empty()) explanation_.add_refusal(from.address.host, why);
  co_return;
}

namespace {

/// One way: nothing depends on its arrival, a bid expires by itself.
Task<void> send_revert(actor::Actor& actor, actor::Envelope revert) {
  const Result<void> sent = co_await actor.send(std::move(revert));
  if (!sent) log::debug("orchestrator", "releasing a bidder: {}", sent.error().to_string());
}

}  // namespace

void Auction::release_others(const Candidate& chosen) {
  std::set<std::string> kept;
  for (const auto& [node, bid] : chosen) kept.insert(bid.peer);
  RevertRequest request;
  request.ensemble_id = ensemble_id_;
  for (const auto& [peer, handle] : bidders_)
    if (!kept.contains(peer)) actor_.spawn(send_revert(actor_, message(actor_, kRevert, handle, request)));
}

Task<void> Auction::release_all() {
  RevertRequest request;
  request.ensemble_id = ensemble_id_;
  std::vector<Task<void>> sending;
  for (const auto& [peer, handle] : bidders_)
    sending.push_back(send_revert(actor_, message(actor_, kRevert, handle, request)));
  for (Task<void>& one : sending) co_await std::move(one);
}

Choice Auction::choice() const {
  Choice choice = explanation_.get();
  choice.at = actor_.lane().unix_now().nanos;
  return choice;
}

Task<Result<Candidate>> Auction::run(jobs::Ensemble ensemble, SteadyTime deadline, Peers excluded) {
  ensemble_ = std::move(ensemble);
  Candidate candidate;
  shortage_ = {};
  explanation_ = {};
  asked_.clear();
  bidders_.clear();
  undecided_.clear();
  survey_.emplace(actor_, ensemble_id_, *measured_);
  // Bids that came after an earlier run had ended.
  while (incoming_.try_receive()) continue;
  bool has_progress = true;  // the last round has given a node a machine

  for (int rounds = 0;; ++rounds) {
    missing_.clear();
    for (const auto& [name, node] : ensemble_.nodes)
      if (!candidate.contains(name)) missing_.insert(name);
    if (missing_.empty()) {
      release_others(candidate);
      co_return std::move(candidate);
    }

    Lane& lane = actor_.lane();
    std::set<std::string> taken = excluded();
    taken.insert(ensemble_.exclude_peers.begin(), ensemble_.exclude_peers.end());
    const auto why = [&] { return describe_shortage(missing_, taken, candidate.size()); };
    if ((rounds > 0 && is_in_vain(candidate)) || lane.now() + kBidRound > deadline)
      co_return fail(Errc::deadline_exceeded, "no machine was found for node {} in time: {}", few_of(missing_), why());
    if (told_ && rounds > 0) told_(fmt::format("no machine is found for node {} so far: {}", few_of(missing_), why()));
    give_up_neighbours(candidate, has_progress);
    for (const auto& [name, node] : ensemble_.nodes)
      if (!candidate.contains(name)) missing_.insert(name);
    neighbours_ = placed_with(candidate);
    shortage_.begin_round();
    bids_.clear();
    refused_.clear();
    is_enough_ = false;
    for (const auto& [name, bid] : candidate) taken.insert(bid.peer);
    const TaskContext context = co_await this_task();
    Nursery asking(lane, "clocks of bidders of " + ensemble_id_, context.scope);
    if (told_) asking.spawn(ask_clocks(taken));
    const Result<void> held = co_await round(missing_, deadline, taken);
    co_await asking.close();
    CO_TRY_VOID(held);

    CO_TRY(const Wanted wanted, wanted_of(ensemble_, missing_, ensemble_id_, neighbours_));
    Task<void> measuring = survey_->run(bids_, neighbours_, wanted);
    co_await std::move(measuring);
    if (context.scope != nullptr && context.scope->reason())
      co_return fail(*context.scope->reason(), "machines for {} were being chosen", ensemble_id_);
    const Market market = market_of(bids_, neighbours_, survey_->links());
    const Match found = match(market, wanted);
    if (match_told_) match_told_(market, wanted, found);
    explanation_.add_match(market, wanted, found, survey_->links());
    for (const Refused& refused : refused_) explanation_.add_refusal(refused.peer, refused.why, refused.node);
    explanation_.set_excluded(excluded_now(taken));
    if (choice_told_) choice_told_(choice());
    Candidate chosen = chosen_bids(market, wanted, found, bids_);
    has_progress = !chosen.empty();
    candidate.merge(chosen);
  }
}

bool Auction::is_in_vain(const Candidate& candidate) const {
  const auto has_node = [&candidate](const std::string& peer) {
    return std::ranges::any_of(candidate, [&](const auto& entry) { return entry.second.peer == peer; });
  };
  return ends_early_ && std::ranges::all_of(undecided_, has_node);
}

Placed Auction::placed_with(const Candidate& candidate) const {
  Placed placed = placed_;
  for (const auto& [node, bid] : candidate) placed[node] = {bid.peer, bid.location};
  return placed;
}

/// See (4); the bids are those of the last round.
void Auction::give_up_neighbours(Candidate& candidate, bool has_progress) const {
  std::vector<std::string> open;
  for (const auto& [node, bids] : bids_)
    if (ensemble_.nodes.contains(node) && !candidate.contains(node)) open.push_back(node);
  while (!open.empty()) {
    const std::string node = open.back();
    open.pop_back();
    for (const jobs::Edge& edge : ensemble_.edges) {
      if (!edge.has_limits() || (edge.s != node && edge.t != node)) continue;
      const std::string& other = edge.s == node ? edge.t : edge.s;
      if (candidate.erase(other) > 0) open.push_back(other);
    }
    for (const jobs::AntiAffinity& apart : ensemble_.anti_affinity) {
      if (has_progress || apart.by == capability::Area::machine || std::ranges::count(apart.nodes, node) == 0) continue;
      for (const std::string& other : apart.nodes)
        if (candidate.erase(other) > 0) open.push_back(other);
    }
  }
}

std::string Auction::describe_shortage(const std::set<std::string>& missing, const std::set<std::string>& left_out,
                                       std::size_t chosen) {
  const std::vector<crypto::PeerId> connected = network_.peers();
  const auto is_connected = [&connected](const std::string& peer) {
    const Result<crypto::PeerId> id = crypto::PeerId::parse(peer);
    return id && std::ranges::count(connected, *id) > 0;
  };
  shortage_.set_peers(connected.size(), static_cast<std::size_t>(std::ranges::count_if(left_out, is_connected)));
  shortage_.set_self_left_out(left_out.contains(network_.self().to_string()));
  shortage_.set_areas(too_few_areas(ensemble_, missing, bids_, neighbours_));
  return shortage_.describe(ensemble_, missing, explanation_, chosen);
}

Task<Result<void>> Auction::round(const std::set<std::string>& missing, SteadyTime deadline,
                                  const std::set<std::string>& excluded) {
  Lane& lane = actor_.lane();
  const SteadyTime until = std::min(lane.now() + kBidRound, deadline);
  CO_TRY_VOID(co_await request_bids(missing, lane.unix_now() + (until - lane.now()), excluded));
  co_return co_await collect(missing, until, excluded);
}

Task<Result<void>> Auction::request_bids(const std::set<std::string>& nodes, UnixTime expires,
                                         const std::set<std::string>& excluded) {
  EnsembleBidRequest request;
  request.id = ensemble_id_;
  request.nonce = actor_.lane().random().u64() >> 1;
  request.peer_exclusion.assign(excluded.begin(), excluded.end());
  actor::MessageOptions options;
  options.expires = expires;
  options.reply_to = std::string(kBid.path);

  std::vector<Task<Result<void>>> direct;
  for (const std::string& node : nodes) {
    CO_TRY(NodeRequest wanted, node_request(ensemble_, node));
    const std::string& peer = ensemble_.nodes.at(node).peer;
    if (peer.empty())
      request.request.push_back(BidRequest{std::move(wanted)});
    else
      direct.push_back(request_from_pinned(peer, std::move(wanted), options));
  }
  if (!request.request.empty()) {
    // A pinned peer that bids on the broadcast would have no resources left for its own node.
    for (const auto& [name, node] : ensemble_.nodes)
      if (!node.peer.empty()) request.peer_exclusion.push_back(node.peer);
    // A broadcast does not reach its sender.
    const std::string self = network_.self().to_string();
    if (std::ranges::count(request.peer_exclusion, self) == 0) direct.push_back(request_from(self, request, options));
    // At a peer whose clock is ahead a broadcast has expired when it arrives; a message to it lasts longer.
    for (const crypto::PeerId& connected : network_.peers())
      if (const std::string peer = connected.to_string();
          actor_.system().clocks.ahead(peer) >= kClockAhead && std::ranges::count(request.peer_exclusion, peer) == 0)
        direct.push_back(request_from(peer, request, options));
    options.topic = std::string(kDeploymentTopic);
    CO_TRY_VOID(
        co_await actor_.publish(actor_.broadcast(std::string(kBidRequest.path), actor::to_payload(request), options)));
  }
  const std::vector<Result<void>> sent = co_await when_all(std::move(direct));
  for (const Result<void>& result : sent)
    if (!result) log::info("orchestrator", "{}: {}", ensemble_id_, result.error().to_string());
  co_return Result<void>();
}

Task<Result<void>> Auction::request_from(std::string peer, EnsembleBidRequest request, actor::MessageOptions options) {
  CO_TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
  CO_TRY(actor::Handle to, actor::Handle::from(id));
  actor::Envelope envelope = actor_.message(to, std::string(kBidRequest.path), actor::to_payload(request), options);
  co_return co_await actor_.send(std::move(envelope));
}

Task<Result<void>> Auction::request_from_pinned(std::string peer, NodeRequest wanted, actor::MessageOptions options) {
  EnsembleBidRequest request;
  request.id = ensemble_id_;
  request.nonce = actor_.lane().random().u64() >> 1;
  const std::string node = wanted.node_id;
  request.request.emplace_back().v1 = std::move(wanted);
  Task<Result<void>> asking = request_from(peer, std::move(request), std::move(options));
  const Result<void> sent = co_await std::move(asking);
  if (!sent) {
    shortage_.add_unreached(node, network::plain(sent.error()));
    co_return fail(sent.error(), "node {} is pinned to {}", node, peer);
  }
  co_return Result<void>();
}

Task<Result<void>> Auction::collect(const std::set<std::string>& nodes, SteadyTime until, std::set<std::string> taken) {
  Lane& lane = actor_.lane();
  std::set<std::string> silent = asked_for(nodes, taken);
  std::size_t bidders = 0;
  while (!is_enough_ || !silent.empty()) {
    Result<Answer> answer = co_await with_deadline(until, incoming_.receive());
    if (!answer && answer.error().is(Errc::deadline_exceeded)) co_return Result<void>();
    if (!answer) co_return std::unexpected(answer.error());
    silent.erase(answer->peer);
    if (!answer->bid) continue;
    Bid& bid = *answer->bid;
    Result<Counted> counted = check(bid, nodes, taken);
    if (!counted) {
      explanation_.add_refusal(bid.handle.address.host, counted.error().to_string());
      log::debug("orchestrator", "{}: bid of {} refused: {}", ensemble_id_, bid.peer, counted.error().to_string());
      continue;
    }
    std::vector<std::string> names;
    for (const Bid& one : counted->bids) names.push_back(one.node_id);
    log::info("orchestrator", "{}: {} bids for node {}", ensemble_id_, bid.peer, few_of(names));
    taken.insert(bid.peer);
    bidders_.insert_or_assign(bid.peer, bid.handle);
    ++bidders;
    const bool names_all = bid.offer && bid.offer->also && bid.offer->also->size() < kMaxAlso && !bid.offer->more;
    if (nodes.size() > 1 && !names_all)
      undecided_.insert(bid.peer);
    else
      undecided_.erase(bid.peer);
    for (Bid& one : counted->bids) keep(std::move(one));
    std::ranges::move(counted->refused, std::back_inserter(refused_));
    if (is_enough_ || bidders < nodes.size() || bids_.size() < nodes.size() || !give_every_node_a_machine(nodes))
      continue;
    is_enough_ = true;
    until = std::min(until, lane.now() + kBidSettle);
  }
  co_return Result<void>();
}

/// Of a bid for one node that counts.
void Auction::keep(Bid bid) {
  std::vector<Bid>& made = bids_[bid.node_id];
  if (made.size() >= kMaxBidsPerNode) {
    const std::size_t last = find_crowded(ensemble_, made, bid).value_or(made.size() - 1);
    refused_.push_back(
        {made[last].peer, bid.node_id, fmt::format("{}, and more of its place than of another one", too_many_bids())});
    made.erase(made.begin() + static_cast<std::ptrdiff_t>(last));
  }
  made.push_back(std::move(bid));
}

std::set<std::string> Auction::asked_for(const std::set<std::string>& nodes,
                                         const std::set<std::string>& excluded) const {
  const auto is_pinned = [this](const std::string& node) { return !ensemble_.nodes.at(node).peer.empty(); };
  std::set<std::string> asked;
  if (!std::ranges::all_of(nodes, is_pinned)) {
    asked.insert(network_.self().to_string());
    for (const crypto::PeerId& peer : network_.peers()) asked.insert(peer.to_string());
    for (const std::string& peer : excluded) asked.erase(peer);
    for (const auto& [name, node] : ensemble_.nodes) asked.erase(node.peer);
  }
  for (const std::string& node : nodes)
    if (is_pinned(node)) asked.insert(ensemble_.nodes.at(node).peer);
  return asked;
}

bool Auction::give_every_node_a_machine(const std::set<std::string>& nodes) const {
  Result<Wanted> wanted = wanted_of(ensemble_, nodes, ensemble_id_, neighbours_);
  if (!wanted) return false;
  wanted->unmeasured_holds = true;
  wanted->budget = kBudget / 16;  // at each bid: what is not seen by then is seen when the round has ended
  return match(market_of(bids_, neighbours_, survey_->links()), *wanted).complete;
}

Task<void> Auction::ask_clocks(std::set<std::string> excluded) {
  const Result<void> waited = co_await sleep_for(kClockQuestion);
  if (!waited || is_enough_) co_return;
  std::set<std::string> silent;
  for (const std::string& node : missing_)
    if (const std::string& peer = ensemble_.nodes.at(node).peer; !peer.empty())
      silent.insert(peer);
    else
      for (const crypto::PeerId& connected : network_.peers()) silent.insert(connected.to_string());
  for (const auto& [peer, handle] : bidders_) silent.erase(peer);
  std::vector<Task<Result<void>>> questions;
  for (const std::string& peer : silent)
    if (!excluded.contains(peer) && asked_.size() < kMaxClockQuestions && asked_.insert(peer).second)
      questions.push_back(ask_clock(peer));
  if (questions.empty()) co_return;
  (void)co_await when_all(std::move(questions));
}

Task<Result<void>> Auction::ask_clock(std::string peer) {
  CO_TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
  CO_TRY(actor::Handle to, actor::Handle::from(id));
  ProviderClient provider(actor_, ensemble_id_);
  const Duration known = actor_.system().clocks.ahead(peer);
  Task<Result<RenewReply>> asking = provider.patient_reports(std::move(to), kClockAnswer);
  CO_TRY(const RenewReply reply, co_await std::move(asking));
  const std::uint64_t now = actor_.lane().unix_now().nanos;
  if (reply.wall_ns <= now) co_return Result<void>();
  const std::uint64_t ahead = reply.wall_ns - now;
  const auto count = [](Duration of) { return static_cast<std::uint64_t>(of.count()); };
  if (ahead < count(known + kClockAhead) || ahead > count(kPatientLifetime)) co_return Result<void>();
  shortage_.add_clock(Duration(static_cast<std::int64_t>(ahead)));
  log::warn("orchestrator", "{}: {} has not bid, and its clock is {} s ahead of that of this machine", ensemble_id_,
            peer, ahead / 1'000'000'000);
  co_return Result<void>();
}

/// Why another bid of that peer does not count.
std::string Auction::why_taken(const std::string& peer) const {
  if (std::ranges::count(ensemble_.exclude_peers, peer) > 0) return "exclude_peers names it";
  std::string why = why_excluded_ ? why_excluded_(peer) : std::string();
  if (!why.empty()) return why;
  return bidders_.contains(peer) ? "it has bid already, and a machine gets one node"
                                 : "a request to it has failed a short time ago; it is asked again later";
}

std::map<std::string, std::string> Auction::excluded_now(const std::set<std::string>& taken) const {
  std::map<std::string, std::string> why;
  const auto add = [&](const std::string& peer) {
    if (taken.contains(peer)) why.emplace(peer, why_taken(peer));
  };
  add(network_.self().to_string());
  for (const crypto::PeerId& peer : network_.peers()) add(peer.to_string());
  return why;
}

Result<Auction::Counted> Auction::check(const Bid& bid, const std::set<std::string>& nodes,
                                        const std::set<std::string>& taken) const {
  if (bid.ensemble_id != ensemble_id_) return fail(Errc::invalid_argument, "it is for ensemble {}", bid.ensemble_id);
  if (bid.handle.address.host != bid.peer) return fail(Errc::invalid_argument, "its handle is on another peer");
  if (bid.is_promise)
    return fail(Errc::unsupported, "it is the promise of a gateway to make a machine, which is not asked for yet");
  const Offer offer = bid.offer.value_or(Offer());
  const std::size_t shared =
      json::encode(bid.location).size() + json::encode(bid.handle).size() + json::encode(offer.free).size();
  if (shared > kMaxShared)
    return fail(Errc::limit_exceeded, "its location, its handle and what is free have {} bytes, at most {} are kept",
                shared, kMaxShared);

  const auto is_asked = [&nodes](const OtherNode& other) { return nodes.contains(other.node_id); };
  if (!nodes.contains(bid.node_id) && (!offer.also || std::ranges::none_of(*offer.also, is_asked)))
    return fail(Errc::invalid_argument, "it is for node {}, which is not in this round", bid.node_id);
  if (taken.contains(bid.peer)) return fail(Errc::already_exists, "{}", why_taken(bid.peer));

  Counted counted;
  for (Bid& one : bid.by_node()) {
    if (!nodes.contains(one.node_id)) continue;  // of an earlier round
    const Result<void> valid = check_node(one, offer.features);
    if (valid)
      counted.bids.push_back(std::move(one));
    else if (!offer.also || offer.also->empty())
      return std::unexpected(valid.error());
    else
      counted.refused.push_back({bid.peer, one.node_id, valid.error().to_string()});
  }
  if (counted.bids.empty()) {
    std::string text;
    for (const Refused& refused : counted.refused)
      if (text.size() < kMaxVerdict)
        text += fmt::format("{}node {}: {}", text.empty() ? "" : "; ", refused.node, refused.why);
    return fail(Errc::unsupported, "{}", text);
  }
  TRY_VOID(bid.verify());
  return counted;
}

/// Whether a bid for one node, which is in the round, counts for that.
Result<void> Auction::check_node(const Bid& bid, const std::vector<std::string>& features) const {
  const jobs::Node& node = ensemble_.nodes.at(bid.node_id);
  if (!node.peer.empty() && node.peer != bid.peer)
    return fail(Errc::permission_denied, "the node is pinned to {}", node.peer);
  for (const auto& [name, other] : ensemble_.nodes)
    if (other.peer == bid.peer && name != bid.node_id)
      return fail(Errc::permission_denied, "this peer is pinned to node {}", name);
  if (!node.location.allows(bid.location))
    return fail(Errc::permission_denied, "the location of the machine is not allowed for the node");
  if (auto it = bids_.find(bid.node_id);
      it != bids_.end() && it->second.size() >= kMaxBidsPerNode && !find_crowded(ensemble_, it->second, bid))
    return fail(Errc::limit_exceeded, "{}", too_many_bids());
  return check_offer(ensemble_, bid, features);
}

Result<NodeRequest> node_request(const jobs::Ensemble& ensemble, const std::string& name) {
  const jobs::Node& node = ensemble.nodes.at(name);
  NodeRequest request;
  request.node_id = name;
  TRY(request.resources, ensemble.node_requirement(name));
  for (const jobs::ExecutorType executor : ensemble.node_executors(name))
    request.executors.emplace_back(jobs::to_string(executor));
  request.location = node.location;
  request.lease_ns = node.lease_ns;
  for (const jobs::Port& port : node.ports) {
    if (port.public_port == 0)
      ++request.public_ports.dynamic;
    else
      request.public_ports.fixed.push_back(port.public_port);
  }
  for (const std::string& allocation : node.allocations) {
    if (const auto& results = ensemble.allocations.at(allocation).results)
      request.results_limit = std::max(request.results_limit, results->max_bytes());
    const auto* privileged = ensemble.allocations.at(allocation).execution.params.if_contains("privileged");
    if (privileged != nullptr && privileged->is_bool() && privileged->get_bool())
      request.general_requirements.privileged_docker = true;
  }
  return request;
}

}  // namespace dms::orchestrator
