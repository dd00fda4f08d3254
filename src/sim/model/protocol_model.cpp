#include "sim/model/protocol_model.hpp"

#include <algorithm>
#include <bit>
#include <string_view>

namespace dms::sim::model {
namespace {

/// See normalise().
class Normaliser {
 public:
  Normaliser(State& state, const Limits& limits) : s_(state), may_crash_(state.crashes < limits.crashes) {}

  void run() {
    for (Message& m : s_.messages)
      if (m.kind != Kind::none && has_no_effect(m)) m = {};
    sort_messages(s_);
    for (Task& t : s_.tasks) {
      const bool may_run = t.phase == Phase::allocating || t.phase == Phase::starting || t.phase == Phase::running ||
                           t.phase == Phase::reverting || t.phase == Phase::waiting;
      if (!may_run) t.bound = t.maybe_running = t.clock = 0;
    }
    for (std::size_t p = 0; p < kProviders; ++p)
      for (std::size_t a = 0; a < kMaxAllocations; ++a) tidy(p, a);
  }

 private:
  [[nodiscard]] bool under_way(Kind kind, std::size_t p, std::size_t a) const {
    return std::ranges::any_of(
        s_.messages, [&](const Message& m) { return m.kind == kind && m.provider == p && m.allocation == a; });
  }
  [[nodiscard]] bool awaited(const Message& m) const {
    const Task& t = s_.tasks[m.allocation];
    return t.incarnation == m.incarnation && t.provider == m.provider && t.pending > 0 && !is_final(t.phase);
  }
  [[nodiscard]] bool has_no_effect(const Message& m) const {
    if (m.seen != 0 && !may_crash_) return true;
    // The crash after which it would arrive again ends the request that a reply answers.
    if (m.seen != 0 && !to_provider(m.kind) && m.kind != Kind::notice) return true;
    if (m.kind == Kind::notice)
      return is_final(s_.tasks[m.allocation].phase) || s_.tasks[m.allocation].incarnation != m.incarnation;
    if (awaited(m)) return false;
    if (!to_provider(m.kind)) return true;
    const Allocation& h = s_.providers[m.provider].allocations[m.allocation];
    const bool same = h.incarnation == m.incarnation && h.held != Held::nothing;
    switch (m.kind) {
      case Kind::commit: return h.bid == 0;
      case Kind::allocate: return h.held != Held::reserved && !under_way(Kind::commit, m.provider, m.allocation);
      case Kind::start:
      case Kind::renew: return !same && !under_way(Kind::allocate, m.provider, m.allocation);
      case Kind::ack: return !same || h.held != Held::ended || h.acknowledged != 0;
      case Kind::logs: return true;
      default: return false;
    }
  }
  void tidy(std::size_t p, std::size_t a) {
    Allocation& h = s_.providers[p].allocations[a];
    const Task& t = s_.tasks[a];
    const bool committing = t.phase == Phase::committing && t.provider == p;
    if (!committing && !under_way(Kind::commit, p, a)) h.bid = 0;
    const bool over = (h.held == Held::running || h.held == Held::releasing) && h.engine != Engine::running;
    if (over) h.lease = 0;
    const bool gone = h.held == Held::nothing || h.held == Held::ended || over;
    if (gone && !under_way(Kind::allocate, p, a)) h.sent = 0;
    const bool wanted = t.incarnation == h.incarnation && !is_final(t.phase);
    // No notice of it has an effect.
    if (h.held == Held::ended && !wanted) h.acknowledged = 1, h.timer = h.cut_short = 0;
    if (h.acknowledged != 0) h.notified = 0;
    if (h.answer != 0 && h.held == Held::releasing && (is_final(t.phase) || t.incarnation != h.answer)) h.answer = 0;
  }

  State& s_;
  bool may_crash_;
};

}  // namespace

bool to_provider(Kind kind) {
  switch (kind) {
    case Kind::commit:
    case Kind::allocate:
    case Kind::start:
    case Kind::renew:
    case Kind::release:
    case Kind::ack:
    case Kind::logs: return true;
    default: return false;
  }
}

bool is_final(Phase phase) { return phase == Phase::done || phase == Phase::failed; }

std::string to_string(Mutation mutation) {
  static constexpr std::array<std::string_view, kMutations> kNames = {"none",
                                                                      "replace_at_once",
                                                                      "forget_unacknowledged_start",
                                                                      "count_from_receipt",
                                                                      "forget_wait_at_restart",
                                                                      "renew_the_lost",
                                                                      "restart_extends_lease",
                                                                      "no_deadline_in_the_engine",
                                                                      "release_twice",
                                                                      "release_forgets",
                                                                      "reservation_without_expiry",
                                                                      "resources_in_memory",
                                                                      "start_again",
                                                                      "count_each_notice",
                                                                      "release_before_collecting",
                                                                      "ignore_releasing",
                                                                      "count_cut_short",
                                                                      "renew_without_clock",
                                                                      "reserve_without_room",
                                                                      "restart_frees_resources",
                                                                      "no_resume"};
  return std::string(kNames[static_cast<std::size_t>(mutation)]);
}

State initial_state(const Limits&) { return {}; }

Violation check(const State& state, const Limits& limits) {
  std::array<int, kMaxAllocations> incarnations{};
  for (const Provider& provider : state.providers) {
    int holding = 0;
    int running = 0;
    for (std::size_t a = 0; a < kMaxAllocations; ++a) {
      const Allocation& h = provider.allocations[a];
      holding += h.resources;
      if (h.held == Held::nothing && (h.resources != 0 || h.engine != Engine::nothing))
        return {"nothing is reserved, and nothing is left in an engine, without an allocation"};
      if (h.engine != Engine::running) continue;
      ++running;
      ++incarnations[a];
      if (h.lease == 0) return {"nothing runs without a lease"};
      if (h.sent == 0) return {"a run ends at the latest when the last lease that was sent has surely ended"};
    }
    if (provider.used != holding) return {"each resource is released exactly once"};
    if (holding > limits.capacity || running > limits.capacity) return {"resources are never over-committed"};
  }
  for (std::size_t a = 0; a < kMaxAllocations; ++a) {
    if (limits.exclusive && incarnations[a] > 1)
      return {"two incarnations of an exclusive allocation never run at once"};
    const Task& t = state.tasks[a];
    if (t.counted > 1) return {"an end is counted once"};
    const Allocation& h = state.providers[t.provider].allocations[a];
    if (t.counted > 0 && h.incarnation == t.incarnation && h.cut_short != 0)
      return {"a run that was cut short does not count as an end"};
  }
  return {};
}

bool ended(const State& state, const Limits& limits) {
  return std::all_of(state.tasks.begin(), state.tasks.begin() + limits.allocations,
                     [](const Task& t) { return is_final(t.phase); });
}

void sort_messages(State& state) {
  const auto key = [](const Message& m) {
    const auto bytes = std::bit_cast<std::uint64_t>(m);
    return std::endian::native == std::endian::little ? std::byteswap(bytes) : bytes;
  };
  static_assert(sizeof(Message) == sizeof(std::uint64_t));
  std::array<std::uint64_t, kMaxMessages> keys{};
  for (std::size_t i = 0; i < kMaxMessages; ++i) {
    const Message m = state.messages[i];
    std::size_t at = i;
    for (; at > 0 && keys[at - 1] > key(m); --at) {
      keys[at] = keys[at - 1];
      state.messages[at] = state.messages[at - 1];
    }
    keys[at] = key(m);
    state.messages[at] = m;
  }
}

void normalise(State& state, const Limits& limits) { Normaliser(state, limits).run(); }

State without_faults(State state) {
  state.crashes = state.duplicates = 0;
  for (Message& m : state.messages)
    if (m.seen != 0) m = {};
  sort_messages(state);
  return state;
}

bool empty(const State& state, const Limits& limits) {
  for (const Provider& provider : state.providers) {
    if (provider.used != 0) return false;
    for (int a = 0; a < limits.allocations; ++a)
      if (const Allocation& h = provider.allocations[static_cast<std::size_t>(a)];
          h.held != Held::nothing || h.engine != Engine::nothing)
        return false;
  }
  return true;
}

}  // namespace dms::sim::model
