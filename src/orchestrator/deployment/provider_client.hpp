// The requests of a deployment to its providers: one request and one checked reply each.
//
// Every error names the provider and the request; a negative reply is Errc::permission_denied with the provider's
// reason, shortened to kMaxReportedText, or Errc::deadline_exceeded if what was requested goes on there. Reports are
// those of clean(), without those of a longer name or run than kMaxReportedId. Kept between calls is only why a
// provider has refused the last renewal that it has replied to, and for all actors of this node by how much its clock
// is ahead, as its reply to a renewal or a question says (actor/clocks.hpp): what is sent to it lasts longer by that.
//
// Many allocations of one machine may be stopped, released, restarted or asked for at the same time: of each kind,
// kRequestsAtOnce requests (kStopsAtOnce that end work and keep it) are under way to a machine, the others wait for
// their turn (places.hpp). The time limit of a request counts from its turn on. Renewals do not wait, and the pages that
// users read have kReadersAtOnce places of their own. How many reservations and starts are under way is bounded by who
// requests them (provisioner.hpp, starter.hpp).
//
// Threads: the lane of the actor that sends, which outlives the calls. Attacks: a provider that grants a lease without
// end could never be replaced: at most the requested lease is accepted, or kLongestGrant.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "actor/actor.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "orchestrator/deployment/places.hpp"
#include "protocol/allocation.hpp"
#include "protocol/manifest.hpp"
#include "protocol/serve.hpp"

namespace dms::orchestrator {

/// Longer ids of runs and names are not those of any provider.
inline constexpr std::size_t kMaxReportedId = 256;
/// Bytes of an error or a reason of a provider that are kept.
inline constexpr std::size_t kMaxReportedText = 1024;
/// Why output does not come of which the provider has nothing any more.
inline constexpr std::string_view kGone = "its provider no longer has it";
/// Of a provider whose shortest lease is longer than what is requested.
inline constexpr Duration kLongestGrant = 24h;
/// Of the messages of patient_reports(): longer than clocks differ, shorter than a grant that is renewed daily lasts.
inline constexpr Duration kPatientLifetime = actor::kMostAhead;

/// Requests of a kind that are in progress at once. A node can have as many allocations as a provider holds, and nobody
/// takes more than 128 messages in progress of one sender (ucan/held_tokens.hpp).
inline constexpr std::size_t kRequestsAtOnce = 32;
/// Of requests to end work, which may take 10 s each while a user waits for all.
inline constexpr std::size_t kStopsAtOnce = 96;
/// Of pages for users, who wait for kPageAnswer (collector.hpp).
inline constexpr std::size_t kReadersAtOnce = 8;

class ProviderClient {
 public:
  ProviderClient(actor::Actor& actor, std::string deployment) : actor_(actor), deployment_(std::move(deployment)) {}

  /// Reserves what `allocation` of `node` needs.
  Task<Result<void>> commit(actor::Handle provider, std::string node, std::string allocation,
                            capability::Resources resources, protocol::PortMapping ports, Duration timeout);
  /// Turns reservations of a node into allocations. The reply has a handle for each, on the provider's host.
  Task<Result<protocol::AllocateResponse>> allocate(actor::Handle provider, const jobs::Ensemble& ensemble,
                                                    std::string node, std::vector<std::string> allocations,
                                                    Duration timeout);
  [[nodiscard]] actor::Envelope start_message(const protocol::AllocationManifest& allocation, Duration timeout) const;
  /// Makes the provider stop and remove one allocation. Any run, without an incarnation.
  Task<Result<void>> remove(actor::Handle provider, std::string allocation_id, std::string incarnation);
  /// Makes the provider end a run and keep the rest.
  Task<Result<void>> stop(actor::Handle provider, std::string allocation_id, std::string incarnation, Duration timeout);
  /// Makes the provider release what it reserved or allocated under these names: that incarnation, or any if it is
  /// empty.
  Task<Result<void>> revert(actor::Handle provider, json::StringMap incarnations,
                            Duration timeout = protocol::kRevert.timeout);
  /// Extends the leases of the named runs, counted from `clock` of an earlier reply; what the provider holds.
  Task<Result<protocol::RenewReply>> renew(actor::Handle provider, json::StringMap incarnations, std::int64_t clock,
                                           Duration timeout);
  /// Why the provider of this peer has refused the last renewal that it has replied to; empty if it has not.
  [[nodiscard]] std::string renewal_refusal(const std::string& peer) const;
  /// What the provider holds; no lease is extended.
  Task<Result<protocol::RenewReply>> reports(actor::Handle provider, Duration timeout);
  /// Whether the provider answers and has nothing of the allocation: no output of it will come.
  Task<bool> lacks(actor::Handle provider, std::string allocation, Duration timeout);
  /// As reports(), by a message that has not expired for a provider whose clock is ahead by less than kPatientLifetime,
  /// also if that is not known yet.
  Task<Result<protocol::RenewReply>> patient_reports(actor::Handle provider, Duration timeout);
  /// Ends the run `incarnation` and starts the next. The reply has its id and, if it did not start or the restart was
  /// refused, why.
  Task<Result<protocol::RestartReply>> restart(actor::Handle allocation, std::string incarnation);
  /// The tail of both streams.
  Task<Result<protocol::AllocationLogsResponse>> logs(actor::Handle provider, std::string allocation);
  enum class Reader { collector, user };
  /// `run`: one that a restart has ended; the current one if it is empty. A provider that keeps none sends a page of
  /// another: Errc::unsupported.
  Task<Result<protocol::AllocationLogsResponse>> page(Reader reader, actor::Handle provider, std::string allocation,
                                                      std::string stream, std::uint64_t offset, std::uint64_t max_bytes,
                                                      std::string run = "");

 private:
  /// From a reply to what was sent at `asked`.
  void learn_clock(const actor::Handle& provider, const protocol::RenewReply& reply, SteadyTime asked);
  Task<Result<void>> end(actor::Handle provider, protocol::AllocationShutdownRequest request, Duration timeout);
  Task<Result<protocol::AllocationLogsResponse>> request_logs(Places& places, actor::Handle provider,
                                                              protocol::AllocationLogsRequest request);

  actor::Actor& actor_;
  std::string deployment_;
  std::map<std::string, std::string> renewal_refusals_;  ///< peer -> reason
  Places stops_{kStopsAtOnce};
  Places releases_{kRequestsAtOnce};
  Places restarts_{kRequestsAtOnce};
  Places questions_{kRequestsAtOnce};  ///< for output and reports
  Places readers_{kReadersAtOnce};     ///< for output, by users
};

/// Leaves of the texts of a report what is kept: one line each, shortened to kMaxReportedText; and of its progress what
/// can be shown.
void clean(protocol::AllocationReport& report);

/// A negative reply is an error, like a missing one. What is in progress is not refused.
Result<void> accepted(const Result<protocol::Ack>& reply, std::string_view what);

}  // namespace dms::orchestrator
