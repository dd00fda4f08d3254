// ping: 32 random bytes there and back, to measure the round trip and check liveness.
//
// Attacks: an answer that differs from the request is an error. The responder holds 32 bytes per stream, serves at most
// two streams of a peer at once and closes one that is silent for kIdle.
//
// Specification: libp2p ping (/ipfs/ping/1.0.0).
#pragma once

#include <map>

#include "libp2p/swarm/protocol_host.hpp"

namespace dms::libp2p {

inline constexpr std::string_view kPingProtocol = "/ipfs/ping/1.0.0";

class Ping {
 public:
  static constexpr std::size_t kSize = 32;
  static constexpr std::size_t kMaxStreamsPerPeer = 2;
  static constexpr Duration kIdle = 1min;
  static constexpr Duration kTimeout = 20s;

  /// Answers pings on `host` from now on.
  explicit Ping(ProtocolHost& host);
  Task<Result<Duration>> ping(crypto::PeerId peer);

 private:
  Task<void> answer(std::unique_ptr<Stream> stream);
  static Task<Result<Duration>> measure(ProtocolHost& host, crypto::PeerId peer);

  ProtocolHost& host_;
  std::map<crypto::PeerId, std::size_t> serving_;
};

}  // namespace dms::libp2p
