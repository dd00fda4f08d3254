// Any bytes as a name server's answer: refused, or texts that fit into the message and are not too many.
#include <cstdlib>

#include "dns/dns_message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto texts = dms::parse_text_records({data, size});
  if (!texts) return 0;
  std::size_t total = 0;
  for (const std::string& text : *texts) total += text.size();
  if (total > size || texts->size() > dms::kMaxTextRecords) std::abort();
  return 0;
}
