// Any bytes as a certificate, and as the content of its extension: what is accepted is encoded to the same bytes.
#include <cstdlib>

#include "libp2p/security/tls/certificate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::libp2p::tls;
  const dms::BytesView bytes(data, size);
  (void)verify_certificate(bytes, {1'760'000'000ULL * 1'000'000'000ULL});
  const auto key = SignedKey::decode(bytes);
  if (!key) return 0;
  if (dms::as_text(key->encode()) != dms::as_text(bytes)) std::abort();
  (void)key->verify(dms::Bytes(91, 1));
  return 0;
}
