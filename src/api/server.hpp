// The daemon's local door: HTTP on loopback, through which this machine's user reaches actors.
//
// Model
//  1. GET  /health                  {"status":"ok"}
//     GET  /api/v1/actor/handle     the node's handle
//     POST /api/v1/actor/send       an envelope; {"message":"message sent"}
//     POST /api/v1/actor/invoke     an envelope; the reply envelope, or 408 {"error":"request timeout"}
//     POST /api/v1/actor/broadcast  a broadcast envelope; at its expiry, the list of replies (null if there were none)
//     Errors are {"error":"..."}: 400 for what the caller should change, 408 no answer in time, 409 inbox in use, 500 for
//     what went wrong on the way. relay.hpp says what is relayed and which replies are taken.
//  2. There is no login: an envelope carries its own authority, and this door adds none. What it relays is refused at
//     its destination unless its signer may do it.
//  3. Only loopback is served. A connection from elsewhere is closed without a word, whatever address we listen on.
//
// Threads: one lane. close() ends every request and must be awaited before the server goes.
// Limits: max_connections at once; as many again are told 503, more are closed. max_body per request, 413 beyond.
//
// Attacks. A web page that the user visits can make his browser send requests here, also under a host name of the
// page's owner that resolves to 127.0.0.1: requests must name a loopback host in Host (403), and a page's Origin must
// be this server itself (403). Slow and endless requests end at http/http.hpp's limits. Another local user can reach
// this door, as any process can; he has no key to sign with.
//
// Wire: NuNet DMS 0.5 REST, api/v1/actor.
#pragma once

#include "api/relay.hpp"
#include "http/http.hpp"
#include "runtime/nursery.hpp"

namespace dms::api {

struct Options {
  IpEndpoint listen{IpAddress::v4({127, 0, 0, 1}), 9999};
  std::size_t max_connections = 64;
  std::uint64_t max_body = std::uint64_t{2} << 20;
};

class Server {
 public:
  struct Counters {
    std::uint64_t requests = 0;
    std::uint64_t refused_remote = 0;
    std::uint64_t refused_busy = 0;
    std::uint64_t refused_origin = 0;
  };

  /// `root` is what /api/v1/actor/handle answers. The network outlives the server.
  Server(Runtime runtime, network::Network& network, actor::Handle root)
      : Server(runtime, network, std::move(root), Options{}) {}
  Server(Runtime runtime, network::Network& network, actor::Handle root, Options options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Errc::already_exists if the address is taken.
  Result<void> start();
  /// Where start() listens; the port is the one in use.
  [[nodiscard]] IpEndpoint local() const;
  Task<void> close();

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const Relay::Counters& relay_counters() const { return relay_.counters(); }

 private:
  Task<void> accept_all();
  Task<void> serve(std::unique_ptr<ByteStream> stream, bool busy);
  Task<HttpResponse> turn_away();
  Task<HttpResponse> answer(HttpRequest request);
  Task<HttpResponse> answer_post(HttpRequest request);
  [[nodiscard]] bool local_origin(const HttpRequest& request) const;

  Runtime runtime_;
  actor::Handle root_;
  Options options_;
  Relay relay_;
  std::unique_ptr<Listener> listener_;
  Nursery nursery_;
  std::size_t connections_ = 0;
  Counters counters_;
};

}  // namespace dms::api
