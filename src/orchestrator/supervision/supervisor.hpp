// Keeps a deployment's leases and finds out what its providers really run.
//
// Model
//  1. Each machine that has something placed which has not ended is sent a renewal every renewal_interval(lease), every
//     second while an allocation waits for the health of another there. Its reply is reconciled with the record
//     (reconcile.hpp). After a start of the daemon the first renewal is sent at once. The first one to a machine, and
//     one to a machine that was silent, is a question without leases; its reply brings the clock that the renewal
//     names, which follows at once. So does another one when a renewal is answered and those before it were not: it
//     names an old clock, and extends little.
//  2. When a machine is suspected and lost, and when its work has surely ended, is decided by lease_watch.hpp. A
//     missing run of a machine that replies has surely ended; its other runs go on. Both are reported to the
//     deployment, which decides what follows. Only a run that was placed when the report was asked for can be missing
//     in it: a report may be older than a run that was placed while it was under way. What runs instead of it, under an
//     incarnation that is not known here, is superseded first: what is exclusive is replaced only once that is released
//     or cannot run any more.
//  3. A provider's hint that something has changed brings the next renewal forward, but not within kMinRenewal of the
//     last one: a hint is not believed, the reply is. One that brings nothing forward costs nothing.
//  4. A machine that answers pings and no renewal is asked a question that is valid for longer than a renewal
//     (ProviderClient::patient_reports). If it answers, it accepts messages of this deployment, and its clock is ahead
//     of this one's, as its reply says: from then on messages to it last longer (actor/clocks.hpp), and the next
//     renewal is sent at once. If it does not answer, kRefusalsUntilRefused times in a row, it refuses renewals: it has
//     probably revoked the capability, or its clock is ahead by more. What its leases end then is no loss
//     (endings.hpp).
//  5. A machine whose provider grants no lease (the existing implementation) is pinged instead (liveness.hpp), and its
//     allocations are only ever reported as lost, never as surely ended.
//  6. While the deployment runs, the machine of a node that may be sought elsewhere (is_sought_elsewhere()) is watched by
//     pings (heartbeats.hpp): such work is not to wait for three renewals. A missing answer brings the next renewal
//     forward, as (3), and so does the first one after that; the answer to a renewal is a sign of life. A machine that is
//     gone is lost, and goes on if it answers a renewal, as in (2). What has surely ended is decided by leases alone.
//  7. How far the start of a run is, is known as its provider last told it, by a message or a report (progress()). It
//     is in memory only, of the present run of an allocation that is pending, and decides nothing.
//
// Threads: the deployment's lane. Cancellation: run() ends. Attacks: a provider can report whatever it likes of what it
// was given, and nothing of others: reports are read by the node that they come from.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/supervision/heartbeats.hpp"
#include "orchestrator/supervision/lease_watch.hpp"
#include "orchestrator/supervision/liveness.hpp"
#include "orchestrator/supervision/reconcile.hpp"
#include "runtime/nursery.hpp"

namespace dms::orchestrator {

inline constexpr int kRefusalsUntilRefused = 2;

class Supervisor {
 public:
  struct Events {
    /// `ended`: what ran there has surely ended.
    std::function<Task<void>(std::string node, std::string reason, bool ended)> lost;
    /// The run has surely ended; what else the machine runs goes on.
    std::function<Task<void>(std::string allocation, std::string run, std::string reason)> missing;
    std::function<Task<void>(std::string allocation, protocol::AllocationReport)> ended;
  };
  /// `work` ends before this does.
  Supervisor(Parts parts, Liveness& liveness, Heartbeats& heartbeats, Nursery& work, Events events)
      : parts_(parts), liveness_(liveness), heartbeats_(heartbeats), work_(work), events_(std::move(events)) {}

  Task<void> run();
  /// What the record has placed was placed before this daemon started: see known().
  void reconcile_first();
  /// See (3).
  void hint(const std::string& node);
  /// Whether the machine that has the node now is declared lost, and has not answered since.
  [[nodiscard]] bool lost(const std::string& node) const;
  /// See (4).
  [[nodiscard]] bool refused(const std::string& node) const;
  /// Why a machine has perhaps not answered the last renewals that were missed: its clock, or a refusal; else empty.
  [[nodiscard]] std::string doubt(const std::string& node) const;
  /// Asks a machine now and returns when its report has been taken in. Nothing without a lease.
  Task<void> ask(std::string node);
  /// False for a machine of reconcile_first() that has not reported since.
  [[nodiscard]] bool known(const std::string& node) const;
  struct Silence {
    std::string clocks;              ///< how its clock differs; empty if nothing is known of that
    Duration lasts{};                ///< since the last reply or answer to a ping, or since this daemon knows of it
    std::optional<SteadyTime> ends;  ///< when it is lost at the latest; without a lease that is not known
  };
  /// Of a machine that has not answered the last request.
  [[nodiscard]] std::optional<Silence> silence(const std::string& node) const;
  /// As last reported; null if it never was.
  [[nodiscard]] const protocol::AllocationReport* report(const std::string& allocation) const;
  /// See (7). Another run than the present one is ignored. Without a progress nothing is waited for.
  void note_progress(const std::string& allocation, const std::string& run,
                     std::optional<protocol::StartProgress> progress);
  [[nodiscard]] std::optional<protocol::StartProgress> progress(const std::string& allocation) const;

 private:
  struct Start {
    std::string run;
    protocol::StartProgress progress;
  };
  struct Watch {
    Watch(std::string of, Duration lease, SteadyTime now, SteadyTime due)
        : peer(std::move(of)), lease(lease, now), due(due), heard(now) {}
    std::string peer;
    LeaseWatch lease;
    json::StringMap runs;  ///< that the lease counts: name -> incarnation
    SteadyTime due;
    SteadyTime asked{};
    SteadyTime heard;
    int refusals = 0;
    std::string clocks;   ///< how its clock differs, as first seen in the last silence; or empty
    bool hinted = false;  ///< while it was busy
    bool missed = false;  ///< the last renewal or question
    bool busy = false;
    bool reported_lost = false;
    bool reported_ended = false;
    std::unique_ptr<Heartbeats::Watch> beats;  ///< see (6)
    Heartbeats::Sign sign = Heartbeats::Sign::answers;
  };
  using WatchPtr = std::shared_ptr<Watch>;

  /// The instant of the next check.
  SteadyTime check_due();
  void watch_placed_nodes();
  void count_leases(const std::string& node, Watch& watch);
  void watch_beats(const std::string& node, Watch& watch);
  /// See (6). The instant of the next check, if that is due to beats.
  std::optional<SteadyTime> heed_beats(const std::string& node, const WatchPtr& watch);
  Task<void> declare_lost(std::string node, WatchPtr watch, std::string reason);
  Task<void> check(std::string node, WatchPtr watch);
  Task<void> ping(std::string node, WatchPtr watch);
  Task<void> renew(std::string node, WatchPtr watch);
  Task<void> count_refusal(std::string node, actor::Handle provider, WatchPtr watch);
  [[nodiscard]] static std::string doubt(const Watch& watch);
  /// The runs that are placed on the node and have not ended: name -> incarnation.
  [[nodiscard]] json::StringMap placed_on(const protocol::NodeManifest& node) const;
  /// `asked`: the runs that were placed when the report was asked for. Nothing if the node has left the machine since.
  Task<void> take_in(std::string node, std::string peer, json::StringMap asked, protocol::RenewReply reply);
  Task<void> judge(std::string node, WatchPtr watch);
  /// Before the machine of that peer is declared lost.
  Task<bool> suspects_itself(std::string peer);
  [[nodiscard]] bool health_is_awaited(const std::string& node) const;
  /// What was due at `due` happens now. True if that is late: no machine is to blame for what was missed.
  bool note_timer(SteadyTime due);

  Parts parts_;
  Liveness& liveness_;
  Heartbeats& heartbeats_;
  Nursery& work_;
  Events events_;
  std::map<std::string, WatchPtr> watches_;
  std::map<std::string, protocol::AllocationReport> reports_;
  std::map<std::string, Start> starts_;  ///< by allocation
  std::set<std::string> unreconciled_;
};

}  // namespace dms::orchestrator
