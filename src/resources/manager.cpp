#include "resources/manager.hpp"

namespace dms::resources {
namespace {

constexpr std::string_view kShares = "resources.onboarded";
constexpr std::string_view kShare = "share";
constexpr std::string_view kReservations = "resources.promises";

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
  json::write(writer, ReservationWire{
                          .state = std::string(to_string(state)), .expires = expires.nanos, .resources = resources});
}

Result<Reservation> Reservation::from_json(const json::Value& value) {
  TRY(ReservationWire wire, json::from_value<ReservationWire>(value));
  for (const State state : {State::committed, State::allocated})
    if (wire.state == to_string(state))
      return Reservation{.state = state, .resources = std::move(wire.resources), .expires = {wire.expires}};
  return fail(Errc::invalid_argument, "state: expected committed or allocated, found \"{}\"", wire.state);
}

Result<std::unique_ptr<Manager>> Manager::open(db::Store& store, Clock now) {
  std::unique_ptr<Manager> manager(new Manager(store, std::move(now)));
  TRY_VOID(manager->load());
  return manager;
}

Result<void> Manager::load() {
  TRY(share_, store_.get_value<capability::Resources>(kShares, kShare));
  TRY(auto reservations, store_.list_values<Reservation>(kReservations));
  for (auto& [id, reservation] : reservations) reservations_.emplace(std::move(id), std::move(reservation));
  return {};
}

Result<void> Manager::onboard(const capability::Resources& share, const capability::Resources& machine) {
  TRY_VOID(check_share(share, machine));
  TRY(const capability::Resources used, total(std::nullopt));
  if (const auto left = capability::subtract(share, used); !left)
    return fail(Errc::limit_exceeded, "more is in use than this share holds: {}", left.error().message());
  TRY_VOID(store_.put_value(kShares, kShare, share));
  share_ = share;
  return {};
}

Result<void> Manager::offboard() {
  if (!share_) return fail(Errc::not_found, "nothing is onboarded");
  TRY_VOID(drop_expired());
  if (!reservations_.empty())
    return fail(Errc::permission_denied, "{} allocations use what is onboarded, the first is {}; shut them down before",
                reservations_.size(), reservations_.begin()->first);
  TRY_VOID(store_.erase(kShares, kShare));
  share_.reset();
  return {};
}

Result<void> Manager::commit(const std::string& id, const capability::Resources& required, UnixTime expires) {
  if (!share_) return fail(Errc::not_found, "this machine lends nothing: onboard a share of it first");
  TRY_VOID(drop_expired());
  if (const auto known = reservations_.find(id); known != reservations_.end())
    return fail(Errc::already_exists, "{} is {} already", id, to_string(known->second.state));
  if (reservations_.size() >= kMaxReservations)
    return fail(Errc::limit_exceeded, "{} reservations are open; no more are made", kMaxReservations);
  if (expires <= now_()) return fail(Errc::deadline_exceeded, "the commit of {} would be over before it began", id);
  TRY(const capability::Resources available, free());
  if (!capability::covers(available, required))
    return fail(Errc::limit_exceeded, "not enough is free for {}: {}", id,
                capability::explain_shortage(available, required));
  Reservation reservation{.state = State::committed, .resources = required, .expires = expires};
  TRY(reservation.resources.gpus, capability::assign_gpus(available.gpus, required.gpus));
  TRY_VOID(store_.put_value(kReservations, id, reservation));
  reservations_.emplace(id, std::move(reservation));
  return {};
}

Result<void> Manager::allocate(const std::string& id) {
  const auto known = reservations_.find(id);
  if (known == reservations_.end() || !counts(known->second))
    return fail(Errc::not_found, "{} is not committed, or its time is over", id);
  if (known->second.state == State::allocated) return fail(Errc::already_exists, "{} is allocated already", id);
  Reservation allocated = known->second;
  allocated.state = State::allocated;
  allocated.expires = {};
  TRY_VOID(store_.put_value(kReservations, id, allocated));
  known->second = std::move(allocated);
  return {};
}

Result<void> Manager::drop(const std::string& id, State state, std::string_view what) {
  const auto known = reservations_.find(id);
  if (known == reservations_.end() || !counts(known->second)) return fail(Errc::not_found, "{} is not {}", id, what);
  if (known->second.state != state)
    return fail(Errc::not_found, "{} is not {} but {}", id, what, to_string(known->second.state));
  TRY_VOID(store_.erase(kReservations, id));
  reservations_.erase(known);
  return {};
}

Result<void> Manager::uncommit(const std::string& id) { return drop(id, State::committed, "committed"); }
Result<void> Manager::deallocate(const std::string& id) { return drop(id, State::allocated, "allocated"); }

Result<void> Manager::release_all() {
  TRY_VOID(store_.transaction([this]() -> Result<void> {
    for (const auto& [id, reservation] : reservations_) TRY_VOID(store_.erase(kReservations, id));
    return {};
  }));
  reservations_.clear();
  return {};
}

bool Manager::counts(const Reservation& reservation) const {
  return reservation.state == State::allocated || now_() < reservation.expires;
}

Result<void> Manager::drop_expired() {
  std::vector<std::string> over;
  for (const auto& [id, reservation] : reservations_)
    if (!counts(reservation)) over.push_back(id);
  if (over.empty()) return {};
  TRY_VOID(store_.transaction([&]() -> Result<void> {
    for (const std::string& id : over) TRY_VOID(store_.erase(kReservations, id));
    return {};
  }));
  for (const std::string& id : over) reservations_.erase(id);
  return {};
}

Result<capability::Resources> Manager::total(std::optional<State> state) const {
  capability::Resources sum;
  for (const auto& [id, reservation] : reservations_)
    if (counts(reservation) && (!state || reservation.state == *state)) {
      TRY(sum, capability::add(sum, reservation.resources));
    }
  return sum;
}

Result<capability::Resources> Manager::free() const {
  TRY(const capability::Resources used, total(std::nullopt));
  return capability::subtract(share_.value_or(capability::Resources{}), used);
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

}  // namespace dms::resources
