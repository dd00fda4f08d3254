// The stored state of an allocation: what a start of the daemon needs to go on where the previous one was.
//
// Model
//  1. phases: allocated -> starting -> running -> ended -> releasing -> (erased). A restart of the work goes from
//     running or ended to starting, under a new incarnation; work that fails to start goes from starting to ended, and
//     work whose lease is over goes to ended from any earlier phase. releasing can be entered from each.
//  2. A phase is on disk before what it names is done: `starting` before the executor is asked, `releasing` before
//     anything is removed. `running` and `ended` are entered after the executor has reported them; what it knows
//     counts.
//  3. AllocationStore keeps two documents of an allocation, in one transaction each: the record, and its lease
//     (leases.hpp), which changes often and is small.
//  4. A record that cannot be read is set aside (db/readable.hpp); its allocation is none any more.
//
// Threads: the node's lane; the store works on a worker thread. Attacks: the parts that an orchestrator chooses were
// checked before they were stored, and are checked again when they are used. No secret is stored: the key of an
// allocation's actor is derived from the node's (actor_key_label()).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actor/handle.hpp"
#include "encoding/named_enum.hpp"
#include "protocol/allocation.hpp"
#include "provider/leases.hpp"

namespace dms::provider {

inline constexpr std::string_view kAllocationCollection = "allocations";

enum class Phase { allocated, starting, running, ended, releasing };
NAMED_ENUM(Phase, {Phase::allocated, "allocated"}, {Phase::starting, "starting"}, {Phase::running, "running"},
           {Phase::ended, "ended"}, {Phase::releasing, "releasing"});

/// How a run ended.
struct End {
  protocol::AllocationStatus status = protocol::AllocationStatus::failed;
  int exit_code = 0;
  bool killed = false;
  std::string reason;
  std::uint64_t out_size = 0;
  std::uint64_t err_size = 0;
  double cpu_seconds = 0;
  std::uint64_t memory_bytes = 0;
  std::int64_t at_ns = 0;       ///< of SteadyTime, in the boot of the record
  bool acknowledged = false;    ///< by the orchestrator
  bool restart_failed = false;  ///< it was to replace another run, and could not be started
  bool by_owner = false;        ///< the owner of this machine has ended it
  static constexpr auto json_fields() {
    using E = End;
    constexpr auto omit = json::omit_empty;
    return std::tuple(
        json::field("status", &E::status), json::field("exit_code", &E::exit_code, omit),
        json::field("killed", &E::killed, omit), json::field("reason", &E::reason, omit),
        json::field("stdout_size", &E::out_size, omit), json::field("stderr_size", &E::err_size, omit),
        json::field("cpu_seconds", &E::cpu_seconds, omit), json::field("memory_bytes", &E::memory_bytes, omit),
        json::field("at", &E::at_ns, omit), json::field("acknowledged", &E::acknowledged, omit),
        json::field("restart_failed", &E::restart_failed, omit), json::field("by_owner", &E::by_owner, omit));
  }
};

struct AllocationRecord {
  std::string id;    ///< as the orchestrator knows it
  std::string name;  ///< local (local_names.hpp); the id of the document
  protocol::AllocationConfig config;
  actor::Handle orchestrator;
  std::string node;              ///< of the ensemble; empty in records of older versions
  std::uint64_t created_ns = 0;  ///< since 1970
  Phase phase = Phase::allocated;
  std::string boot_id;                         ///< in which the phase was entered
  std::string incarnation;                     ///< of the current run, or of the first one to come
  std::string previous;                        ///< the incarnation that a restart replaced
  std::uint32_t restarts = 0;                  ///< by its orchestrator; records of older versions lack it
  std::uint64_t started_ns = 0;                ///< since 1970; 0: this incarnation has not run
  bool stopping = false;                       ///< this run is to end, or has ended, and no other one follows
  std::optional<std::int64_t> owner_grace_ns;  ///< set: the owner of this machine has this run ended, with this grace
  std::string over_disk;                       ///< set: this run is being ended for the disk that it takes, and why
  std::optional<End> end;
  static constexpr auto json_fields() {
    using R = AllocationRecord;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("id", &R::id), json::field("name", &R::name), json::field("config", &R::config),
                      json::field("orchestrator", &R::orchestrator), json::field("node", &R::node, omit),
                      json::field("created", &R::created_ns), json::field("phase", &R::phase),
                      json::field("boot", &R::boot_id), json::field("incarnation", &R::incarnation),
                      json::field("previous", &R::previous, omit), json::field("restarts", &R::restarts, omit),
                      json::field("started", &R::started_ns, omit), json::field("stopping", &R::stopping, omit),
                      json::field("owner_grace", &R::owner_grace_ns, omit),
                      json::field("over_disk", &R::over_disk, omit), json::field("end", &R::end, omit));
  }
};

/// For crypto::PrivateKey::derive(): the same after each start of the daemon, another one for each allocation.
std::string actor_key_label(const AllocationRecord& record);

/// Whether its lease, or the owner of this machine, has ended it before it was ever started: there is no output.
bool is_unstarted(const AllocationRecord& record);

/// Whether its names are safe as inbox, folder and document: they are used as such.
Result<void> check(const AllocationRecord& record);

class AllocationStore {
 public:
  explicit AllocationStore(db::AsyncStore& store) : store_(store) {}

  Task<Result<void>> create(AllocationRecord record, Lease lease);
  Task<Result<void>> save(AllocationRecord record);
  /// Both documents.
  Task<Result<void>> erase(std::string name);

  struct Loaded {
    AllocationRecord record;
    Lease lease;  ///< over, if there is none that can be read
  };
  /// Also erases leases without a record. Blocks: for the start of the daemon.
  Result<std::vector<Loaded>> load();

 private:
  db::AsyncStore& store_;
};

}  // namespace dms::provider
