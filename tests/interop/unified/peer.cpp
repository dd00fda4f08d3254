// The peer for libp2p's unified interoperability tests: `unified_peer SUITE`, SUITE being transport or perf, as dialer
// and as listener. Each suite has its own image, whose entry point names the suite: a listener's environment does not.
//
// Environment, as the suites set it:
//   IS_DIALER, REDIS_ADDR, TEST_KEY, DEBUG        both
//   TRANSPORT, SECURE_CHANNEL, MUXER              both; an unsupported value ends it with a message and status 1
//   LISTENER_IP                                   listener
//   UPLOAD_BYTES, DOWNLOAD_BYTES, UPLOAD_ITERATIONS, DOWNLOAD_ITERATIONS, LATENCY_ITERATIONS
//                                                 dialer, of the suite perf
// The listener stores its address in Redis under <TEST_KEY>_listener_multiaddr and serves until SIGTERM: in `transport`
// as the one element of a list (RPUSH, BLPOP), in `perf` as a string (SET, GET). Redis refuses access to one kind as
// the other, so a peer that supports only one of them passes only one suite, whatever the documents of both say. The
// dialer prints its figures as YAML on standard output, which carries nothing else, and ends with status 0.
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/log.hpp"
#include "libp2p/host.hpp"
#include "libp2p/protocols/perf/perf.hpp"
#include "redis.hpp"
#include "runtime/real_runtime.hpp"
#include "statistics.hpp"

namespace dms::interop {
namespace {

using libp2p::Host;

constexpr Duration kTimeout = std::chrono::seconds(60);  // until the peer appears
constexpr Duration kPoll = std::chrono::milliseconds(100);

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): no thread sets variables
  if (value == nullptr || *value == '\0' || std::string_view(value) == "null") return std::nullopt;
  return value;
}

Result<std::string> required(const char* name) {
  auto value = variable(name);
  if (!value) return fail(Errc::invalid_argument, "the environment variable {} is not set", name);
  return *value;
}

Result<std::uint64_t> number(const char* name, std::uint64_t fallback) {
  const auto text = variable(name);
  if (!text) return fallback;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size())
    return fail(Errc::invalid_argument, "{}={}: expected a whole number", name, *text);
  return value;
}

struct Config {
  bool dialer = false;
  bool perf = false;
  std::string key;  // in Redis
  std::string security;
  IpEndpoint redis;
  libp2p::Multiaddr listen;
  std::uint64_t upload = 0, download = 0;  // bytes
  std::uint64_t uploads = 0, downloads = 0, latencies = 0;
};

/// The libp2p name of the requested security protocol.
Result<std::string> check_stack() {
  const std::pair<const char*, std::string_view> stack[] = {{"TRANSPORT", "tcp"}, {"MUXER", "yamux"}};
  for (const auto& [name, supported] : stack) {
    TRY(const std::string requested, required(name));
    if (requested != supported)
      return fail(Errc::unsupported, "{}={}: this peer supports {}", name, requested, supported);
  }
  TRY(const std::string security, required("SECURE_CHANNEL"));
  if (security == "noise") return "/noise";
  if (security == "tls") return "/tls/1.0.0";
  return fail(Errc::unsupported, "SECURE_CHANNEL={}: this peer supports noise and tls", security);
}

Result<Config> read_config(std::string_view suite) {
  Config config;
  config.perf = suite == "perf";
  if (!config.perf && suite != "transport") return fail(Errc::invalid_argument, "usage: unified_peer transport|perf");
  TRY(config.security, check_stack());
  TRY(const std::string role, required("IS_DIALER"));
  config.dialer = role == "true";
  TRY(const std::string test, required("TEST_KEY"));
  config.key = test + "_listener_multiaddr";
  TRY(const std::string redis, required("REDIS_ADDR"));
  TRY(config.redis, resolve(redis));
  TRY(config.listen,
      libp2p::Multiaddr::parse(fmt::format("/ip4/{}/tcp/0", variable("LISTENER_IP").value_or("0.0.0.0"))));
  constexpr std::uint64_t kGibibyte = 1ULL << 30;
  TRY(config.upload, number("UPLOAD_BYTES", kGibibyte));
  TRY(config.download, number("DOWNLOAD_BYTES", kGibibyte));
  TRY(config.uploads, number("UPLOAD_ITERATIONS", 10));
  TRY(config.downloads, number("DOWNLOAD_ITERATIONS", 10));
  TRY(config.latencies, number("LATENCY_ITERATIONS", 100));
  return config;
}

// ---- listener -------------------------------------------------------------------------------------------------------

/// The address that other machines of this network can reach, if there is one.
Result<std::string> reachable(const Host& host) {
  const auto addresses = host.addresses();
  if (addresses.empty()) return fail(Errc::not_found, "no interface has an address");
  for (const auto& address : addresses) {
    const auto endpoint = address.tcp_endpoint();
    if (endpoint && !endpoint->address.is_loopback()) return address.to_string();
  }
  return addresses.front().to_string();
}

Task<Result<void>> announce(Redis& redis, const Config& config, std::string address) {
  return config.perf ? redis.set(config.key, std::move(address)) : redis.push(config.key, std::move(address));
}

Task<Result<void>> listen(Host& host, Config config) {
  const libp2p::PerfServer perf(host);
  CO_TRY_VOID(host.listen(config.listen));
  CO_TRY(std::string address, reachable(host));
  log::debug("interop", "listening on {}", address);
  {
    CO_TRY(const auto redis, co_await Redis::connect(host.runtime().net, config.redis));
    CO_TRY_VOID(co_await announce(*redis, config, std::move(address)));
  }
  Notify never;
  (void)co_await never.wait();  // until SIGTERM
  co_return Result<void>();
}

// ---- dialer ---------------------------------------------------------------------------------------------------------

Task<Result<std::string>> poll(Redis& redis, std::string key) {
  for (;;) {
    CO_TRY(auto value, co_await redis.get(key));
    if (value) co_return *std::move(value);
    CO_TRY_VOID(co_await sleep_for(kPoll));
  }
}

Task<Result<std::string>> await_announcement(Redis& redis, const Config& config) {
  return config.perf ? poll(redis, config.key) : redis.pop(config.key);
}

Task<Result<libp2p::PeerAddress>> find_listener(Net& net, Config config) {
  CO_TRY(const auto redis, co_await Redis::connect(net, config.redis));
  auto text = co_await with_timeout(kTimeout, await_announcement(*redis, config));
  if (!text) co_return fail(text.error(), "waiting for {} in Redis", config.key);
  log::debug("interop", "the listener is at {}", *text);
  co_return libp2p::PeerAddress::parse(*text);
}

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

Task<Result<void>> measure_latency(Host& host, libp2p::PeerAddress to) {
  const crypto::PeerId peer = to.peer;
  Lane& lane = host.runtime().lane;
  const SteadyTime start = lane.now();
  CO_TRY_VOID(co_await host.connect(std::move(to)));
  CO_TRY(const Duration rtt, co_await host.ping(peer));
  const Duration both = lane.now() - start;
  fmt::print("latency:\n  handshake_plus_one_rtt: {:.3f}\n  ping_rtt: {:.3f}\n  unit: ms\n", milliseconds(both),
             milliseconds(rtt));
  co_return Result<void>();
}

/// Seconds of each exchange.
Task<Result<std::vector<double>>> repeat(Host& host, crypto::PeerId peer, libp2p::PerfRequest request,
                                         std::uint64_t times) {
  std::vector<double> samples;
  Lane& lane = host.runtime().lane;
  for (std::uint64_t i = 0; i < times; ++i) {
    const SteadyTime start = lane.now();
    CO_TRY_VOID(co_await libp2p::measure_perf(host, peer, request));
    samples.push_back(static_cast<double>((lane.now() - start).count()) / 1e9);
  }
  co_return std::move(samples);
}

Task<Result<void>> measure_throughput(Host& host, libp2p::PeerAddress to, Config config) {
  const crypto::PeerId peer = to.peer;
  CO_TRY_VOID(co_await host.connect(std::move(to)));
  const auto print = [](const std::string& name, std::vector<double> seconds, std::uint64_t bytes) {
    for (double& sample : seconds) sample = bytes > 0 ? static_cast<double>(bytes) * 8e-9 / sample : sample * 1e3;
    if (!seconds.empty())
      fmt::print("{}", to_yaml(name, std::move(seconds), bytes > 0 ? "Gbps" : "ms", bytes > 0 ? 2 : 3));
  };
  libp2p::PerfRequest up, down, both;
  up.upload = config.upload;
  down.download = config.download;
  both.upload = both.download = 1;
  CO_TRY(auto uploads, co_await repeat(host, peer, up, config.uploads));
  CO_TRY(auto downloads, co_await repeat(host, peer, down, config.downloads));
  CO_TRY(auto latencies, co_await repeat(host, peer, both, config.latencies));
  print("upload", std::move(uploads), config.upload);
  print("download", std::move(downloads), config.download);
  print("latency", std::move(latencies), 0);
  co_return Result<void>();
}

Task<Result<void>> dial(Host& host, Config config) {
  CO_TRY(libp2p::PeerAddress to, co_await find_listener(host.runtime().net, config));
  Task<Result<void>> measuring =
      config.perf ? measure_throughput(host, std::move(to), config) : measure_latency(host, std::move(to));
  co_return co_await std::move(measuring);
}

// ---- both -----------------------------------------------------------------------------------------------------------

Task<Result<void>> run(Runtime runtime, Config config, CancelScope& scope) {
  SystemRandom random;
  Host::Options options;
  options.swarm.security = {config.security};
  Host host(runtime, crypto::PrivateKey::generate(random), std::move(options));
  Task<Result<void>> work = config.dialer ? dial(host, config) : listen(host, config);
  work.set_context({&runtime.lane, &scope});
  Result<void> done = co_await std::move(work);
  co_await host.close();
  co_return done;
}

int report(const Error& error) {
  fmt::print(stderr, "unified_peer: {}\n", error.to_string());
  return 1;
}

int main_of_peer(std::string_view suite) {
  if (variable("DEBUG") == "true") log::set_level(log::Level::debug);
  auto config = read_config(suite);
  if (!config) return report(config.error());
  RealRuntime runtime;
  CancelScope scope;
  runtime.on_signal({SIGINT, SIGTERM}, [&scope](int) { scope.cancel(); });
  const Result<void> done = runtime.run(run(runtime.runtime(), *config, scope));
  std::fflush(stdout);
  return done ? 0 : report(done.error());
}

}  // namespace
}  // namespace dms::interop

int main(int count, char** words) { return dms::interop::main_of_peer(count == 2 ? words[1] : ""); }
