// One deployment: from an ensemble to running allocations and back, as a state machine that is written down at each
// step.
//
// Model
//  1. Preparing -> Committing -> Provisioning -> Running -> Completed | Failed. Preparing finds a machine for every
//     node (auction.hpp). Committing asks each machine for a promise for each allocation, then has the allocations
//     made. Provisioning starts them, each after those it depends on. Until Running, any failure reverts every machine
//     that was asked for anything, and it starts over at Preparing, without the machines that failed, until the
//     deadline.
//  2. shutdown() works in every state: while deploying it reverts; while running it stops every allocation.
//     ShuttingDown -> Completed. A machine that does not answer is asked again, across restarts, until it does or its
//     promises have run out.
//  3. A task's end comes as a notification with its output, which is kept below `work_dir/deployments/<id>/<name>/`,
//     and the machine is told to forget the allocation. When every allocation has ended, the deployment is Completed if
//     all tasks ended with 0, otherwise Failed with the first reason.
//  4. A provider that does not answer kLostAfter pings in a row is lost: its allocations have failed, and nobody waits
//     for it to start anything.
//  5. The record (id, ensemble, manifest, status, reason, deadline) is stored before the state it tells of is acted on.
//     A deployment found unfinished at start-up is abandon()ed: its machines are reverted, its user is told.
//
// Threads: the lane of its actor. Cancellation: close() leaves the allocations as they are (the daemon stops, the
// deployment does not); shutdown() ends them.
// Attacks: a notification counts only from the actor that holds the allocation. Its output is bounded by the message.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "orchestrator/auction/auction.hpp"
#include "orchestrator/services.hpp"
#include "protocol/deployment.hpp"
#include "ucan/standing_grant.hpp"

namespace dms::orchestrator {

inline constexpr Duration kPingInterval = 10s;
inline constexpr Duration kPingTimeout = 5s;
inline constexpr int kLostAfter = 3;
inline constexpr Duration kAbandonPause = 5s;
inline constexpr int kAbandonTries = 100;  // some ten minutes: longer than a promise lasts

/// What is stored of a deployment.
struct DeploymentRecord {
  std::string id;
  jobs::Ensemble ensemble;
  protocol::EnsembleManifest manifest;
  std::string status;
  std::string error;
  std::uint64_t deadline = 0;  // ns since 1970
  std::uint64_t created = 0;
  static constexpr auto json_fields() {
    using R = DeploymentRecord;
    return std::tuple(json::field("id", &R::id), json::field("ensemble", &R::ensemble),
                      json::field("manifest", &R::manifest), json::field("status", &R::status),
                      json::field("error", &R::error), json::field("deadline", &R::deadline),
                      json::field("created", &R::created));
  }
};
inline constexpr std::string_view kDeployments = "deployments";  // the collection

class Deployment {
 public:
  /// `actor` is the deployment's own: a child of the node with the deployment's id as its inbox.
  static Result<std::unique_ptr<Deployment>> create(Services services, std::unique_ptr<actor::Actor> actor,
                                                    DeploymentRecord record);
  ~Deployment();
  Deployment(const Deployment&) = delete;
  Deployment& operator=(const Deployment&) = delete;

  /// Writes the record down. Nobody may be told of a deployment before this has succeeded.
  Result<void> save();
  /// Begins to deploy.
  void start();
  /// For a deployment that an earlier run of the daemon left unfinished: reverts its machines and marks it failed.
  void abandon();
  Task<Result<void>> shutdown();
  /// The folder with stdout.log and stderr.log of an allocation, fetched from its machine if it has not ended.
  Task<Result<std::filesystem::path>> logs(std::string allocation);
  /// Stops working on it, without a word to anybody.
  Task<void> close();
  /// Called once, from the lane, when the deployment has ended by itself or by shutdown().
  void on_end(std::function<void()> ended) { ended_ = std::move(ended); }

  [[nodiscard]] const DeploymentRecord& record() const { return record_; }
  [[nodiscard]] const std::string& id() const { return record_.id; }
  [[nodiscard]] protocol::DeploymentStatus status() const { return status_; }
  [[nodiscard]] const protocol::EnsembleManifest& manifest() const { return record_.manifest; }
  /// Why it failed, or why the last attempt did.
  [[nodiscard]] const std::string& error() const { return record_.error; }

 private:
  Deployment(Services services, std::unique_ptr<actor::Actor> actor, DeploymentRecord record);
  Task<void> deploy();
  Task<Result<void>> attempt(Auction& auction, std::set<std::string>& excluded);
  Task<Result<void>> commit(const Candidate& candidate);
  Task<Result<void>> commit_one(std::string node, std::string allocation, actor::Handle provider);
  Task<Result<void>> allocate(std::string node, actor::Handle provider);
  Task<Result<void>> start_node(std::string node);
  Task<Result<protocol::Ack>> call_while_alive(std::string peer, actor::Envelope request);
  Task<void> watch_peer(crypto::PeerId peer, CancelScope& call);
  Result<void> grant(const did::Did& provider);
  Task<void> keep_granted();
  Task<void> supervise();
  Task<Result<void>> ping(std::string node);
  Task<void> on_termination(actor::Envelope envelope);
  Task<Result<void>> stop_allocation(std::string name);
  Task<void> revert();
  Task<Result<void>> revert_node(std::string node);
  Task<void> abandon_now();
  Task<Result<void>> revert_until_answered(std::string node);
  void adopt(const Candidate& candidate);
  void end_if_all_ended();
  void set_status(protocol::DeploymentStatus status, std::string error = {});
  [[nodiscard]] Duration remaining(Duration at_most) const;
  [[nodiscard]] std::filesystem::path output_dir(const std::string& allocation) const;
  Result<void> write_output(const std::string& allocation, BytesView out, BytesView err);

  Services services_;
  std::unique_ptr<actor::Actor> actor_;
  DeploymentRecord record_;
  protocol::DeploymentStatus status_ = protocol::DeploymentStatus::preparing;
  std::string failed_provider_;                     // the peer whose failure ended the last attempt
  std::map<did::Did, ucan::StandingGrant> grants_;  // by provider
  std::map<std::string, int> missed_pings_;
  int terminations_under_way_ = 0;
  std::function<void()> ended_;
  Notify changed_;
  Nursery work_;      // deploying and supervising; ended by shutdown()
  Nursery clearing_;  // asking machines that did not answer; ended by close() only
};

}  // namespace dms::orchestrator
