#include "executor/sandbox/seccomp.hpp"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace dms::executor {
namespace {

std::vector<sock_filter> program() {
  const Result<Bytes>& bytes = seccomp_filter();
  EXPECT_TRUE(bytes) << bytes.error().to_string();
  std::vector<sock_filter> made(bytes ? bytes->size() / sizeof(sock_filter) : 0);
  if (!made.empty()) std::memcpy(made.data(), bytes->data(), bytes->size());
  return made;
}

constexpr std::uint32_t kNative =
#if defined(__x86_64__)
    AUDIT_ARCH_X86_64;
#else
    AUDIT_ARCH_AARCH64;
#endif

/// The result of the filter for a call, by interpreting its instructions. 0: allowed; -1: unknown.
int answer(long call, std::vector<std::uint64_t> arguments = {}, std::uint32_t arch = kNative) {
  static const std::vector<sock_filter> code = program();
  seccomp_data data{};
  data.nr = static_cast<int>(call);
  data.arch = arch;
  std::copy(arguments.begin(), arguments.end(), data.args);
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const sock_filter& op = code[at];
    const auto jump = [&](bool condition) { at += condition ? op.jt : op.jf; };
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS: std::memcpy(&a, reinterpret_cast<const char*>(&data) + op.k, sizeof a); break;
      case BPF_ALU | BPF_AND | BPF_K: a &= op.k; break;
      case BPF_JMP | BPF_JA: at += op.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: jump(a == op.k); break;
      case BPF_JMP | BPF_JGE | BPF_K: jump(a >= op.k); break;
      case BPF_JMP | BPF_JGT | BPF_K: jump(a > op.k); break;
      case BPF_JMP | BPF_JSET | BPF_K: jump((a & op.k) != 0); break;
      case BPF_RET | BPF_K:
        if (op.k == SECCOMP_RET_ALLOW) return 0;
        return (op.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO ? static_cast<int>(op.k & SECCOMP_RET_DATA) : -1;
      default: return -1;
    }
  }
  return -1;
}

TEST(Seccomp, MountsAndNamespacesAreRefused) {
  for (const long call : {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_tree, SYS_move_mount, SYS_fsopen,
                          SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_unshare, SYS_setns,
                          SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_quotactl, SYS_swapon, SYS_fanotify_init})
    EXPECT_EQ(answer(call), EPERM) << call;
}

TEST(Seccomp, OtherProcessesAreRefused) {
  for (const long call :
       {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise})
    EXPECT_EQ(answer(call), EPERM) << call;
}

TEST(Seccomp, KeyringsAreRefused) {
  for (const long call : {SYS_keyctl, SYS_add_key, SYS_request_key}) EXPECT_EQ(answer(call), EPERM) << call;
}

TEST(Seccomp, IoUringIsRefused) {
  for (const long call : {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register})
    EXPECT_EQ(answer(call), EPERM) << call;
}

TEST(Seccomp, KernelProgramsAndFaultsAreRefused) {
  for (const long call : {SYS_bpf, SYS_perf_event_open, SYS_userfaultfd}) EXPECT_EQ(answer(call), EPERM) << call;
}

TEST(Seccomp, ModulesBootAndClockAreRefused) {
  for (const long call :
       {SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_acct,
        SYS_syslog, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname})
    EXPECT_EQ(answer(call), EPERM) << call;
}

TEST(Seccomp, CloneMakesNoNamespace) {
  const std::uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                               CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  EXPECT_EQ(answer(SYS_clone, {thread}), 0);
  EXPECT_EQ(answer(SYS_clone, {SIGCHLD}), 0);
  for (const std::uint64_t flag :
       {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    EXPECT_EQ(answer(SYS_clone, {flag | SIGCHLD}), EPERM) << flag;
    EXPECT_EQ(answer(SYS_clone, {CLONE_NEWUSER | flag | SIGCHLD}), EPERM) << flag;
  }
  EXPECT_EQ(answer(SYS_clone3), ENOSYS) << "its flags cannot be read; libc falls back to clone";
}

TEST(Seccomp, OnlyUsualSocketFamilies) {
  for (const std::uint64_t family : {AF_UNIX, AF_INET, AF_INET6}) EXPECT_EQ(answer(SYS_socket, {family}), 0) << family;
  EXPECT_EQ(answer(SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}), 0) << "getifaddrs() needs it";
  for (std::uint64_t protocol = 1; protocol < 32; ++protocol)
    EXPECT_EQ(answer(SYS_socket, {AF_NETLINK, SOCK_RAW, protocol}), EAFNOSUPPORT) << protocol;
  for (std::uint64_t family = 0; family < 64; ++family) {  // AF_ALG, AF_VSOCK, AF_PACKET, ...
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) continue;
    EXPECT_EQ(answer(SYS_socket, {family}), EAFNOSUPPORT) << family;
  }
  EXPECT_EQ(answer(SYS_socket, {(1ULL << 32) | AF_ALG}), EAFNOSUPPORT) << "the upper half is not part of an int";
  EXPECT_EQ(answer(SYS_socketpair, {AF_UNIX}), 0);
  EXPECT_EQ(answer(SYS_socketpair, {AF_TIPC}), EAFNOSUPPORT);
}

TEST(Seccomp, ForeignArchitecturesAreRefused) {
  EXPECT_EQ(answer(SYS_read, {}, AUDIT_ARCH_I386), EPERM);
#if defined(__x86_64__)
  EXPECT_EQ(answer(0x40000000 | SYS_read), EPERM) << "x32";
#endif
}

TEST(Seccomp, UnknownCallsFailWithEnosys) {
  EXPECT_EQ(answer(1000), ENOSYS);
  EXPECT_EQ(answer(SYS_personality, {0x0040000}), ENOSYS) << "without address randomisation";
  EXPECT_EQ(answer(SYS_personality, {0xffffffff}), 0);
}

TEST(Seccomp, CallsOfCommonProgramsAreAllowed) {
  for (const long call : {SYS_openat,
                          SYS_openat2,
                          SYS_faccessat2,
                          SYS_statx,
                          SYS_close_range,
                          SYS_mmap,
                          SYS_mprotect,
                          SYS_madvise,
                          SYS_mlock,
                          SYS_memfd_create,
                          SYS_futex,
                          SYS_membarrier,
                          SYS_rseq,
                          SYS_sched_setaffinity,
                          SYS_epoll_pwait2,
                          SYS_execve,
                          SYS_wait4,
                          SYS_prctl,
                          SYS_setresuid,
                          SYS_setgroups,
                          SYS_capset,
                          SYS_bind,
                          SYS_sendmsg,
                          SYS_getrandom,
                          SYS_io_submit,
                          SYS_shmget,
                          SYS_mq_open,
                          SYS_seccomp,
                          SYS_landlock_create_ruleset,
                          SYS_ioctl})
    EXPECT_EQ(answer(call), 0) << call;
}

/// In a separate process, with the filter applied by the kernel: the error of a call, 0 for none.
int under_filter(int (*work)()) {
  static std::vector<sock_filter> code = program();
  const pid_t child = ::fork();
  if (child == 0) {
    const sock_fprog prog{static_cast<unsigned short>(code.size()), code.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
      ::_exit(255);
    ::_exit(work());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Seccomp, TheKernelAcceptsTheFilter) {
  EXPECT_EQ(under_filter([] { return ::socket(AF_ALG, SOCK_SEQPACKET, 0) < 0 ? errno : 0; }), EAFNOSUPPORT);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0) < 0 ? errno : 0; }), EPERM);
  EXPECT_EQ(under_filter([] { return ::unshare(CLONE_NEWUSER) < 0 ? errno : 0; }), EPERM);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_clone3, nullptr, 0) < 0 ? errno : 0; }), ENOSYS);
  EXPECT_EQ(under_filter([] {
              int sum = 0;
              std::thread([&] { sum = 42; }).join();
              return sum;
            }),
            42)
      << "threads start without clone3";
  EXPECT_EQ(under_filter([] { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }), 0);
}

}  // namespace
}  // namespace dms::executor
