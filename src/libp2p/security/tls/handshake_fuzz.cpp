// Any bytes as the peer of a TLS handshake. The first byte selects the side. Prepared bytes cannot complete a
// handshake: none may be accepted.
#include <cstdlib>

#include "libp2p/security/tls/tls.hpp"
#include "simulation/scripted_stream.hpp"
#include "simulation/sim_world.hpp"

namespace dms::libp2p::tls {
namespace {

Tls& local_tls() {
  static SeededRandom random(1);
  static Tls tls(crypto::PrivateKey::generate(random), {1'760'000'000ULL * 1'000'000'000ULL});
  return tls;
}

Task<void> play(Side side, BytesView script) {
  std::vector<std::string> muxers{"/yamux/1.0.0"};
  Result<Secured> secured =
      co_await local_tls().secure(std::make_unique<ScriptedStream>(script), side, std::nullopt, std::move(muxers));
  if (secured) std::abort();
}

}  // namespace
}  // namespace dms::libp2p::tls

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::libp2p;
  if (size == 0) return 0;
  dms::SimWorld world(1);
  dms::SimNode& node = world.add_node("n");
  const Side side = data[0] % 2 == 0 ? Side::listener : Side::dialer;
  world.run(node, tls::play(side, dms::BytesView(data, size).subspan(1)));
  return 0;
}
