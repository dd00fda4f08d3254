// Stored records of any content: what is read is written as it was read, and the rules over records bear it.
#include "base/assert.hpp"
#include "orchestrator/deployment/standby.hpp"
#include "orchestrator/deployment/views.hpp"
#include "orchestrator/supervision/trees.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto record = orchestrator::read_record("d1", text);
  if (!record) return 0;
  const std::string once = json::encode(*record);
  const auto again = orchestrator::read_record("d1", once);
  DMS_ASSERT(again.has_value() && json::encode(*again) == once, "a record changes when it is read again");
  (void)orchestrator::status_of(*record);
  (void)orchestrator::info_of(*record);
  (void)orchestrator::manifest_of(*record);
  const orchestrator::Unplaced wanted = orchestrator::unplaced(*record);
  (void)orchestrator::part_of(*record, wanted);
  for (int i = 0; i < 2; ++i) {
    orchestrator::use_standbys(*record);
    orchestrator::supervise(*record, record->boot_id, SteadyTime(1h));
  }
  (void)orchestrator::occupied(*record, wanted);
  orchestrator::unplace_all(*record, false);
  DMS_ASSERT(record->manifest.nodes.empty(), "a node keeps its machine");
  return 0;
}
