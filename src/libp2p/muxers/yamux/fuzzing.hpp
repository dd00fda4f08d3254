// For fuzz targets that act as a whole peer: limits that a few bytes reach, and a user of the streams.
#pragma once

#include "libp2p/muxers/yamux/session.hpp"

namespace dms::libp2p::yamux::fuzzing {

/// Small enough that some hundred bytes can reach each of them.
inline Options small_limits() {
  Options options;
  options.max_inbound_streams = 4;
  options.accept_backlog = 2;
  options.max_buffered = 64 * 1024;
  return options;
}

/// Sends back what arrives, at most five times, then closes its half and releases the stream.
inline Task<void> echo(std::unique_ptr<ByteStream> stream) {
  Bytes buffer(1000);
  for (int i = 0; i < 5; ++i) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) co_return;
  }
  (void)co_await stream->close_write();
}

}  // namespace dms::libp2p::yamux::fuzzing
