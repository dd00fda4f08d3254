// What the parts of one deployment share. All of it outlives them.
#pragma once

#include "orchestrator/deployment/provider_client.hpp"
#include "orchestrator/deployment/record.hpp"
#include "orchestrator/output/output_store.hpp"
#include "orchestrator/services.hpp"

namespace dms::orchestrator {

struct Parts {
  Services& services;
  actor::Actor& actor;
  DurableRecord& record;
  ProviderClient& providers;
  OutputStore& output;

  [[nodiscard]] const std::string& id() const { return record->id; }
  [[nodiscard]] SteadyTime now() const { return services.lane.now(); }
  /// Null if the deployment has no such allocation, or no machine for it.
  [[nodiscard]] const protocol::AllocationManifest* allocation(const std::string& name) const {
    const auto found = record->manifest.allocations.find(name);
    return found == record->manifest.allocations.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const protocol::NodeManifest* node(const std::string& name) const {
    const auto found = record->manifest.nodes.find(name);
    return found == record->manifest.nodes.end() ? nullptr : &found->second;
  }
};

}  // namespace dms::orchestrator
