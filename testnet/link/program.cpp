#include "link/program.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <system_error>
#include <utility>

#include "link/control.hpp"
#include "link/switch.hpp"

namespace dms::testnet {
namespace {

constexpr std::size_t kMaxConnections = 16;
constexpr std::size_t kMaxPacket = 65'536;
/// Packets that are read from a device before the others have their turn.
constexpr int kBurst = 64;

class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

std::unexpected<Error> failed(std::string_view what) {
  return fail(Errc::io, "{}: {}", what, std::generic_category().message(errno));
}

SteadyTime steady_now() { return SteadyTime(std::chrono::steady_clock::now().time_since_epoch()); }

Result<File> open_tun(const std::string& device) {
  File tun(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun) return failed("opening /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (device.size() >= sizeof(request.ifr_name)) return fail(Errc::invalid_argument, "the device's name is too long");
  std::memcpy(request.ifr_name, device.data(), device.size());
  if (ioctl(tun.get(), TUNSETIFF, &request) != 0) return failed("making a TUN device");
  return tun;
}

/// A device in another network namespace; this thread is in its own again at the end.
Result<File> open_tun_in(const std::string& network_namespace, const std::string& device) {
  File own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  File other(open(network_namespace.c_str(), O_RDONLY | O_CLOEXEC));
  if (!own || !other) return failed("opening a network namespace");
  if (setns(other.get(), CLONE_NEWNET) != 0) return failed("entering a network namespace");
  auto tun = open_tun(device);
  if (setns(own.get(), CLONE_NEWNET) != 0) return failed("leaving a network namespace");
  return tun;
}

Result<File> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return fail(Errc::invalid_argument, "the path of the socket has more than {} bytes", sizeof(address.sun_path) - 1);
  std::memcpy(address.sun_path, path.data(), path.size());
  File listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener) return failed("making a socket");
  umask(0177);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return failed("binding the socket");
  if (listen(listener.get(), static_cast<int>(kMaxConnections)) != 0) return failed("listening");
  return listener;
}

class Program {
 public:
  explicit Program(std::uint64_t seed) : random_(seed), network_(random_) {}

  Result<void> open(const std::string& socket_path) {
    epoll_ = File(epoll_create1(EPOLL_CLOEXEC));
    timer_ = File(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, nullptr);
    signals_ = File(signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!epoll_ || !timer_ || !signals_) return failed("preparing to wait");
    TRY(listener_, listen_at(socket_path));
    for (const File* file : {&timer_, &signals_, &listener_}) TRY_VOID(watch(*file));
    return {};
  }

  /// Until the command "stop" or a signal.
  Result<void> run() {
    std::array<epoll_event, 64> events;
    while (!stopped_) {
      deliver();
      set_timer();
      const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) return failed("waiting");
      for (int i = 0; i < count; ++i) handle(events[static_cast<std::size_t>(i)].data.fd);
    }
    return {};
  }

 private:
  struct Connection {
    File file;
    std::string read;
  };

  Result<void> watch(const File& file) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = file.get();
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, file.get(), &event) != 0) return failed("watching a file");
    return {};
  }

  void deliver() {
    while (auto delivery = network_.take(steady_now())) {
      const auto device = device_of_.find(delivery->to);
      if (device == device_of_.end()) continue;
      // A device that takes no more, as one that is down, loses the packet.
      (void)!write(device->second.get(), delivery->packet.data(), delivery->packet.size());
    }
  }

  void set_timer() {
    itimerspec when{};
    if (const auto next = network_.next()) {
      const auto nanos = std::max<std::int64_t>(next->time_since_epoch().count(), 1);
      when.it_value = {nanos / 1'000'000'000, nanos % 1'000'000'000};
    }
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void handle(int fd) {
    if (fd == signals_.get()) {
      stopped_ = true;
    } else if (fd == timer_.get()) {
      std::uint64_t times = 0;
      (void)!read(fd, &times, sizeof(times));
    } else if (fd == listener_.get()) {
      accept();
    } else if (const auto host = host_of_.find(fd); host != host_of_.end()) {
      read_device(fd, host->second);
    } else if (const auto connection = connections_.find(fd); connection != connections_.end()) {
      if (!read_commands(connection->second)) connections_.erase(connection);
    }
  }

  void read_device(int fd, Switch::HostId host) {
    for (int i = 0; i < kBurst; ++i) {
      const ssize_t size = read(fd, buffer_.data(), buffer_.size());
      if (size > 0) {
        network_.send(host, Bytes(buffer_.begin(), buffer_.begin() + size), steady_now());
        continue;
      }
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      // The device has gone with its namespace.
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      device_of_.erase(host);
      host_of_.erase(fd);
      return;
    }
  }

  void accept() {
    File file(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!file || connections_.size() >= kMaxConnections || !watch(file)) return;
    const int fd = file.get();
    connections_.emplace(fd, Connection{std::move(file), {}});
  }

  /// False: the connection is to be closed.
  bool read_commands(Connection& connection) {
    const ssize_t size = read(connection.file.get(), buffer_.data(), buffer_.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (size <= 0) return false;
    connection.read.append(reinterpret_cast<const char*>(buffer_.data()), static_cast<std::size_t>(size));
    for (std::size_t end = 0; (end = connection.read.find('\n')) != std::string::npos;) {
      const std::string reply = answer(execute(std::string_view(connection.read).substr(0, end)));
      connection.read.erase(0, end + 1);
      const ssize_t sent = ::send(connection.file.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(reply.size())) return false;
    }
    return connection.read.size() <= kMaxLine;
  }

  Result<boost::json::object> execute(std::string_view line) {
    TRY(const Command command, parse_command(line));
    if (std::holds_alternative<Stop>(command)) stopped_ = true;
    if (const auto* host = std::get_if<AddHost>(&command)) return add_host(*host);
    return carry_out(network_, command);
  }

  Result<boost::json::object> add_host(const AddHost& host) {
    TRY(File device, open_tun_in(host.network_namespace, host.device));
    TRY(const Switch::HostId id, network_.add_host(host.name, host.address, host.region, host.nat));
    TRY_VOID(watch(device));
    host_of_.emplace(device.get(), id);
    device_of_.emplace(id, std::move(device));
    return boost::json::object{};
  }

  SeededRandom random_;
  Switch network_;
  File epoll_, timer_, signals_, listener_;
  std::map<int, Switch::HostId> host_of_;
  std::map<Switch::HostId, File> device_of_;
  std::map<int, Connection> connections_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kMaxPacket);
  bool stopped_ = false;
};

struct Arguments {
  std::string socket;
  std::uint64_t seed = 0;
};

Result<Arguments> parse_arguments(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--socket" && !value.empty()) {
      out.socket = value;
    } else if (flag == "--seed") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out.seed);
      if (error != std::errc() || end != value.data() + value.size())
        return fail(Errc::invalid_argument, "--seed: expected a whole number");
    } else {
      return fail(Errc::invalid_argument, "usage: testnet_link --socket PATH [--seed NUMBER]");
    }
  }
  if (out.socket.empty()) return fail(Errc::invalid_argument, "usage: testnet_link --socket PATH [--seed NUMBER]");
  return out;
}

Result<void> run(int argc, char** argv) {
  TRY(const Arguments arguments, parse_arguments(argc, argv));
  Program program(arguments.seed);
  TRY_VOID(program.open(arguments.socket));
  return program.run();
}

}  // namespace

int run_program(int argc, char** argv) {
  const auto result = run(argc, argv);
  if (result) return 0;
  fmt::print(stderr, "testnet_link: {}\n", result.error().to_string());
  return 1;
}

}  // namespace dms::testnet
