// Releases what providers may still hold although the deployment does not want it there.
//
// Model
//  1. Each entry of DeploymentRecord::superseded is requested to be released until its provider has replied; the pauses
//     grow, and one ends within kReleasePause when a connection to the provider appears. It is over when the time that
//     the provider keeps it running without a message has passed since this daemon began with it (a restart begins
//     anew, which is the safe side): nothing waits for it any more. What the provider of a lease keeps of an ended run
//     is still asked for, until it has expired there.
//  2. A run that has ended is removed by the allocation's shutdown, all else by revert, which a provider answers even
//     if it holds nothing of the ensemble. Where that is refused or gets no reply, the other one is next, if every run
//     is known: a provider grants the shutdown with the allocation, but may not have granted the revert. A provider
//     that cannot release it now refuses, and is asked again. A run with a lease that had ended before this daemon
//     began is removed by revert first: the provider may have removed it for the daemon before, and its grant of the
//     shutdown with it.
//  3. Output that is not all here (Superseded::unfetched) is fetched first: the run is stopped, and its provider keeps
//     it meanwhile. That of an allocation which has ended so is asked for as long as its provider may keep it. It is
//     given up at once when the stop gets no reply and the provider reports that it has nothing of the allocation (a
//     provider has no such behaviour for an ensemble of which it holds nothing), so that the revert comes next; and
//     when the provider refuses it for kRefusalPatience, or the stop as well, or answers and sends nothing for
//     kCollectPatience (endings.hpp); what contradicts itself does not count as sent, and a full disk here is waited
//     out. That of a run which is replaced, or was removed by an update, delays the release by kLastOutput at most once
//     its provider answers, and by kMaxStored bytes of a stream. No fetch delays what is due after a time, see (1). Of
//     a run whose start was not answered (Superseded::unstarted), the provider is asked for its report once it is
//     stopped, since no start can begin it then. One that had not begun is released with nothing to tell; one that had
//     is fetched as any other. So it is asked for one that was requested to restart, without a reply
//     (Superseded::restarting): the run that it reports takes the place of the one that is known, once per entry, and
//     its output is fetched; if that run has not begun, it has no output, and that of the run before remains the last
//     one. One that sends no report delays the release no longer than one that sends no output.
//  4. Before that output, what the run before has written last that a restart has ended, if that is still to be fetched
//     (Rest::number), comes from the same provider, within the same time: until it refuses, or kLastOutput after it
//     began to answer. A shutdown that has waited for output before has used up some of that (answers_since()). When
//     the time is up it is asked for once more, for kReleaseTimeout. One that does not answer is asked to stop the run
//     first, again: the time begins anew when it is back. After the release nothing of it is to be fetched: it is here,
//     or the record says why it is missing.
//  5. Why the first request failed is in the record, and in the status of the deployment until the entry is over. So is
//     which runs of a shutdown have not ended, and why (Superseded::stopping).
//
// Threads: the deployment's lane. Cancellation: run() ends; the next one goes on.
#pragma once

#include <set>

#include "orchestrator/output/collector.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr Duration kReleasePause = 1s;
inline constexpr Duration kMaxReleasePause = 30s;
/// For the reply to one revert, stop or question: a provider that has just failed is not waited for.
inline constexpr Duration kReleaseTimeout = 5s;
/// For the rest of the output of what is ended.
inline constexpr Duration kLastOutput = 25s;
/// A provider's default retention of ended runs.
inline constexpr Duration kResidueTime = 24h;

class Cleaner {
 public:
  /// `work` ends before this does.
  Cleaner(Parts parts, Collector& collector, Nursery& work) : parts_(parts), collector_(collector), work_(work) {}

  Task<void> run();
  /// Before the run is superseded: what is fetched before its release has been waited for since then, and its provider
  /// answers.
  void answers_since(const std::string& allocation, const std::string& run, SteadyTime begun);

 private:
  using Key = std::pair<std::uint64_t, std::string>;  // entry, allocation
  /// `earlier`: the daemon before may have requested it.
  Task<void> release(Superseded entry, bool earlier);
  Task<Result<void>> collect(const Superseded& entry);
  Task<Result<void>> collect_run(std::uint64_t number, std::string allocation, std::string run, actor::Handle provider);
  Task<void> note_stop(std::uint64_t number, std::string allocation, Result<void> stopped);
  Task<Result<void>> fetch_rest(std::uint64_t number, std::string allocation, SteadyTime until);
  [[nodiscard]] const Superseded* find(std::uint64_t number) const;
  Task<Result<std::optional<std::string>>> find_run(std::uint64_t number, std::string name, std::string run,
                                                    actor::Handle provider, Result<void> stopped);
  bool is_useless(const Key& key, const Error& error, bool refused, SteadyTime answers);
  Task<Result<void>> request(const Superseded& entry, bool shutdown);
  /// For that time, or until a connection to the peer appears. Whether one has.
  Task<Result<bool>> wait_for(std::string peer, Duration pause);
  /// What has changed of the entry: why it is not released, whether it is over.
  Task<Result<void>> record(Superseded entry);

  Parts parts_;
  Collector& collector_;
  Nursery& work_;
  std::set<std::uint64_t> begun_;
  std::map<Key, SteadyTime> answers_;  ///< since when the provider of the output answers
  std::map<std::pair<std::string, std::string>, SteadyTime> answering_;  ///< allocation, run: answers_since()
  std::map<Key, SteadyTime> refuses_;                                    ///< since when it refuses to send any more
};

}  // namespace dms::orchestrator
