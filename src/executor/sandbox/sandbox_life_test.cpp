// How work in a sandbox is stopped, paused, removed, and what remains of it.
#include <sys/mount.h>

#include "executor/sandbox/test_sandbox.hpp"

namespace dms::executor {
namespace {

TEST_F(SandboxTest, SameIdTwiceIsRefused) {
  run("true");
  auto again = start(request("true"));
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error().is(Errc::already_exists));
  ASSERT_TRUE(runtime_.run(sandbox_->remove(ExecutionId("job-1"))));
  EXPECT_TRUE(start(request("true")));
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

}  // namespace
}  // namespace dms::executor
