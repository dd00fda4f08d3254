// A scenario that is read is within its bounds and is written as one that is read back unchanged: what a run keeps replays it.
#include "sim/scenario/scenario.hpp"

#include <cstdlib>

#include "base/bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dms::sim::Scenario;
  const auto read = Scenario::parse(dms::as_text({data, size}));
  if (!read) return 0;
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  const bool bounded = read->providers > 0 && read->users > 0 && read->deployments > 0 && is_share(read->loss) &&
                       is_share(read->reach) && is_share(read->dishonest) && read->duration >= dms::Duration(0) &&
                       read->shortest_outage <= read->longest_outage;
  if (!bounded) std::abort();
  const auto again = Scenario::parse(read->to_yaml());
  if (!again || !(*again == *read)) std::abort();
  return 0;
}
