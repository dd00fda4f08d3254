#include "provider/housekeeping.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace dms::provider {

Task<void> Housekeeping::sweep_expired() {
  for (;;) {
    const Result<void> slept = co_await sleep_for(kSweepInterval);
    if (!slept) co_return;
    bids_.sweep();
    co_await reservations_.sweep();
    co_await allocations_.sweep();
  }
}

Task<void> Housekeeping::reconnect() {
  for (;;) {
    const Result<void> slept = co_await sleep_for(kReconnectInterval);
    if (!slept) co_return;
    const std::map<std::string, std::set<did::Did>> orchestrators = allocations_.orchestrators();
    if (orchestrators.empty()) continue;
    const std::vector<crypto::PeerId> connected = services_.network.peers();
    const std::set<did::Did> silent = allocations_.leases().silent_owners();
    for (const auto& [host, owners] : orchestrators) {
      const Result<crypto::PeerId> peer = crypto::PeerId::parse(host);
      if (!peer) continue;
      const bool lost = std::ranges::find(connected, *peer) == connected.end();
      const bool is_silent = std::ranges::any_of(owners, [&](const did::Did& owner) { return silent.contains(owner); });
      if (lost || is_silent) co_await contact(*peer, owners, lost);
    }
  }
}

Task<void> Housekeeping::contact(crypto::PeerId peer, std::set<did::Did> owners, bool was_lost) {
  if (peer != services_.network.self()) {
    const Result<Duration> answer = co_await with_timeout(kReconnectTimeout, services_.network.ping(peer));
    if (!answer) co_return;
    if (was_lost) log::info("provider", "orchestrator {} is reachable again", peer.to_string());
  }
  for (const did::Did& owner : owners) co_await allocations_.heard_from(owner);
}

}  // namespace dms::provider
