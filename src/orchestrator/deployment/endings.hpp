// The end of a run: learned from its provider's notice or report, stored, acknowledged, its output collected, released.
//
// Model
//  1. The end of a run is stored once; then its notice is acknowledged, and every repetition of it. A notice counts
//     only from the actor of the allocation, for its present run. One of a run that is not wanted any more is
//     acknowledged, so that its provider stops repeating it.
//  2. A run that its engine has lost or never ran is no end of the work but a loss of it: the deployment decides
//     whether it runs again. So is one that its provider has terminated, because its lease had ended: this node was
//     down or cut off. Only if the provider refuses the renewals (supervisor.hpp) it is an end, with the provider's
//     reason: to run it anew is to run it where it is not wanted. The reason of such a loss or end says, too, what is
//     known of the missed renewals (Supervisor::doubt): the provider does not know that. A run that was to replace
//     another one and could not be started there (AllocationReport::restart_failed) is an end of the work, too: it
//     would end so again and again.
//  3. Output that came whole with the notice is stored with it. All other output is collected by pages (collector.hpp),
//     repeated with growing pauses: a full disk here is waited out, the provider keeps the output meanwhile. It is
//     given up, and the allocation says so, as soon as its provider reports after a failure that it has nothing of the
//     allocation; when it has sent nothing of it for kCollectPatience and is not packing the results either, or has
//     refused for kRefusalPatience because it has no output, or after kLongestCollection. What contradicts itself does
//     not count as sent.
//     Of a run that had been requested to restart, without a reply, when its machine was lost, the provider is asked
//     which one there is, if the output of the one that is known cannot be fetched.
//  4. When the output is here, that is stored together with the request to release the run (cleaner.hpp).
//  5. What a run wrote at its end that a restart has ended (placement.hpp, 6) is fetched as soon as the next run
//     counts, and before the output of that is: they are released together. It is given up when its provider refuses it
//     or does not send it for kRestPatience; the record says so, and before that, that it is to be fetched. Once its
//     allocation is superseded, it is fetched before the release (cleaner.hpp, 4).
//  6. A run that the owner of its machine has ended (AllocationReport::ended_by_owner) is lost as one whose lease has
//     ended: `on_loss` decides. Before that is acted on, the record says that this machine is not asked again for this
//     deployment (DeploymentRecord::barred), also if the notice is of a run that does not count any more. If its node
//     is pinned to the machine, it is an end, with that reason.
//
// Threads: the deployment's lane. Cancellation: what has begun is taken up by resume().
// Attacks: see (1). Output is bounded by the size of a message, or of a provider's logs.
#pragma once

#include <functional>
#include <optional>
#include <set>

#include "orchestrator/output/collector.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kCollectPause = 1s;
inline constexpr Duration kMaxCollectPause = 1min;
inline constexpr Duration kCollectPatience = 30min;
/// Since this daemon began with it: a provider could send a byte now and then for ever.
inline constexpr Duration kLongestCollection = 24h;
inline constexpr Duration kRefusalPatience = 1min;
inline constexpr Duration kRestPause = 1s;
inline constexpr Duration kMaxRestPause = 30s;
inline constexpr Duration kRestPatience = 10min;

class Endings {
 public:
  /// The run has surely ended without an end of the work.
  using Lost = std::function<Task<void>(std::string allocation, std::string run, std::string reason)>;
  /// Whether the provider of the node refuses to renew its leases.
  using Refused = std::function<bool(const std::string& node)>;
  /// Why the leases of the node were perhaps not renewed; or empty.
  using Doubt = std::function<std::string(const std::string& node)>;
  /// `work` ends before this does.
  Endings(Parts parts, Collector& collector, Nursery& work, Lost lost, Refused refused, Doubt doubt)
      : parts_(parts),
        collector_(collector),
        work_(work),
        lost_(std::move(lost)),
        refused_(std::move(refused)),
        doubt_(std::move(doubt)) {}

  Task<void> on_notice(actor::Envelope envelope);
  /// `replaced`: the run that the one of the report was to replace, if the restart may not be known yet; else empty.
  Task<void> on_report(std::string allocation, protocol::AllocationReport report, std::string replaced);
  /// Continues with output that has not been collected, without that which is fetched before a release (cleaner.hpp).
  void resume();
  /// Begins with what runs have written last that were restarted.
  void fetch_rests();

 private:
  struct End {
    protocol::AllocationReport report;
    std::string replaced;  ///< as in on_report()
    bool whole = false;    ///< out and err are all of the output
    Bytes out;
    Bytes err;
  };
  static End end_of(protocol::TaskTermination notice, bool pages);
  enum class Sender { current, former, unknown };
  [[nodiscard]] Sender sender_of(const actor::Envelope& envelope, const protocol::TaskTermination& notice,
                                 const std::string& allocation) const;
  [[nodiscard]] bool is_loss(const protocol::AllocationReport& report, const protocol::AllocationManifest& entry) const;
  [[nodiscard]] bool is_recovered(const std::string& node) const;
  Task<void> bar(did::Did provider);
  Task<Result<void>> conclude(std::string allocation, End end);
  Task<Result<void>> conclude_once(std::string allocation, End end);
  Task<Result<std::optional<Collector::Hold>>> keep(std::string allocation, End& end, bool only_source);
  Task<void> acknowledge(actor::Envelope envelope);
  Task<void> collect(std::string allocation);
  Task<void> fetch_rest(std::string allocation, std::string run);
  Task<Result<void>> rests_settled(std::string allocation);
  Task<bool> is_gone(std::string allocation);
  Task<void> ask_for_restart(std::string allocation);
  Task<void> report_trouble(std::string allocation, Error trouble);

  Parts parts_;
  Collector& collector_;
  Nursery& work_;
  Lost lost_;
  Refused refused_;
  Doubt doubt_;
  std::set<std::string> concluding_;
  std::set<std::string> collecting_;
  std::set<std::pair<std::string, std::string>> rests_;  ///< that are being fetched: allocation, run
};

}  // namespace dms::orchestrator
