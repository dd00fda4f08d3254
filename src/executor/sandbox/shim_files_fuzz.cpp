// The records of an execution from arbitrary bytes, as a crash may leave them. What is read is written and read the same.
#include <cstdlib>

#include "executor/sandbox/shim_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text = as_text(BytesView(data, size));
  if (const auto spec = executor::parse_spec(text)) {
    const std::string written = json::encode(*spec);
    const auto again = executor::parse_spec(written);
    if (!again || json::encode(*again) != written) std::abort();
  }
  if (const auto status = executor::parse_status(text)) {
    const std::string written = json::encode(*status);
    const auto again = executor::parse_status(written);
    if (!again || json::encode(*again) != written) std::abort();
  }
  return 0;
}
