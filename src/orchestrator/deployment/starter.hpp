// Starts placed allocations as soon as their dependencies allow, in parallel.
//
// Model
//  1. start_ready() begins what may start now, kRequestsAtOnce on a machine at a time; an allocation whose condition
//     can never be met fails. Supervision has a say in the order (supervision/trees.hpp, 4). waits() says whether
//     something is yet to start before the deployment counts as Running.
//  2. Nothing is started on a machine whose lease has not been reconciled since this daemon began (supervisor.hpp): it
//     may have been started before. That a start is requested of the provider of a lease is stored first: from then on
//     its run may have begun (placement.hpp, 5).
//  3. A start without a reply is sent again each kStartRepeat, and kStartPause after its connection has failed, until
//     the machine is declared lost (supervisor.hpp): a lost message, or a daemon that is started anew, delays it. A
//     provider without leases (the existing implementation) gets one, which ends when it answers no pings. The time of
//     a start counts from the last report that says that the provider still brings its inputs; the deployment's
//     deadline bounds that, and a provider that gets nothing of them gives up by itself. A provider whose daemon was
//     restarted meanwhile hints at what it has (protocol/allocation.hpp, 5), and is asked for its report at once: what
//     runs has been started, and what does not is sent its start again after kStartPause. That is all that a hint does,
//     and one of a run in kStartPause.
//  4. A start that gets no reply in its time is checked with the provider's own report: what runs has been started.
//     Else, and if it is refused, `failed` is called; `may_run` is false for what the provider says it did not start. A
//     start that is still without a reply when its run is superseded delays no other.
//
// Threads: the deployment's lane.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/supervision/supervisor.hpp"

namespace dms::orchestrator {

/// Longer than it takes to see that the provider does not answer pings (liveness.hpp).
inline constexpr Duration kStartRepeat = 1min;
/// After a start whose connection has failed.
inline constexpr Duration kStartPause = 1s;

class Starter {
 public:
  using Failed = std::function<Task<void>(std::string allocation, std::string reason, bool may_run)>;
  /// `work` ends before this does.
  Starter(Parts parts, Liveness& liveness, Supervisor& supervisor, Nursery& work, Failed failed)
      : parts_(parts), liveness_(liveness), supervisor_(supervisor), work_(work), failed_(std::move(failed)) {}

  Task<Result<void>> start_ready();
  [[nodiscard]] bool waits() const;
  /// See (3). False if it concerns no start that waits for its reply.
  bool hint(const std::string& allocation);

 private:
  Task<void> start(std::string allocation, std::string key);
  Task<Result<void>> request(std::string allocation, std::string run, std::string peer);
  /// The reply to a start; Errc::closed if the start is to be sent again before.
  Task<Result<protocol::Ack>> until_hinted(std::string key, std::string peer, Task<Result<protocol::Ack>> call);
  Task<void> repeat_unless_begun(std::string allocation, std::string key);
  [[nodiscard]] bool is_repeated(const Result<protocol::Ack>& reply) const;
  [[nodiscard]] bool pending(const std::string& allocation, const std::string& run) const;
  [[nodiscard]] bool brings_inputs(const std::string& allocation, const std::string& run) const;

  Parts parts_;
  Liveness& liveness_;
  Supervisor& supervisor_;
  Nursery& work_;
  Failed failed_;
  std::set<std::string> starting_;             ///< the runs that wait for a reply to their start
  std::map<std::string, CancelScope*> calls_;  ///< of those, the requests that are under way
  std::set<std::string> hinted_;               ///< of those, what was hinted at in the last kStartPause
};

}  // namespace dms::orchestrator
