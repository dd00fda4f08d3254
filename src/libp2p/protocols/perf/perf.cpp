#include "libp2p/protocols/perf/perf.hpp"

#include <algorithm>

namespace dms::libp2p {
namespace {

constexpr std::size_t kRequest = 8;

BytesView zeros() {
  static constexpr std::array<std::uint8_t, PerfServer::kBuffer> kZeros{};
  return kZeros;
}

std::array<std::uint8_t, kRequest> big_endian(std::uint64_t value) {
  std::array<std::uint8_t, kRequest> out{};
  for (std::size_t i = kRequest; i-- > 0; value >>= 8) out[i] = static_cast<std::uint8_t>(value);
  return out;
}

std::uint64_t from_big_endian(BytesView bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

/// Sends `count` zeros; calls `sent` for each buffer.
template <class Sent>
Task<Result<void>> send_zeros(ByteStream& stream, std::uint64_t count, Duration idle, Sent sent) {
  while (count > 0) {
    const BytesView chunk = zeros().first(static_cast<std::size_t>(std::min<std::uint64_t>(count, zeros().size())));
    CO_TRY_VOID(co_await with_timeout(idle, stream.write(chunk)));
    count -= chunk.size();
    sent(chunk.size());
  }
  co_return Result<void>();
}

/// Reads to the end and discards; calls `got` for each buffer, which ends the reading by returning false.
template <class Got>
Task<Result<void>> discard(ByteStream& stream, Duration idle, Got got) {
  Bytes buffer(PerfServer::kBuffer);
  for (;;) {
    CO_TRY(const std::size_t count, co_await with_timeout(idle, stream.read_some(buffer)));
    if (count == 0 || !got(count)) co_return Result<void>();
  }
}

Task<Result<void>> serve(ByteStream& stream, Duration idle) {
  std::array<std::uint8_t, kRequest> request;
  CO_TRY_VOID(co_await with_timeout(idle, read_exactly(stream, request)));
  const auto keep_going = [](std::size_t) { return true; };
  CO_TRY_VOID(co_await discard(stream, idle, keep_going));
  CO_TRY_VOID(co_await send_zeros(stream, from_big_endian(request), idle, keep_going));
  co_return co_await stream.close_write();
}

}  // namespace

/// One of the served streams.
class PerfServer::Slot {
 public:
  Slot(State& state, const crypto::PeerId& peer) : state_(state), peer_(peer) {
    ++state_.serving;
    ++state_.by_peer[peer_];
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    --state_.serving;
    if (const auto it = state_.by_peer.find(peer_); --it->second == 0) state_.by_peer.erase(it);
  }
  static bool free(const State& state, const crypto::PeerId& peer) {
    const auto it = state.by_peer.find(peer);
    const std::size_t held = it == state.by_peer.end() ? 0 : it->second;
    return state.serving < state.options.max_streams && held < state.options.max_streams_per_peer;
  }

 private:
  State& state_;
  crypto::PeerId peer_;
};

PerfServer::PerfServer(ProtocolHost& host, PerfOptions options) : host_(&host), state_(std::make_shared<State>()) {
  state_->options = options;
  host.set_stream_handler(std::string(kPerfProtocol), [state = state_](std::unique_ptr<Stream> stream) {
    return answer(state, std::move(stream));
  });
}

void PerfServer::close() {
  if (ProtocolHost* host = std::exchange(host_, nullptr)) host->remove_stream_handler(std::string(kPerfProtocol));
}

Task<void> PerfServer::answer(std::shared_ptr<State> state, std::unique_ptr<Stream> stream) {
  const crypto::PeerId peer = stream->remote_peer();
  if (!Slot::free(*state, peer)) {
    ++state->refused;
    co_return;
  }
  const Slot slot(*state, peer);
  (void)co_await serve(*stream, state->options.idle);
}

Task<Result<PerfFigures>> measure_perf(ProtocolHost& host, crypto::PeerId peer, PerfRequest request) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await host.new_stream(peer, std::string(kPerfProtocol)));
  Lane& lane = host.runtime().lane;
  PerfFigures figures;
  const auto report = [&request, &figures] {
    if (request.progress) request.progress(figures);
  };
  const SteadyTime start = lane.now();
  const auto head = big_endian(request.download);
  CO_TRY_VOID(co_await with_timeout(request.idle, stream->write(head)));
  const auto sent = [&](std::size_t count) {
    figures.uploaded += count;
    figures.upload = lane.now() - start;
    report();
  };
  CO_TRY_VOID(co_await send_zeros(*stream, request.upload, request.idle, sent));
  CO_TRY_VOID(co_await stream->close_write());
  const SteadyTime turned = lane.now();
  figures.upload = turned - start;
  const auto got = [&](std::size_t count) {
    figures.downloaded += count;
    figures.download = lane.now() - turned;
    report();
    return figures.downloaded <= request.download;
  };
  CO_TRY_VOID(co_await discard(*stream, request.idle, got));
  if (figures.downloaded != request.download)
    co_return fail(Errc::io, "perf: {} sent {} bytes, {} were requested", peer.to_string(), figures.downloaded,
                   request.download);
  // Without a download, the end of the server's half shows that it has read the upload.
  if (request.download == 0) figures.upload = lane.now() - start;
  co_return figures;
}

}  // namespace dms::libp2p
