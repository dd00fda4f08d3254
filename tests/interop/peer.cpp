// A libp2p peer of ours that obeys commands, one a line, on its standard input. Each command is answered by one line that
// begins with "ok" or "error"; what happens meanwhile is told in lines that begin with "event".
//
//   dial MULTIADDR        connects                          ping PEER               measures the round trip
//   identify PEER         agent and protocols of a peer     echo PEER BYTES         sends bytes to its echo protocol and compares
//   subscribe TOPIC       messages become events            publish TOPIC TEXT
//   peers                 who is connected                  quit
//
// Usage: interop_peer SEED [MULTIADDR [SECURITY...]]; the same seed is the same peer. It listens on 127.0.0.1, port of the system's
// choice, and proposes the security protocols in the order given (/noise alone if none is).
#include <charconv>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <thread>

#include "base/channel.hpp"
#include "base/real_runtime.hpp"
#include "libp2p/gossipsub/pubsub.hpp"
#include "libp2p/host.hpp"

namespace dms::libp2p {
namespace {

// Without a leading slash, as NuNet names its protocols.
constexpr std::string_view kEcho = "interop/echo/0.0.1";

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
  std::fflush(stdout);
}

Task<void> serve_echo(std::unique_ptr<Stream> stream) {
  Bytes buffer(64 * 1024);
  for (;;) {
    Result<std::size_t> got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    Result<void> sent = co_await stream->write(BytesView(buffer).first(*got));
    if (!sent) break;
  }
  (void)co_await stream->close_write();
}

Task<void> send_all(ByteStream& stream, BytesView bytes) {
  (void)co_await stream.write(bytes);
  (void)co_await stream.close_write();
}

class Driver {
 public:
  Driver(Runtime runtime, crypto::PrivateKey key, Host::Options options)
      : runtime_(runtime), host_(runtime, std::move(key), std::move(options)), pubsub_(host_), lines_(64) {}

  Task<void> run(Multiaddr listen) {
    host_.set_stream_handler(std::string(kEcho), serve_echo);
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
      Result<std::string> done = co_await obey(*line);
      if (done)
        say("ok {}", *done);
      else
        say("error {}", done.error().to_string());
    }
    co_await pubsub_.close();
    co_await host_.close();
    reader.join();
    say("ok quit");
  }

 private:
  /// On a thread of its own: lines become work for the lane. Ends with "quit" or the end of input.
  void read_lines() {
    std::string line;
    bool more = true;
    while (more && std::getline(std::cin, line)) {
      more = line != "quit";
      runtime_.lane.post([this, line] { (void)lines_.try_send(std::string(line)); });
    }
    if (more) runtime_.lane.post([this] { lines_.close(); });
  }

  Task<Result<std::string>> obey(std::string line) {
    std::istringstream words(line);
    std::string verb, subject, rest;
    words >> verb >> subject;
    std::getline(words >> std::ws, rest);
    if (verb == "dial") co_return co_await dial(subject);
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
    if (verb == "echo") co_return co_await with_timeout(20s, echo(peer, std::strtoul(rest.c_str(), nullptr, 10)));
    co_return fail(Errc::invalid_argument, "no such command: {}", verb);
  }

  Task<Result<std::string>> dial(std::string text) {
    CO_TRY(PeerAddress to, PeerAddress::parse(text));
    const crypto::PeerId peer = to.peer;
    CO_TRY_VOID(co_await host_.connect(std::move(to)));
    co_return "dial " + peer.to_string();
  }

  Result<std::string> subscribe(const std::string& topic) {
    TRY(SubscriptionId id, pubsub_.subscribe(topic, {}, [topic](const crypto::PeerId& author, Bytes data) {
      say("event message {} {} {}", topic, author.to_string(), as_text(data));
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

  Task<Result<std::string>> echo(crypto::PeerId peer, std::size_t size) {
    Bytes sent(size);
    for (std::size_t i = 0; i < size; ++i) sent[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
    CO_TRY(std::unique_ptr<Stream> stream, co_await host_.new_stream(peer, std::string(kEcho)));
    const SteadyTime start = runtime_.lane.now();
    Nursery nursery(runtime_.lane, "echo");
    nursery.spawn(send_all(*stream, sent));
    Result<Bytes> back = co_await read_to_end(*stream, size + 1);
    co_await nursery.close();
    if (!back) co_return fail(back.error(), "echo");
    if (*back != sent)
      co_return fail(Errc::io, "echo: {} bytes came back, not the {} that were sent", back->size(), size);
    co_return fmt::format("echo {} {}", size, (runtime_.lane.now() - start).count());
  }

  Runtime runtime_;
  Host host_;
  PubSub pubsub_;
  Channel<std::string> lines_;
};

int run(int argc, char** argv) {
  std::uint64_t seed = 1;
  const std::string_view text = argc > 1 ? argv[1] : "1";
  std::from_chars(text.data(), text.data() + text.size(), seed);
  const auto listen = Multiaddr::parse(argc > 2 ? argv[2] : "/ip4/127.0.0.1/tcp/0");
  if (!listen) {
    say("error listen {}", listen.error().to_string());
    return 1;
  }
  Host::Options options;
  if (argc > 3) options.swarm.security.assign(argv + 3, argv + argc);
  SeededRandom random(seed);
  RealRuntime runtime;
  Driver driver(runtime.runtime(), crypto::PrivateKey::generate(random), std::move(options));
  runtime.run(driver.run(*listen));
  return 0;
}

}  // namespace
}  // namespace dms::libp2p

int main(int argc, char** argv) { return dms::libp2p::run(argc, argv); }
