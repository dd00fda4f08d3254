// Any bytes as the peer of a yamux connection; streams that arrive are read, answered and released.
#include <cstdlib>

#include "libp2p/muxers/yamux/fuzzing.hpp"
#include "libp2p/muxers/yamux/session.hpp"
#include "simulation/scripted_stream.hpp"
#include "simulation/sim_world.hpp"

namespace dms::libp2p {
namespace {

Task<void> serve(yamux::Session& session, Nursery& nursery) {
  for (;;) {
    Result<std::unique_ptr<ByteStream>> stream = co_await session.accept_stream();
    if (!stream) co_return;
    nursery.spawn(yamux::fuzzing::echo(std::move(*stream)));
  }
}

Task<void> play(Lane& lane, BytesView script) {
  const yamux::Options options = yamux::fuzzing::small_limits();
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
