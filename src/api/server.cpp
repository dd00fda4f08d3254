#include "api/server.hpp"

#include <malloc.h>

#include <charconv>

#include "api/settings.hpp"
#include "base/log.hpp"

namespace dms::api {
namespace {

HttpResponse member(int status, std::string_view name, std::string_view text) {
  json::Writer writer;
  writer.begin_object().key(name).string(text).end_object();
  return {status, writer.take()};
}

HttpResponse error(int status, std::string_view text) { return member(status, "error", text); }

HttpResponse error(const Error& cause) {
  if (cause.is(Errc::deadline_exceeded)) return error(408, "request timeout");
  if (cause.is(Errc::already_exists)) return error(409, cause.to_string());
  const bool callers_fault = cause.code().module == describe(actor::Errc::malformed).module ||
                             cause.is(Errc::invalid_argument) || cause.code().module == "crypto" ||
                             cause.code().module == "did";
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

Route route_of(std::string_view path) {
  constexpr std::pair<std::string_view, Route> kRoutesByPath[] = {{"/health", Route::health},
                                                                  {kHandlePath, Route::handle},
                                                                  {kSendPath, Route::send},
                                                                  {kInvokePath, Route::invoke},
                                                                  {kBroadcastPath, Route::broadcast}};
  for (const auto& [known, route] : kRoutesByPath)
    if (known == path) return route;
  return path.starts_with(kFilePath) ? Route::file : Route::other;
}

std::string encode_replies(const std::vector<actor::Envelope>& replies) {
  return replies.empty() ? "null" : json::encode(replies);
}

}  // namespace

Server::Server(Runtime runtime, network::Network& network, actor::Handle root, Options options)
    : runtime_(runtime),
      root_(std::move(root)),
      options_(std::move(options)),
      relay_(runtime.lane, network, metrics_),
      quota_(options_.user, options_.quota),
      nursery_(runtime.lane, "api") {}

Result<void> Server::start() {
  if (!options_.socket.empty()) {
    if (auto local_socket = runtime_.net.listen_unix(options_.socket)) {
      unix_listener_ = *std::move(local_socket);
      nursery_.spawn(accept_all(*unix_listener_, true));
    } else {
      log::warn("api", "no Unix socket; the REST API serves at {} only: {}", options_.listen.to_string(),
                local_socket.error().to_string());
      options_.socket.clear();
    }
  }
  auto listener = runtime_.net.listen_tcp(options_.listen);
  if (listener) {
    listener_ = *std::move(listener);
    nursery_.spawn(accept_all(*listener_, false));
    return {};
  }
  const std::string why =
      fmt::format("the REST API at {}: choose another rest.port, or stop the process that listens there",
                  options_.listen.to_string());
  if (!unix_listener_) return fail(listener.error(), "{}", why);
  log::warn("api", "{}: {}; it serves at {} only", why, listener.error().to_string(), options_.socket);
  return {};
}

IpEndpoint Server::local() const { return listener_ ? listener_->local() : options_.listen; }

Task<void> Server::close() {
  if (listener_) listener_->close();
  if (unix_listener_) unix_listener_->close();
  co_await nursery_.close();
}

Task<void> Server::accept_all(Listener& listener, bool is_unix) {
  for (;;) {
    auto accepted = co_await listener.accept();
    if (accepted) {
      admit(*std::move(accepted), is_unix);
      continue;
    }
    if (accepted.error().is(Errc::closed) || nursery_.cancelled()) co_return;
    log::warn("api", "accepting a connection: {}", accepted.error().to_string());
    // Out of file descriptors, most likely: wait until some are free.
    const Result<void> slept = co_await sleep_for(100ms);
    if (!slept) co_return;
  }
}

void Server::admit(Accepted accepted, bool is_unix) {
  if (!is_unix && !accepted.remote.address.is_loopback()) {
    ++metrics_.refusals[Refusal::remote];
    log::warn("api", {{"remote", accepted.remote.to_string()}}, "refused a connection: only this machine is served");
    return;
  }
  Caller caller{accepted.stream->peer_user()};
  if (is_unix && !quota_.is_operator(caller.user)) {
    ++metrics_.refusals[Refusal::foreign_user];
    log::warn("api", {{"user", std::uint64_t{caller.user.value_or(~0U)}}},
              "refused a connection: the Unix socket serves the daemon's user and root");
    return;
  }
  const auto admission = quota_.connect(caller.user);
  if (admission == UserQuota::Admission::close) {
    ++metrics_.refusals[Refusal::closed];
    return;
  }
  caller.busy = admission == UserQuota::Admission::busy;
  metrics_.connections.add();
  nursery_.spawn(serve(std::move(accepted.stream), caller));
}

bool Server::Bodies::take(std::uint64_t bytes) {
  if (!server_.quota_.hold(user_, bytes)) {
    ++server_.metrics_.refusals[Refusal::bodies];
    return false;
  }
  server_.metrics_.held_bytes.add(static_cast<std::int64_t>(bytes));
  return true;
}

void Server::Bodies::give_back(std::uint64_t bytes) {
  server_.metrics_.held_bytes.sub(static_cast<std::int64_t>(bytes));
  if (server_.quota_.let_go(user_, bytes)) server_.trim();
}

void Server::trim() {
  const SteadyTime now = runtime_.lane.now();
  if (trimmed_ && now - *trimmed_ < kTrimPause) return;
  trimmed_ = now;
  ::malloc_trim(0);
}

Task<void> Server::serve(std::unique_ptr<ByteStream> stream, Caller caller) {
  HttpLimits limits;
  limits.body_bytes = options_.max_body;
  if (caller.busy) limits.idle = limits.request = 1s;
  HttpHandler handler = [this, caller](HttpRequest request) { return respond(std::move(request), caller); };
  Bodies bodies(*this, caller.user);
  auto served = co_await serve_http(*stream, std::move(handler), limits, &bodies);
  if (!served) log::debug("api", "a connection ended: {}", served.error().to_string());
  stream.reset();
  quota_.disconnect(caller.user);
  metrics_.connections.sub();
}

bool Server::local_origin(const HttpRequest& request) const {
  const auto host = request.headers.find("Host");
  if (!host || !is_loopback_host(*host)) return false;
  const auto origin = request.headers.find("Origin");
  return !origin || *origin == fmt::format("http://{}", *host);
}

Task<HttpResponse> Server::respond(HttpRequest request, Caller caller) {
  const Route route = route_of(request.path());
  metrics_.received_bytes.add(request.body.size());
  HttpResponse response = co_await answer(std::move(request), route, caller);
  ++metrics_.requests(route, response.status);
  metrics_.sent_bytes.add(response.body.size());
  co_return std::move(response);
}

Task<HttpResponse> Server::answer(HttpRequest request, Route route, Caller caller) {
  if (caller.busy) {
    ++metrics_.refusals[Refusal::busy];
    co_return error(503, "too many connections at once; try again");
  }
  // What a page takes is one of many envelopes: it is neither parsed nor verified.
  const std::size_t body = route == Route::file && has_file(request.path()) ? 0 : request.body.size();
  if (!quota_.charge(caller.user, runtime_.lane.now(), body)) {
    ++metrics_.refusals[Refusal::rate];
    co_return error(429, "too many requests from this user; try again later");
  }
  if (!local_origin(request)) {
    ++metrics_.refusals[Refusal::origin];
    co_return error(403, fmt::format("only requests from this machine are served; use http://{}", local().to_string()));
  }
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  const std::string path(request.path());
  switch (route) {
    case Route::other: co_return error(404, fmt::format("unknown path {}", path));
    case Route::health:
      if (is_get) co_return member(200, "status", "ok");
      break;
    case Route::handle:
      if (is_get) co_return HttpResponse(200, json::encode(root_));
      break;
    case Route::file: co_return co_await answer_file(std::move(request));
    default:
      if (request.method != "POST") co_return error(405, fmt::format("{}: post an envelope", path));
      co_return co_await answer_post(std::move(request), route, caller);
  }
  co_return error(405, fmt::format("{}: use GET", path));
}

bool Server::has_file(std::string_view path) const {
  return options_.pages != nullptr && options_.pages->knows(path.substr(kFilePath.size()));
}

Task<HttpResponse> Server::answer_file(HttpRequest request) {
  if (!has_file(request.path())) co_return error(404, "no file is open under this ticket; repeat the command");
  std::string ticket(request.path().substr(kFilePath.size()));
  const auto text = request.query("offset");
  std::uint64_t offset = 0;
  const auto [end, bad] = text ? std::from_chars(text->data(), text->data() + text->size(), offset)
                               : std::from_chars_result{nullptr, std::errc::invalid_argument};
  if (bad != std::errc() || end != text->data() + text->size())
    co_return error(400, "offset: expected a number of bytes");
  if (request.method == "POST") {
    Bytes page = to_bytes(request.body);
    const Result<std::uint64_t> next = co_await options_.pages->write(std::move(ticket), offset, std::move(page));
    if (!next) co_return error(next.error().is(Errc::not_found) ? 404 : 409, next.error().to_string());
    json::Writer writer;
    writer.begin_object().key("offset").unsigned_integer(*next).end_object();
    co_return HttpResponse(200, writer.take());
  }
  if (request.method != "GET") co_return error(405, "use GET or POST");
  const Result<Bytes> page = co_await options_.pages->read(std::move(ticket), offset);
  if (!page) co_return error(page.error().is(Errc::not_found) ? 404 : 409, page.error().to_string());
  co_return HttpResponse(200, std::string(as_text(*page)), "application/octet-stream");
}

Task<HttpResponse> Server::answer_post(HttpRequest request, Route route, Caller caller) {
  auto envelope = actor::Envelope::decode(as_bytes(request.body));
  if (!envelope) co_return error(400, envelope.error().to_string());
  const bool named_as_caller = envelope->from.address.inbox.starts_with(kCallerInbox);
  if (route != Route::send && !named_as_caller && !quota_.is_operator(caller.user))
    co_return error(403, fmt::format("from.addr.inbox: expected {}<number>; other inboxes are for the daemon's user",
                                     kCallerInbox));
  const NoInbox no_inbox = quota_.is_operator(caller.user) ? NoInbox::reported : NoInbox::hidden;
  if (route == Route::send) {
    auto sent = co_await relay_.send(*std::move(envelope), no_inbox);
    if (!sent) co_return error(sent.error());
    co_return member(200, "message", "message sent");
  }
  if (route == Route::invoke) {
    auto reply = co_await relay_.invoke(*std::move(envelope), no_inbox);
    if (!reply) co_return error(reply.error());
    co_return HttpResponse(200, json::encode(*reply));
  }
  auto replies = co_await relay_.broadcast(*std::move(envelope));
  if (!replies) co_return error(replies.error());
  co_return HttpResponse(200, encode_replies(*replies));
}

}  // namespace dms::api
