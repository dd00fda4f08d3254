#include "executor/docker/docker.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <deque>
#include <filesystem>

#include "executor/docker/docker_stream.hpp"
#include "runtime/process.hpp"
#include "runtime/real_runtime.hpp"
#include "simulation/sim_world.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// ------------------------------------------------------------------------------------------------ a scripted engine

/// Replies with prepared bytes and records what is written.
class ScriptedStream final : public ByteStream {
 public:
  ScriptedStream(std::string answer, std::string& written) : answer_(std::move(answer)), written_(written) {}
  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    const std::size_t n = std::min({into.size(), answer_.size(), std::size_t{7}});
    std::copy_n(answer_.begin(), n, into.begin());
    answer_.erase(0, n);
    co_return n;
  }
  Task<Result<void>> write(BytesView from) override {
    written_.append(as_text(from));
    co_return Result<void>();
  }
  Task<Result<void>> close_write() override { co_return Result<void>(); }
  void abort() override {}

 private:
  std::string answer_;
  std::string& written_;
};

class ScriptedNet final : public Net {
 public:
  std::deque<std::string> answers;
  std::string written;

  Result<std::unique_ptr<Listener>> listen_tcp(const IpEndpoint&) override {
    return fail(Errc::unsupported, "scripted");
  }
  Task<Result<Accepted>> connect_tcp(IpEndpoint) override { co_return fail(Errc::unsupported, "scripted"); }
  Task<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) override {
    if (answers.empty()) co_return fail(Errc::io, "connect to {}: no such file", path);
    std::unique_ptr<ByteStream> stream = std::make_unique<ScriptedStream>(std::move(answers.front()), written);
    answers.pop_front();
    co_return std::move(stream);
  }
  Result<std::vector<IpAddress>> interface_addresses() override { return fail(Errc::unsupported, "scripted"); }
};

std::string http(int status, std::string body) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n{}", status, body.size(), body);
}
std::string frame(char channel, std::string_view text) {
  std::string out{channel, 0, 0, 0, 0, 0, 0, static_cast<char>(text.size())};
  return out + std::string(text);
}
/// An entry of the engine's log, some seconds after a fixed time.
std::string entry(char channel, int second, std::string_view text) {
  return frame(channel, fmt::format("2026-11-28T10:00:{:02}.000000005Z {}", second, text));
}

Request docker_request(const fs::path& dir, std::vector<std::string> cmd, std::string id = "e1") {
  Request r;
  r.job_id = "job";
  r.execution_id = ExecutionId(id);
  r.engine.type = "docker";
  r.engine.params.image = "nunet-test:busybox";
  r.engine.params.cmd = std::move(cmd);
  r.results_dir = dir / id;
  return r;
}

class DockerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / fmt::format("docker_test_{}_{}", ::getpid(), ++counter_);
    fs::create_directories(dir_);
  }
  void TearDown() override {
    net_.answers.clear();
    world_.run(node_, docker_.close());
    fs::remove_all(dir_);
  }
  template <class T>
  T run(Task<T> task) {
    return world_.run(node_, std::move(task));
  }

  static inline int counter_ = 0;
  fs::path dir_;
  ScriptedNet net_;
  SimWorld world_{1};
  SimNode& node_ = world_.add_node("node");
  Docker docker_{Runtime{node_.runtime().lane, net_}, DockerOptions{}};
};

TEST_F(DockerTest, AMissingEngineIsReportedWithTheRemedy) {
  auto version = run(docker_.version());
  ASSERT_FALSE(version);
  EXPECT_TRUE(version.error().is(Errc::unsupported));
  EXPECT_THAT(version.error().to_string(),
              HasSubstr("the Docker engine does not answer on /var/run/docker.sock: start it or use executor sandbox"));
  auto started = run(docker_.start(docker_request(dir_, {"true"})));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().to_string(), HasSubstr("use executor sandbox"));
  EXPECT_TRUE(run(docker_.list())->empty());
}

TEST_F(DockerTest, TheFolderOfTheWorkIsMadeBeforeTheEngineMountsIt) {
  net_.answers = {http(200, "{}"), http(404, R"({"message":"no"})"), http(204, "")};
  Request request = docker_request(dir_, {"true"});
  request.work_dir = dir_ / "job" / "work";
  (void)run(docker_.start(request));
  EXPECT_TRUE(fs::is_directory(request.work_dir));
}

TEST_F(DockerTest, RunsToItsEnd) {
  net_.answers = {http(200, "{}"),
                  http(201, R"({"Id":"abc"})"),
                  http(204, ""),
                  "HTTP/1.1 200 OK\r\n\r\n" + entry(1, 1, "hello\n") + entry(2, 2, "oops\n"),
                  http(200, R"({"StatusCode":3})"),
                  http(200, R"({"State":{"OOMKilled":false}})")};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  auto result = run(docker_.wait(ExecutionId("e1")));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->out, "hello\n");
  EXPECT_EQ(result->err, "oops\n");
  EXPECT_EQ(result->error_msg, "exit code 3");
  EXPECT_THAT(net_.written, HasSubstr("POST /containers/create?name=nunet_job_e1 HTTP/1.1"));
}

TEST_F(DockerTest, ExitCodesAreNotTakenForSignals) {
  const auto message = [&](int code, std::string id) {
    net_.answers = {http(200, "{}"),
                    http(201, R"({"Id":"abc"})"),
                    http(204, ""),
                    "HTTP/1.1 200 OK\r\n\r\n",
                    http(200, fmt::format(R"({{"StatusCode":{}}})", code)),
                    http(200, "{}")};
    EXPECT_TRUE(run(docker_.start(docker_request(dir_, {"true"}, id))));
    return run(docker_.wait(ExecutionId(id)))->error_msg;
  };
  EXPECT_EQ(message(255, "a"), "exit code 255");
  EXPECT_EQ(message(200, "b"), "exit code 200");
  EXPECT_EQ(message(129, "c"), "exit code 129, perhaps SIGHUP");
  EXPECT_EQ(message(143, "d"), "exit code 143, perhaps SIGTERM");
}

TEST_F(DockerTest, PullsAMissingImageAndReportsAFailure) {
  net_.answers = {http(404, R"({"message":"No such image"})"),
                  http(200, "{\"status\":\"Pulling\"}\n{\"errorDetail\":{},\"error\":\"denied: no access\"}\n"),
                  http(404, "{}")};
  auto started = run(docker_.start(docker_request(dir_, {"true"})));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().to_string(), HasSubstr("denied: no access"));
  EXPECT_THAT(net_.written, HasSubstr("POST /images/create?fromImage=nunet-test%3Abusybox HTTP/1.1"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/nunet_job_e1"));
}

TEST_F(DockerTest, FailedStartRemovesTheContainer) {
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(400, R"({"message":"exec: no such file"})"),
                  http(204, "")};
  auto started = run(docker_.start(docker_request(dir_, {"missing"})));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().to_string(), HasSubstr("exec: no such file"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/nunet_job_e1?force=1"));
  EXPECT_TRUE(run(docker_.list())->empty());
}

TEST_F(DockerTest, LostEngineEndsTheWait) {
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(204, "")};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  auto result = run(docker_.wait(ExecutionId("e1")));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, -1);
  EXPECT_THAT(result->error_msg, HasSubstr("the container is lost"));
}

TEST_F(DockerTest, RefusesRequestsThatTheProviderDoesNotAllow) {
  const auto refused = [&](auto change) {
    Request r = docker_request(dir_, {"true"});
    change(r);
    return !run(docker_.start(std::move(r)));
  };
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.privileged = true; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.image = ""; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.image = "../../containers/json?x="; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.params.image = "registry.internal:5000/secret"; }));
  EXPECT_TRUE(refused([](Request& r) { r.job_id = "a/b"; }));
  EXPECT_TRUE(refused([](Request& r) { r.engine.type = "sandbox"; }));
  EXPECT_EQ(net_.written, "") << "no request reached the engine";
}

TEST_F(DockerTest, RecoverTakesUpWhatIsKnown) {
  const Request known = docker_request(dir_, {"true"}, "known");
  const Request created = docker_request(dir_, {"true"}, "created");
  fs::create_directories(known.results_dir);
  {
    auto log = DockerLog::open(known.results_dir, 1 << 20, LogFile::Begin::fresh);
    ASSERT_TRUE(log);
    ASSERT_TRUE(log->feed(as_bytes(entry(1, 1, "one\n") + entry(1, 2, "two\n") + entry(2, 2, "err\n"))));
  }
  const auto container = [](std::string id, std::string name) {
    return fmt::format(R"({{"Id":"{}","Labels":{{"nunet-executionID":"nunet_job_{}"}}}})", id, name);
  };
  net_.answers = {http(200, fmt::format("[{},{},{}]", container("aa", "known"), container("bb", "created"),
                                        container("cc", "other"))),
                  http(200, R"({"Id":"aa","State":{"Status":"exited"}})"),
                  http(200, R"({"Id":"bb","State":{"Status":"created"}})"),
                  http(204, ""),
                  http(204, ""),
                  "HTTP/1.1 200 OK\r\n\r\n" + entry(1, 2, "two\n") + entry(2, 2, "err\n") + entry(1, 3, "three\n"),
                  http(200, R"({"StatusCode":3})"),
                  http(200, R"({"State":{"OOMKilled":false}})")};
  // The supervision begins only after recover(): the answers are in the order of the calls.
  auto taken = run(docker_.recover({known, created}));
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(*taken, std::vector{ExecutionId("known")});
  auto result = run(docker_.wait(ExecutionId("known")));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->out, "one\ntwo\nthree\n") << "nothing twice, nothing missing";
  EXPECT_EQ(result->err, "err\n");
  EXPECT_THAT(net_.written, HasSubstr("timestamps=1&since=1795859102.000000005"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/bb?force=1"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/cc?force=1"));
  EXPECT_THAT(net_.written, Not(HasSubstr("DELETE /containers/aa")));
}

TEST_F(DockerTest, CloseLetsGo) {
  net_.answers = {http(200, "{}"),           http(201, R"({"Id":"abc"})"),     http(204, ""),
                  "HTTP/1.1 200 OK\r\n\r\n", http(200, R"({"StatusCode":0})"), http(200, "{}")};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  run(docker_.close());
  EXPECT_THAT(net_.written, Not(HasSubstr("DELETE")));
  EXPECT_TRUE(run(docker_.list())->empty());
}

TEST_F(DockerTest, RecoverRemovesByLabel) {
  net_.answers = {http(200, R"([{"Id":"aa11"},{"Id":"../x"},{"Id":"bb22"}])"), http(204, ""), http(204, "")};
  ASSERT_TRUE(run(docker_.recover({})));
  EXPECT_THAT(net_.written, HasSubstr("nunet-executor%3Dnunet"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/aa11?force=1"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/bb22?force=1"));
  EXPECT_THAT(net_.written, Not(HasSubstr("../x")));
}

TEST(DockerCreate, LimitsAndIsolation) {
  Request r = docker_request("/tmp", {"echo", "a\"b"});
  r.limits.cpu_cores = 1.5;
  r.limits.memory_bytes = 1 << 20;
  r.limits.pids = 5;
  r.engine.params.environment = {"A=1"};
  r.work_dir = "/data/work";
  const std::string body = docker_create_body(r, DockerOptions{});
  EXPECT_TRUE(json::parse(body));
  for (const char* part :
       {R"("NanoCpus":1500000000)", R"("Memory":1048576)", R"("MemorySwap":1048576)", R"("PidsLimit":5)",
        R"("no-new-privileges")", R"("NetworkMode":"none")", R"("Cmd":["echo","a\"b"])", R"("Env":["A=1"])",
        R"("nunet-executor":"nunet")", R"("nunet-jobID":"nunet_job")", R"("nunet-executionID":"nunet_job_e1")",
        R"("Target":"/work")"})
    EXPECT_THAT(body, HasSubstr(part));
  EXPECT_THAT(body, Not(HasSubstr("Entrypoint")));
  EXPECT_THAT(body, Not(HasSubstr("Privileged")));
}

TEST(DockerSocket, FromDockerHost) {
  EXPECT_EQ(*docker_socket(""), "/var/run/docker.sock");
  EXPECT_EQ(*docker_socket("unix:///run/x.sock"), "/run/x.sock");
  EXPECT_FALSE(docker_socket("tcp://10.0.0.1:2375"));
}

TEST(DockerDemux, FramesAndBrokenFrames) {
  std::string out;
  std::string err;
  DockerDemux demux([&](DockerDemux::Channel c, BytesView part, bool) {
    (c == DockerDemux::Channel::out ? out : err) += as_text(part);
  });
  const std::string wire = frame(1, "hello ") + frame(2, "oops") + frame(1, "") + frame(1, "world");
  for (const char c : wire) ASSERT_TRUE(demux.feed(as_bytes(std::string_view(&c, 1))));
  EXPECT_EQ(out, "hello world");
  EXPECT_EQ(err, "oops");
  EXPECT_TRUE(demux.at_boundary());
  EXPECT_FALSE(demux.feed(as_bytes("plain text")));
  EXPECT_FALSE(demux.feed(as_bytes(frame(1, "x")))) << "the error is permanent";
}

// ---------------------------------------------------------------------------------------------------- a real engine

/// Exists only where tests/docker/with-dockerd.sh has started an engine, which DockerWithEngine below has it do: the
/// parameter is the engine: one or none.
class DockerEngineTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / fmt::format("docker_engine_test_{}_{}", ::getpid(), ++counter_);
    fs::create_directories(dir_);
    docker_ = make();
    ASSERT_TRUE(runtime_.run(docker_->version()));
  }
  void TearDown() override {
    if (!docker_) return;
    const auto known = runtime_.run(docker_->list());
    for (const Status& status : *known) EXPECT_TRUE(runtime_.run(docker_->remove(status.id)));
    runtime_.run(docker_->close());
    EXPECT_EQ(containers(), 0u) << "a container remains";
    docker_.reset();
    fs::remove_all(dir_);
  }
  std::unique_ptr<Docker> make() {
    DockerOptions options;
    options.socket = *docker_socket(::getenv("DOCKER_HOST"));
    options.id = "test";
    options.registries = {std::string(kAnyRegistry)};
    options.processes = &processes_;
    return std::make_unique<Docker>(runtime_.runtime(), options);
  }
  /// A new daemon after close() of the old one.
  void restart() {
    runtime_.run(docker_->close());
    docker_ = make();
  }
  std::size_t containers() {
    DockerApi api(runtime_.runtime().net, *docker_socket(::getenv("DOCKER_HOST")));
    auto list = runtime_.run(api.call("GET", "/containers/json?all=1"));
    return list && list->is_array() ? list->get_array().size() : 999;
  }
  /// `sleep 1000` in a script is work that runs until it is stopped; no test waits for its end.
  Request request(std::string script, std::string id = "e1") {
    return docker_request(dir_, {"sh", "-c", std::move(script)}, id);
  }
  Result<void> start(Request r) { return runtime_.run(docker_->start(std::move(r))); }
  ExecutionResult run(Request r) {
    const ExecutionId id = r.execution_id;
    auto started = start(std::move(r));
    EXPECT_TRUE(started) << started.error().to_string();
    if (!started) return {};
    auto result = runtime_.run(docker_->wait(id));
    EXPECT_TRUE(result);
    return result ? *result : ExecutionResult();
  }
  void until_output(std::string_view text) {
    const auto is_written = [&] {
      return runtime_.run(docker_->logs(ExecutionId("e1"), kResultOutputLimit))->out.find(text) != std::string::npos;
    };
    for (int i = 0; i < 4'000 && !is_written(); ++i) ASSERT_TRUE(runtime_.run(sleep_for(5ms)));
    ASSERT_TRUE(is_written()) << "no output '" << text << "' in 20 s";
  }

  static inline int counter_ = 0;
  fs::path dir_;
  RealRuntime runtime_;
  RealProcesses processes_{runtime_.runtime().lane};
  std::unique_ptr<Docker> docker_;
};

TEST_P(DockerEngineTest, HelloExitCodeAndEnvironment) {
  Request r = request("echo hello $A; pwd; echo oops >&2; exit 3");
  r.engine.params.environment = {"A=two words"};
  r.engine.params.working_directory = "/tmp";
  const ExecutionResult result = run(std::move(r));
  EXPECT_EQ(result.out, "hello two words\n/tmp\n");
  EXPECT_EQ(result.err, "oops\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(runtime_.run(docker_->status(ExecutionId("e1")))->state, State::failed);
}

TEST_P(DockerEngineTest, MemoryLimitEndsTheWork) {
  Request r = request("tail /dev/zero");
  r.limits.memory_bytes = 32 * 1024 * 1024;
  const ExecutionResult result = run(std::move(r));
  EXPECT_NE(result.exit_code, 0);
  EXPECT_TRUE(result.killed);
  EXPECT_THAT(result.error_msg, HasSubstr("memory limit"));
}

TEST_P(DockerEngineTest, StopHonoursTermAndKillsAfterTheGrace) {
  ASSERT_TRUE(start(request("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done")));
  until_output("ready");
  auto stats = runtime_.run(docker_->stats(ExecutionId("e1")));
  ASSERT_TRUE(stats) << stats.error().to_string();
  EXPECT_GE(stats->pids, 1u);
  ASSERT_TRUE(runtime_.run(docker_->stop(ExecutionId("e1"), 60s)));
  EXPECT_EQ(runtime_.run(docker_->wait(ExecutionId("e1")))->exit_code, 5);
  ASSERT_TRUE(runtime_.run(docker_->remove(ExecutionId("e1"))));
  ASSERT_TRUE(start(request("trap '' TERM; echo ready; while :; do sleep 0.05; done")));
  until_output("ready");
  ASSERT_TRUE(runtime_.run(docker_->stop(ExecutionId("e1"), 1s)));
  const ExecutionResult killed = *runtime_.run(docker_->wait(ExecutionId("e1")));
  EXPECT_EQ(killed.exit_code, 137);
  EXPECT_THAT(killed.error_msg, HasSubstr("did not end within the grace"));
}

TEST_P(DockerEngineTest, ExecPauseAndResume) {
  const ExecutionId id("e1");
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  auto output = runtime_.run(docker_->exec(id, {"sh", "-c", "echo in; echo no >&2; exit 4"}));
  ASSERT_TRUE(output) << output.error().to_string();
  EXPECT_EQ(output->out, "in\n");
  EXPECT_EQ(output->err, "no\n");
  EXPECT_EQ(output->exit_code, 4);
  ASSERT_TRUE(runtime_.run(docker_->pause(id)));
  EXPECT_EQ(runtime_.run(docker_->status(id))->state, State::paused);
  ASSERT_TRUE(runtime_.run(docker_->resume(id)));
}

TEST_P(DockerEngineTest, ProbesTheLoopbackOfTheContainer) {
  const ExecutionId id("e1");
  ASSERT_TRUE(start(
      request("echo '<html>hello</html>' > /tmp/index.html; echo ready; busybox httpd -f -p 127.0.0.1:8080 -h /tmp")));
  until_output("ready");
  Probe probe;
  probe.port = 8080;
  probe.http_path = "/index.html";
  ProbeResult result;
  for (int i = 0; i < 400 && !result.connected; ++i) {
    const auto probed = runtime_.run(docker_->probe(id, probe));
    ASSERT_TRUE(probed) << probed.error().to_string();
    result = *probed;
  }
  EXPECT_EQ(result.http_status, 200);
  EXPECT_EQ(result.body, "<html>hello</html>\n");
  probe.port = 8081;
  EXPECT_FALSE(runtime_.run(docker_->probe(id, probe))->connected);
}

TEST_P(DockerEngineTest, AFailedStartReportsItsCause) {
  auto missing = start(docker_request(dir_, {"/no/such/program"}));
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().to_string(), HasSubstr("no such file"));
  Request unknown = request("true");
  unknown.engine.params.image = "localhost:1/none:1";
  auto no_image = start(std::move(unknown));
  ASSERT_FALSE(no_image);
  EXPECT_THAT(no_image.error().to_string(), HasSubstr("localhost:1"));
  EXPECT_EQ(containers(), 0u);
}

TEST_P(DockerEngineTest, RecoverRemovesContainersOfAnEarlierDaemon) {
  ASSERT_TRUE(start(request("sleep 1000", "old")));
  restart();
  EXPECT_EQ(containers(), 1u);
  auto taken = runtime_.run(docker_->recover({}));
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->empty());
  EXPECT_EQ(containers(), 0u);
}

TEST_P(DockerEngineTest, RunningWorkIsTakenUpAndItsLogFollowedOn) {
  const ExecutionId id("e1");
  const Request r = request(
      "trap 'echo bye; exit 5' TERM; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; "
      "[ $((i % 100)) = 0 ] && sleep 0.05; done; echo all; while :; do sleep 0.05; done");
  ASSERT_TRUE(start(r));
  for (int i = 0; i < 6; ++i) {
    until_output(fmt::format("line {}\n", 300 + i * 300));
    restart();
    auto taken = runtime_.run(docker_->recover({r}));
    ASSERT_TRUE(taken) << taken.error().to_string();
    ASSERT_EQ(taken->size(), 1u);
  }
  until_output("all\n");
  ASSERT_TRUE(runtime_.run(docker_->stop(id, 60s)));
  EXPECT_EQ(runtime_.run(docker_->wait(id))->exit_code, 5);
  std::string expected;
  for (int i = 1; i <= 3000; ++i) expected += fmt::format("line {}\n", i);
  const std::string out = runtime_.run(docker_->wait(id))->out;
  EXPECT_TRUE(out == expected + "all\nbye\n") << "nothing twice, nothing missing: " << out.size() << " bytes";
}

TEST_P(DockerEngineTest, WorkThatEndedMeanwhileIsTakenUp) {
  Request r = request("echo before; sleep 0.3; echo after; tail /dev/zero");
  r.limits.memory_bytes = 32 * 1024 * 1024;
  ASSERT_TRUE(start(r));
  until_output("before");
  restart();
  const auto ended = [&] {
    DockerApi api(runtime_.runtime().net, *docker_socket(::getenv("DOCKER_HOST")));
    auto details = runtime_.run(api.call("GET", "/containers/test_job_e1/json"));
    return details && json_text(*details, {"State", "Status"}) == "exited";
  };
  for (int i = 0; i < 4'000 && !ended(); ++i) ASSERT_TRUE(runtime_.run(sleep_for(5ms)));
  EXPECT_EQ(runtime_.run(docker_->recover({r}))->size(), 1u);
  const ExecutionResult result = *runtime_.run(docker_->wait(ExecutionId("e1")));
  EXPECT_EQ(result.out, "before\nafter\n");
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.error_msg, HasSubstr("memory limit"));
}

TEST_P(DockerEngineTest, MuchOutputUnderASmallLimitEndsInTime) {
  Request r = request("yes 0123456789012345678901234567890123456789 | head -c 100000000; exit 3");
  r.log_limit = 64 * 1024;
  const ExecutionResult result = run(std::move(r));
  EXPECT_EQ(result.exit_code, 3);
  const auto page = runtime_.run(docker_->read_log(ExecutionId("e1"), LogStream::out, 0, 100));
  ASSERT_TRUE(page);
  EXPECT_GT(page->offset, 0u) << "what is missing shows";
  EXPECT_TRUE(page->ended);
}

Task<void> start_into(Docker& docker, Request request, int& ok) {
  const ExecutionId id = request.execution_id;
  Result<void> started = co_await docker.start(std::move(request));
  if (!started) co_return;
  Result<ExecutionResult> result = co_await docker.wait(id);
  if (result && result->exit_code == 0 && result->out == id.value + "\n") ++ok;
}
Task<void> start_all(Docker& docker, std::vector<Request> requests, int& ok) {
  TaskContext context = co_await this_task();
  Nursery nursery(*context.lane, "test");
  for (Request& request : requests) nursery.spawn(start_into(docker, std::move(request), ok));
  co_await nursery.join();
}

TEST_P(DockerEngineTest, TenAtOnce) {
  std::vector<Request> requests;
  for (int i = 0; i < 10; ++i) requests.push_back(request(fmt::format("echo e{}", i), fmt::format("e{}", i)));
  int ok = 0;
  runtime_.run(start_all(*docker_, std::move(requests), ok));
  EXPECT_EQ(ok, 10);
}

std::vector<const char*> engines() {
  const char* engine = ::getenv("NUNET_TEST_ENGINE");
  return engine == nullptr ? std::vector<const char*>{} : std::vector{engine};
}
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DockerEngineTest);
INSTANTIATE_TEST_SUITE_P(One, DockerEngineTest, ::testing::ValuesIn(engines()));

TEST(DockerWithEngine, TheTestsPass) {
  RealRuntime runtime;
  RealProcesses processes(runtime.runtime().lane);
  ProcessSpec spec;
  const std::string self = fs::read_symlink("/proc/self/exe");
  spec.argv = {DMS_SOURCE_DIR "/tests/docker/with-dockerd.sh", self, "--gtest_filter=One/DockerEngineTest.*"};
  spec.env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "NUNET_TEST_ENGINE=1", "HOME=/tmp"};
  auto run = runtime.run(run_process(processes, std::move(spec), 1 << 20));
  ASSERT_TRUE(run) << run.error().to_string();
  if (run->exit.code == 77) GTEST_SKIP() << "skipped: " << run->err;
  EXPECT_EQ(run->exit.code, 0) << run->out.substr(run->out.size() > 8000 ? run->out.size() - 8000 : 0) << run->err;
  EXPECT_THAT(run->out, HasSubstr("[       OK ] One/DockerEngineTest.HelloExitCodeAndEnvironment/0"));
}

}  // namespace
}  // namespace dms::executor
