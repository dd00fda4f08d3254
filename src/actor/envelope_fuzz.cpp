// Whatever is accepted as an envelope can be written, read and written again without change, and is not signed by
// chance.
#include "actor/envelope.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const auto envelope = actor::Envelope::decode({data, size});
  if (!envelope) return 0;
  const Bytes once = envelope->encode();
  const auto again = actor::Envelope::decode(once);
  // Escapes may make the written form longer than the limit that the read one kept.
  if (!again) return 0;
  if (again->encode() != once || again->signed_bytes() != envelope->signed_bytes()) std::abort();
  if (again->is_broadcast() != envelope->is_broadcast()) std::abort();
  (void)envelope->verify({0});
  return 0;
}
