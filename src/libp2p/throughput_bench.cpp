// One stream of bytes between two threads over loopback: the bare socket, the bare cipher, and the layers of this
// module.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <future>
#include <thread>

#include "libp2p/muxers/yamux/session.hpp"
#include "libp2p/security/noise/handshake.hpp"
#include "libp2p/security/noise/noise.hpp"
#include "libp2p/swarm/resource_limits.hpp"
#include "runtime/real_runtime.hpp"

namespace dms::libp2p {
namespace {

constexpr std::size_t kTotal = std::size_t{256} << 20;
constexpr std::size_t kChunk = 256 * 1024;

enum class Layers { tcp, noise, yamux };

crypto::PrivateKey make_key(std::uint64_t seed) {
  SeededRandom random(seed);
  return crypto::PrivateKey::generate(random);
}

/// One side of the transfer with the requested layers.
struct End {
  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<yamux::Session> session;
};

Task<Result<End>> build(Runtime runtime, std::unique_ptr<ByteStream> raw, Side side, Layers layers) {
  End end;
  end.stream = std::move(raw);
  if (layers == Layers::tcp) co_return std::move(end);
  noise::Noise noise(make_key(side == Side::dialer ? 1 : 2), runtime.lane.random());
  std::vector<std::string> muxers;
  CO_TRY(Secured secured, co_await noise.secure(std::move(end.stream), side, std::nullopt, std::move(muxers)));
  end.stream = std::move(secured.stream);
  if (layers == Layers::noise) co_return std::move(end);
  end.session = std::make_unique<yamux::Session>(runtime.lane, std::move(end.stream), side);
  const Direction direction = side == Side::dialer ? Direction::outbound : Direction::inbound;
  CO_TRY(std::shared_ptr<ConnectionReservation> reservation, ResourceManager().open_connection(direction));
  end.session->count_memory_in(std::move(reservation));
  if (side == Side::dialer) {
    CO_TRY(end.stream, co_await end.session->open_stream());
  } else {
    CO_TRY(end.stream, co_await end.session->accept_stream());
  }
  co_return std::move(end);
}

Task<Result<std::size_t>> drain(ByteStream& stream) {
  Bytes buffer(kChunk);
  for (std::size_t all = 0;;) {
    CO_TRY(std::size_t got, co_await stream.read_some(buffer));
    if (got == 0) co_return all;
    all += got;
  }
}

Task<Result<void>> serve(Runtime runtime, Layers layers, std::promise<IpEndpoint>& where) {
  auto listener = runtime.net.listen_tcp({IpAddress::v4({127, 0, 0, 1}), 0});
  if (!listener) co_return std::unexpected(listener.error());
  where.set_value((*listener)->local());
  CO_TRY(Accepted accepted, co_await (*listener)->accept());
  CO_TRY(End end, co_await build(runtime, std::move(accepted.stream), Side::listener, layers));
  Result<std::size_t> got = co_await drain(*end.stream);
  (void)co_await end.stream->close_write();
  if (end.session) co_await end.session->close();
  if (!got) co_return std::unexpected(got.error());
  if (*got != kTotal) co_return fail(Errc::internal, "{} bytes arrived of {}", *got, kTotal);
  co_return Result<void>();
}

/// Sends everything and waits until the receiver confirms it.
Task<Result<void>> pour(ByteStream& stream) {
  const Bytes chunk(kChunk, 7);
  for (std::size_t sent = 0; sent < kTotal; sent += chunk.size()) CO_TRY_VOID(co_await stream.write(chunk));
  CO_TRY_VOID(co_await stream.close_write());
  CO_TRY_VOID(co_await drain(stream));
  co_return Result<void>();
}

Task<Result<void>> send(Runtime runtime, IpEndpoint to, Layers layers) {
  CO_TRY(Accepted connection, co_await runtime.net.connect_tcp(to));
  CO_TRY(End end, co_await build(runtime, std::move(connection.stream), Side::dialer, layers));
  Result<void> sent = co_await pour(*end.stream);
  if (end.session) co_await end.session->close();
  co_return std::move(sent);
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Result<void> transfer(Layers layers) {
  std::promise<IpEndpoint> where;
  std::future<IpEndpoint> at = where.get_future();
  Result<void> received;
  std::thread server([&] {
    RealRuntime world;
    received = world.run(serve(world.runtime(), layers, where));
  });
  RealRuntime world;
  Result<void> sent = world.run(send(world.runtime(), at.get(), layers));
  server.join();
  if (!sent) return sent;
  return received;
}

void encrypt(std::size_t total) {
  auto cipher = *noise::CipherState::create(Bytes(32, 1));
  Bytes message(noise::kMaxMessage, 7);
  const BytesView text = BytesView(message).first(message.size() - noise::CipherState::kTag);
  for (std::size_t done = 0; done < total; done += message.size())
    benchmark::DoNotOptimize(cipher.seal({}, text, message));
}

/// The cipher alone, with one thread that encrypts and one that decrypts. A benchmark measures the machine's own clock.
double cipher_seconds() {
  const auto start = std::chrono::steady_clock::now();
  std::thread other([] { encrypt(kTotal); });
  encrypt(kTotal);
  other.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void one_stream(benchmark::State& state, Layers layers) {
  double cpu = 0;
  for (auto _ : state) {
    const double cpu_before = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    Result<void> done = transfer(layers);
    if (!done) return state.SkipWithError(done.error().to_string().c_str());
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    cpu += cpu_seconds() - cpu_before;
  }
  const double bytes = static_cast<double>(state.iterations()) * kTotal;
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  state.counters["cpu_s_per_GiB"] = cpu / bytes * (1 << 30);
  if (layers != Layers::tcp) state.SetLabel("vs bare_cipher/manual_time");
}
BENCHMARK_CAPTURE(one_stream, tcp, Layers::tcp)->UseManualTime();
BENCHMARK_CAPTURE(one_stream, noise, Layers::noise)->UseManualTime();
BENCHMARK_CAPTURE(one_stream, noise_yamux, Layers::yamux)->UseManualTime();

void bare_cipher(benchmark::State& state) {
  for (auto _ : state) state.SetIterationTime(cipher_seconds());
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kTotal));
}
BENCHMARK(bare_cipher)->UseManualTime();

}  // namespace
}  // namespace dms::libp2p
