// One allocation: an actor, and the work that it runs on this machine, durably.
//
// Model
//  1. The record (record.hpp) is the truth: each change of it is on disk before it acts, and changes are made one at a
//     time. A start of the daemon makes the allocation from its record and calls resume(): the work goes on.
//  2. A run is named by its incarnation. Everything that waits for something (the executor, a timer, an answer) names
//     the incarnation that it belongs to, and changes nothing once another one has begun.
//  3. start() runs the work once; repeated, it answers how that went. restart() replaces the run: the record names the
//     new incarnation before the old run is stopped, so a start of the daemon in between stops the old one and starts
//     the new one. Repeated for the same old incarnation, it answers with the new one. A run that has ended goes on
//     with the lease that it has; once that is over, or the run has been stopped, or if only what runs is to be
//     restarted (OnlyRunning), there is no restart. The output of the run that was replaced can be read until the next
//     restart, or release(). If the next run cannot be started here, its end says so (restart_failed), also when a start
//     of the daemon has tried it. The end of a run that the machine has lost, or whose executor it does not offer any
//     more, does not.
//  4. At the end of its lease (end_lease()) the work is stopped; an allocation that is being started or was never
//     started ends, too.
//  5. When a run has ended, the end is stored, then resources are freed, then the orchestrator is notified, with pauses
//     from kFirstNoticePause to kLongestNoticePause, until it acknowledges, also across starts of the daemon.
//     Orchestrators of DMS 0.5.x never acknowledge (they request no lease either): for them, what has been sent counts.
//     A start that fails is reported by its reply alone, if that is awaited.
//  6. stop() ends the work and leaves all else: that it does is stored before, so a start of the daemon in between goes
//     on with it. The run ends as `stopped`, which its caller learns from the reply alone. No other run follows, so the
//     output stays, whichever of a stop and a restart comes first. stop_by_owner() does the same for the owner of this
//     machine. The run ends as `terminated`, with kEndedByOwner as its reason, and the orchestrator is notified. What
//     the orchestrator has had stopped before ends as for that.
//  7. What only a report would tell of the present run, another health or a run that is started again, is hinted to an
//     orchestrator that renews (protocol/allocation.hpp, 5). So is a run that a start of the daemon takes up, as soon
//     as the orchestrator can be reached, since the reply to the start may be lost, or the start itself if there has
//     been none. One without a lease of its own is not bothered.
//  8. release() ends the work and removes its container or sandbox, its folder and its actor. It can be repeated until
//     it has succeeded; then the machine holds nothing of the allocation but its record.
//  9. close() lets go: the work continues, the record stays.
// 10. Before the work runs, and as long as it does, its actor listens at a socket that the executor shows to it
//     (work_socket.hpp), if the executor can; the environment of the work says where. Without a socket the work runs
//     all the same. The folder of the socket is removed by release().
// 11. A run whose work folder takes more than the disk of its allocation is ended without a grace, as `failed` with the
//     reason. The folder is counted (disk_use.hpp) as the run begins, then after kFirstDiskPause, or up to
//     kLongestDiskPause while nothing changes; a count that takes long is followed by a rest of kDiskRest times as
//     long, kLongestDiskRest at most. So a run can be above its disk by what it writes in that time. What is found
//     above it is counted a second time: one count may find twice what is renamed meanwhile. An end that is stored
//     comes, also after a start of the daemon. A restart with a folder that is above the disk does not run. What the
//     engine says that the run has written elsewhere counts too, as last asked. Not counted: output and what was
//     brought as an image, which have bounds of their own.
// 12. While a run is being started, progress() says how far its inputs and its image are. An orchestrator that renews
//     is told a change of that, a message at a time and none within kProgressPause of the one before. Nothing is told
//     later than that, so nothing is queued, and one that is lost is made up for by the next.
//
// Threads: the node's lane; folders are removed by a worker. Failure: a full disk refuses start(), restart() and
// release() and changes nothing; the end of a run is stored as soon as the disk takes it, and the executor knows it
// until then.
// Attacks: only the orchestrator of the allocation can use it; its output is bounded by the executor; its name has been
// checked to be a safe file name (keys.hpp).
#pragma once

#include <filesystem>

#include "actor/actor.hpp"
#include "executor/executor.hpp"
#include "network/network.hpp"
#include "protocol/health.hpp"
#include "protocol/manifest.hpp"
#include "provider/disk_use.hpp"
#include "provider/health.hpp"
#include "provider/local_names.hpp"
#include "provider/own_folder.hpp"
#include "provider/record.hpp"
#include "provider/work_socket.hpp"
#include "runtime/nursery.hpp"

namespace dms::provider {

inline constexpr Duration kStopGrace = 10s;
inline constexpr std::string_view kEndedByOwner = "ended by the owner of the machine";
/// After the end of a lease, a replacement may start elsewhere soon.
inline constexpr Duration kLeaseGrace = 2s;
inline constexpr Duration kFirstNoticePause = 1s;
inline constexpr Duration kLongestNoticePause = 60s;
inline constexpr Duration kFirstRetry = 1s;
inline constexpr Duration kLongestRetry = 30s;
inline constexpr Duration kStatsTimeout = 2s;
/// How long the disk that it uses is not counted again.
inline constexpr Duration kDiskKnown = 10s;
/// Between two looks at the disk that a run takes: at first and while it changes, and at most.
inline constexpr Duration kFirstDiskPause = 2s;
inline constexpr Duration kLongestDiskPause = 10s;
/// After a look, in terms of the time that it took.
inline constexpr int kDiskRest = 9;
/// At most: the time of a look may have been that of a machine that was suspended, or of an engine that hung.
inline constexpr Duration kLongestDiskRest = 10min;
inline constexpr Duration kDiskGrace = 0s;
/// Of a run whose allocation declares none.
inline constexpr std::uint64_t kUndeclaredDisk = std::uint64_t{1} << 30;
/// Between two messages about the progress of one start.
inline constexpr Duration kProgressPause = 1s;
/// Attempts to take over its files; then what cannot be removed is quarantined.
inline constexpr int kTakings = 3;

class Allocation : public std::enable_shared_from_this<Allocation> {
 public:
  struct Parts {
    AllocationStore& store;
    Leases& leases;
    executor::Executor* engine;  ///< null: this machine does not offer the executor any more
    std::string boot_id;
    std::filesystem::path folder;  ///< of this allocation
    network::Network& network;
    Mutex& counting;       ///< held while the disk of an allocation is counted: one at a time
    Mutex& counting_many;  ///< the same, of one with many entries
    const OwnFolder& own_folder;
    Net* net = nullptr;                       ///< null: its work gets no socket
    std::filesystem::path actor_folder = {};  ///< of that socket
  };
  /// Called on the lane; what they return is awaited.
  struct Hooks {
    std::function<void(protocol::AllocationStatus)> entered;
    std::function<Task<void>()> free_resources;
    std::function<Task<Result<void>>()> take_resources;            ///< again, for a restart after an end
    std::function<Task<void>()> heard_from;                        ///< the orchestrator
    std::function<Task<void>(std::filesystem::path)> end_packing;  ///< of the results of a run, before the next one
    /// See WorkActor::Parts::siblings_here.
    std::function<std::vector<actor::Handle>(const std::string& behaviour, const std::string& topic)> siblings_here;
    /// Whether this configuration may take the place of the one that is kept; counts it then.
    std::function<Result<void>(const protocol::AllocationConfig&)> make_room;
  };

  Allocation(std::unique_ptr<actor::Actor> actor, Parts parts, AllocationRecord record, LocalName name, Hooks hooks);
  /// Registers the behaviours.
  Result<void> open();
  /// After a start of the daemon. `known`: the executor has taken up the run.
  void resume(bool known);
  /// The run may go on, and its engine has not answered since the start of the daemon: resume() comes when it has.
  [[nodiscard]] bool awaits_engine() const;

  [[nodiscard]] const AllocationRecord& record() const { return record_; }
  [[nodiscard]] const std::string& name() const { return name_.text(); }
  [[nodiscard]] const std::filesystem::path& folder() const { return parts_.folder; }
  [[nodiscard]] actor::Actor& actor() { return *actor_; }
  /// The actor of its work, if that has registered the behaviour with the topic.
  [[nodiscard]] std::optional<actor::Handle> subscriber(const std::string& behaviour, const std::string& topic) const {
    return socket_ ? socket_->subscriber(behaviour, topic) : std::nullopt;
  }
  /// Whether its work gets a socket of its actor.
  [[nodiscard]] bool offers_actor() const {
    return parts_.net != nullptr && parts_.engine != nullptr && parts_.engine->binds_actor_dir();
  }
  [[nodiscard]] protocol::AllocationStatus status() const;
  [[nodiscard]] bool active() const { return record_.phase < Phase::ended; }
  /// Also while the run that has ended is being replaced.
  [[nodiscard]] bool needs_resources() const { return active() || replacing_.locked(); }
  /// How long ago the run has ended; 0 while it has not.
  [[nodiscard]] Duration ended_for() const;
  /// What the executor is asked to run; `recover()` needs the same.
  [[nodiscard]] Result<executor::Request> execution_request() const;
  /// Those that `recover()` may find: the current run, and the one whose end it may still wait for.
  [[nodiscard]] Result<std::vector<executor::Request>> known_requests() const;

  /// The tail of the output so far.
  Task<Result<executor::Logs>> logs();
  /// `run`: the current one, also if it is empty, or the one that it has replaced.
  Task<Result<executor::LogPage>> read_log(std::string run, executor::LogStream stream, std::uint64_t offset,
                                           std::size_t max_bytes);
  Task<protocol::AllocationReport> report();
  /// See (12).
  [[nodiscard]] std::optional<protocol::StartProgress> progress() const;

  /// See OwnFolder.
  template <class Reply>
  void before_reply(Reply& reply, const actor::Envelope& request) const {
    parts_.own_folder.leave_out(reply, request.from.did);
  }

  Task<void> end_lease();
  /// Success when the run has ended, and its end and that no other follows are stored.
  Task<Result<void>> stop();
  /// The same, whatever the orchestrator wants.
  Task<Result<void>> stop_by_owner(Duration grace);
  /// Of its folder, as last counted; 0: not yet.
  [[nodiscard]] std::uint64_t disk_bytes() const { return disk_ ? disk_->bytes.value_or(0) : 0; }
  /// The executor is told the end of the lease.
  Task<void> extend();
  Task<Result<void>> release();
  Task<void> close();

 private:
  using Change = std::function<Result<void>(AllocationRecord&)>;
  struct Sizes {
    std::uint64_t out = 0;
    std::uint64_t err = 0;
  };
  /// What the stats before said.
  struct Sample {
    SteadyTime at{};
    double cpu_seconds = 0;
  };
  struct Disk {
    SteadyTime at{};
    std::optional<std::uint64_t> bytes;
  };
  struct Look {
    std::uint64_t bytes = 0;
    Duration took = 0ns;
    std::string over;       ///< set: more than it may take
    bool given_up = false;  ///< this run is let go
  };
  struct Checks {
    HealthMonitor monitor;
    Nursery tasks;
  };

  Task<protocol::Ack> start(protocol::StartRequest request, const actor::Envelope& envelope);
  Task<protocol::RestartReply> restart(protocol::RestartRequest request, const actor::Envelope& envelope);
  Task<protocol::AllocationStatsReply> stats(protocol::Nothing request, const actor::Envelope& envelope);
  Task<protocol::AllocationStats> usage_now(std::optional<executor::Stats> counted);
  Task<std::optional<std::uint64_t>> disk_now();
  Task<Result<DiskUse>> count_folder(std::filesystem::path folder, std::uint64_t enough, Mutex& turn, Duration& took);
  Task<Result<std::uint64_t>> bytes_in(std::filesystem::path folder, Duration& took);
  [[nodiscard]] std::uint64_t disk_limit() const;
  Task<Look> look_at_disk();
  Task<void> count_elsewhere(std::string incarnation);
  Task<void> guard_disk(std::string incarnation);
  Task<void> end_for_disk(std::string incarnation, std::string reason);
  Task<protocol::Ack> ask_health(protocol::Nothing request, const actor::Envelope& envelope);
  Task<protocol::Ack> register_check(protocol::HealthCheckRegistration request, const actor::Envelope& envelope);
  [[nodiscard]] bool is_starting(const std::string& incarnation) const;
  Task<Result<void>> outcome_of_start(std::string incarnation, UnixTime expiry);
  Task<Result<std::string>> replace_run(std::string incarnation, bool only_running);

  /// Errc::cancelled if the change refuses because it is out of date.
  Task<Result<void>> update(Change change);
  Task<Result<void>> update_until_stored(Change change);
  void set_record(AllocationRecord record);

  // The tasks of a run, in run_
  Task<void> launch(std::string incarnation);
  Task<void> relaunch(std::shared_ptr<Nursery> earlier, std::string previous, std::string incarnation);
  Task<void> tell_progress(std::string incarnation);
  Task<void> watch(std::string incarnation);
  Task<void> begin_checks();
  void on_health();
  Task<void> end_checks();
  Task<void> finish(std::string incarnation, executor::ExecutionResult result, bool restart_failed = false);
  Task<void> notify(std::string incarnation);
  Task<Result<void>> tell_end();
  /// `until_sent`: repeated while the orchestrator cannot be reached.
  void hint(bool until_sent = false);
  Task<void> send_hint(bool until_sent);
  Task<protocol::TaskTermination> notice() const;
  Task<void> close_run();
  Task<void> open_socket();
  Task<void> close_socket();
  /// The work finds the socket at the same place however it is run.
  void show_socket(executor::Request& request) const;

  [[nodiscard]] End describe_end(const executor::ExecutionResult& result) const;
  [[nodiscard]] std::string lease_reason() const;
  Task<Result<void>> take_files();
  Task<Result<void>> stop_with(std::optional<Duration> owner_grace);
  /// Ends the run from outside, for as long as `wanted` says so.
  Task<void> end_run(Duration grace, std::function<bool()> wanted);
  Task<Result<void>> remove_run(std::string incarnation, Duration grace);
  /// As far as it is known: of a log that cannot be read the last known size, and more than none.
  Task<std::uint64_t> size_of(executor::LogStream stream);
  [[nodiscard]] executor::ExecutionId run_id() const { return executor::ExecutionId(record_.incarnation); }
  [[nodiscard]] Lane& lane() { return lane_; }

  Lane& lane_;
  std::unique_ptr<actor::Actor> actor_;
  Parts parts_;
  AllocationRecord record_;
  LocalName name_;
  Hooks hooks_;
  Mutex changing_;   ///< held from the copy of the record to its replacement
  Mutex replacing_;  ///< held while a restart takes resources and stores the new incarnation
  Notify changed_;
  std::shared_ptr<Nursery> run_;
  std::shared_ptr<WorkSocket> socket_;  ///< of the current run
  std::shared_ptr<Checks> checks_;      ///< of the health of the current run
  executor::Stats usage_;               ///< of the current run, as last asked
  std::optional<Sample> sample_;        ///< of the current run
  std::optional<Disk> disk_;            ///< as last counted
  std::uint64_t elsewhere_ = 0;         ///< bytes that the current run has written outside of its work folder
  int refused_takings_ = 0;             ///< of its files, by an engine that has tried
  Sizes sizes_;                         ///< of its output, as last read
  bool bringing_inputs_ = false;        ///< of the current run
  protocol::StartProgress brought_;     ///< of its inputs
  bool watching_ = false;               ///< watch() waits for the end of the run, and ends the checks
  int starters_ = 0;                    ///< requests that wait for the outcome of a start
};

}  // namespace dms::provider
