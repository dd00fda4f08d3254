#include "runtime/real_net.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <charconv>

#include "runtime/name_lookup.hpp"
#include "runtime/socket_user.hpp"

namespace dms {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

Error io_error(error_code ec, std::string what) {
  if (ec == asio::error::eof || ec == asio::error::connection_reset || ec == asio::error::broken_pipe ||
      ec == asio::error::operation_aborted || ec == asio::error::bad_descriptor)
    return {Errc::closed, fmt::format("{}: {}", what, ec.message())};
  if (ec == asio::error::address_in_use) return {Errc::already_exists, fmt::format("{}: {}", what, ec.message())};
  if (ec == boost::system::errc::address_not_available)
    return {Errc::not_found, fmt::format("{}: {}", what, ec.message())};
  return {Errc::io, fmt::format("{}: {}", what, ec.message())};
}

/// Waits for one asynchronous operation: `start(handler)` begins it, `abort()` makes it end soon.
template <class Start, class Abort>
Task<Result<std::size_t>> await_io(std::string_view what, Start start, Abort abort) {
  bool done = false;
  error_code outcome;
  std::size_t count = 0;
  Notify finished;
  start([&](error_code ec, std::size_t n = 0) {
    outcome = ec;
    count = n;
    done = true;
    finished.notify_all();
  });
  while (!done) {
    Result<void> waited = co_await finished.wait();
    if (!waited && !done) {
      abort();
      while (!done) (void)co_await finished.wait_shielded();
      co_return std::unexpected(waited.error());
    }
  }
  if (outcome) co_return std::unexpected(io_error(outcome, std::string(what)));
  co_return count;
}

template <class Protocol>
class SocketStream final : public ByteStream {
 public:
  using Socket = typename Protocol::socket;
  explicit SocketStream(Socket socket) : socket_(std::move(socket)) {}

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    // Data that has arrived is read at once; an empty socket costs a turn of the event loop, and so does a peer that
    // is as fast as this.
    if (at_once_ >= kMostAtOnce) CO_TRY_VOID(co_await give_way());
    error_code ec;
    if (const std::size_t got = socket_.read_some(asio::buffer(into.data(), into.size()), ec); got > 0) {
      at_once_ += std::max(got, kLeastRead);
      co_return got;
    }
    if (ec == asio::error::eof) co_return std::size_t{0};
    if (ec && ec != asio::error::would_block) co_return std::unexpected(io_error(ec, "read"));
    Result<std::size_t> got = co_await await_io(
        "read", [&](auto handler) { socket_.async_wait(Socket::wait_read, std::move(handler)); }, [&] { cancel(); });
    if (!got) co_return std::unexpected(got.error());
    at_once_ = 0;
    const std::size_t n = socket_.read_some(asio::buffer(into.data(), into.size()), ec);
    if (ec == asio::error::eof) co_return std::size_t{0};
    if (ec == asio::error::would_block) co_return co_await read_some(into);
    if (ec) co_return std::unexpected(io_error(ec, "read"));
    co_return n;
  }

  Task<Result<void>> write(BytesView from) override {
    error_code ec;
    const std::size_t sent = socket_.write_some(asio::buffer(from.data(), from.size()), ec);
    if (ec && ec != asio::error::would_block) co_return std::unexpected(io_error(ec, "write"));
    if (!ec) from = from.subspan(sent);
    if (from.empty()) co_return Result<void>();
    Result<std::size_t> rest = co_await await_io(
        "write",
        [&](auto handler) { asio::async_write(socket_, asio::buffer(from.data(), from.size()), std::move(handler)); },
        [&] { cancel(); });
    if (!rest) co_return std::unexpected(rest.error());
    co_return Result<void>();
  }

  Task<Result<void>> close_write() override {
    error_code ec;
    socket_.shutdown(Socket::shutdown_send, ec);
    if (ec) co_return std::unexpected(io_error(ec, "shutdown"));
    co_return Result<void>();
  }

  void abort() override {
    error_code ignored;
    socket_.close(ignored);
  }
  [[nodiscard]] std::optional<UserId> peer_user() override { return socket_peer_user(socket_.native_handle()); }

 private:
  /// What is read between two turns of the event loop; a short read counts as kLeastRead.
  static constexpr std::size_t kMostAtOnce = std::size_t{1} << 20;
  static constexpr std::size_t kLeastRead = kMostAtOnce / 16;

  /// Timers, other sockets and other tasks have their turn.
  Task<Result<void>> give_way() {
    at_once_ = 0;
    const auto start = [this](auto handler) {
      asio::post(socket_.get_executor(), [handler]() mutable { handler(error_code(), 0); });
    };
    Task<Result<std::size_t>> turn = await_io("read", start, [] {});
    const Result<std::size_t> over = co_await std::move(turn);
    if (!over) co_return std::unexpected(over.error());
    co_return Result<void>();
  }
  void cancel() {
    error_code ignored;
    socket_.cancel(ignored);
  }
  Socket socket_;
  std::size_t at_once_ = 0;
};

/// The system's number of an interface, which may be written as a number already; 0 if there is none.
unsigned zone_number(const ZoneName& zone) {
  const std::string name(zone.text());
  if (const unsigned number = ::if_nametoindex(name.c_str()); number != 0) return number;
  std::array<char, IF_NAMESIZE> ignored;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool whole = error == std::errc() && end == name.data() + name.size();
  return whole && ::if_indextoname(number, ignored.data()) != nullptr ? number : 0;
}

Result<asio::ip::tcp::endpoint> to_asio(const IpEndpoint& endpoint) {
  using asio::ip::tcp;
  if (endpoint.address.is_v6()) {
    asio::ip::address_v6::bytes_type bytes;
    std::copy_n(endpoint.address.bytes().begin(), 16, bytes.begin());
    if (endpoint.zone.empty()) return tcp::endpoint(asio::ip::address_v6(bytes), endpoint.port);
    const unsigned zone = zone_number(endpoint.zone);
    if (zone == 0)
      return fail(Errc::not_found, "{}: there is no interface '{}' here", endpoint.to_string(), endpoint.zone.text());
    return tcp::endpoint(asio::ip::address_v6(bytes, zone), endpoint.port);
  }
  asio::ip::address_v4::bytes_type bytes;
  std::copy_n(endpoint.address.bytes().begin(), 4, bytes.begin());
  return tcp::endpoint(asio::ip::address_v4(bytes), endpoint.port);
}

IpEndpoint from_asio(const asio::ip::tcp::endpoint& endpoint) {
  if (!endpoint.address().is_v6()) return {IpAddress::v4(endpoint.address().to_v4().to_bytes()), endpoint.port()};
  const asio::ip::address_v6 address = endpoint.address().to_v6();
  IpEndpoint out{IpAddress::v6(address.to_bytes()), endpoint.port()};
  std::array<char, IF_NAMESIZE> name{};
  if (out.address.is_link_local() &&
      ::if_indextoname(static_cast<unsigned>(address.scope_id()), name.data()) != nullptr)
    out.zone = ZoneName::from(name.data()).value_or(ZoneName());
  return out;
}

using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

Accepted make_accepted(asio::ip::tcp::socket socket) {
  error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
  Accepted accepted;
  accepted.local = from_asio(socket.local_endpoint(ignored));
  accepted.remote = from_asio(socket.remote_endpoint(ignored));
  accepted.stream = std::make_unique<SocketStream<asio::ip::tcp>>(std::move(socket));
  return accepted;
}

class TcpListener final : public Listener {
 public:
  TcpListener(asio::io_context& io, asio::ip::tcp::acceptor acceptor)
      : io_(io), acceptor_(std::move(acceptor)), local_(from_asio(acceptor_.local_endpoint())) {}

  Task<Result<Accepted>> accept() override {
    if (!acceptor_.is_open()) co_return fail(Errc::closed, "the listener is closed");
    asio::ip::tcp::socket socket(io_);
    Result<std::size_t> done = co_await await_io(
        "accept", [&](auto handler) { acceptor_.async_accept(socket, std::move(handler)); },
        [&] {
          error_code ignored;
          acceptor_.cancel(ignored);
        });
    if (!done) co_return std::unexpected(done.error());
    co_return make_accepted(std::move(socket));
  }
  [[nodiscard]] IpEndpoint local() const override { return local_; }
  void share_port() override {
    // Only now, not before the bind: a second program that tries to listen here must be refused.
    error_code ignored;
    acceptor_.set_option(ReusePort(true), ignored);
  }
  void close() override {
    error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  asio::io_context& io_;
  asio::ip::tcp::acceptor acceptor_;
  IpEndpoint local_;
};

class UnixListener final : public Listener {
 public:
  using Protocol = asio::local::stream_protocol;
  UnixListener(asio::io_context& io, Protocol::acceptor acceptor, std::string path)
      : io_(io), acceptor_(std::move(acceptor)), path_(std::move(path)) {}
  ~UnixListener() override { close(); }
  Result<void> listen() {
    error_code ec;
    acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return std::unexpected(io_error(ec, fmt::format("listen on {}", path_)));
    return {};
  }
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  Task<Result<Accepted>> accept() override {
    if (!acceptor_.is_open()) co_return fail(Errc::closed, "the listener is closed");
    Protocol::socket socket(io_);
    Result<std::size_t> done = co_await await_io(
        "accept", [&](auto handler) { acceptor_.async_accept(socket, std::move(handler)); },
        [&] {
          error_code ignored;
          acceptor_.cancel(ignored);
        });
    if (!done) co_return std::unexpected(done.error());
    error_code ignored;
    socket.non_blocking(true, ignored);
    Accepted accepted;
    accepted.stream = std::make_unique<SocketStream<Protocol>>(std::move(socket));
    co_return std::move(accepted);
  }
  [[nodiscard]] IpEndpoint local() const override { return {}; }
  void close() override {
    if (!acceptor_.is_open()) return;
    error_code ignored;
    acceptor_.close(ignored);
    ::unlink(path_.c_str());
  }

 private:
  asio::io_context& io_;
  Protocol::acceptor acceptor_;
  std::string path_;
};

/// Runs look-ups on workers, a few at a time. A cancelled caller returns at once; its look-up runs to its end.
class Lookups {
 public:
  static constexpr std::size_t kMaxQueued = 1024;
  Lookups(Lane& lane, std::size_t most) : lane_(lane), most_(most) {}

  template <class T>
  Task<Result<T>> run(std::move_only_function<Result<T>()> work) {
    struct Shared {
      std::optional<Result<T>> result;
      bool done = false;
      Notify finished;
    };
    if (queued_ >= kMaxQueued) co_return fail(Errc::limit_exceeded, "{} look-ups are waiting already", queued_);
    Result<void> turn = co_await wait_turn();
    if (!turn) co_return std::unexpected(turn.error());
    ++running_;
    auto shared = std::make_shared<Shared>();
    lane_.offload([shared, work = std::move(work)]() mutable { shared->result.emplace(work()); },
                  [this, shared] {
                    --running_;
                    free_.notify_one();
                    shared->done = true;
                    shared->finished.notify_all();
                  });
    while (!shared->done) CO_TRY_VOID(co_await shared->finished.wait());
    co_return std::move(*shared->result);
  }

 private:
  Task<Result<void>> wait_turn() {
    struct Queued {
      std::size_t& count;
      explicit Queued(std::size_t& c) : count(++c) {}
      ~Queued() { --count; }
    } const queued(queued_);
    while (running_ >= most_) CO_TRY_VOID(co_await free_.wait());
    co_return Result<void>();
  }

  Lane& lane_;
  std::size_t most_;
  std::size_t running_ = 0;
  std::size_t queued_ = 0;
  Notify free_;
};

class RealNet final : public Net {
 public:
  RealNet(asio::io_context& io, Lane& lane, const RealRuntime::Options& options)
      : io_(io), lookups_(lane, std::max(1U, options.workers / 2)), name_server_(options.name_server) {}

  Result<std::unique_ptr<Listener>> listen_tcp(const IpEndpoint& at) override {
    TRY(const asio::ip::tcp::endpoint endpoint, to_asio(at));
    asio::ip::tcp::acceptor acceptor(io_);
    error_code ec;
    acceptor.open(endpoint.protocol(), ec);
    if (!ec) acceptor.set_option(asio::ip::tcp::acceptor::reuse_address(true), ec);
    if (!ec && at.address.is_v6()) acceptor.set_option(asio::ip::v6_only(true), ec);
    if (!ec) acceptor.bind(endpoint, ec);
    if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return std::unexpected(io_error(ec, fmt::format("listen on {}", at.to_string())));
    return std::make_unique<TcpListener>(io_, std::move(acceptor));
  }

  Task<Result<Accepted>> connect_tcp(IpEndpoint to) override {
    asio::ip::tcp::socket socket(io_);
    Result<void> connected = co_await connect(socket, to);
    if (!connected) co_return std::unexpected(connected.error());
    co_return make_accepted(std::move(socket));
  }

  Task<Result<Accepted>> connect_tcp_from(IpEndpoint local, IpEndpoint to) override {
    asio::ip::tcp::socket socket(io_);
    error_code ec;
    CO_TRY(const asio::ip::tcp::endpoint from, to_asio(local));
    socket.open(from.protocol(), ec);
    if (!ec) socket.set_option(asio::socket_base::reuse_address(true), ec);
    if (!ec) socket.set_option(ReusePort(true), ec);
    if (!ec) socket.bind(from, ec);
    if (ec) co_return co_await connect_tcp(to);
    Result<void> connected = co_await connect(socket, to);
    if (connected) co_return make_accepted(std::move(socket));
    // Another port helps only where this one is not available: the address pair is in use, or was until recently.
    const bool taken = connected.error().is(Errc::already_exists) || connected.error().is(Errc::not_found);
    if (!taken) co_return std::unexpected(connected.error());
    co_return co_await connect_tcp(to);
  }

  Result<std::unique_ptr<Listener>> listen_unix(const std::string& path, unsigned mode) override {
    using Local = asio::local::stream_protocol;
    if (path.size() >= sizeof(sockaddr_un::sun_path))
      return fail(Errc::invalid_argument, "socket path '{}' is too long", path);
    Local::acceptor acceptor(io_);
    error_code ec;
    acceptor.open(Local(), ec);
    if (!ec) acceptor.bind(Local::endpoint(path), ec);
    if (ec) return std::unexpected(io_error(ec, fmt::format("listen on {}", path)));
    auto listener = std::make_unique<UnixListener>(io_, std::move(acceptor), path);
    // Until listen() every connection is refused, so no other user connects before the mode is set.
    if (::chmod(path.c_str(), mode) != 0) return fail(Errc::io, "set the mode of {}: {}", path, std::strerror(errno));
    TRY_VOID(listener->listen());
    return listener;
  }

  Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) override {
    using Local = asio::local::stream_protocol;
    Local::socket socket(io_);
    error_code ec;
    if (path.size() >= sizeof(sockaddr_un::sun_path))
      co_return fail(Errc::invalid_argument, "socket path '{}' is too long", path);
    socket.connect(Local::endpoint(path), ec);  // a Unix connect does not wait for accept()
    const bool absent = ec == boost::system::errc::no_such_file_or_directory || ec == asio::error::connection_refused;
    if (absent) co_return fail(Errc::not_found, "connect to {}: {}", path, ec.message());
    if (ec == boost::system::errc::permission_denied)
      co_return fail(Errc::permission_denied, "connect to {}: {}", path, ec.message());
    if (ec) co_return std::unexpected(io_error(ec, fmt::format("connect to {}", path)));
    socket.non_blocking(true, ec);
    std::unique_ptr<ByteStream> stream = std::make_unique<SocketStream<Local>>(std::move(socket));
    co_return std::move(stream);
  }

  Task<Result<std::vector<IpAddress>>> resolve_host(std::string name, IpFamily family) override {
    return lookups_.run<std::vector<IpAddress>>([name = std::move(name), family] { return lookup_host(name, family); });
  }
  Task<Result<std::vector<std::string>>> resolve_text(std::string name) override {
    return lookups_.run<std::vector<std::string>>(
        [name = std::move(name), server = name_server_] { return lookup_text(name, server); });
  }

  Result<std::vector<IpAddress>> interface_addresses() override {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return fail(Errc::io, "list network interfaces: {}", std::strerror(errno));
    std::vector<IpAddress> found;
    for (const ifaddrs* it = list; it != nullptr; it = it->ifa_next) {
      if (it->ifa_addr == nullptr || (it->ifa_flags & IFF_UP) == 0) continue;
      if (it->ifa_addr->sa_family == AF_INET) {
        std::array<std::uint8_t, 4> bytes;
        std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in*>(it->ifa_addr)->sin_addr, 4);
        found.push_back(IpAddress::v4(bytes));
      } else if (it->ifa_addr->sa_family == AF_INET6) {
        const auto* six = reinterpret_cast<const sockaddr_in6*>(it->ifa_addr);
        std::array<std::uint8_t, 16> bytes;
        std::memcpy(bytes.data(), &six->sin6_addr, 16);
        if (!IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) found.push_back(IpAddress::v6(bytes));
      }
    }
    ::freeifaddrs(list);
    return found;
  }

 private:
  Task<Result<void>> connect(asio::ip::tcp::socket& socket, IpEndpoint to) {
    CO_TRY(const asio::ip::tcp::endpoint endpoint, to_asio(to));
    const std::string what = fmt::format("connect to {}", to.to_string());
    Result<std::size_t> done = co_await await_io(
        what, [&](auto handler) { socket.async_connect(endpoint, std::move(handler)); },
        [&] {
          error_code ignored;
          socket.close(ignored);
        });
    if (!done) co_return std::unexpected(done.error());
    co_return Result<void>();
  }

  asio::io_context& io_;
  Lookups lookups_;
  std::optional<IpEndpoint> name_server_;
};

}  // namespace

std::unique_ptr<Net> make_real_net(asio::io_context& io, Lane& lane, const RealRuntime::Options& options) {
  return std::make_unique<RealNet>(io, lane, options);
}

}  // namespace dms
