#include "daemon/real_environment.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "cli/client/daemon_connection.hpp"
#include "daemon/daemon.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX does not declare it

namespace dms {
namespace {

/// Runs `inner` on its own runtime; SIGINT and SIGTERM cancel it. Between such runs these signals have their default
/// action and end the program, unless catch_interrupts() was called.
template <class T>
Task<Result<T>> interruptible(CancelScope** current, Task<Result<T>> inner) {
  TaskContext context = co_await this_task();
  CancelScope scope(context.scope);
  *current = &scope;
  inner.set_context({context.lane, &scope});
  auto result = co_await std::move(inner);
  *current = nullptr;
  co_return std::move(result);
}

template <class T, class Start>
Result<T> run_interruptible(Start start) {
  RealRuntime runtime(RealRuntime::Options{.workers = 1});
  CancelScope* current = nullptr;
  runtime.on_signal({SIGINT, SIGTERM}, [&current](int) {
    if (current != nullptr) current->cancel();
  });
  return runtime.run(interruptible<T>(&current, start(runtime.runtime())));
}

/// The terminal for prompts: standard input, or the controlling terminal if standard input is not a terminal.
class Terminal {
 public:
  Terminal() : file_(::isatty(STDIN_FILENO) == 1 ? STDIN_FILENO : ::open("/dev/tty", O_RDWR | O_CLOEXEC)) {}
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    if (file_ > STDIN_FILENO) ::close(file_);
  }
  /// -1 if there is none.
  [[nodiscard]] int file() const { return file_; }

 private:
  int file_;
};

/// The shell would stop a background process that reads, and take what the user types for a command.
bool is_in_background(int terminal) {
  const pid_t foreground = ::tcgetpgrp(terminal);
  return foreground > 0 && foreground != ::getpgrp();
}

/// Turns off the terminal's echo and the keys that end the program, and restores both.
class NoEchoTerminal {
 public:
  explicit NoEchoTerminal(int terminal) : terminal_(terminal) {
    if (::tcgetattr(terminal_, &before_) != 0) return;
    struct termios settings = before_;
    settings.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    changed_ = ::tcsetattr(terminal_, TCSAFLUSH, &settings) == 0;
  }
  NoEchoTerminal(const NoEchoTerminal&) = delete;
  NoEchoTerminal& operator=(const NoEchoTerminal&) = delete;
  ~NoEchoTerminal() {
    if (changed_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }

 private:
  int terminal_;
  struct termios before_ = {};
  bool changed_ = false;
};

/// Runs a program, its standard output on descriptor `out`, and waits for it. It does not inherit the passphrase.
Result<void> run_child(std::vector<std::string> words, int out) {
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("DMS_PASSPHRASE=")) variables.push_back(*variable);
  variables.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), variables.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(Errc::io, "starting {}: {}", words.front(), std::strerror(error));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) return fail(Errc::io, "{} was ended by a signal", words.front());
  if (WEXITSTATUS(status) != 0) return fail(Errc::io, "{} ended with status {}", words.front(), WEXITSTATUS(status));
  return {};
}

int signal_pipe = -1;  // of the one EndSignals that exists

/// Catches signals that would end the program, so that the terminal is restored first; raised again by the destructor. A
/// pipe, because another thread than the waiting one may get the signal.
class EndSignals {
 public:
  EndSignals() {
    if (::pipe2(pipe_, O_CLOEXEC | O_NONBLOCK) != 0) return;
    signal_pipe = pipe_[1];
    struct sigaction action = {};
    action.sa_handler = [](int number) {
      const int saved = errno;
      const auto byte = static_cast<std::uint8_t>(number);
      [[maybe_unused]] const auto written = ::write(signal_pipe, &byte, 1);
      errno = saved;
    };
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
  }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;
  ~EndSignals() {
    if (signal_pipe < 0) return;
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
    std::uint8_t number = 0;
    const bool caught = ::read(pipe_[0], &number, 1) == 1;
    signal_pipe = -1;
    ::close(pipe_[0]);
    ::close(pipe_[1]);
    if (caught) ::raise(number);
  }

  /// False if a signal came before input.
  bool wait_for_input(int terminal) {
    for (;;) {
      pollfd files[2] = {{terminal, POLLIN, 0}, {pipe_[0], POLLIN, 0}};
      if (::poll(files, signal_pipe < 0 ? 1 : 2, -1) < 0 && errno == EINTR) continue;
      return files[1].revents == 0;
    }
  }

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  int pipe_[2] = {-1, -1};
  std::array<struct sigaction, kSignals.size()> before_ = {};
};

constexpr std::size_t kMaxSecret = 1024;

/// Reads a line into `line`; its length, or nothing if the user cancelled.
std::optional<std::size_t> read_line(EndSignals& signals, int terminal, MutableBytes line) {
  std::size_t size = 0;
  for (;;) {
    if (!signals.wait_for_input(terminal)) return std::nullopt;
    char c = 0;
    const auto got = ::read(terminal, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || c == 3 || (c == 4 && size == 0)) return std::nullopt;  // end, Ctrl-C, Ctrl-D
    if (c == '\n' || c == '\r') return size;
    if (c == 8 || c == 127) {
      if (size > 0) --size;
    } else if (c == 21) {  // Ctrl-U
      size = 0;
    } else if (size < line.size()) {
      line[size++] = static_cast<std::uint8_t>(c);
    }
  }
}

}  // namespace

std::optional<std::string> RealEnvironment::variable(const std::string& name) const {
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): this program sets no variables
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

RealRuntime& RealEnvironment::lasting() {
  if (!lasting_) lasting_ = std::make_unique<RealRuntime>(RealRuntime::Options{.workers = 1});
  return *lasting_;
}

UnixTime RealEnvironment::now() { return lasting().runtime().lane.unix_now(); }

/// While one runtime of the process has asked for a signal, it does not have its default action; what comes while no other runs is
/// delivered to the next one that asks for it.
void RealEnvironment::catch_interrupts() {
  if (!std::exchange(catches_interrupts_, true)) lasting().on_signal({SIGINT, SIGTERM}, [](int) {});
}

bool RealEnvironment::interactive() const { return ::isatty(STDIN_FILENO) == 1 && !is_in_background(STDIN_FILENO); }

bool RealEnvironment::has_input() {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return std::cin.rdbuf()->in_avail() != 0 || ::poll(&input, 1, 0) > 0;
}

bool RealEnvironment::has_terminal() const { return Terminal().file() >= 0; }

Result<crypto::Secret> RealEnvironment::ask_secret(const std::string& prompt) {
  const Terminal terminal;
  if (is_in_background(terminal.file()))
    return fail(Errc::invalid_argument,
                "a process in the background cannot ask for a passphrase; run the command in the foreground, or set "
                "DMS_PASSPHRASE");
  std::cerr << prompt << std::flush;
  crypto::Secret buffer(kMaxSecret);
  std::optional<std::size_t> size;
  {
    EndSignals signals;
    NoEchoTerminal no_echo(terminal.file());
    size = read_line(signals, terminal.file(), buffer.mutable_view());
  }
  std::cerr << '\n';
  if (!size) return fail(Errc::cancelled, "interrupted");
  if (*size == kMaxSecret) return fail(Errc::limit_exceeded, "a passphrase of {} bytes or more", kMaxSecret);
  return crypto::Secret(buffer.view().first(*size));
}

UserId RealEnvironment::user() const { return ::geteuid(); }

Result<HttpResponse> RealEnvironment::call(cli::DaemonAddress to, HttpRequest request, Duration limit,
                                           cli::CheckPeer check) {
  return run_interruptible<HttpResponse>([&](Runtime runtime) {
    HttpLimits limits;
    limits.body_bytes = 64 << 20;
    return with_timeout(limit,
                        cli::call_daemon(runtime.net, std::move(to), std::move(request), limits, std::move(check)));
  });
}

Result<void> RealEnvironment::pause(Duration duration) {
  return run_interruptible<void>([&](Runtime) { return sleep_for(duration); });
}

Result<void> RealEnvironment::with_runtime(std::function<Task<Result<void>>(Runtime)> work) {
  return run_interruptible<void>(std::move(work));
}

Result<void> RealEnvironment::edit(const std::string& path) {
  const std::string script = variable("VISUAL").value_or(variable("EDITOR").value_or("vi")) + " \"$1\"";
  auto done = run_child({"/bin/sh", "-c", script, "sh", path}, STDOUT_FILENO);
  if (!done) return fail(done.error(), "the editor ({}) failed; choose one with EDITOR", script);
  return {};
}

Result<void> RealEnvironment::run_program(const std::vector<std::string>& words) {
  return run_child(words, STDERR_FILENO);
}

Result<void> RealEnvironment::run_daemon(const config::Loaded& settings, const cli::RunOptions& options,
                                         crypto::PrivateKey key) {
  return dms::run_daemon(settings, options, std::move(key));
}

Result<resources::Machine> RealEnvironment::machine(const std::filesystem::path& folder) {
  return this_machine(folder);
}

}  // namespace dms
