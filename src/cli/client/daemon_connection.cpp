#include "cli/client/daemon_connection.hpp"

#include "api/settings.hpp"

namespace dms::cli {
namespace {

constexpr Duration kHandleTimeout = std::chrono::seconds(5);
constexpr Duration kAcceptTimeout = std::chrono::seconds(1);
constexpr Duration kAcceptPause = std::chrono::milliseconds(5);

std::string error_text(const HttpResponse& response) {
  const auto body = json::parse(response.body);
  if (body && body->is_object())
    if (const auto* text = json::find_member(body->as_object(), "error"); text != nullptr && text->is_string())
      return std::string(text->as_string());
  return fmt::format("status {} {}", response.status, http_reason(response.status));
}

std::string to_text(std::optional<UserId> user) { return user ? fmt::format("user {}", *user) : "an unknown user"; }

/// Whether the next address is to be tried.
bool is_absent(const Error& error) {
  return error.is(dms::Errc::not_found) || error.is(dms::Errc::permission_denied) ||
         error.is(dms::Errc::invalid_argument) || error.is(dms::Errc::unsupported);
}

}  // namespace

namespace {

/// The user of a TCP peer is known once the daemon has accepted the connection.
Task<Result<void>> check_peer(ByteStream& stream, const CheckPeer& check) {
  for (Duration waited{}; waited < kAcceptTimeout; waited += kAcceptPause) {
    const std::optional<UserId> user = stream.peer_user();
    Result<void> checked = check(user);
    if (checked || user) co_return checked;
    CO_TRY_VOID(co_await sleep_for(kAcceptPause));
  }
  co_return check(stream.peer_user());
}

}  // namespace

Task<Result<HttpResponse>> call_daemon(Net& net, DaemonAddress to, HttpRequest request, HttpLimits limits,
                                       CheckPeer check) {
  std::unique_ptr<ByteStream> stream;
  if (to.socket.empty()) {
    CO_TRY(Accepted connection, co_await net.connect_tcp(to.rest));
    stream = std::move(connection.stream);
  } else {
    CO_TRY(stream, co_await net.connect_unix(to.socket));
  }
  CO_TRY_VOID(co_await check_peer(*stream, check));
  const std::string host = to.socket.empty() ? to.rest.to_string() : "localhost";
  HttpClient client(*stream, host, limits);
  request.headers.set("Connection", "close");
  co_return co_await client.send(std::move(request));
}

std::string DaemonConnection::address() const {
  return target_.socket.empty() ? target_.rest.to_string() : target_.socket;
}

/// This user, or one that it trusts implicitly.
bool DaemonConnection::is_own(std::optional<UserId> user) const {
  const UserId own = environment_->user();
  const bool over_socket = !target_.socket.empty();
  return user && (*user == own || (over_socket ? own == 0 && *user == target_.folder_owner : *user == 0));
}

bool DaemonConnection::is_trusted(std::optional<UserId> user) const {
  return is_own(user) || target_.did_is_set || (target_.did && !user);
}

Result<void> DaemonConnection::check_user(std::optional<UserId> user) const {
  if (target_.socket.empty()) return check_port_user(user);
  const UserId own = environment_->user();
  if (is_own(user)) return {};
  return fail(Errc::failed, "{} is served by a process of {}, not of user {}; nothing was sent to it", target_.socket,
              to_text(user), own == 0 ? target_.folder_owner : own);
}

Result<void> DaemonConnection::check_port_user(std::optional<UserId> user) const {
  if (is_trusted(user)) return {};
  if (!user)
    return fail(
        Errc::failed,
        "which user runs the process at {} is not known, and neither is the daemon's DID: {}. The daemon prints its "
        "DID when it starts: `nunet config set rest.did DID`",
        address(), target_.did_source);
  if (handle_.empty()) return {};  // check_handle() decides, and names the DID
  return fail(Errc::failed, "the process at {} is another one than before, of {}; nothing was sent to it", address(),
              to_text(user));
}

Result<HttpResponse> DaemonConnection::exchange(HttpRequest request, Duration limit) {
  const CheckPeer check = [this](std::optional<UserId> user) {
    user_ = user;
    return check_user(user);
  };
  return environment_->call({target_.socket, target_.rest}, std::move(request), limit, check);
}

Result<HttpResponse> DaemonConnection::request_handle() {
  HttpRequest request("GET", std::string(api::kHandlePath));
  if (target_.socket.empty()) return exchange(std::move(request), kHandleTimeout);
  auto answer = exchange(request, kHandleTimeout);
  if (answer || !is_absent(answer.error())) return answer;
  target_.socket.clear();
  return exchange(std::move(request), kHandleTimeout);
}

Result<void> DaemonConnection::check_handle() const {
  const std::string name = handle_.did.uri();
  if (target_.did) {
    auto expected = actor::Handle::from(*target_.did, handle_.address.inbox);
    if (!expected) return fail(expected.error(), "the DID of {}", target_.did_source);
    if (handle_ != *expected && handle_.did == *target_.did)
      return fail(Errc::failed, "the daemon at {} claims to be {}, but its key or peer id is not of this DID",
                  address(), name);
    if (handle_ != *expected)
      return fail(Errc::failed,
                  "the daemon at {} is {}, but that of {} is {}; nothing was signed for it. If it is the right one: "
                  "`nunet config set rest.did {}`",
                  address(), name, target_.did_source, target_.did->uri(), name);
  }
  if (is_trusted(user_)) return {};
  return fail(Errc::failed,
              "the process at {} runs as {} and claims to be {}; whether it is your daemon is not known{}. If it is: "
              "`nunet config set rest.did {}`",
              address(), to_text(user_), name, target_.did ? "" : ": " + target_.did_source, name);
}

Result<DaemonConnection> DaemonConnection::open(Environment& environment, DaemonTarget target) {
  DaemonConnection connection(environment, std::move(target));
  TRY(const auto body, connection.body_of(connection.request_handle()));
  auto handle = json::decode<actor::Handle>(body);
  if (!handle) return fail(handle.error(), "reading the daemon's handle");
  connection.handle_ = *std::move(handle);
  TRY_VOID(connection.check_handle());
  return connection;
}

Result<std::string> DaemonConnection::body_of(Result<HttpResponse> response) const {
  if (!response) {
    const Error& error = response.error();
    if (error.is(dms::Errc::cancelled) || error.is(Errc::failed)) return std::unexpected(error);
    if (error.is(dms::Errc::deadline_exceeded))
      return fail(Errc::no_daemon, "the daemon at {} did not respond in time", address());
    return std::unexpected(error.context(
        Errc::no_daemon,
        fmt::format("no daemon answers at {}; start one with `nunet run`, or name its address with --rest-port",
                    address())));
  }
  if (response->status == 408)
    return fail(
        Errc::refused,
        "no reply in time: the destination is unreachable, has no such behaviour, or does not permit it to this caller "
        "(`nunet cap list` there shows its grants); --timeout sets a longer wait");
  if (!response->ok()) return fail(Errc::failed, "the daemon refused: {}", error_text(*response));
  return std::move(response->body);
}

Result<std::string> DaemonConnection::call(HttpRequest request, Duration limit) {
  return body_of(exchange(std::move(request), limit));
}

}  // namespace dms::cli
