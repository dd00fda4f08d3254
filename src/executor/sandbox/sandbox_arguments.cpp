#include "executor/sandbox/sandbox_arguments.hpp"

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
  // Made explicitly: bubblewrap makes the parent folders of a mount accessible to root only.
  add(args, {"--perms", "0755", "--dir", "/etc"});
  for (const char* file : {"/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"})
    add(args, {"--ro-bind-try", file, file});
  if (!network) return;
  for (const char* file : {"/etc/resolv.conf", "/etc/ssl/certs", "/etc/ca-certificates"})
    add(args, {"--ro-bind-try", file, file});
}

/// /tmp is empty at each start.
void add_folder_in_tmp(Args& args, const std::string& folder) {
  fs::path made("/tmp");
  for (const fs::path& part : fs::path(folder).lexically_relative(made)) {
    if (part.empty() || part == ".") continue;
    made /= part;
    add(args, {"--perms", "0777", "--dir", made.string()});
  }
}

void add_writable(Args& args, const SandboxPlan& plan) {
  const std::string size = std::to_string(plan.tmp_bytes);
  add(args, {"--proc", "/proc", "--dev", "/dev"});
  for (const char* dir : {"/tmp", "/dev/shm"}) add(args, {"--perms", "1777", "--size", size, "--tmpfs", dir});
  if (plan.working_directory.starts_with("/tmp/")) add_folder_in_tmp(args, plan.working_directory);
  add(args, {"--bind", plan.work_dir.string(), "/work", "--chdir", "/"});
  // Read-only: work connects to the socket in it, and changes nothing there.
  if (!plan.actor_dir.empty()) {
    add(args, {"--perms", "0755", "--dir", "/run"});
    add(args, {"--ro-bind", plan.actor_dir.string(), kActorFolder});
  }
  // The root is a tmpfs outside every limit.
  add(args, {"--remount-ro", "/dev", "--remount-ro", "/"});
}

}  // namespace

Result<std::string> inner_directory(const std::string& wanted) {
  const fs::path path = (fs::path("/work") / wanted).lexically_normal();
  const std::string text = path.string();
  for (const std::string root : {"/work", "/tmp"})
    if (text == root || text == root + "/" || text.starts_with(root + "/")) return text;
  return fail(Errc::invalid_argument, "working_directory '{}': expected a folder below /work or /tmp", wanted);
}

Result<void> check_sandbox_engine(const EngineSpec& engine) {
  const EngineParams& p = engine.params;
  if (engine.type != "sandbox")
    return fail(Errc::invalid_argument, "execution type '{}': this executor runs 'sandbox'", engine.type);
  if (!p.image.empty())
    return fail(Errc::invalid_argument, "image: not supported; the sandbox runs programs of this machine");
  if (!p.user.empty()) return fail(Errc::invalid_argument, "user: not supported; the sandbox assigns the user");
  if (p.privileged) return fail(Errc::permission_denied, "privileged: not supported by the sandbox");
  if (p.entrypoint.empty() && p.cmd.empty())
    return fail(Errc::invalid_argument, "cmd: expected a program and its arguments");
  const std::string& program = p.entrypoint.empty() ? p.cmd.front() : p.entrypoint.front();
  if (program.empty() || program.find('=') != std::string::npos || program.front() == '-')
    return fail(Errc::invalid_argument, "cmd: '{}' is not a usable program name", program);
  return {};
}

std::vector<std::string> full_environment(std::vector<std::string> environment) {
  const auto lacks = [&](std::string_view key) {
    return std::none_of(environment.begin(), environment.end(),
                        [&](const std::string& e) { return e.starts_with(key); });
  };
  if (lacks("PATH=")) environment.emplace_back("PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
  if (lacks("HOME=")) environment.emplace_back("HOME=/work");
  return environment;
}

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
  // Readable by the work's user: by default bubblewrap makes such files and their folder accessible to root only.
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
  // The working directory is entered after that: root without capabilities has no access to it.
  add(args, {"--", "/usr/bin/env", "-i", "-C", plan.working_directory, "--"});
  args.insert(args.end(), plan.environment.begin(), plan.environment.end());
  args.insert(args.end(), plan.command.begin(), plan.command.end());
  return args;
}

}  // namespace dms::executor
