#include "executor/docker/watcher.hpp"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstring>

#include "encoding/json.hpp"
#include "executor/docker/docker_api.hpp"
#include "executor/sandbox/detached.hpp"
#include "executor/sandbox/shim_files.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr Duration kFirstPause = 500ms;
constexpr Duration kLongestPause = 30s;
constexpr int kAnswerTime = 10;  // seconds
constexpr std::size_t kMaxAnswer = 4 * 1024 * 1024;

struct Answer {
  int status = 0;  // 0: the engine did not answer
  std::string body;
};

Answer parse_answer(std::string_view text) {
  Answer answer;
  const auto space = text.find(' ');
  const auto body = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.") || space == std::string_view::npos || body == std::string_view::npos) return answer;
  (void)std::from_chars(text.data() + space + 1, text.data() + text.size(), answer.status);
  answer.body = text.substr(body + 4);
  return answer;
}

class Watcher {
 public:
  explicit Watcher(Watched watched) : watched_(std::move(watched)) {}

  void run(Readiness ready) {
    const Result<void> begun = prepare();
    if (!begun) return ready.fail(begun.error().to_string());
    ready.succeed();
    ::malloc_trim(0);
    while (!over_) step();
  }

 private:
  Result<void> prepare();
  void step();
  void read_signals();
  void fire();
  void look();
  void wait_again();
  void read_wait();
  void pause();
  [[nodiscard]] Fd send(std::string_view method, std::string_view path, bool patient) const;
  [[nodiscard]] Answer call(std::string_view method, std::string_view path) const;
  [[nodiscard]] std::string path(std::string_view what) const {
    return fmt::format("/containers/{}{}", watched_.container, what);
  }

  Watched watched_;
  Fd lock_;
  Fd signals_;
  Fd waiting_;  // for the engine to report the end of the container
  BootTimer deadline_;
  BootTimer again_;  // look at the container, or kill it
  Duration pause_ = kFirstPause;
  bool fired_ = false;
  bool over_ = false;
};

Result<void> Watcher::prepare() {
  TRY(lock_, hold_lock(watched_.folder));
  TRY(signals_, receive_signals());
  deadline_.at(watched_.deadline);
  again_.after(kFirstPause);
  return {};
}

void Watcher::step() {
  std::array<pollfd, 4> set{{{signals_.get(), POLLIN, 0},
                             {deadline_.fd(), POLLIN, 0},
                             {again_.fd(), POLLIN, 0},
                             {waiting_ ? waiting_.get() : -1, POLLIN, 0}}};
  if (::poll(set.data(), set.size(), -1) < 0) return;
  if (set[0].revents != 0) read_signals();
  if (over_) return;
  if (deadline_.due()) {
    (void)::rename((watched_.folder / kArmedFile).c_str(), (watched_.folder / kFiredFile).c_str());
    fired_ = true;
    pause_ = kFirstPause;
    return fire();
  }
  if (set[3].revents != 0) read_wait();
  if (again_.due()) fired_ ? fire() : look();
}

void Watcher::read_signals() {
  signalfd_siginfo signal{};
  while (::read(signals_.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
    const auto number = static_cast<int>(signal.ssi_signo);
    if (signal.ssi_code != SI_QUEUE || signal.ssi_uid != ::getuid()) continue;
    if (number == number_of(ShimSignal::kill)) over_ = true;
    if (number == number_of(ShimSignal::deadline) && !fired_) deadline_.at(static_cast<std::int64_t>(signal.ssi_ptr));
  }
}

void Watcher::pause() {
  again_.after(pause_);
  pause_ = std::min(2 * pause_, kLongestPause);
}

/// Has the container killed, and looks at what became of it.
void Watcher::fire() {
  (void)call("POST", path("/kill"));
  look();
}

void Watcher::look() {
  const Answer answer = call("GET", path("/json"));
  if (answer.status == 404) {
    over_ = true;
    return;
  }
  if (answer.status != 200) return pause();
  const Result<json::Value> details = json::parse(answer.body);
  const std::string state = details ? json_text(*details, {"State", "Status"}) : std::string();
  if (state == "exited" || state == "dead" || state == "removing") {
    over_ = true;
  } else if (state == "created") {
    if (fired_) over_ = call("DELETE", path("")).status / 100 == 2;  // the engine refuses that once it runs
    if (!over_) pause();
  } else if (fired_) {
    pause();
  } else {
    wait_again();
  }
}

void Watcher::wait_again() {
  waiting_ = send("POST", path("/wait"), true);
  if (waiting_)
    pause_ = kFirstPause;
  else
    pause();
}

/// The engine reports the end, or the connection to it has ended: what it says then decides.
void Watcher::read_wait() {
  std::array<char, 4096> chunk;
  if (::read(waiting_.get(), chunk.data(), chunk.size()) > 0) return;
  waiting_.reset();
  pause();
}

/// A request of HTTP 1.0: the answer is as it is, and ends with the connection.
Fd Watcher::send(std::string_view method, std::string_view path, bool patient) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (watched_.socket.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, watched_.socket.data(), watched_.socket.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{kAnswerTime, 0};
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) return {};
  if (!patient && ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return {};
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  const std::string head = fmt::format("{} {} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n", method, path);
  if (::send(fd.get(), head.data(), head.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(head.size())) return {};
  return fd;
}

Answer Watcher::call(std::string_view method, std::string_view path) const {
  const Fd fd = send(method, path, false);
  if (!fd) return {};
  std::string text;
  std::array<char, 16 * 1024> chunk;
  for (;;) {
    const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 || text.size() > kMaxAnswer) return {};
    if (n == 0) return parse_answer(text);
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

int run_watcher(const Watched& watched) {
  return run_detached("nunet-watcher", [&](Readiness ready) { Watcher(watched).run(std::move(ready)); });
}

}  // namespace dms::executor
