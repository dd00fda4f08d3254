// An accepted envelope round-trips unchanged.
#include "actor/envelope.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const auto envelope = actor::Envelope::decode({data, size});
  if (!envelope) return 0;
  const Bytes once = envelope->encode();
  const auto again = actor::Envelope::decode(once);
  // Escapes may make the encoded form exceed the limit.
  if (!again) return 0;
  if (again->encode() != once || again->signed_text() != envelope->signed_text()) std::abort();
  if (again->is_broadcast() != envelope->is_broadcast()) std::abort();
  (void)envelope->verify({0});
  return 0;
}
