// The Docker Engine API over its Unix socket: one connection per call, JSON in and out, errors that name the remedy.
//
// Threads: the Net's lane. Cancellation: any call; the engine may still have carried it out. Every call but stream()
// has a time limit, so an engine that hangs does not block the daemon. Failure: Errc::unsupported when no engine
// answers, not_found for 404, already_exists for 409, io for the rest, with the engine's own message. Specification:
// Docker Engine API; paths are unversioned, which every engine since 1.12 answers.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "encoding/json.hpp"
#include "http/http.hpp"

namespace dms::executor {

inline constexpr std::string_view kDockerSocket = "/var/run/docker.sock";

/// The socket path that DOCKER_HOST's value names; the default when it is empty. Only unix:// is supported.
Result<std::string> docker_socket(std::string_view docker_host);

class DockerApi {
 public:
  DockerApi(Net& net, std::string socket) : net_(net), socket_(std::move(socket)) {}

  /// The response's JSON; null when it has no body.
  Task<Result<json::Value>> call(std::string method, std::string path, std::string body = "", Duration limit = 120s);

  /// A streamed response. It is read while this object exists.
  struct Stream {
    std::unique_ptr<ByteStream> connection;
    std::unique_ptr<HttpClient> client;
    std::unique_ptr<HttpBody> body;
    Stream() = default;
    Stream(Stream&&) = default;
    Stream& operator=(Stream&&) = default;
    ~Stream() {
      body.reset();
      client.reset();
    }
  };
  Task<Result<Stream>> stream(std::string method, std::string path, std::string body = "");

  /// Called on the lane after each block: bytes sent, and of the whole file.
  using OnSent = std::function<void(std::uint64_t sent, std::uint64_t size)>;
  /// The response to a tar file that is sent.
  Task<Result<Stream>> upload(std::string path, std::filesystem::path file, OnSent on_sent);

  [[nodiscard]] const std::string& socket() const { return socket_; }

 private:
  Task<Result<Stream>> connect();
  Task<Result<Stream>> answer_to(Stream stream, HttpRequest request);
  Task<Result<json::Value>> call_unbounded(std::string method, std::string path, std::string body);
  [[nodiscard]] Error no_engine(const Error& cause) const;
  Net& net_;
  std::string socket_;
};

/// Members of the engine's replies. A member that is absent or of another kind is the empty value.
const json::Value* json_at(const json::Value& value, std::initializer_list<std::string_view> path);
std::string json_text(const json::Value& value, std::initializer_list<std::string_view> path);
std::int64_t json_int(const json::Value& value, std::initializer_list<std::string_view> path);
bool json_bool(const json::Value& value, std::initializer_list<std::string_view> path);

}  // namespace dms::executor
