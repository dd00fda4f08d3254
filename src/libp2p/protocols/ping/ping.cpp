#include "libp2p/protocols/ping/ping.hpp"

#include "base/varint.hpp"

namespace dms::libp2p {

Ping::Ping(ProtocolHost& host) : host_(host) {
  host_.set_stream_handler(std::string(kPingProtocol),
                           [this](std::unique_ptr<Stream> stream) { return answer(std::move(stream)); });
}

Task<void> Ping::answer(std::unique_ptr<Stream> stream) {
  const crypto::PeerId peer = stream->remote_peer();
  struct Serving {
    std::map<crypto::PeerId, std::size_t>& counts;
    const crypto::PeerId& peer;
    std::size_t now;
    Serving(std::map<crypto::PeerId, std::size_t>& c, const crypto::PeerId& p) : counts(c), peer(p), now(++c[p]) {}
    ~Serving() {
      if (auto it = counts.find(peer); --it->second == 0) counts.erase(it);
    }
  } serving(serving_, peer);
  if (serving.now > kMaxStreamsPerPeer) co_return;
  std::array<std::uint8_t, kSize> data;
  for (;;) {
    Result<void> got = co_await with_timeout(kIdle, read_exactly(*stream, data));
    if (!got) break;
    Result<void> sent = co_await with_timeout(kIdle, stream->write(data));
    if (!sent) break;
  }
  (void)co_await stream->close_write();
}

Task<Result<Duration>> Ping::measure(ProtocolHost& host, crypto::PeerId peer) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await host.new_stream(peer, std::string(kPingProtocol)));
  Lane& lane = host.runtime().lane;
  const Bytes sent = lane.random().bytes(kSize);
  Bytes back(kSize);
  const SteadyTime start = lane.now();
  CO_TRY_VOID(co_await stream->write(sent));
  CO_TRY_VOID(co_await read_exactly(*stream, back));
  const Duration took = lane.now() - start;
  if (back != sent) co_return fail(Errc::io, "{} answered a ping with other bytes than were sent", peer.to_string());
  (void)co_await stream->close_write();
  co_return took;
}

Task<Result<Duration>> Ping::ping(crypto::PeerId peer) { return with_timeout(kTimeout, measure(host_, peer)); }

}  // namespace dms::libp2p
