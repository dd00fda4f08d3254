// What survives the daemon: its executions, their logs, their end; and what ends with the shim.
#include <unistd.h>

#include "base/file.hpp"
#include "executor/log_file.hpp"
#include "executor/sandbox/test_sandbox.hpp"

namespace dms::executor {
namespace {

class SandboxRestartTest : public SandboxTest {
 protected:
  /// Waits for output while there is no daemon.
  void until_written(std::string_view text, std::string id = "job-1") {
    ASSERT_TRUE(
        until([&] { return read_log_tail(dir_ / "results" / id, kOutLog, 4096).find(text) != std::string::npos; }));
  }
  SteadyTime now() { return runtime_.runtime().lane.now(); }
  std::size_t processes_in_group() {
    const Cgroup* group = sandbox_->cgroup(ExecutionId("job-1"));
    return group == nullptr ? 0 : group->pids().size();
  }
};

TEST_F(SandboxRestartTest, RunningWorkIsTakenUp) {
  const ExecutionId id("job-1");
  Request r = request(
      "echo before; while [ ! -e go ]; do sleep 0.01; done; echo after; trap 'exit 7' TERM; "
      "while :; do sleep 0.01; done");
  r.work_dir = dir_ / "work";
  r.limits.memory_bytes = 64 * 1024 * 1024;
  ASSERT_TRUE(start(r));
  until_output("before");
  EXPECT_EQ(shims().size(), 1u);
  runtime_.run(sandbox_->close());
  std::ofstream(dir_ / "work/go") << "go";
  until_written("after");
  EXPECT_EQ(restart({request("true", "unknown"), r}), std::vector{id});
  EXPECT_EQ(state(), State::running);
  EXPECT_EQ(out(), "before\nafter\n");
  if (groups()) {
    const auto stats = runtime_.run(sandbox_->stats(id));
    ASSERT_TRUE(stats);
    EXPECT_EQ(stats->memory_limit, 64u * 1024 * 1024);
  }
  ASSERT_TRUE(start(request("id -u", "job-2")));
  const std::string other = finish("job-2").out;
  if (::geteuid() == 0) {
    const auto spec = read_spec(dir_ / "state" / "job-1");
    ASSERT_TRUE(spec);
    EXPECT_GE(spec->uid, Sandbox::kFirstUid);
    EXPECT_EQ(other, fmt::format("{}\n", spec->uid + 1)) << "the user of job-1 is taken";
  }
  ASSERT_TRUE(runtime_.run(sandbox_->stop(id, 1h)));
  EXPECT_EQ(finish().exit_code, 7);
  EXPECT_TRUE(finish().killed);
}

TEST_F(SandboxRestartTest, WorkThatEndedMeanwhileIsTakenUp) {
  Request r = request("while [ ! -e go ]; do sleep 0.01; done; echo out; echo err >&2; exit 3");
  r.work_dir = dir_ / "work";
  ASSERT_TRUE(start(r));
  runtime_.run(sandbox_->close());
  std::ofstream(dir_ / "work/go") << "go";
  until_status();
  EXPECT_EQ(restart({r}).size(), 1u);
  const ExecutionResult result = finish();
  EXPECT_EQ(state(), State::failed);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.error_msg, "exit code 3");
  EXPECT_FALSE(result.killed);
  EXPECT_EQ(restart({r}).size(), 1u) << "until it is removed";
  EXPECT_EQ(finish().exit_code, 3);
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("job-1"))));
  EXPECT_TRUE(restart({r}).empty());
}

TEST_F(SandboxRestartTest, TheMemoryLimitHoldsWithoutADaemon) {
  if (!groups() || !groups()->holds("memory")) GTEST_SKIP() << "skipped: no memory control group is writable";
  Request r = request("while [ ! -e go ]; do sleep 0.01; done; tail /dev/zero; sleep 1000");
  r.work_dir = dir_ / "work";
  r.limits.memory_bytes = 32 * 1024 * 1024;
  ASSERT_TRUE(start(r));
  runtime_.run(sandbox_->close());
  std::ofstream(dir_ / "work/go") << "go";
  until_status();
  EXPECT_TRUE(groups()->list().empty()) << "the shim removes the control group";
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_THAT(finish().error_msg, HasSubstr("memory limit"));
  EXPECT_TRUE(finish().killed);
}

TEST_F(SandboxRestartTest, TheDeadlineHoldsWithoutADaemon) {
  const ExecutionId id("job-1");
  const Request r = request("sleep 1000");
  ASSERT_TRUE(start(r));
  ASSERT_TRUE(runtime_.run(sandbox_->set_deadline(id, now() + 1h)));
  EXPECT_EQ(restart({r}).size(), 1u) << "a deadline that is far away ends nothing";
  ASSERT_TRUE(runtime_.run(sandbox_->set_deadline(id, now() + 100ms)));
  runtime_.run(sandbox_->close());
  until_status();
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_THAT(finish().error_msg, HasSubstr("deadline"));
  EXPECT_TRUE(finish().killed);
  EXPECT_EQ(finish().exit_code, 137);
  EXPECT_TRUE(runtime_.run(sandbox_->set_deadline(id, now() + 1h))) << "it has ended: that is no error";
}

TEST_F(SandboxRestartTest, ADeadlineOfTheRequestHoldsFromTheStart) {
  Request r = request("sleep 1000");
  Duration length = 200ms;  // longer than the start takes on this machine
  for (r.deadline = now() + length; !start(r); r.deadline = now() + length) ASSERT_LT(length *= 2, 30s);
  runtime_.run(sandbox_->close());
  until_status();
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_THAT(finish().error_msg, HasSubstr("deadline"));
  EXPECT_EQ(sandbox_->metrics().deadlines.value(), 1u);
  EXPECT_EQ(sandbox_->metrics().recovered.value(), 1u);
}

TEST_F(SandboxRestartTest, ADeadlineCanBeExtendedAndIsEnforcedWithADaemon) {
  const ExecutionId id("job-1");
  ASSERT_TRUE(start(request("echo ready; while [ ! -e end ]; do sleep 0.01; done; echo done")));
  until_output("ready");
  ASSERT_TRUE(runtime_.run(sandbox_->set_deadline(id, now() + 1h)));
  ASSERT_TRUE(runtime_.run(sandbox_->set_deadline(id, now() + 2h)));
  EXPECT_EQ(state(), State::running);
  ASSERT_TRUE(runtime_.run(sandbox_->set_deadline(id, now() - 1s)));
  EXPECT_THAT(finish().error_msg, HasSubstr("deadline"));
  EXPECT_FALSE(runtime_.run(sandbox_->set_deadline(ExecutionId("other"), now())));
}

TEST_F(SandboxRestartTest, AStopGoesOnWithoutADaemon) {
  const Request r = request("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(start(r));
  until_output("ready");
  EXPECT_FALSE(runtime_.run(with_timeout(1ms, sandbox_->stop(ExecutionId("job-1"), 50ms))));
  runtime_.run(sandbox_->close());
  until_status();
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_THAT(finish().error_msg, HasSubstr("did not end within 50 ms"));
  EXPECT_EQ(finish().exit_code, 137);
}

TEST_F(SandboxRestartTest, PausedWorkIsTakenUpPaused) {
  if (!groups()) GTEST_SKIP() << "skipped: no control groups are writable";
  const ExecutionId id("job-1");
  const Request r = request("echo ready; sleep 1000");
  ASSERT_TRUE(start(r));
  until_output("ready");
  ASSERT_TRUE(runtime_.run(sandbox_->pause(id)));
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_EQ(state(), State::paused);
  ASSERT_TRUE(runtime_.run(sandbox_->resume(id)));
  EXPECT_EQ(state(), State::running);
}

TEST_F(SandboxRestartTest, UnknownWorkIsEnded) {
  ASSERT_TRUE(start(request("sleep 1000", "known")));
  ASSERT_TRUE(start(request("sleep 1000", "other")));
  EXPECT_EQ(restart({request("sleep 1000", "known")}), std::vector{ExecutionId("known")});
  EXPECT_EQ(shims().size(), 1u);
  if (groups()) {
    EXPECT_EQ(groups()->list().size(), 1u);
  }
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("known"))));
  until_state_is_empty();
}

TEST_F(SandboxRestartTest, WorkEndsWithItsShim) {
  ASSERT_TRUE(start(request("echo ready; sleep 1000 & setsid sleep 1000 & wait")));
  until_output("ready");
  ASSERT_EQ(shims().size(), 1u);
  ASSERT_EQ(::kill(shims().front(), SIGKILL), 0);
  const ExecutionResult result = finish();
  EXPECT_EQ(result.exit_code, -1);
  EXPECT_TRUE(result.killed);
  EXPECT_THAT(result.error_msg, HasSubstr("shim"));
  EXPECT_EQ(result.out, "ready\n" + std::string(kLostEnd));
  EXPECT_EQ(result.err, kLostEnd) << "the shim may have lost output of this stream, too";
  if (groups()) {
    EXPECT_TRUE(groups()->list().empty());
  }
}

TEST_F(SandboxRestartTest, TheLostEndOfAKilledShimIsMarkedOnce) {
  const Request r = request("printf 'no end of line'; sleep 1000");
  ASSERT_TRUE(start(r));
  until_output("no end of line");
  ASSERT_EQ(shims().size(), 1u);
  ASSERT_EQ(::kill(shims().front(), SIGKILL), 0);
  const std::string marked = "no end of line\n" + std::string(kLostEnd);
  EXPECT_EQ(finish().out, marked);
  const Result<LogPage> page = runtime_.run(sandbox_->read_log(r.execution_id, LogStream::out, 0, 1000));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->total, marked.size());
  runtime_.run(sandbox_->close());
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_EQ(finish().out, marked) << "once, also if the end is read again";
}

TEST_F(SandboxRestartTest, WorkEndsWithItsShimWithoutADaemon) {
  const Request r = request("echo ready; sleep 1000 & setsid sleep 1000 & wait");
  ASSERT_TRUE(start(r));
  until_output("ready");
  runtime_.run(sandbox_->close());
  ASSERT_EQ(shims().size(), 1u);
  ASSERT_EQ(::kill(shims().front(), SIGKILL), 0);
  ASSERT_TRUE(until([&] { return shims().empty(); }));
  if (groups()) {
    ASSERT_TRUE(until([&] { return groups()->list().front().pids().empty(); })) << "the work ends without help";
  }
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_THAT(finish().error_msg, HasSubstr("shim"));
  EXPECT_EQ(finish().exit_code, -1);
}

TEST_F(SandboxRestartTest, TheShimIsSmall) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "skipped: a sanitizer has memory of its own";
#endif
#endif
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  ASSERT_EQ(shims().size(), 1u);
  std::ifstream in(fmt::format("/proc/{}/smaps_rollup", shims().front()));
  std::size_t own = 0;
  for (std::string word; in >> word;)
    if (std::size_t kilobytes = 0; (word == "Private_Dirty:" || word == "Private_Clean:") && in >> kilobytes)
      own += kilobytes;
  RecordProperty("private_kilobytes", std::to_string(own));
  EXPECT_GT(own, 0u);
  EXPECT_LT(own, 6000u);
}

// --------------------------------------------------------------------------------------- a daemon that is really killed

}  // namespace

int run_test_daemon(const fs::path& dir) {
  RealRuntime runtime;
  RealProcesses processes(runtime.runtime().lane);
  SandboxOptions options;
  options.state_dir = dir / "state";
  Sandbox sandbox(runtime.runtime().lane, processes, options);
  Request r;
  r.job_id = "allocation";
  r.execution_id = ExecutionId("job-1");
  r.engine.type = "sandbox";
  r.engine.params.cmd = {"sh", "-c", "echo ready; sleep 1000"};
  r.results_dir = dir / "results/job-1";
  std::ofstream(dir / "started") << "now";
  (void)runtime.run(sandbox.start(r));
  std::ofstream(dir / "running") << "now";
  (void)runtime.run(sleep_for(1000s));
  return 0;
}

namespace {

TEST_F(SandboxRestartTest, ADaemonThatIsKilledAtAnyMomentLeavesNothingUnknown) {
  const auto started = dir_ / "started";
  const auto running = dir_ / "running";
  const auto daemon = [&] {
    fs::remove(started);
    fs::remove(running);
    ProcessSpec spec;
    spec.argv = {"/proc/self/exe", "--daemon", dir_.string()};
    const char* path = ::getenv("PATH");
    spec.env = {fmt::format("PATH={}", path == nullptr ? "" : path)};
    auto process = processes_.spawn(std::move(spec));
    EXPECT_TRUE(process);
    EXPECT_TRUE(until([&] { return fs::exists(started); }));
    return std::move(*process);
  };
  const auto kill = [&](auto& process) {
    ASSERT_TRUE(process->kill(SIGKILL));
    ASSERT_TRUE(runtime_.run(process->wait()));
  };
  const auto take_up = [&] {
    const bool was_running = fs::exists(running);
    const std::size_t recovered = restart({request("sleep 1000")}).size();
    if (was_running) {
      EXPECT_EQ(recovered, 1u) << "a completed start is taken up";
    }
    ASSERT_TRUE(until([&] { return shims().size() <= recovered; })) << "a shim's child looks like it for a moment";
    if (groups()) {
      EXPECT_LE(groups()->list().size(), recovered);
    }
    remove_all(*sandbox_);
    until_state_is_empty();
    ASSERT_TRUE(until([&] { return shims().empty(); }));
  };

  // The length of a start on this machine, as it is now.
  auto first = daemon();
  const auto begin = runtime_.runtime().lane.now();
  ASSERT_TRUE(until([&] { return fs::exists(running); }));
  const auto length = runtime_.runtime().lane.now() - begin;
  kill(first);
  take_up();

  constexpr int kMoments = 40;
  for (int i = 0; i < kMoments; ++i) {
    auto process = daemon();
    (void)runtime_.run(with_timeout(length * i / (kMoments - 1), process->wait()));
    kill(process);
    take_up();
  }
}

// ----------------------------------------------------------------------------------------------------- damaged records

TEST_F(SandboxRestartTest, DamagedRecordsAreQuarantined) {
  const Request r = request("sleep 1000");
  for (const char* text :
       {"", "{", "[]", R"({"execution":""})", R"({"execution":"job-1","work_dir":"w"})", "\xff\xfe"}) {
    ASSERT_TRUE(start(r));
    runtime_.run(sandbox_->close());
    ASSERT_TRUE(write_file(dir_ / "state/job-1" / kSpecFile, text));
    EXPECT_TRUE(restart({r}).empty()) << text;
    EXPECT_TRUE(shims().empty()) << "work that is not known any more is ended";
    until_state_is_empty();
  }
  ASSERT_TRUE(start(request("exit 5")));
  finish();
  ASSERT_TRUE(write_file(dir_ / "state/job-1" / kStatusFile, "{\"exit_code\":"));
  EXPECT_EQ(restart({r}).size(), 1u);
  EXPECT_EQ(finish().exit_code, -1) << "how it ended is not known";
}

TEST(ShimFiles, SpecIsChecked) {
  ShimSpec spec;
  spec.execution = "e1";
  spec.results_dir = "/r";
  spec.work_dir = "/w";
  spec.cgroups = {"/sys/fs/cgroup/memory/nunet/e1"};
  EXPECT_TRUE(parse_spec(json::encode(spec)));
  const auto refused = [&](auto change) {
    ShimSpec other = spec;
    change(other);
    return !parse_spec(json::encode(other));
  };
  EXPECT_TRUE(refused([](ShimSpec& s) { s.execution.clear(); }));
  EXPECT_TRUE(refused([](ShimSpec& s) { s.work_dir = "w"; }));
  EXPECT_TRUE(refused([](ShimSpec& s) { s.results_dir = ""; }));
  EXPECT_TRUE(refused([](ShimSpec& s) { s.cgroups = {"/sys/fs/cgroup/memory"}; }));
  EXPECT_TRUE(refused([](ShimSpec& s) { s.cgroups = {"/sys/fs/cgroup/../x/e1"}; }));
}

TEST(Helper, RefusesWhatItDoesNotKnow) {
  const auto run = [](std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return run_helper(static_cast<int>(argv.size()), argv.data());
  };
  EXPECT_FALSE(run({"nunet"}));
  EXPECT_FALSE(run({"nunet", "run"}));
  EXPECT_EQ(run({"nunet", "executor-helper"}), 2);
  EXPECT_EQ(run({"nunet", "executor-helper", "shim"}), 2);
  EXPECT_EQ(run({"nunet", "executor-helper", "other", "x"}), 2);
}

}  // namespace
}  // namespace dms::executor
