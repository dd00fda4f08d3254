#include "orchestrator/supervision/liveness.hpp"

namespace dms::orchestrator {

Task<Result<bool>> Liveness::ping(std::string peer) {
  CO_TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
  const Result<Duration> reply = co_await with_timeout(kPingTimeout, network_.ping(id));
  if (!reply && reply.error().is(Errc::cancelled)) co_return std::unexpected(reply.error());
  Peer& known = peers_[peer];
  if (reply) {
    known.missed = 0;
    co_return false;
  }
  known.error = reply.error().to_string();
  co_return ++known.missed >= kLostAfter;
}

Task<void> Liveness::watch(crypto::PeerId peer, CancelScope& call) {
  for (int missed = 0; missed < kLostAfter;) {
    const Result<void> slept = co_await sleep_for(kPingInterval);
    if (!slept) co_return;
    const Result<Duration> reply = co_await with_timeout(kPingTimeout, network_.ping(peer));
    missed = reply ? 0 : missed + 1;
  }
  call.cancel(Errc::closed);
}

}  // namespace dms::orchestrator
