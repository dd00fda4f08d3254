#include "libp2p/protocols/gossipsub/peer_budgets.hpp"

#include <algorithm>
#include <vector>

namespace dms::libp2p {

void PeerBudgets::refill(Record& record, SteadyTime now) const {
  const double seconds = std::chrono::duration<double>(now - record.filled).count();
  record.bytes = std::min(options_.burst_bytes, record.bytes + seconds * options_.bytes_per_second);
  record.checks = std::min(options_.burst_checks, record.checks + seconds * options_.checks_per_second);
  record.filled = now;
}

PeerBudgets::Record& PeerBudgets::refilled(const crypto::PeerId& peer, SteadyTime now) {
  Record& record = records_.try_emplace(peer, Record{options_.burst_bytes, options_.burst_checks, now}).first->second;
  refill(record, now);
  return record;
}

Duration PeerBudgets::take_bytes(const crypto::PeerId& peer, std::size_t bytes, SteadyTime now) {
  Record& record = refilled(peer, now);
  record.bytes -= static_cast<double>(bytes);
  if (record.bytes >= 0) return {};
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(-record.bytes / options_.bytes_per_second));
}

bool PeerBudgets::take_check(const crypto::PeerId& peer, SteadyTime now) {
  Record& record = refilled(peer, now);
  if (record.checks < 1) return false;
  record.checks -= 1;
  return true;
}

void PeerBudgets::blame(const crypto::PeerId& peer, SteadyTime now) {
  Record& record = refilled(peer, now);
  if (++record.blame < options_.max_blame) return;
  record.banned_until = now + options_.ban_time;
  record.blame = options_.max_blame / 2;  // after the ban, half of the allowance is used up
}

bool PeerBudgets::banned(const crypto::PeerId& peer, SteadyTime now) const {
  const auto it = records_.find(peer);
  return it != records_.end() && now < it->second.banned_until;
}

void PeerBudgets::forgive(SteadyTime now) {
  for (auto& [peer, record] : records_)
    if (record.blame > 0 && now >= record.banned_until) --record.blame;
}

void PeerBudgets::tidy(SteadyTime now) {
  std::erase_if(records_, [&](const auto& entry) {
    Record record = entry.second;
    refill(record, now);
    return record.blame == 0 && now >= record.banned_until && record.bytes >= options_.burst_bytes &&
           record.checks >= options_.burst_checks;
  });
  if (records_.size() <= options_.max_records) return;
  std::vector<std::pair<std::pair<SteadyTime, std::size_t>, crypto::PeerId>> order;
  for (const auto& [peer, record] : records_) order.push_back({{record.banned_until, record.blame}, peer});
  std::ranges::sort(order);
  order.resize(records_.size() - options_.max_records);
  for (const auto& [key, peer] : order) records_.erase(peer);
}

}  // namespace dms::libp2p
