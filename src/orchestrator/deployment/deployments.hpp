// The deployments that this node orchestrates for its user: /dms/node/deployment/...
//
// Model
//  1. `new` replies as soon as the deployment exists and is stored; `status` reports its progress and its end.
//  2. A deployment that has ended keeps its record and its output until they are pruned (record.hpp, 4), by time or by
//     request, or deleted; its actor ends when no provider can hold anything of it any more, or with its record.
//     Pruning leaves a deployment of which a provider may hold something; a deletion by its id does not.
//  3. Deployments that an earlier run of the daemon left unfinished go on where they were (deployment.hpp, 6). A record
//     that cannot be read or resumed is reported and skipped.
//  4. An ensemble is accepted, for `new` and for `update`, if it is valid and every field of it is acted on.
//  5. close() leaves the deployments where they are. A request that is under way then starts nothing any more.
//  6. `plan` holds an auction for an ensemble, withdraws what was bid, and leaves nothing; kMaxPlans at a time. It does
//     not wait for machines that have not bid in the first round.
//  7. `list` answers in the order of ids, which is stable, at most kMaxListed in one reply, and no more than
//     one message has room for (views.hpp).
//
// Threads: the node's lane. Bounds: kMaxDeployments that have not ended.
#pragma once

#include <map>
#include <set>

#include "orchestrator/deployment/deployment.hpp"
#include "orchestrator/inputs/input_desk.hpp"
#include "orchestrator/services.hpp"
#include "protocol/actor_tree.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {

inline constexpr std::size_t kMaxDeployments = 2048;
inline constexpr Duration kPruneInterval = 24h;
inline constexpr std::size_t kMaxPlans = 8;
inline constexpr int kPlanRounds = 3;  ///< of bids, at most

class Deployments {
 public:
  Deployments(Services services, actor::Actor& root);
  Deployments(const Deployments&) = delete;
  Deployments& operator=(const Deployments&) = delete;

  Task<Result<void>> start();
  Task<void> close();

  /// Deployments that have not ended, or of which a provider may hold something.
  [[nodiscard]] std::size_t active() const { return active_.size(); }
  /// The peers that may hold something of them.
  [[nodiscard]] std::set<std::string> providers() const;
  /// Adds what is known of a deployment and of whom it supervises, if the actor is that of one.
  void describe(protocol::ActorInfo& actor) const;

 private:
  using Found = std::shared_ptr<Deployment>;

  Task<protocol::NewDeploymentReply> create(protocol::NewDeploymentRequest request, const actor::Envelope& envelope);
  /// What a new deployment and an update have in common.
  [[nodiscard]] Result<void> check(const jobs::Ensemble& ensemble) const;
  Task<Result<std::string>> try_create(protocol::NewDeploymentRequest request, UnixTime expiry);
  Task<protocol::DeploymentListReply> list(protocol::DeploymentListRequest request, const actor::Envelope& envelope);
  Task<protocol::DeploymentStatusReply> status(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentInfoReply> info(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentExplainReply> explain(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentPlanReply> plan(protocol::NewDeploymentRequest request, const actor::Envelope& envelope);
  Task<Result<void>> try_plan(jobs::Ensemble ensemble, protocol::DeploymentPlanReply& reply);
  Task<protocol::DeploymentManifestReply> manifest(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentLogsReply> logs(protocol::DeploymentLogsRequest request, const actor::Envelope& envelope);
  Task<protocol::DeploymentInputReply> input(protocol::DeploymentInputRequest request, const actor::Envelope& envelope);
  Task<Result<std::filesystem::path>> output_folder(std::string id, std::string allocation);
  Task<Result<protocol::DeploymentLogsReply>> stored_result_page(protocol::DeploymentLogsRequest request,
                                                                 std::size_t max_page = protocol::kLogPage);
  Task<Result<Bytes>> read_page(protocol::DeploymentLogsRequest request, std::uint64_t offset);
  Task<Result<Bytes>> read_output(protocol::DeploymentLogsRequest request, std::string run, std::uint64_t offset,
                                  std::uint64_t end);
  /// Of a stream of the current run or of the run before.
  Task<Result<protocol::LogPage>> any_page(protocol::DeploymentLogsRequest request);
  Task<Result<std::uint64_t>> put_page(protocol::DeploymentInputRequest file, std::uint64_t offset, Bytes data);
  Task<Result<protocol::LogPage>> stored_previous_page(protocol::DeploymentLogsRequest request);
  Task<Result<protocol::LogPage>> output_page(protocol::DeploymentLogsRequest request);
  Task<protocol::Ack> update(protocol::DeploymentUpdateRequest request, const actor::Envelope& envelope);
  Task<protocol::DeploymentShutdownReply> shutdown(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::Ack> remove(protocol::DeploymentId request, const actor::Envelope& envelope);
  Task<protocol::DeploymentPruneReply> prune(protocol::DeploymentPruneRequest request, const actor::Envelope& envelope);

  /// Makes the deployment's actor and stores its record.
  Task<Result<Deployment*>> adopt(DeploymentRecord record);
  [[nodiscard]] std::string new_id() const;
  [[nodiscard]] Found active(const std::string& id) const;
  /// Errc::invalid_argument names `member`, which has the id in the request, if that is empty.
  Task<Result<DeploymentRecord>> record(std::string id, std::string_view member = "ID");
  /// Of an allocation: those that are stored are not absent.
  Task<void> add_stored_sizes(const DeploymentRecord& record, std::string allocation, protocol::AllocationUsage& usage);
  Task<void> add_results(std::string id, std::string allocation, std::vector<std::string>& here,
                         json::StringMap& absent);
  /// The record and the output of a deployment that has ended.
  Task<Result<void>> erase(std::string id);
  Task<Result<void>> refuse_to_act(std::string id);
  Task<void> prune_regularly();
  Task<void> remove_unreferred_inputs();
  Task<void> retire(std::string id);

  Services services_;
  RecordStore records_;
  OutputStore output_;
  Blobs blobs_;
  Heartbeats heartbeats_;
  actor::Actor& root_;
  std::map<std::string, Found> active_;  // shared with handlers that wait on one
  bool closed_ = false;
  std::size_t plans_ = 0;  ///< under way
  Nursery work_;
};

}  // namespace dms::orchestrator
