#include "redis.hpp"

#include <netdb.h>

#include <charconv>

namespace dms::interop {
namespace {

constexpr int kMaxDepth = 2;

Result<std::int64_t> parse_size(std::string_view text) {
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Errc::invalid_argument, "redis: '{}': expected a number", text);
  return size;
}

}  // namespace

Result<IpEndpoint> resolve(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return fail(Errc::invalid_argument, "'{}': expected host:port", address);
  TRY(const std::int64_t port, parse_size(std::string_view(address).substr(colon + 1)));
  if (port < 1 || port > 65535) return fail(Errc::invalid_argument, "'{}': no such port", address);
  const std::string host = address.substr(0, colon);
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
    return fail(Errc::not_found, "looking up {}: {}", host, ::gai_strerror(error));
  sockaddr_in first{};
  std::memcpy(&first, found->ai_addr, sizeof first);
  ::freeaddrinfo(found);
  std::array<std::uint8_t, 4> bytes{};
  std::memcpy(bytes.data(), &first.sin_addr, bytes.size());
  return IpEndpoint{IpAddress::v4(bytes), static_cast<std::uint16_t>(port)};
}

Task<Result<std::unique_ptr<Redis>>> Redis::connect(Net& net, IpEndpoint at) {
  CO_TRY(Accepted connected, co_await net.connect_tcp(at));
  co_return std::make_unique<Redis>(std::move(connected.stream));
}

Task<Result<void>> Redis::set(std::string key, std::string value) {
  std::vector<std::string> words{"SET", std::move(key), std::move(value)};
  CO_TRY(auto reply, co_await command(std::move(words)));
  (void)reply;
  co_return Result<void>();
}

Task<Result<std::optional<std::string>>> Redis::get(std::string key) {
  std::vector<std::string> words{"GET", std::move(key)};
  co_return co_await command(std::move(words));
}

Task<Result<void>> Redis::push(std::string key, std::string value) {
  std::vector<std::string> words{"RPUSH", std::move(key), std::move(value)};
  CO_TRY(auto reply, co_await command(std::move(words)));
  (void)reply;
  co_return Result<void>();
}

Task<Result<std::string>> Redis::pop(std::string key) {
  std::vector<std::string> words{"BLPOP", std::move(key), "0"};
  CO_TRY(auto value, co_await command(std::move(words)));
  if (!value) co_return fail(Errc::io, "redis BLPOP: no element");
  co_return *std::move(value);
}

Task<Result<std::optional<std::string>>> Redis::command(std::vector<std::string> words) {
  std::string text = fmt::format("*{}\r\n", words.size());
  for (const std::string& word : words) text += fmt::format("${}\r\n{}\r\n", word.size(), word);
  CO_TRY_VOID(co_await stream_->write(as_bytes(text)));
  auto reply = co_await read_reply(0);
  if (!reply) co_return fail(reply.error(), "redis {}", words.front());
  co_return std::move(reply);
}

Task<Result<std::string>> Redis::read_line() {
  std::string line;
  std::array<std::uint8_t, 1> byte{};
  while (line.size() < kMaxReply) {
    CO_TRY_VOID(co_await read_exactly(*stream_, byte));
    if (byte[0] != '\n') {
      line += static_cast<char>(byte[0]);
      continue;
    }
    if (line.empty() || line.back() != '\r') break;
    line.pop_back();
    co_return std::move(line);
  }
  co_return fail(Errc::invalid_argument, "redis: an unterminated line");
}

Task<Result<std::optional<std::string>>> Redis::read_bulk(std::size_t size) {
  Bytes body(size + 2);
  CO_TRY_VOID(co_await read_exactly(*stream_, body));
  std::optional<std::string> value(as_text(body).substr(0, size));
  co_return std::move(value);
}

Task<Result<std::optional<std::string>>> Redis::read_reply(int depth) {
  CO_TRY(const std::string line, co_await read_line());
  const std::string rest = line.empty() ? "" : line.substr(1);
  const char kind = line.empty() ? '?' : line[0];
  if (kind == '+' || kind == ':') co_return std::optional(rest);
  if (kind == '-') co_return fail(Errc::io, "redis error: {}", rest);
  if (kind != '$' && kind != '*') co_return fail(Errc::invalid_argument, "unexpected reply '{}'", line);
  CO_TRY(const std::int64_t size, parse_size(rest));
  std::optional<std::string> value;
  if (size < 0) co_return std::move(value);
  if (size > static_cast<std::int64_t>(kMaxReply) || depth == kMaxDepth)
    co_return fail(Errc::limit_exceeded, "a reply of {} exceeds the limit", size);
  if (kind == '$') co_return co_await read_bulk(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) {
    CO_TRY(value, co_await read_reply(depth + 1));
  }
  co_return std::move(value);
}

}  // namespace dms::interop
