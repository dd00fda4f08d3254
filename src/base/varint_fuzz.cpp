// A varint that is read is the one form of its value, and reading in pieces agrees with reading at once.
#include <cstdlib>

#include "base/varint.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const BytesView input(data, size);
  const auto whole = parse_varint(input);
  VarintDecoder decoder;
  bool done = false, refused = false;
  for (std::size_t i = 0; i < size && !done && !refused; ++i) {
    const auto fed = decoder.feed(data[i]);
    refused = !fed;
    done = fed && *fed;
  }
  if (whole.has_value() != done) std::abort();
  if (!whole) return 0;
  if (whole->value != decoder.value() || whole->size != decoder.size() || whole->size != varint_size(whole->value))
    std::abort();
  Bytes again;
  append_varint(again, whole->value);
  if (again != to_bytes(input.first(whole->size))) std::abort();
  return 0;
}
