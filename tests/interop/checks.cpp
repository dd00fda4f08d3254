#include "checks.hpp"

#include <algorithm>

#include "libp2p/protocols/perf/perf.hpp"
#include "protocols.hpp"

namespace dms::libp2p::interop {
namespace {

using StreamPtr = std::unique_ptr<Stream>;

class Clock {
 public:
  explicit Clock(Host& host) : lane_(host.runtime().lane), start_(lane_.now()) {}
  [[nodiscard]] std::int64_t nanoseconds() const { return Duration(lane_.now() - start_).count(); }

 private:
  Lane& lane_;
  SteadyTime start_;
};

Task<Result<StreamPtr>> open(Host& host, crypto::PeerId peer, std::string_view protocol) {
  return host.new_stream(peer, std::string(protocol));
}

Task<Result<std::string>> pings(Host& host, crypto::PeerId peer, std::uint64_t count) {
  CO_TRY(StreamPtr stream, co_await open(host, peer, kPingProtocol));
  std::vector<std::int64_t> times;
  Bytes back(Ping::kSize);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Bytes sent = host.runtime().lane.random().bytes(Ping::kSize);
    const Clock clock(host);
    CO_TRY_VOID(co_await stream->write(sent));
    CO_TRY_VOID(co_await read_exactly(*stream, back));
    times.push_back(clock.nanoseconds());
    if (back != sent) co_return fail(Errc::io, "the ping response differs");
  }
  (void)co_await stream->close_write();
  if (times.empty()) co_return fail(Errc::invalid_argument, "pings: expected a count");
  std::ranges::sort(times);
  co_return fmt::format("pings {} {}", times[times.size() / 2], times[times.size() * 99 / 100]);
}

/// The dialer's side of the sum protocol; nanoseconds.
Task<Result<std::int64_t>> transfer(Host& host, crypto::PeerId peer, std::uint64_t up, std::uint64_t down) {
  CO_TRY(StreamPtr stream, co_await open(host, peer, kSum));
  const Clock clock(host);
  const std::array<std::uint8_t, 8> want = big_endian(down);
  CO_TRY_VOID(co_await stream->write(want));
  Sum sent, got;
  CO_TRY_VOID(co_await send_numbered(*stream, up, &sent));
  CO_TRY_VOID(co_await stream->close_write());
  CO_TRY_VOID(co_await expect_sum(*stream, sent));
  CO_TRY_VOID(co_await receive(*stream, down, &got));
  CO_TRY_VOID(co_await expect_sum(*stream, got));
  CO_TRY(const std::uint64_t rest, co_await receive(*stream, kAll, nullptr));
  if (rest != 0) co_return fail(Errc::io, "{} bytes too many", rest);
  co_return clock.nanoseconds();
}

Task<Result<std::string>> perf(Host& host, crypto::PeerId peer, std::uint64_t up, std::uint64_t down) {
  PerfRequest request{.upload = up, .download = down};
  CO_TRY(const PerfFigures took, co_await measure_perf(host, peer, std::move(request)));
  co_return fmt::format("perf {} {} {}", up, down, (took.upload + took.download).count());
}

/// One of many streams that are open at once.
struct Exchange {
  StreamPtr stream;
  std::string sent;
  Bytes back;
};

Task<Result<void>> begin(Host& host, crypto::PeerId peer, Exchange& exchange, bool wait) {
  CO_TRY(exchange.stream, co_await open(host, peer, kEcho));
  CO_TRY_VOID(co_await exchange.stream->write(as_bytes(exchange.sent)));
  if (!wait) co_return Result<void>();
  exchange.back.resize(exchange.sent.size());
  co_return co_await read_exactly(*exchange.stream, exchange.back);
}

Task<Result<void>> finish(Exchange& exchange) {
  CO_TRY_VOID(co_await exchange.stream->close_write());
  CO_TRY(const Bytes rest, co_await read_to_end(*exchange.stream, 64));
  append(exchange.back, rest);
  if (as_text(exchange.back) != exchange.sent) co_return fail(Errc::io, "the echo is '{}'", as_text(exchange.back));
  co_return Result<void>();
}

/// Opens all streams at once, but waits for every `burst`-th before opening the next.
Task<Result<std::string>> streams(Host& host, crypto::PeerId peer, std::uint64_t count, std::uint64_t burst) {
  const Clock clock(host);
  std::vector<Exchange> exchanges(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    exchanges[i].sent = fmt::format("stream {}", i);
    Result<void> begun = co_await begin(host, peer, exchanges[i], burst > 0 && (i + 1) % burst == 0);
    if (!begun) co_return fail(begun.error(), "{} at its beginning", exchanges[i].sent);
  }
  for (Exchange& exchange : exchanges) {
    Result<void> finished = co_await finish(exchange);
    if (!finished) co_return fail(finished.error(), "{} at its end", exchange.sent);
  }
  co_return fmt::format("streams {} {}", count, clock.nanoseconds());
}

Task<Result<std::string>> half_close(Host& host, crypto::PeerId peer, std::uint64_t size) {
  CO_TRY(StreamPtr stream, co_await open(host, peer, kLate));
  CO_TRY(const Bytes early, co_await read_to_end(*stream, 64));
  if (as_text(early) != "early") co_return fail(Errc::io, "received '{}' before the end", as_text(early));
  CO_TRY_VOID(co_await send_numbered(*stream, size, nullptr));
  CO_TRY_VOID(co_await stream->close_write());
  co_return fmt::format("half-close {}", size);
}

Task<Result<std::string>> reset(Host& host, crypto::PeerId peer) {
  CO_TRY(StreamPtr stream, co_await open(host, peer, kEcho));
  std::array<std::uint8_t, 1> byte{1};
  CO_TRY_VOID(co_await stream->write(byte));
  CO_TRY_VOID(co_await read_exactly(*stream, byte));
  stream->abort();
  co_return "reset";
}

Task<Result<std::string>> reset_by(Host& host, crypto::PeerId peer) {
  CO_TRY(StreamPtr stream, co_await open(host, peer, kReset));
  const std::array<std::uint8_t, 1> byte{1};
  CO_TRY_VOID(co_await stream->write(byte));
  Result<std::uint64_t> got = co_await receive(*stream, kAll, nullptr);
  if (got) co_return fail(Errc::io, "{} bytes and no reset", *got);
  co_return "reset-by";
}

Task<Result<std::string>> unknown(Host& host, crypto::PeerId peer) {
  Result<StreamPtr> stream = co_await open(host, peer, kUnknown);
  if (stream) co_return fail(Errc::io, "an unknown protocol was agreed");
  if (!stream.error().is(Errc::unsupported)) co_return fail(stream.error(), "an unknown protocol");
  co_return "unknown " + stream.error().to_string();
}

}  // namespace

Task<Result<std::string>> check(Host& host, std::string verb, crypto::PeerId peer, std::uint64_t first,
                                std::uint64_t second) {
  if (verb == "pings") co_return co_await pings(host, peer, first);
  if (verb == "upload" || verb == "download") {
    const bool up = verb == "upload";
    const std::uint64_t sent = up ? first : 0;
    CO_TRY(const std::int64_t took, co_await transfer(host, peer, sent, first - sent));
    co_return fmt::format("{} {} {}", verb, first, took);
  }
  if (verb == "perf") co_return co_await perf(host, peer, first, second);
  if (verb == "streams") co_return co_await streams(host, peer, first, second);
  if (verb == "half-close") co_return co_await half_close(host, peer, first);
  if (verb == "reset") co_return co_await reset(host, peer);
  if (verb == "reset-by") co_return co_await reset_by(host, peer);
  if (verb == "unknown") co_return co_await unknown(host, peer);
  co_return fail(Errc::invalid_argument, "unknown command: {}", verb);
}

namespace {

Task<void> send_and_close(ByteStream& stream, std::uint64_t size, Sum& sum) {
  Result<void> sent = co_await send_numbered(stream, size, &sum);
  if (sent) (void)co_await stream.close_write();
}

}  // namespace

Task<Result<std::string>> echo(Host& host, crypto::PeerId peer, std::uint64_t size, std::string protocol) {
  CO_TRY(StreamPtr stream, co_await open(host, peer, protocol));
  const Clock clock(host);
  Sum sent, got;
  Nursery nursery(host.runtime().lane, "echo");
  nursery.spawn(send_and_close(*stream, size, sent));
  Result<std::uint64_t> back = co_await receive(*stream, size + 1, &got);
  co_await nursery.close();
  if (!back) co_return fail(back.error(), "echo");
  if (*back != size || sent.digest() != got.digest())
    co_return fail(Errc::io, "echo: received {} bytes, sent {}", *back, size);
  co_return fmt::format("echo {} {}", size, clock.nanoseconds());
}

Task<Result<std::string>> handshakes(Host& host, PeerAddress to, std::uint64_t count) {
  std::int64_t spent = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const Clock clock(host);
    CO_TRY_VOID(co_await host.connect(to));
    spent += clock.nanoseconds();
    host.disconnect(to.peer);
  }
  co_return fmt::format("handshakes {} {}", count, spent);
}

Task<Result<std::string>> Crowd::connect(PeerAddress to, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    auto key = crypto::PrivateKey::generate(runtime_.lane.random());
    hosts_.push_back(std::make_unique<Host>(runtime_, std::move(key), options_));
    Result<void> connected = co_await hosts_.back()->connect(to);
    if (!connected) co_return fail(connected.error(), "number {} of {}", i + 1, count);
  }
  co_return fmt::format("crowd {}", hosts_.size());
}

Task<void> Crowd::close() {
  for (const auto& host : hosts_) co_await host->close();
  hosts_.clear();
}

}  // namespace dms::libp2p::interop
