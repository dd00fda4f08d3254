// A DID that parses keeps its text, and a did:key that decodes is the only name of its key.
#include <cstdlib>

#include "did/did.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text = as_text({data, size});
  auto did = did::Did::parse(text);
  if (!did) return 0;
  if (did->uri() != text) std::abort();
  if (auto key = did->public_key(); key && did::Did::from(*key).value() != *did) std::abort();
  return 0;
}
