// The protocol of commit, lease, notice and release between one orchestrator and its providers, as a pure transition
// system for exhaustive exploration (explorer.hpp). README.md has its correspondence to src/provider and
// src/orchestrator.
//
// Model
//  1. A State is everything: what each party has on disk, what it has in memory, what the engines run, the messages
//     under way. Storing a transition is one action, each effect that follows is another: a crash comes between any two
//     of them.
//  2. Messages are lost, delivered in any order and twice. A receiver drops a duplicate unless it has restarted
//     meanwhile. A message that is older than Limits::lifetime is lost; Limits::skew ticks later if the receiver's
//     clock is slow.
//  3. Time is a tick that all clocks share; durations are small numbers of ticks. Nothing but the end of a lease in an
//     engine is forced to happen at an instant: every party may be arbitrarily slow.
//  4. The number of an attempt is the incarnation of its run.
//
// Cost: a State is about a hundred bytes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace dms::sim::model {

/// One deliberate fault in the protocol or an assumption dropped, to show that the properties detect it.
enum class Mutation : std::uint8_t {
  none,
  replace_at_once,              ///< an exclusive replacement does not wait for the end of the old lease
  forget_unacknowledged_start,  ///< an attempt whose start was not answered does not count as running
  count_from_receipt,           ///< a provider extends a lease from the receipt of a renewal, whatever clock it repeats
  forget_wait_at_restart,       ///< an orchestrator that restarts does not wait for leases of its earlier life
  renew_the_lost,               ///< an orchestrator renews what it has declared lost, whether it knows a clock or not
  restart_extends_lease,        ///< a provider's restart begins the lease again
  no_deadline_in_the_engine,    ///< only a running daemon ends work whose lease has ended
  release_twice,                ///< a release that is resumed frees the resources again
  release_forgets,              ///< a release that was interrupted is not resumed
  reservation_without_expiry,   ///< a reservation that is never allocated stays
  resources_in_memory,          ///< a provider's restart forgets what is reserved
  start_again,                  ///< a repeated start is accepted after the end of the run
  count_each_notice,            ///< the orchestrator counts an end for each notice of it
  release_before_collecting,    ///< the orchestrator has the allocation removed before it has its output
  ignore_releasing,             ///< what is being released counts as gone while its work still runs
  count_cut_short,              ///< a run that its lease has ended, or a reboot, counts as an end
  renew_without_clock,          ///< an orchestrator renews before it knows the provider's clock
  reserve_without_room,         ///< a provider commits to more than its resources are enough for
  restart_frees_resources,      ///< a provider's restart frees what is reserved for work that it keeps
  no_resume,                    ///< an orchestrator that restarts does not take up its deployments
};
inline constexpr int kMutations = static_cast<int>(Mutation::no_resume) + 1;
std::string to_string(Mutation mutation);

inline constexpr int kProviders = 2;
inline constexpr int kMaxAllocations = 2;
inline constexpr int kMaxMessages = 4;

struct Limits {
  int providers = kProviders;
  int allocations = 1;
  bool exclusive = true;  ///< on_loss; false: fast
  int capacity = 1;       ///< allocations that a provider's resources are enough for
  int attempts = 2;       ///< runs of an allocation
  int crashes = 1;        ///< of daemons and machines, all together
  int duplicates = 1;     ///< messages that are delivered twice, the second time after a crash of their receiver
  int in_flight = 3;      ///< messages; one more is lost. A duplicate takes no place before that crash
  bool cancel = true;     ///< the user may shut the deployment down
  int lease = 2;          ///< ticks
  int lifetime = 1;       ///< of a message
  int skew = 0;           ///< by which the providers' wall clocks are slow
  int bid = 2;            ///< of a bid and its reservation
  int retention = 4;      ///< of what has ended
  /// Release requests name the incarnation that they release; otherwise the allocation alone.
  bool releases_name_incarnations = true;
  /// A renewal repeats the provider's clock of the last reply; the lease is extended from there. While none is known
  /// only a question is sent. Otherwise the lease is extended from the receipt of the renewal.
  bool clocks = true;
  Mutation mutation = Mutation::none;
};

/// The orchestrator's view of an allocation. `waiting`: until the old lease has surely ended.
enum class Phase : std::uint8_t {
  placing,
  committing,
  allocating,
  starting,
  running,
  reverting,
  waiting,
  collecting,
  releasing,
  done,
  failed
};
struct Task {
  Phase phase{};                   // durable
  std::uint8_t provider = 0;       // durable
  std::uint8_t incarnation = 0;    // durable
  std::uint8_t maybe_running = 0;  // durable: start was sent; 2: and a release after it
  std::uint8_t counted = 0;        // durable: ends of the current incarnation
  std::uint8_t pending = 0;        // ticks since the last request + 1; 0: none is under way
  std::uint8_t bound = 0;          // ticks until the lease at the provider has surely ended
  std::uint8_t clock = 0;          // ticks since the provider's clock of the last reply + 1; 0: none is known
  friend auto operator<=>(const Task&, const Task&) = default;
};

/// A provider's record of an allocation, and what the engine has of it.
enum class Held : std::uint8_t { nothing, reserved, allocated, starting, running, ended, releasing };
/// `stopped`: by the end of its lease.
enum class Engine : std::uint8_t { nothing, running, ended, stopped };
struct Allocation {
  Held held{};                    // durable
  std::uint8_t incarnation = 0;   // durable
  std::uint8_t lease = 0;         // durable
  std::uint8_t timer = 0;         // durable: of a reservation or of the retention
  std::uint8_t resources = 0;     // durable: those of this allocation are reserved
  std::uint8_t acknowledged = 0;  // durable
  std::uint8_t cut_short = 0;     // durable: it was not run to its end
  std::uint8_t bid = 0;           // memory: ticks that the bid is open
  std::uint8_t answer = 0;        // memory: a request waits for its answer
  std::uint8_t notified = 0;      // memory: in this tick
  Engine engine{};
  std::uint8_t runs = 0;  // incarnation that the engine runs or has ended
  std::uint8_t sent = 0;  // for the properties: ticks until the last lease that was sent has surely ended
  friend auto operator<=>(const Allocation&, const Allocation&) = default;
};
struct Provider {
  std::uint8_t up = 1;    // 0: its daemon does not run; 2: nor has it since its machine has booted
  std::uint8_t used = 0;  // durable: what resources::Manager counts
  std::array<Allocation, kMaxAllocations> allocations{};
  friend auto operator<=>(const Provider&, const Provider&) = default;
};

enum class Kind : std::uint8_t {
  none,
  commit,
  commit_reply,
  allocate,
  allocate_reply,
  start,
  start_reply,
  renew,
  report,
  release,
  released,
  notice,
  ack,
  logs,
  logs_reply
};
struct Message {
  Kind kind{};
  std::uint8_t provider = 0;
  std::uint8_t allocation = 0;
  std::uint8_t incarnation = 0;  ///< of the attempt; in a report, what is held
  std::uint8_t value = 0;        ///< a reply's success; what a renewal renews; a report's Held;
                                 ///< kCutShort in a report or notice of a run that was not run to its end
  std::uint8_t age = 0;
  std::uint8_t clock = 0;  ///< ticks since the provider's clock that it has + 1; 0: it has none
  std::uint8_t seen = 0;   ///< delivered, and kept as a duplicate
  friend auto operator<=>(const Message&, const Message&) = default;
};

/// A request or an answer of the orchestrator.
[[nodiscard]] bool to_provider(Kind kind);
[[nodiscard]] bool is_final(Phase phase);

struct State {
  std::uint8_t orchestrator_up = 1;  // 2: up, but it does not go on (Mutation::no_resume)
  std::uint8_t cancelled = 0;
  std::uint8_t crashes = 0;
  std::uint8_t duplicates = 0;
  std::array<Task, kMaxAllocations> tasks{};
  std::array<Provider, kProviders> providers{};
  std::array<Message, kMaxMessages> messages{};  // sorted, those of Kind::none first
  friend auto operator<=>(const State&, const State&) = default;
};

/// What can happen in a state, named for traces.
struct Step {
  enum class Class : std::uint8_t {
    internal,   ///< a party goes on
    delivery,   ///< of a message
    recovery,   ///< a party starts again
    work_ends,  ///< a run ends by itself
    tick,
    fault,  ///< a crash, a duplicate, a cancel, a decision to give up
  };
  Class type{};
  std::string text;
};

/// A property that does not hold; empty if all hold. `text` is the property's sentence.
struct Violation {
  std::string property;
  explicit operator bool() const { return !property.empty(); }
};

[[nodiscard]] State initial_state(const Limits& limits);
/// Calls `visit` with every step from `state`, where it leads, and what the step itself violates.
using Visit = std::function<void(const Step&, const State&, const Violation&)>;
void successors(const State& state, const Limits& limits, bool with_text, const Visit& visit);
/// The properties that hold in each state.
[[nodiscard]] Violation check(const State& state, const Limits& limits);
/// Every allocation of the deployment has ended for the orchestrator.
[[nodiscard]] bool ended(const State& state, const Limits& limits);
/// Removes what has no effect any more, so that states that behave alike are equal: replies that nobody waits for,
/// timers of what is gone. Part of every step.
void normalise(State& state, const Limits& limits);
/// Orders the messages as they are compared.
void sort_messages(State& state);
/// The state itself and those in which providers, or allocations, have each other's numbers. No step and no property
/// tells numbers apart, so that what follows from one follows from the others, under other numbers.
[[nodiscard]] std::vector<State> images(const State& state, const Limits& limits);
/// The same state for all images of a state.
[[nodiscard]] State canonical(const State& state, const Limits& limits);
/// The same state for all that differ in the counts of faults that have happened, and in duplicates that wait for a
/// crash, alone: what follows from them without another fault is the same.
[[nodiscard]] State without_faults(State state);
/// No provider holds anything.
[[nodiscard]] bool empty(const State& state, const Limits& limits);

}  // namespace dms::sim::model
