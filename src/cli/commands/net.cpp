// nunet net: each command runs its own libp2p host; no daemon is needed.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"
#include "libp2p/host.hpp"
#include "libp2p/protocols/perf/perf.hpp"
#include "libp2p/security/noise/noise.hpp"
#include "libp2p/security/tls/tls.hpp"

namespace dms::cli {
namespace {

using libp2p::Host;
using libp2p::PeerAddress;

constexpr std::string_view kAnywhere = "/ip4/0.0.0.0/tcp/0";

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }
double megabits(std::uint64_t bytes, Duration took) {
  return took.count() <= 0 ? 0 : static_cast<double>(bytes) * 8e3 / static_cast<double>(took.count());
}

template <class Number>
Result<Number> parse_number(std::string_view what, std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Errc::usage, "{} \"{}\": expected a whole number", what, text);
  return number;
}

/// "1000000", "64k", "100M", "1G" (powers of ten), "64Ki", "1Gi" (powers of two).
Result<std::uint64_t> parse_bytes(std::string_view what, std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  static constexpr Unit kUnits[] = {
      {"", 1},           {"k", 1000}, {"M", 1'000'000}, {"G", 1'000'000'000}, {"Ki", 1ULL << 10}, {"Mi", 1ULL << 20},
      {"Gi", 1ULL << 30}};
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto* unit = std::ranges::find(kUnits, text.substr(digits), &Unit::name);
  if (unit == std::end(kUnits) || digits == 0)
    return fail(Errc::usage, "{} \"{}\": expected bytes, such as 1000000, 100M or 64Ki", what, text);
  TRY(const auto number, parse_number<std::uint64_t>(what, text.substr(0, digits)));
  if (number > std::numeric_limits<std::uint64_t>::max() / unit->bytes)
    return fail(Errc::usage, "{} \"{}\": too much", what, text);
  return number * unit->bytes;
}

using Job = std::function<Task<Result<void>>(Host&)>;

Task<Result<void>> run_host(Runtime runtime, crypto::PrivateKey key, Host::Options options, Job job) {
  Host host(runtime, std::move(key), std::move(options));
  Task<Result<void>> work = job(host);
  Result<void> done = co_await std::move(work);
  co_await host.close();
  co_return done;
}

/// The protocols of `--security`, in its order; without it, the host's default.
Result<Host::Options> host_options(const Arguments& arguments) {
  static constexpr std::pair<std::string_view, std::string_view> kProtocols[] = {
      {"noise", libp2p::noise::Noise::kProtocol}, {"tls", libp2p::tls::Tls::kProtocol}};
  Host::Options options;
  const auto names = arguments.all("security");
  if (names.empty()) return options;
  options.swarm.security.clear();
  for (const auto& name : names) {
    const auto* known = std::ranges::find(kProtocols, name, &std::pair<std::string_view, std::string_view>::first);
    if (known == std::end(kProtocols)) return fail(Errc::usage, "--security \"{}\": expected noise or tls", name);
    options.swarm.security.emplace_back(known->second);
  }
  return options;
}

/// Runs `job` on a host with the identity and the security protocols that the flags name.
Result<void> with_host(Session& session, const Arguments& arguments, const Job& job) {
  auto key = arguments.has("key")
                 ? session.load_key(arguments.get("key", ""))
                 : Result<crypto::PrivateKey>(crypto::PrivateKey::generate(session.environment().random()));
  if (!key) return std::unexpected(key.error());
  TRY(const Host::Options options, host_options(arguments));
  return session.environment().with_runtime([&](Runtime runtime) { return run_host(runtime, *key, options, job); });
}

Result<PeerAddress> target(const Arguments& arguments) {
  auto address = PeerAddress::parse(arguments.get("address", ""));
  if (!address) return std::unexpected(address.error().context(Errc::usage, "<address>"));
  return address;
}

// ---- listen ---------------------------------------------------------------------------------------------------------

struct ListenRequest {
  std::vector<libp2p::Multiaddr> addresses;
  bool perf = false;
  bool json = false;
};

void print_listening(Session& session, const Host& host, bool as_json) {
  const auto addresses = host.addresses();
  if (as_json) {
    json::Array list;
    for (const auto& address : addresses) list.emplace_back(address.to_string());
    session.print_json(
        json::write_pretty(json::Object{{"peer", host.self().to_string()}, {"addresses", std::move(list)}}));
    return;
  }
  for (const auto& address : addresses) session.print(address.to_string());
}

Task<Result<void>> listen(Session& session, Host& host, ListenRequest request) {
  for (const auto& address : request.addresses) CO_TRY_VOID(host.listen(address));
  std::optional<libp2p::PerfServer> perf;
  if (request.perf) perf.emplace(host);
  const auto connected = host.on_peer_connected([&](const crypto::PeerId& peer) {
    const auto from = host.remote_address(peer);
    session.note(fmt::format("connected     {} {}", peer.to_string(), from ? from->to_string() : ""));
  });
  const auto gone = host.on_peer_disconnected(
      [&](const crypto::PeerId& peer) { session.note(fmt::format("disconnected  {}", peer.to_string())); });
  print_listening(session, host, request.json);
  session.note(fmt::format("serving ping and identify{}; Ctrl-C stops it", request.perf ? " and perf" : ""));
  Notify never;
  (void)co_await never.wait();  // until the user interrupts
  host.remove_notification(connected);
  host.remove_notification(gone);
  co_return Result<void>();
}

Result<void> net_listen(Session& session, const Arguments& arguments) {
  ListenRequest request;
  auto texts = arguments.all("address");
  if (texts.empty()) texts.emplace_back(kAnywhere);
  for (const auto& text : texts) {
    auto address = libp2p::Multiaddr::parse(text);
    if (!address) return std::unexpected(address.error().context(Errc::usage, "--address"));
    request.addresses.push_back(*std::move(address));
  }
  request.perf = arguments.has("perf");
  request.json = arguments.has("json");
  return with_host(session, arguments, [&](Host& host) { return listen(session, host, request); });
}

// ---- dial -----------------------------------------------------------------------------------------------------------

/// Connects; the time from the first packet to usable streams.
Task<Result<Duration>> connect(Host& host, PeerAddress to) {
  Lane& lane = host.runtime().lane;
  const SteadyTime start = lane.now();
  Task<Result<void>> connecting = host.connect(std::move(to));
  CO_TRY_VOID(co_await std::move(connecting));
  co_return lane.now() - start;
}

Task<Result<void>> dial(Session& session, Host& host, PeerAddress to, bool as_json) {
  const crypto::PeerId peer = to.peer;
  CO_TRY(const Duration took, co_await connect(host, std::move(to)));
  const auto connection = host.connection(peer);
  if (!connection) co_return fail(dms::Errc::closed, "{} closed the connection immediately", peer.to_string());
  const auto known = [](const std::string& name) { return name.empty() ? std::string("unknown") : name; };
  if (as_json) {
    session.print_json(json::write_pretty(json::Object{{"peer", peer.to_string()},
                                                       {"address", connection->remote.to_string()},
                                                       {"local", connection->local.to_string()},
                                                       {"handshake_ms", milliseconds(took)},
                                                       {"security", known(connection->security)},
                                                       {"muxer", known(connection->muxer)}}));
  } else {
    session.print_table({{"peer", peer.to_string()},
                         {"address", connection->remote.to_string()},
                         {"local", connection->local.to_string()},
                         {"handshake", fmt::format("{:.3f} ms", milliseconds(took))},
                         {"security", known(connection->security)},
                         {"muxer", known(connection->muxer)}});
  }
  co_return Result<void>();
}

Result<void> net_dial(Session& session, const Arguments& arguments) {
  TRY(const PeerAddress to, target(arguments));
  return with_host(session, arguments, [&](Host& host) { return dial(session, host, to, arguments.has("json")); });
}

// ---- ping -----------------------------------------------------------------------------------------------------------

struct PingRequest {
  std::uint64_t count = 4;  ///< 0: until the user interrupts
  Duration interval = std::chrono::seconds(1);
  bool json = false;
};

struct PingFigures {
  std::uint64_t sent = 0;
  std::vector<double> rtts;  ///< milliseconds
};

void print_pings(Session& session, const crypto::PeerId& peer, const PingFigures& figures, bool as_json) {
  const auto& rtts = figures.rtts;
  double sum = 0, squares = 0;
  for (const double rtt : rtts) sum += rtt;
  const double mean = rtts.empty() ? 0 : sum / static_cast<double>(rtts.size());
  for (const double rtt : rtts) squares += (rtt - mean) * (rtt - mean);
  const double deviation = rtts.empty() ? 0 : std::sqrt(squares / static_cast<double>(rtts.size()));
  const double least = rtts.empty() ? 0 : *std::ranges::min_element(rtts);
  const double most = rtts.empty() ? 0 : *std::ranges::max_element(rtts);
  if (as_json) {
    session.print_json(json::write_pretty(json::Object{{"peer", peer.to_string()},
                                                       {"sent", figures.sent},
                                                       {"received", rtts.size()},
                                                       {"rtt_ms", json::Array(rtts.begin(), rtts.end())},
                                                       {"min_ms", least},
                                                       {"mean_ms", mean},
                                                       {"max_ms", most},
                                                       {"deviation_ms", deviation}}));
    return;
  }
  session.print(fmt::format("{} sent, {} received; min/mean/max/deviation {:.3f}/{:.3f}/{:.3f}/{:.3f} ms", figures.sent,
                            rtts.size(), least, mean, most, deviation));
}

Task<Result<void>> ping(Session& session, Host& host, PeerAddress to, PingRequest request) {
  const crypto::PeerId peer = to.peer;
  CO_TRY_VOID(co_await connect(host, std::move(to)));
  PingFigures figures;
  std::optional<Error> last;
  while (request.count == 0 || figures.sent < request.count) {
    if (figures.sent > 0) {
      const Result<void> slept = co_await sleep_for(request.interval);
      if (!slept) break;
    }
    const Result<Duration> rtt = co_await host.ping(peer);
    if (!rtt && rtt.error().is(dms::Errc::cancelled)) break;
    ++figures.sent;
    if (rtt) {
      figures.rtts.push_back(milliseconds(*rtt));
      if (!request.json) session.print(fmt::format("{} {:.3f} ms", figures.sent, figures.rtts.back()));
    } else {
      last = rtt.error();
      session.note(fmt::format("{} {}", figures.sent, rtt.error().to_string()));
    }
  }
  print_pings(session, peer, figures, request.json);
  if (figures.rtts.empty() && last) co_return fail(*last, "no reply to any ping");
  co_return Result<void>();
}

Result<void> net_ping(Session& session, const Arguments& arguments) {
  TRY(const PeerAddress to, target(arguments));
  PingRequest request;
  request.json = arguments.has("json");
  TRY(request.count, parse_number<std::uint64_t>("--count", arguments.get("count", "4")));
  TRY(request.interval, parse_duration("--interval", arguments.get("interval", "1s")));
  return with_host(session, arguments, [&](Host& host) { return ping(session, host, to, request); });
}

// ---- identify -------------------------------------------------------------------------------------------------------

void print_info(Session& session, Host& host, const crypto::PeerId& peer, const libp2p::IdentifyInfo& info,
                bool as_json) {
  const auto* record = host.peer_store().certified(peer, host.runtime().lane.now());
  const std::string observed = info.observed_address ? info.observed_address->to_string() : "";
  if (as_json) {
    json::Array addresses, protocols;
    for (const auto& address : info.listen_addresses) addresses.emplace_back(address.to_string());
    for (const auto& name : info.protocols) protocols.emplace_back(name);
    json::Object out{{"peer", peer.to_string()},
                     {"agent", info.agent_version},
                     {"protocol_version", info.protocol_version},
                     {"addresses", std::move(addresses)},
                     {"observed_address", observed},
                     {"protocols", std::move(protocols)}};
    if (record != nullptr) out["signed_record_seq"] = record->record.seq;
    session.print_json(json::write_pretty(out));
    return;
  }
  std::vector<std::vector<std::string>> rows{{"peer", peer.to_string()},
                                             {"agent", info.agent_version},
                                             {"version", info.protocol_version},
                                             {"observed address", observed},
                                             {"record", record == nullptr ? "not signed" : "signed by the peer"}};
  for (const auto& address : info.listen_addresses) rows.push_back({"address", address.to_string()});
  for (const auto& name : info.protocols) rows.push_back({"protocol", name});
  session.print_table(rows);
}

Task<Result<void>> identify(Session& session, Host& host, PeerAddress to, bool as_json) {
  const crypto::PeerId peer = to.peer;
  CO_TRY_VOID(co_await connect(host, std::move(to)));
  auto info = co_await host.identify().wait_for_info(peer);
  if (!info) co_return fail(info.error(), "identify {}", peer.to_string());
  print_info(session, host, peer, *info, as_json);
  co_return Result<void>();
}

Result<void> net_identify(Session& session, const Arguments& arguments) {
  TRY(const PeerAddress to, target(arguments));
  return with_host(session, arguments, [&](Host& host) { return identify(session, host, to, arguments.has("json")); });
}

// ---- perf -----------------------------------------------------------------------------------------------------------

/// Prints at most one line a second.
class Progress {
 public:
  Progress(Session& session, Lane& lane) : session_(session), lane_(lane), last_(lane.now()) {}
  void operator()(const libp2p::PerfFigures& now) {
    if (lane_.now() - last_ < std::chrono::seconds(1)) return;
    last_ = lane_.now();
    const bool up = now.downloaded == 0;
    session_.note(fmt::format("{} {:.1f} MB, {:.1f} Mbit/s", up ? "sent    " : "received",
                              static_cast<double>(up ? now.uploaded : now.downloaded) / 1e6,
                              up ? megabits(now.uploaded, now.upload) : megabits(now.downloaded, now.download)));
  }

 private:
  Session& session_;
  Lane& lane_;
  SteadyTime last_;
};

void print_perf(Session& session, const crypto::PeerId& peer, const libp2p::PerfFigures& figures, bool as_json) {
  const auto seconds = [](Duration duration) { return static_cast<double>(duration.count()) / 1e9; };
  if (as_json) {
    const auto half = [&](std::uint64_t bytes, Duration took) {
      return json::Object{{"bytes", bytes}, {"seconds", seconds(took)}, {"mbit_per_s", megabits(bytes, took)}};
    };
    session.print_json(json::write_pretty(json::Object{{"peer", peer.to_string()},
                                                       {"upload", half(figures.uploaded, figures.upload)},
                                                       {"download", half(figures.downloaded, figures.download)}}));
    return;
  }
  const auto row = [&](std::string name, std::uint64_t bytes, Duration took) {
    return std::vector<std::string>{std::move(name), fmt::format("{} bytes", bytes),
                                    fmt::format("{:.3f} s", seconds(took)),
                                    fmt::format("{:.1f} Mbit/s", megabits(bytes, took))};
  };
  session.print_table(
      {row("upload", figures.uploaded, figures.upload), row("download", figures.downloaded, figures.download)});
}

Task<Result<void>> perf(Session& session, Host& host, PeerAddress to, libp2p::PerfRequest request, bool as_json) {
  const crypto::PeerId peer = to.peer;
  CO_TRY_VOID(co_await connect(host, std::move(to)));
  request.progress = Progress(session, host.runtime().lane);
  auto figures = co_await libp2p::measure_perf(host, peer, std::move(request));
  if (!figures && figures.error().is(dms::Errc::unsupported))
    co_return fail(figures.error(), "{} does not serve perf; `nunet net listen --perf` does", peer.to_string());
  if (!figures) co_return std::unexpected(figures.error());
  print_perf(session, peer, *figures, as_json);
  co_return Result<void>();
}

Result<void> net_perf(Session& session, const Arguments& arguments) {
  TRY(const PeerAddress to, target(arguments));
  libp2p::PerfRequest request;
  const bool neither = !arguments.has("upload") && !arguments.has("download");
  const std::string_view fallback = neither ? "10M" : "0";
  TRY(request.upload, parse_bytes("--upload", arguments.get("upload", fallback)));
  TRY(request.download, parse_bytes("--download", arguments.get("download", fallback)));
  return with_host(session, arguments,
                   [&](Host& host) { return perf(session, host, to, request, arguments.has("json")); });
}

Option key_option() {
  return {.name = "key", .value = "name", .help = "identity of the host: a key of the keystore [a new one each time]"};
}

Option security_option() {
  return {.name = "security",
          .value = "protocol",
          .help = "security protocol to propose: noise or tls; the first is preferred [tls, noise]",
          .repeated = true};
}

const Positional kAddress{"address", "multiaddress with a peer id: /ip4/192.0.2.1/tcp/9000/p2p/12D3KooW..."};
constexpr std::string_view kExample =
    "/ip4/192.0.2.1/tcp/9000/p2p/12D3KooWHzew9HTYzywFuvTHGK5Yzoz7qAhMfxagtCvhvjheoBQ3";

Command listen_command() {
  return {.name = "listen",
          .summary = "Listen for connections and answer ping and identify",
          .detail =
              "Prints its full addresses, one a line, then serves until Ctrl-C; connections are reported on standard "
              "error. perf is\nanswered only with --perf, because a peer can request any amount of data by it.",
          .examples = {"nunet net listen", "nunet net listen --address /ip4/0.0.0.0/tcp/9000 --key dms --perf"},
          .options = {{.name = "address",
                       .letter = 'a',
                       .value = "multiaddress",
                       .help = fmt::format("listen on this address [{}]", kAnywhere),
                       .repeated = true},
                      {.name = "perf", .help = "also answer perf"},
                      key_option(),
                      json_option()},
          .action = net_listen};
}

Command ping_command() {
  return {
      .name = "ping",
      .summary = "Measure the round trip time to a peer",
      .examples = {fmt::format("nunet net ping -n 10 {}", kExample)},
      .options = {{.name = "count", .letter = 'n', .value = "number", .help = "number of pings; 0: until Ctrl-C [4]"},
                  {.name = "interval", .letter = 'i', .value = "time", .help = "interval between pings [1s]"},
                  key_option(),
                  security_option(),
                  json_option()},
      .positionals = {kAddress},
      .action = net_ping};
}

Command perf_command() {
  return {.name = "perf",
          .summary = "Measure the throughput to and from a peer",
          .detail = "Sends, then receives; 10M each by default. Sizes: 1000000, 100M, 64Ki.",
          .examples = {fmt::format("nunet net perf --upload 100M {}", kExample),
                       fmt::format("nunet net perf --download 1G --json {}", kExample)},
          .options = {{.name = "upload", .value = "bytes", .help = "bytes to send"},
                      {.name = "download", .value = "bytes", .help = "bytes to receive"},
                      key_option(),
                      security_option(),
                      json_option()},
          .positionals = {kAddress},
          .action = net_perf};
}

}  // namespace

Command net_commands() {
  return {.name = "net",
          .summary = "Test the network with a separate libp2p host",
          .detail = "Each command runs its own libp2p host; no daemon is needed.",
          .children = {listen_command(),
                       {.name = "dial",
                        .summary = "Connect to a peer and show the negotiated protocols",
                        .examples = {fmt::format("nunet net dial {}", kExample)},
                        .options = {key_option(), security_option(), json_option()},
                        .positionals = {kAddress},
                        .action = net_dial},
                       ping_command(),
                       {.name = "identify",
                        .summary = "Show what a peer reports by identify",
                        .examples = {fmt::format("nunet net identify {}", kExample)},
                        .options = {key_option(), security_option(), json_option()},
                        .positionals = {kAddress},
                        .action = net_identify},
                       perf_command()}};
}

}  // namespace dms::cli
