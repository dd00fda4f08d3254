#include "http/http.hpp"

#include "http/wire.hpp"

namespace dms {
namespace http_detail {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c > 0x20 && c < 0x7f &&
           std::string_view("()<>@,;:\\\"/[]?={}").find(static_cast<char>(c)) == std::string_view::npos;
  });
}

/// Appends the fields. A line break in a value would let its author add headers, or another message.
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

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}
HttpRefusal refusal(error_code ec) {
  if (ec == http::error::header_limit) return {431, "the request head is too large"};
  if (ec == http::error::body_limit || ec == http::error::buffer_overflow)
    return {413, "the request body is too large"};
  if (ec == http::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are supported"};
  return {400, ec.message()};
}

std::optional<HttpRefusal> check_head(const RequestParser& parser) {
  if (parser.headers.find("Transfer-Encoding") && !parser.chunked())
    return HttpRefusal{501, "the only supported transfer coding is chunked"};
  if (const auto expect = parser.headers.find("Expect"); expect && !same_name(*expect, "100-continue"))
    return HttpRefusal{417, "the only supported expectation is 100-continue"};
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
}  // namespace http_detail

using namespace http_detail;  // NOLINT(google-build-using-namespace): the parts of this module

namespace {

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
