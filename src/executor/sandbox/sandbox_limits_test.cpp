// What work in a sandbox may use: processor, memory, processes, users, output.
#include <sys/mount.h>

#include "executor/sandbox/process_tree.hpp"
#include "executor/sandbox/test_sandbox.hpp"

namespace dms::executor {
namespace {

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

}  // namespace
}  // namespace dms::executor
