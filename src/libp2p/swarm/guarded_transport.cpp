#include "libp2p/swarm/guarded_transport.hpp"

#include "base/log.hpp"

namespace dms::libp2p {
namespace {

using Guard = GuardedTransport::Guard;
using Place = std::shared_ptr<ConnectionReservation>;

Result<void> wanted(const Guard& guard, const Connection& connection, ConnectionReservation& place) {
  TRY_VOID(place.set_peer(connection.peer));
  if (guard.gater == nullptr) return {};
  TRY_VOID(guard.gater->secured(connection.side, connection.peer, connection.remote));
  return guard.gater->upgraded(connection);
}

/// A place for a dial that is about to begin.
Result<Place> permit(const Guard& guard, const crypto::PeerId& peer, const Multiaddr& address) {
  if (guard.gater != nullptr) TRY_VOID(guard.gater->dial(peer, address));
  return guard.resources.open_connection(Direction::outbound, guard.fds);
}

/// Hands the connection on with its place, or ends it.
Task<Result<Connection>> settle(Guard guard, Connection connection, Place place) {
  const Result<void> judged = wanted(guard, connection, *place);
  if (!judged) {
    connection.muxer->abort();
    co_await connection.muxer->close();
    co_return std::unexpected(judged.error());
  }
  connection.muxer->count_memory_in(place);
  connection.place = std::move(place);
  co_return std::move(connection);
}

class GuardedIncoming final : public Incoming {
 public:
  GuardedIncoming(std::unique_ptr<Incoming> inner, Guard guard, Place place)
      : inner_(std::move(inner)), guard_(guard), place_(std::move(place)) {}

  [[nodiscard]] const Multiaddr& remote() const override { return inner_->remote(); }
  Task<Result<Connection>> complete() override {
    CO_TRY(Connection connection, co_await inner_->complete());
    co_return co_await settle(guard_, std::move(connection), std::move(place_));
  }

 private:
  std::unique_ptr<Incoming> inner_;
  Guard guard_;
  Place place_;
};

class GuardedListener final : public TransportListener {
 public:
  GuardedListener(std::unique_ptr<TransportListener> inner, Guard guard) : inner_(std::move(inner)), guard_(guard) {}

  Task<Result<std::unique_ptr<Incoming>>> accept() override {
    for (;;) {
      CO_TRY(std::unique_ptr<Incoming> incoming, co_await inner_->accept());
      Result<Place> place = admit(incoming->remote());
      if (!place) {
        log::debug("libp2p", "refused {}: {}", incoming->remote().to_string(), place.error().to_string());
        continue;  // destroyed, so closed
      }
      std::unique_ptr<Incoming> guarded =
          std::make_unique<GuardedIncoming>(std::move(incoming), guard_, std::move(*place));
      co_return std::move(guarded);
    }
  }
  [[nodiscard]] const Multiaddr& address() const override { return inner_->address(); }
  void close() override { inner_->close(); }

 private:
  Result<Place> admit(const Multiaddr& remote) {
    if (guard_.gater != nullptr) TRY_VOID(guard_.gater->accept(remote));
    return guard_.resources.open_connection(Direction::inbound, guard_.fds);
  }

  std::unique_ptr<TransportListener> inner_;
  Guard guard_;
};

}  // namespace

Task<Result<Connection>> GuardedTransport::dial(Multiaddr address, crypto::PeerId peer) {
  Result<Place> place = permit(guard_, peer, address);
  if (!place) co_return std::unexpected(refused_here(place.error()));
  CO_TRY(Connection connection, co_await inner_->dial(std::move(address), peer));
  Result<Connection> settled = co_await settle(guard_, std::move(connection), std::move(*place));
  if (!settled) co_return std::unexpected(refused_here(settled.error()));
  co_return std::move(settled);
}

Result<std::unique_ptr<TransportListener>> GuardedTransport::listen(const Multiaddr& address) {
  TRY(auto listener, inner_->listen(address));
  return std::make_unique<GuardedListener>(std::move(listener), guard_);
}

}  // namespace dms::libp2p
