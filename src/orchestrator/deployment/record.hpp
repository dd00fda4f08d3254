// The stored state of a deployment, and how it is changed: on disk first, then in memory.
//
// Model
//  1. A DeploymentRecord holds everything that the next start of the daemon needs: ensemble, manifest, status, reason,
//     deadline. It is one document of the store.
//  2. DurableRecord changes a record by storing the changed copy first. Changes of one record are applied one after
//     another. When the store fails, the record stays as it was: what is read is what is stored. Each change of the
//     status is logged, whichever part of the deployment made it.
//  3. RecordStore::load_all() skips documents that cannot be read and names them: one damaged record neither prevents
//     the daemon's start nor hides the others. It is left in the store for a newer version or for an operator.
//  4. Of the deployments that have ended, the kMaxEndedDeployments newest are kept, for kEndedRetention at most.
//
// Threads: the lane of the orchestrator; the store works on a worker thread. Cancellation: a cancelled change has
// happened on disk and in memory, or in neither.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "db/async_store.hpp"
#include "protocol/deployment.hpp"
#include "runtime/mutex.hpp"

namespace dms::orchestrator {

inline constexpr std::string_view kDeploymentCollection = "deployments";
inline constexpr std::size_t kMaxEndedDeployments = 1000;
inline constexpr Duration kEndedRetention = 30 * 24h;
/// Between two attempts to store a change that the store could not write; doubled each time up to kMaxSaveRetry.
inline constexpr Duration kSaveRetry = 1s;
inline constexpr Duration kMaxSaveRetry = 1min;

struct DeploymentRecord {
  std::string id;
  jobs::Ensemble ensemble;
  protocol::EnsembleManifest manifest;
  protocol::DeploymentStatus status = protocol::DeploymentStatus::preparing;
  std::string error;           ///< why it failed, or why the last attempt did
  std::uint64_t deadline = 0;  ///< ns since 1970
  std::uint64_t created = 0;
  std::uint64_t ended = 0;  ///< 0 while it has not ended; records of older versions lack it
  static constexpr auto json_fields() {
    using R = DeploymentRecord;
    return std::tuple(json::field("id", &R::id), json::field("ensemble", &R::ensemble),
                      json::field("manifest", &R::manifest), json::field("status", &R::status),
                      json::field("error", &R::error), json::field("deadline", &R::deadline),
                      json::field("created", &R::created), json::field("ended", &R::ended, json::omit_empty));
  }
};

class RecordStore {
 public:
  explicit RecordStore(db::AsyncStore& store) : store_(store) {}
  virtual ~RecordStore() = default;

  /// The record is on disk when this has succeeded.
  virtual Task<Result<void>> save(DeploymentRecord record);
  Task<Result<std::optional<DeploymentRecord>>> load(std::string id);

  struct Loaded {
    std::vector<DeploymentRecord> records;
    std::vector<std::string> unreadable;  ///< ids, see (3)
  };
  Task<Result<Loaded>> load_all();

  /// Removes the records that (4) does not keep and returns their ids.
  Task<Result<std::vector<std::string>>> prune(UnixTime now);

 private:
  db::AsyncStore& store_;
};

class DurableRecord {
 public:
  using Change = std::function<void(DeploymentRecord&)>;
  DurableRecord(RecordStore& store, DeploymentRecord record) : store_(store), record_(std::move(record)) {}

  [[nodiscard]] const DeploymentRecord& get() const { return record_; }
  const DeploymentRecord* operator->() const { return &record_; }

  Task<Result<void>> update(Change change);
  /// Repeated until the store accepts it; fails only when the caller is cancelled.
  Task<Result<void>> update_until_stored(Change change);

 private:
  RecordStore& store_;
  DeploymentRecord record_;
  Mutex changing_;  ///< held from the copy of the record to its replacement
};

}  // namespace dms::orchestrator
