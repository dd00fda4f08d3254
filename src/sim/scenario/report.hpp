// What a simulation found.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "encoding/json.hpp"

namespace dms::sim {

/// A property that did not hold at an instant.
struct Finding {
  double at_seconds = 0;  ///< of simulated time
  std::string property;
  std::string detail;
  static constexpr auto json_fields() {
    using F = Finding;
    return std::tuple(json::field("at_seconds", &F::at_seconds), json::field("property", &F::property),
                      json::field("detail", &F::detail));
  }
};
std::string to_string(const Finding& finding);

/// How many deployments ended in the same way.
struct Ending {
  std::string end;  ///< completed, cancelled, failed, not taken; also "not updated", which is none
  std::string reason;
  std::uint64_t count = 0;
  static constexpr auto json_fields() {
    using E = Ending;
    return std::tuple(json::field("end", &E::end), json::field("reason", &E::reason), json::field("count", &E::count));
  }
};

struct Report {
  static constexpr std::size_t kMaxFindings = 100;
  static constexpr std::size_t kMaxTrace = 200'000;
  std::uint64_t seed = 0;
  std::string scenario;  ///< as YAML
  bool interrupted = false;
  double simulated_seconds = 0;
  double wall_seconds = 0;
  std::uint64_t events = 0;
  std::uint64_t messages = 0;
  std::uint64_t checks = 0;
  std::uint64_t submitted = 0;
  std::uint64_t refused = 0;  ///< the user's own node did not take the deployment
  std::uint64_t completed = 0;
  std::uint64_t cancelled = 0;  ///< their users shut them down before their time
  std::uint64_t failed = 0;
  std::uint64_t unfinished = 0;
  std::uint64_t outputs = 0;      ///< of runs that have ended, compared and equal
  std::uint64_t results = 0;      ///< the same
  std::uint64_t inputs = 0;       ///< that a run found whole as it began
  std::uint64_t updates = 0;      ///< that were accepted
  std::uint64_t restarts = 0;     ///< of allocations, after a failed check or a loss
  std::uint64_t supervised = 0;   ///< deployments whose supervision was checked (tree_checker.hpp)
  std::uint64_t choices = 0;      ///< of machines, compared with all that there were (choices.hpp)
  std::uint64_t failures = 0;     ///< of their work
  std::uint64_t comparisons = 0;  ///< of an allocation's state with what it should be, between calm parties
  std::uint64_t kills = 0;
  std::uint64_t power_losses = 0;
  std::uint64_t partitions = 0;
  std::uint64_t full_disks = 0;
  std::uint64_t clock_errors = 0;
  double longest_overlap_seconds = 0;  ///< of two runs of one allocation with on_loss `fast`
  std::vector<Ending> ends;            ///< by end and kind of reason
  std::uint64_t findings_total = 0;
  std::vector<Finding> findings;  ///< the first kMaxFindings
  /// What happened, a line each, with the simulated second: faults, deployments and their states, findings. The last
  /// kMaxTrace lines; not in the JSON form.
  std::deque<std::string> trace;

  [[nodiscard]] bool held() const { return findings_total == 0; }
  void add(double at_seconds, std::string property, std::string detail);
  void note(double at_seconds, std::string_view what);
  /// One more that ended so.
  void count(std::string_view end, std::string reason);
  /// For people.
  [[nodiscard]] std::string summary() const;

  static constexpr auto json_fields() {
    using R = Report;
    return std::tuple_cat(
        std::tuple(json::field("seed", &R::seed), json::field("scenario", &R::scenario),
                   json::field("interrupted", &R::interrupted), json::field("simulated_seconds", &R::simulated_seconds),
                   json::field("wall_seconds", &R::wall_seconds), json::field("events", &R::events),
                   json::field("messages", &R::messages), json::field("checks", &R::checks)),
        std::tuple(json::field("submitted", &R::submitted), json::field("refused", &R::refused),
                   json::field("completed", &R::completed), json::field("cancelled", &R::cancelled),
                   json::field("failed", &R::failed), json::field("unfinished", &R::unfinished),
                   json::field("ends", &R::ends), json::field("outputs", &R::outputs),
                   json::field("results", &R::results), json::field("inputs", &R::inputs),
                   json::field("updates", &R::updates), json::field("restarts", &R::restarts),
                   json::field("supervised", &R::supervised), json::field("choices", &R::choices),
                   json::field("failures", &R::failures), json::field("comparisons", &R::comparisons)),
        std::tuple(json::field("kills", &R::kills), json::field("power_losses", &R::power_losses),
                   json::field("partitions", &R::partitions), json::field("full_disks", &R::full_disks),
                   json::field("clock_errors", &R::clock_errors),
                   json::field("longest_overlap_seconds", &R::longest_overlap_seconds),
                   json::field("findings_total", &R::findings_total), json::field("findings", &R::findings)));
  }
};

}  // namespace dms::sim
