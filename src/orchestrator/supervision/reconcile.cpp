#include "orchestrator/supervision/reconcile.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "orchestrator/deployment/placement.hpp"
#include "orchestrator/deployment/provider_client.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// Empty while nothing is wrong.
std::string reason_of(const AllocationReport& report) {
  if (report.health != Health::unhealthy) return {};
  std::string reason(kFailedCheck);
  if (!report.health_message.empty()) reason += ": " + report.health_message;
  return shortened(std::move(reason), kMaxReportedText);
}

void apply(AllocationManifest& entry, const AllocationReport& report, Findings& findings) {
  const auto set = [&](auto& member, auto value) {
    if (member == value) return;
    member = std::move(value);
    findings.changed = true;
  };
  // A report that was on its way while the work started says pending. The reason was that of a silence or a restart.
  if (report.status != AllocationStatus::pending) set(entry.status, report.status);
  if (report.status != AllocationStatus::pending || entry.status == AllocationStatus::pending)
    set(entry.reason, reason_of(report));
  set(entry.health, report.health);
}

/// Whether the entry, which is placed on this node, is what the report has under its name.
bool agree(DeploymentRecord& record, const std::string& name, const AllocationManifest& entry,
           const AllocationReport& report, Findings& findings) {
  if (report.incarnation == entry.incarnation) return true;
  if (!take_over_restart(record, name, report.incarnation)) return false;
  findings.changed = true;
  return true;
}

}  // namespace

Findings reconcile(DeploymentRecord& record, const std::string& name, const RenewReply& reply) {
  Findings findings;
  const auto found = record.manifest.nodes.find(name);
  if (found == record.manifest.nodes.end()) return findings;
  const NodeManifest node = found->second;
  json::StringMap unknown;  // name -> incarnation
  for (const std::string& allocation : node.allocations) {
    const auto it = record.manifest.allocations.find(allocation);
    if (it == record.manifest.allocations.end() || it->second.node_id != name || !is_placed(it->second)) continue;
    AllocationManifest& entry = it->second;
    const auto report = reply.allocations.find(allocation);
    const bool same = report != reply.allocations.end() && agree(record, allocation, entry, report->second, findings);
    if (is_final(entry.status)) {
      if (report != reply.allocations.end() && (!same || entry.collected))
        unknown[allocation] = report->second.incarnation;
    } else if (!same) {
      findings.missing[allocation] = entry.incarnation;
      if (report != reply.allocations.end() && !is_final(report->second.status))
        findings.others[allocation] = report->second.incarnation;
    } else if (is_final(report->second.status)) {
      findings.ended[allocation] = report->second;
    } else if (!record.restarting.contains(allocation)) {
      apply(entry, report->second, findings);
    }
  }
  for (const auto& [allocation, report] : reply.allocations)
    if (std::ranges::count(node.allocations, allocation) == 0) unknown[allocation] = report.incarnation;
  const std::size_t before = record.superseded.size();
  supersede_unknown(record, node.handle, std::move(unknown));
  findings.changed = findings.changed || record.superseded.size() != before;
  return findings;
}

}  // namespace dms::orchestrator
