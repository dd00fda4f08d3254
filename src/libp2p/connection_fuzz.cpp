// Any bytes at any time as the peer of a whole connection: multistream-select, Noise or a plaintext exchange, yamux,
// and the negotiation on each stream. The first byte selects the local side (1) and the security (2: none, so that the
// fuzzer gets past it). Then steps of two bytes: 0..127 send so many of the bytes that follow, 128..255 let time pass,
// 10 ms to 2.5 s, or, for odd second bytes, block local writes for as long.
#include <cstdlib>

#include "libp2p/multistream/multistream.hpp"
#include "libp2p/muxers/yamux/fuzzing.hpp"
#include "libp2p/security/noise/noise.hpp"
#include "libp2p/swarm/upgrader.hpp"
#include "runtime/nursery.hpp"
#include "simulation/sim_world.hpp"

namespace dms::libp2p {
namespace {

crypto::PrivateKey key_of(std::uint64_t seed) {
  SeededRandom random(seed);
  return crypto::PrivateKey::generate(random);
}

class TimedStream final : public ByteStream {
 public:
  explicit TimedStream(BytesView script) : script_(script) {}
  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    while (chunk_.empty()) {
      if (script_.size() < 2 || aborted_) co_return std::size_t{0};
      const std::uint8_t step = script_[0];
      const std::uint8_t detail = script_[1];
      script_ = script_.subspan(2);
      if (step < 128) {
        chunk_ = script_.first(std::min<std::size_t>(step, script_.size()));
        script_ = script_.subspan(chunk_.size());
      } else if (detail % 2 == 0) {
        CO_TRY_VOID(co_await sleep_for((step - 127) * 20ms));
      } else {
        stalled_ += (step - 127) * 20ms;
      }
    }
    const std::size_t count = std::min(into.size(), chunk_.size());
    std::copy_n(chunk_.begin(), count, into.begin());
    chunk_ = chunk_.subspan(count);
    co_return count;
  }
  Task<Result<void>> write(BytesView) override {
    if (aborted_) co_return fail(Errc::closed, "aborted");
    const Duration stalled = std::exchange(stalled_, 0ns);
    if (stalled > 0ns) CO_TRY_VOID(co_await sleep_for(stalled));
    co_return Result<void>();
  }
  Task<Result<void>> close_write() override { co_return Result<void>(); }
  void abort() override { aborted_ = true; }

 private:
  BytesView script_;
  BytesView chunk_;
  Duration stalled_{};
  bool aborted_ = false;
};

/// No encryption and no authentication. For this file only.
class NoSecurity final : public Security {
 public:
  [[nodiscard]] std::string_view protocol() const override { return "/none"; }
  Task<Result<Secured>> secure(std::unique_ptr<ByteStream> raw, Side, std::optional<crypto::PeerId>,
                               std::vector<std::string>) override {
    crypto::PublicKey key = key_of(9).public_key();
    const crypto::PeerId peer = crypto::PeerId::from(key);
    Secured secured{std::move(raw), std::move(key), peer, std::string()};
    co_return std::move(secured);
  }
};

Task<void> use(std::unique_ptr<ByteStream> stream) {
  std::function<bool(std::string_view)> supports = [](std::string_view name) { return name == "/x/1"; };
  Result<std::string> agreed = co_await with_timeout(10s, multistream::answer(*stream, std::move(supports)));
  if (!agreed) co_return;
  co_await yamux::fuzzing::echo(std::move(stream));
}

Task<void> ask(Muxer& muxer) {
  Result<std::unique_ptr<ByteStream>> stream = co_await muxer.open_stream();
  if (!stream) co_return;
  std::vector<std::string> names;
  names.emplace_back("/y/1");
  (void)co_await with_timeout(10s, multistream::propose(**stream, std::move(names)));
}

Task<void> play(Lane& lane, BytesView input) {
  const std::uint8_t how = input.empty() ? std::uint8_t{0} : input[0];
  const BytesView script = input.subspan(std::min<std::size_t>(1, input.size()));
  const yamux::Options options = yamux::fuzzing::small_limits();
  static const crypto::PrivateKey key = key_of(1);
  StandardUpgrader::Securities securities;
  if ((how & 2) != 0)
    securities.push_back(std::make_unique<NoSecurity>());
  else
    securities.push_back(std::make_unique<noise::Noise>(key, lane.random()));
  std::vector<std::string> proposed = {std::string(securities.front()->protocol())};
  StandardUpgrader upgrader(lane, std::move(securities), std::move(proposed), options);
  std::unique_ptr<ByteStream> raw = std::make_unique<TimedStream>(script);
  const Side side = (how & 1) != 0 ? Side::dialer : Side::listener;
  Result<Connection> connection = co_await with_timeout(10s, upgrader.upgrade(std::move(raw), side, std::nullopt));
  if (!connection) co_return;
  Muxer& muxer = *connection->muxer;
  Nursery nursery(lane, "fuzz");
  nursery.spawn(ask(muxer));
  for (;;) {
    Result<std::unique_ptr<ByteStream>> stream = co_await muxer.accept_stream();
    if (!stream) break;
    nursery.spawn(use(std::move(*stream)));
    if (muxer.streams() > options.max_inbound_streams + 1) std::abort();
  }
  co_await muxer.close();
  co_await nursery.join();
  if (muxer.streams() != 0) std::abort();
}

}  // namespace
}  // namespace dms::libp2p

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dms::SimWorld world(1);
  dms::SimNode& node = world.add_node("n");
  world.run(node, dms::libp2p::play(node.runtime().lane, dms::BytesView(data, size)));
  return 0;
}
