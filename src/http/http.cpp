#include "http/http.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <limits>

#include "base/log.hpp"

namespace dms {
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadChunk = 16 * 1024;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

/// Collects a message while Beast's parser walks over its bytes.
template <bool isRequest>
class MessageParser final : public http::basic_parser<isRequest> {
 public:
  explicit MessageParser(const HttpLimits& limits) {
    this->eager(true);
    this->header_limit(limits.header_bytes);
    this->body_limit(limits.body_bytes);
  }

  std::string method;
  std::string target;
  int status = 0;
  HttpHeaders headers;
  std::string body;

  /// Consumes from the front of `pending`. Any error is final.
  error_code feed(std::string& pending) {
    // Beast takes for granted, with an assertion, that it is shown no less than a whole last chunk once it has seen the
    // 0 of one. Whoever has too little of a chunk's head gets at least as much in any case.
    if (starved_in_chunk_ && pending.size() < kLastChunk.size()) return {};
    error_code ec;
    std::size_t used = 0;
    while (used < pending.size() && !this->is_done() && !ec) {
      const std::size_t n = this->put(boost::asio::buffer(pending.data() + used, pending.size() - used), ec);
      used += n;
      if (n == 0) break;
    }
    pending.erase(0, used);
    const bool starved = ec == http::error::need_more;
    starved_in_chunk_ = starved && this->is_header_done();
    return starved ? error_code() : ec;
  }

  /// The stream has ended. Beast may only be told so once it has seen a byte.
  void end(error_code& ec) {
    if (this->got_some())
      this->put_eof(ec);
    else
      ec = http::error::end_of_stream;
  }

 private:
  using string_view = beast::string_view;
  static constexpr string_view kLastChunk = "0\r\n\r\n";
  bool starved_in_chunk_ = false;

  void on_request_impl(http::verb, string_view method_text, string_view target_text, int, error_code& ec) override {
    ec = {};
    method.assign(method_text.data(), method_text.size());
    target.assign(target_text.data(), target_text.size());
  }
  void on_response_impl(int code, string_view, int, error_code& ec) override {
    ec = {};
    status = code;
  }
  void on_field_impl(http::field, string_view name, string_view value, error_code& ec) override {
    ec = {};
    headers.add(std::string(name), std::string(value));
  }
  void on_header_impl(error_code& ec) override { ec = {}; }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code& ec) override { ec = {}; }
  std::size_t on_body_impl(string_view part, error_code& ec) override {
    ec = {};
    body.append(part.data(), part.size());
    return part.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code& ec) override { ec = {}; }
  std::size_t on_chunk_body_impl(std::uint64_t, string_view part, error_code& ec) override {
    return on_body_impl(part, ec);
  }
  void on_finish_impl(error_code& ec) override { ec = {}; }
};

using RequestParser = MessageParser<true>;
using ResponseParser = MessageParser<false>;

HttpRefusal refusal(error_code ec) {
  if (ec == http::error::header_limit) return {431, "the request head is too large"};
  if (ec == http::error::body_limit || ec == http::error::buffer_overflow)
    return {413, "the request body is too large"};
  if (ec == http::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  return {400, ec.message()};
}

/// What the parser lets pass but no request of ours may hold.
std::optional<HttpRefusal> check_head(const RequestParser& parser) {
  if (parser.headers.find("Transfer-Encoding") && !parser.chunked())
    return HttpRefusal{501, "the only transfer coding known here is chunked"};
  if (const auto expect = parser.headers.find("Expect"); expect && !same_name(*expect, "100-continue"))
    return HttpRefusal{417, "the only expectation known here is 100-continue"};
  return std::nullopt;
}

HttpRequest take_request(RequestParser& parser) {
  HttpRequest request;
  request.method = std::move(parser.method);
  request.target = std::move(parser.target);
  request.headers = std::move(parser.headers);
  request.body = std::move(parser.body);
  return request;
}

Error response_error(error_code ec) {
  const bool limit = ec == http::error::header_limit || ec == http::error::body_limit;
  return {limit ? Errc::limit_exceeded : Errc::invalid_argument, fmt::format("HTTP response: {}", ec.message())};
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c > 0x20 && c < 0x7f &&
           std::string_view("()<>@,;:\\\"/[]?={}").find(static_cast<char>(c)) == std::string_view::npos;
  });
}

/// Appends the fields. A line break in a value would let its author write headers, or a message, of his own.
Result<void> write_fields(std::string& out, const HttpHeaders& headers) {
  for (const auto& [name, value] : headers.fields()) {
    if (!is_token(name)) return fail(Errc::invalid_argument, "HTTP header name '{}' is not a token", name);
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      return fail(Errc::invalid_argument, "HTTP header {}: line breaks are not allowed in its value", name);
    out += fmt::format("{}: {}\r\n", name, value);
  }
  out += "\r\n";
  return {};
}

Result<std::string> serialise(HttpRequest& request, const std::string& host) {
  if (!is_token(request.method)) return fail(Errc::invalid_argument, "HTTP method '{}' is not a token", request.method);
  const bool printable =
      std::all_of(request.target.begin(), request.target.end(), [](unsigned char c) { return c > 0x20 && c != 0x7f; });
  if (request.target.empty() || !printable)
    return fail(Errc::invalid_argument, "HTTP target '{}': expected a percent-encoded path", request.target);
  if (!request.headers.find("Host")) request.headers.add("Host", host);
  if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD"))
    request.headers.set("Content-Length", std::to_string(request.body.size()));
  std::string out = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
  TRY_VOID(write_fields(out, request.headers));
  out += request.body;
  return out;
}

Result<std::string> serialise(HttpResponse& response, bool head_only, bool keep_alive) {
  const bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
  if (!bodiless) response.headers.set("Content-Length", std::to_string(response.body.size()));
  if (!keep_alive) response.headers.set("Connection", "close");
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", response.status, http_reason(response.status));
  TRY_VOID(write_fields(out, response.headers));
  if (!head_only && !bodiless) out += response.body;
  return out;
}

struct Fed {
  error_code error;    // the message is broken
  bool ended = false;  // the stream ended
};

/// A stream and what has been read from it but belongs to no message yet.
struct Wire {
  explicit Wire(ByteStream& s) : stream(s), chunk(kReadChunk) {}

  ByteStream& stream;
  std::string pending;  // at most one chunk and the unparsed line before it
  Bytes chunk;

  /// False at the end of the stream.
  Task<Result<bool>> fill() {
    CO_TRY(std::size_t got, co_await stream.read_some(chunk));
    pending.append(as_text(BytesView(chunk).first(got)));
    co_return got > 0;
  }

  /// Feeds the parser from the stream until `enough()`, an error, or the stream's end.
  template <bool isRequest, class Enough>
  Task<Result<Fed>> feed(MessageParser<isRequest>& parser, Enough enough) {
    Fed fed;
    for (;;) {
      if (!pending.empty()) fed.error = parser.feed(pending);
      if (fed.error || enough()) co_return fed;
      CO_TRY(const bool more, co_await fill());
      if (more) continue;
      fed.ended = true;
      // The end of the stream ends a response without a length; anything else is cut off by it.
      if (parser.got_some() || !pending.empty()) parser.end(fed.error);
      co_return fed;
    }
  }
};

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

std::optional<std::string_view> HttpHeaders::find(std::string_view name) const {
  for (const auto& [key, value] : fields_)
    if (same_name(key, name)) return value;
  return std::nullopt;
}

void HttpHeaders::set(std::string_view name, std::string value) {
  std::erase_if(fields_, [&](const auto& field) { return same_name(field.first, name); });
  fields_.emplace_back(std::string(name), std::move(value));
}

HttpRequest::HttpRequest(std::string m, std::string t, std::string b, std::string content_type)
    : method(std::move(m)), target(std::move(t)), body(std::move(b)) {
  if (!body.empty()) headers.add("Content-Type", std::move(content_type));
}

HttpResponse::HttpResponse(int code, std::string b, std::string content_type) : status(code), body(std::move(b)) {
  if (!body.empty()) headers.add("Content-Type", std::move(content_type));
}

std::string_view HttpRequest::path() const { return std::string_view(target).substr(0, target.find('?')); }

std::optional<std::string> HttpRequest::query(std::string_view name) const {
  const auto mark = target.find('?');
  if (mark == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(target).substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const auto eq = pair.find('=');
    const Result<std::string> key = url_decode(pair.substr(0, eq));
    if (!key || *key != name) continue;
    if (eq == std::string_view::npos) return std::string();
    std::string value(pair.substr(eq + 1));
    std::replace(value.begin(), value.end(), '+', ' ');
    Result<std::string> decoded = url_decode(value);
    if (decoded) return *std::move(decoded);
  }
  return std::nullopt;
}

std::string_view http_reason(int status) {
  const http::status known = http::int_to_status(static_cast<unsigned>(status));
  const auto text = http::obsolete_reason(known);
  return {text.data(), text.size()};
}

std::string url_encode(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain)
      out += static_cast<char>(c);
    else
      out += fmt::format("%{:02X}", c);
  }
  return out;
}

Result<std::string> url_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return fail(Errc::invalid_argument, "'{}': % must be followed by two hexadecimal digits", text);
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

// ---------------------------------------------------------------------------------------------------------- client

Task<Result<std::string>> HttpBody::read_all(std::uint64_t limit) {
  std::string all;
  Bytes chunk(kReadChunk);
  for (;;) {
    CO_TRY(std::size_t got, co_await read_some(chunk));
    if (got == 0) co_return std::move(all);
    if (all.size() + got > limit)
      co_return fail(Errc::limit_exceeded, "HTTP response: the body is larger than {} bytes", limit);
    all.append(as_text(BytesView(chunk).first(got)));
  }
}

struct HttpClient::Impl {
  Impl(ByteStream& stream, std::string h, HttpLimits l) : wire(stream), host(std::move(h)), limits(l) {}

  Wire wire;
  std::string host;
  HttpLimits limits;
  bool reusable = true;

  /// Sends the request and reads the response's head; the parser goes on with the body.
  Task<Result<std::unique_ptr<ResponseParser>>> exchange(HttpRequest request, HttpLimits bounds) {
    if (!reusable) co_return fail(Errc::closed, "HTTP: this connection to {} is used up; open another", host);
    CO_TRY(const std::string text, serialise(request, host));
    reusable = false;  // until the response has been read to its end
    CO_TRY_VOID(co_await wire.stream.write(as_bytes(text)));
    for (int interim = 0; interim <= 8; ++interim) {
      auto parser = std::make_unique<ResponseParser>(bounds);
      parser->skip(request.method == "HEAD");
      CO_TRY(const Fed fed, co_await wire.feed(*parser, [&] { return parser->is_header_done(); }));
      if (fed.error) co_return std::unexpected(response_error(fed.error));
      if (!parser->is_header_done())
        co_return fail(Errc::closed, "HTTP: {} closed the connection without an answer", host);
      if (parser->status >= 200 || parser->status == 101) co_return std::move(parser);
    }
    co_return fail(Errc::limit_exceeded, "HTTP: {} sends interim responses without end", host);
  }

  /// Waits for more of the body, or its end.
  Task<Result<void>> more(ResponseParser& parser) {
    CO_TRY(const Fed fed, co_await wire.feed(parser, [&] { return !parser.body.empty() || parser.is_done(); }));
    if (fed.error) co_return std::unexpected(response_error(fed.error));
    if (parser.is_done()) reusable = !fed.ended && parser.keep_alive();
    co_return Result<void>();
  }
};

namespace {
// Templated on the client's private part, which cannot be named here.
template <class Client>
class StreamedBody final : public HttpBody {
 public:
  StreamedBody(Client& client, std::unique_ptr<ResponseParser> parser) : client_(client), parser_(std::move(parser)) {
    status = parser_->status;
    headers = parser_->headers;
  }

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    if (taken_ == parser_->body.size()) {
      parser_->body.clear();
      taken_ = 0;
      CO_TRY_VOID(co_await client_.more(*parser_));
    }
    const std::size_t n = std::min(into.size(), parser_->body.size() - taken_);
    std::memcpy(into.data(), parser_->body.data() + taken_, n);
    taken_ += n;
    co_return n;
  }

 private:
  Client& client_;
  std::unique_ptr<ResponseParser> parser_;
  std::size_t taken_ = 0;
};
}  // namespace

HttpClient::HttpClient(ByteStream& stream, std::string host, HttpLimits limits)
    : impl_(std::make_unique<Impl>(stream, std::move(host), limits)) {}
HttpClient::~HttpClient() = default;
bool HttpClient::reusable() const { return impl_->reusable; }

Task<Result<std::unique_ptr<HttpBody>>> HttpClient::open(HttpRequest request) {
  HttpLimits limits = impl_->limits;
  limits.body_bytes = std::numeric_limits<std::uint64_t>::max();  // the reader bounds what it keeps
  CO_TRY(std::unique_ptr<ResponseParser> parser, co_await impl_->exchange(std::move(request), limits));
  std::unique_ptr<HttpBody> body = std::make_unique<StreamedBody<Impl>>(*impl_, std::move(parser));
  co_return std::move(body);
}

Task<Result<HttpResponse>> HttpClient::send(HttpRequest request) {
  CO_TRY(std::unique_ptr<HttpBody> body, co_await open(std::move(request)));
  HttpResponse response;
  CO_TRY(response.body, co_await body->read_all(impl_->limits.body_bytes));
  response.status = body->status;
  response.headers = std::move(body->headers);
  co_return std::move(response);
}

Task<Result<HttpResponse>> http_call(Net& net, IpEndpoint to, HttpRequest request, HttpLimits limits) {
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  HttpClient client(*connection.stream, to.to_string(), limits);
  request.headers.set("Connection", "close");
  co_return co_await client.send(std::move(request));
}

Result<HttpResponse> parse_http_response(BytesView bytes, const HttpLimits& limits) {
  ResponseParser parser(limits);
  std::string pending(as_text(bytes));
  error_code ec = parser.feed(pending);
  if (!ec && !parser.is_done()) parser.end(ec);
  if (ec) return std::unexpected(response_error(ec));
  HttpResponse response;
  response.status = parser.status;
  response.headers = std::move(parser.headers);
  response.body = std::move(parser.body);
  return response;
}

// ---------------------------------------------------------------------------------------------------------- server

namespace {

/// One request, a refusal to be answered, or the orderly end of the connection.
struct Incoming {
  std::optional<HttpRequest> request;
  std::optional<HttpRefusal> refusal;
  bool keep_alive = false;
};

Task<Result<Incoming>> read_request(Wire& wire, const HttpLimits& limits) {
  RequestParser parser(limits);
  Incoming incoming;
  CO_TRY(Fed fed, co_await wire.feed(parser, [&] { return parser.is_header_done(); }));
  if (fed.ended && !parser.got_some()) co_return std::move(incoming);
  if (!fed.error) incoming.refusal = check_head(parser);
  if (!fed.error && !incoming.refusal && !parser.is_done()) {
    if (parser.headers.find("Expect"))
      CO_TRY_VOID(co_await wire.stream.write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n")));
    CO_TRY(fed, co_await wire.feed(parser, [&] { return parser.is_done(); }));
  }
  if (fed.error) incoming.refusal = refusal(fed.error);
  if (incoming.refusal) co_return std::move(incoming);
  incoming.keep_alive = parser.keep_alive();
  incoming.request = take_request(parser);
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

Task<Result<void>> drain(ByteStream& stream, std::size_t limit) {
  Bytes dropped(kReadChunk);
  for (std::size_t total = 0; total < limit;) {
    CO_TRY(const std::size_t got, co_await stream.read_some(dropped));
    if (got == 0) break;
    total += got;
  }
  co_return Result<void>();
}

/// Ends a connection so that the last response arrives: closing with unread bytes would reset it, and a reset overtakes
/// what was sent before.
Task<Result<void>> finish(ByteStream& stream) {
  CO_TRY_VOID(co_await stream.close_write());
  (void)co_await with_timeout(2s, drain(stream, 1024 * 1024));
  co_return Result<void>();
}

Task<HttpResponse> call_handler(const HttpHandler& handler, HttpRequest request) {
  try {
    co_return co_await handler(std::move(request));
  } catch (const std::exception& e) {
    log::error("http", "bug: a request handler threw: {}", e.what());
  }
  co_return HttpResponse(500, "internal error\n", "text/plain");
}

}  // namespace

Task<Result<void>> serve_http(ByteStream& stream, HttpHandler handler, HttpLimits limits) {
  Wire wire(stream);
  for (;;) {
    Result<bool> there = co_await with_timeout(limits.idle, wait_for_request(wire));
    if (!there && there.error().is(Errc::deadline_exceeded)) co_return co_await finish(stream);
    if (!there) co_return std::unexpected(there.error());
    if (!*there) co_return co_await finish(stream);
    Result<Incoming> incoming = co_await with_timeout(limits.request, read_request(wire, limits));
    if (!incoming && incoming.error().is(Errc::deadline_exceeded)) {
      incoming = Incoming();
      incoming->refusal = HttpRefusal{408, "the request did not arrive in time"};
    }
    if (!incoming) co_return std::unexpected(incoming.error());
    if (incoming->refusal) {
      HttpResponse refused(incoming->refusal->status, incoming->refusal->why + "\n", "text/plain");
      CO_TRY_VOID(co_await with_timeout(limits.request, send_response(stream, std::move(refused), false, false)));
      co_return co_await finish(stream);
    }
    if (!incoming->request) co_return co_await finish(stream);
    const bool head_only = incoming->request->method == "HEAD";
    const bool keep_alive = incoming->keep_alive;
    HttpResponse response = co_await call_handler(handler, std::move(*incoming->request));
    CO_TRY_VOID(
        co_await with_timeout(limits.request, send_response(stream, std::move(response), head_only, keep_alive)));
    if (!keep_alive) co_return co_await finish(stream);
  }
}

std::expected<std::vector<HttpRequest>, HttpRefusal> parse_http_requests(BytesView bytes, const HttpLimits& limits) {
  std::vector<HttpRequest> requests;
  std::string pending(as_text(bytes));
  while (!pending.empty()) {
    RequestParser parser(limits);
    error_code ec = parser.feed(pending);
    if (!ec && !parser.is_done()) parser.end(ec);
    if (ec) return std::unexpected(refusal(ec));
    if (auto refused = check_head(parser)) return std::unexpected(*refused);
    if (!parser.is_done()) break;
    requests.push_back(take_request(parser));
  }
  return requests;
}

}  // namespace dms
