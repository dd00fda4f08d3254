#include "runtime/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fstream>

#include "runtime/nursery.hpp"
#include "runtime/real_runtime.hpp"

namespace dms {
namespace {

class ProcessTest : public ::testing::Test {
 protected:
  ProcessSpec shell(std::string script) {
    ProcessSpec spec;
    spec.argv = {"/bin/sh", "-c", std::move(script)};
    spec.env = {"PATH=/usr/bin:/bin", "GREETING=hello"};
    return spec;
  }
  Result<ProcessRun> run(ProcessSpec spec, std::size_t limit = 1 << 20) {
    return runtime_.run(run_process(launcher_, std::move(spec), limit));
  }
  void TearDown() override {
    // Nothing that a test started is left, not even as a zombie.
    errno = 0;
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }

  RealRuntime runtime_;
  RealProcesses launcher_{runtime_.runtime().lane};
};

TEST_F(ProcessTest, OutputAndExitCode) {
  auto r = run(shell("echo $GREETING; echo oops >&2; exit 7"));
  ASSERT_TRUE(r) << r.error().to_string();
  EXPECT_EQ(r->out, "hello\n");
  EXPECT_EQ(r->err, "oops\n");
  EXPECT_EQ(r->exit.code, 7);
  EXPECT_EQ(r->exit.shell_code(), 7);
}

TEST_F(ProcessTest, ArgumentsAreNotReadByAShell) {
  ProcessSpec spec;
  spec.argv = {"echo", "$(id)", "; exit 3", "a b"};
  auto r = run(std::move(spec));
  ASSERT_TRUE(r) << r.error().to_string();
  EXPECT_EQ(r->out, "$(id) ; exit 3 a b\n");
}

TEST_F(ProcessTest, EnvironmentIsExactlyWhatIsGiven) {
  ProcessSpec spec;
  spec.argv = {"/usr/bin/env"};
  spec.env = {"A=1", "B=two words"};
  auto r = run(std::move(spec));
  ASSERT_TRUE(r) << r.error().to_string();
  EXPECT_EQ(r->out, "A=1\nB=two words\n");
}

TEST_F(ProcessTest, NoDescriptorLeaksIn) {
  const int leaky = ::open("/dev/null", O_RDONLY);  // not close-on-exec
  const int kept = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ProcessSpec spec;
  spec.argv = {"/bin/ls", "/proc/self/fd"};
  spec.keep_fds = {kept};
  auto r = run(std::move(spec));
  ::close(leaky);
  ::close(kept);
  ASSERT_TRUE(r) << r.error().to_string();
  // The standard three, the one that was to be kept, and the folder that ls itself has open.
  EXPECT_EQ(std::count(r->out.begin(), r->out.end(), '\n'), 5) << r->out;
  EXPECT_NE(("\n" + r->out).find(fmt::format("\n{}\n", kept)), std::string::npos) << r->out;
}

TEST_F(ProcessTest, WorkingDirectoryFileOutputAndLimits) {
  const std::filesystem::path dir = std::filesystem::temp_directory_path() / fmt::format("process_test_{}", ::getpid());
  std::filesystem::create_directories(dir);
  ProcessSpec spec = shell("pwd; ulimit -n");
  spec.cwd = dir;
  spec.rlimits = {{RLIMIT_NOFILE, 77}};
  spec.out = ProcessOutput::file(dir / "out");
  auto process = launcher_.spawn(std::move(spec));
  ASSERT_TRUE(process) << process.error().to_string();
  auto exit = runtime_.run((*process)->wait());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 0);
  std::ifstream in(dir / "out");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(text, dir.string() + "\n77\n");
  std::filesystem::remove_all(dir);
}

TEST_F(ProcessTest, AFailedStartNamesTheReason) {
  ProcessSpec spec;
  spec.argv = {"no-such-program-anywhere"};
  auto missing = launcher_.spawn(spec);
  ASSERT_FALSE(missing);
  EXPECT_TRUE(missing.error().is(Errc::not_found)) << missing.error().to_string();
  spec.argv = {"/etc/passwd"};
  auto not_executable = launcher_.spawn(spec);
  ASSERT_FALSE(not_executable);
  EXPECT_TRUE(not_executable.error().is(Errc::permission_denied)) << not_executable.error().to_string();
  spec.argv = {"/bin/true"};
  spec.cwd = "/no/such/folder";
  auto nowhere = launcher_.spawn(spec);
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().to_string().find("working directory"), std::string::npos);
  spec.argv.clear();
  EXPECT_FALSE(launcher_.spawn(spec));
}

TEST_F(ProcessTest, KilledBySignal) {
  auto process = launcher_.spawn(shell("sleep 1000"));
  ASSERT_TRUE(process);
  EXPECT_FALSE((*process)->exited());
  ASSERT_TRUE((*process)->kill(SIGTERM));
  auto exit = runtime_.run((*process)->wait());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->signal, SIGTERM);
  EXPECT_EQ(exit->shell_code(), 128 + SIGTERM);
  EXPECT_TRUE((*process)->kill(SIGTERM)) << "signalling what has ended is no error";
}

TEST_F(ProcessTest, CancelledRunIsKilled) {
  auto r = runtime_.run(with_timeout(20ms, run_process(launcher_, shell("sleep 1000"))));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error().is(Errc::deadline_exceeded));
  // TearDown checks that the child has been reaped; wait for that here.
  for (int i = 0; i < 10'000 && ::waitpid(-1, nullptr, WNOHANG) == 0; ++i) (void)runtime_.run(sleep_for(1ms));
}

TEST_F(ProcessTest, LongOutputIsBounded) {
  auto r = run(shell("head -c 300000 /dev/zero"), 1000);
  ASSERT_TRUE(r) << r.error().to_string();
  EXPECT_EQ(r->out.size(), 1000u);
  EXPECT_TRUE(r->truncated);
}

Task<void> run_into(ProcessLauncher& launcher, ProcessSpec spec, int& ok) {
  Result<ProcessRun> r = co_await run_process(launcher, std::move(spec));
  if (r && r->exit.code == 0 && r->out == "hello\n") ++ok;
}
Task<void> run_many(ProcessLauncher& launcher, ProcessSpec spec, int count, int& ok) {
  TaskContext context = co_await this_task();
  Nursery nursery(*context.lane, "many");
  for (int i = 0; i < count; ++i) nursery.spawn(run_into(launcher, spec, ok));
  co_await nursery.join();
}

TEST_F(ProcessTest, ManyAtOnce) {
  int ok = 0;
  runtime_.run(run_many(launcher_, shell("echo $GREETING"), 50, ok));
  EXPECT_EQ(ok, 50);
}

TEST_F(ProcessTest, WaitsForAProcessThatIsNoChild) {
  auto detached = run(shell("sleep 1000 >/dev/null 2>&1 & echo $!"));
  ASSERT_TRUE(detached);
  const int pid = std::stoi(detached->out);
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_TRUE(pidfd);
  const Result<void> early = runtime_.run(with_timeout(1ms, launcher_.until_ended(pidfd.get())));
  ASSERT_FALSE(early);
  EXPECT_TRUE(early.error().is(Errc::deadline_exceeded));
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_TRUE(runtime_.run(launcher_.until_ended(pidfd.get())));
  EXPECT_TRUE(runtime_.run(launcher_.until_ended(pidfd.get()))) << "also after the end";
}

TEST_F(ProcessTest, ACancelledRunEndsTheDescendantsToo) {
  const auto file = std::filesystem::temp_directory_path() / fmt::format("process_test_{}", ::getpid());
  std::filesystem::remove(file);
  const auto run = runtime_.run(
      with_timeout(300ms, run_process(launcher_, shell("sleep 1000 & echo $! > " + file.string() + "; wait"))));
  EXPECT_FALSE(run);
  std::ifstream in(file);
  int pid = 0;
  if (!(in >> pid)) GTEST_SKIP() << "skipped: the machine was too busy to start a shell within 300 ms";
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd) {
    EXPECT_TRUE(runtime_.run(with_timeout(20s, launcher_.until_ended(pidfd.get()))));
  }
  std::filesystem::remove(file);
  // The launcher reaps the shell a moment later.
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) (void)runtime_.run(sleep_for(1ms));
}

TEST(RealProcesses, DestructorKillsAndReaps) {
  RealRuntime runtime;
  pid_t pid = 0;
  {
    RealProcesses launcher(runtime.runtime().lane);
    ProcessSpec spec;
    spec.argv = {"sleep", "1000"};
    auto process = launcher.spawn(std::move(spec));
    ASSERT_TRUE(process) << process.error().to_string();
    pid = (*process)->pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

}  // namespace
}  // namespace dms
