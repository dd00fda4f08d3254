// What this module stores, of any content: shares, reservations and lists of ports are written as they were read.
#include <cstdlib>

#include "capability/capability.hpp"
#include "encoding/json.hpp"
#include "resources/manager.hpp"

namespace {

template <class T>
void check(const dms::json::Value& read) {
  const auto value = dms::json::from_value<T>(read);
  if (!value) return;
  const std::string written = dms::json::encode(*value);
  const auto again = dms::json::decode<T>(written);
  if (!again || dms::json::encode(*again) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const auto read = json::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!read) return 0;
  check<capability::Resources>(*read);
  check<resources::Reservation>(*read);
  check<std::vector<std::uint16_t>>(*read);
  return 0;
}
