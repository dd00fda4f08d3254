// Any bytes as the peer of a negotiation, for the listener and the dialer.
#include "libp2p/multistream/multistream.hpp"
#include "simulation/scripted_stream.hpp"
#include "simulation/sim_world.hpp"

namespace dms::libp2p {
namespace {

Task<void> both(BytesView script) {
  ScriptedStream to_listener(script);
  std::function<bool(std::string_view)> supports = [](std::string_view name) { return name == "/x/1"; };
  (void)co_await multistream::answer(to_listener, std::move(supports));
  ScriptedStream to_dialer(script);
  std::vector<std::string> proposals;
  proposals.emplace_back("/y/1");
  proposals.emplace_back("/x/1");
  (void)co_await multistream::propose(to_dialer, std::move(proposals));
}

}  // namespace
}  // namespace dms::libp2p

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dms::SimWorld world(1);
  world.run(world.add_node("n"), dms::libp2p::both(dms::BytesView(data, size)));
  return 0;
}
