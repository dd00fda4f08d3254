#include <filesystem>

#include "executor/sandbox/sandbox.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

using Args = std::vector<std::string>;

void add(Args& args, std::initializer_list<std::string_view> more) {
  args.insert(args.end(), more.begin(), more.end());
}

/// The machine's programs and libraries, and of /etc only what programs need to start.
void add_system(Args& args, bool network) {
  add(args, {"--ro-bind", "/usr", "/usr"});
  std::error_code ec;
  for (const char* dir : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    if (fs::is_symlink(dir, ec))
      add(args, {"--symlink", fs::read_symlink(dir, ec).string(), dir});
    else if (fs::is_directory(dir, ec))
      add(args, {"--ro-bind", dir, dir});
  }
  // Made explicitly: bubblewrap makes parents of what it binds private to root.
  add(args, {"--perms", "0755", "--dir", "/etc"});
  for (const char* file : {"/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"})
    add(args, {"--ro-bind-try", file, file});
  if (!network) return;
  for (const char* file : {"/etc/resolv.conf", "/etc/ssl/certs", "/etc/ca-certificates"})
    add(args, {"--ro-bind-try", file, file});
}

void add_writable(Args& args, const SandboxPlan& plan) {
  const std::string size = std::to_string(plan.tmp_bytes);
  add(args, {"--proc", "/proc", "--dev", "/dev"});
  for (const char* dir : {"/tmp", "/dev/shm"}) add(args, {"--perms", "1777", "--size", size, "--tmpfs", dir});
  add(args, {"--bind", plan.work_dir.string(), "/work", "--chdir", "/"});
  // The root itself is memory outside every limit.
  add(args, {"--remount-ro", "/dev", "--remount-ro", "/"});
}

}  // namespace

Args sandbox_arguments(const SandboxPlan& plan) {
  Args args;
  add(args, {"--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"});
  if (!plan.network) add(args, {"--unshare-net"});
  add(args, {"--cap-drop", "ALL"});
  if (plan.uid)
    // What setpriv needs to drop the rest.
    add(args, {"--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"});
  else
    add(args, {"--unshare-user", "--uid", "1000", "--gid", "1000"});
  add_system(args, plan.network);
  // Readable by the work's user: bubblewrap makes such files, and their folder, private to root otherwise.
  const std::pair<int, const char*> data[] = {{plan.passwd_fd, "/etc/passwd"},
                                              {plan.group_fd, "/etc/group"},
                                              {plan.hosts_fd, "/etc/hosts"},
                                              {plan.nsswitch_fd, "/etc/nsswitch.conf"},
                                              {plan.host_conf_fd, "/etc/host.conf"}};
  for (const auto& [fd, file] : data) add(args, {"--perms", "0644", "--ro-bind-data", std::to_string(fd), file});
  add_writable(args, plan);
  add(args, {"--seccomp", std::to_string(plan.seccomp_fd)});
  add(args, {"--json-status-fd", std::to_string(plan.status_fd), "--die-with-parent", "--clearenv", "--"});
  // env sets the work's environment after every privilege is dropped: a library that it preloads would otherwise run as
  // root.
  add(args, {"/usr/bin/setpriv", "--no-new-privs"});
  if (plan.uid) {
    const std::string uid = std::to_string(*plan.uid);
    add(args, {"--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"});
  }
  // The folder is entered then too: it is closed to root without capabilities.
  add(args, {"--", "/usr/bin/env", "-i", "-C", plan.working_directory, "--"});
  args.insert(args.end(), plan.environment.begin(), plan.environment.end());
  args.insert(args.end(), plan.command.begin(), plan.command.end());
  return args;
}

}  // namespace dms::executor
