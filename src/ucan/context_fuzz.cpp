// A context that loads survives being written and loaded; no token of a message stays held after its release.
#include <cstdlib>

#include "ucan/context.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  using namespace dms::ucan;
  constexpr UnixTime now{1'700'000'000'000'000'000};
  SeededRandom random(1);
  const std::string_view text = as_text({data, size});
  if (auto context = CapabilityContext::parse(text, std::nullopt, random, now)) {
    auto again = CapabilityContext::parse(context->serialise(), std::nullopt, random, now);
    if (!again || again->serialise() != context->serialise()) std::abort();
  }
  auto key = crypto::PrivateKey::from_raw(crypto::KeyType::ed25519, Bytes(32, 1));
  auto context = CapabilityContext::create(*key, random);
  (void)context->consume(context->did(), BytesView{data, size}, now);
  if (context->consumed_count() != 0) std::abort();
  return 0;
}
