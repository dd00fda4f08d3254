// HTTP/1.1 over a ByteStream: the protocol of the local REST API, the command line and the Docker client.
//
// Model
//  1. Messages are values: a head and a whole body, both bounded by HttpLimits. Only HttpClient::open() leaves the body
//     on the stream, for bodies without end (container logs, pulls); its reader bounds what it keeps.
//  2. Bodies travel with Content-Length or chunked; a response without either ends with the stream.
//  3. A connection carries one exchange after another (keep-alive). The client does not pipeline; the server answers
//     pipelined requests in order.
//  4. The server reads ahead while a handler runs. When the client closes the connection, or its writing half, the
//     handler is cancelled (task.hpp); what it returns is still sent. A client that has pipelined more than 16 KiB is
//     not watched until its handler has finished.
//  5. No redirects, no compression, no TLS: connections are local.
//
// Threads and cancellation: all on the stream's lane. A cancelled or failed call leaves the connection fit only for
// abort(). Failure: Errc::invalid_argument for a malformed message, limit_exceeded for one that is too large, closed
// when the peer closes, and whatever the stream reports. Specification: RFC 9110 and RFC 9112.
//
// Attacks: endless heads or bodies (431, 413, connection closed), slow ones (408 at the deadline), two lengths or both
// framings in one message to smuggle a second (refused by the parser, 400, connection closed), line breaks in header
// values (refused when written), requests that are abandoned (4), many bodies of which the
// last byte does not come (HttpBodyBudget). A connection holds at most one head, one body and two
// chunks of 16 KiB in memory.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/stream.hpp"

namespace dms {

/// Header fields in order; names compare without case.
class HttpHeaders {
 public:
  /// The first value of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  /// Replaces every field of that name.
  void set(std::string_view name, std::string value);
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query as sent, still percent-encoded
  HttpHeaders headers;
  std::string body;

  HttpRequest() = default;
  HttpRequest(std::string method, std::string target, std::string body = {},
              std::string content_type = "application/json");

  [[nodiscard]] std::string_view path() const;  // the target without its query
  /// The decoded value of a query parameter; empty when it has no value.
  [[nodiscard]] std::optional<std::string> query(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;

  HttpResponse() = default;
  HttpResponse(int status, std::string body, std::string content_type = "application/json");

  [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
};

/// The reason phrase of a status: "Not Found".
std::string_view http_reason(int status);
/// Percent-encodes everything but RFC 3986's unreserved characters.
std::string url_encode(std::string_view text);
/// Errc::invalid_argument on a broken escape.
Result<std::string> url_decode(std::string_view text);

struct HttpLimits {
  std::uint32_t header_bytes = 16 * 1024;
  std::uint64_t body_bytes = 16 * 1024 * 1024;
  /// Server: between two requests of a kept connection, and for one request to arrive whole.
  Duration idle = std::chrono::seconds(60);
  Duration request = std::chrono::seconds(30);
};

/// A response whose body is still arriving. Valid while its client and the stream live.
class HttpBody {
 public:
  virtual ~HttpBody() = default;
  int status = 0;
  HttpHeaders headers;
  /// At least one byte of the decoded body, or 0 at its end.
  virtual Task<Result<std::size_t>> read_some(MutableBytes into) = 0;
  /// The rest of the body; Errc::limit_exceeded if there is more than `limit`.
  Task<Result<std::string>> read_all(std::uint64_t limit);
};

class HttpClient {
 public:
  /// `host` fills the Host header. The stream outlives the client.
  HttpClient(ByteStream& stream, std::string host, HttpLimits limits = {});
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  /// Sends and waits for the whole response.
  Task<Result<HttpResponse>> send(HttpRequest request);
  /// Sends and waits for the head only. Read the body to its end before the next request.
  Task<Result<std::unique_ptr<HttpBody>>> open(HttpRequest request);
  /// True while another request may follow on this connection.
  [[nodiscard]] bool reusable() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Connects, sends one request, returns the response. `host` names the endpoint in errors and in the Host header.
Task<Result<HttpResponse>> http_call(Net& net, IpEndpoint to, HttpRequest request, HttpLimits limits = HttpLimits());

/// Bytes of request bodies that a server holds. What is taken is given back once the handler has returned or the
/// connection has ended; once a body is there, so is what was taken beyond its size.
class HttpBodyBudget {
 public:
  virtual ~HttpBodyBudget() = default;
  /// False if there is no room for as many bytes now.
  virtual bool take(std::uint64_t bytes) = 0;
  virtual void give_back(std::uint64_t bytes) = 0;
};

using HttpHandler = std::function<Task<HttpResponse>(HttpRequest)>;

/// Answers requests until the client closes, asks to close, or violates the protocol; the handler is called for each in
/// turn. Malformed requests are answered here: 400, 408, 413, 417, 431, 501 or 505. Success when the connection ended
/// in order. The response to a HEAD request has no body.
/// The budget, if any, is asked before a body is read: for its Content-Length, or for HttpLimits::body_bytes if it is
/// chunked. What it refuses is answered 503, and the connection ends.
Task<Result<void>> serve_http(ByteStream& stream, HttpHandler handler, HttpLimits limits = HttpLimits(),
                              HttpBodyBudget* budget = nullptr);

/// The parser of serve_http on bytes in memory, for fuzzing and tests: the requests in them, or the status and text
/// with which they would be refused.
struct HttpRefusal {
  int status = 400;
  std::string why;
};
std::expected<std::vector<HttpRequest>, HttpRefusal> parse_http_requests(BytesView bytes,
                                                                         const HttpLimits& limits = {});
/// The one response in `bytes`; without a length it extends to their end.
Result<HttpResponse> parse_http_response(BytesView bytes, const HttpLimits& limits = {});

}  // namespace dms
