// A libp2p peer that executes commands, one per line, from its standard input; README.md lists them. Each command is
// answered by one line that begins with "ok" or "error"; events are printed as lines that begin with "event".
//
// Usage: interop_peer SEED [MULTIADDR [SECURITY...]]; the same seed gives the same peer. It listens on 127.0.0.1 and a
// free port by default, and proposes the security protocols in the order given (the default of SwarmOptions if none
// is).
#include <charconv>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <thread>

#include "checks.hpp"
#include "libp2p/host.hpp"
#include "libp2p/protocols/gossipsub/pubsub.hpp"
#include "libp2p/protocols/perf/perf.hpp"
#include "protocols.hpp"
#include "runtime/channel.hpp"
#include "runtime/real_runtime.hpp"

namespace dms::libp2p {
namespace {

using interop::say;

/// Longer than any command: gigabytes under a sanitizer.
constexpr Duration kTimeout = 5min;

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

class Driver {
 public:
  Driver(Runtime runtime, crypto::PrivateKey key, Host::Options options)
      : runtime_(runtime),
        host_(runtime, std::move(key), options),
        perf_(host_),
        pubsub_(host_),
        crowd_(runtime, options),
        lines_(64) {}

  Task<void> run(Multiaddr listen) {
    interop::serve(host_);
    (void)host_.on_peer_connected([](const crypto::PeerId& peer) { say("event connected {}", peer.to_string()); });
    (void)host_.on_peer_disconnected(
        [](const crypto::PeerId& peer) { say("event disconnected {}", peer.to_string()); });
    host_.identify().on_identified([](const crypto::PeerId& peer, const IdentifyInfo& info) {
      say("event identified {} {}", peer.to_string(), info.agent_version);
    });
    Result<void> listening = host_.listen(listen);
    if (!listening) {
      say("error listen {}", listening.error().to_string());
    } else {
      say("ok listen {}", host_.addresses().front().to_string());
    }
    std::thread reader([this] { read_lines(); });
    for (;;) {
      Result<std::string> line = co_await lines_.receive();
      if (!line || *line == "quit") break;
      Result<std::string> done = co_await execute(*line);
      if (done)
        say("ok {}", *done);
      else
        say("error {}", done.error().to_string());
    }
    co_await crowd_.close();
    co_await pubsub_.close();
    co_await host_.close();
    reader.join();
    say("ok quit");
  }

 private:
  /// Runs on its own thread and posts lines to the lane. Ends with "quit" or the end of input.
  void read_lines() {
    std::string line;
    bool more = true;
    while (more && std::getline(std::cin, line)) {
      more = line != "quit";
      runtime_.lane.post([this, line] { (void)lines_.try_send(std::string(line)); });
    }
    if (more) runtime_.lane.post([this] { lines_.close(); });
  }

  Task<Result<std::string>> execute(std::string line) {
    std::istringstream words(line);
    std::string verb, subject, rest;
    words >> verb >> subject;
    std::getline(words >> std::ws, rest);
    if (verb == "dial" || verb == "handshakes" || verb == "crowd") co_return co_await dial(verb, subject, number(rest));
    if (verb == "subscribe") co_return subscribe(subject);
    if (verb == "publish") {
      CO_TRY_VOID(pubsub_.publish(subject, as_bytes(rest)));
      co_return "publish " + subject;
    }
    if (verb == "subscribers") co_return fmt::format("subscribers {}", pubsub_.subscribers(subject).size());
    if (verb == "peers") co_return peers();
    CO_TRY(crypto::PeerId peer, crypto::PeerId::parse(subject));
    if (verb == "ping") {
      CO_TRY(Duration rtt, co_await host_.ping(peer));
      co_return fmt::format("ping {}", rtt.count());
    }
    if (verb == "identify") co_return identify(peer);
    if (verb == "disconnect") {
      host_.disconnect(peer);
      co_return "disconnect " + subject;
    }
    std::istringstream numbers(rest);
    std::string first, second;
    numbers >> first >> second;
    if (verb == "echo") {
      if (second.empty()) second = interop::kBareEcho;
      co_return co_await with_timeout(kTimeout, interop::echo(host_, peer, number(first), second));
    }
    co_return co_await with_timeout(kTimeout, interop::check(host_, verb, peer, number(first), number(second)));
  }

  Task<Result<std::string>> dial(std::string verb, std::string text, std::uint64_t count) {
    CO_TRY(PeerAddress to, PeerAddress::parse(text));
    if (verb == "handshakes") co_return co_await with_timeout(kTimeout, interop::handshakes(host_, to, count));
    if (verb == "crowd") co_return co_await with_timeout(kTimeout, crowd_.connect(to, count));
    const crypto::PeerId peer = to.peer;
    CO_TRY_VOID(co_await host_.connect(std::move(to)));
    co_return "dial " + peer.to_string();
  }

  Result<std::string> subscribe(const std::string& topic) {
    TRY(SubscriptionId id, pubsub_.subscribe(topic, {}, [topic](PubSub::Message& message) {
      say("event message {} {} {}", topic, message.author.to_string(), as_text(message.data));
    }));
    (void)id;
    return "subscribe " + topic;
  }

  std::string peers() {
    std::string out = "peers";
    for (const crypto::PeerId& peer : host_.peers()) out += " " + peer.to_string();
    return out;
  }

  Result<std::string> identify(const crypto::PeerId& peer) {
    const IdentifyInfo* info = host_.identify().info(peer);
    if (info == nullptr) return fail(Errc::not_found, "{} has not identified itself", peer.to_string());
    std::string out = "identify " + info->agent_version;
    for (const std::string& name : info->protocols) out += " " + name;
    return out;
  }

  Runtime runtime_;
  Host host_;
  PerfServer perf_;
  PubSub pubsub_;
  interop::Crowd crowd_;
  Channel<std::string> lines_;
};

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  Host::Options options;
  const std::uint64_t seed = arguments.empty() ? 1 : number(arguments[0]);
  const auto listen = Multiaddr::parse(arguments.size() > 1 ? arguments[1] : "/ip4/127.0.0.1/tcp/0");
  if (!listen) {
    say("error listen {}", listen.error().to_string());
    return 1;
  }
  if (arguments.size() > 2) options.swarm.security.assign(arguments.begin() + 2, arguments.end());
  // The benchmark opens many; the process's file descriptors are the limit.
  options.swarm.limits.system = {20'000, 20'000, 20'000, 65'536, 65'536, 65'536, 8ULL << 30, 20'000};
  options.connections.high = 0;
  SeededRandom random(seed);
  RealRuntime runtime;
  Driver driver(runtime.runtime(), crypto::PrivateKey::generate(random), options);
  runtime.run(driver.run(*listen));
  return 0;
}

}  // namespace
}  // namespace dms::libp2p

int main(int argc, char** argv) { return dms::libp2p::run(argc, argv); }
