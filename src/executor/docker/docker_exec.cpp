// How a Docker runs commands in its containers, and ends them with all that they leave.
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.hpp"
#include "base/log.hpp"
#include "executor/docker/docker_run.hpp"
#include "executor/docker/docker_stream.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {
constexpr int kPasses = 4;
}

Task<Result<ExecOutput>> Docker::exec(ExecutionId id, std::vector<std::string> argv) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (argv.empty()) co_return fail(Errc::invalid_argument, "exec: expected a program and its arguments");
  const std::string mark = fmt::format("NUNET_COMMAND={:016x}", nursery_.lane().random().u64());
  json::Writer w;
  w.begin_object().key("AttachStdout").boolean(true).key("AttachStderr").boolean(true).key("Cmd");
  json::write(w, argv);
  w.key("Env");
  json::write(w, std::vector<std::string>{mark});
  w.end_object();
  CO_TRY(const bool free, co_await end_command(run));
  if (!free) co_return fail(Errc::already_exists, "the command before has not ended yet");
  const std::string create = "/containers/" + run->name + "/exec";
  CO_TRY(const json::Value created, co_await api_.call("POST", create, w.take()));
  const std::string exec_id = json_text(created, {"Id"});
  if (exec_id.empty() || exec_id.find_first_not_of("0123456789abcdef") != std::string::npos)
    co_return fail(Errc::io, "Docker engine: exec without an id");
  Result<ExecOutput> output = co_await run_command(exec_id);
  if (output) {
    co_await end_marked(run, mark);
  } else {
    run->given_up = exec_id;
    run->given_up_mark = mark;
    nursery_.spawn(end_command_logged(run));
  }
  co_return std::move(output);
}

Task<Result<ExecOutput>> Docker::run_command(std::string exec_id) {
  ExecOutput output;
  DockerDemux demux([&](DockerDemux::Channel channel, BytesView part, bool) {
    std::string& text = channel == DockerDemux::Channel::out ? output.out : output.err;
    text.append(as_text(part.first(std::min(part.size(), kResultOutputLimit - text.size()))));
  });
  const std::string begin_path = "/exec/" + exec_id + "/start";
  std::string begin_body = R"({"Detach":false,"Tty":false})";
  CO_TRY(DockerApi::Stream stream, co_await api_.stream("POST", begin_path, std::move(begin_body)));
  Bytes chunk(16 * 1024);
  for (;;) {
    CO_TRY(const std::size_t got, co_await stream.body->read_some(chunk));
    if (got == 0) break;
    CO_TRY_VOID(demux.feed(BytesView(chunk).first(got)));
  }
  const std::string inspect = "/exec/" + exec_id + "/json";
  CO_TRY(const json::Value details, co_await api_.call("GET", inspect));
  output.exit_code = static_cast<int>(json_int(details, {"ExitCode"}));
  co_return std::move(output);
}

namespace {
bool is_running(const json::Value& exec) {
  const json::Value* running = json_at(exec, {"Running"});
  return running != nullptr && running->is_bool() && running->get_bool();
}

/// The engine may be on another machine, such as a virtual one, whose numbers mean other processes here.
bool belongs_to(std::int64_t pid, const std::string& container) {
  const Result<std::string> groups = read_file(fmt::format("/proc/{}/cgroup", pid), 16 * 1024);
  return groups && !container.empty() && groups->find(container) != std::string::npos;
}

/// In what it began with: a process that has changed its environment since has the mark all the same.
bool has_mark(std::int64_t pid, const std::string& mark) {
  const Result<std::string> environment = read_file(fmt::format("/proc/{}/environ", pid), 1024 * 1024);
  return environment && environment->find(mark) != std::string::npos;
}

/// How many processes of the container with the mark were killed.
int kill_marked(const std::string& container, const std::string& mark) {
  int killed = 0;
  std::error_code ec;
  for (fs::directory_iterator it("/proc", ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::int64_t pid = std::stoll(name);
    if (!belongs_to(pid, container)) continue;
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
    // Of a later process of that number the descriptor is none.
    if (process && belongs_to(pid, container) && has_mark(pid, mark) &&
        ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) == 0)
      ++killed;
  }
  return killed;
}
}  // namespace

/// What a command has left in its container, also in sessions of its own: it has the environment of the command.
Task<void> Docker::end_marked(RunPtr run, std::string mark) {
  if (options_.user != 0 || run->container.empty()) co_return;  // others may neither see nor kill it
  auto killing = [&run, &mark] {
    int killed = 0;
    for (int pass = 0; pass < kPasses; ++pass) {  // one that was killed may have made another one before
      const int now = kill_marked(run->container, mark);
      killed += now;
      if (now == 0) break;
    }
    return killed;
  };
  const int killed = co_await offload(killing);
  if (killed > 0)
    log::debug("executor", "{} processes that a command has left in container {} are ended", killed, run->name);
}

/// Kills the command that was given up, if there is one. True if it has ended.
Task<Result<bool>> Docker::end_command(RunPtr run) {
  const std::string id = run->given_up;
  if (id.empty()) co_return true;
  const std::string path = "/exec/" + id + "/json";
  Result<json::Value> before = co_await api_.call("GET", path);
  if (!before && !before.error().is(Errc::not_found)) co_return std::unexpected(before.error());
  const std::string mark = run->given_up_mark;
  if (!before || !is_running(*before)) {
    co_await end_marked(run, mark);
    if (run->given_up == id) run->given_up.clear();
    co_return true;
  }
  const auto pid = json_int(*before, {"Pid"});
  if (pid <= 0) co_return false;
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  // It is the command before and after it is opened.
  CO_TRY(const json::Value after, co_await api_.call("GET", path));
  if (process && is_running(after) && json_int(after, {"Pid"}) == pid && belongs_to(pid, run->container))
    (void)::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  co_await end_marked(run, mark);
  co_return false;
}

Task<void> Docker::end_command_logged(RunPtr run) {
  const Result<bool> ended = co_await end_command(run);
  if (!ended) log::warn("executor", "a command in container {} may remain: {}", run->name, ended.error().to_string());
}

}  // namespace dms::executor
