// Commands and probes inside a running execution.
#include "executor/sandbox/enter.hpp"
#include "executor/sandbox/test_sandbox.hpp"

namespace dms::executor {
namespace {

class SandboxEnterTest : public SandboxTest {
 protected:
  const ExecutionId id_{"job-1"};

  Result<ExecOutput> exec(std::string script) {
    return runtime_.run(sandbox_->exec(id_, {"sh", "-c", std::move(script)}));
  }
  std::string output(std::string script) {
    Result<ExecOutput> done = exec(std::move(script));
    EXPECT_TRUE(done) << done.error().to_string();
    return done ? done->out + done->err : std::string();
  }
  /// How many processes inside are `sleep 2345`.
  int sleepers() { return std::stoi(output("cat /proc/[0-9]*/cmdline 2>&1 | tr '\\0' '\\n' | grep -c '^2345$'")); }
  /// Whether that many are within 500 looks, each of which is a command too.
  bool soon(int count) {
    for (int i = 0; i < 500; ++i) {
      if (sleepers() == count) return true;
      (void)runtime_.run(sleep_for(2ms));
    }
    return false;
  }
  /// Begins the command, and gives it up when that many are.
  void give_up(std::string script, int count) {
    Nursery caller(runtime_.runtime().lane, "caller");
    const auto ignore = [](Task<Result<ExecOutput>> task) -> Task<void> { (void)co_await std::move(task); };
    caller.spawn(ignore(sandbox_->exec(id_, {"sh", "-c", std::move(script)})));
    EXPECT_TRUE(soon(count));
    caller.cancel();
    runtime_.run(caller.join());
    EXPECT_TRUE(soon(0)) << "something of it remains";
  }
  /// A server that answers each connection to port 8080 with `answer` and closes it.
  Request server(std::string answer) {
    Request r = request("");
    r.engine.params.cmd = {"perl", "-MIO::Socket::INET", "-e",
                           "$| = 1; my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => "
                           "8080, ReuseAddr => 1) or die $@; print \"ready\\n\"; while (my $c = $s->accept) { "
                           "sysread $c, my $request, 4096; print $request; syswrite $c, eval $ARGV[0]; close $c }",
                           std::move(answer)};
    return r;
  }
  ProbeResult probe(Probe probe) {
    auto result = runtime_.run(sandbox_->probe(id_, std::move(probe)));
    EXPECT_TRUE(result) << result.error().to_string();
    return result ? *result : ProbeResult();
  }
  static Probe http(std::string path) {
    Probe probe;
    probe.port = 8080;
    probe.http_path = std::move(path);
    return probe;
  }
};

TEST_F(SandboxEnterTest, ACommandRunsAsTheWorkDoes) {
  const std::string script =
      "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status; env | sort; pwd; cat /proc/self/cgroup; "
      "hostname; ls /; for n in mnt net pid ipc uts user cgroup; do readlink /proc/self/ns/$n; done";
  Request r = request("(" + script + ") > /work/status; echo ready; sleep 1000");
  r.engine.params.environment = {"A=two words"};
  r.engine.params.working_directory = "/tmp";
  ASSERT_TRUE(start(r));
  until_output("ready");
  const std::string inside = output(script);
  EXPECT_THAT(inside, HasSubstr("A=two words"));
  EXPECT_THAT(inside, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(inside, HasSubstr("CapBnd:\t0000000000000000"));
  EXPECT_EQ(inside, output("cat /work/status")) << "nothing distinguishes it from the work";
}

TEST_F(SandboxEnterTest, ItsExitCodeAndOutput) {
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  const auto done = exec("echo in; echo no >&2; exit 4");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->exit_code, 4);
  EXPECT_EQ(done->out, "in\n");
  EXPECT_EQ(done->err, "no\n");
  EXPECT_EQ(exec("kill -9 $$")->exit_code, 137);
  EXPECT_EQ(runtime_.run(sandbox_->exec(id_, {"no-such-program"}))->exit_code, 127);
  EXPECT_EQ(exec("head -c 1000000 /dev/zero")->out.size(), kResultOutputLimit);
  EXPECT_NE(exec("mount -t tmpfs x /tmp")->exit_code, 0) << "no privileges";
  EXPECT_FALSE(runtime_.run(sandbox_->exec(id_, {})));
  EXPECT_FALSE(runtime_.run(sandbox_->exec(id_, {"A=1"})));
  EXPECT_FALSE(runtime_.run(sandbox_->exec(ExecutionId("other"), {"true"})));
  EXPECT_EQ(out(), "ready\n") << "it is not in the log of the work";
}

TEST_F(SandboxEnterTest, ItCountsAgainstTheLimits) {
  if (!groups() || !groups()->holds("memory")) GTEST_SKIP() << "skipped: no memory control group is writable";
  Request r = request("echo ready; sleep 1000");
  r.limits.memory_bytes = 32 * 1024 * 1024;
  ASSERT_TRUE(start(r));
  until_output("ready");
  const auto done = exec("tail /dev/zero");
  EXPECT_TRUE(!done || done->exit_code != 0);
  EXPECT_THAT(finish().error_msg, HasSubstr("memory limit"));
}

TEST_F(SandboxEnterTest, ItEndsWhenItsCallerGivesItUp) {
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  give_up("sleep 2345 & sleep 2345", 2);
  // Other sessions and process groups, and parents that have ended.
  give_up(
      "setsid sleep 2345 & (setsid sh -c 'sleep 2345 & sleep 2345' &); "
      "perl -MPOSIX -e 'fork and exit; setsid; fork and exit; exec qw(sleep 2345)'; sleep 2345",
      5);
  EXPECT_EQ(state(), State::running);
}

TEST_F(SandboxEnterTest, WhatItLeavesEndsWithIt) {
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  const auto done = exec(
      "setsid sh -c 'touch /work/left; exec sleep 2345' & until [ -e /work/left ]; do sleep 0.01; done; echo ok; exit "
      "3");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->exit_code, 3);
  EXPECT_EQ(done->out, "ok\n");
  EXPECT_EQ(sleepers(), 0);
  EXPECT_EQ(state(), State::running);
}

TEST_F(SandboxEnterTest, OnlyWhileTheWorkRuns) {
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  if (groups()) {
    ASSERT_TRUE(runtime_.run(sandbox_->pause(id_)));
    EXPECT_TRUE(exec("true").error().is(Errc::invalid_argument));
    ASSERT_TRUE(runtime_.run(sandbox_->resume(id_)));
  }
  ASSERT_TRUE(runtime_.run(sandbox_->stop(id_, 1h)));
  EXPECT_TRUE(exec("true").error().is(Errc::invalid_argument));
  EXPECT_TRUE(runtime_.run(sandbox_->probe(id_, http("/"))).error().is(Errc::invalid_argument));
}

TEST_F(SandboxEnterTest, AlsoAfterARestartOfTheDaemon) {
  const Request r = server("qq{HTTP/1.1 204 No Content\\r\\n\\r\\n}");
  ASSERT_TRUE(start(r));
  until_output("ready");
  ASSERT_EQ(restart({r}).size(), 1u);
  EXPECT_EQ(output("echo again"), "again\n");
  EXPECT_EQ(probe(http("/")).http_status, 204);
}

TEST_F(SandboxEnterTest, ProbesTheLoopbackOfTheWork) {
  ASSERT_TRUE(start(server("qq{HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello}")));
  until_output("ready");
  const ProbeResult answered = probe(http("/health?x=1"));
  EXPECT_TRUE(answered.connected);
  EXPECT_EQ(answered.http_status, 200);
  EXPECT_EQ(answered.body, "hello");
  EXPECT_EQ(answered.message, "");
  until_output("GET /health?x=1 HTTP/1.1\r\nHost: localhost:8080\r\n");
  EXPECT_TRUE(probe(http("")).connected);
  Probe closed;
  closed.port = 8081;
  const ProbeResult refused = probe(closed);
  EXPECT_FALSE(refused.connected);
  EXPECT_THAT(refused.message, HasSubstr("connect to 127.0.0.1:8081: Connection refused"));
  for (const char* path : {"no-slash", "/a b", "/a\r\nX: y", "/\x7f"})
    EXPECT_FALSE(runtime_.run(sandbox_->probe(id_, http(path)))) << path;
  EXPECT_FALSE(runtime_.run(sandbox_->probe(id_, Probe())));
}

TEST_F(SandboxEnterTest, AProbeDoesNotReachTheMachine) {
  // A listener on the machine's loopback, at a port that the work does not listen on.
  RealProcesses& processes = processes_;
  ProcessSpec spec;
  spec.argv = {
      "perl", "-MIO::Socket::INET", "-e",
      "$| = 1; my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die; print $s->sockport, "
      "\"\\n\"; sleep 1000"};
  spec.env = {"PATH=/usr/bin:/bin"};
  spec.out = ProcessOutput::pipe();
  auto listener = processes.spawn(std::move(spec));
  ASSERT_TRUE(listener);
  const auto port_text = (*listener)->take_out();
  Bytes bytes(16);
  const auto got = runtime_.run(port_text->read_some(bytes));
  ASSERT_TRUE(got && *got > 1);
  Probe probe_of_machine;
  probe_of_machine.port = static_cast<std::uint16_t>(std::stoi(std::string(as_text(BytesView(bytes).first(*got)))));
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  EXPECT_FALSE(probe(probe_of_machine).connected);
  ASSERT_TRUE(runtime_.run(sandbox_->remove(id_)));
  Request shared = request("echo ready; sleep 1000");
  shared.network = true;
  ASSERT_TRUE(start(shared));
  until_output("ready");
  const auto refused = runtime_.run(sandbox_->probe(id_, probe_of_machine));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::unsupported)) << "its loopback is the machine's";
  ASSERT_TRUE((*listener)->kill(SIGKILL));
  (void)runtime_.run((*listener)->wait());
}

TEST_F(SandboxEnterTest, HostileAnswersAreBounded) {
  const struct {
    const char* answer;
    int status;
    std::size_t body;
    const char* message;
  } cases[] = {
      {"qq{HTTP/1.1 200 OK\\r\\n\\r\\n} . ('x' x 2000000)", 200, kResultOutputLimit, ""},
      {"qq{HTTP/1.1 302 Found\\r\\nLocation: http://127.0.0.1:1/\\r\\nContent-Length: 0\\r\\n\\r\\n}", 302, 0, ""},
      {"qq{HTTP/1.1 200 OK\\r\\n} . ('X: ' . ('y' x 1000) . qq{\\r\\n}) x 100 . qq{\\r\\n}", 0, 0, "16384"},
      {"qq{SSH-2.0-OpenSSH\\r\\n}", 0, 0, "HTTP"},
      {"qq{HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nabc}", 200, 3, "closed"},
      {"''", 0, 0, "closed"},
  };
  for (const auto& c : cases) {
    ASSERT_TRUE(start(server(c.answer)));
    until_output("ready");
    const ProbeResult result = probe(http("/"));
    EXPECT_TRUE(result.connected);
    EXPECT_EQ(result.http_status, c.status) << c.answer;
    EXPECT_EQ(result.body.size(), c.body) << c.answer;
    EXPECT_EQ(result.message.empty(), std::string_view(c.message).empty()) << c.answer << ": " << result.message;
    ASSERT_TRUE(runtime_.run(sandbox_->remove(id_)));
  }
  ASSERT_TRUE(start(server("sleep 1000")));
  until_output("ready");
  const auto silent = runtime_.run(with_timeout(300ms, sandbox_->probe(id_, http("/"))));
  ASSERT_FALSE(silent);
  EXPECT_TRUE(silent.error().is(Errc::deadline_exceeded));
}

}  // namespace
}  // namespace dms::executor
