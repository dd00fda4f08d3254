// The stored state of a deployment, and how it is changed: on disk first, then in memory.
//
// Model
//  1. A DeploymentRecord holds everything that the next start of the daemon needs: ensemble, manifest, status, reason,
//     the time that is left to deploy, what providers may still hold although the manifest does not name it
//     (superseded), the machines that stand by (standby.hpp), the state of its supervision (supervision/trees.hpp),
//     which runs are being restarted and which of those restarts have not begun (unbegun), which starts were requested,
//     which run's output is on disk, of which runs the last output is not, and which results are not; machines that are
//     not asked again (barred);
//     and, to be shown, how often work has moved to another machine or was changed, and why its machines were chosen.
//     It is one document of the store.
//     Records of older versions lack the later members and are read all the same.
//  2. DurableRecord changes a record by storing the changed copy first. Changes of one record are applied one after
//     another. When the store fails, the record stays as it was: what is read is what is stored. Each change of the
//     status is logged, whichever part of the deployment made it.
//  3. RecordStore::load_all() skips documents that cannot be read and names them: one damaged record neither prevents
//     the daemon's start nor hides the others. It is left in the store for a newer version or for an operator.
//  4. Of the deployments that have ended, the kMaxEndedDeployments newest are kept, for kEndedRetention at most; all of
//     which a provider may still hold something are kept. The output of a deployment is removed before its record, so
//     that none is left that no record names.
//  5. The time left to deploy is monotonic: an instant of this boot of the machine and, for the next boot, the
//     remaining time at the last change. A wall clock that jumps changes neither.
//
// Threads: the lane of the orchestrator; the store works on a worker thread. Cancellation: a cancelled change has
// happened on disk and in memory, or in neither.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "db/async_store.hpp"
#include "orchestrator/deployment/signal.hpp"
#include "orchestrator/supervision/tree_state.hpp"
#include "protocol/deployment.hpp"
#include "runtime/mutex.hpp"

namespace dms::orchestrator {

inline constexpr std::string_view kDeploymentCollection = "deployments";
inline constexpr std::size_t kMaxEndedDeployments = 1000;
inline constexpr Duration kEndedRetention = 30 * 24h;
/// Between two attempts to store a change that the store could not write; doubled each time up to kMaxSaveRetry.
inline constexpr Duration kSaveRetry = 1s;
inline constexpr Duration kMaxSaveRetry = 1min;

/// What a provider may still hold of a deployment although the manifest does not name it; see cleaner.hpp.
struct Superseded {
  std::uint64_t number = 0;  ///< of this entry in its record
  std::string node;
  std::string peer;
  actor::Handle handle;                 ///< of the provider
  json::StringMap allocations;          ///< name -> incarnation, empty if it is not known
  std::int64_t hold_ns = 0;             ///< how long the provider may keep them without a message
  std::uint64_t until_ns = 0;           ///< the end of that, ns since 1970: shown, and nothing else
  std::vector<std::string> unfetched;   ///< allocations whose output is fetched before they are released
  std::vector<std::string> unstarted;   ///< of those, the ones that are not known to have begun
  std::vector<std::string> restarting;  ///< allocations whose run was requested to end for the next one, unanswered
  /// Of a shutdown: allocation -> why its provider has not said yet that its run has ended; empty if `problem` says it.
  json::StringMap stopping;
  bool ended = false;      ///< their runs have ended, and the output is here
  bool exclusive = false;  ///< what replaces its allocations waits for this, until it is over
  bool over = false;       ///< nothing of it can run any more
  std::string problem;     ///< why the first request to release it failed, if its runs have not ended
  static constexpr auto json_fields() {
    using S = Superseded;
    return std::tuple(
        json::field("number", &S::number), json::field("node", &S::node), json::field("peer", &S::peer),
        json::field("handle", &S::handle), json::field("allocations", &S::allocations),
        json::field("hold", &S::hold_ns), json::field("until", &S::until_ns, json::omit_empty),
        json::field("unfetched", &S::unfetched, json::omit_empty),
        json::field("unstarted", &S::unstarted, json::omit_empty),
        json::field("restarting", &S::restarting, json::omit_empty),
        json::field("stopping", &S::stopping, json::omit_empty), json::field("ended", &S::ended, json::omit_empty),
        json::field("exclusive", &S::exclusive, json::omit_empty), json::field("over", &S::over, json::omit_empty),
        json::field("problem", &S::problem, json::omit_empty));
  }
};

/// A run that another one has replaced, and whose last output is not here.
struct Rest {
  std::string allocation;
  std::string run;
  std::string missing;       ///< why it does not come; empty while it is to be fetched
  std::uint64_t number = 0;  ///< of the Superseded before whose release it is fetched, if there is one
  static constexpr auto json_fields() {
    return std::tuple(json::field("allocation", &Rest::allocation), json::field("run", &Rest::run),
                      json::field("missing", &Rest::missing, json::omit_empty),
                      json::field("number", &Rest::number, json::omit_empty));
  }
};

/// A machine that stands by for a node, see standby.hpp.
struct Standby {
  /// Its provider has made all of it.
  [[nodiscard]] bool ready() const {
    return !allocations.empty() &&
           std::ranges::none_of(allocations, [](const auto& pair) { return pair.second.handle.address.inbox.empty(); });
  }

  protocol::NodeManifest node;  ///< that of its own id; `primary_node` is the one that it stands by for
  std::map<std::string, protocol::AllocationManifest> allocations;
  static constexpr auto json_fields() {
    return std::tuple(json::field("node", &Standby::node), json::field("allocations", &Standby::allocations));
  }
};

struct DeploymentRecord {
  /// Whether something is left to do after the end: at a provider, or for the output.
  [[nodiscard]] bool unsettled() const { return !superseded.empty() || !lost.empty(); }
  /// Whether something that is superseded may run.
  [[nodiscard]] bool may_run_elsewhere() const {
    return std::ranges::any_of(superseded, [](const Superseded& entry) { return !entry.over; });
  }

  std::string id;
  jobs::Ensemble ensemble;
  protocol::EnsembleManifest manifest;
  protocol::DeploymentStatus status = protocol::DeploymentStatus::preparing;
  std::string error;           ///< why it failed, or why the last attempt did
  std::uint64_t deadline = 0;  ///< ns since 1970
  std::uint64_t created = 0;
  std::uint64_t ended = 0;  ///< 0 while it has not ended; records of older versions lack it
  // Not in records of older versions.
  std::string boot_id;  ///< of the boot in which `deploy_until_ns` is an instant
  std::int64_t deploy_until_ns = 0;
  std::int64_t remaining_ns = 0;  ///< to deploy, at the last change
  std::uint64_t last_number = 0;  ///< of a Superseded
  std::vector<Superseded> superseded;
  std::map<std::string, std::string> restarting;  ///< allocation -> the run that was requested to end for the next one
  /// allocation -> the last run that was requested to end for the next one, empty when the next one counts; until that
  /// is known to have begun
  std::map<std::string, std::string> unbegun;
  std::map<std::string, std::string> starts;   ///< allocation -> the run whose start was requested
  std::map<std::string, std::string> outputs;  ///< allocation -> the run whose output is on disk
  std::vector<Rest> rests;                     ///< oldest first
  std::vector<std::string> lost;  ///< allocations that failed with their machine, whose output is not here yet
  std::map<std::string, json::StringMap> absent;  ///< allocation -> its results that are not here, with the reasons
  std::map<std::string, std::string> ran_on;      ///< allocation -> the machine on which its last run has begun
  std::map<std::string, std::uint32_t> moves;     ///< allocation -> runs that began on another one than those before
  std::map<std::string, std::uint32_t> changes;   ///< allocation -> updates that have changed it
  std::optional<protocol::Choice> choice;         ///< why its machines were chosen (matching/explanation.hpp)
  std::vector<std::string> barred;                ///< machines whose owner has ended work of this deployment
  std::optional<TreeState> tree;                  ///< of the supervision that the ensemble asks for
  std::map<std::string, Standby> standbys;        ///< by their ids
  static constexpr auto json_fields() {
    using R = DeploymentRecord;
    return std::tuple(
        json::field("id", &R::id), json::field("ensemble", &R::ensemble), json::field("manifest", &R::manifest),
        json::field("status", &R::status), json::field("error", &R::error), json::field("deadline", &R::deadline),
        json::field("created", &R::created), json::field("ended", &R::ended, json::omit_empty),
        json::field("boot_id", &R::boot_id, json::omit_empty),
        json::field("deploy_until", &R::deploy_until_ns, json::omit_empty),
        json::field("remaining", &R::remaining_ns, json::omit_empty),
        json::field("last_number", &R::last_number, json::omit_empty),
        json::field("superseded", &R::superseded, json::omit_empty),
        json::field("restarting", &R::restarting, json::omit_empty),
        json::field("unbegun", &R::unbegun, json::omit_empty), json::field("starts", &R::starts, json::omit_empty),
        json::field("outputs", &R::outputs, json::omit_empty), json::field("rests", &R::rests, json::omit_empty),
        json::field("lost", &R::lost, json::omit_empty), json::field("absent", &R::absent, json::omit_empty),
        json::field("ran_on", &R::ran_on, json::omit_empty), json::field("moves", &R::moves, json::omit_empty),
        json::field("changes", &R::changes, json::omit_empty), json::field("choice", &R::choice, json::omit_empty),
        json::field("barred", &R::barred, json::omit_empty), json::field("tree", &R::tree, json::omit_empty),
        json::field("standbys", &R::standbys, json::omit_empty));
  }
};

/// The record in a document of the store. Errors: invalid_argument for what is no record of this id with an ensemble;
/// those of db::Store::read().
Result<DeploymentRecord> read_record(std::string_view id, std::string_view text);

class RecordStore {
 public:
  explicit RecordStore(db::AsyncStore& store) : store_(store) {}
  virtual ~RecordStore() = default;

  /// The record is on disk when this has succeeded.
  virtual Task<Result<void>> save(DeploymentRecord record);
  Task<Result<std::optional<DeploymentRecord>>> load(std::string id);

  struct Loaded {
    std::vector<DeploymentRecord> records;
    json::StringMap unreadable;  ///< id -> why, see (3)
  };
  Task<Result<Loaded>> load_all();

  /// Also one that cannot be read.
  Task<Result<bool>> exists(std::string id);
  Task<Result<void>> erase(std::string id);
  /// The ids of the records that (4) does not keep.
  Task<Result<std::vector<std::string>>> expired(UnixTime now);

 private:
  db::AsyncStore& store_;
};

class DurableRecord {
 public:
  using Change = std::function<void(DeploymentRecord&)>;
  DurableRecord(RecordStore& store, DeploymentRecord record) : store_(store), record_(std::move(record)) {}

  [[nodiscard]] const DeploymentRecord& get() const { return record_; }
  /// Raised after each change.
  [[nodiscard]] Signal& changed() { return changed_; }
  /// Applied to each change before it is stored.
  void stamp_with(Change stamp) { stamp_ = std::move(stamp); }
  const DeploymentRecord* operator->() const { return &record_; }

  /// What `change` finds nothing to do for is stored all the same.
  Task<Result<void>> update(Change change);
  /// Repeated until the store accepts it; fails only when the caller is cancelled, and after close().
  Task<Result<void>> update_until_stored(Change change);
  /// From then on nothing is stored: changes fail with Errc::closed. Waits for the one that is being stored.
  Task<void> close();

 private:
  RecordStore& store_;
  DeploymentRecord record_;
  bool closed_ = false;
  Change stamp_;
  Signal changed_;
  Mutex changing_;  ///< held from the copy of the record to its replacement
};

}  // namespace dms::orchestrator
