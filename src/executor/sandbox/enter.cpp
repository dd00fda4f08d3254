#include "executor/sandbox/enter.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "executor/sandbox/launch.hpp"
#include "executor/sandbox/process_tree.hpp"
#include "executor/sandbox/sandbox_arguments.hpp"
#include "executor/sandbox/seccomp.hpp"

namespace dms::executor {

namespace {

std::unexpected<Error> os_error(std::string_view what) { return fail(Errc::io, "{}: {}", what, std::strerror(errno)); }

int report(const Error& why, int code) {
  const std::string text = why.to_string() + "\n";
  (void)!::write(2, text.data(), text.size());
  return code;
}

Result<void> enter(int pidfd, int namespaces) {
  (void)::prctl(PR_SET_DUMPABLE, 0);
  (void)::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (::setns(pidfd, namespaces) == 0) return {};
  // Without root its control group namespace may be the machine's own.
  if ((namespaces & CLONE_NEWCGROUP) != 0 && errno == EPERM && ::setns(pidfd, namespaces & ~CLONE_NEWCGROUP) == 0)
    return {};
  return os_error("enter the namespaces of the execution");
}

/// For good. A uid other than 0 becomes the user.
Result<void> drop_privileges(unsigned uid) {
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return os_error("drop capabilities");
  if (uid != 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0))
    return os_error("change the user");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return os_error("drop capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return os_error("allow no new privileges");
  return {};
}

/// A change of the user undoes it.
Result<void> end_with_parent() {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return os_error("end with the parent");
  return {};
}

Result<void> install(const Bytes& filter) {
  std::vector<sock_filter> code(filter.size() / sizeof(sock_filter));
  std::memcpy(code.data(), filter.data(), code.size() * sizeof(sock_filter));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
    return os_error("install the system call filter");
  return {};
}

/// The command's side of the fork.
Error become_command(const ShimSpec& spec, const Bytes& filter, std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  if (const Result<void> limited = set_rlimits(spec); !limited) return limited.error();
  if (const Result<void> dropped = drop_privileges(spec.uid); !dropped) return dropped.error();
  if (const Result<void> ends = end_with_parent(); !ends) return ends.error();
  if (const Result<void> filtered = install(filter); !filtered) return filtered.error();
  char* environment[] = {nullptr};
  ::execve(pointers.front(), pointers.data(), environment);
  return os_error(fmt::format("execute {}", pointers.front())).error();
}

/// Kills the children of this process, and what they leave to it, until there is none.
void end_children() {
  do
    for (const int child : children_of(::getpid())) ::kill(child, SIGKILL);
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR);
}

/// Waits for the command, or for the end of the helper, which alone has the other end of the pipe.
int attend(int command, const Fd& helper, const Fd& signals) {
  for (;;) {
    int status = 0;
    for (int pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
      if (pid == command) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    std::array<pollfd, 2> set{{{signals.get(), POLLIN, 0}, {helper.get(), POLLIN, 0}}};
    if (::poll(set.data(), set.size(), -1) < 0) continue;
    if (set[1].revents != 0) return kEnterFailed;
    signalfd_siginfo read{};
    (void)!::read(signals.get(), &read, sizeof read);
  }
}

/// The parent of the command, in the work's process namespace: in a session of its own, so that it outlives the helper, and the
/// new parent of what processes of the command leave.
Result<int> supervise(const ShimSpec& spec, const Bytes& filter, std::vector<std::string>& argv, Fd helper) {
  if (::setsid() < 0 || ::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return os_error("adopt processes of the command");
  const int command = ::fork();
  if (command < 0) return os_error("fork");
  if (command == 0) ::_exit(report(become_command(spec, filter, argv), kEnterFailed));
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  const Fd signals(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  Result<void> ready;
  if (!signals) ready = os_error("wait for signals");
  if (ready) ready = drop_privileges(spec.uid);
  if (ready) ready = install(filter);
  const int code = ready ? attend(command, helper, signals) : kEnterFailed;
  end_children();
  if (!ready) return std::unexpected(ready.error());
  return code;
}

/// env sets the environment of the work last, as at its start.
Result<std::vector<std::string>> command_line(const ShimSpec& spec, std::vector<std::string> command) {
  TRY(std::string directory, inner_directory(spec.engine.params.working_directory));
  std::vector<std::string> argv{"/usr/bin/env", "-i", "-C", std::move(directory), "--"};
  for (std::string& entry : full_environment(spec.engine.params.environment)) argv.push_back(std::move(entry));
  for (std::string& word : command) argv.push_back(std::move(word));
  return argv;
}

Result<int> exec(int pidfd, const std::string& folder, std::vector<std::string> command) {
  TRY(const ShimSpec spec, read_spec(folder));
  TRY(std::vector<std::string> argv, command_line(spec, std::move(command)));
  if (!seccomp_filter()) return std::unexpected(seccomp_filter().error());
  TRY_VOID(join_group(spec));
  int namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (!spec.network) namespaces |= CLONE_NEWNET;
  if (spec.uid == 0) namespaces |= CLONE_NEWUSER;
  TRY_VOID(enter(pidfd, namespaces));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("make a pipe");
  Fd child_end(ends[0]);
  Fd own_end(ends[1]);
  const int child = ::fork();  // the first process in the process namespace
  if (child < 0) return os_error("fork");
  if (child == 0) {
    own_end.reset();
    const Result<int> code = supervise(spec, *seccomp_filter(), argv, std::move(child_end));
    ::_exit(code ? *code : report(code.error(), kEnterFailed));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return os_error("wait for the command");
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Result<Fd> connect_to_loopback(unsigned port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // NOLINTNEXTLINE: the interface of sockets
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(Errc::io, "connect to 127.0.0.1:{}: {}", port, std::strerror(errno));
  return socket;
}

bool put(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void copy(int from, int to) {
  std::array<char, 16 * 1024> chunk;
  for (ssize_t n = 0; (n = ::read(from, chunk.data(), chunk.size())) > 0;)
    if (!put(to, {chunk.data(), static_cast<std::size_t>(n)})) return;
}

}  // namespace

int run_exec(int pidfd, const std::string& folder, std::vector<std::string> command) {
  const Result<int> code = exec(pidfd, folder, std::move(command));
  return code ? *code : report(code.error(), kEnterFailed);
}

int run_probe(int pidfd, unsigned uid, unsigned port, const std::string& http_path) {
  if (!seccomp_filter()) return report(seccomp_filter().error(), kEnterFailed);
  Result<void> ready = enter(pidfd, CLONE_NEWNET | (uid == 0 ? CLONE_NEWUSER : 0));
  if (ready) ready = drop_privileges(uid);
  if (ready) ready = end_with_parent();
  if (ready) ready = install(*seccomp_filter());
  if (!ready) return report(ready.error(), kEnterFailed);
  const Result<Fd> socket = connect_to_loopback(port);
  if (!socket) return report(socket.error(), kConnectFailed);
  if (!put(1, "+") || http_path.empty()) return 0;
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: nunet\r\nConnection: close\r\n\r\n", http_path, port);
  if (put(socket->get(), request)) copy(socket->get(), 1);
  return 0;
}

}  // namespace dms::executor
