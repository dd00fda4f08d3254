// ping: 32 random bytes there and back, as a measure of the round trip and a sign of life.
//
// Attacks: an answer that differs from what was sent is an error. The responder holds 32 bytes per stream, serves at
// most two streams of a peer at once and drops one that is silent for kIdle.
//
// Specification: libp2p ping (/ipfs/ping/1.0.0).
#pragma once

#include <map>

#include "libp2p/swarm/swarm.hpp"

namespace dms::libp2p {

inline constexpr std::string_view kPingProtocol = "/ipfs/ping/1.0.0";

class Ping {
 public:
  static constexpr std::size_t kSize = 32;
  static constexpr std::size_t kMaxStreamsPerPeer = 2;
  static constexpr Duration kIdle = 1min;
  static constexpr Duration kTimeout = 20s;

  /// Answers pings on `swarm` from now on.
  explicit Ping(Swarm& swarm);
  Task<Result<Duration>> ping(crypto::PeerId peer);

 private:
  Task<void> answer(std::unique_ptr<Stream> stream);
  static Task<Result<Duration>> measure(Swarm& swarm, crypto::PeerId peer);

  Swarm& swarm_;
  std::map<crypto::PeerId, std::size_t> serving_;
};

}  // namespace dms::libp2p
