#include "sim/scenario/report.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace dms::sim {

std::string to_string(const Finding& finding) {
  return fmt::format("DOES NOT HOLD at {:.1f} s: {}: {}", finding.at_seconds, finding.property, finding.detail);
}

void Report::add(double at_seconds, std::string property, std::string detail) {
  ++findings_total;
  note(at_seconds, fmt::format("DOES NOT HOLD: {}: {}", property, detail));
  if (findings.size() < kMaxFindings) findings.push_back({at_seconds, std::move(property), std::move(detail)});
}

void Report::note(double at_seconds, std::string_view what) {
  trace.push_back(fmt::format("{:.1f} {}", at_seconds, what));
  if (trace.size() > kMaxTrace) trace.pop_front();
}

void Report::count(std::string_view end, std::string reason) {
  const auto same =
      std::ranges::find_if(ends, [&](const Ending& ending) { return ending.end == end && ending.reason == reason; });
  if (same != ends.end())
    ++same->count;
  else
    ends.push_back({std::string(end), std::move(reason), 1});
}

std::string Report::summary() const {
  std::string text = fmt::format(
      "seed {}: {:.0f} s simulated in {:.1f} s{}\n"
      "deployments: {} submitted, {} completed, {} cancelled, {} failed, {} unfinished, {} refused; {} updates, {} "
      "restarts\n"
      "supervision: {} deployments, {} failures of their work, {} comparisons between calm parties\n"
      "{} choices of machines compared with all others\n"
      "files: {} outputs and {} results compared, {} inputs\n"
      "faults: {} daemons killed, {} machines without power, {} partitions, {} full disks, {} clock errors\n"
      "{} messages, {} checks, longest overlap of fast replacements {:.1f} s\n",
      seed, simulated_seconds, wall_seconds, interrupted ? ", interrupted" : "", submitted, completed, cancelled,
      failed, unfinished, refused, updates, restarts, supervised, failures, comparisons, choices, outputs, results,
      inputs, kills, power_losses, partitions, full_disks, clock_errors, messages, checks, longest_overlap_seconds);
  for (const Ending& ending : ends) text += fmt::format("{}: {} x {}\n", ending.end, ending.count, ending.reason);
  for (const Finding& finding : findings) text += to_string(finding) + '\n';
  if (findings_total > findings.size()) text += fmt::format("and {} more\n", findings_total - findings.size());
  text += held() ? "every property held\n" : fmt::format("{} findings\n", findings_total);
  return text;
}

}  // namespace dms::sim
