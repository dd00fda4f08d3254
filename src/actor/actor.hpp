// An actor: a name, a key, an inbox, and behaviours that messages invoke.
//
// Model
//  1. A message reaches a behaviour only after all of this, in this order: its peer is within its rate; it is an
//     envelope to this actor (or a broadcast on a subscribed topic); it was sent by the host it names; a place for it
//     is free; it has not expired and lives no longer than kMaxLifetime; its signature is the sender's; the behaviour
//     exists, exactly by that path, and has not expired; it is not a replay; its tokens allow it
//     (security_context.hpp); its sender fits the replay filter. The last two do not apply to an open behaviour
//     (BehaviourOptions). What fails is counted (metrics.hpp) and logged at
//     debug. There is no answer, as in NuNet's network, so that an unknown sender gets no information; only a sender on
//     this host whose DID the capability context names gets an error reply (error_reply.hpp).
//  2. Messages between actors of one node take the same path, through the network module; a message to the actor
//     itself skips it, and is the only one that needs no tokens.
//  3. A behaviour's handler is a coroutine and runs as a task of this actor; handlers run concurrently, in order of
//     arrival up to their first wait. The tokens that came with a message are held until its handler ends: reply before
//     that.
//  4. invoke() sends and waits for one reply at a one-shot behaviour `/dms/actor/replyto/<nonce>`, which only the
//     invoked actor may use. An error reply of an actor on this host becomes Errc::refused; no reply becomes
//     Errc::deadline_exceeded when the message expires.
//  5. A child actor has its own key and inbox, and its parent's host, limits and, unless it is given one of
//     its own, capability context. It belongs to the caller of create_child(); a parent's stop() stops its children
//     first.
//  6. Each actor answers kHealthCheck with {"OK": true}; add_behaviour() replaces that.
//  7. Between hold() and open() messages wait in their places, until they expire at most; replies do not. Above kMaxHeld
//     bytes together they are refused.
//  8. stop() ends everything: nothing is received, handlers are cancelled, calls in progress return Errc::closed. It
//     must have ended before the actor is destroyed, and must not be awaited by one of the actor's own handlers (it
//     waits for them).
//  9. A message expires by the clock of this host here, and by that of its receiver there. Before it is signed, its
//     expiry is moved by as much as the receiver's clock is known to be ahead (clocks.hpp); the tokens that are made
//     for it expire then, too. Not so a reply, which expires when its request does, by the clock of whoever sent that.
//
// Threads: everything belongs to the System's lane. Waiting: send(), publish() and invoke() end at the envelope's
// expiry. Until then a message that is lost with its connection is sent again (network/network.hpp), replies as well.
// A broadcast goes to every subscriber; replies arrive at a behaviour of the caller's choice.
//
// Attacks: see RateLimiter, ReplayFilter, Envelope and SecurityContext for the single checks. A message costs its
// receiver a parse and one signature check before its content is used; both are behind the rate limit of the
// peer that sent it, those of a broadcast also behind the budget of the peer that forwarded it
// (libp2p/protocols/gossipsub). A broadcast is decoded and verified once, by its validator. Handlers are bounded by
// places, and a handler that an unknown sender can reach should bound its own time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "actor/clocks.hpp"
#include "actor/metrics.hpp"
#include "actor/rate_limiter.hpp"
#include "actor/registry.hpp"
#include "actor/replay_filter.hpp"
#include "actor/security_context.hpp"
#include "network/network.hpp"
#include "runtime/nursery.hpp"
#include "ucan/standing_grant.hpp"

namespace dms::actor {

inline constexpr std::string_view kReplyPrefix = "/dms/actor/replyto/";
inline constexpr std::string_view kHealthCheck = "/dms/actor/healthcheck";

struct HealthReply {
  bool ok = false;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("OK", &HealthReply::ok), json::field("Error", &HealthReply::error));
  }
};

/// `actor/<inbox>/messages/0.0.1` is a protocol name, which libp2p bounds to 256 characters.
inline constexpr std::size_t kMaxInbox = 235;
/// Errc::invalid_argument for what cannot be an inbox: empty, longer than kMaxInbox, or with characters of no protocol
/// name.
Result<void> check_inbox(std::string_view inbox);
/// The network protocol of an inbox: `actor/<inbox>/messages/0.0.1`.
[[nodiscard]] std::string inbox_protocol(std::string_view inbox);

/// An envelope that has expired for this long was probably sent by a machine whose clock is slow, or this one's is
/// fast.
inline constexpr Duration kClockSuspicion = 1min;
inline constexpr Duration kClockWarningPause = 5min;

/// Bytes of the messages that wait for open(): nothing of them has been checked yet but that they fit a place.
inline constexpr std::size_t kMaxHeld = std::size_t{16} << 20;

/// What the actors of one node share. Outlives them.
struct System {
  System(Lane& lane, network::Network& network, RateLimits limits = {})
      : lane(lane), network(network), limiter(network.self(), std::move(limits)) {}
  Lane& lane;
  network::Network& network;
  RateLimiter limiter;
  Registry registry;
  Metrics metrics;
  Clocks clocks;
  SteadyTime next_clock_warning{};  ///< one line in kClockWarningPause, for all senders together

  void register_metrics(metrics::Registry& into) { metrics.register_with(into, limiter, registry); }
};

using Handler = std::function<Task<void>(Envelope)>;

struct BehaviourOptions {
  /// Any one of these is sufficient; empty means the behaviour's path.
  ucan::Capabilities capabilities = {};
  std::optional<UnixTime> expires = {};
  bool one_shot = false;
  /// Broadcasts are accepted on this topic only; without one, no broadcasts at all.
  std::string topic = {};
  /// If set, only this actor may use the behaviour.
  std::optional<Id> only_from = {};
  /// The payload proves its own authority, and a repeated message changes nothing: tokens are not checked and replays
  /// are not recorded. Only `from.id` and, of a message, `from.addr.host` are proven; there is no authority to reply.
  bool open = false;
};

struct MessageOptions {
  Duration timeout = kDefaultTimeout;
  std::optional<UnixTime> expires = {};  ///< instead of a timeout
  std::string reply_to = {};
  std::string topic = {};
};

struct ChildOptions {
  std::optional<crypto::PrivateKey> key = {};  ///< a new one if absent
  /// Of its own: what it sends carries none of its parent's power. Its parent's if absent.
  std::shared_ptr<ucan::CapabilityContext> capabilities = {};
  /// May query the child's health: gets a delegation of kHealthCheck, renewed while the child exists.
  std::optional<Handle> supervisor = {};
};

class Actor {
 public:
  /// Errc::already_exists if the inbox is taken, Errc::invalid_argument if it cannot be one.
  static Result<std::unique_ptr<Actor>> start(System& system, SecurityContext security,
                                              std::string inbox = std::string(kRootInbox));
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  ~Actor();

  /// Until open(), what arrives waits in its place and only replies to this actor are processed: for an actor whose
  /// behaviours are not all added yet, or cannot answer yet. A message without a behaviour would be lost, as a refusal
  /// is not answered.
  void hold() { open_ = false; }
  void open() {
    open_ = true;
    opened_.notify_all();
  }

  [[nodiscard]] const Handle& handle() const { return handle_; }
  [[nodiscard]] SecurityContext& security() { return security_; }
  [[nodiscard]] System& system() { return system_; }
  [[nodiscard]] Lane& lane() { return system_.lane; }

  /// Replaces a behaviour of the same path. Errc::malformed if the path is not a capability.
  Result<void> add_behaviour(std::string path, Handler handler, BehaviourOptions options = {});
  /// Running handlers continue. Unknown paths are ignored.
  void remove_behaviour(const std::string& path) { behaviours_.erase(path); }
  [[nodiscard]] bool has_behaviour(const std::string& path) const { return behaviours_.contains(path); }

  /// An unsigned envelope from this actor; send(), invoke() and publish() sign it.
  [[nodiscard]] Envelope message(const Handle& to, std::string behaviour, Bytes payload = {},
                                 const MessageOptions& options = {}) const;
  /// The same, to every subscriber of options.topic.
  [[nodiscard]] Envelope broadcast(std::string behaviour, Bytes payload, const MessageOptions& options) const;

  /// One way. An envelope that is signed already is sent unchanged.
  Task<Result<void>> send(Envelope envelope);
  /// Errc::already_exists if the envelope names a reply path that is in use.
  Task<Result<Envelope>> invoke(Envelope envelope);
  Task<Result<void>> publish(Envelope envelope);
  /// Errc::no_reply_expected if the request names no behaviour for it. Expires when the request does.
  Task<Result<void>> reply_to(const Envelope& request, Bytes payload);
  template <class T>
  Task<Result<void>> reply(const Envelope& request, const T& value) {
    return reply_to(request, to_payload(value));
  }
  /// invoke(), and the reply's payload.
  template <class Reply>
  Task<Result<Reply>> call(Envelope request) {
    Result<Envelope> answer = co_await invoke(std::move(request));
    if (!answer) co_return std::unexpected(answer.error());
    Result<Reply> value = payload<Reply>(*answer);
    co_return std::move(value);
  }

  /// Broadcasts on `topic` reach the behaviours that name it. Idempotent.
  Result<void> subscribe(std::string topic);
  void unsubscribe(const std::string& topic);

  Result<std::unique_ptr<Actor>> create_child(std::string inbox, ChildOptions options = {});
  /// Runs `task` as a task of this actor, until it ends or the actor is stopped. A stopped actor runs nothing.
  void spawn(Task<void> task) {
    if (!stopping_->done) nursery_.spawn(std::move(task));
  }

  Task<void> stop();

 private:
  struct Behaviour {
    Handler handler;
    BehaviourOptions options;
    [[nodiscard]] bool expired(UnixTime now) const { return options.expires && now > *options.expires; }
  };
  struct Stopping {
    bool begun = false;
    bool done = false;
    Notify finished;
  };
  class Operation;
  struct PendingReply;
  using Permit = RateLimiter::Permit;

  Actor(System& system, SecurityContext security, Handle handle, Actor* parent);
  static Result<std::unique_ptr<Actor>> start(System& system, SecurityContext security, std::string inbox,
                                              Actor* parent, std::optional<Handle> supervisor);

  // Receiving
  /// Whether the signature of an envelope has been checked already.
  enum class Signature : std::uint8_t { unchecked, verified };
  struct Accepted {
    Handler handler;
    Authorization authorization;
  };
  void on_message(const crypto::PeerId& from, BytesView bytes);
  network::Validation validate_broadcast(const std::string& topic, network::Broadcast& broadcast);
  void on_broadcast(network::Broadcast& broadcast);
  bool admit(const crypto::PeerId& peer, Envelope envelope, Signature signature);
  Task<void> process(Envelope envelope, Permit permit, Signature signature);
  Task<bool> until_open(const Envelope& envelope);
  Task<Result<void>> opened();
  [[nodiscard]] std::optional<Accepted> accept(const Envelope& envelope, Signature signature);
  [[nodiscard]] bool fresh_and_signed(const Envelope& envelope, Signature signature, UnixTime now);
  [[nodiscard]] Behaviour* find_behaviour(const Envelope& envelope, UnixTime now);
  [[nodiscard]] std::optional<Authorization> authorize(const Envelope& envelope, const Behaviour& behaviour,
                                                       UnixTime now);
  [[nodiscard]] bool record(const Envelope& envelope, const ucan::Authority& authority);
  void warn_of_clock(const Envelope& expired);
  bool refuse(Refusal reason, const Envelope* envelope, std::string_view detail = {},
              const ucan::Capabilities& sufficient = {});
  void report_refusal(Refusal reason, const Envelope& request, std::string_view detail,
                      const ucan::Capabilities& sufficient);
  Task<void> send_error_reply(Envelope request, Bytes payload);

  // Sending
  Result<void> sign(Envelope& envelope);
  /// `ahead`: by how much the clock of the receiver is.
  Task<Result<void>> do_send(Envelope envelope, Duration ahead);
  Task<Result<void>> do_publish(Envelope envelope);
  Task<Result<Envelope>> do_invoke(Envelope envelope);
  Result<void> send_to_self(Envelope envelope);
  template <class T>
  Task<Result<T>> within(UnixTime expiry, Task<Result<T>> inner);
  [[nodiscard]] SteadyTime deadline(UnixTime expiry) const;

  Task<void> renew_supervisor_grant(Handle supervisor);
  Task<void> answer_health_check(Envelope envelope);
  void sweep_behaviours(UnixTime now);

  System& system_;
  SecurityContext security_;
  Handle handle_;
  Actor* parent_;
  std::vector<Actor*> children_;
  std::map<std::string, Behaviour> behaviours_;
  UnixTime next_sweep_;
  std::map<std::string, network::SubscriptionId> subscriptions_;
  ReplayFilter replays_;
  std::uint64_t revocation_generation_ = 0;  ///< of the capability context, that the replay filter has seen
  std::shared_ptr<Stopping> stopping_ = std::make_shared<Stopping>();
  std::size_t error_replies_ = 0;  ///< being sent
  bool open_ = true;
  Notify opened_;
  std::size_t held_ = 0;  ///< bytes
  std::set<Operation*> operations_;
  Notify operations_changed_;
  Nursery nursery_;
};

}  // namespace dms::actor
