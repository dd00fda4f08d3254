#include "libp2p/swarm/swarm.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "libp2p/multistream/multistream.hpp"
#include "libp2p/swarm/swarm_impl.hpp"

namespace dms::libp2p {

Swarm::Swarm(Runtime runtime, crypto::PrivateKey key, SwarmOptions options)
    : impl_(std::make_unique<Impl>(runtime, std::move(key), options)) {}
Swarm::~Swarm() = default;

const crypto::PeerId& Swarm::self() const { return impl_->self; }
const crypto::PrivateKey& Swarm::key() const { return impl_->key; }
Runtime Swarm::runtime() const { return impl_->runtime; }

Result<void> Swarm::listen(const Multiaddr& address) { return impl_->listen(address); }
std::vector<Multiaddr> Swarm::addresses() const { return impl_->addresses(); }

Task<Result<void>> Swarm::connect(crypto::PeerId peer, std::vector<Multiaddr> addresses) {
  return impl_->connect(peer, std::move(addresses));
}
Task<Result<void>> Swarm::connect(PeerAddress to) {
  std::vector<Multiaddr> addresses;
  addresses.push_back(std::move(to.address));
  return impl_->connect(to.peer, std::move(addresses));
}
void Swarm::disconnect(const crypto::PeerId& peer) {
  auto it = impl_->links.find(peer);
  if (it == impl_->links.end()) return;
  const auto links = it->second;
  for (const auto& link : links) {
    impl_->drop(link);
    impl_->nursery.spawn(impl_->end(link));
  }
}

Task<Result<std::unique_ptr<Stream>>> Swarm::new_stream(crypto::PeerId peer, std::vector<std::string> protocols) {
  return impl_->new_stream(peer, std::move(protocols));
}
Task<Result<std::unique_ptr<Stream>>> Swarm::new_stream_if_connected(crypto::PeerId peer,
                                                                     std::vector<std::string> protocols) {
  return impl_->new_stream_if_connected(peer, std::move(protocols));
}
void Swarm::set_stream_handler(std::string protocol, StreamHandler handler) {
  const bool is_new = impl_->handlers.insert_or_assign(std::move(protocol), std::move(handler)).second;
  if (is_new) impl_->changed();
}
void Swarm::remove_stream_handler(const std::string& protocol) {
  if (impl_->handlers.erase(protocol) > 0) impl_->changed();
}
std::vector<std::string> Swarm::protocols() const {
  std::vector<std::string> names;
  for (const auto& [name, handler] : impl_->handlers) names.push_back(name);
  return names;
}

std::vector<crypto::PeerId> Swarm::peers() const {
  std::vector<crypto::PeerId> out;
  for (const auto& [peer, links] : impl_->links) out.push_back(peer);
  return out;
}
bool Swarm::connected(const crypto::PeerId& peer) const { return impl_->links.contains(peer); }
std::size_t Swarm::connections() const { return impl_->link_count; }
std::optional<Multiaddr> Swarm::remote_address(const crypto::PeerId& peer) const {
  const auto it = impl_->links.find(peer);
  if (it == impl_->links.end()) return std::nullopt;
  return it->second.front()->connection.remote;
}
std::optional<crypto::PublicKey> Swarm::remote_key(const crypto::PeerId& peer) const {
  const auto it = impl_->links.find(peer);
  if (it == impl_->links.end()) return std::nullopt;
  return it->second.front()->connection.key;
}

std::optional<ConnectionInfo> Swarm::connection(const crypto::PeerId& peer) const {
  const auto it = impl_->links.find(peer);
  if (it == impl_->links.end()) return std::nullopt;
  const Connection& connection = it->second.front()->connection;
  return ConnectionInfo{connection.side, connection.local, connection.remote, connection.security,
                        connection.muxer_protocol};
}
const ResourceManager& Swarm::resources() const { return impl_->resources; }
PeerStore& Swarm::peer_store() { return impl_->peer_store; }
const SwarmMetrics& Swarm::metrics() const { return impl_->metrics; }
const DialCounters& Swarm::dials() const { return impl_->dialer.outcomes(); }
void Swarm::register_metrics(metrics::Registry& registry) {
  impl_->metrics.register_with(registry, impl_->dialer.outcomes(), impl_->resources.refusals());
}

NotificationId Swarm::on_peer_connected(PeerCallback callback) {
  const auto id = static_cast<NotificationId>(++impl_->last_notification);
  impl_->notifications.emplace(id, Impl::Notification{true, std::move(callback)});
  return id;
}
NotificationId Swarm::on_peer_disconnected(PeerCallback callback) {
  const auto id = static_cast<NotificationId>(++impl_->last_notification);
  impl_->notifications.emplace(id, Impl::Notification{false, std::move(callback)});
  return id;
}
NotificationId Swarm::on_local_change(std::function<void()> callback) {
  const auto id = static_cast<NotificationId>(++impl_->last_notification);
  impl_->watchers.emplace(id, std::move(callback));
  return id;
}
void Swarm::remove_notification(NotificationId id) {
  impl_->notifications.erase(id);
  impl_->watchers.erase(id);
}

void Swarm::set_protocols(const crypto::PeerId& peer, std::vector<std::string> protocols) {
  if (connected(peer)) impl_->peer_protocols.insert_or_assign(peer, std::move(protocols));
}
std::vector<std::string> Swarm::protocols(const crypto::PeerId& peer) const {
  const auto it = impl_->peer_protocols.find(peer);
  return it == impl_->peer_protocols.end() ? std::vector<std::string>() : it->second;
}

Task<void> Swarm::close() {
  impl_->closed = true;
  for (const auto& listener : impl_->listeners) listener->close();
  impl_->nursery.cancel();
  co_await impl_->dialer.close();
  co_await impl_->nursery.close();
  impl_->listeners.clear();
  impl_->handlers.clear();
  impl_->notifications.clear();
  impl_->watchers.clear();
}

// ---- listening ------------------------------------------------------------------------------------------------------

namespace {

yamux::Options muxer_options(const SwarmOptions& options, SwarmMetrics& metrics) {
  yamux::Options muxer;
  muxer.bytes_received = &metrics.bytes_received;
  muxer.bytes_sent = &metrics.bytes_sent;
  muxer.max_inbound_streams = muxer.max_outbound_streams = options.max_streams;
  muxer.keep_alive = options.keep_alive;
  return muxer;
}

/// More attempts than transient connections would be refused, so they wait instead.
DialOptions dial_options(const SwarmOptions& options) {
  DialOptions dial = options.dial;
  const std::uint64_t most = options.limits.transient.connections_outbound;
  dial.max_attempts = std::clamp<std::uint64_t>(dial.max_attempts, 1, std::max<std::uint64_t>(most, 1));
  return dial;
}

}  // namespace

Swarm::Impl::Impl(Runtime r, crypto::PrivateKey private_key, SwarmOptions opts)
    : runtime(r),
      key(std::move(private_key)),
      self(crypto::PeerId::from(key.public_key())),
      options(std::move(opts)),
      resources(options.limits),
      peer_store(options.peer_store),
      upgrader(r.lane, standard_securities(key, r.lane), options.security, muxer_options(options, metrics)),
      nursery(r.lane, "libp2p swarm"),
      dialer(r, *this, dial_options(options)) {
  const GuardedTransport::Guard guard{resources, options.gater.get()};
  transports.push_back(
      std::make_unique<GuardedTransport>(std::make_unique<TcpTransport>(runtime.net, upgrader), guard));
  nursery.spawn(maintain());
}

Transport* Swarm::Impl::transport_for(const Multiaddr& address) const {
  for (const auto& transport : transports)
    if (transport->handles(address)) return transport.get();
  return nullptr;
}

Result<void> Swarm::Impl::listen(const Multiaddr& address) {
  if (closed) return fail(Errc::closed, "the host is closed");
  Transport* transport = transport_for(address);
  if (transport == nullptr)
    return fail(Errc::unsupported,
                "listen on {}: no transport handles it; TCP addresses look like /ip4/0.0.0.0/tcp/9000",
                address.to_string());
  TRY(auto listener, transport->listen(address));
  listeners.push_back(std::move(listener));
  nursery.spawn(accept_loop(*listeners.back()));
  changed();
  return {};
}

Task<void> Swarm::Impl::accept_loop(TransportListener& listener) {
  while (!closed) {
    Result<std::unique_ptr<Incoming>> incoming = co_await listener.accept();
    if (closed || nursery.cancelled()) co_return;
    if (!incoming) {
      if (incoming.error().is(Errc::closed)) co_return;
      // Probably out of file descriptors: pause instead of spinning.
      Result<void> paused = co_await sleep_for(100ms);
      if (!paused) co_return;
      continue;
    }
    nursery.spawn(admit(std::move(*incoming)));
  }
}

Task<void> Swarm::Impl::admit(std::unique_ptr<Incoming> incoming) {
  Result<Connection> connection = co_await with_timeout(options.handshake_timeout, incoming->complete());
  if (!connection) {
    log::debug("libp2p", "handshake with {}: {}", incoming->remote().to_string(), connection.error().to_string());
    co_return;
  }
  (void)add_connection(std::move(*connection));
}

std::vector<Multiaddr> Swarm::Impl::addresses() const {
  std::vector<Multiaddr> out;
  for (const auto& listener : listeners) {
    const auto endpoint = listener->address().tcp_endpoint();
    if (!endpoint || !endpoint->address.is_unspecified()) {
      out.push_back(listener->address().with_peer(self));
      continue;
    }
    auto interfaces = runtime.net.interface_addresses();
    if (!interfaces) continue;
    for (const IpAddress& ip : *interfaces)
      if (ip.is_v6() == endpoint->address.is_v6()) out.push_back(Multiaddr::tcp({ip, endpoint->port}).with_peer(self));
  }
  return out;
}

// ---- dialing --------------------------------------------------------------------------------------------------------

Task<Result<void>> Swarm::Impl::connect(crypto::PeerId peer, std::vector<Multiaddr> addresses) {
  if (closed) co_return fail(Errc::closed, "the host is closed");
  if (peer == self) co_return fail(Errc::invalid_argument, "connect to {}: that is this node itself", peer.to_string());
  for (Multiaddr& address : addresses) address = address.without_peer();
  if (!usable(peer)) {
    Task<Result<void>> dialing = dialer.dial(peer, addresses, peer_store.addresses(peer, runtime.lane.now()));
    CO_TRY_VOID(co_await std::move(dialing));
  }
  // The connection may have ended since it was made.
  const Duration kept = links.contains(peer) ? PeerStore::kWhileConnected : PeerStore::kRecentlyConnected;
  peer_store.add_addresses(peer, addresses, kept, runtime.lane.now());
  co_return Result<void>();
}

// ---- connections ----------------------------------------------------------------------------------------------------

Result<void> Swarm::Impl::add_connection(Connection connection) {
  const crypto::PeerId peer = connection.peer;
  if (closed || peer == self) {
    nursery.spawn(close_unused(std::move(connection)));
    if (closed) return fail(Errc::closed, "the host is closed");
    return fail(Errc::invalid_argument, "the connection to {} is refused: that is this node itself", peer.to_string());
  }
  auto link = std::make_shared<Link>();
  link->id = ++last_id;
  link->connection = std::move(connection);
  link->busy = runtime.lane.now();
  link->connection.muxer->on_end([raw = link.get()] {  // the link outlives its muxer
    raw->ended = true;
    raw->handler_done.notify_all();
  });
  ++link_count;
  metrics.connections.add();
  ++metrics.connections_opened[link->connection.side == Side::dialer ? Direction::outbound : Direction::inbound];
  auto& of_peer = links[peer];
  for (const LinkPtr& earlier : of_peer) earlier->connection.muxer->prove_alive(kSignOfLife);
  of_peer.push_back(link);
  if (of_peer.size() == 1) announce(peer, true);
  // The remote port of an inbound connection may be ephemeral.
  if (link->connection.side == Side::dialer)
    peer_store.add_addresses(peer, {link->connection.remote}, PeerStore::kWhileConnected, runtime.lane.now());
  dialer.connection_changed(peer);
  nursery.spawn(serve(link));
  return {};
}

void Swarm::Impl::drop(const LinkPtr& link) {
  const auto it = links.find(link->connection.peer);
  if (it == links.end() || std::erase(it->second, link) == 0) return;
  --link_count;
  metrics.connections.sub();
  if (!it->second.empty()) return;
  const crypto::PeerId peer = it->first;
  links.erase(it);
  peer_protocols.erase(peer);
  peer_store.release(peer, PeerStore::kRecentlyConnected, runtime.lane.now());
  announce(peer, false);
}

Task<void> Swarm::Impl::close_unused(Connection connection) { co_await connection.muxer->close(); }

Task<void> Swarm::Impl::end(LinkPtr link) {
  if (std::exchange(link->ending, true)) co_return;
  co_await link->connection.muxer->close();
}

/// A handler may outlive its stream. The sender counts streams only, so its next stream waits instead of being refused,
/// also after GO_AWAY: streams that were open then continue.
Task<Result<void>> Swarm::Impl::wait_for_handler_slot(LinkPtr link) {
  while (link->handlers >= options.max_streams) {
    if (link->ended) co_return fail(Errc::closed, "the connection has ended");
    CO_TRY_VOID(co_await link->handler_done.wait());
  }
  co_return Result<void>();
}

Task<void> Swarm::Impl::serve(LinkPtr link) {
  for (;;) {
    Result<std::unique_ptr<ByteStream>> stream = co_await link->connection.muxer->accept_stream();
    if (!stream) break;
    Result<void> slot = co_await wait_for_handler_slot(link);
    if (!slot) break;
    Result<StreamReservation> reservation = resources.open_stream(link->connection.reservation, Direction::inbound);
    if (!reservation) {
      log::debug("libp2p", "refused an inbound stream of {}: {}", link->connection.peer.to_string(),
                 reservation.error().to_string());
      continue;
    }
    ++link->handlers;
    ++metrics.streams_opened[Direction::inbound];
    nursery.spawn(handle(link, std::move(*stream), std::move(*reservation)));
  }
  drop(link);
  co_await end(link);
}

Swarm::Impl::LinkPtr Swarm::Impl::usable(const crypto::PeerId& peer) const {
  const auto it = links.find(peer);
  if (it == links.end()) return nullptr;
  return preferred(it->second);
}

/// The connection that carries new streams. Both sides choose the same one, or each might end the one that the other
/// uses: of two simultaneous dials the one whose dialer has the smaller id, otherwise the oldest.
Swarm::Impl::LinkPtr Swarm::Impl::preferred(const std::vector<LinkPtr>& of_peer) const {
  LinkPtr oldest;
  for (const LinkPtr& link : of_peer) {
    if (link->ending || link->connection.muxer->closing()) continue;
    if ((link->connection.side == Side::dialer) == (self < link->connection.peer)) return link;
    if (!oldest) oldest = link;
  }
  return oldest;
}

/// Ends connections that are not used.
Task<void> Swarm::Impl::maintain() {
  static constexpr Duration kEvery = 15s, kSuperfluous = 60s;
  for (;;) {
    Result<void> slept = co_await sleep_for(kEvery);
    if (!slept) co_return;
    std::vector<LinkPtr> idle;
    const SteadyTime now = runtime.lane.now();
    for (const auto& [peer, of_peer] : links) {
      const LinkPtr used = preferred(of_peer);
      for (const LinkPtr& link : of_peer) {
        if (link->connection.muxer->streams() > 0 || link->handlers > 0) link->busy = now;
        const Duration unused = now - link->busy;
        const bool superfluous = link != used && unused >= kSuperfluous;
        if (superfluous || (options.idle_timeout > 0s && unused >= options.idle_timeout)) idle.push_back(link);
      }
    }
    for (const LinkPtr& link : idle) {
      drop(link);
      nursery.spawn(end(link));
    }
  }
}

void Swarm::Impl::announce(const crypto::PeerId& peer, bool connected) { nursery.spawn(notify(peer, connected)); }

Task<void> Swarm::Impl::notify(crypto::PeerId peer, bool connected) {
  std::vector<NotificationId> ids;
  for (const auto& [id, notification] : notifications)
    if (notification.on_connected == connected) ids.push_back(id);
  for (NotificationId id : ids) {
    const auto it = notifications.find(id);
    if (it == notifications.end()) continue;
    const PeerCallback callback = it->second.callback;
    callback(peer);
  }
  co_return;
}

void Swarm::Impl::changed() const {
  for (const auto& [id, callback] : watchers) callback();
}

// ---- streams --------------------------------------------------------------------------------------------------------

Task<Result<std::unique_ptr<Stream>>> Swarm::Impl::new_stream(crypto::PeerId peer, std::vector<std::string> protocols) {
  for (const std::string& name : protocols)
    if (!multistream::valid_name(name))
      co_return fail(Errc::invalid_argument, "'{}' is not a valid protocol name", name);
  // A connection may turn out to have failed when it is used; then a new one is made, once.
  for (int attempt = 0;; ++attempt) {
    CO_TRY_VOID(co_await connect(peer, std::vector<Multiaddr>()));
    LinkPtr link = usable(peer);
    if (!link) {
      if (attempt > 0 || closed) co_return fail(Errc::closed, "the connection to {} has ended", peer.to_string());
      continue;
    }
    Result<std::unique_ptr<Stream>> stream = co_await with_timeout(options.negotiation_timeout, open(link, protocols));
    if (stream) co_return std::move(stream);
    if (attempt > 0 || !link->connection.muxer->closing())
      co_return fail(stream.error(), "open a stream to {}", peer.to_string());
  }
}

Task<Result<std::unique_ptr<Stream>>> Swarm::Impl::new_stream_if_connected(crypto::PeerId peer,
                                                                           std::vector<std::string> protocols) {
  LinkPtr link = usable(peer);
  if (!link) co_return fail(Errc::closed, "there is no connection to {}", peer.to_string());
  co_return co_await with_timeout(options.negotiation_timeout, open(link, std::move(protocols)));
}

Task<Result<std::unique_ptr<Stream>>> Swarm::Impl::open(LinkPtr link, std::vector<std::string> protocols) {
  const crypto::PeerId peer = link->connection.peer;
  CO_TRY(StreamReservation reservation, resources.open_stream(link->connection.reservation, Direction::outbound));
  CO_TRY(std::unique_ptr<ByteStream> raw, co_await link->connection.muxer->open_stream());
  ++metrics.streams_opened[Direction::outbound];
  std::string agreed;
  const auto it = peer_protocols.find(peer);
  if (protocols.size() == 1 && it != peer_protocols.end() &&
      std::ranges::find(it->second, protocols[0]) != it->second.end()) {
    agreed = protocols[0];
    raw = multistream::propose_lazily(std::move(raw), agreed);
  } else {
    CO_TRY(agreed, co_await multistream::propose(*raw, std::move(protocols)));
  }
  CO_TRY_VOID(reservation.set_protocol(agreed));
  co_return std::make_unique<Stream>(std::move(raw), peer, std::move(agreed), std::move(reservation));
}

Task<void> Swarm::Impl::handle(LinkPtr link, std::unique_ptr<ByteStream> raw, StreamReservation reservation) {
  struct Done {
    Link& link;
    ~Done() {
      --link.handlers;
      link.handler_done.notify_one();
    }
  } done{*link};
  std::function<bool(std::string_view)> supports = [this](std::string_view name) { return handlers.contains(name); };
  Result<std::string> agreed =
      co_await with_timeout(options.negotiation_timeout, multistream::answer(*raw, std::move(supports)));
  if (!agreed) {
    log::debug("libp2p", "inbound stream of {}: {}", link->connection.peer.to_string(), agreed.error().to_string());
    co_return;
  }
  const auto it = handlers.find(*agreed);
  if (it == handlers.end()) co_return;
  const Result<void> admitted = reservation.set_protocol(*agreed);
  if (!admitted) {
    log::debug("libp2p", "refused an inbound stream of {}: {}", link->connection.peer.to_string(),
               admitted.error().to_string());
    co_return;
  }
  const StreamHandler handler = it->second;
  auto stream =
      std::make_unique<Stream>(std::move(raw), link->connection.peer, std::move(*agreed), std::move(reservation));
  co_await handler(std::move(stream));
}

}  // namespace dms::libp2p
