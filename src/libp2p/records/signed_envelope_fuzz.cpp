// Any bytes as a signed envelope: what is accepted is accepted again after encoding, with the same content.
#include <cstdlib>

#include "libp2p/records/peer_record.hpp"
#include "libp2p/records/signed_envelope.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dms::libp2p::PeerRecord;
  using dms::libp2p::SignedEnvelope;
  const auto open = [](dms::BytesView message) {
    return SignedEnvelope::open(message, PeerRecord::kDomain, PeerRecord::kType);
  };
  const auto envelope = open(dms::BytesView(data, size));
  if (!envelope) return 0;
  const auto again = open(envelope->marshal());
  if (!again || again->payload() != envelope->payload() || again->signer() != envelope->signer()) std::abort();
  return 0;
}
