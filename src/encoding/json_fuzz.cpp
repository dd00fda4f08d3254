// Whatever parses is written in canonical form, and that form parses back to itself.
#include <cstdint>
#include <cstdlib>

#include "encoding/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto value = dms::json::parse(dms::as_text({data, size}));
  if (!value) return 0;
  const std::string once = dms::json::write(*value);
  auto again = dms::json::parse(once);
  if (!again || dms::json::write(*again) != once) std::abort();
  (void)dms::json::write_pretty(*value);
  return 0;
}
