// A capability that parses keeps its text, implies itself and is implied by the root; of two, implying both ways is
// being equal.
#include <cstdlib>

#include "ucan/capability.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  using namespace dms::ucan;
  const std::string_view text = as_text({data, size});
  const std::size_t border = std::min(text.find('\n'), size);
  const auto a = Capability::parse(text.substr(0, border));
  const auto b = Capability::parse(text.substr(std::min(border + 1, size)));
  for (const auto& c : {a, b}) {
    if (!c) continue;
    if (c->path().size() > kMaxCapability || !c->implies(*c) || !Capability::root().implies(*c)) std::abort();
    if (json::decode<Capability>(json::encode(*c)).value() != *c) std::abort();
    if (c->implies(Capability::root()) && *c != Capability::root()) std::abort();
  }
  if (a && b) {
    if (a->implies(*b) && b->implies(*a) && *a != *b) std::abort();
    if (any_implies({*a}, *b) != a->implies(*b) || (first_uncovered({*a}, {*b}) == nullptr) != a->implies(*b))
      std::abort();
  }
  (void)json::decode<Capabilities>(text);
  return 0;
}
