// perf: how fast bytes go to a peer and come back. The client says how many it wants, sends its own, then receives.
//
// Model
//  1. The server reads to the end of what is sent, then answers with as many bytes as were asked for, never both at
//     once. Zero and 2^64-1 are ordinary numbers: a client that has seen enough lets go of the stream.
//  2. measure() ends when everything has arrived on both sides: an upload is timed to the moment the server has read
//     its end. Fewer or more bytes than were asked for are an error.
//
// Threads: the swarm's lane. Cancellation: a cancelled measure() resets its stream. Bounds: kBuffer bytes per stream;
// nothing of what is received is kept.
//
// Attacks: whoever may ask can make us send without end; so nobody answers perf unless a PerfServer was made (a Host
// makes none), a peer is served on max_streams_per_peer streams at once and all peers together on max_streams (more are
// reset and counted), and a stream on which nothing moves for `idle` ends.
//
// Specification: libp2p perf r0 (/perf/1.0.0).
#pragma once

#include <functional>
#include <map>

#include "libp2p/swarm/swarm.hpp"

namespace dms::libp2p {

inline constexpr std::string_view kPerfProtocol = "/perf/1.0.0";

struct PerfOptions {
  std::size_t max_streams = 16;
  std::size_t max_streams_per_peer = 4;
  Duration idle = 30s;
};

/// Answers on `swarm`, which outlives it, from its making to close().
class PerfServer {
 public:
  static constexpr std::size_t kBuffer = 64 * 1024;

  explicit PerfServer(Swarm& swarm, PerfOptions options = {});
  PerfServer(const PerfServer&) = delete;
  PerfServer& operator=(const PerfServer&) = delete;
  ~PerfServer() { close(); }

  /// New streams are refused from now on; those that run go on until the swarm closes.
  void close();
  /// Streams served now, and refused so far.
  [[nodiscard]] std::size_t serving() const { return state_->serving; }
  [[nodiscard]] std::uint64_t refused() const { return state_->refused; }

 private:
  /// Shared with the streams, which may outlive the server.
  struct State {
    PerfOptions options;
    std::size_t serving = 0;
    std::uint64_t refused = 0;
    std::map<crypto::PeerId, std::size_t> by_peer;
  };
  class Place;
  static Task<void> answer(std::shared_ptr<State> state, std::unique_ptr<Stream> stream);

  Swarm* swarm_;
  std::shared_ptr<State> state_;
};

/// How far a measurement is, or how it ended.
struct PerfFigures {
  std::uint64_t uploaded = 0;
  std::uint64_t downloaded = 0;
  Duration
      upload{};  ///< from the first byte to the server's having read the last, or to the end of our writing if it answers
  Duration download{};  ///< from the end of the upload to the last byte
};

struct PerfRequest {
  std::uint64_t upload = 0;
  std::uint64_t download = 0;
  Duration idle = 30s;                                         ///< nothing moves for so long: Errc::deadline_exceeded
  std::function<void(const PerfFigures&)> progress = nullptr;  ///< after each buffer; may be empty
};

/// One exchange over a stream of its own, connecting first if need be.
Task<Result<PerfFigures>> measure_perf(Swarm& swarm, crypto::PeerId peer, PerfRequest request);

}  // namespace dms::libp2p
