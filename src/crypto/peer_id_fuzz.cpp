// A peer id that parses, as text or as bytes, is the same after a round trip through each of its forms.
#include <cstdlib>

#include "crypto/peer_id.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::crypto;
  for (const auto& id : {PeerId::parse(dms::as_text({data, size})), PeerId::from_bytes({data, size})}) {
    if (!id) continue;
    if (id->empty() || PeerId::parse(id->to_string()).value() != *id || PeerId::parse(id->to_cid()).value() != *id ||
        PeerId::from_bytes(id->bytes()).value() != *id)
      std::abort();
    if (auto key = id->public_key(); key && !id->matches(*key)) std::abort();
  }
  return 0;
}
