// A libp2p peer as its users want it: a Swarm that also answers and asks identify and ping.
//
// Model
//  1. Everything of Swarm (host/swarm.hpp). On every new connection both sides identify themselves; what was learned is
//     in identify().
//  2. The number of peers is kept between the watermarks of connection_manager().
//  3. close() ends everything and must be awaited before the Host is destroyed. A PubSub on this host is closed before
//     it.
#pragma once

#include "libp2p/swarm/connection_manager.hpp"
#include "libp2p/swarm/swarm.hpp"
#include "libp2p/protocols/identify/identify.hpp"
#include "libp2p/protocols/ping/ping.hpp"

namespace dms::libp2p {

class Host : public Swarm {
 public:
  struct Options {
    SwarmOptions swarm;
    IdentifyOptions identify;
    ConnectionManagerOptions connections;
  };

  Host(Runtime runtime, crypto::PrivateKey key) : Host(runtime, std::move(key), Options{}) {}
  Host(Runtime runtime, crypto::PrivateKey key, Options options)
      : Swarm(runtime, std::move(key), options.swarm),
        identify_(*this, std::move(options.identify)),
        ping_(*this),
        connections_(*this, options.connections) {}

  [[nodiscard]] Identify& identify() { return identify_; }
  [[nodiscard]] ConnectionManager& connection_manager() { return connections_; }
  /// The round trip time over a stream of its own.
  Task<Result<Duration>> ping(crypto::PeerId peer) { return ping_.ping(peer); }

  Task<void> close() {
    co_await connections_.close();
    co_await identify_.close();
    co_await Swarm::close();
  }

 private:
  Identify identify_;
  Ping ping_;
  ConnectionManager connections_;
};

}  // namespace dms::libp2p
