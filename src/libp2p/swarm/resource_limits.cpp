#include "libp2p/swarm/resource_limits.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace dms::libp2p {
namespace {

struct Field {
  std::uint64_t Amounts::*member;
  std::string_view setting;  // as in `limits.system.<setting>`
  std::string_view what;     // as in "8 inbound connections"
};

constexpr std::array<Field, 8> kFields{{
    {&Amounts::connections_inbound, "connections_inbound", "inbound connections"},
    {&Amounts::connections_outbound, "connections_outbound", "outbound connections"},
    {&Amounts::connections, "connections", "connections"},
    {&Amounts::streams_inbound, "streams_inbound", "inbound streams"},
    {&Amounts::streams_outbound, "streams_outbound", "outbound streams"},
    {&Amounts::streams, "streams", "streams"},
    {&Amounts::memory, "memory", "bytes of memory"},
    {&Amounts::fds, "fds", "file descriptors"},
}};

Amounts connection_amounts(Direction direction, std::uint64_t fds) {
  Amounts amounts;
  (direction == Direction::inbound ? amounts.connections_inbound : amounts.connections_outbound) = 1;
  amounts.connections = 1;
  amounts.memory = kConnectionMemory;
  amounts.fds = fds;
  return amounts;
}

Amounts stream_amounts(Direction direction) {
  Amounts amounts;
  (direction == Direction::inbound ? amounts.streams_inbound : amounts.streams_outbound) = 1;
  amounts.streams = 1;
  amounts.memory = kStreamMemory;
  return amounts;
}

/// What is counted in one scope.
struct Account {
  Scope scope;
  std::string name;  // of the peer or protocol
  Amounts limits;
  Amounts usage;
};

/// The accounts of one reservation, without an allocation.
class AccountList {
 public:
  void add(Account* account) { items_[count_++] = account; }
  [[nodiscard]] auto begin() const { return items_.begin(); }
  [[nodiscard]] auto end() const { return items_.begin() + count_; }

 private:
  std::array<Account*, 5> items_{};
  std::size_t count_ = 0;
};

}  // namespace

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::system: return "system";
    case Scope::transient: return "transient";
    case Scope::protocol: return "protocol";
    case Scope::peer: return "peer";
    case Scope::connection: return "connection";
    case Scope::stream: return "stream";
  }
  return "scope";
}

ResourceLimits ResourceLimits::scaled(std::uint64_t memory, std::uint64_t fds) {
  ResourceLimits limits;
  if (memory > 0) {
    limits.system.memory = memory;
    limits.transient.memory = std::min(limits.transient.memory, memory / 4);
    limits.protocol.memory = std::min(limits.protocol.memory, memory / 2);
    limits.peer.memory = std::min(limits.peer.memory, memory / 4);
    limits.connection.memory = std::min(limits.connection.memory, memory / 8);
    limits.stream.memory = std::min(limits.stream.memory, memory / 16);
  }
  if (fds > 0) {
    limits.system.fds = fds;
    limits.transient.fds = std::min(limits.transient.fds, fds);
  }
  return limits;
}

struct ResourceManager::State {
  explicit State(ResourceLimits given)
      : limits(std::move(given)),
        system{Scope::system, {}, limits.system, {}},
        transient{Scope::transient, {}, limits.transient, {}} {}

  using AccountPtr = std::shared_ptr<Account>;

  template <class Key>
  static AccountPtr account(std::map<Key, std::weak_ptr<Account>>& accounts, const Key& key, Scope scope,
                            std::string name, const Amounts& limit) {
    std::weak_ptr<Account>& slot = accounts[key];
    if (auto account = slot.lock()) return account;
    auto account = std::make_shared<Account>(Account{scope, std::move(name), limit, {}});
    slot = account;
    return account;
  }
  AccountPtr peer(const crypto::PeerId& id) { return account(peers, id, Scope::peer, id.to_string(), limits.peer); }
  AccountPtr protocol(const std::string& name) {
    const auto own = limits.protocols.find(name);
    return account(protocols, name, Scope::protocol, name,
                   own == limits.protocols.end() ? limits.protocol : own->second);
  }
  /// Removes a scope in which nothing is counted.
  void tidy(const crypto::PeerId& id) {
    if (const auto it = peers.find(id); it != peers.end() && it->second.expired()) peers.erase(it);
  }
  void tidy(const std::string& name) {
    if (const auto it = protocols.find(name); it != protocols.end() && it->second.expired()) protocols.erase(it);
  }

  Result<void> check(const Account& account, const Amounts& more, std::optional<MemoryScope::Use> use) {
    for (const Field& field : kFields) {
      const std::uint64_t wanted = more.*field.member, held = account.usage.*field.member;
      std::uint64_t limit = account.limits.*field.member;
      const bool shared = field.member == &Amounts::connections || field.member == &Amounts::fds;
      if (account.scope == Scope::system && shared && more.connections_inbound > 0 && limit != kNoLimit)
        limit -= limit / 10;
      if (use == MemoryScope::Use::required) limit -= limit / 4;
      if (use == MemoryScope::Use::optional) limit /= 2;
      if (wanted == 0 || (held <= limit && wanted <= limit - held)) continue;
      ++refusals[account.scope];
      return refuse(account, field, held, limit);
    }
    return {};
  }

  [[nodiscard]] std::unexpected<Error> refuse(const Account& account, const Field& field, std::uint64_t held,
                                              std::uint64_t limit) const {
    std::string setting = fmt::format("{}.{}", to_string(account.scope), field.setting);
    if (const auto named = limits.settings.find(setting); named != limits.settings.end())
      setting = named->second;
    else if (account.scope == Scope::protocol && limits.protocols.contains(account.name))
      setting = fmt::format("limits.protocols[{}].{}", account.name, field.setting);
    else
      setting = "limits." + setting;
    const std::string name = account.name.empty() ? "" : " " + account.name;
    return fail(Errc::limit_exceeded, "{}{}: {} {} are held, the limit is {}; raise {}", to_string(account.scope), name,
                held, field.what, limit, setting);
  }

  static void add(Account& account, const Amounts& more) {
    for (const Field& field : kFields) account.usage.*field.member += more.*field.member;
  }
  static void subtract(Account& account, const Amounts& less) {
    for (const Field& field : kFields) account.usage.*field.member -= less.*field.member;
  }
  /// Charges all accounts or none.
  Result<void> charge(std::span<Account* const> accounts, const Amounts& more,
                      std::optional<MemoryScope::Use> use = std::nullopt) {
    if (use != MemoryScope::Use::guaranteed)
      for (const Account* account : accounts) TRY_VOID(check(*account, more, use));
    for (Account* account : accounts) add(*account, more);
    return {};
  }

  ResourceLimits limits;
  Account system;
  Account transient;
  std::map<crypto::PeerId, std::weak_ptr<Account>> peers;
  std::map<std::string, std::weak_ptr<Account>> protocols;
  RefusalCounters refusals;
};

struct ConnectionReservation::Impl {
  std::shared_ptr<ResourceManager::State> state;
  Amounts amounts;
  Account own;
  std::shared_ptr<Account> peer;  // set once it is proved
  crypto::PeerId id;

  [[nodiscard]] std::array<Account*, 3> accounts() {
    return {&own, peer ? peer.get() : &state->transient, &state->system};
  }
};

struct StreamReservation::Impl {
  std::shared_ptr<ConnectionReservation> connection;
  Amounts amounts;
  Account own;
  std::shared_ptr<Account> protocol;  // set once it is agreed
  std::string name;

  [[nodiscard]] ConnectionReservation::Impl& link() const { return *connection->impl_; }
  [[nodiscard]] ResourceManager::State& state() const { return *link().state; }
  /// A stream on a connection whose peer is not proved yet belongs to no peer.
  [[nodiscard]] AccountList accounts() {
    AccountList all;
    all.add(&own);
    all.add(&link().own);
    if (link().peer) all.add(link().peer.get());
    all.add(protocol ? protocol.get() : &state().transient);
    all.add(&state().system);
    return all;
  }
};

// ---- connections ----------------------------------------------------------------------------------------------------

ConnectionReservation::ConnectionReservation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ConnectionReservation::~ConnectionReservation() {
  for (Account* account : impl_->accounts()) ResourceManager::State::subtract(*account, impl_->amounts);
  impl_->peer.reset();
  impl_->state->tidy(impl_->id);
}

Result<void> ConnectionReservation::set_peer(const crypto::PeerId& peer) {
  if (impl_->peer) return {};
  auto account = impl_->state->peer(peer);
  auto charged = impl_->state->charge(std::array{account.get()}, impl_->amounts);
  if (!charged) {
    account.reset();
    impl_->state->tidy(peer);
    return charged;
  }
  ResourceManager::State::subtract(impl_->state->transient, impl_->amounts);
  impl_->peer = std::move(account);
  impl_->id = peer;
  return {};
}

Result<void> ConnectionReservation::reserve_memory(std::uint64_t bytes, Use use) {
  Amounts more;
  more.memory = bytes;
  TRY_VOID(impl_->state->charge(impl_->accounts(), more, use));
  impl_->amounts.memory += bytes;
  return {};
}

void ConnectionReservation::release_memory(std::uint64_t bytes) {
  Amounts less;
  less.memory = bytes;
  for (Account* account : impl_->accounts()) ResourceManager::State::subtract(*account, less);
  impl_->amounts.memory -= bytes;
}

// ---- streams --------------------------------------------------------------------------------------------------------

StreamReservation::StreamReservation() = default;
StreamReservation::StreamReservation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StreamReservation::StreamReservation(StreamReservation&&) noexcept = default;
StreamReservation& StreamReservation::operator=(StreamReservation&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

StreamReservation::~StreamReservation() {
  if (!impl_) return;
  for (Account* account : impl_->accounts()) ResourceManager::State::subtract(*account, impl_->amounts);
  impl_->protocol.reset();
  impl_->state().tidy(impl_->name);
}

Result<void> StreamReservation::set_protocol(const std::string& protocol) {
  if (!impl_ || impl_->protocol) return {};
  auto& state = impl_->state();
  auto account = state.protocol(protocol);
  auto charged = state.charge(std::array{account.get()}, impl_->amounts);
  if (!charged) {
    account.reset();
    state.tidy(protocol);
    return charged;
  }
  ResourceManager::State::subtract(state.transient, impl_->amounts);
  impl_->protocol = std::move(account);
  impl_->name = protocol;
  return {};
}

Result<void> StreamReservation::reserve_memory(std::uint64_t bytes) {
  if (!impl_) return {};
  Amounts more;
  more.memory = bytes;
  TRY_VOID(impl_->state().charge(impl_->accounts(), more));
  impl_->amounts.memory += bytes;
  return {};
}

// ---- the manager ----------------------------------------------------------------------------------------------------

ResourceManager::ResourceManager(ResourceLimits limits) : state_(std::make_shared<State>(std::move(limits))) {}

Result<std::shared_ptr<ConnectionReservation>> ResourceManager::open_connection(Direction direction,
                                                                                std::uint64_t fds) {
  auto impl = std::make_unique<ConnectionReservation::Impl>();
  impl->state = state_;
  impl->amounts = connection_amounts(direction, fds);
  impl->own = Account{Scope::connection, {}, state_->limits.connection, {}};
  TRY_VOID(state_->charge(impl->accounts(), impl->amounts));
  return std::shared_ptr<ConnectionReservation>(new ConnectionReservation(std::move(impl)));
}

Result<StreamReservation> ResourceManager::open_stream(const std::shared_ptr<ConnectionReservation>& connection,
                                                       Direction direction) {
  if (!connection) return StreamReservation();
  auto impl = std::make_unique<StreamReservation::Impl>();
  impl->connection = connection;
  impl->amounts = stream_amounts(direction);
  impl->own = Account{Scope::stream, {}, state_->limits.stream, {}};
  TRY_VOID(state_->charge(impl->accounts(), impl->amounts));
  return StreamReservation(std::move(impl));
}

const ResourceLimits& ResourceManager::limits() const { return state_->limits; }
Amounts ResourceManager::system() const { return state_->system.usage; }
Amounts ResourceManager::transient() const { return state_->transient.usage; }
Amounts ResourceManager::peer(const crypto::PeerId& peer) const {
  const auto it = state_->peers.find(peer);
  const auto account = it == state_->peers.end() ? nullptr : it->second.lock();
  return account ? account->usage : Amounts{};
}
Amounts ResourceManager::protocol(const std::string& protocol) const {
  const auto it = state_->protocols.find(protocol);
  const auto account = it == state_->protocols.end() ? nullptr : it->second.lock();
  return account ? account->usage : Amounts{};
}
std::size_t ResourceManager::scopes() const { return state_->peers.size() + state_->protocols.size(); }
const RefusalCounters& ResourceManager::refusals() const { return state_->refusals; }

}  // namespace dms::libp2p
