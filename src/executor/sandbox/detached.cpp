#include "executor/sandbox/detached.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <ctime>

namespace dms::executor {

void Readiness::succeed() {
  if (!fd_) return;
  (void)!::write(fd_.get(), "k", 1);
  fd_.reset();
}

void Readiness::fail(std::string_view error) {
  if (!fd_) return;
  (void)!::write(fd_.get(), error.data(), error.size());
  fd_.reset();
}

namespace {

/// The child's side of the fork.
void detach(const char* name, const std::function<void(Readiness)>& become, Fd ready) {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);  // before the daemon can find this process: they are read later
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (::setsid() < 0 || !null || ::chdir("/") != 0) return;
  for (int standard = 0; standard < 3; ++standard) ::dup2(null.get(), standard);
  ::umask(027);
  (void)::prctl(PR_SET_NAME, name);
  become(Readiness(std::move(ready)));
}

}  // namespace

int run_detached(const char* name, const std::function<void(Readiness)>& become) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return 1;
  Fd read(ends[0]);
  Fd write(ends[1]);
  const int child = ::fork();
  if (child < 0) return 1;
  if (child == 0) {
    read.reset();
    detach(name, become, std::move(write));
    ::_exit(0);
  }
  write.reset();
  std::array<char, 4096> answer;
  ssize_t n = 0;
  do n = ::read(read.get(), answer.data(), answer.size());
  while (n < 0 && errno == EINTR);
  if (n == 1 && answer[0] == 'k') return 0;
  constexpr std::string_view kLost = "the process that was to outlive the daemon was ended";
  (void)!(n > 0 ? ::write(2, answer.data(), static_cast<std::size_t>(n)) : ::write(2, kLost.data(), kLost.size()));
  return 1;
}

Result<Fd> receive_signals() {
  sigset_t all;
  ::sigfillset(&all);
  Fd signals(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return fail(Errc::io, "receive signals: {}", std::strerror(errno));
  return signals;
}

Duration boot_now() {
  timespec time{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

BootTimer::BootTimer() : fd_(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {}
void BootTimer::at(std::int64_t nanoseconds) { set(TFD_TIMER_ABSTIME, std::max<std::int64_t>(nanoseconds, 1), 0); }
void BootTimer::after(Duration duration) { set(0, std::max<std::int64_t>(duration.count(), 1), 0); }
void BootTimer::every(Duration duration) { set(0, duration.count(), duration.count()); }
void BootTimer::stop() { set(0, 0, 0); }

bool BootTimer::due() {
  std::uint64_t times = 0;
  return ::read(fd_.get(), &times, sizeof times) == static_cast<ssize_t>(sizeof times);
}

void BootTimer::set(int flags, std::int64_t first, std::int64_t interval) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const itimerspec value{{interval / kSecond, interval % kSecond}, {first / kSecond, first % kSecond}};
  (void)::timerfd_settime(fd_.get(), flags, &value, nullptr);
}

}  // namespace dms::executor
