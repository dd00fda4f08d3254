#include "link/pipe.hpp"

#include <algorithm>

namespace dms::testnet {
namespace {

bool happens(double probability, Random& random) {
  constexpr std::uint64_t kSteps = 1ULL << 53;
  return static_cast<double>(random.below(kSteps)) < probability * static_cast<double>(kSteps);
}

}  // namespace

Pipe::Passage Pipe::send(const Quality& quality, std::size_t size, SteadyTime now, Random& random) {
  SteadyTime sent = now;
  if (quality.bits_per_second != 0) {
    const double nanos_per_byte = 8e9 / static_cast<double>(quality.bits_per_second);
    const double waiting = static_cast<double>(std::max(free_ - now, Duration(0)).count()) / nanos_per_byte;
    if (waiting > static_cast<double>(quality.queue)) return {Fate::overflows, {}};
    sent = std::max(free_, now) + Duration(static_cast<std::int64_t>(nanos_per_byte * static_cast<double>(size)));
    free_ = sent;
  }
  if (quality.loss > 0 && happens(quality.loss, random)) return {Fate::lost, {}};
  Duration jitter{0};
  if (quality.jitter > Duration(0))
    jitter = Duration(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(quality.jitter.count()) + 1)));
  last_arrival_ = std::max(last_arrival_, sent + quality.delay + jitter);
  return {Fate::arrives, last_arrival_};
}

}  // namespace dms::testnet
