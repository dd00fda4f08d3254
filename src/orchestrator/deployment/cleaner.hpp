// Releases what providers may still hold although the deployment does not want it there.
//
// Model
//  1. Each entry of DeploymentRecord::superseded is requested to be released until its provider has replied; the pauses
//     grow. It is over when the time that the provider keeps it running without a message has passed since this daemon
//     began with it (a restart begins anew, which is the safe side): nothing waits for it any more. What the provider
//     of a lease keeps of an ended run is still asked for, until it has expired there.
//  2. A run that has ended is removed by the allocation's shutdown, all else by revert, which a provider answers even
//     if it holds nothing of the ensemble. Where that is refused or gets no reply, the other one is next, if every run
//     is known: a provider grants the shutdown with the allocation, but may not have granted the revert. A provider
//     that cannot release it now refuses, and is asked again.
//  3. Why the first request failed is in the record, and in the status of the deployment until the entry is over.
//
// Threads: the deployment's lane. Cancellation: run() ends; the next one goes on.
#pragma once

#include <set>

#include "orchestrator/deployment/parts.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kReleasePause = 1s;
inline constexpr Duration kMaxReleasePause = 30s;
/// For the reply to one revert: a provider that has just failed is not waited for.
inline constexpr Duration kReleaseTimeout = 5s;
/// A provider's default retention of ended runs.
inline constexpr Duration kResidueTime = 24h;

class Cleaner {
 public:
  /// `work` ends before this does.
  Cleaner(Parts parts, Nursery& work) : parts_(parts), work_(work) {}

  Task<void> run();

 private:
  Task<void> release(Superseded entry);
  Task<Result<void>> request(const Superseded& entry, bool shutdown);
  /// What has changed of the entry: why it is not released, whether it is over.
  Task<Result<void>> record(Superseded entry);

  Parts parts_;
  Nursery& work_;
  std::set<std::uint64_t> begun_;
};

}  // namespace dms::orchestrator
