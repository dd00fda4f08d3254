#include "orchestrator/matching/matcher.hpp"

#include <cmath>

namespace dms::orchestrator {

using namespace protocol;
namespace {

double free_share(double free, double used) { return free <= 0 ? 0.0 : (free - used) / free; }

}  // namespace

std::optional<double> score(const capability::Resources& required, const std::optional<Offer>& offer) {
  if (!offer) return kUnknownOfferScore;
  if (!capability::covers(offer->free, required)) return std::nullopt;
  const double cpu = free_share(offer->free.cpu.cores.cores(), required.cpu.cores.cores());
  const double ram =
      free_share(static_cast<double>(offer->free.ram.size.bytes), static_cast<double>(required.ram.size.bytes));
  return 20.0 - (std::pow(10.0, cpu) + std::pow(10.0, ram));
}

std::optional<std::size_t> best_match(const capability::Resources& required, const std::vector<Bid>& bids) {
  std::optional<std::size_t> best;
  double best_score = 0;
  for (std::size_t i = 0; i < bids.size(); ++i) {
    const auto current = score(required, bids[i].offer);
    if (!current) continue;
    if (!best || *current > best_score || (*current == best_score && bids[i].peer < bids[*best].peer)) {
      best = i;
      best_score = *current;
    }
  }
  return best;
}

}  // namespace dms::orchestrator
