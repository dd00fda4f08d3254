// The commands of tests/interop peers that use a stream or many connections (README.md).
#pragma once

#include <vector>

#include "libp2p/host.hpp"

namespace dms::libp2p::interop {

/// Executes `verb`; `first` and `second` are its numbers (bytes, repetitions, streams). Errc::invalid_argument for an
/// unknown verb.
Task<Result<std::string>> check(Host& host, std::string verb, crypto::PeerId peer, std::uint64_t first,
                                std::uint64_t second);

/// Sends bytes to an echo protocol and compares the echo.
Task<Result<std::string>> echo(Host& host, crypto::PeerId peer, std::uint64_t size, std::string protocol);

/// Connects and disconnects repeatedly; only connecting is timed.
Task<Result<std::string>> handshakes(Host& host, PeerAddress to, std::uint64_t count);

/// Many peers in one process, each with one connection to the same remote peer.
class Crowd {
 public:
  Crowd(Runtime runtime, Host::Options options) : runtime_(runtime), options_(std::move(options)) {}
  Task<Result<std::string>> connect(PeerAddress to, std::uint64_t count);
  Task<void> close();

 private:
  Runtime runtime_;
  Host::Options options_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

}  // namespace dms::libp2p::interop
