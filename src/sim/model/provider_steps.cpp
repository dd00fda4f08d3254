// The steps of a provider: what it does by itself, and with a message.
#include "sim/model/steps.hpp"

#include <algorithm>

namespace dms::sim::model {

void Steps::provider(int p, int a) {
  if (machine(p).up != 1) return;
  const Allocation& h = held(p, a);
  switch (h.held) {
    case Held::reserved:
      if (h.timer == 0 && !mutated(Mutation::reservation_without_expiry)) release(p, a, "its bid has expired");
      return;
    case Held::allocated:
      if (h.lease == 0) release(p, a, "its lease has ended before it was started");
      return;
    case Held::starting: return starting(p, a);
    case Held::running:
      if (h.engine == Engine::running && h.lease == 0)
        engine(p, a, Engine::stopped, "the daemon ends the work: its lease has ended");
      if (h.engine != Engine::running) end(p, a, h.engine == Engine::stopped, "its work has ended");
      return;
    case Held::ended:
      if (h.resources != 0) free(p, a);
      if (h.acknowledged == 0 && h.notified == 0) notify(p, a);
      if (h.timer == 0) release(p, a, "the retention has passed");
      return;
    case Held::releasing: return releasing(p, a);
    case Held::nothing: return;
  }
}

void Steps::starting(int p, int a) {
  const Allocation& h = held(p, a);
  if (h.runs == h.incarnation) {
    State next = from_;
    Allocation& n = held(next, p, a);
    n.held = Held::running;
    if (std::exchange(n.answer, 0) != 0) send(next, Kind::start_reply, p, a, h.incarnation, 1);
    return emit(Class::internal, next,
                [&] { return fmt::format("provider {}: stores that allocation {} runs", p, a); });
  }
  if (h.lease == 0) return end(p, a, true, "its lease has ended before it ran");
  State next = from_;
  Allocation& n = held(next, p, a);
  n.engine = Engine::running;
  n.runs = n.incarnation;
  emit(Class::internal, next,
       [&] { return fmt::format("provider {}: the engine starts allocation {}, attempt {}", p, a, h.incarnation); });
}

void Steps::engine(int p, int a, Engine state, std::string_view what) {
  State next = from_;
  held(next, p, a).engine = state;
  emit(Class::internal, next, [&] { return fmt::format("provider {}: allocation {}: {}", p, a, what); });
}

void Steps::end(int p, int a, bool cut_short, std::string_view why) {
  State next = from_;
  end(held(next, p, a), cut_short);
  emit(Class::internal, next,
       [&] { return fmt::format("provider {}: stores that allocation {} has ended: {}", p, a, why); });
}

void Steps::end(Allocation& h, bool cut_short) const {
  h.held = Held::ended;
  h.timer = static_cast<std::uint8_t>(limits_.retention);
  h.acknowledged = h.answer = h.notified = h.lease = 0;
  h.cut_short = cut_short ? 1 : 0;
}

void Steps::free(int p, int a) {
  State next = from_;
  --machine(next, p).used;
  held(next, p, a).resources = 0;
  emit(Class::internal, next, [&] { return fmt::format("provider {}: frees the resources of allocation {}", p, a); });
}

void Steps::notify(int p, int a) {
  State next = from_;
  held(next, p, a).notified = 1;
  send(next, Kind::notice, p, a, held(p, a).incarnation, held(p, a).cut_short != 0 ? kCutShort : std::uint8_t{1});
  emit(Class::internal, next, [&] {
    return fmt::format("provider {}: notifies the end of allocation {}, attempt {}", p, a, held(p, a).incarnation);
  });
}

void Steps::release(int p, int a, std::string_view why) {
  State next = from_;
  held(next, p, a).held = Held::releasing;
  emit(Class::internal, next,
       [&] { return fmt::format("provider {}: stores that it releases allocation {}: {}", p, a, why); });
}

void Steps::releasing(int p, int a) {
  const Allocation& h = held(p, a);
  State next = from_;
  if (h.engine != Engine::nothing) {
    held(next, p, a).engine = Engine::nothing;
    held(next, p, a).runs = 0;
    return emit(Class::internal, next,
                [&] { return fmt::format("provider {}: removes allocation {} from the engine", p, a); });
  }
  if (h.resources != 0) return free(p, a);
  const Allocation gone = h;
  Allocation& n = held(next, p, a);
  n = Allocation{};
  n.bid = gone.bid;
  n.sent = gone.sent;
  if (gone.answer != 0) send(next, Kind::released, p, a, gone.answer, 1);
  emit(Class::internal, next, [&] { return fmt::format("provider {}: forgets allocation {}", p, a); });
}

Violation Steps::serve(State& s, const Message& m) const {
  const int p = m.provider;
  const int a = m.allocation;
  Allocation& h = held(s, p, a);
  const bool same = h.incarnation == m.incarnation && h.held != Held::nothing && h.held != Held::reserved;
  const auto reply = [&](Kind kind, bool ok) { send(s, kind, p, a, m.incarnation, ok ? 1 : 0, m.age); };
  switch (m.kind) {
    case Kind::commit: {
      const bool room = machine(s, p).used < limits_.capacity || mutated(Mutation::reserve_without_room);
      const bool ok = h.bid > 0 && h.held == Held::nothing && room;
      if (ok) {
        ++machine(s, p).used;
        h.held = Held::reserved;
        h.resources = 1;
        h.timer = static_cast<std::uint8_t>(limits_.bid);
      }
      reply(Kind::commit_reply, ok);
      return {};
    }
    case Kind::allocate: {
      const bool ok = h.held == Held::reserved;
      if (ok) {
        h.held = Held::allocated;
        h.incarnation = m.incarnation;
        h.lease = static_cast<std::uint8_t>(limits_.lease);
        h.timer = 0;
      }
      send(s, Kind::allocate_reply, p, a, m.incarnation, ok ? 1 : 0, m.age, ok && limits_.clocks ? 1 : 0);
      return {};
    }
    case Kind::start: {
      const bool again = same && h.held == Held::ended && mutated(Mutation::start_again);
      const bool ok = (same && h.held == Held::allocated && h.lease > 0) || again;
      if (!ok) {
        reply(Kind::start_reply, false);
        return {};
      }
      h.held = Held::starting;
      h.answer = 1;
      if (again) h.lease = static_cast<std::uint8_t>(limits_.lease);
      return {again ? "an incarnation runs once" : ""};
    }
    case Kind::renew: {
      const bool renewable = same && h.lease > 0 && h.held != Held::ended && h.held != Held::releasing;
      if (renewable && m.value != 0) extend(h, m);
      std::uint8_t found = 0;
      if (same)
        found = h.cut_short != 0 && h.held == Held::ended ? kCutShort : static_cast<std::uint8_t>(h.held);
      else if (h.incarnation != 0)
        found = static_cast<std::uint8_t>(kOther + h.incarnation);
      send(s, Kind::report, p, a, m.incarnation, found, m.age, limits_.clocks ? 1 : 0);
      return {};
    }
    case Kind::release: return serve_release(s, m, same);
    case Kind::ack:
      if (same && h.held == Held::ended) h.acknowledged = 1;
      return {};
    case Kind::logs: reply(Kind::logs_reply, same && h.held == Held::ended); return {};
    default: return {};
  }
}

void Steps::extend(Allocation& h, const Message& renewal) const {
  const bool from_receipt = renewal.clock == 0 || mutated(Mutation::count_from_receipt);
  const int since = from_receipt ? 0 : renewal.clock - 1;
  h.lease = std::max(h.lease, static_cast<std::uint8_t>(std::max(limits_.lease - since, 0)));
}

Violation Steps::serve_release(State& s, const Message& m, bool same) const {
  const int a = m.allocation;
  Allocation& h = held(s, m.provider, a);
  h.bid = 0;
  const bool other = h.held != Held::nothing && h.held != Held::reserved && !same;
  if (h.held == Held::nothing || (other && limits_.releases_name_incarnations)) {
    send(s, Kind::released, m.provider, a, m.incarnation, 1, m.age);
    return {};
  }
  Violation violation;
  const Task& t = task(s, a);
  const bool wanted = t.incarnation == h.incarnation && t.provider == m.provider &&
                      (t.phase == Phase::starting || t.phase == Phase::running || t.phase == Phase::collecting);
  if (h.held == Held::ended && wanted)
    violation.property = "the output of an ended run is kept until it is collected or the retention has passed";
  h.held = Held::releasing;
  h.answer = m.incarnation;
  return violation;
}

void Steps::crash_provider(int p, bool reboots) {
  State next = from_;
  ++next.crashes;
  Provider& n = machine(next, p);
  n.up = reboots ? 2 : 0;
  for (Allocation& h : n.allocations) {
    h.bid = h.answer = h.notified = 0;
    if (reboots) h.engine = Engine::nothing, h.runs = 0;
  }
  forget_seen(next, true, p);
  emit(Class::fault, next,
       [&] { return fmt::format("provider {}: {}", p, reboots ? "its machine loses power" : "its daemon is killed"); });
}

void Steps::recover_provider(int p) {
  State next = from_;
  Provider& n = machine(next, p);
  const bool rebooted = std::exchange(n.up, 1) == 2;
  for (Allocation& h : n.allocations) {
    const bool live = h.held == Held::allocated || h.held == Held::starting || h.held == Held::running;
    if (rebooted && live) h.lease = 0;
    if (rebooted && (h.held == Held::starting || h.held == Held::running)) end(h, true);
    if (live && !rebooted && mutated(Mutation::restart_extends_lease))
      h.lease = static_cast<std::uint8_t>(limits_.lease);
    if (mutated(Mutation::restart_frees_resources)) n.used -= std::exchange(h.resources, 0);
    if (h.held == Held::releasing && mutated(Mutation::release_twice)) --n.used, h.resources = 0;
    if (h.held == Held::releasing && mutated(Mutation::release_forgets)) h.held = Held::nothing;
  }
  if (mutated(Mutation::resources_in_memory)) n.used = 0;
  emit(Class::recovery, next, [&] { return fmt::format("provider {}: starts again", p); });
}

}  // namespace dms::sim::model
