// One deployment: from an ensemble to running allocations and back, as a state machine that is stored at each step and
// goes on from there after a restart.
//
// Model
//  1. Preparing -> Committing -> Provisioning -> Running -> Completed | Failed. Preparing finds a machine for every
//     node (auction.hpp); Committing makes the allocations (provisioner.hpp); Provisioning starts what its dependencies
//     allow (starter.hpp). Until Running, a failure supersedes every provider that received a request (placement.hpp)
//     and the deployment starts over at Preparing, until its deadline. Once something else has begun, the loss of a run
//     and a start that failed concern that allocation alone, as in (3); after kMaxStartFailures its node, unless that
//     is pinned to its machine. What has completed does not run again. After the deadline the deployment has failed:
//     what has run is ended, and stays in the manifest with its reason and output. So it has when the machine that a
//     node is pinned to has refused a start kMaxStartFailures times, for kStartRefusalPatience: no other one may be
//     asked. A provider that failed is excluded for a while, each time for longer.
//  2. While Running, what has no machine is placed again (replacer.hpp), what may start is started, what is unhealthy
//     is restarted (restarts.hpp), and ends are collected (endings.hpp). When every allocation has ended and its output
//     is here, the deployment is Completed if all ended with 0, otherwise Failed with the first reason. What the
//     ensemble's supervisors and failure_recovery restart has not ended for good (trees.hpp).
//  3. A machine that is lost (supervisor.hpp) ends an attempt of (1). While Running the ensemble decides: `fast` places
//     the node anew as soon as another machine takes it, `exclusive` when the lost run has surely ended, `fail` fails
//     its allocations, as does `exclusive` on a provider without leases. Until then the run keeps its place, and goes
//     on there if its machine answers; `fast` on a provider without leases supersedes it at once. The loss of one run,
//     or a start that failed, concerns that allocation alone: what else runs on its machine goes on there, and the
//     output of what has ended there is collected.
//  4. shutdown() works in every state. Providers with leases first end what runs and keep it, until the output is here,
//     what was written meanwhile included; for kLastOutput at most. Then everything is released: ShuttingDown ->
//     Completed when every provider has answered or cannot run anything any more (cleaner.hpp). Output of a provider
//     that does not answer is fetched when it does, also after that. A restart begins with it again. Repeated, it waits
//     for the same end; of a deployment that has ended it changes nothing.
//  5. A state is entered when it is on disk (record.hpp): status() reports what a restart would find. While the store
//     fails, the deployment stays in the state before, and storing is repeated.
//  6. resume() after a restart: Preparing goes on; Committing supersedes what received a request and starts over;
//     Provisioning and Running ask the providers what they run before anything else; ShuttingDown is finished.
//  7. The actor's key is derived from the node's key and the deployment's id: providers reach it after a restart, and
//     what it granted them stays valid.
//
// Threads: the lane of its actor. Cancellation: close() leaves the allocations as they are (the daemon stops, the
// deployment does not); shutdown() ends them.
// Attacks: see endings.hpp and supervisor.hpp.
#pragma once

#include <functional>
#include <memory>

#include "orchestrator/deployment/cleaner.hpp"
#include "orchestrator/deployment/endings.hpp"
#include "orchestrator/deployment/replacer.hpp"
#include "orchestrator/deployment/starter.hpp"
#include "orchestrator/deployment/work_desk.hpp"
#include "orchestrator/inputs/input_desk.hpp"
#include "orchestrator/supervision/restarts.hpp"
#include "orchestrator/supervision/standbys.hpp"
#include "orchestrator/supervision/trees.hpp"

namespace dms::orchestrator {

/// After how long a user's shutdown is answered at the latest. Of that the end of runs, kLastWords at most, and the
/// rest of their output take kLastOutput (cleaner.hpp) at most, together with what a run before has written last that a
/// restart has ended. If nothing of that time is left for the latter, it is asked for once more (cleaner.hpp, 4). A
/// provider gives work 10 s to end.
inline constexpr Duration kShutdownPatience = 40s;
inline constexpr Duration kLastWords = 15s;
/// How long an end waits for the providers to release what has ended; they are asked on.
inline constexpr Duration kEndPatience = 20s;
/// After so many starts that failed, an allocation has failed if the deployment runs; before, its node moves.
inline constexpr int kMaxStartFailures = 3;
/// How long the machine that a node is pinned to may refuse a start before the deployment runs: an engine or a registry
/// that is away for a moment is no reason to give up.
inline constexpr Duration kStartRefusalPatience = 1min;

class Deployment {
 public:
  /// `actor` is the deployment's own: a child of the node with the deployment's id as its inbox. `records` and
  /// `heartbeats`, those of the node, outlive it.
  static Result<std::unique_ptr<Deployment>> create(Services services, RecordStore& records, Heartbeats& heartbeats,
                                                    std::unique_ptr<actor::Actor> actor, DeploymentRecord record);
  Deployment(const Deployment&) = delete;
  Deployment& operator=(const Deployment&) = delete;

  /// Stores the record. No caller is informed of a deployment before this has succeeded.
  Task<Result<void>> save();
  /// Starts deploying.
  void start();
  /// Goes on where an earlier run of the daemon was.
  void resume();
  Task<Result<void>> shutdown();
  /// Errc::invalid_argument unless it is Running; Errc::deadline_exceeded if it would move a node that no machine takes.
  Task<Result<void>> update(jobs::Ensemble ensemble);
  /// The folder with stdout.log and stderr.log of an allocation, fetched from its provider if it has not ended.
  Task<Result<std::filesystem::path>> logs(std::string allocation);
  /// While a run is restarted, a provider that has sent no page of it for kPageAnswer is not asked again for as long:
  /// what is stored is served, so that both streams together wait for one page.
  Task<Result<protocol::LogPage>> page(protocol::DeploymentLogsRequest request);
  /// Stops without a request to any provider.
  Task<void> close();
  /// Called once, from the lane, when the deployment has ended and no provider can hold anything of it.
  void on_end(std::function<void()> ended) { ended_ = std::move(ended); }

  [[nodiscard]] const DeploymentRecord& record() const { return record_.get(); }
  [[nodiscard]] const std::string& id() const { return record_->id; }
  [[nodiscard]] protocol::DeploymentStatus status() const { return record_->status; }
  /// What is known of why no machine has been found so far, while one is sought; or empty.
  [[nodiscard]] std::string trouble() const;
  /// Why its machines were chosen; nothing before the first round of bids has ended.
  [[nodiscard]] const std::optional<protocol::Choice>& choice() const { return replacer_.choice(); }
  /// What is known of a provider that does not answer at this moment.
  void add_silence(protocol::AllocationState& state, const std::string& allocation) const;
  /// As its provider last reported; null if it never did.
  [[nodiscard]] const protocol::AllocationReport* report(const std::string& allocation) const {
    return supervisor_.report(allocation);
  }
  /// Of its start, as its provider last told; nothing once it runs.
  [[nodiscard]] std::optional<protocol::StartProgress> progress(const std::string& allocation) const {
    return supervisor_.progress(allocation);
  }

 private:
  struct Failure {
    std::string reason;
    std::string peer;
  };
  using Change = DurableRecord::Change;

  Deployment(Services services, RecordStore& records, Heartbeats& heartbeats, std::unique_ptr<actor::Actor> actor,
             DeploymentRecord record);
  [[nodiscard]] Parts parts() { return {services_, *actor_, record_, providers_, output_}; }
  void set_deadline();
  void grant_again();

  Task<void> drive(bool resumed);
  Task<Result<void>> take_up();
  Task<Result<void>> step();
  Task<Result<void>> deploy();
  Task<Result<void>> provision();
  Task<Result<void>> supervise();
  Task<Result<void>> start_over(Failure failure);
  Task<Result<void>> give_up(std::string reason, json::StringMap late);
  Task<Result<void>> give_up_starts();
  Task<Result<void>> give_up_refused_start();
  [[nodiscard]] std::string what_it_waits_for(const std::string& allocation) const;
  Task<Result<void>> end_when_released();
  Task<void> on_hint(actor::Envelope envelope);
  Task<void> on_progress(actor::Envelope envelope);
  [[nodiscard]] bool fails_attempt(const std::string& node, const std::string& reason);
  Task<void> on_lost(std::string node, std::string reason, bool ended);
  Task<void> on_run_lost(std::string allocation, std::string run, std::string reason);
  Task<void> on_start_failed(std::string allocation, std::string reason, bool may_run);
  struct RunLoss {
    std::string allocation;
    std::string run;
    std::string reason;
    bool fails = false;    ///< its allocation does; otherwise it is placed anew
    bool may_run = false;  ///< it is not known to have ended
    bool moves = false;    ///< its node is placed anew, if another machine may take it
  };
  Task<void> give_up_run(RunLoss loss);
  Task<void> begin_shutdown();
  Task<void> shut_down();
  using Reports = std::map<std::string, protocol::AllocationReport>;
  /// What a shutdown has learned and fetched at last.
  struct ShutdownReport {
    Reports ends;
    std::set<std::string> complete;  ///< allocations of which all output is here
    std::set<std::string> ended;     ///< allocations whose provider says that they have ended
    json::StringMap unstopped;       ///< why others have not
  };
  Task<Result<void>> end_and_collect_all(ShutdownReport& learned);
  Task<Result<void>> end_and_collect(std::string allocation, ShutdownReport& learned);
  Task<Result<void>> end_run(protocol::AllocationManifest entry, actor::Handle provider);
  Task<void> ask_for_end(std::string allocation, actor::Handle provider, Reports& ends);
  Task<void> report_end();
  Task<Result<void>> enter(protocol::DeploymentStatus status, std::string error = "");
  Task<Result<void>> enter(protocol::DeploymentStatus status, std::string error, Change with);

  Services services_;
  OutputStore output_;
  std::unique_ptr<actor::Actor> actor_;
  DurableRecord record_;
  ProviderClient providers_;
  ProviderGrants grants_;
  Liveness liveness_;
  Collector collector_;
  InputDesk inputs_;
  WorkDesk work_desk_;
  Endings endings_;
  Supervisor supervisor_;
  Starter starter_;
  Restarts restarts_;
  Replacer replacer_;
  Standbys standbys_;
  Trees trees_;
  Cleaner cleaner_;
  SteadyTime deadline_{};
  std::optional<Failure> attempt_failed_;
  std::optional<SteadyTime> all_ended_since_;
  struct StartFailures {
    int count = 0;
    std::string last;  ///< reason
    bool pinned = false;
    int refusals = 0;  ///< since the last one that failed otherwise
    SteadyTime refused_since{};
    std::uint64_t start = 0;  ///< by supervision, which these belong to
  };
  std::map<std::string, StartFailures> start_failures_;
  struct SilentPage {
    std::string run;
    SteadyTime until;
  };
  std::map<std::string, SilentPage> silent_pages_;  ///< of allocations that are restarting
  std::optional<std::string> refused_start_;        ///< of which allocation, see (1)
  std::function<void()> ended_;
  Nursery work_;                // deploying and supervising; ended by shutdown()
  bool shutting_down_ = false;  // begin_shutdown() has been spawned for a request
  Nursery clearing_;            // requests to release what is not wanted any more; ended by close() only
};

}  // namespace dms::orchestrator
