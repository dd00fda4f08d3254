// The way from this machine to another candidate of an ensemble, measured for an orchestrator: its round trip, and the
// bandwidth there and back.
//
// Model
//  1. Behaviour protocol::kEdge. Asked as T, this machine agrees that S measures the way to it, once, within kAgreed:
//     the reply has a ticket. Asked as S, it opens a stream to T, shows the ticket, pings T kPings times over that
//     connection (libp2p's ping; the median counts), and if a bandwidth is asked for sends random bytes, which T sends
//     back as they arrive, for kTransferTime at most.
//  2. The bandwidth is what came back by the time that it took, of the slower direction: the larger one of two figures.
//     The later part: bytes_to_warm_up() bytes come first, kWarmUpWays times what is under way on a way of the asked
//     bandwidth, for kWarmUpTime at most. When they are back, the windows of TCP and yamux, which double with each
//     round trip, are open for the asked bandwidth. What comes after them counts, bytes_to_measure() bytes, as many as
//     the limit takes in kSpan. So neither a round trip nor the start of the transfer is in it. What comes in kGrain
//     after the mark may have waited and does not count, its time does; kBlock bytes more do not count: records come
//     whole and those at the mark and at the end differ in size. The whole: all bytes by the time from the first one
//     sent. It is the larger one where little is left after the mark.
//     The error: the figure is of the bytes of one stream, without the headers of IP, TCP and the connection. Where the
//     way is just as fast as asked for, it is too low by 2 % and 1 Mbit/s: 4 % of 50 Mbit/s, 12 % of 10 Mbit/s. It is
//     lower than the way allows if TCP loses segments or leaves its slow start early. A pause of this process just
//     before the mark makes it too high by the part that the pause has of the time. All bytes are kMostTransfer at
//     most, half of them before the mark. So on a way that has more than a quarter of kMostTransfer under way
//     (370 Mbit/s at 90 ms, 1 Gbit/s at 33 ms) the windows are not open at the mark and the figure is too low. yamux's
//     windows start at 256 KiB, 23 Mbit/s at 90 ms, and grow to 16 MiB (yamux/session.hpp, model 1).
//  3. A machine takes part in one measurement at a time, as S or as T: two would disturb each other. S that finds
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
  static constexpr std::uint64_t kWarmUpWays = 4;
  static constexpr Duration kWarmUpTime = 1s;
  static constexpr Duration kGrain = 10ms;
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
  Task<Result<std::uint64_t>> transfer(ByteStream& stream, std::uint64_t bandwidth, Duration rtt);
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

/// Bytes that are counted to see whether so many bits per second are there.
[[nodiscard]] std::uint64_t bytes_to_measure(std::uint64_t bandwidth);
/// Bytes that are sent before them to open the windows of the way.
[[nodiscard]] std::uint64_t bytes_to_warm_up(std::uint64_t bandwidth, Duration rtt);

}  // namespace dms::provider
