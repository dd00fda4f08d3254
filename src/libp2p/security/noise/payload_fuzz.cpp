// Any bytes as the payload of a handshake: what is accepted round-trips.
#include <cstdlib>

#include "libp2p/security/noise/payload.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dms::libp2p::noise::Payload;
  auto payload = Payload::decode(dms::BytesView(data, size));
  if (!payload) return 0;
  auto back = Payload::decode(payload->encode());
  if (!back || back->identity_key != payload->identity_key || back->muxers != payload->muxers) std::abort();
  (void)payload->verify(dms::Bytes(32, 1));
  return 0;
}
