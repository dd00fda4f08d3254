#include "executor/sandbox/launch.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "executor/sandbox/sandbox_arguments.hpp"
#include "executor/sandbox/seccomp.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kDefaultTmp = 1024ULL * 1024 * 1024;
constexpr std::uint32_t kUidWithoutRoot = 1000;

/// /etc/hosts of the work; without a network no other host is reachable.
constexpr std::string_view kHosts = "127.0.0.1 localhost sandbox\n::1 localhost sandbox ip6-localhost ip6-loopback\n";
constexpr std::string_view kNsswitch = "passwd: files\ngroup: files\nhosts: files dns\n";
constexpr std::string_view kHostConf = "multi on\n";  // both addresses of localhost, not the first only

/// Left open for bubblewrap.
Result<int> memory_file(const char* name, BytesView content) {
  const int fd = ::memfd_create(name, 0);
  if (fd < 0 || ::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()) ||
      ::lseek(fd, 0, SEEK_SET) != 0)
    return fail(Errc::io, "make a memory file for {}: {}", name, std::strerror(errno));
  return fd;
}

Result<void> add_files(SandboxPlan& plan, std::uint32_t uid) {
  if (!seccomp_filter()) return std::unexpected(seccomp_filter().error());
  TRY(plan.seccomp_fd, memory_file("seccomp", *seccomp_filter()));
  const std::string passwd = fmt::format("root:x:0:0:root:/root:/bin/false\nwork:x:{}:{}::/work:/bin/sh\n", uid, uid);
  TRY(plan.passwd_fd, memory_file("passwd", as_bytes(passwd)));
  TRY(plan.group_fd, memory_file("group", as_bytes(fmt::format("root:x:0:\nwork:x:{}:\n", uid))));
  TRY(plan.hosts_fd, memory_file("hosts", as_bytes(kHosts)));
  TRY(plan.nsswitch_fd, memory_file("nsswitch.conf", as_bytes(kNsswitch)));
  TRY(plan.host_conf_fd, memory_file("host.conf", as_bytes(kHostConf)));
  return {};
}

Result<std::vector<std::string>> arguments(const ShimSpec& spec, int status_fd) {
  const EngineParams& params = spec.engine.params;
  SandboxPlan plan;
  plan.command = params.entrypoint;
  plan.command.insert(plan.command.end(), params.cmd.begin(), params.cmd.end());
  plan.environment = full_environment(params.environment);
  plan.work_dir = spec.work_dir;
  plan.actor_dir = spec.actor_dir;
  TRY(plan.working_directory, inner_directory(params.working_directory));
  plan.tmp_bytes = spec.memory_bytes > 0 ? spec.memory_bytes : kDefaultTmp;
  plan.network = spec.network;
  if (spec.uid != 0) plan.uid = spec.uid;
  plan.status_fd = status_fd;
  TRY_VOID(add_files(plan, spec.uid != 0 ? spec.uid : kUidWithoutRoot));
  std::vector<std::string> argv = sandbox_arguments(plan);
  argv.insert(argv.begin(), spec.bwrap);
  return argv;
}

Result<void> limit(int resource, std::uint64_t value) {
  const rlimit both{value, value};
  if (::setrlimit(static_cast<__rlimit_resource>(resource), &both) != 0)
    return fail(Errc::io, "set resource limits: {}", std::strerror(errno));
  return {};
}

}  // namespace

Result<void> join_group(const ShimSpec& spec) {
  if (spec.cgroups.empty()) return {};
  const Cgroup group({spec.cgroups.begin(), spec.cgroups.end()}, spec.cgroup_v2);
  for (const fs::path& file : group.procs_files()) {
    const Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), "0", 1) != 1)
      return fail(Errc::io, "join the control group {}: {}", file.string(), std::strerror(errno));
  }
  return {};
}

Result<void> set_rlimits(const ShimSpec& spec) {
  TRY_VOID(limit(RLIMIT_CORE, 0));
  if (!spec.cgroups.empty()) return {};
  if (spec.memory_bytes > 0) TRY_VOID(limit(RLIMIT_AS, spec.memory_bytes));
  if (spec.pids > 0 && spec.uid != 0) TRY_VOID(limit(RLIMIT_NPROC, spec.pids));
  return {};
}

Error become_bubblewrap(const ShimSpec& spec, int status_fd, int parent) {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::setpgid(0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    return Error(Errc::io, fmt::format("make a process group: {}", std::strerror(errno)));
  if (::getppid() != parent) return Error(Errc::closed, "the shim has ended");
  // Before the limits, which also count what this process has.
  (void)::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  (void)::fcntl(status_fd, F_SETFD, 0);
  Result<std::vector<std::string>> argv = arguments(spec, status_fd);
  if (!argv) return argv.error();
  std::vector<char*> pointers;
  for (std::string& argument : *argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  if (const Result<void> joined = join_group(spec); !joined) return joined.error();
  if (const Result<void> limited = set_rlimits(spec); !limited) return limited.error();
  char* environment[] = {nullptr};
  ::execvpe(pointers.front(), pointers.data(), environment);
  return Error(Errc::io, fmt::format("execute {}: {}", spec.bwrap, std::strerror(errno)));
}

}  // namespace dms::executor
