#include "base/log.hpp"
#include "http/wire.hpp"
#include "runtime/nursery.hpp"

namespace dms {
using namespace http_detail;  // NOLINT(google-build-using-namespace): the parts of this module

namespace {

/// Reads ahead, also while a handler runs, to notice the end of the stream. A read is never cancelled before the
/// connection ends, since a cancelled read makes a stream unusable. At most one chunk waits here for the parser.
class ServerWire final : public Wire {
 public:
  using Wire::Wire;

  Task<void> read_ahead() {
    while (!ended_ && !error_) {
      while (arrived_.size() >= kReadChunk) {
        const Result<void> waited = co_await taken_.wait();
        if (!waited) co_return;
      }
      Result<std::size_t> got = co_await stream.read_some(chunk);
      if (!got)
        error_ = got.error();
      else if (*got == 0)
        ended_ = true;
      else
        arrived_.append(as_text(BytesView(chunk).first(*got)));
      change_.notify_all();
    }
    if (handler_ != nullptr) handler_->cancel();
  }

  Task<Result<bool>> fill() override {
    while (arrived_.empty() && !ended_ && !error_) CO_TRY_VOID(co_await change_.wait());
    if (arrived_.empty() && error_) co_return std::unexpected(*error_);
    if (arrived_.empty()) co_return false;
    pending += arrived_;
    arrived_.clear();
    taken_.notify_all();
    co_return true;
  }

  /// Calls the handler; cancels it when the client disconnects.
  Task<HttpResponse> call(const HttpHandler& handler, HttpRequest request) {
    const TaskContext context = co_await this_task();
    CancelScope scope(context.scope);
    if (ended_ || error_) scope.cancel();
    try {
      Task<HttpResponse> answering = handler(std::move(request));
      answering.set_context({context.lane, &scope});
      handler_ = &scope;
      HttpResponse response = co_await std::move(answering);
      handler_ = nullptr;
      co_return std::move(response);
    } catch (const std::exception& e) {
      handler_ = nullptr;
      log::error("http", "bug: a request handler threw: {}", e.what());
    }
    co_return HttpResponse(500, "internal error\n", "text/plain");
  }

 private:
  std::string arrived_;
  bool ended_ = false;
  std::optional<Error> error_;
  Notify change_;  // something arrived, or nothing more will
  Notify taken_;
  CancelScope* handler_ = nullptr;
};

/// One request, a refusal to be answered, or the orderly end of the connection.
struct Incoming {
  std::optional<HttpRequest> request;
  std::optional<HttpRefusal> refusal;
  bool keep_alive = false;
};

/// What a budget has granted for one body.
class BodyGrant {
 public:
  explicit BodyGrant(HttpBodyBudget* budget) : budget_(budget) {}
  BodyGrant(const BodyGrant&) = delete;
  BodyGrant& operator=(const BodyGrant&) = delete;
  ~BodyGrant() { keep_only(0); }

  [[nodiscard]] bool take(std::uint64_t bytes) {
    if (budget_ == nullptr || bytes == 0) return true;
    if (!budget_->take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }
  void keep_only(std::uint64_t bytes) {
    if (bytes_ <= bytes) return;
    budget_->give_back(bytes_ - bytes);
    bytes_ = bytes;
  }

 private:
  HttpBodyBudget* budget_;
  std::uint64_t bytes_ = 0;
};

/// A refusal, if there is no room for the body that follows this head.
std::optional<HttpRefusal> reserve_body(RequestParser& parser, const HttpLimits& limits, BodyGrant& grant) {
  const auto announced = parser.content_length();
  const std::uint64_t size = announced ? *announced : parser.chunked() ? limits.body_bytes : parser.body.size();
  if (!grant.take(size))
    return HttpRefusal{503, "the bodies of requests at this moment are too large; try again later"};
  if (announced) parser.body.reserve(size);  // growing would take up to three times as much
  return std::nullopt;
}

Task<Result<Incoming>> read_request(Wire& wire, const HttpLimits& limits, BodyGrant& grant) {
  RequestParser parser(limits);
  Incoming incoming;
  CO_TRY(Fed fed, co_await wire.feed(parser, [&] { return parser.is_header_done(); }));
  if (fed.ended && !parser.got_some()) co_return std::move(incoming);
  if (!fed.error) incoming.refusal = check_head(parser);
  if (!fed.error && !incoming.refusal) incoming.refusal = reserve_body(parser, limits, grant);
  if (!fed.error && !incoming.refusal && !parser.is_done()) {
    if (parser.headers.find("Expect"))
      CO_TRY_VOID(co_await wire.stream.write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n")));
    CO_TRY(fed, co_await wire.feed(parser, [&] { return parser.is_done(); }));
  }
  if (fed.error) incoming.refusal = refusal(fed.error);
  if (incoming.refusal) co_return std::move(incoming);
  incoming.keep_alive = parser.keep_alive();
  incoming.request = take_request(parser);
  grant.keep_only(incoming.request->body.size());
  co_return std::move(incoming);
}

Task<Result<void>> send_response(ByteStream& stream, HttpResponse response, bool head_only, bool keep_alive) {
  Result<std::string> text = serialise(response, head_only, keep_alive);
  if (!text) {
    log::error("http", "bug: a handler's response cannot be sent: {}", text.error().to_string());
    HttpResponse instead(500, "internal error\n", "text/plain");
    text = serialise(instead, head_only, keep_alive);
  }
  co_return co_await stream.write(as_bytes(*text));
}

/// Bytes that are there before a request begins end the idle wait.
Task<Result<bool>> wait_for_request(Wire& wire) {
  if (!wire.pending.empty()) co_return true;
  co_return co_await wire.fill();
}

Task<Result<void>> drain(Wire& wire, std::size_t limit) {
  for (std::size_t total = 0; total < limit; total += wire.pending.size()) {
    wire.pending.clear();
    CO_TRY(const bool more, co_await wire.fill());
    if (!more) break;
  }
  co_return Result<void>();
}

/// Ends a connection so that the last response arrives: closing with unread bytes would reset it, and a reset overtakes
/// what was sent before.
Task<Result<void>> finish(Wire& wire) {
  CO_TRY_VOID(co_await wire.stream.close_write());
  (void)co_await with_timeout(2s, drain(wire, 1024 * 1024));
  co_return Result<void>();
}

Task<Result<void>> serve_requests(ServerWire& wire, const HttpHandler& handler, const HttpLimits& limits,
                                  HttpBodyBudget* budget) {
  ByteStream& stream = wire.stream;
  for (;;) {
    Result<bool> there = co_await with_timeout(limits.idle, wait_for_request(wire));
    if (!there && there.error().is(Errc::deadline_exceeded)) co_return co_await finish(wire);
    if (!there) co_return std::unexpected(there.error());
    if (!*there) co_return co_await finish(wire);
    BodyGrant grant(budget);
    Result<Incoming> incoming = co_await with_timeout(limits.request, read_request(wire, limits, grant));
    if (!incoming && incoming.error().is(Errc::deadline_exceeded)) {
      incoming = Incoming();
      incoming->refusal = HttpRefusal{408, "the request did not arrive in time"};
    }
    if (!incoming) co_return std::unexpected(incoming.error());
    if (incoming->refusal) {
      HttpResponse refused(incoming->refusal->status, incoming->refusal->why + "\n", "text/plain");
      CO_TRY_VOID(co_await with_timeout(limits.request, send_response(stream, std::move(refused), false, false)));
      co_return co_await finish(wire);
    }
    if (!incoming->request) co_return co_await finish(wire);
    const bool head_only = incoming->request->method == "HEAD";
    const bool keep_alive = incoming->keep_alive;
    HttpResponse response = co_await wire.call(handler, std::move(*incoming->request));
    grant.keep_only(0);
    CO_TRY_VOID(
        co_await with_timeout(limits.request, send_response(stream, std::move(response), head_only, keep_alive)));
    if (!keep_alive) co_return co_await finish(wire);
  }
}

}  // namespace

Task<Result<void>> serve_http(ByteStream& stream, HttpHandler handler, HttpLimits limits, HttpBodyBudget* budget) {
  const TaskContext context = co_await this_task();
  ServerWire wire(stream);
  Nursery reader(*context.lane, "http", context.scope);
  reader.spawn(wire.read_ahead());
  Result<void> served = co_await serve_requests(wire, handler, limits, budget);
  co_await reader.close();
  co_return served;
}

}  // namespace dms
