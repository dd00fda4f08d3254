// Releases what providers may still hold although the deployment does not want it there.
//
// Model
//  1. Each entry of DeploymentRecord::superseded is requested to be released until its provider has replied, or until it
//     cannot exist any more: the time that the provider keeps it without a message has passed since this daemon began
//     with it (a restart begins anew, which is the safe side). Then the entry is removed. The pauses grow.
//  2. A run that has ended is removed by the allocation's shutdown; where that is refused or gets no reply, and for all
//     else, by revert, which a provider answers even if it holds nothing of the ensemble. A provider that cannot release
//     it now refuses, and is asked again.
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

class Cleaner {
 public:
  /// `work` ends before this does.
  Cleaner(Parts parts, Nursery& work) : parts_(parts), work_(work) {}

  Task<void> run();

 private:
  Task<void> release(Superseded entry);
  Task<Result<void>> request(const Superseded& entry, bool shutdown);

  Parts parts_;
  Nursery& work_;
  std::set<std::uint64_t> begun_;
};

}  // namespace dms::orchestrator
