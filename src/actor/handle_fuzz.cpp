// An accepted handle round-trips as text and as JSON.
#include "actor/handle.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto handle = actor::Handle::parse(text)) {
    const auto again = actor::Handle::parse(handle->to_string());
    if (!again || *again != *handle) std::abort();
  }
  if (const auto handle = json::decode<actor::Handle>(text, {.bytes = 65536, .depth = 8})) {
    const auto again = json::decode<actor::Handle>(json::encode(*handle));
    if (!again || *again != *handle) std::abort();
    (void)handle->id.did();
    (void)handle->address.peer();
  }
  return 0;
}
