#include "provider/prices.hpp"

#include <algorithm>

#include "protocol/bid.hpp"

namespace dms::provider {
namespace {

using Wide = unsigned __int128;

Wide part(std::uint64_t price, std::uint64_t amount, std::uint64_t unit) {
  return (static_cast<Wide>(price) * amount + unit - 1) / unit;
}

}  // namespace

std::uint64_t Prices::of(const capability::Resources& asked) const {
  const Wide sum = Wide{node} + part(core, asked.cpu.cores.millis, 1000) +
                   part(memory, asked.ram.size.bytes, capability::kGiB) +
                   part(disk, asked.disk.size.bytes, capability::kGiB);
  return static_cast<std::uint64_t>(std::min(sum, Wide{protocol::kMaxPrice}));
}

}  // namespace dms::provider
