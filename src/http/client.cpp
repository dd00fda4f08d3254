#include <limits>

#include "http/wire.hpp"

namespace dms {
using namespace http_detail;  // NOLINT(google-build-using-namespace): the parts of this module

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
    if (!reusable) co_return fail(Errc::closed, "HTTP: this connection to {} cannot be used again; open another", host);
    CO_TRY(const std::string text, serialise(request, host));
    reusable = false;  // until the response has been read to its end
    CO_TRY_VOID(co_await wire.stream.write(as_bytes(text)));
    for (int interim = 0; interim <= 8; ++interim) {
      auto parser = std::make_unique<ResponseParser>(bounds);
      parser->skip(request.method == "HEAD");
      CO_TRY(const Fed fed, co_await wire.feed(*parser, [&] { return parser->is_header_done(); }));
      if (fed.error) co_return std::unexpected(response_error(fed.error));
      if (!parser->is_header_done())
        co_return fail(Errc::closed, "HTTP: {} closed the connection without a response", host);
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
// A template on HttpClient::Impl, which is private.
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
}  // namespace dms
