// Stored records and leases of any content: what is read and valid is written as it was read.
#include "base/assert.hpp"
#include "encoding/json.hpp"
#include "provider/record.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto record = json::decode<provider::AllocationRecord>(text)) {
    const std::string once = json::encode(*record);
    const auto again = json::decode<provider::AllocationRecord>(once);
    DMS_ASSERT(again.has_value() && json::encode(*again) == once, "a record changes when it is read again");
    if (provider::check(*record)) DMS_ASSERT(provider::check(*again).has_value(), "a valid record is not valid again");
  }
  if (const auto lease = json::decode<provider::Lease>(text)) (void)json::encode(*lease);
  return 0;
}
