#include "orchestrator/supervision/heartbeats.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/log.hpp"

namespace dms::orchestrator {

Heartbeats::Watch::Watch(Heartbeats& heartbeats, const std::string& peer, Signal& told)
    : heartbeats_(heartbeats), beat_(heartbeats.join(peer)), told_(told) {
  heartbeats.heard(beat_);
  beat_.watches.insert(this);
}

Heartbeats::Beat& Heartbeats::join(const std::string& peer) {
  const auto [found, is_new] = beats_.try_emplace(peer);
  if (is_new) nursery_.spawn(ask(peer, found->second));
  return found->second;
}

/// Until nobody watches the machine any more.
Task<void> Heartbeats::ask(std::string peer, Beat& beat) {
  while (!beat.watches.empty()) {
    const SteadyTime begun = lane_.now();
    const SteadyTime until = std::max(begun + kBeatAnswer, beat.heard + kGoneAfter);
    std::optional<ScopedTimer> late(std::in_place, lane_, begun + kBeatAnswer, [&beat] { misses(beat); });
    Task<Result<Duration>> pinging = ping(peer, beat.sign == Sign::missing && begun < beat.heard + kGoneAfter);
    const Result<Duration> answer = co_await with_deadline(until, std::move(pinging));
    late.reset();
    if (nursery_.cancelled()) co_return;
    if (beat.watches.empty()) break;
    if (answer) {
      answers(beat);
    } else if (lane_.now() > until + kLateBeat) {
      beat.heard = lane_.now();
    } else {
      beat.error = network::plain(answer.error());
      misses(beat);
      Task<void> judging = judge(peer, beat);
      co_await std::move(judging);
    }
    const SteadyTime due = next(beat, begun);
    const Result<void> slept = co_await sleep_until(due);
    if (!slept) co_return;
    if (lane_.now() > due + kLateBeat) beat.heard = lane_.now();
  }
  beats_.erase(peer);
}

Task<Result<Duration>> Heartbeats::ping(std::string peer, bool dials) {
  CO_TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
  std::vector<Task<Result<void>>> connecting;
  if (dials)
    for (std::string& address : network_.addresses_of(id)) connecting.push_back(network_.connect(std::move(address)));
  if (!connecting.empty()) (void)co_await when_all(std::move(connecting));
  Task<Result<Duration>> pinging = network_.ping(id);
  co_return co_await std::move(pinging);
}

void Heartbeats::heard(Beat& beat) {
  beat.heard = lane_.now();
  if (beat.sign != Sign::answers) tell(beat, Sign::answers);
}

void Heartbeats::answers(Beat& beat) {
  beat.answered = lane_.now();
  heard(beat);
}

void Heartbeats::misses(Beat& beat) {
  if (beat.sign == Sign::answers) tell(beat, Sign::missing);
}

Task<void> Heartbeats::judge(std::string peer, Beat& beat) {
  const SteadyTime now = lane_.now();
  if (beat.sign == Sign::gone || now < beat.heard + kGoneAfter || now < suspects_itself_until_) co_return;
  Task<bool> asking = liveness_.reaches_another(peer);
  const bool reached = co_await std::move(asking);
  if (nursery_.cancelled() || lane_.now() < beat.heard + kGoneAfter) co_return;
  if (reached) {
    tell(beat, Sign::gone);
    co_return;
  }
  suspects_itself_until_ = lane_.now() + kSelfSuspicion;
  log::info("orchestrator",
            "provider {} answers no pings, and no other peer answers this node either; for {} s no machine is declared "
            "lost for that",
            peer, kSelfSuspicion / 1s);
}

void Heartbeats::tell(Beat& beat, Sign sign) {
  beat.sign = sign;
  for (const Watch* watch : beat.watches) watch->told_.raise();
}

SteadyTime Heartbeats::next(const Beat& beat, SteadyTime begun) const {
  const SteadyTime now = lane_.now();
  if (beat.sign == Sign::answers) return std::max(now, begun + kBeat);
  const SteadyTime gone = beat.heard + kGoneAfter;
  if (beat.sign == Sign::gone || now >= gone) return now + kSuspectedRenewal;
  return std::max(now, std::min(begun + kBeatAgain, gone));
}

}  // namespace dms::orchestrator
