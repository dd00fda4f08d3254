#include "executor/docker/docker_api.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "executor/sent_stream.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

Result<std::string> docker_socket(std::string_view docker_host) {
  if (docker_host.empty()) return std::string(kDockerSocket);
  constexpr std::string_view kScheme = "unix://";
  if (!docker_host.starts_with(kScheme) || docker_host.size() == kScheme.size())
    return fail(Errc::unsupported, "DOCKER_HOST '{}': expected unix:///path; remote engines are not supported",
                docker_host);
  return std::string(docker_host.substr(kScheme.size()));
}

Error DockerApi::no_engine(const Error& cause) const {
  std::string what = fmt::format("the Docker engine does not answer on {}: start it or use executor sandbox", socket_);
  // That there is no socket is not what an engine says of a container.
  if (cause.is(Errc::not_found)) return {Errc::unsupported, fmt::format("{}: {}", what, cause.to_string())};
  return cause.context(Errc::unsupported, std::move(what));
}

namespace {
Error engine_error(int status, std::string_view what, std::string_view body) {
  std::string message(body.substr(0, 500));
  if (const Result<json::Value> parsed = json::parse(body)) {
    if (std::string words = json_text(*parsed, {"message"}); !words.empty()) message = std::move(words);
  }
  Errc code = Errc::io;
  if (status == 404) code = Errc::not_found;
  if (status == 409) code = Errc::already_exists;
  if (status == 400) code = Errc::invalid_argument;
  return {code, fmt::format("Docker engine: {}: {} ({})", what, message, status)};
}
}  // namespace

Task<Result<DockerApi::Stream>> DockerApi::connect() {
  Stream stream;
  Result<std::unique_ptr<ByteStream>> connection = co_await net_.connect_unix(socket_);
  if (!connection) co_return std::unexpected(no_engine(connection.error()));
  stream.connection = *std::move(connection);
  co_return std::move(stream);
}

Task<Result<DockerApi::Stream>> DockerApi::stream(std::string method, std::string path, std::string body) {
  CO_TRY(Stream stream, co_await connect());
  HttpRequest request(std::move(method), std::move(path), std::move(body));
  co_return co_await answer_to(std::move(stream), std::move(request));
}

Task<Result<DockerApi::Stream>> DockerApi::answer_to(Stream stream, HttpRequest request) {
  const std::string what = fmt::format("{} {}", request.method, request.target);
  stream.client = std::make_unique<HttpClient>(*stream.connection, "docker");
  request.headers.set("Connection", "close");
  Result<std::unique_ptr<HttpBody>> answer = co_await stream.client->open(std::move(request));
  if (!answer && (answer.error().is(Errc::closed) || answer.error().is(Errc::io)))
    co_return std::unexpected(no_engine(answer.error()));
  if (!answer) co_return std::unexpected(answer.error());
  stream.body = *std::move(answer);
  // 304: already in the requested state.
  if (stream.body->status / 100 != 2 && stream.body->status != 304) {
    CO_TRY(const std::string words, co_await stream.body->read_all(64 * 1024));
    co_return std::unexpected(engine_error(stream.body->status, what, words));
  }
  co_return std::move(stream);
}

namespace {

Task<Result<void>> send_file(ByteStream& to, Fd file, std::uint64_t size, std::string path,
                             const DockerApi::OnSent& on_sent) {
  const std::string head = fmt::format(
      "POST {} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/x-tar\r\nContent-Length: "
      "{}\r\n\r\n",
      path, size);
  CO_TRY_VOID(co_await to.write(as_bytes(head)));
  Bytes block(1024 * 1024);
  for (std::uint64_t sent = 0; sent < size;) {
    auto reading = [&] { return ::pread(file.get(), block.data(), block.size(), static_cast<off_t>(sent)); };
    const ssize_t got = co_await offload(reading);
    if (got <= 0)
      co_return fail(Errc::io, "read the file that is sent: {}", got < 0 ? std::strerror(errno) : "it ends");
    const BytesView part = BytesView(block).first(static_cast<std::size_t>(got));
    CO_TRY_VOID(co_await to.write(part));
    sent += static_cast<std::uint64_t>(got);
    if (on_sent) on_sent(std::min(sent, size), size);
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<DockerApi::Stream>> DockerApi::upload(std::string path, std::filesystem::path file, OnSent on_sent) {
  Fd fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0)
    co_return fail(Errc::io, "open {}: {}", file.string(), std::strerror(errno));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  CO_TRY(Stream stream, co_await connect());
  // An engine that refuses it need not read it to the end: its answer says why.
  const Result<void> sent = co_await send_file(*stream.connection, std::move(fd), size, path, on_sent);
  if (!sent && sent.error().is(Errc::cancelled)) co_return std::unexpected(sent.error());
  stream.connection = std::make_unique<SentStream>(std::move(stream.connection));
  HttpRequest request("POST", std::move(path));
  Result<Stream> answer = co_await answer_to(std::move(stream), std::move(request));
  if (!answer && !sent) co_return std::unexpected(sent.error());
  co_return std::move(answer);
}

Task<Result<json::Value>> DockerApi::call_unbounded(std::string method, std::string path, std::string body) {
  CO_TRY(Stream answer, co_await stream(std::move(method), std::move(path), std::move(body)));
  CO_TRY(const std::string text, co_await answer.body->read_all(4 * 1024 * 1024));
  if (text.empty()) co_return json::Value();
  Result<json::Value> parsed = json::parse(text);
  if (!parsed && text.size() < 64) parsed = json::Value(boost::json::string(text));  // _ping answers a plain "OK"
  co_return std::move(parsed);
}

Task<Result<json::Value>> DockerApi::call(std::string method, std::string path, std::string body, Duration limit) {
  const std::string what = method + " " + path;
  Result<json::Value> answer =
      co_await with_timeout(limit, call_unbounded(std::move(method), std::move(path), std::move(body)));
  if (!answer && answer.error().is(Errc::deadline_exceeded))
    co_return fail(answer.error(), "the Docker engine on {} did not answer {} in time", socket_, what);
  co_return std::move(answer);
}

const json::Value* json_at(const json::Value& value, std::initializer_list<std::string_view> path) {
  const json::Value* at = &value;
  for (const std::string_view name : path) {
    const json::Object* object = at->if_object();
    at = object == nullptr ? nullptr : object->if_contains(name);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string json_text(const json::Value& value, std::initializer_list<std::string_view> path) {
  const json::Value* at = json_at(value, path);
  const boost::json::string* text = at == nullptr ? nullptr : at->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

std::int64_t json_int(const json::Value& value, std::initializer_list<std::string_view> path) {
  const json::Value* at = json_at(value, path);
  if (at == nullptr || !at->is_number()) return 0;
  if (const auto* number = at->if_int64()) return *number;
  if (const auto* number = at->if_uint64()) return static_cast<std::int64_t>(*number);
  const double number = at->get_double();
  return number > -9e18 && number < 9e18 ? static_cast<std::int64_t>(number) : 0;
}

bool json_bool(const json::Value& value, std::initializer_list<std::string_view> path) {
  const json::Value* at = json_at(value, path);
  const bool* flag = at == nullptr ? nullptr : at->if_bool();
  return flag != nullptr && *flag;
}

}  // namespace dms::executor
