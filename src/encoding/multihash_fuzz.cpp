// A multihash or a CID that parses is written as the very bytes it was read from, and in every base reads back the
// same.
#include <cstdlib>

#include "encoding/cid.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const Bytes input(data, data + size);
  if (auto hash = Multihash::parse(input); hash && hash->bytes() != input) std::abort();
  if (auto coded = read_multicodec(input)) {
    Bytes again;
    append_multicodec(again, coded->code);
    append(again, coded->rest);
    if (again != input) std::abort();
  }
  const auto same_everywhere = [](const Cid& cid) {
    if (Cid::from_bytes(cid.bytes()).value() != cid || cid.multihash().digest.size() > kMaxDigest) std::abort();
    for (std::size_t i = 0; i < kBases; ++i)
      if (Cid::parse(cid.to_string(static_cast<Base>(i))).value() != cid) std::abort();
  };
  if (auto cid = Cid::from_bytes(input)) {
    if (to_bytes(cid->bytes()) != input) std::abort();
    same_everywhere(*cid);
  }
  if (auto cid = Cid::parse(as_text(input))) same_everywhere(*cid);
  return 0;
}
