// One deployment: from an ensemble to running allocations and back, as a state machine that is stored at each step.
//
// Model
//  1. Preparing -> Committing -> Provisioning -> Running -> Completed | Failed. Preparing finds a machine for every
//     node (auction.hpp); Committing and Provisioning bring the allocations up (provisioner.hpp). Until Running, any
//     failure reverts every provider that received a request, and the deployment starts over at Preparing, without the
//     providers that failed, until the deadline.
//  2. shutdown() works in every state: while deploying it reverts; while running it stops every allocation.
//     ShuttingDown -> Completed. The request to a provider that does not reply is repeated, across restarts of the
//     daemon, until it replies or its reservations have expired.
//  3. A provider reports the end of a task in a notice with the output, which is stored (output_store.hpp); then the
//     provider is requested to remove the allocation. When every allocation has ended, the deployment is Completed if
//     all tasks ended with 0, otherwise Failed with the first reason.
//  4. A provider that is lost (liveness.hpp) has failed its allocations, and no start waits for it.
//  5. A state is entered when it is on disk (record.hpp): status() reports what a restart would find. While the store
//     fails, the deployment stays in the state before, and storing is repeated.
//  6. A deployment that the daemon's start finds unfinished is abandon()ed: its providers are reverted, then it is
//     Failed.
//
// Threads: the lane of its actor. Cancellation: close() leaves the allocations as they are (the daemon stops, the
// deployment does not); shutdown() ends them.
// Attacks: a notice counts only from the actor of the allocation. Its output is bounded by the size of a message.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "orchestrator/deployment/provisioner.hpp"
#include "orchestrator/output/output_store.hpp"
#include "orchestrator/services.hpp"

namespace dms::orchestrator {

inline constexpr Duration kAbandonPause = 5s;
inline constexpr int kAbandonTries = 100;  // some ten minutes: longer than a reservation lasts

class Deployment {
 public:
  /// `actor` is the deployment's own: a child of the node with the deployment's id as its inbox. `records` outlives it.
  static Result<std::unique_ptr<Deployment>> create(Services services, RecordStore& records,
                                                    std::unique_ptr<actor::Actor> actor, DeploymentRecord record);
  Deployment(const Deployment&) = delete;
  Deployment& operator=(const Deployment&) = delete;

  /// Stores the record. No caller is informed of a deployment before this has succeeded.
  Task<Result<void>> save();
  /// Starts deploying.
  void start() { work_.spawn(deploy()); }
  void abandon() { clearing_.spawn(revert_all_and_end()); }
  Task<Result<void>> shutdown();
  /// The folder with stdout.log and stderr.log of an allocation, fetched from its provider if it has not ended.
  Task<Result<std::filesystem::path>> logs(std::string allocation);
  /// Stops without a request to any provider.
  Task<void> close();
  /// Called once, from the lane, when the deployment has ended by itself or by shutdown().
  void on_end(std::function<void()> ended) { ended_ = std::move(ended); }

  [[nodiscard]] const DeploymentRecord& record() const { return record_.get(); }
  [[nodiscard]] const std::string& id() const { return record_->id; }
  [[nodiscard]] protocol::DeploymentStatus status() const { return record_->status; }

 private:
  Deployment(Services services, RecordStore& records, std::unique_ptr<actor::Actor> actor, DeploymentRecord record);
  Task<void> deploy();
  Task<Result<void>> attempt(Auction& auction, std::set<std::string>& excluded);
  Task<void> supervise();
  Task<Result<void>> check_provider(std::string node);
  Task<void> on_termination(actor::Envelope envelope);
  Task<Result<void>> conclude(std::string allocation, const protocol::TaskTermination& notice);
  Task<Result<void>> stop_allocation(std::string name);
  Task<void> revert();
  Task<void> revert_all_and_end();
  Task<Result<void>> revert_until_answered(protocol::NodeManifest node);
  Task<void> end_if_all_ended();
  Task<Result<void>> enter(protocol::DeploymentStatus status, std::string error = "");

  Services services_;
  OutputStore output_;
  std::unique_ptr<actor::Actor> actor_;
  DurableRecord record_;
  ProviderClient providers_;
  ProviderGrants grants_;
  Liveness liveness_;
  Provisioner provisioner_;
  std::set<std::string> concluding_;  // allocations whose end is being stored
  int terminations_under_way_ = 0;
  std::function<void()> ended_;
  Notify changed_;
  Nursery work_;      // deploying and supervising; ended by shutdown()
  Nursery clearing_;  // repeated requests to providers that did not reply; ended by close() only
};

}  // namespace dms::orchestrator
