// Any bytes as the other side of a yamux connection; streams that arrive are read, answered and let go.
#include <cstdlib>

#include "base/scripted_stream.hpp"
#include "base/sim_runtime.hpp"
#include "libp2p/muxer/yamux/session.hpp"

namespace dms::libp2p {
namespace {

Task<void> use(std::unique_ptr<ByteStream> stream) {
  Bytes buffer(1000);
  for (int i = 0; i < 5; ++i) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) co_return;
  }
  (void)co_await stream->close_write();
}

Task<void> serve(yamux::Session& session, Nursery& nursery) {
  for (;;) {
    Result<std::unique_ptr<ByteStream>> stream = co_await session.accept_stream();
    if (!stream) co_return;
    nursery.spawn(use(std::move(*stream)));
  }
}

Task<void> play(Lane& lane, BytesView script) {
  yamux::Options options;
  options.max_inbound_streams = 4;
  options.accept_backlog = 2;
  options.max_buffered = 64 * 1024;
  yamux::Session session(lane, std::make_unique<ScriptedStream>(script), Side::listener, options);
  Nursery nursery(lane, "fuzz");
  co_await serve(session, nursery);
  if (session.streams() > options.max_inbound_streams || session.buffered() > options.max_buffered) std::abort();
  co_await session.close();
  co_await nursery.join();
}

}  // namespace
}  // namespace dms::libp2p

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dms::SimWorld world(1);
  dms::SimNode& node = world.add_node("n");
  world.run(node, dms::libp2p::play(node.runtime().lane, dms::BytesView(data, size)));
  return 0;
}
