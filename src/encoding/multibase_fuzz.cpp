// What decodes must encode to the same text (in hex, apart from letter case).
#include <cstdlib>

#include "encoding/multibase.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text = as_text({data, size});
  const auto one_text = [](Base base) { return base != Base::hex && base != Base::hex_upper; };
  for (std::size_t i = 0; i < kBases; ++i) {
    const auto base = static_cast<Base>(i);
    if (auto bytes = decode(base, text, 4096); bytes && one_text(base) && encode(base, *bytes) != text) std::abort();
    if (size <= 256 && decode(base, encode(base, {data, size})).value() != to_bytes(BytesView(data, size)))
      std::abort();
  }
  if (auto any = multibase_decode(text, 4096);
      any && one_text(any->base) && multibase_encode(any->base, any->bytes) != text)
    std::abort();
  return 0;
}
