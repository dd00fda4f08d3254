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

/// Sends `count` zeros; `sent` is told of each buffer.
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

/// Reads to the end and forgets; `got` is told of each buffer and ends the reading by returning false.
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
  const auto go_on = [](std::size_t) { return true; };
  CO_TRY_VOID(co_await discard(stream, idle, go_on));
  CO_TRY_VOID(co_await send_zeros(stream, from_big_endian(request), idle, go_on));
  co_return co_await stream.close_write();
}

}  // namespace

/// One of the places for streams.
class PerfServer::Place {
 public:
  Place(State& state, const crypto::PeerId& peer) : state_(state), peer_(peer) {
    ++state_.serving;
    ++state_.by_peer[peer_];
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
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

PerfServer::PerfServer(Swarm& swarm, PerfOptions options) : swarm_(&swarm), state_(std::make_shared<State>()) {
  state_->options = options;
  swarm.set_stream_handler(std::string(kPerfProtocol), [state = state_](std::unique_ptr<Stream> stream) {
    return answer(state, std::move(stream));
  });
}

void PerfServer::close() {
  if (Swarm* swarm = std::exchange(swarm_, nullptr)) swarm->remove_stream_handler(std::string(kPerfProtocol));
}

Task<void> PerfServer::answer(std::shared_ptr<State> state, std::unique_ptr<Stream> stream) {
  const crypto::PeerId peer = stream->remote_peer();
  if (!Place::free(*state, peer)) {
    ++state->refused;
    co_return;
  }
  const Place place(*state, peer);
  (void)co_await serve(*stream, state->options.idle);
}

Task<Result<PerfFigures>> measure_perf(Swarm& swarm, crypto::PeerId peer, PerfRequest request) {
  CO_TRY(std::unique_ptr<Stream> stream, co_await swarm.new_stream(peer, std::string(kPerfProtocol)));
  Lane& lane = swarm.runtime().lane;
  PerfFigures figures;
  const auto tell = [&request, &figures] {
    if (request.progress) request.progress(figures);
  };
  const SteadyTime start = lane.now();
  const auto head = big_endian(request.download);
  CO_TRY_VOID(co_await with_timeout(request.idle, stream->write(head)));
  const auto sent = [&](std::size_t count) {
    figures.uploaded += count;
    figures.upload = lane.now() - start;
    tell();
  };
  CO_TRY_VOID(co_await send_zeros(*stream, request.upload, request.idle, sent));
  CO_TRY_VOID(co_await stream->close_write());
  const SteadyTime turned = lane.now();
  figures.upload = turned - start;
  const auto got = [&](std::size_t count) {
    figures.downloaded += count;
    figures.download = lane.now() - turned;
    tell();
    return figures.downloaded <= request.download;
  };
  CO_TRY_VOID(co_await discard(*stream, request.idle, got));
  if (figures.downloaded != request.download)
    co_return fail(Errc::io, "perf: {} sent {} bytes where {} were asked for", peer.to_string(), figures.downloaded,
                   request.download);
  // With nothing to send back, the server's end is the sign that it has read ours.
  if (request.download == 0) figures.upload = lane.now() - start;
  co_return figures;
}

}  // namespace dms::libp2p
