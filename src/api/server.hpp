// The REST API: HTTP on a Unix socket and on loopback, through which users of this machine reach actors.
//
// Model
//  1. GET  /health                  {"status":"ok"}
//     GET  /api/v1/actor/handle     the node's handle
//     POST /api/v1/actor/send       an envelope; {"message":"message sent"}
//     POST /api/v1/actor/invoke     an envelope; the reply envelope, or 408 {"error":"request timeout"}
//     POST /api/v1/actor/broadcast  a broadcast envelope; at its expiry, the list of replies (null if there were none)
//     POST /api/v1/file/TICKET?offset=N   a page of a file as it is; {"offset":M}, where the next one starts
//     GET  /api/v1/file/TICKET?offset=N   a page of a file as it is, nothing behind its end
//     A behaviour that has authorised the caller replies with the ticket (transfer/local_pages.hpp).
//     Errors are {"error":"..."}: 400 for what the caller should change, 404 unknown ticket, 408 no answer in time, 409
//     inbox in use, 429 and 503 too many requests or connections, 500 for a failed delivery. relay.hpp says what is
//     relayed and which replies are accepted.
//  2. There is no login: an envelope carries its own authority, and this API adds none. The receiver refuses an
//     envelope whose signer lacks the capability.
//  3. The Unix socket (mode 0600) serves the daemon's own user and root, as reported by the kernel. The TCP port
//     serves every user of this machine; a connection from another machine is closed without an answer, on any listen
//     address.
//  4. Connections and requests are limited by user (quota.hpp). The kernel reports the user of a TCP connection when
//     it is accepted.
//  5. A client that closes its connection cancels its request: the caller's inbox is closed and its connection is
//     released.
//
// Threads: one lane. close() ends every request and must be awaited before the server is destroyed.
// Limits: quota.hpp; max_body per request, 413 beyond. Memory: once no body is held any more, after more than
// UserQuota::kManyBytes were, the allocator returns what is free to the system, at most once in kTrimPause.
//
// Attacks. A web page that the user visits can make the browser send requests here, also under a host name of the
// page's owner that resolves to 127.0.0.1: requests must name a loopback host in Host (403), and a page's Origin must
// be this server itself (403). Slow and endless requests end at http/http.hpp's limits. Another local user reaches the
// TCP port without a key to sign with, and cannot use up the connections or the request rate of the daemon's user, nor
// much of its memory. It gets replies in inboxes named kCallerInbox only, so that it cannot take the name that an actor
// is about to have: those of ensembles and allocations are known from broadcasts. It does not learn which inboxes this
// node has: a message to one that does not exist counts as sent. A process that listens on the port instead of the
// daemon is detected by the client (cli/client/client.hpp). Specification: NuNet DMS 0.5 REST, api/v1/actor.
#pragma once

#include <unistd.h>

#include "api/metrics.hpp"
#include "api/quota.hpp"
#include "api/relay.hpp"
#include "http/http.hpp"
#include "runtime/nursery.hpp"
#include "transfer/local_pages.hpp"

namespace dms::api {

struct Options {
  IpEndpoint listen{IpAddress::v4({127, 0, 0, 1}), 9999};
  std::string socket = {};    ///< path of the Unix socket; empty: none
  UserId user = ::geteuid();  ///< the daemon's own
  QuotaLimits quota = {};
  std::uint64_t max_body = std::uint64_t{2} << 20;
  transfer::LocalPages* pages = nullptr;  ///< null: no files
};

class Server {
 public:
  /// `root` is the handle that /api/v1/actor/handle returns. The network outlives the server.
  Server(Runtime runtime, network::Network& network, actor::Handle root)
      : Server(runtime, network, std::move(root), Options{}) {}
  Server(Runtime runtime, network::Network& network, actor::Handle root, Options options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Of the Unix socket and the address, one is sufficient: the other, if it cannot be had, is logged. Without a socket
  /// Errc::already_exists if the address is taken.
  Result<void> start();
  /// Where it listens; the port is the one in use.
  [[nodiscard]] IpEndpoint local() const;
  /// False if another process has the address.
  [[nodiscard]] bool has_port() const { return listener_ != nullptr; }
  /// The Unix socket; empty if there is none.
  [[nodiscard]] const std::string& socket() const { return options_.socket; }
  Task<void> close();

  [[nodiscard]] Metrics& metrics() { return metrics_; }

 private:
  struct Caller {
    User user;
    bool busy = false;
  };
  /// The bodies of one connection, by its user.
  class Bodies final : public HttpBodyBudget {
   public:
    Bodies(Server& server, User user) : server_(server), user_(user) {}
    bool take(std::uint64_t bytes) override;
    void give_back(std::uint64_t bytes) override;

   private:
    Server& server_;
    User user_;
  };
  static constexpr Duration kTrimPause = std::chrono::minutes(1);
  void trim();
  Task<void> accept_all(Listener& listener, bool is_unix);
  void admit(Accepted accepted, bool is_unix);
  Task<void> serve(std::unique_ptr<ByteStream> stream, Caller caller);
  Task<HttpResponse> respond(HttpRequest request, Caller caller);
  Task<HttpResponse> answer(HttpRequest request, Route route, Caller caller);
  Task<HttpResponse> answer_post(HttpRequest request, Route route, Caller caller);
  Task<HttpResponse> answer_file(HttpRequest request);
  [[nodiscard]] bool has_file(std::string_view path) const;
  [[nodiscard]] bool local_origin(const HttpRequest& request) const;

  Runtime runtime_;
  actor::Handle root_;
  Options options_;
  Metrics metrics_;
  Relay relay_;
  UserQuota quota_;
  std::optional<SteadyTime> trimmed_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Listener> unix_listener_;
  Nursery nursery_;
};

}  // namespace dms::api
