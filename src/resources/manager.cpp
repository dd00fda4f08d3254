#include "resources/manager.hpp"

#include "base/assert.hpp"
#include "db/readable.hpp"

namespace dms::resources {
namespace {

constexpr const char* kShares = "resources.onboarded";
constexpr const char* kShare = "share";
constexpr const char* kWithdrawn = "withdrawn";  // the last share that was withdrawn
constexpr const char* kReservations = kReservationCollection;

struct ReservationWire {
  std::string state;
  std::uint64_t expires = 0;
  capability::Resources resources;
  static constexpr auto json_fields() {
    return std::tuple(json::field("state", &ReservationWire::state), json::field("expires", &ReservationWire::expires),
                      json::field("resources", &ReservationWire::resources));
  }
};

Result<void> check_share(const capability::Resources& share, const capability::Resources& machine) {
  if (share.cpu.cores.empty() || share.ram.size.empty() || share.disk.size.empty())
    return fail(Errc::invalid_argument, "a share needs cores, memory and disk above 0, found {}", share.to_string());
  for (std::size_t i = 0; i < share.gpus.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (share.gpus[i].index == share.gpus[j].index)
        return fail(Errc::invalid_argument, "gpus: index {} is given twice", share.gpus[i].index);
  if (const auto left = capability::subtract(machine, share); !left)
    return fail(Errc::limit_exceeded, "the machine has less than this share: {}", left.error().message());
  return {};
}

}  // namespace

std::string_view to_string(State state) { return state == State::committed ? "committed" : "allocated"; }

void Reservation::to_json(json::Writer& writer) const {
  json::write(writer, ReservationWire{.state = std::string(to_string(state)),
                                      .expires = static_cast<std::uint64_t>(expires.time_since_epoch().count()),
                                      .resources = resources});
}

Result<Reservation> Reservation::from_json(const json::Value& value) {
  TRY(ReservationWire wire, json::from_value<ReservationWire>(value));
  for (const State state : {State::committed, State::allocated})
    if (wire.state == to_string(state))
      return Reservation{
          .state = state, .resources = std::move(wire.resources), .expires = SteadyTime(Duration(wire.expires))};
  return fail(Errc::invalid_argument, "state: expected committed or allocated, found \"{}\"", wire.state);
}

Result<std::unique_ptr<Manager>> Manager::open(db::AsyncStore& store, Clock now) {
  std::unique_ptr<Manager> manager(new Manager(store, std::move(now)));
  TRY_VOID(manager->load());
  return manager;
}

Result<void> Manager::load() {
  TRY(auto shares, db::list_readable<capability::Resources>(store_.blocking(), kShares));
  decided_ = !shares.empty();
  for (auto& [id, share] : shares)
    if (id == kShare) share_ = std::move(share);
  TRY(auto reservations, db::list_readable<Reservation>(store_.blocking(), kReservations));
  for (auto& [id, reservation] : reservations) reservations_.emplace(std::move(id), std::move(reservation));
  return {};
}

Task<Result<void>> Manager::onboard(capability::Resources share, capability::Resources machine) {
  Mutex::Lock lock = co_await changing_.lock();
  CO_TRY_VOID(check_share(share, machine));
  CO_TRY(const capability::Resources used, total(std::nullopt));
  if (const auto left = capability::subtract(share, used); !left)
    co_return fail(Errc::limit_exceeded, "more is in use than this share holds: {}", left.error().message());
  CO_TRY_VOID(co_await store_.put_value(kShares, kShare, share));
  share_ = std::move(share);
  decided_ = true;
  co_return Result<void>();
}

Task<Result<void>> Manager::offboard() {
  Mutex::Lock lock = co_await changing_.lock();
  if (!share_) co_return fail(Errc::not_found, "nothing is onboarded");
  CO_TRY_VOID(co_await drop_expired());
  if (!reservations_.empty())
    co_return fail(Errc::permission_denied,
                   "{} allocations use what is onboarded, the first is {}; shut them down before", reservations_.size(),
                   reservations_.begin()->first);
  CO_TRY_VOID(co_await store_.put_value(kShares, kWithdrawn, *share_));
  CO_TRY_VOID(co_await store_.erase(kShares, kShare));
  share_.reset();
  co_return Result<void>();
}

Task<Result<void>> Manager::commit(std::string id, capability::Resources required, SteadyTime expires) {
  Mutex::Lock lock = co_await changing_.lock();
  if (!share_) co_return fail(Errc::not_found, "nothing is onboarded: onboard a share of this machine first");
  CO_TRY_VOID(co_await drop_expired());
  if (const auto known = reservations_.find(id); known != reservations_.end())
    co_return fail(Errc::already_exists, "{} is {} already", id, to_string(known->second.state));
  if (reservations_.size() >= kMaxReservations)
    co_return fail(Errc::limit_exceeded, "{} reservations are open; which is the limit", kMaxReservations);
  if (expires <= now_()) co_return fail(Errc::deadline_exceeded, "the reservation of {} has expired already", id);
  CO_TRY(const capability::Resources available, free());
  if (!capability::covers(available, required))
    co_return fail(Errc::limit_exceeded, "not enough is free for {}: {}", id,
                   capability::explain_shortage(available, required));
  Reservation reservation{.state = State::committed, .resources = required, .expires = expires};
  CO_TRY(reservation.resources.gpus, capability::assign_gpus(available.gpus, required.gpus));
  CO_TRY_VOID(co_await store_.put_value(kReservations, id, reservation));
  reservations_.emplace(id, std::move(reservation));
  tell(id, Step::reserved);
  check_invariants();
  co_return Result<void>();
}

Task<Result<void>> Manager::allocate(std::string id) {
  Mutex::Lock lock = co_await changing_.lock();
  const auto known = reservations_.find(id);
  if (known == reservations_.end() || !counts(known->second))
    co_return fail(Errc::not_found, "{} is not committed, or has expired", id);
  if (known->second.state == State::allocated) co_return fail(Errc::already_exists, "{} is allocated already", id);
  Reservation allocated = known->second;
  allocated.state = State::allocated;
  allocated.expires = {};
  CO_TRY_VOID(co_await store_.put_value(kReservations, id, allocated));
  known->second = std::move(allocated);
  co_return Result<void>();
}

Task<Result<void>> Manager::drop(std::string id, State state, std::string_view what) {
  Mutex::Lock lock = co_await changing_.lock();
  const auto known = reservations_.find(id);
  if (known == reservations_.end()) co_return fail(Errc::not_found, "{} is not {}", id, what);
  if (!counts(known->second)) {
    std::vector<std::string> expired{id};
    CO_TRY_VOID(co_await erase(std::move(expired)));
    co_return fail(Errc::not_found, "{} is not {} any more: it has expired", id, what);
  }
  if (known->second.state != state)
    co_return fail(Errc::not_found, "{} is not {} but {}", id, what, to_string(known->second.state));
  CO_TRY_VOID(co_await store_.erase(kReservations, id));
  forget(id);
  co_return Result<void>();
}

Task<Result<void>> Manager::uncommit(std::string id) { return drop(std::move(id), State::committed, "committed"); }

Task<Result<void>> Manager::deallocate(std::string id) {
  Task<Result<void>> dropping = drop(id, State::allocated, "allocated");
  const Result<void> dropped = co_await std::move(dropping);
  if (!dropped && dropped.error().is(Errc::not_found)) tell(id, Step::not_held);
  co_return dropped;
}

Task<Result<void>> Manager::resize(std::string id, capability::Resources required) {
  Mutex::Lock lock = co_await changing_.lock();
  const auto known = reservations_.find(id);
  if (known == reservations_.end() || known->second.state != State::allocated)
    co_return fail(Errc::not_found, "{} is not allocated", id);
  CO_TRY(const capability::Resources used, total(std::nullopt, id));
  CO_TRY(const capability::Resources available, capability::subtract(share_.value_or(capability::Resources{}), used));
  if (!capability::covers(available, required))
    co_return fail(Errc::limit_exceeded, "not enough is free for {}: {}", id,
                   capability::explain_shortage(available, required));
  Reservation changed = known->second;
  changed.resources = required;
  CO_TRY(changed.resources.gpus, capability::assign_gpus(available.gpus, required.gpus));
  CO_TRY_VOID(co_await store_.put_value(kReservations, id, changed));
  known->second = std::move(changed);
  check_invariants();
  co_return Result<void>();
}

Task<Result<void>> Manager::release_all(std::set<std::string> except) {
  Mutex::Lock lock = co_await changing_.lock();
  std::vector<std::string> all;
  for (const auto& [id, reservation] : reservations_)
    if (!except.contains(id)) all.push_back(id);
  co_return co_await erase(std::move(all));
}

Task<Result<void>> Manager::drop_expired() {
  std::vector<std::string> expired;
  for (const auto& [id, reservation] : reservations_)
    if (!counts(reservation)) expired.push_back(id);
  co_return co_await erase(std::move(expired));
}

Task<Result<void>> Manager::erase(std::vector<std::string> ids) {
  if (ids.empty()) co_return Result<void>();
  // Named before it is awaited: GCC 12 destroys the captures of a temporary twice.
  db::AsyncStore::Change change = [ids](db::Store& store) -> Result<void> {
    for (const std::string& id : ids) TRY_VOID(store.erase(kReservations, id));
    return {};
  };
  const Result<void> erased = co_await store_.transaction(std::move(change));
  if (!erased) co_return erased;
  for (const std::string& id : ids) forget(id);
  co_return Result<void>();
}

void Manager::forget(const std::string& id) {
  if (reservations_.erase(id) > 0) tell(id, Step::released);
}

void Manager::tell(const std::string& id, Step step) const {
  if (watcher_) watcher_(id, step);
}

bool Manager::counts(const Reservation& reservation) const {
  return reservation.state == State::allocated || now_() < reservation.expires;
}

Result<capability::Resources> Manager::total(std::optional<State> state, const std::string& without) const {
  capability::Resources sum;
  for (const auto& [id, reservation] : reservations_)
    if (id != without && counts(reservation) && (!state || reservation.state == *state)) {
      TRY(sum, capability::add(sum, reservation.resources));
    }
  return sum;
}

Result<capability::Resources> Manager::free() const {
  TRY(const capability::Resources used, total(std::nullopt));
  return capability::subtract(share_.value_or(capability::Resources{}), used);
}

bool Manager::has_room() const {
  return std::ranges::count_if(reservations_, [this](const auto& entry) { return counts(entry.second); }) <
         static_cast<std::ptrdiff_t>(kMaxReservations);
}

std::optional<Reservation> Manager::find(const std::string& id) const {
  const auto known = reservations_.find(id);
  if (known == reservations_.end() || !counts(known->second)) return std::nullopt;
  return known->second;
}

std::map<std::string, Reservation> Manager::list() const {
  std::map<std::string, Reservation> current;
  for (const auto& [id, reservation] : reservations_)
    if (counts(reservation)) current.emplace(id, reservation);
  return current;
}

void Manager::check_invariants() const { DMS_DEBUG_ASSERT(free().has_value(), "more is reserved than onboarded"); }

}  // namespace dms::resources
