// perf: measures throughput to and from a peer. The client sends the number of bytes it wants, uploads, then downloads.
//
// Model
//  1. The server reads to the end of the upload, then answers with the requested number of bytes, never both at once.
//     Zero and 2^64-1 are ordinary numbers: a client may close the stream at any time.
//  2. measure_perf() ends when everything has arrived on both sides: an upload is timed to the moment the server has
//     read its end. Fewer or more bytes than requested are an error.
//
// Threads: the host's lane. Cancellation: a cancelled measure_perf() resets its stream. Bounds: kBuffer bytes per
// stream; received data is discarded.
//
// Attacks: a client can make the server send without end, so perf is served only where a PerfServer was made (a Host
// makes none), a peer is served on max_streams_per_peer streams at once and all peers together on max_streams (more are
// reset and counted), and a stream without progress for `idle` ends.
//
// Specification: libp2p perf r0 (/perf/1.0.0).
#pragma once

#include <functional>
#include <map>

#include "base/metrics.hpp"
#include "libp2p/swarm/protocol_host.hpp"

namespace dms::libp2p {

inline constexpr std::string_view kPerfProtocol = "/perf/1.0.0";

struct PerfOptions {
  std::size_t max_streams = 16;
  std::size_t max_streams_per_peer = 4;
  Duration idle = 30s;
};

/// Serves perf on `host`, which outlives it, from construction to close().
class PerfServer {
 public:
  static constexpr std::size_t kBuffer = 64 * 1024;

  explicit PerfServer(ProtocolHost& host, PerfOptions options = {});
  PerfServer(const PerfServer&) = delete;
  PerfServer& operator=(const PerfServer&) = delete;
  ~PerfServer() { close(); }

  /// Refuses new streams; running ones continue until the host closes.
  void close();
  /// Streams served now; streams refused so far.
  [[nodiscard]] std::size_t serving() const { return state_->serving; }
  [[nodiscard]] std::uint64_t refused() const { return state_->refused.value(); }

 private:
  /// Shared with the streams, which may outlive the server.
  struct State {
    PerfOptions options;
    std::size_t serving = 0;
    metrics::Counter refused;
    std::map<crypto::PeerId, std::size_t> by_peer;
  };
  class Slot;
  static Task<void> answer(std::shared_ptr<State> state, std::unique_ptr<Stream> stream);

  ProtocolHost* host_;
  std::shared_ptr<State> state_;
};

/// Progress or result of a measurement.
struct PerfFigures {
  std::uint64_t uploaded = 0;
  std::uint64_t downloaded = 0;
  Duration
      upload{};  ///< from the first byte until the server has read the last one, or until all is written if it answers
  Duration download{};  ///< from the end of the upload to the last byte
};

struct PerfRequest {
  std::uint64_t upload = 0;
  std::uint64_t download = 0;
  Duration idle = 30s;                                         ///< no progress for so long: Errc::deadline_exceeded
  std::function<void(const PerfFigures&)> progress = nullptr;  ///< after each buffer; may be empty
};

/// One exchange over a stream of its own, connecting first if need be.
Task<Result<PerfFigures>> measure_perf(ProtocolHost& host, crypto::PeerId peer, PerfRequest request);

}  // namespace dms::libp2p
