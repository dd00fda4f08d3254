// What is read, as YAML or from the wire, is written and read back unchanged; no input crashes or exhausts resources.
#include <cstdlib>

#include "jobs/ensemble/ensemble.hpp"
#include "jobs/ensemble/waiting.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using dms::jobs::Ensemble;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const dms::jobs::References machine = {
      .file = [](const std::string& path) -> dms::Result<std::string> { return path; },
      .variable = [](const std::string& name) { return std::optional(name); }};
  for (const auto& read :
       {Ensemble::parse_yaml(text), Ensemble::parse_yaml(text, machine), dms::json::decode<Ensemble>(text)}) {
    if (!read && dms::jobs::waiting_first(text, read.error()).message().empty()) std::abort();
    if (!read) continue;
    const auto again = dms::json::decode<Ensemble>(dms::json::encode(*read));
    if (!again || !(*again == *read)) std::abort();
    for (const auto& [name, node] : read->nodes)
      if (read->start_order(name).size() != node.allocations.size()) std::abort();
  }
  return 0;
}
