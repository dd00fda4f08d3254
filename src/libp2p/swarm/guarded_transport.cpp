#include "libp2p/swarm/guarded_transport.hpp"

#include "base/log.hpp"

namespace dms::libp2p {
namespace {

using Guard = GuardedTransport::Guard;
using Reservation = std::shared_ptr<ConnectionReservation>;

Result<void> check(const Guard& guard, const Connection& connection, ConnectionReservation& reservation) {
  TRY_VOID(reservation.set_peer(connection.peer));
  if (guard.gater == nullptr) return {};
  TRY_VOID(guard.gater->secured(connection.side, connection.peer, connection.remote));
  return guard.gater->upgraded(connection);
}

/// The reservation of a dial that is about to begin.
Result<Reservation> reserve(const Guard& guard, const crypto::PeerId& peer, const Multiaddr& address) {
  if (guard.gater != nullptr) TRY_VOID(guard.gater->dial(peer, address));
  return guard.resources.open_connection(Direction::outbound, guard.fds);
}

/// Returns the connection with its reservation, or closes it.
Task<Result<Connection>> admit_connection(Guard guard, Connection connection, Reservation reservation) {
  const Result<void> checked = check(guard, connection, *reservation);
  if (!checked) {
    connection.muxer->abort();
    co_await connection.muxer->close();
    co_return std::unexpected(checked.error());
  }
  connection.muxer->count_memory_in(reservation);
  connection.reservation = std::move(reservation);
  co_return std::move(connection);
}

class GuardedIncoming final : public Incoming {
 public:
  GuardedIncoming(std::unique_ptr<Incoming> inner, Guard guard, Reservation reservation)
      : inner_(std::move(inner)), guard_(guard), reservation_(std::move(reservation)) {}

  [[nodiscard]] const Multiaddr& remote() const override { return inner_->remote(); }
  Task<Result<Connection>> complete() override {
    CO_TRY(Connection connection, co_await inner_->complete());
    co_return co_await admit_connection(guard_, std::move(connection), std::move(reservation_));
  }

 private:
  std::unique_ptr<Incoming> inner_;
  Guard guard_;
  Reservation reservation_;
};

class GuardedListener final : public TransportListener {
 public:
  GuardedListener(std::unique_ptr<TransportListener> inner, Guard guard) : inner_(std::move(inner)), guard_(guard) {}

  Task<Result<std::unique_ptr<Incoming>>> accept() override {
    for (;;) {
      CO_TRY(std::unique_ptr<Incoming> incoming, co_await inner_->accept());
      Result<Reservation> reservation = admit(incoming->remote());
      if (!reservation) {
        log::debug("libp2p", "refused {}: {}", incoming->remote().to_string(), reservation.error().to_string());
        continue;  // destroyed, so closed
      }
      std::unique_ptr<Incoming> guarded =
          std::make_unique<GuardedIncoming>(std::move(incoming), guard_, std::move(*reservation));
      co_return std::move(guarded);
    }
  }
  [[nodiscard]] const Multiaddr& address() const override { return inner_->address(); }
  void close() override { inner_->close(); }

 private:
  Result<Reservation> admit(const Multiaddr& remote) {
    if (guard_.gater != nullptr) TRY_VOID(guard_.gater->accept(remote));
    return guard_.resources.open_connection(Direction::inbound, guard_.fds);
  }

  std::unique_ptr<TransportListener> inner_;
  Guard guard_;
};

}  // namespace

Task<Result<Connection>> GuardedTransport::dial(Multiaddr address, crypto::PeerId peer) {
  Result<Reservation> reservation = reserve(guard_, peer, address);
  if (!reservation) co_return std::unexpected(refused_here(reservation.error()));
  CO_TRY(Connection connection, co_await inner_->dial(std::move(address), peer));
  Result<Connection> admitted = co_await admit_connection(guard_, std::move(connection), std::move(*reservation));
  if (!admitted) co_return std::unexpected(refused_here(admitted.error()));
  co_return std::move(admitted);
}

Result<std::unique_ptr<TransportListener>> GuardedTransport::listen(const Multiaddr& address) {
  TRY(auto listener, inner_->listen(address));
  return std::make_unique<GuardedListener>(std::move(listener), guard_);
}

}  // namespace dms::libp2p
