// Whatever decodes must encode to the very same text (hex apart from letter case).
#include <cstdlib>

#include "base/multibase.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text = as_text({data, size});
  for (Base base :
       {Base::hex, Base::base32_upper, Base::base32, Base::base36, Base::base58btc, Base::base64, Base::base64url}) {
    if (auto bytes = decode(base, text, 4096); bytes && base != Base::hex && encode(base, *bytes) != text) std::abort();
    if (base == Base::base58btc && size > 256) continue;
    if (size <= 512 && decode(base, encode(base, {data, size})).value() != to_bytes(BytesView(data, size)))
      std::abort();
  }
  if (auto any = multibase_decode(text, 4096);
      any && any->base != Base::hex && multibase_encode(any->base, any->bytes) != text)
    std::abort();
  return 0;
}
