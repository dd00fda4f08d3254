// Bids and bid requests from the network: an accepted one round-trips.
#include <cstdlib>

#include "protocol/bid.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto bid = json::decode<protocol::Bid>(text)) {
    const auto again = json::decode<protocol::Bid>(json::encode(*bid));
    if (!again || again->ensemble_id != bid->ensemble_id || again->peer != bid->peer) std::abort();
    (void)bid->verify();
    if (bid->by_node().size() > protocol::kMaxAlso + 1) std::abort();
  }
  if (const auto request = json::decode<protocol::EnsembleBidRequest>(text)) {
    const auto again = json::decode<protocol::EnsembleBidRequest>(json::encode(*request));
    if (!again || again->id != request->id || again->request.size() != request->request.size()) std::abort();
  }
  return 0;
}
