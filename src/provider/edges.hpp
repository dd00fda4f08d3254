// The way from this machine to another candidate of an ensemble, measured for an orchestrator: its round trip, and the
// bandwidth there and back.
//
// Model
//  1. Behaviour protocol::kEdge. Asked as T, this machine agrees that S measures the way to it, once, within kAgreed:
//     the reply has a ticket. Asked as S, it opens a stream to T, shows the ticket, pings T kPings times over that
//     connection (libp2p's ping; the median counts), and if a bandwidth is asked for sends random bytes, which T sends
//     back as they arrive. The bandwidth is what came back by the time that it took, from the first byte sent to the
//     last one received: of the slower direction, with the start of the transfer, so rather too low. As many bytes are
//     sent as the limit takes in kSpan, from kLeastTransfer to kMostTransfer, for kTransferTime at most.
//  2. A machine takes part in one measurement at a time, as S or as T: two would disturb each other. S that finds
//     itself or T taken tries again after a random pause (kPause), which holds neither, until its request has expired.
//
// The form of the stream (kEdgeProtocol): S sends the ticket, 32 bytes; T answers with one byte, kGo or kBusy; then
// what S sends comes back. A stream without a valid ticket is reset.
//
// Threads: the node's lane. Cost: kMostTransfer bytes of memory for a measurement as S, kBlock as T.
// Bounds: kMaxAgreed tickets, kMaxAgreedByOwner of one orchestrator, kMaxRequests as S at a time; more are refused. As
// T kMaxStreams, with or without a ticket, each for kLimit; more are reset. T sends back kMostTransfer bytes at most.
// Failure: the reply says why; what is interrupted leaves nothing.
// Attacks: both machines ask for the capability to deploy on them and for an open bid, or work, of the same ensemble,
// so no orchestrator has a machine measured that has granted it nothing. A ticket is of use to the peer S alone, which
// the handshake proves. With a false ticket S sends 32 bytes and no more; that it connects to addresses of T that the
// orchestrator has named is the same as for any message to T. T that does not send back what it got is found out, and
// gains nothing by a delay. S may report anything: orchestrators have each of the two measure, and take the worse.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "actor/actor.hpp"
#include "crypto/hash.hpp"
#include "network/network.hpp"
#include "protocol/edge.hpp"
#include "provider/keys.hpp"
#include "runtime/nursery.hpp"
#include "transfer/ticket.hpp"

namespace dms::provider {

inline constexpr std::string_view kEdgeProtocol = "/nunet/edge/1.0.0";

class Edges {
 public:
  static constexpr int kPings = 5;
  static constexpr Duration kPingTimeout = 2s;
  static constexpr std::size_t kBlock = std::size_t{64} << 10;
  static constexpr std::uint64_t kLeastTransfer = std::uint64_t{64} << 10;
  static constexpr std::uint64_t kMostTransfer = std::uint64_t{16} << 20;
  static constexpr Duration kSpan = 500ms;
  static constexpr Duration kTransferTime = 3s;
  static constexpr Duration kLimit = 10s;  ///< of one measurement
  static constexpr Duration kAgreed = 30s;
  static constexpr Duration kPause = 50ms;  ///< up to three times as long
  static constexpr std::size_t kMaxAgreed = 256;
  static constexpr std::size_t kMaxAgreedByOwner = 64;
  static constexpr std::size_t kMaxRequests = 64;
  static constexpr std::size_t kMaxStreams = 64;
  static constexpr std::uint8_t kGo = 1;
  static constexpr std::uint8_t kBusy = 2;

  /// Whether the orchestrator has an open bid or work here.
  using Check = std::function<Result<void>(const EnsembleKey&)>;
  Edges(Lane& lane, network::Network& network, Check check);
  Edges(const Edges&) = delete;
  Edges& operator=(const Edges&) = delete;

  /// Serves streams from now on. Errc::already_exists if the network has a handler for the protocol.
  Result<void> open();
  Task<void> close();

  Task<protocol::EdgeReply> answer(protocol::EdgeRequest request, const actor::Envelope& envelope);
  [[nodiscard]] std::size_t agreed() const { return agreed_.size(); }

 private:
  struct Agreed {
    did::Did owner;
    crypto::PeerId s;
    SteadyTime ends;
  };
  struct Measured {
    Duration rtt{0};
    std::optional<std::uint64_t> bandwidth;
  };
  class Place;
  class Counted;

  Result<transfer::Ticket> agree(const did::Did& owner, const crypto::PeerId& s);
  Task<Result<Measured>> measure(crypto::PeerId t, transfer::Ticket ticket, std::uint64_t bandwidth, SteadyTime until);
  /// Nothing if T is busy.
  Task<Result<std::optional<Measured>>> try_measure(crypto::PeerId t, transfer::Ticket ticket, std::uint64_t bandwidth);
  Task<Result<Duration>> median_ping(crypto::PeerId t);
  Task<Result<std::uint64_t>> transfer(ByteStream& stream, std::uint64_t bytes);
  Task<void> serve(crypto::PeerId from, std::unique_ptr<ByteStream> stream);
  Task<Result<void>> send_back(crypto::PeerId from, ByteStream& stream);

  Lane& lane_;
  network::Network& network_;
  Check check_;
  std::map<crypto::Digest256, Agreed> agreed_;  ///< by the digest of the ticket
  bool taken_ = false;
  bool open_ = false;
  std::size_t requests_ = 0;
  std::size_t streams_ = 0;
  CancelScope stopping_;
  Notify idle_;
  Nursery nursery_;
};

/// Bytes that are sent to see whether so many bits per second are there.
[[nodiscard]] std::uint64_t bytes_to_measure(std::uint64_t bandwidth);

}  // namespace dms::provider
