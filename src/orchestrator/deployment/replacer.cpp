#include "orchestrator/deployment/replacer.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/standby.hpp"
#include "orchestrator/deployment/update.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// What of these nodes needs a machine.
Unplaced unplaced_of(const DeploymentRecord& record, const std::set<std::string>& nodes) {
  Unplaced wanted = unplaced(record);
  std::erase_if(wanted, [&](const auto& pair) { return !nodes.contains(pair.first); });
  return wanted;
}

Result<void> nothing_changed(const Error& error, const std::set<std::string>& nodes, std::string_view why) {
  return fail(error, "nothing is changed, and what runs of {} goes on where it is: {}", few_of(nodes), why);
}

/// Of the nodes without a machine, those pinned to the machine of another one, which leaves that only once it is
/// superseded.
std::string taken_until_released(const DeploymentRecord& before, const jobs::Ensemble& wanted,
                                 const std::set<std::string>& missing, const std::set<std::string>& leaving) {
  std::string text;
  for (const std::string& name : missing)
    for (const auto& [node, placed] : before.manifest.nodes)
      if (node != name && leaving.contains(node) && wanted.nodes.at(name).peer == placed.peer)
        add_reason(text, fmt::format("node {} runs on {} until the update is accepted, and node {} gets that machine "
                                     "only if it has room for both at once",
                                     node, placed.peer, name));
  return text;
}

}  // namespace

std::set<std::string> Replacer::sought() const {
  const DeploymentRecord& record = parts_.record.get();
  std::set<std::string> nodes;
  if (record.status != DeploymentStatus::running) return nodes;
  for (const auto& [node, placed] : record.manifest.nodes)
    if (is_lost_(node) && is_sought_elsewhere(record, node)) nodes.insert(node);
  return nodes;
}

Unplaced Replacer::all_wanted() const {
  const std::set<std::string> nodes = sought();
  return nodes.empty() ? unplaced(parts_.record.get()) : unplaced(record_without(nodes));
}

DeploymentRecord Replacer::record_without(const std::set<std::string>& moving) const {
  DeploymentRecord record = parts_.record.get();
  for (const std::string& node : moving) supersede_node(record, node, false);
  return record;
}

Result<std::unique_ptr<Auction>> Replacer::open_auction() {
  TRY(std::unique_ptr<Auction> auction, Auction::open(parts_.actor, parts_.services.network, parts_.id()));
  auction->explain_exclusions([this](const std::string& peer) { return why_occupied(parts_.record.get(), peer); });
  auction->share(measured_);
  auction->tell_match(parts_.services.matched);
  return auction;
}

Placed Replacer::neighbours(const DeploymentRecord& record, const jobs::Ensemble& part) const {
  std::set<std::string> without;
  std::set<std::string> lost;
  for (const auto& [name, node] : part.nodes) without.insert(name);
  for (const auto& [name, node] : record.manifest.nodes)
    if (is_lost_(name)) lost.insert(name);
  return neighbours_of(record, without, lost);
}

Task<Result<Candidate>> Replacer::auction(Unplaced wanted, std::optional<SteadyTime> deadline,
                                          std::set<std::string> moving, std::string only, std::string avoided) {
  const Mutex::Lock lock = co_await bidding_.lock();
  CO_TRY(const std::unique_ptr<Auction> auction, open_auction());
  if (!avoided.empty())
    auction->explain_exclusions([this, &avoided](const std::string& peer) {
      if (peer == avoided) return std::string("the node has failed there, and is to be redeployed on another machine");
      return why_occupied(parts_.record.get(), peer);
    });
  std::set<std::string> pinned;
  const auto excluded = [this, &wanted, &pinned, &moving, &avoided] {
    std::set<std::string> peers = occupied(record_without(moving), wanted);
    peers.merge(backoff_.excluded(parts_.now(), pinned));
    if (!avoided.empty()) peers.insert(avoided);
    return peers;
  };
  const Auction::Peers ask = excluded;
  if (deadline) auction->tell_shortage([this](std::string why) { shortage_ = std::move(why); });
  std::set<std::string> nodes;
  for (const auto& [node, allocations] : wanted) nodes.insert(node);
  keep_choice(*auction, std::move(nodes));
  for (;;) {
    const Releases before = awaited();
    jobs::Ensemble part = part_of(record_without(moving), wanted);
    auction->join(neighbours(record_without(moving), part));
    pinned.clear();
    for (auto& [name, node] : part.nodes) {
      if (!only.empty()) node.peer = only;
      pinned.insert(node.peer);
    }
    // One round, and what the requests after it may take.
    const SteadyTime until = deadline.value_or(parts_.now() + kBidRound + 1s);
    Task<Result<Candidate>> running = auction->run(std::move(part), until, ask);
    Task<Result<Candidate>> bidding = until_released(before, std::move(running));
    Result<Candidate> candidate = co_await std::move(bidding);
    if (candidate) co_return candidate;
    if (is_outdated()) co_return fail(Errc::closed, "the deployment was updated, or a machine released, meanwhile");
    if (!has_released(before)) co_return candidate;
  }
}

void Replacer::keep_choice(Auction& auction, std::set<std::string> nodes) {
  auction.tell_choice([this, nodes = std::move(nodes)](const Choice& latest) {
    Choice all = choice().value_or(Choice());
    merge(all, latest, nodes);
    choice_ = std::move(all);
  });
}

Task<Result<Candidate>> Replacer::find_standby(jobs::Ensemble part) {
  const Mutex::Lock lock = co_await bidding_.lock();
  CO_TRY(const std::unique_ptr<Auction> auction, open_auction());
  const Auction::Peers excluded = [this] {
    std::set<std::string> peers = occupied(parts_.record.get(), {});
    peers.merge(backoff_.excluded(parts_.now()));
    return peers;
  };
  std::set<std::string> nodes;
  for (const auto& [node, spec] : part.nodes) nodes.insert(node);
  keep_choice(*auction, std::move(nodes));
  auction->join(neighbours(parts_.record.get(), part));
  Task<Result<Candidate>> running = auction->run(std::move(part), parts_.now() + kBidRound + 1s, excluded);
  co_return co_await std::move(running);
}

Replacer::Releases Replacer::awaited() const {
  const std::set<std::string> failed = backoff_.excluded(parts_.now());
  Releases awaited;
  for (const Superseded& entry : parts_.record->superseded)
    if (!failed.contains(entry.peer)) awaited.emplace(entry.number, entry.over);
  return awaited;
}

bool Replacer::has_released(const Releases& before) const {
  Releases now;
  for (const Superseded& entry : parts_.record->superseded) now.emplace(entry.number, entry.over);
  return !std::ranges::includes(now, before);
}

bool Replacer::is_outdated() const { return updated_ || has_released(tried_); }

Task<Result<void>> Replacer::wait_for_release(Releases before, Releases own,
                                              std::optional<std::set<std::string>> lost) {
  const bool replacing = replaces();
  while (!has_released(before) && replaces() == replacing && !updated_ && (!lost || *lost == sought())) {
    const std::uint64_t seen = parts_.record.changed().count();
    CO_TRY_VOID(co_await parts_.record.changed().wait_past(seen));
    for (const auto& entry : awaited())
      if (!own.contains(entry)) before.insert(entry);
  }
  co_return Result<void>();
}

/// The auction's result, or its error at the moment of a release.
Task<Result<Candidate>> Replacer::until_released(Releases before, Task<Result<Candidate>> bidding) {
  const TaskContext context = co_await this_task();
  CancelScope scope(context.scope);
  Nursery watcher(*context.lane, "releases of " + parts_.id(), context.scope);
  watcher.spawn(end_when_released(std::move(before), scope));
  bidding.set_context({context.lane, &scope});
  Result<Candidate> candidate = co_await std::move(bidding);
  co_await watcher.close();
  co_return candidate;
}

Task<void> Replacer::end_when_released(Releases before, CancelScope& bidding) {
  Releases none;
  std::optional<std::set<std::string>> nothing;
  Task<Result<void>> waiting = wait_for_release(std::move(before), std::move(none), std::move(nothing));
  const Result<void> released = co_await std::move(waiting);
  if (released) bidding.cancel(Errc::closed);
}

Task<Result<void>> Replacer::deploy(Unplaced wanted, SteadyTime deadline) {
  std::set<std::string> nothing;
  Task<Result<Candidate>> bidding = auction(wanted, deadline, std::move(nothing), {}, {});
  Result<Candidate> candidate = co_await std::move(bidding);
  shortage_.clear();
  if (!candidate) co_return std::unexpected(candidate.error());
  Task<Result<void>> running =
      provisioner_.run(std::move(wanted), std::move(*candidate), DeploymentStatus::committing, deadline);
  co_return co_await std::move(running);
}

Task<Result<void>> Replacer::find_places(jobs::Ensemble wanted) {
  const Mutex::Lock lock = co_await bidding_.lock();
  const DeploymentRecord before = parts_.record.get();
  std::set<std::string> leaving = moving_nodes(before, wanted);
  const std::set<std::string> growing = growing_nodes(before, wanted);
  if (leaving.empty() && growing.empty()) co_return Result<void>();
  std::string_view why = "the update moves it";
  DeploymentRecord updated = before;
  apply_update(updated, wanted);
  CO_TRY(const std::unique_ptr<Auction> auction, open_auction());
  if (!growing.empty()) {
    jobs::Ensemble part = part_of(updated, unplaced_of(updated, growing));
    for (auto& [name, node] : part.nodes) node.peer = before.manifest.nodes.at(name).peer;
    auction->join(neighbours(updated, part));
    const std::set<std::string> barred(before.barred.begin(), before.barred.end());
    const Auction::Peers left_out = [&barred] { return barred; };
    Task<Result<Candidate>> asking = auction->run(std::move(part), parts_.now() + kBidRound + 1s, left_out);
    const Result<Candidate> kept = co_await std::move(asking);
    if (!kept && !kept.error().is(Errc::deadline_exceeded)) co_return std::unexpected(kept.error());
    if (!kept) {
      const std::set<std::string> refused = auction->missing();
      const auto is_pinned = [&](const std::string& name) { return !wanted.nodes.at(name).peer.empty(); };
      if (std::ranges::any_of(refused, is_pinned))
        co_return nothing_changed(kept.error(), refused, "the update asks for more there");
      why = leaving.empty() ? "the update asks for more there" : "the update moves it or asks for more there";
      for (const std::string& name : refused) supersede_node(updated, name, false);
      leaving.insert(refused.begin(), refused.end());
    }
  }
  const Unplaced displaced = unplaced_of(updated, leaving);
  if (displaced.empty()) co_return Result<void>();
  DeploymentRecord stays = before;
  std::erase_if(stays.manifest.nodes,
                [&](const auto& pair) { return leaving.contains(pair.first) || !wanted.nodes.contains(pair.first); });
  std::set<std::string> taken = occupied(stays, displaced);
  const Auction::Peers excluded = [&taken] { return taken; };
  jobs::Ensemble part = part_of(updated, displaced);
  auction->join(neighbours(updated, part));
  Task<Result<Candidate>> running = auction->run(std::move(part), parts_.now() + kBidRound + 1s, excluded);
  const Result<Candidate> found = co_await std::move(running);
  if (found) co_return Result<void>();
  if (!found.error().is(Errc::deadline_exceeded)) co_return std::unexpected(found.error());
  std::set<std::string> nodes;
  for (const auto& [node, allocations] : displaced) nodes.insert(node);
  std::string whole_why(why);
  add_reason(whole_why, taken_until_released(before, wanted, auction->missing(), leaving));
  co_return nothing_changed(found.error(), nodes, whole_why);
}

bool Replacer::replaces() const {
  const DeploymentStatus status = parts_.record->status;
  return status == DeploymentStatus::provisioning || status == DeploymentStatus::running;
}

Task<Result<void>> Replacer::idle() {
  while (running_) {
    const std::uint64_t seen = parts_.record.changed().count();
    CO_TRY_VOID(co_await parts_.record.changed().wait_past(seen));
  }
  co_return Result<void>();
}

void Replacer::on_run_lost(const std::string& allocation, const std::string& run, const std::string& reason) {
  Wait& wait = waits_[allocation];
  if (wait.run == run) return;
  wait.run = run;
  wait.until = pauses_.next(allocation, parts_.now());
  wait.reason = reason;
}

void Replacer::on_update() {
  pauses_ = Pauses();
  waits_.clear();
  updated_ = running_;
  parts_.record.changed().raise();
}

void Replacer::begin() {
  if (!all_wanted().empty() && !std::exchange(running_, true)) work_.spawn(run());
}

Task<void> Replacer::run() {
  Duration pause = kReplacePause;
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    const Unplaced missing = all_wanted();
    if (missing.empty() || !replaces()) break;
    if (std::exchange(updated_, false)) pause = kReplacePause;
    std::optional<std::set<std::string>> lost = sought();
    tried_ = awaited();
    Result<void> placed;
    std::map<std::string, std::string> troubles;
    bool tried = false;
    for (const auto& [node, allocations] : missing) {
      if (is_blocked(record_without(sought()), node)) continue;
      tried = true;
      Result<void> outcome = co_await place_node(node);
      if (!outcome) {
        troubles[node] = network::plain(outcome.error());
        placed = outcome;
      }
      if (!placed && is_outdated()) break;  // a node before this one may find a machine now
    }
    if (!placed && placed.error().is(Errc::cancelled)) break;
    if (!placed && is_outdated()) continue;
    Result<void> waited;
    if (!tried) {
      waited = co_await parts_.record.changed().wait_past(seen);
    } else if (!placed) {
      co_await report(std::move(troubles));
      Releases own = awaited();  // of these attempts: their release brings nothing new
      std::erase_if(own, [&](const auto& entry) { return tried_.contains(entry); });
      Releases before = tried_;
      Task<Result<void>> releasing = wait_for_release(std::move(before), std::move(own), std::move(lost));
      waited = co_await with_timeout(pause, std::move(releasing));
      if (!waited && waited.error().is(Errc::deadline_exceeded)) waited = Result<void>();
      pause = std::min(2 * pause, kMaxReplacePause);
    } else {
      pause = kReplacePause;
      if (!parts_.record->error.empty()) co_await report(std::move(troubles));
    }
    if (!waited) break;
  }
  running_ = updated_ = false;
  tried_.clear();
  parts_.record.changed().raise();
}

Task<Result<void>> Replacer::place_node(std::string node) {
  Unplaced wanted = all_wanted();
  std::erase_if(wanted, [&](const auto& pair) { return pair.first != node; });
  if (wanted.empty()) co_return Result<void>();
  const bool lost = sought().contains(node);
  // No bid of it would count, which is no reason to move what runs there.
  const NodeManifest* placed = parts_.node(node);
  const bool barred = placed != nullptr && is_barred(parts_.record.get(), placed->peer);
  if (!lost && !barred && placed != nullptr && backoff_.excluded(parts_.now(), {placed->peer}).contains(placed->peer))
    co_return fail(Errc::limit_exceeded, "node {} waits: a request to its machine has just failed", node);
  for (const std::string& name : wanted.at(node))
    if (const auto wait = waits_.find(name); wait != waits_.end() && wait->second.until > parts_.now())
      co_return fail(Errc::limit_exceeded, "node {} waits, as {} is lost again and again: {}", node, name,
                     wait->second.reason);
  if (lost && has_standby(parts_.record.get(), node)) {
    Task<Result<void>> leaving = use_standby(node, true);
    co_return co_await std::move(leaving);
  }
  if (lost || barred) {
    Task<Result<void>> moving = move_node(node, wanted);
    co_return co_await std::move(moving);
  }
  Task<Result<Candidate>> bidding = find_machine(node, wanted);
  Result<Candidate> candidate = co_await std::move(bidding);
  if (candidate) {
    Task<Result<void>> committing = commit(node, wanted, std::move(*candidate), parts_.now() + 1min);
    co_return co_await std::move(committing);
  }
  if (candidate.error().is(Errc::deadline_exceeded) && parts_.node(node) == nullptr &&
      has_standby(parts_.record.get(), node)) {
    Task<Result<void>> standing_in = use_standby(node, false);
    co_return co_await std::move(standing_in);
  }
  const auto spec = parts_.record->ensemble.nodes.find(node);
  const bool in_part = parts_.node(node) != nullptr && spec != parts_.record->ensemble.nodes.end();
  if (in_part && candidate.error().is(Errc::deadline_exceeded) && spec->second.peer.empty() &&
      !is_collecting(parts_.record.get(), node)) {
    Task<Result<void>> moving = move_node(node, wanted);
    co_return co_await std::move(moving);
  }
  co_return std::unexpected(candidate.error());
}

Task<Result<Candidate>> Replacer::find_machine(std::string node, Unplaced wanted) {
  const std::optional<NodeRestart> restart = restart_of(parts_.record.get(), node);
  const bool is_open = parts_.node(node) == nullptr && !is_pinned(parts_.record.get(), node);
  if (restart && is_open && !restart->machine.empty() && !is_barred(parts_.record.get(), restart->machine)) {
    std::set<std::string> nothing;
    std::string only = restart->elsewhere ? "" : restart->machine;
    std::string avoided = restart->elsewhere ? restart->machine : "";
    Task<Result<Candidate>> preferring =
        auction(wanted, std::nullopt, std::move(nothing), std::move(only), std::move(avoided));
    Result<Candidate> candidate = co_await std::move(preferring);
    if (candidate || !candidate.error().is(Errc::deadline_exceeded)) co_return candidate;
    log::info("orchestrator", "{}: node {}: {} {}", parts_.id(), node,
              restart->elsewhere ? "no other machine takes it, and it may be started again on" : "it leaves",
              restart->machine);
  }
  std::set<std::string> nothing;
  Task<Result<Candidate>> bidding = auction(std::move(wanted), std::nullopt, std::move(nothing), {}, {});
  co_return co_await std::move(bidding);
}

Task<Result<void>> Replacer::use_standby(std::string node, bool lost) {
  const Mutex::Lock lock = co_await changing_.lock();
  const auto change = [&](DeploymentRecord& record) {
    if (record.status != DeploymentStatus::running || !has_standby(record, node)) return;
    // use_standbys() does the rest.
    if (lost && sought().contains(node)) supersede_node(record, node, false);
    const Unplaced wanted = unplaced(record);
    if (!lost && wanted.contains(node)) (void)stand_in(record, node);
  };
  co_return co_await parts_.record.update_until_stored(change);
}

/// What runs of the node is stopped only for a machine that has bid for all of it.
Task<Result<void>> Replacer::move_node(std::string node, Unplaced wanted) {
  if (!is_wanted_still(node, wanted)) co_return Result<void>();
  const bool lost = sought().contains(node);
  std::set<std::string> moving;
  moving.insert(node);
  Unplaced whole = unplaced(record_without(moving));
  std::erase_if(whole, [&](const auto& pair) { return pair.first != node; });
  Task<Result<Candidate>> bidding = auction(whole, std::nullopt, std::move(moving), {}, {});
  Result<Candidate> candidate = co_await std::move(bidding);
  if (!candidate && candidate.error().is(Errc::deadline_exceeded) && lost)
    co_return fail(candidate.error(),
                   "the machine of node {} is lost, and no other one takes it yet; it goes on there if that machine "
                   "answers before",
                   node);
  if (!candidate && candidate.error().is(Errc::deadline_exceeded))
    co_return fail(
        candidate.error(),
        "the machine of node {} does not take {}, and no other machine takes the whole node; what runs of it "
        "goes on there",
        node, few_of(wanted.at(node)));
  if (!candidate) co_return std::unexpected(candidate.error());
  {
    const Mutex::Lock lock = co_await changing_.lock();
    if (!is_wanted_still(node, wanted)) co_return Result<void>();
    bool moved = false;
    const auto move = [&](DeploymentRecord& record) {
      const bool may_move = lost ? sought().contains(node) : !is_collecting(record, node);
      moved = !is_final(record.status) && may_move;
      if (!moved) return;
      supersede_node(record, node, on_loss(record.ensemble, node) == jobs::OnLoss::exclusive);
      if (!lost) excuse_move(record, node);
    };
    CO_TRY_VOID(co_await parts_.record.update_until_stored(move));
    if (!moved && lost) co_return Result<void>();  // its machine has answered
    if (!moved)
      co_return fail(Errc::limit_exceeded, "node {} waits: the output of what has ended there is fetched", node);
  }
  Task<Result<void>> committing = commit(node, whole, std::move(*candidate), parts_.now() + 1min);
  co_return co_await std::move(committing);
}

bool Replacer::is_wanted_still(const std::string& node, const Unplaced& wanted) const {
  const DeploymentRecord record = record_without(sought());
  const Unplaced now_wanted = unplaced(record);
  const auto still = now_wanted.find(node);
  return replaces() && !updated_ && still != now_wanted.end() && still->second == wanted.at(node) &&
         !is_blocked(record, node);
}

Task<Result<void>> Replacer::commit(std::string node, Unplaced wanted, Candidate candidate, SteadyTime deadline) {
  const Mutex::Lock lock = co_await changing_.lock();
  if (!is_wanted_still(node, wanted)) co_return Result<void>();  // changed meanwhile: the next look decides
  Task<Result<void>> running = provisioner_.run(wanted, std::move(candidate), std::nullopt, deadline);
  const Result<void> done = co_await std::move(running);
  if (done || done.error().is(Errc::cancelled)) co_return done;
  if (!failed_provider().empty()) backoff_.failed(failed_provider(), parts_.now());
  log::info("orchestrator", "{}: {}", parts_.id(), done.error().to_string());
  const auto undo = [&](DeploymentRecord& record) {
    if (record.manifest.nodes.contains(node)) supersede(record, node, wanted.at(node));
  };
  CO_TRY_VOID(co_await parts_.record.update_until_stored(undo));
  co_return done;
}

/// Of what goes on where it is if its machine answers, the status of the deployment says nothing.
Task<void> Replacer::report(std::map<std::string, std::string> troubles) {
  const Unplaced wanted = all_wanted();  // the machine of others has answered meanwhile
  std::erase_if(troubles, [&wanted](const auto& trouble) { return !wanted.contains(trouble.first); });
  std::string all;
  const std::set<std::string> lost = sought();
  for (const auto& [node, trouble] : troubles)
    if (!lost.contains(node)) add_reason(all, trouble);
  if (!replaces()) co_return;
  if (troubles.empty() && parts_.record->error.empty()) co_return;
  if (!all.empty() && parts_.record->error != all) log::warn("orchestrator", "{}: {}", parts_.id(), all);
  const auto change = [&](DeploymentRecord& record) {
    record.error = all;
    for (const auto& [node, allocations] : all_wanted())
      if (const auto trouble = troubles.find(node); trouble != troubles.end())
        for (const std::string& name : allocations)
          if (const auto entry = record.manifest.allocations.find(name); entry != record.manifest.allocations.end())
            entry->second.reason = trouble->second;
  };
  (void)co_await parts_.record.update(change);
}

}  // namespace dms::orchestrator
