#include "orchestrator/deployment/replacer.hpp"

#include "base/log.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<Result<Candidate>> Replacer::auction(Unplaced wanted, SteadyTime deadline) {
  CO_TRY(const std::unique_ptr<Auction> auction, Auction::open(parts_.actor, parts_.id()));
  jobs::Ensemble part = part_of(parts_.record.get(), wanted);
  std::set<std::string> pinned;
  for (const auto& [name, node] : part.nodes) pinned.insert(node.peer);
  const auto excluded = [this, &wanted, &pinned] {
    std::set<std::string> peers = occupied(parts_.record.get(), wanted);
    peers.merge(backoff_.excluded(parts_.now(), pinned));
    return peers;
  };
  const Auction::Peers ask = excluded;
  Task<Result<Candidate>> running = auction->run(std::move(part), deadline, ask);
  co_return co_await std::move(running);
}

Task<Result<void>> Replacer::deploy(Unplaced wanted, SteadyTime deadline) {
  CO_TRY(Candidate candidate, co_await auction(wanted, deadline));
  Task<Result<void>> running =
      provisioner_.run(std::move(wanted), std::move(candidate), DeploymentStatus::committing, deadline);
  co_return co_await std::move(running);
}

void Replacer::begin() {
  if (!std::exchange(running_, true)) work_.spawn(run());
}

Task<void> Replacer::run() {
  Duration pause = kReplacePause;
  for (;;) {
    const std::uint64_t seen = parts_.record.changed().count();
    const Unplaced wanted = unplaced(parts_.record.get());
    if (wanted.empty()) break;
    Result<void> placed;
    bool tried = false;
    for (const auto& [node, allocations] : wanted) {
      if (is_blocked(parts_.record.get(), node)) continue;
      tried = true;
      Result<void> outcome = co_await place_node(node);
      if (!outcome) placed = outcome;
    }
    if (!placed && placed.error().is(Errc::cancelled)) break;
    Result<void> waited;
    if (!tried) {
      waited = co_await parts_.record.changed().wait_past(seen);
    } else if (!placed) {
      co_await report(placed.error().to_string());
      waited = co_await sleep_for(pause);
      pause = std::min(2 * pause, kMaxReplacePause);
    } else {
      pause = kReplacePause;
      if (!parts_.record->error.empty()) co_await report("");
    }
    if (!waited) break;
  }
  running_ = false;
}

Task<Result<void>> Replacer::place_node(std::string node) {
  Unplaced wanted = unplaced(parts_.record.get());
  std::erase_if(wanted, [&](const auto& pair) { return pair.first != node; });
  if (wanted.empty()) co_return Result<void>();
  // No bid of it would count, which is no reason to move what runs there.
  const NodeManifest* placed = parts_.node(node);
  if (placed != nullptr && backoff_.excluded(parts_.now(), {placed->peer}).contains(placed->peer))
    co_return fail(Errc::limit_exceeded, "node {} waits: a request to its machine has just failed", node);
  // One round, and what the requests after it may take.
  const SteadyTime deadline = parts_.now() + kBidRound + 1s;
  Result<Candidate> candidate = co_await auction(wanted, deadline);
  if (candidate) {
    Task<Result<void>> committing = commit(node, wanted, std::move(*candidate), parts_.now() + 1min);
    co_return co_await std::move(committing);
  }
  const auto spec = parts_.record->ensemble.nodes.find(node);
  const bool in_part = parts_.node(node) != nullptr && spec != parts_.record->ensemble.nodes.end();
  if (in_part && candidate.error().is(Errc::deadline_exceeded) && spec->second.peer.empty()) {
    const auto move = [&](DeploymentRecord& record) {
      if (is_collecting(record, node)) return;
      supersede_node(record, node, on_loss(record.ensemble, node) == jobs::OnLoss::exclusive);
    };
    CO_TRY_VOID(co_await parts_.record.update_until_stored(move));
  }
  co_return std::unexpected(candidate.error());
}

Task<Result<void>> Replacer::commit(std::string node, Unplaced wanted, Candidate candidate, SteadyTime deadline) {
  const Mutex::Lock lock = co_await changing_.lock();
  const Unplaced now_wanted = unplaced(parts_.record.get());
  const auto still = now_wanted.find(node);
  if (still == now_wanted.end() || still->second != wanted.at(node) || is_blocked(parts_.record.get(), node))
    co_return Result<void>();  // changed meanwhile: the next look decides
  Task<Result<void>> running = provisioner_.run(wanted, std::move(candidate), DeploymentStatus::running, deadline);
  const Result<void> done = co_await std::move(running);
  if (done || done.error().is(Errc::cancelled)) co_return done;
  if (!failed_provider().empty()) backoff_.failed(failed_provider(), parts_.now());
  const auto undo = [&](DeploymentRecord& record) {
    if (record.manifest.nodes.contains(node)) supersede(record, node, wanted.at(node));
  };
  CO_TRY_VOID(co_await parts_.record.update_until_stored(undo));
  co_return done;
}

Task<void> Replacer::report(std::string trouble) {
  if (parts_.record->error == trouble || is_final(parts_.record->status)) co_return;
  if (!trouble.empty()) log::warn("orchestrator", "{}: {}", parts_.id(), trouble);
  const auto change = [&trouble](DeploymentRecord& record) { record.error = trouble; };
  (void)co_await parts_.record.update(change);
}

}  // namespace dms::orchestrator
