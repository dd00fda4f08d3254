// What work in a sandbox sees and may do, and how its start fails.
#include "executor/sandbox/test_sandbox.hpp"

namespace dms::executor {
namespace {

TEST_F(SandboxTest, HelloAndExitCode) {
  const ExecutionResult r = run("echo hello; echo oops >&2; exit 3");
  EXPECT_EQ(r.out, "hello\n");
  EXPECT_EQ(r.err, "oops\n");
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_EQ(r.error_msg, "exit code 3");
  EXPECT_FALSE(r.killed);
  EXPECT_EQ(state(), State::failed);
  EXPECT_TRUE(fs::exists(dir_ / "results/job-1/stdout.log"));
}

TEST_F(SandboxTest, SuccessEnvironmentAndFolder) {
  Request r = request("echo $A; pwd; env | sort | cut -d= -f1 | tr '\\n' ' '; echo kept > file");
  r.engine.params.environment = {"A=two words"};
  r.work_dir = dir_ / "work";
  const ExecutionResult result = run(std::move(r));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "two words\n/work\nA HOME PATH PWD ") << result.out;
  EXPECT_EQ(state(), State::success);
  EXPECT_EQ(fs::file_size(dir_ / "work/file"), 5u) << "the allocation's folder outlives the run";
}

TEST_F(SandboxTest, ADeepWorkFolderOfAnEarlierRunIsHandedOverOrRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: owners are changed by root only";
  const auto start_with = [&](int levels, const std::string& id) {
    fs::path folder = dir_ / ("work-" + id);
    for (int i = 0; i < levels; ++i) folder /= "d";
    fs::create_directories(folder);
    std::ofstream(folder / "file") << "left";
    Request r = request("cat $(find . -type f)", id);
    r.work_dir = dir_ / ("work-" + id);
    return start(std::move(r));
  };
  const Result<void> shallow = start_with(100, "shallow");
  ASSERT_TRUE(shallow) << shallow.error().to_string();
  EXPECT_EQ(finish("shallow").out, "left");
  const Result<void> deep = start_with(300, "deep");
  ASSERT_FALSE(deep);
  EXPECT_THAT(deep.error().to_string(), HasSubstr("levels deep"));
}

TEST_F(SandboxTest, ArgumentsAreNotReadByAShell) {
  Request r = request("");
  r.engine.params.entrypoint = {"printf"};
  r.engine.params.cmd = {"%s|", "$(id)", "a b", "--", "X=1"};
  EXPECT_EQ(run(std::move(r)).out, "$(id)|a b|--|X=1|");
}

TEST_F(SandboxTest, PreloadedLibrariesDoNotRunWithPrivileges) {
  // The dynamic linker prints a warning for each program that starts with this environment: only the work.
  Request r = request("");
  r.engine.params.cmd = {"true"};
  r.engine.params.environment = {"LD_PRELOAD=/work/evil.so"};
  const std::string err = run(std::move(r)).err;
  EXPECT_THAT(err, HasSubstr("evil.so"));
  EXPECT_THAT(err, Not(HasSubstr("setpriv")));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

TEST_F(SandboxTest, FilesOfTheMachineAreNotAccessible) {
  std::ofstream(dir_ / "secret") << "secret";
  fs::permissions(dir_ / "secret", fs::perms::all);
  EXPECT_NE(run(request("cat " + (dir_ / "secret").string(), "a")).exit_code, 0);
  EXPECT_EQ(run(request("ls /root /home /var /run /sys /etc/shadow 2>/dev/null", "b")).out, "");
  EXPECT_EQ(run(request("ls / | tr '\\n' ' '; cut -d: -f1 /etc/passwd | tr '\\n' ' '", "c")).out.find("secret"),
            std::string::npos);
  EXPECT_THAT(run(request("touch /usr/x /x /etc/x /dev/x 2>&1", "d")).out, Not(HasSubstr("usage")));
  EXPECT_EQ(run(request("touch /usr/x || touch /x || touch /etc/x || touch /dev/x", "e")).exit_code, 1);
  EXPECT_EQ(run(request("touch /tmp/x /dev/shm/x /work/x", "f")).exit_code, 0);
}

TEST_F(SandboxTest, OtherProcessesAndTheNetworkAreNotAccessible) {
  EXPECT_EQ(run(request("kill -0 " + std::to_string(::getpid()), "a")).exit_code, 1);
  const std::string processes = run(request("ls -d /proc/[0-9]* | wc -l", "b")).out;
  EXPECT_LE(std::stoi(processes), 5);
  EXPECT_EQ(run(request("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n'", "c")).out, "lo");
  EXPECT_EQ(run(request("tail -n +2 /proc/net/route", "d")).out, "");
}

TEST_F(SandboxTest, TheSocketOfItsActorIsReachedAndNotReplaced) {
  const fs::path folder = dir_ / "actor";
  fs::create_directories(folder);
  auto listener = runtime_.runtime().net.listen_unix((folder / kActorSocket).string(), 0666);
  ASSERT_TRUE(listener) << listener.error().to_string();
  Request r = request(
      "rm /run/nunet/actor.sock 2>/dev/null && echo removed; touch /run/nunet/file 2>/dev/null && echo written\n"
      "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"/run/nunet/actor.sock\"); "
      "print(s.makefile().readline())'");
  r.actor_dir = folder;
  const Result<void> started = start(std::move(r));
  ASSERT_TRUE(started) << started.error().to_string();
  auto accepted = runtime_.run(with_timeout(20s, (*listener)->accept()));
  ASSERT_TRUE(accepted) << out();
  ASSERT_TRUE(runtime_.run(accepted->stream->write(as_bytes("hello\n"))));
  EXPECT_EQ(finish().out, "hello\n\n");
  (*listener)->close();
}

TEST_F(SandboxTest, ExitCodesAreNotTakenForSignals) {
  EXPECT_EQ(run(request("exit 255", "a")).error_msg, "exit code 255");
  EXPECT_EQ(run(request("exit 200", "b")).error_msg, "exit code 200");
  EXPECT_EQ(run(request("exit 129", "c")).error_msg, "exit code 129, perhaps SIGHUP");
  const ExecutionResult killed = run(request("kill -TERM $$", "d"));
  EXPECT_EQ(killed.exit_code, 143);
  EXPECT_EQ(killed.error_msg, "exit code 143, perhaps SIGTERM");
}

TEST_F(SandboxTest, LocalhostAndTheHostNameResolve) {
  const ExecutionResult r = run("getent ahosts localhost; echo own; getent hosts $(hostname)");
  EXPECT_EQ(r.exit_code, 0) << r.err;
  const std::string of_localhost = r.out.substr(0, r.out.find("own"));
  EXPECT_THAT(of_localhost, HasSubstr("127.0.0.1"));
  EXPECT_THAT(of_localhost, HasSubstr("::1"));
  EXPECT_THAT(r.out.substr(r.out.find("own")), HasSubstr("sandbox"));
  EXPECT_THAT(run(request("getent hosts localhost", "b")).out, HasSubstr("::1"));
  const ExecutionResult bound =
      run(request("perl -MIO::Socket::INET -e 'IO::Socket::INET->new(Listen => 1, "
                  "LocalAddr => \"localhost\") or die $@; print \"bound\"'",
                  "c"));
  EXPECT_EQ(bound.out, "bound") << bound.err;
}

TEST_F(SandboxTest, MetricsCountExecutions) {
  metrics::Registry registry;
  sandbox_->register_with(registry);
  run(request("true", "a"));
  run(request("exit 3", "b"));
  Request verbose = request("head -c 100000 /dev/zero", "c");
  verbose.log_limit = 1000;
  run(std::move(verbose));
  ASSERT_TRUE(start(request("sleep 1000", "d")));
  const auto value = [&](std::string_view name, std::string outcome = {}) {
    metrics::Labels labels{{"executor", "sandbox"}};
    if (!outcome.empty()) labels.emplace_back("outcome", std::move(outcome));
    return registry.snapshot().value(name, labels).value_or(-1);
  };
  EXPECT_EQ(value("nunet_executor_running"), 1);
  ASSERT_TRUE(runtime_.run(sandbox_->stop(ExecutionId("d"), 1h)));
  EXPECT_EQ(value("nunet_executor_running"), 0);
  EXPECT_EQ(value("nunet_executor_executions_total", "success"), 2);
  EXPECT_EQ(value("nunet_executor_executions_total", "failed"), 1);
  EXPECT_EQ(value("nunet_executor_executions_total", "killed"), 1);
  EXPECT_GE(value("nunet_executor_dropped_bytes_total"), 90000);
  EXPECT_EQ(value("nunet_executor_start_failures_total"), 0);
}

TEST_F(SandboxTest, NoPrivileges) {
  const std::string status = run(request("cat /proc/self/status; id -u", "a")).out;
  EXPECT_THAT(status, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("CapPrm:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(status, Not(HasSubstr("\n0\n"))) << "the work is not root";
  EXPECT_NE(run(request("unshare -U true", "b")).exit_code, 0) << "no further namespaces";
  EXPECT_NE(run(request("mount -t tmpfs x /tmp", "c")).exit_code, 0);
  EXPECT_NE(run(request("echo 1 > /proc/sys/kernel/hostname", "d")).exit_code, 0);
}

TEST_F(SandboxTest, AReasonHoldsTheBeginningOfWhatTheWorkWroteOnly) {
  const ExecutionResult loud = run(request("head -c 100000 /dev/zero | tr '\\0' '\\001' >&2; exit 127", "long"));
  EXPECT_EQ(loud.exit_code, 127);
  EXPECT_LT(loud.error_msg.size(), 400U);
  EXPECT_THAT(loud.error_msg, HasSubstr("\\x01"));
}

TEST_F(SandboxTest, AFailedStartReportsItsCause) {
  Request unknown = request("");
  unknown.engine.params.cmd = {"no-such-program"};
  const ExecutionResult r = run(std::move(unknown));
  EXPECT_EQ(r.exit_code, 127);
  EXPECT_THAT(r.error_msg, HasSubstr("no-such-program"));

  Request no_results = request("true", "c");
  no_results.results_dir = "/proc/missing_folder";
  auto started = start(std::move(no_results));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().to_string(), HasSubstr("/proc/missing_folder"));
  EXPECT_EQ(runtime_.run(sandbox_->list())->size(), 1u) << "nothing remains of a failed start";
}

TEST_F(SandboxTest, AWorkingDirectoryThatIsMissingIsMade) {
  int number = 0;
  const auto work_in = [&](std::string folder, std::string script = "pwd; echo x >file && cat file") {
    Request r = request(std::move(script), fmt::format("job-{}", ++number));
    r.work_dir = dir_ / "work";
    r.engine.params.working_directory = std::move(folder);
    return r;
  };
  for (const char* folder : {"/work/a/b", "a/c/", "/tmp/d/e", "/work"}) {
    const ExecutionResult result = run(work_in(folder));
    EXPECT_EQ(result.exit_code, 0) << folder << ": " << result.error_msg << result.err;
    EXPECT_THAT(result.out, HasSubstr("x\n")) << folder;
  }
  EXPECT_TRUE(fs::exists(dir_ / "work/a/b/file"));
  EXPECT_TRUE(fs::exists(dir_ / "work/a/c/file"));
  EXPECT_EQ(run(work_in("a", "ln -s c link && echo y >c/of")).exit_code, 0);
  EXPECT_EQ(run(work_in("a/link", "cat of")).out, "y\n") << "a link that leads to a folder is entered";
}

TEST_F(SandboxTest, AWorkingDirectoryThatCannotBeEnteredIsNamed) {
  fs::create_directories(dir_ / "work");
  std::ofstream(dir_ / "work/file") << "x";
  fs::create_directory_symlink(dir_ / "outside", dir_ / "work/link");
  const auto work_in = [&](const char* folder, const char* id) {
    Request r = request("true", id);
    r.work_dir = dir_ / "work";
    r.engine.params.working_directory = folder;
    return r;
  };
  const Result<void> refused = start(work_in("file/below", "a"));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::invalid_argument)) << refused.error().to_string();
  EXPECT_THAT(refused.error().to_string(), HasSubstr("working_directory 'file/below': expected a folder"));
  const ExecutionResult lost = run(work_in("link/below", "b"));
  EXPECT_EQ(lost.exit_code, 125);
  EXPECT_THAT(lost.error_msg, HasSubstr("working_directory 'link/below': expected a folder that the work may enter"));
  EXPECT_FALSE(fs::exists(dir_ / "outside")) << "no link of the work is followed";
}

TEST_F(SandboxTest, RefusesUnsupportedParameters) {
  const auto refused = [&](auto change) {
    Request r = request("true", "x");
    change(r);
    auto started = start(std::move(r));
    return !started && (started.error().is(Errc::invalid_argument) || started.error().is(Errc::permission_denied));
  };
  EXPECT_TRUE(refused([](Request& r) { r.engine.type = "docker"; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.image = "debian"; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.privileged = true; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.user = "root"; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.cmd.clear(); }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.cmd = {"A=1"}; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.environment = {"novalue"}; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.working_directory = "../etc"; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.working_directory = "/etc"; }));
  EXPECT_TRUE(refused([](Request& r) { r.execution_id = ExecutionId("../x"); }));
  EXPECT_TRUE(refused([](Request& r) { r.execution_id = ExecutionId(""); }));
  EXPECT_TRUE(refused([](Request& r) { r.results_dir = "relative"; }));
  EXPECT_TRUE(refused([](Request& r) { r.limits.cpu_cores = -1; }));
  EXPECT_TRUE(refused([](Request& r) { r.limits.memory_bytes = 1; }));
  EXPECT_FALSE(runtime_.run(sandbox_->wait(ExecutionId("x"))));
}

TEST(SandboxWithoutRoot, TheSameTestsPass) {
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: the tests themselves run without root";
  RealRuntime runtime;
  RealProcesses processes(runtime.runtime().lane);
  const auto as_nobody = [&](std::vector<std::string> command) {
    ProcessSpec spec;
    spec.argv = {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    spec.argv.insert(spec.argv.end(), command.begin(), command.end());
    spec.env = {"PATH=/usr/bin:/bin", "TMPDIR=/tmp"};
    spec.cwd = "/";
    return runtime.run(run_process(processes, std::move(spec), 1 << 20));
  };
  // What bubblewrap needs without root. Not available in a chroot, in a container, or where the kernel forbids it.
  const auto allowed = as_nobody({"/usr/bin/unshare", "--user", "--map-root-user", "--mount", "--net", "--pid",
                                  "--fork", "--mount-proc", "/bin/true"});
  if (!allowed) GTEST_SKIP() << "skipped: " << allowed.error().to_string();
  if (allowed->exit.shell_code() != 0)
    GTEST_SKIP() << "skipped: unprivileged user namespaces are not allowed here (" << allowed->err << ")";
  const std::string self = fs::read_symlink("/proc/self/exe");
  const auto run =
      as_nobody({self, "--gtest_filter=SandboxTest.*:SandboxOutputTest.*:SandboxRestartTest.*:SandboxEnterTest.*"});
  ASSERT_TRUE(run) << run.error().to_string();
  if (run->exit.code == 126 || run->err.find("Permission denied") != std::string::npos)
    GTEST_SKIP() << "skipped: another user may not execute " << self;
  EXPECT_EQ(run->exit.code, 0) << run->out.substr(run->out.size() > 6000 ? run->out.size() - 6000 : 0);
  EXPECT_THAT(run->out, HasSubstr("[       OK ] SandboxTest.HelloAndExitCode"));
}

}  // namespace
}  // namespace dms::executor
