#include "orchestrator/supervision/liveness.hpp"

namespace dms::orchestrator {

bool Liveness::Peer::count(const Result<Duration>& reply, SteadyTime due, SteadyTime now) {
  answers = reply.has_value();
  if (answers)
    missed = 0;
  else if (now <= due + kLateTimer)
    ++missed;
  if (!answers) error = network::plain(reply.error());
  return missed >= kLostAfter;
}

Task<Result<bool>> Liveness::ping(std::string peer) {
  CO_TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
  const TaskContext context = co_await this_task();
  const SteadyTime due = context.lane->now() + kPingTimeout;
  const Result<Duration> reply = co_await with_timeout(kPingTimeout, network_.ping(id));
  if (!reply && reply.error().is(Errc::cancelled)) co_return std::unexpected(reply.error());
  co_return peers_[peer].count(reply, due, context.lane->now());
}

Task<void> Liveness::watch(crypto::PeerId peer, CancelScope& call) {
  const TaskContext context = co_await this_task();
  for (Peer watched;;) {
    const Result<void> slept = co_await sleep_for(kPingInterval);
    if (!slept) co_return;
    const SteadyTime due = context.lane->now() + kPingTimeout;
    const Result<Duration> reply = co_await with_timeout(kPingTimeout, network_.ping(peer));
    if (watched.count(reply, due, context.lane->now())) break;
  }
  call.cancel(Errc::closed);
}

Task<void> Liveness::ask(crypto::PeerId peer, Nursery& others, bool& answered) {
  const Result<Duration> reply = co_await with_timeout(kReachTimeout, network_.ping(peer));
  if (!reply) co_return;
  answered = true;
  others.cancel();
}

Task<bool> Liveness::reaches_another(std::string peer) {
  const TaskContext context = co_await this_task();
  Nursery asked(*context.lane, "peers other than " + peer, context.scope);
  bool answered = false;
  std::size_t count = 0;
  for (const crypto::PeerId& other : network_.peers())
    if (other.to_string() != peer && count++ < kMaxAsked) asked.spawn(ask(other, asked, answered));
  co_await asked.join();
  co_return answered;
}

bool Liveness::note_timer(SteadyTime due, SteadyTime now) {
  if (now <= due + kLateTimer) return false;
  suspect_itself(now);
  return true;
}

Task<bool> Liveness::is_own_fault(std::string peer) {
  const TaskContext context = co_await this_task();
  if (context.lane->now() < suspects_itself_until_) co_return true;
  Task<bool> asking = reaches_another(std::move(peer));
  const bool reached = co_await std::move(asking);
  co_return !reached || context.lane->now() < suspects_itself_until_;
}

}  // namespace dms::orchestrator
