#include "api/server.hpp"

#include "base/log.hpp"

namespace dms::api {
namespace {

constexpr std::string_view kHandlePath = "/api/v1/actor/handle";
constexpr std::string_view kSendPath = "/api/v1/actor/send";
constexpr std::string_view kInvokePath = "/api/v1/actor/invoke";
constexpr std::string_view kBroadcastPath = "/api/v1/actor/broadcast";

HttpResponse member(int status, std::string_view name, std::string_view text) {
  json::Writer writer;
  writer.begin_object().key(name).string(text).end_object();
  return {status, writer.take()};
}

HttpResponse error(int status, std::string_view text) { return member(status, "error", text); }

HttpResponse error(const Error& cause) {
  if (cause.is(Errc::deadline_exceeded)) return error(408, "request timeout");
  if (cause.is(Errc::already_exists)) return error(409, cause.to_string());
  const bool callers_fault = cause.code().room == describe(actor::Errc::malformed).room ||
                             cause.is(Errc::invalid_argument) || cause.code().room == "crypto" ||
                             cause.code().room == "did";
  return error(callers_fault ? 400 : 500, cause.to_string());
}

/// The host in `[::1]:9999`, `localhost:9999`, `127.0.0.1`.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

bool is_loopback_host(std::string_view authority) {
  const std::string_view host = host_of(authority);
  if (host == "localhost") return true;
  const auto address = IpAddress::parse(host);
  return address && address->is_loopback();
}

bool is_post_path(std::string_view path) { return path == kSendPath || path == kInvokePath || path == kBroadcastPath; }

std::string encode_replies(const std::vector<actor::Envelope>& replies) {
  return replies.empty() ? "null" : json::encode(replies);
}

}  // namespace

Server::Server(Runtime runtime, network::Network& network, actor::Handle root, Options options)
    : runtime_(runtime),
      root_(std::move(root)),
      options_(options),
      relay_(runtime.lane, network),
      nursery_(runtime.lane, "api") {}

Result<void> Server::start() {
  auto listener = runtime_.net.listen_tcp(options_.listen);
  if (!listener)
    return fail(listener.error(), "the REST API at {}: choose another rest.port, or end what listens there",
                options_.listen.to_string());
  listener_ = *std::move(listener);
  nursery_.spawn(accept_all());
  return {};
}

IpEndpoint Server::local() const { return listener_ ? listener_->local() : options_.listen; }

Task<void> Server::close() {
  if (listener_) listener_->close();
  co_await nursery_.close();
}

Task<void> Server::accept_all() {
  for (;;) {
    auto accepted = co_await listener_->accept();
    if (!accepted) {
      if (accepted.error().is(Errc::closed) || nursery_.cancelled()) co_return;
      log::warn("api", "accepting a connection: {}", accepted.error().to_string());
      // Out of file descriptors, most likely: give others time to release some.
      const Result<void> slept = co_await sleep_for(100ms);
      if (!slept) co_return;
      continue;
    }
    if (!accepted->remote.address.is_loopback()) {
      ++counters_.refused_remote;
      log::warn("api", {{"remote", accepted->remote.to_string()}}, "refused a connection: only this machine is served");
      continue;
    }
    const bool busy = connections_ >= options_.max_connections;
    if (busy) ++counters_.refused_busy;
    if (connections_ >= 2 * options_.max_connections) continue;
    ++connections_;
    nursery_.spawn(serve(std::move(accepted->stream), busy));
  }
}

Task<void> Server::serve(std::unique_ptr<ByteStream> stream, bool busy) {
  HttpLimits limits;
  limits.body_bytes = options_.max_body;
  if (busy) limits.idle = limits.request = 1s;
  HttpHandler handler = [this, busy](HttpRequest request) { return busy ? turn_away() : answer(std::move(request)); };
  auto served = co_await serve_http(*stream, std::move(handler), limits);
  if (!served) log::debug("api", "a connection ended: {}", served.error().to_string());
  stream.reset();
  --connections_;
}

bool Server::local_origin(const HttpRequest& request) const {
  const auto host = request.headers.find("Host");
  if (!host || !is_loopback_host(*host)) return false;
  const auto origin = request.headers.find("Origin");
  return !origin || *origin == fmt::format("http://{}", *host);
}

Task<HttpResponse> Server::turn_away() { co_return error(503, "too many requests at once; try again"); }

Task<HttpResponse> Server::answer(HttpRequest request) {
  ++counters_.requests;
  if (!local_origin(request)) {
    ++counters_.refused_origin;
    co_return error(403,
                    fmt::format("only requests from this machine are served; ask for http://{}", local().to_string()));
  }
  const std::string path(request.path());
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  if (path == "/health" || path == kHandlePath) {
    if (!is_get) co_return error(405, fmt::format("{} is read with GET", path));
    if (path == "/health") co_return member(200, "status", "ok");
    co_return HttpResponse(200, json::encode(root_));
  }
  if (!is_post_path(path)) co_return error(404, fmt::format("there is nothing at {}", path));
  if (request.method != "POST") co_return error(405, fmt::format("{} takes an envelope with POST", path));
  co_return co_await answer_post(std::move(request));
}

Task<HttpResponse> Server::answer_post(HttpRequest request) {
  const std::string path(request.path());
  auto envelope = actor::Envelope::decode(as_bytes(request.body));
  if (!envelope) co_return error(400, envelope.error().to_string());
  if (path == kSendPath) {
    auto sent = co_await relay_.send(*std::move(envelope));
    if (!sent) co_return error(sent.error());
    co_return member(200, "message", "message sent");
  }
  if (path == kInvokePath) {
    auto reply = co_await relay_.invoke(*std::move(envelope));
    if (!reply) co_return error(reply.error());
    co_return HttpResponse(200, json::encode(*reply));
  }
  auto replies = co_await relay_.broadcast(*std::move(envelope));
  if (!replies) co_return error(replies.error());
  co_return HttpResponse(200, encode_replies(*replies));
}

}  // namespace dms::api
