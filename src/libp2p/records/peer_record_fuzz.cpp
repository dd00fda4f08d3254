// Any bytes as a peer record: limits hold, and what is accepted round-trips.
#include <cstdlib>

#include "libp2p/records/peer_record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dms::libp2p::PeerRecord;
  const auto record = PeerRecord::decode(dms::BytesView(data, size));
  if (!record) return 0;
  if (record->peer.empty() || record->addresses.size() > PeerRecord::kMaxAddresses) std::abort();
  const auto again = PeerRecord::decode(record->encode());
  if (!again || *again != *record) std::abort();
  return 0;
}
