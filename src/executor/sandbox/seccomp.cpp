#include "executor/sandbox/seccomp.hpp"

#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "executor/sandbox/seccomp_calls.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

namespace {

constexpr std::uint32_t kNamespaceFlags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                             CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};

/// Values of personality(): none, 32-bit, Linux 2.6, both, and the query of the current value.
constexpr std::uint32_t kPersonalities[] = {0, 0x8, 0x20000, 0x20008, 0xffffffff};

/// Collects rules; the first failure is kept.
class Rules {
 public:
  Rules() : context_(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), ::seccomp_release) {
    if (!context_) {
      keep("seccomp_init", -ENOMEM);
      return;
    }
    keep("the action for foreign architectures",
         ::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM)));
    keep("a binary tree", ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  }

  void add(const char* name, std::uint32_t action, std::vector<scmp_arg_cmp> arguments = {}) {
    if (!outcome_) return;
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number < 0) return;  // not on this architecture, or unknown to this libseccomp: ENOSYS, by (3)
    keep(name, ::seccomp_rule_add_array(context_.get(), action, number, static_cast<unsigned>(arguments.size()),
                                        arguments.data()));
  }

  Result<Bytes> take() {
    if (!outcome_) return std::unexpected(outcome_.error());
    const Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) return fail(Errc::io, "make a memory file for the seccomp filter: {}", std::strerror(errno));
    keep("export", ::seccomp_export_bpf(context_.get(), file.get()));
    if (!outcome_) return std::unexpected(outcome_.error());
    Bytes filter(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)));
    if (::pread(file.get(), filter.data(), filter.size(), 0) != static_cast<ssize_t>(filter.size()))
      return fail(Errc::io, "read the seccomp filter: {}", std::strerror(errno));
    return filter;
  }

 private:
  void keep(std::string_view what, int code) {
    if (code < 0 && outcome_) outcome_ = fail(Errc::unsupported, "seccomp filter: {}: {}", what, std::strerror(-code));
  }

  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
  Result<void> outcome_;
};

void add_clone(Rules& rules) {
  std::uint64_t all = 0;
  for (const std::uint32_t flag : kNamespaceFlags) {
    all |= flag;
    rules.add("clone", SCMP_ACT_ERRNO(EPERM), {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)});
  }
  rules.add("clone", SCMP_ACT_ALLOW, {SCMP_A0(SCMP_CMP_MASKED_EQ, all, 0)});
}

/// The upper half of an int argument is not defined, so only the lower half is compared.
void add_sockets(Rules& rules) {
  for (const unsigned family : {AF_UNIX, AF_INET, AF_INET6})
    rules.add("socket", SCMP_ACT_ALLOW, {SCMP_A0_32(SCMP_CMP_EQ, family)});
  rules.add("socket", SCMP_ACT_ALLOW,
            {SCMP_A0_32(SCMP_CMP_EQ, unsigned{AF_NETLINK}), SCMP_A2_32(SCMP_CMP_EQ, unsigned{NETLINK_ROUTE})});
  rules.add("socket", SCMP_ACT_ERRNO(EAFNOSUPPORT),
            {SCMP_A0_32(SCMP_CMP_EQ, unsigned{AF_NETLINK}), SCMP_A2_32(SCMP_CMP_GT, unsigned{NETLINK_ROUTE})});
  for (unsigned family = 0; family < AF_NETLINK; ++family)
    if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
      rules.add("socket", SCMP_ACT_ERRNO(EAFNOSUPPORT), {SCMP_A0_32(SCMP_CMP_EQ, family)});
  rules.add("socket", SCMP_ACT_ERRNO(EAFNOSUPPORT), {SCMP_A0_32(SCMP_CMP_GT, unsigned{AF_NETLINK})});
  rules.add("socketpair", SCMP_ACT_ALLOW, {SCMP_A0_32(SCMP_CMP_EQ, unsigned{AF_UNIX})});
  rules.add("socketpair", SCMP_ACT_ERRNO(EAFNOSUPPORT), {SCMP_A0_32(SCMP_CMP_NE, unsigned{AF_UNIX})});
}

Result<Bytes> make_filter() {
  Rules rules;
  for (const char* name : kAllowedCalls) rules.add(name, SCMP_ACT_ALLOW);
  for (const char* name : kRefusedCalls) rules.add(name, SCMP_ACT_ERRNO(EPERM));
  for (const std::uint32_t value : kPersonalities)
    rules.add("personality", SCMP_ACT_ALLOW, {SCMP_A0_32(SCMP_CMP_EQ, value)});
  add_clone(rules);
  add_sockets(rules);
  return rules.take();
}

}  // namespace

const Result<Bytes>& seccomp_filter() {
  static const Result<Bytes> filter = make_filter();
  return filter;
}

}  // namespace dms::executor
