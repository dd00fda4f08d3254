// Stored positions and times of entries from arbitrary bytes.
#include <cstdlib>

#include "executor/docker/docker_log.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text = as_text(BytesView(data, size));
  if (const auto time = executor::parse_log_time(text); time && *time < 0) std::abort();
  if (const auto positions = executor::parse_positions(text)) {
    if ((*positions)[0].time < 0 || (*positions)[1].time < 0) std::abort();
    if (executor::since_of(*positions).find('-') != std::string::npos) std::abort();
  }
  return 0;
}
