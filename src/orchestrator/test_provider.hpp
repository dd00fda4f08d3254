// For tests: a provider that follows a script. With a lease it is one of this implementation, whose runs end by
// themselves when nobody renews them; without, one of the existing implementation, which knows no renewal and no pages.
#pragma once

#include <gtest/gtest.h>

#include "actor/test_world.hpp"
#include "orchestrator/test_records.hpp"
#include "protocol/bid.hpp"
#include "protocol/serve.hpp"
#include "protocol/transfer.hpp"

namespace dms::orchestrator {

class ScriptedProvider {
 public:
  struct Run {
    std::unique_ptr<actor::Actor> actor;
    actor::Handle orchestrator;
    std::string incarnation;
    std::string previous;  ///< the run that a restart has ended
    std::string previous_out;
    [[nodiscard]] bool is(const std::string& name) const { return name == incarnation || name == previous; }
    protocol::AllocationStatus status = protocol::AllocationStatus::pending;
    protocol::Health health = protocol::Health::unknown;
    std::string health_message;
    int exit_code = 0;
    std::string reason;
    bool restart_failed = false;
    bool ended_by_owner = false;
    std::string out;
    std::uint64_t dropped = 0;  ///< of out
    std::string last_words;     ///< written while it is stopped
    double cpu_seconds = 0;
    std::optional<jobs::Results> results;  ///< that were asked for
    SteadyTime lease_ends{};
  };

  /// Requests of a kind.
  struct InProgress {
    int now = 0;
    int most = 0;
  };

  explicit ScriptedProvider(actor::TestNode& node) : node_(node) {
    actor::Actor& root = *node.root;
    EXPECT_TRUE(root.add_behaviour(
        std::string(protocol::kBidRequest.path), [this](actor::Envelope envelope) { return bid(std::move(envelope)); },
        protocol::behaviour_options(protocol::kBidRequest)));
    EXPECT_TRUE(root.subscribe(std::string(protocol::kDeploymentTopic)));
    EXPECT_TRUE(serve(root, protocol::kCommit, *this, &ScriptedProvider::commit));
    EXPECT_TRUE(serve(root, protocol::kAllocate, *this, &ScriptedProvider::allocate));
    EXPECT_TRUE(serve(root, protocol::kRevert, *this, &ScriptedProvider::revert));
    EXPECT_TRUE(serve(root, protocol::kRenew, *this, &ScriptedProvider::renew));
  }
  Task<void> close() {
    while (!runs.empty()) co_await forget(runs.begin()->first);
  }

  /// The actor of the work of an allocation, which nobody runs.
  actor::Handle work_of(const std::string& name) {
    actor::Handle work;
    work.id = actor::Id::from(node_.key.derive("work of " + name).public_key());
    work.did = work.id.did().value();
    work.address = {peer(), name + "+work"};
    return work;
  }
  [[nodiscard]] std::string peer() const { return node_.network->self().to_string(); }
  [[nodiscard]] bool runs_now(const std::string& name = "task") {
    expire();
    return runs.contains(name) && runs.at(name).status == protocol::AllocationStatus::running;
  }
  /// The end of a run, of which the orchestrator is not notified yet.
  void end(const std::string& name, protocol::AllocationStatus status, int exit_code = 0, std::string out = {}) {
    Run& run = runs.at(name);
    run.status = status;
    run.exit_code = exit_code;
    if (!out.empty()) run.out = std::move(out);
    ++ends;
  }
  /// Notifies the orchestrator once; true once that is acknowledged.
  Task<Result<protocol::Ack>> notify(std::string name = "task", std::string incarnation = "") {
    Run& run = runs.at(name);
    protocol::TaskTermination notice;
    notice.allocation_id = jobs::allocation_id(ensemble, name);
    notice.status = to_string(run.status);
    notice.error.exit_code = run.exit_code;
    notice.reason = run.reason;
    const std::size_t tail = std::min(run.out.size(), tail_size);
    notice.out = to_bytes(std::string_view(run.out).substr(run.out.size() - tail));
    if (lease > Duration(0)) {
      notice.incarnation = incarnation.empty() ? run.incarnation : incarnation;
      notice.out_size = run.out.size();
    }
    notice.cpu_seconds = run.cpu_seconds;
    notice.restart_failed = run.restart_failed;
    notice.ended_by_owner = run.ended_by_owner;
    co_return co_await call(*run.actor, protocol::kTaskTermination, run.orchestrator, notice, 5s);
  }
  /// The hint that its report is another one now.
  Task<Result<void>> hint(std::string name = "task") {
    Run& run = runs.at(name);
    protocol::AllocationChanged change;
    change.allocation_id = jobs::allocation_id(ensemble, name);
    change.incarnation = run.incarnation;
    actor::Envelope envelope = message(*run.actor, protocol::kAllocationChanged, run.orchestrator, change);
    co_return co_await run.actor->send(std::move(envelope));
  }
  /// How far its start is. `incarnation`: the present one if it is empty.
  Task<Result<void>> tell(protocol::StartProgress part, std::string incarnation = "") {
    Run& run = runs.at("task");
    protocol::AllocationProgress told;
    told.allocation_id = jobs::allocation_id(ensemble, "task");
    told.incarnation = incarnation.empty() ? run.incarnation : incarnation;
    told.progress = part;
    actor::Envelope envelope = message(*run.actor, protocol::kAllocationProgress, run.orchestrator, told);
    co_return co_await run.actor->send(std::move(envelope));
  }
  static void fail_to_restart(Run& run, const std::string& reason) {
    run.status = protocol::AllocationStatus::failed;
    run.exit_code = -1;
    run.reason = reason;
    run.restart_failed = true;
    run.out.clear();
  }
  /// As a crash without a disk.
  Task<void> forget(std::string name) {
    auto run = runs.extract(name);
    if (!run.empty()) co_await run.mapped().actor->stop();
  }

  /// As a machine whose disk was wiped: it has nothing of the ensemble, and no behaviour for it.
  Task<void> wipe() {
    remove_behaviour(protocol::kAllocationShutdown);
    remove_behaviour(protocol::kAllocationLogs);
    remove_behaviour(protocol::kAllocationResults);
    return close();
  }

  Duration lease = 1min;
  std::size_t tail_size = protocol::kTerminationOutput;
  std::size_t page_size = protocol::kLogPage;
  Duration page_takes{0};
  std::function<void(protocol::LogPage&)> forge;  ///< pages
  bool packing = false;                           ///< results
  std::vector<std::string> features;
  std::optional<std::uint64_t> grants_results;  ///< bytes; else as many as asked for
  std::string refuse_commit;
  std::string refuse_start;
  std::string refuse_pages;
  bool keeps_previous = true;  ///< the output of the run before, which an older version does not
  bool previous_ends = true;   ///< all of that is stored
  std::string fail_restart;    ///< why the next run does not start
  std::string leave_restart;   ///< why it replies before the next run has begun: it is being stopped
  int unanswered_starts = 0;   ///< the first ones
  int unanswered_pages = 0;    ///< the next ones
  bool brings_inputs = false;  ///< as it reports of what is not started
  std::optional<protocol::StartProgress> progress;  ///< the same
  bool bids = true;
  capability::Location location;
  bool offers_work = false;        ///< an actor for the work of each allocation
  double max_cores = 1000;         ///< of what it bids for, in all
  bool knows_only_running = true;  ///< of a restart, which an older version does not
  bool answers_restarts = true;    ///< it does them
  bool answers_renewals = true;
  std::string refuse_renewals;
  bool has_clock = true;
  bool tells_time = true;         ///< its wall clock, which an older version does not
  int renewed_without_clock = 0;  ///< leases
  bool holds_reports = false;     ///< after they are made; they are sent once it is false again
  bool stops = true;              ///< on request, what it keeps
  bool hangs = false;             ///< its engine: what is to be stopped or removed runs on, and it says so
  Duration stop_takes{0};         ///< of what is reverted; it runs until then
  int commits = 0, allocates = 0, starts = 0, reverts = 0, shutdowns = 0, renewals = 0, restarts = 0, pages = 0,
      stopped = 0;
  Duration commit_takes{0};
  Duration start_takes{0};
  Duration end_takes{0};  ///< of what is stopped, or removed by a shutdown
  Duration restart_takes{0};
  Duration results_take{0};
  int most_commits_in_progress = 0;
  InProgress starting, stopping, removing, restarting, reading, sending_results;
  int ends = 0;  ///< runs that ended by themselves
  std::string ensemble;
  std::map<std::string, Run> runs;
  std::vector<std::string> log;  ///< "start a" and "stop a", in the order in which that was done

 private:
  void remove_behaviour(const protocol::Declaration& declaration) {
    node_.root->remove_behaviour(path_of(declaration, ensemble));
  }
  class Counted {
   public:
    explicit Counted(InProgress& requests) : requests_(requests) {
      requests_.most = std::max(requests_.most, ++requests_.now);
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --requests_.now; }

   private:
    InProgress& requests_;
  };
  Task<void> bid(actor::Envelope envelope) {
    const auto request = actor::payload<protocol::EnsembleBidRequest>(envelope).value();
    const auto excluded = std::ranges::count(request.peer_exclusion, peer()) > 0;
    if (!bids || (excluded && !envelope.options.topic.empty())) co_return;
    if (request.request.at(0).v1->resources.cpu.cores.cores() > max_cores) co_return;
    protocol::Bid bid;
    bid.ensemble_id = request.id;
    bid.node_id = request.request.at(0).v1->node_id;
    bid.peer = peer();
    bid.location = location;
    bid.handle = node_.root->handle();
    bid.offer.emplace().free = request.request.at(0).v1->resources;
    bid.offer->features = features;
    bid.offer->results_limit = grants_results.value_or(request.request.at(0).v1->results_limit);
    EXPECT_TRUE(bid.sign(node_.key));
    (void)co_await node_.root->reply(envelope, bid);
  }
  Task<protocol::Ack> commit(protocol::CommitRequest request, const actor::Envelope&) {
    ++commits;
    most_commits_in_progress = std::max(most_commits_in_progress, ++commits_in_progress_);
    if (commit_takes > Duration(0)) (void)co_await sleep_for(commit_takes);
    --commits_in_progress_;
    protocol::Ack reply;
    reply.error = runs.contains(request.allocation_name) ? "it exists already" : refuse_commit;
    reply.ok = reply.error.empty();
    co_return reply;
  }
  Task<protocol::AllocateResponse> allocate(protocol::AllocateRequest request, const actor::Envelope& envelope) {
    ++allocates;
    ensemble = request.ensemble_id;
    protocol::AllocateResponse response;
    response.ok = true;
    for (const auto& [name, config] : request.allocations) {
      Run& run = runs[name];
      run.orchestrator = envelope.from;
      run.results = config.results;
      run.actor =
          node_.root->create_child(jobs::allocation_id(ensemble, name) + "." + std::to_string(allocates)).value();
      EXPECT_TRUE(serve(*run.actor, protocol::kAllocationStart, *this, &ScriptedProvider::start));
      EXPECT_TRUE(serve(*run.actor, protocol::kAllocationRestart, *this, &ScriptedProvider::restart));
      response.allocations[name] = run.actor->handle();
      if (offers_work) response.work[name] = work_of(name);
      if (lease > Duration(0)) {
        run.incarnation = next_incarnation();
        run.lease_ends = node_.lane().now() + lease;
        response.incarnations[name] = run.incarnation;
      }
    }
    response.lease_ns = lease.count();
    EXPECT_TRUE(serve(*node_.root, protocol::kAllocationShutdown, *this, &ScriptedProvider::shutdown,
                      path_of(protocol::kAllocationShutdown, ensemble)));
    EXPECT_TRUE(serve(*node_.root, protocol::kAllocationLogs, *this, &ScriptedProvider::logs,
                      path_of(protocol::kAllocationLogs, ensemble)));
    EXPECT_TRUE(serve(*node_.root, protocol::kAllocationResults, *this, &ScriptedProvider::results,
                      path_of(protocol::kAllocationResults, ensemble)));
    co_return response;
  }
  std::string next_incarnation() { return peer().substr(peer().size() - 4) + "-" + std::to_string(++incarnations_); }
  Run* addressed(const actor::Envelope& envelope) {
    for (auto& [name, run] : runs)
      if (run.actor->handle().id == envelope.to.id) return &run;
    return nullptr;
  }
  Task<protocol::Ack> start(protocol::StartRequest, const actor::Envelope& envelope) {
    protocol::Ack reply;
    if (++starts <= unanswered_starts) {
      (void)co_await sleep_for(1h);
      co_return reply;
    }
    const Counted counted(starting);
    if (start_takes > Duration(0)) (void)co_await sleep_for(start_takes);
    reply.error = refuse_start;
    Run* run = addressed(envelope);
    if (run != nullptr && run->status != protocol::AllocationStatus::pending) reply.error = "it was started before";
    reply.ok = reply.error.empty();
    if (reply.ok && run != nullptr) run->status = protocol::AllocationStatus::running;
    for (const auto& [name, one] : runs)
      if (reply.ok && &one == run) log.push_back("start " + name);
    co_return reply;
  }
  Task<protocol::RestartReply> restart(protocol::RestartRequest request, const actor::Envelope& envelope) {
    protocol::RestartReply reply;
    const Counted counted(restarting);
    if (restart_takes > Duration(0)) (void)co_await sleep_for(restart_takes);
    Run* run = addressed(envelope);
    if (run == nullptr) co_return reply;
    reply.incarnation = run->incarnation;
    const bool current = run->incarnation == request.incarnation;
    if (current && request.only_running && knows_only_running && is_final(run->status)) reply.error = "it has ended";
    if (!reply.error.empty()) co_return reply;
    if (current) {
      ++restarts;
      run->previous = run->incarnation;
      run->previous_out = run->out + run->last_words;
      run->incarnation = next_incarnation();
      run->status = protocol::AllocationStatus::running;
      run->health = protocol::Health::starting;
      if (!leave_restart.empty()) run->status = protocol::AllocationStatus::restarting;
      if (!fail_restart.empty()) fail_to_restart(*run, fail_restart);
    }
    if (!answers_restarts) {
      (void)co_await sleep_for(1h);
      co_return reply;
    }
    reply.incarnation = run->incarnation;
    reply.restart_failed = run->restart_failed;
    reply.error = run->restart_failed ? run->reason : leave_restart;
    reply.ok = reply.error.empty();
    co_return reply;
  }
  Task<protocol::RenewReply> renew(protocol::RenewRequest request, const actor::Envelope&) {
    protocol::RenewReply reply;
    if (lease == Duration(0)) (void)co_await sleep_for(1h);  // does not know it
    ++renewals;
    if (!answers_renewals) (void)co_await sleep_for(1h);
    expire();
    reply.ok = true;
    if (has_clock) reply.clock_ns = node_.lane().now().time_since_epoch().count();
    if (tells_time) reply.wall_ns = node_.lane().unix_now().nanos;
    reply.error = refuse_renewals;
    reply.ok = reply.error.empty();
    if (!reply.ok) co_return reply;
    if (!request.allocations.empty() && request.clock_ns == 0) ++renewed_without_clock;
    for (auto& [name, run] : runs) {
      if (const auto it = request.allocations.find(name);
          it != request.allocations.end() && it->second == run.incarnation)
        run.lease_ends = std::max(run.lease_ends, clock_of(request.clock_ns) + lease);
      protocol::AllocationReport& report = reply.allocations[name];
      report.status = run.status;
      report.incarnation = run.incarnation;
      report.exit_code = run.exit_code;
      report.reason = run.reason;
      report.restart_failed = run.restart_failed;
      report.ended_by_owner = run.ended_by_owner;
      report.out_size = run.out.size();
      report.health = run.health;
      report.health_message = run.health_message;
      report.brings_inputs = brings_inputs && run.status == protocol::AllocationStatus::pending;
      if (run.status == protocol::AllocationStatus::pending) report.progress = progress;
      report.cpu_seconds = run.cpu_seconds;
    }
    while (holds_reports) (void)co_await sleep_for(100ms);
    co_return reply;
  }
  static protocol::Ack hanging() {
    protocol::Ack reply;
    reply.error = "its executor has not ended it yet";
    reply.in_progress = true;
    return reply;
  }
  Task<protocol::Ack> revert(protocol::RevertRequest request, const actor::Envelope&) {
    ++reverts;
    const Counted counted(removing);
    if (stop_takes > Duration(0)) (void)co_await sleep_for(stop_takes);
    if (hangs) co_return hanging();
    for (const std::string& name : request.allocations) {
      const auto run = runs.find(name);
      const auto only = request.incarnations.find(name);
      if (run != runs.end() && (only == request.incarnations.end() || run->second.is(only->second)))
        co_await forget(name);
    }
    protocol::Ack reply;
    reply.ok = true;
    co_return reply;
  }
  Task<protocol::Ack> shutdown(protocol::AllocationShutdownRequest request, const actor::Envelope&) {
    const std::string name(jobs::allocation_name(request.allocation_id));
    protocol::Ack reply;
    const Counted counted(request.keep ? stopping : removing);
    if (end_takes > Duration(0)) (void)co_await sleep_for(end_takes);
    if (hangs) co_return hanging();
    if (!request.keep) {
      ++shutdowns;
      co_await forget(name);
      reply.ok = true;
      co_return reply;
    }
    const auto run = runs.find(name);
    const bool named = run != runs.end() && (request.incarnation.empty() || run->second.is(request.incarnation));
    reply.ok = stops && named;
    if (!reply.ok) reply.error = "it cannot be stopped";
    if (reply.ok && !is_final(run->second.status)) {
      const bool has_run = run->second.status != protocol::AllocationStatus::pending &&
                           run->second.status != protocol::AllocationStatus::restarting;
      ++stopped;
      log.push_back("stop " + name);
      run->second.status = protocol::AllocationStatus::stopped;
      run->second.exit_code = has_run ? 143 : -1;
      if (has_run) run->second.out += run->second.last_words;
    }
    co_return reply;
  }
  Task<protocol::AllocationLogsResponse> logs(protocol::AllocationLogsRequest request, const actor::Envelope&) {
    protocol::AllocationLogsResponse reply;
    const Counted counted(reading);
    if (!request.stream.empty()) ++pages;
    if (!request.stream.empty() && unanswered_pages > 0) {
      --unanswered_pages;
      (void)co_await sleep_for(1h);
      co_return reply;
    }
    if (!request.stream.empty() && page_takes > Duration(0)) (void)co_await sleep_for(page_takes);
    expire();
    const auto run = runs.find(request.allocation_name);
    if (!request.stream.empty()) reply.error = refuse_pages;
    if (run == runs.end()) reply.error = "there is no such allocation";
    if (!reply.error.empty()) co_return reply;
    const bool of_previous =
        keeps_previous && !request.incarnation.empty() && request.incarnation == run->second.previous;
    std::string out = of_previous ? run->second.previous_out : run->second.out;
    if (request.stream == "stderr") out.clear();
    if (request.stream.empty()) {
      reply.out = to_bytes(out);
      co_return reply;
    }
    reply.incarnation = of_previous ? run->second.previous : run->second.incarnation;
    reply.total_size = out.size();
    reply.offset = std::min<std::uint64_t>(out.size(), std::max(request.offset, run->second.dropped));
    reply.data = to_bytes(std::string_view(out).substr(reply.offset, page_size));
    reply.next_offset = reply.offset + reply.data.size();
    const bool ended = of_previous ? previous_ends : is_final(run->second.status);
    reply.eof = ended && reply.next_offset == reply.total_size;
    if (forge) forge(reply);
    co_return reply;
  }
  Task<protocol::AllocationResultsReply> results(protocol::AllocationResultsRequest, const actor::Envelope&) {
    protocol::AllocationResultsReply reply;
    const Counted counted(sending_results);
    if (results_take > Duration(0)) (void)co_await sleep_for(results_take);
    reply.packing = packing;
    reply.ok = !packing;
    if (packing) reply.error = "they are being packed";
    co_return reply;
  }
  [[nodiscard]] SteadyTime clock_of(std::int64_t clock) const {
    return clock == 0 ? node_.lane().now() : SteadyTime(Duration(clock));
  }
  /// A run whose lease has ended is terminated.
  void expire() {
    for (auto& [name, run] : runs)
      if (lease > Duration(0) && !is_final(run.status) && node_.lane().now() >= run.lease_ends) {
        run.status = protocol::AllocationStatus::terminated;
        run.reason = "its lease has ended";
      }
  }

  actor::TestNode& node_;
  int incarnations_ = 0;
  int commits_in_progress_ = 0;
};

}  // namespace dms::orchestrator
