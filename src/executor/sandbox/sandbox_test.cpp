#include <sys/mount.h>

#include "executor/sandbox/process_tree.hpp"
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

TEST_F(SandboxTest, SameIdTwiceIsRefused) {
  run("true");
  auto again = start(request("true"));
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().is(Errc::already_exists));
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("job-1"))));
  EXPECT_TRUE(start(request("true")));
}

TEST_F(SandboxTest, MemoryLimitEndsTheWork) {
  if (!groups() || !groups()->holds("memory")) GTEST_SKIP() << "skipped: no memory control group is writable";
  Request r = request("echo start; tail /dev/zero; echo survived; sleep 1000");
  r.limits.memory_bytes = 32 * 1024 * 1024;
  const ExecutionResult result = run(std::move(r));
  EXPECT_TRUE(result.killed);
  EXPECT_THAT(result.error_msg, HasSubstr("memory limit"));
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("start"));
}

TEST_F(SandboxTest, TheEndOfARunSaysWhatItHasUsed) {
  if (!groups()) GTEST_SKIP() << "skipped: no control groups are writable";
  const ExecutionResult result = run(request("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_GT(result.cpu_seconds, 0.01);
  EXPECT_GT(result.memory_bytes, 100'000u);
}

TEST_F(SandboxTest, WithoutControlGroupsTheProcessesOfARunAreCounted) {
  fs::create_directories(dir_ / "no groups");
  SandboxOptions without = options();
  without.cgroup_root = dir_ / "no groups";
  runtime_.run(sandbox_->close());
  sandbox_ = std::make_unique<Sandbox>(runtime_.runtime().lane, processes_, without);
  ASSERT_THAT(std::string(sandbox_->enforcement()), HasSubstr("rlimit"));
  EXPECT_THAT(sandbox_->unenforced(), HasSubstr("processor time is not limited, memory is limited for each process"));
  EXPECT_THAT(sandbox_->unenforced(), HasSubstr("no hierarchy of control groups is mounted"));
  const ExecutionResult result = run(
      request("perl -e 'my $x = \"x\" x 64_000_000; 1 while (times)[0] < 0.1'; perl -e '1 while (times)[0] < 0.1'"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GE(result.cpu_seconds, 0.2);
  EXPECT_GE(result.memory_bytes, 64'000'000u);
}

/// Of a second daemon on this machine. Neither has control groups.
class SandboxUsersTest : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    if (unusable_) return;
    if (::geteuid() != 0) GTEST_SKIP() << "skipped: only root gives each run a user";
    runtime_.run(sandbox_->close());
    sandbox_ = make("state");
    other_ = make("other");
  }
  void TearDown() override {
    if (other_) {
      remove_all(*other_);
      runtime_.run(other_->close());
      other_.reset();
    }
    SandboxTest::TearDown();
  }
  std::unique_ptr<Sandbox> make(const char* folder) {
    fs::create_directories(dir_ / "no groups");
    SandboxOptions without;
    without.state_dir = dir_ / folder;
    without.cgroup_root = dir_ / "no groups";
    return std::make_unique<Sandbox>(runtime_.runtime().lane, processes_, without);
  }
  ExecutionResult run_by_other(Request r) {
    const ExecutionId id = r.execution_id;
    const auto started = runtime_.run(other_->start(std::move(r)));
    EXPECT_TRUE(started) << started.error().to_string();
    return started ? *runtime_.run(other_->wait(id)) : ExecutionResult();
  }
  std::unique_ptr<Sandbox> other_;
};

TEST_F(SandboxUsersTest, WorkThatStartsAllProcessesItMayTakesNoneFromOthers) {
  Request greedy = request(
      "perl -e '$| = 1; my $n = 0; for (1..12) { my $p = fork; last unless defined $p; sleep 1000 unless $p; $n++ } "
      "print $n < 12 ? \"full\" : \"all\"; sleep 1000'");
  greedy.limits.pids = 8;
  ASSERT_TRUE(start(std::move(greedy)));
  until_output("full");
  for (int i = 0; i < 3; ++i) {
    Request modest = request("(sleep 0 & wait) && echo fine", fmt::format("modest-{}", i));
    modest.limits.pids = 8;
    EXPECT_EQ(run_by_other(modest).out, "fine\n") << "of another daemon";
    EXPECT_EQ(run(std::move(modest)).out, "fine\n") << "of the same daemon";
  }
}

TEST_F(SandboxUsersTest, AUserUnderWhichAProcessRunsIsNotTaken) {
  const auto user_of = [&](const char* id) { return std::stoul(run(request("id -u", id)).out); };
  const auto first = user_of("first");
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("first"))));
  ASSERT_EQ(user_of("again"), first) << "it is free again";
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("again"))));
  ProcessSpec spec;
  const std::string user = std::to_string(first);
  spec.argv = {"/usr/bin/setpriv", "--reuid", user, "--clear-groups", "/usr/bin/env", "sleep", "1000"};
  spec.env = {"PATH=/usr/bin:/bin"};
  auto left = processes_.spawn(std::move(spec));
  ASSERT_TRUE(left) << left.error().to_string();
  ASSERT_TRUE(until([&] { return users_of_processes().contains(static_cast<std::uint32_t>(first)); }));
  EXPECT_EQ(user_of("next"), first + 1);
  EXPECT_TRUE((*left)->kill(SIGKILL));
  EXPECT_TRUE(runtime_.run((*left)->wait()));
}

TEST_F(SandboxTest, LimitsAreSet) {
  if (!groups()) GTEST_SKIP() << "skipped: no control groups are writable";
  Request r = request("echo ready; sleep 1000");
  r.limits.cpu_cores = 0.5;
  r.limits.memory_bytes = 64 * 1024 * 1024;
  r.limits.pids = 17;
  ASSERT_TRUE(start(std::move(r)));
  const Cgroup* group = sandbox_->cgroup(ExecutionId("job-1"));
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(sandbox_->unenforced(), "");
  const bool v2 = sandbox_->enforcement() == "cgroup v2";
  EXPECT_EQ(group->read(v2 ? "cpu.max" : "cpu.cfs_quota_us"), v2 ? "50000 100000" : "50000");
  EXPECT_EQ(group->read(v2 ? "memory.max" : "memory.limit_in_bytes"), "67108864");
  EXPECT_EQ(group->read("pids.max"), "17");
  EXPECT_GE(group->pids().size(), 3u);
  auto stats = runtime_.run(sandbox_->stats(ExecutionId("job-1")));
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->memory_limit, 67108864u);
  EXPECT_GE(stats->pids, 3u);
}

TEST_F(SandboxTest, ProcessLimitHolds) {
  if (!groups() || !groups()->holds("pids")) GTEST_SKIP() << "skipped: no pids control group is writable";
  Request r = request("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo all started");
  r.limits.pids = 8;
  EXPECT_THAT(run(std::move(r)).out, Not(HasSubstr("all started")));
}

TEST_F(SandboxTest, StopHonoursTerm) {
  ASSERT_TRUE(start(request("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done")));
  until_output("ready");
  EXPECT_EQ(state(), State::running);
  ASSERT_TRUE(runtime_.run(sandbox_->stop(ExecutionId("job-1"), 1h)));
  const ExecutionResult r = finish();
  EXPECT_EQ(r.exit_code, 5);
  EXPECT_TRUE(r.killed);
  EXPECT_EQ(r.error_msg, "stopped on request");
  EXPECT_THAT(r.out, HasSubstr("bye"));
  EXPECT_TRUE(runtime_.run(sandbox_->stop(ExecutionId("job-1"), 0s))) << "stopping what has ended is no error";
}

TEST_F(SandboxTest, StopKillsAfterTheGrace) {
  ASSERT_TRUE(start(request("trap '' TERM; sleep 1000 & echo ready; while :; do sleep 0.01; done")));
  until_output("ready");
  ASSERT_TRUE(runtime_.run(sandbox_->stop(ExecutionId("job-1"), 50ms)));
  const ExecutionResult r = finish();
  EXPECT_EQ(r.exit_code, 137);
  EXPECT_TRUE(r.killed);
  EXPECT_THAT(r.error_msg, HasSubstr("did not end within 50 ms"));
  EXPECT_EQ(state(), State::failed);
}

TEST_F(SandboxTest, ChildProcessesEndWithTheWork) {
  const ExecutionResult r = run("(sleep 1000; echo late) & setsid sleep 1000 & echo done");
  EXPECT_EQ(r.out, "done\n");  // and TearDown finds no process and no control group
}

TEST_F(SandboxTest, PauseAndResume) {
  if (!groups()) GTEST_SKIP() << "skipped: no control groups are writable";
  const ExecutionId id("job-1");
  ASSERT_TRUE(start(request("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")));
  until_output("ready");
  ASSERT_TRUE(runtime_.run(sandbox_->pause(id)));
  EXPECT_EQ(state(), State::paused);
  ASSERT_TRUE(runtime_.run(sandbox_->resume(id)));
  EXPECT_EQ(state(), State::running);
  ASSERT_TRUE(runtime_.run(sandbox_->pause(id)));
  ASSERT_TRUE(runtime_.run(sandbox_->stop(id, 1h))) << "a paused execution can be stopped";
  EXPECT_EQ(finish().exit_code, 0);
}

TEST_F(SandboxTest, LogsAreBounded) {
  Request r = request("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo still here >&2; exit 4");
  r.log_limit = 1000;
  const ExecutionResult result = run(std::move(r));
  EXPECT_EQ(result.exit_code, 4) << "the work is not affected";
  EXPECT_THAT(result.out, HasSubstr(std::string(999, 'x') + "\n")) << "the newest bytes are kept";
  EXPECT_LT(result.out.size(), 10'000u);
  EXPECT_EQ(result.err, "still here\n");
  const auto page = runtime_.run(sandbox_->read_log(ExecutionId("job-1"), LogStream::out, 0, 10));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->total, 1'000'001u);
  EXPECT_EQ(page->offset, 1'000'001u - result.out.size()) << "the page says what is missing";
  EXPECT_TRUE(page->ended);
}

TEST_F(SandboxTest, EverythingIsReadWhileTheLogRotates) {
  Request r = request("i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo line $i; done");
  r.log_limit = 64 * 1024 * 1024;
  ASSERT_TRUE(start(std::move(r)));
  std::string all;
  ASSERT_TRUE(until([&] {
    auto page = runtime_.run(sandbox_->read_log(ExecutionId("job-1"), LogStream::out, all.size(), 50'000));
    EXPECT_EQ(page->offset, all.size());
    all += page->data;
    return page->ended && all.size() == page->total;
  }));
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 40'000);
  EXPECT_TRUE(all.starts_with("line 1\nline 2\n"));
  EXPECT_TRUE(all.ends_with("line 40000\n"));
}

/// With a rate of output of its own.
class SandboxOutputTest : public SandboxTest {
 protected:
  void limit_output(std::uint64_t bytes_per_second, std::uint64_t burst) {
    SandboxOptions slow = options();
    slow.output.bytes_per_second = bytes_per_second;
    slow.output.burst = burst;
    runtime_.run(sandbox_->close());
    sandbox_.reset();
    sandbox_ = std::make_unique<Sandbox>(runtime_.runtime().lane, processes_, slow);
  }
  std::uint64_t written() {
    const auto page = runtime_.run(sandbox_->read_log(ExecutionId("job-1"), LogStream::out, 0, 1));
    return page ? page->total : 0;
  }
};

TEST_F(SandboxOutputTest, WorkThatWritesWithoutEndIsHeldBack) {
  constexpr std::uint64_t kRate = 64 * 1024;
  constexpr std::uint64_t kBurst = 64 * 1024;
  constexpr std::uint64_t kPipe = 64 * 1024;
  limit_output(kRate, kBurst);
  const SteadyTime begin = runtime_.runtime().lane.now();
  const auto allowed = [&] {
    const std::chrono::duration<double> time = runtime_.runtime().lane.now() - begin;
    return kBurst + static_cast<std::uint64_t>(time.count() * static_cast<double>(kRate)) + 1;
  };
  ASSERT_TRUE(start(request("exec yes abcdef")));
  std::uint64_t seen = 0;
  ASSERT_TRUE(until([&] { return (seen = written()) >= 2 * kBurst; })) << "it goes on";
  EXPECT_LE(seen, allowed());
  ASSERT_TRUE(runtime_.run(sandbox_->stop(ExecutionId("job-1"), 1h))) << "signals are answered meanwhile";
  EXPECT_EQ(finish().error_msg, "stopped on request");
  EXPECT_LE(written(), allowed() + kPipe) << "and what was in the pipe";
}

TEST_F(SandboxOutputTest, WhatIsHeldBackIsNotLost) {
  constexpr std::uint64_t kBytes = 3 * 1024 * 1024;
  limit_output(8 * 1024 * 1024, 64 * 1024);
  const ExecutionResult result =
      run("echo begin >&2; head -c 3145722 /dev/zero | tr '\\0' x; echo last.; echo end >&2; exit 7");
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.err, "begin\nend\n");
  std::string all;
  while (all.size() < kBytes) {
    const auto page = runtime_.run(sandbox_->read_log(ExecutionId("job-1"), LogStream::out, all.size(), 1024 * 1024));
    ASSERT_TRUE(page);
    ASSERT_EQ(page->offset, all.size());
    ASSERT_EQ(page->total, kBytes);
    ASSERT_FALSE(page->data.empty());
    all += page->data;
  }
  EXPECT_EQ(all, std::string(kBytes - 6, 'x') + "last.\n");
}

TEST_F(SandboxTest, AFullDiskCostsOutputOnly) {
  const fs::path disk = dir_ / "disk";
  fs::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0) GTEST_SKIP() << "skipped: this user may not mount";
  Request r = request("head -c 3000000 /dev/zero | tr '\\0' x; exit 6");
  r.results_dir = disk / "results";
  const ExecutionResult result = run(std::move(r));
  EXPECT_EQ(result.exit_code, 6) << "the work is not affected";
  const auto page = runtime_.run(sandbox_->read_log(ExecutionId("job-1"), LogStream::out, 2'000'000, 10));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->total, 3'000'000u);
  EXPECT_EQ(page->offset, 3'000'000u) << "what is missing is told from what comes later";
  EXPECT_GT(sandbox_->metrics().dropped_bytes.value(), 2'000'000u);
  ::umount2(disk.c_str(), MNT_DETACH);
}

Task<void> start_into(Sandbox& sandbox, Request request, int& ok) {
  const ExecutionId id = request.execution_id;
  Result<void> started = co_await sandbox.start(std::move(request));
  if (!started) co_return;
  Result<ExecutionResult> result = co_await sandbox.wait(id);
  if (result && result->exit_code == 0 && result->out == id.value + "\n") ++ok;
}
Task<void> start_all(Sandbox& sandbox, std::vector<Request> requests, int& ok) {
  TaskContext context = co_await this_task();
  Nursery nursery(*context.lane, "test");
  for (Request& request : requests) nursery.spawn(start_into(sandbox, std::move(request), ok));
  co_await nursery.join();
}

TEST_F(SandboxTest, TwentyAtOnce) {
  std::vector<Request> requests;
  for (int i = 0; i < 20; ++i) requests.push_back(request(fmt::format("echo job-{}", i), fmt::format("job-{}", i)));
  int ok = 0;
  runtime_.run(start_all(*sandbox_, std::move(requests), ok));
  EXPECT_EQ(ok, 20);
}

TEST_F(SandboxTest, CancelledStartLeavesNothing) {
  // Each time limit ends at another moment of the start.
  for (auto limit = 1us; limit < 60ms; limit += 1500us) {
    if (runtime_.run(with_timeout(limit, sandbox_->start(request("sleep 1000"))))) {  // the start was faster
      ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("job-1"))));
    }
    EXPECT_TRUE(runtime_.run(sandbox_->list())->empty());
  }
}

TEST_F(SandboxTest, RemoveEndsTheWork) {
  ASSERT_TRUE(start(request("sleep 1000")));
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("job-1"))));
  EXPECT_TRUE(runtime_.run(sandbox_->list())->empty());
  EXPECT_FALSE(runtime_.run(sandbox_->status(ExecutionId("job-1"))));
}

TEST_F(SandboxTest, RecoverEndsProcessesOfAKilledDaemon) {
  if (!groups()) GTEST_SKIP() << "skipped: no control groups are writable";
  const auto leftover = groups()->create("old", Limits{});
  ASSERT_TRUE(leftover);
  fs::create_directories(dir_ / "state/old/work");
  ProcessSpec spec;
  spec.argv = {"sleep", "1000"};
  spec.cgroups = leftover->procs_files();
  auto process = processes_.spawn(std::move(spec));
  ASSERT_TRUE(process) << process.error().to_string();
  ASSERT_TRUE(runtime_.run(sandbox_->recover({request("true", "old")})));
  auto exit = runtime_.run((*process)->wait());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_TRUE(groups()->list().empty());
  until_state_is_empty();
}

TEST_F(SandboxTest, ResidueOfAJobDoesNotDisableTheSandbox) {
  // Folders of mode 0, and a chain that is deeper than PATH_MAX and the usual number of descriptors.
  const ExecutionResult made =
      run("mkdir -p a/b && chmod 0 a/b a && perl -e '$d = \"d\" x 200; "
          "for (1 .. 300) { mkdir $d or die; chdir $d or die }'");
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_TRUE(restart({}).empty());
  EXPECT_EQ(run("echo again").out, "again\n");
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("job-1"))));
  until_state_is_empty();
}

TEST_F(SandboxTest, WhatCannotBeRemovedIsQuarantined) {
  const fs::path stuck = dir_ / "state/job-1/work/mount";
  fs::create_directories(stuck);
  if (::mount("tmpfs", stuck.c_str(), "tmpfs", 0, nullptr) != 0) {
    fs::remove_all(dir_ / "state");
    GTEST_SKIP() << "skipped: this user may not mount";
  }
  EXPECT_TRUE(runtime_.run(sandbox_->recover({})));
  EXPECT_EQ(run("echo hello").out, "hello\n") << "the residue had the same id";
  EXPECT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("job-1"))));
  runtime_.run(sandbox_->close());  // waits for the sweep that recover() has begun
  const fs::path quarantined = dir_ / "state/.quarantine-1-job-1";
  EXPECT_TRUE(fs::exists(quarantined));
  EXPECT_EQ(::umount2((quarantined / "work/mount").c_str(), MNT_DETACH), 0);
  Sandbox next(runtime_.runtime().lane, processes_, options());
  EXPECT_TRUE(runtime_.run(next.recover({})));
  until_state_is_empty();
  runtime_.run(next.close());
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
