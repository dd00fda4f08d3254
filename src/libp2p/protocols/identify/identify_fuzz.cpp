// Any bytes as an identify message: limits hold, and what is accepted round-trips.
#include <cstdlib>

#include "libp2p/protocols/identify/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dms::libp2p::IdentifyInfo;
  IdentifyInfo info;
  if (!info.merge(dms::BytesView(data, size))) return 0;
  if (info.listen_addresses.size() > IdentifyInfo::kMaxAddresses || info.protocols.size() > IdentifyInfo::kMaxProtocols)
    std::abort();
  IdentifyInfo back;
  if (!back.merge(info.encode())) std::abort();
  if (back.protocols != info.protocols || back.listen_addresses != info.listen_addresses) std::abort();
  if (back.agent_version != info.agent_version || back.observed_address != info.observed_address) std::abort();
  if (back.signed_record != info.signed_record) std::abort();
  return 0;
}
