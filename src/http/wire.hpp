// Inside `http`: Beast's parser over bytes as they arrive, and messages as text. client.cpp and server.cpp share it.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>

#include "http/http.hpp"

namespace dms::http_detail {
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

inline constexpr std::size_t kReadChunk = 16 * 1024;

bool same_name(std::string_view a, std::string_view b);

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
    // Beast asserts that it gets no less than a whole last chunk once it has read the
    // 0 of one. At least as many bytes follow any incomplete chunk head.
    if (needs_more_in_chunk_ && pending.size() < kLastChunk.size()) return {};
    error_code ec;
    std::size_t used = 0;
    while (used < pending.size() && !this->is_done() && !ec) {
      const std::size_t n = this->put(boost::asio::buffer(pending.data() + used, pending.size() - used), ec);
      used += n;
      if (n == 0) break;
    }
    pending.erase(0, used);
    const bool needs_more = ec == http::error::need_more;
    needs_more_in_chunk_ = needs_more && this->is_header_done();
    return needs_more ? error_code() : ec;
  }

  /// The stream has ended. Beast accepts that only after a byte.
  void end(error_code& ec) {
    if (this->got_some())
      this->put_eof(ec);
    else
      ec = http::error::end_of_stream;
  }

 private:
  using string_view = beast::string_view;
  static constexpr string_view kLastChunk = "0\r\n\r\n";
  bool needs_more_in_chunk_ = false;

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
HttpRefusal refusal(error_code ec);
/// What the parser accepts but this server does not serve.
std::optional<HttpRefusal> check_head(const RequestParser& parser);
HttpRequest take_request(RequestParser& parser);
Error response_error(error_code ec);

Result<std::string> serialise(HttpRequest& request, const std::string& host);
Result<std::string> serialise(HttpResponse& response, bool head_only, bool keep_alive);

struct Fed {
  error_code error;    // the message is broken
  bool ended = false;  // the stream ended
};

/// A stream and what has been read from it but belongs to no message yet.
struct Wire {
  explicit Wire(ByteStream& s) : stream(s), chunk(kReadChunk) {}
  virtual ~Wire() = default;

  ByteStream& stream;
  std::string pending;  // at most one chunk and the unparsed line before it
  Bytes chunk;

  /// False at the end of the stream.
  virtual Task<Result<bool>> fill() {
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
}  // namespace dms::http_detail
