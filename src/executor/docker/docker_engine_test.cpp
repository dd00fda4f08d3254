// The docker executor against a real engine, which tests/docker/with-dockerd.sh starts and removes.
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "executor/docker/test_docker.hpp"
#include "executor/docker/watcher.hpp"
#include "executor/sandbox/shim_files.hpp"
#include "runtime/process.hpp"
#include "runtime/real_runtime.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// Exists only where tests/docker/with-dockerd.sh has started an engine, which DockerWithEngine below has it do: the
/// parameter is the program that stops and starts it: one or none.
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
    EXPECT_TRUE(watchers().empty()) << "a watcher remains";
    docker_.reset();
    fs::remove_all(dir_);
  }
  std::unique_ptr<Docker> make() {
    DockerOptions options;
    options.socket = *docker_socket(::getenv("DOCKER_HOST"));
    options.id = "test";
    options.registries = {std::string(kAnyRegistry)};
    options.processes = &processes_;
    options.state_dir = dir_ / "watchers";
    options.user = user_;
    return std::make_unique<Docker>(runtime_.runtime(), options);
  }
  /// A new daemon after close() of the old one.
  void restart() {
    runtime_.run(docker_->close());
    docker_ = make();
  }
  std::size_t containers() { return count("/containers/json?all=1"); }
  std::size_t count(std::string path) {
    DockerApi api(runtime_.runtime().net, *docker_socket(::getenv("DOCKER_HOST")));
    auto list = runtime_.run(api.call("GET", std::move(path)));
    return list && list->is_array() ? list->get_array().size() : 999;
  }
  /// The folders of the watchers.
  std::vector<fs::path> watchers() {
    std::vector<fs::path> folders;
    std::error_code ec;
    for (fs::directory_iterator it(dir_ / "watchers", ec), end; !ec && it != end; it.increment(ec))
      folders.push_back(it->path());
    return folders;
  }
  template <class Condition>
  bool until(Condition condition) {
    for (int i = 0; i < 8'000; ++i) {
      if (condition()) return true;
      (void)runtime_.run(sleep_for(5ms));
    }
    return false;
  }
  std::string state(const std::string& id = "e1") {
    DockerApi api(runtime_.runtime().net, *docker_socket(::getenv("DOCKER_HOST")));
    auto details = runtime_.run(api.call("GET", "/containers/test_job_" + id + "/json"));
    return details ? json_text(*details, {"State", "Status"}) : details.error().to_string();
  }
  SteadyTime now() { return runtime_.runtime().lane.now(); }
  void engine(const char* what) {
    ProcessSpec spec;
    spec.argv = {::getenv("NUNET_TEST_ENGINE"), what};
    spec.env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"};
    auto run = runtime_.run(run_process(processes_, std::move(spec)));
    ASSERT_TRUE(run && run->exit.shell_code() == 0) << (run ? run->err : run.error().to_string());
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
  std::uint32_t user_ = 0;  // of the daemon
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

TEST_P(DockerEngineTest, AnyUserOfTheImageReadsAndWritesTheWorkFolder) {
  for (const char* user : {"", "1000:1000", "root"}) {
    Request r = request("cat input; id -u > out; echo more >> input", fmt::format("as{}", std::strlen(user)));
    r.engine.params.image = "nunet-test:user";
    r.engine.params.user = user;
    r.engine.params.working_directory = "/work";
    r.work_dir = dir_ / "job" / r.execution_id.value / "work";
    fs::create_directories(r.work_dir);
    fs::permissions(r.work_dir, fs::perms::owner_all);
    std::ofstream(r.work_dir / "input") << "brought\n";
    fs::permissions(r.work_dir / "input", fs::perms(0666));
    const fs::path work = r.work_dir;
    const ExecutionResult result = run(std::move(r));
    EXPECT_EQ(result.out, "brought\n") << user << result.err;
    EXPECT_EQ(result.exit_code, 0) << result.error_msg << result.err;
    std::string id;
    std::ifstream(work / "out") >> id;
    EXPECT_EQ(id, std::string_view(user) == "root" ? "0" : std::string_view(user).empty() ? "4711" : "1000");
  }
}

std::uint32_t owner(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_uid : ~0U;
}

TEST_P(DockerEngineTest, ADaemonThatIsNotRootGetsTheFilesOfItsContainers) {
  constexpr std::uint32_t kUser = 4713;
  user_ = kUser;
  restart();
  const fs::path job = dir_ / "job";
  Request r = request(
      "cd /work; busybox mkdir -p a/b; echo x > a/b/secret; busybox chmod 600 a/b/secret; busybox chmod 700 a; "
      "busybox ln -s /etc l");
  r.engine.params.user = "root";
  r.work_dir = job / "work";
  fs::create_directories(r.work_dir);
  ASSERT_EQ(::chown(job.c_str(), kUser, kUser), 0);
  ASSERT_EQ(::chown(r.work_dir.c_str(), kUser, kUser), 0);
  std::ofstream(job / "beside") << "x";
  const fs::path work = r.work_dir;
  EXPECT_EQ(run(std::move(r)).exit_code, 0);
  ASSERT_EQ(owner(work / "a" / "b" / "secret"), 0u);
  const std::size_t images = count("/images/json?all=1");
  const auto taken = runtime_.run(docker_->take_files(work));
  ASSERT_TRUE(taken) << taken.error().to_string();
  for (const char* name : {"", "a", "a/b", "a/b/secret", "l"}) EXPECT_EQ(owner(work / name), kUser) << name;
  EXPECT_EQ(owner(job / "beside"), 0u);
  EXPECT_EQ(containers(), 1u) << "the work's own";
  EXPECT_TRUE(watchers().empty()) << "no mark of an image";
  EXPECT_EQ(count("/images/json?all=1"), images);
  ProcessSpec removing;
  removing.argv = {"/usr/bin/setpriv", "--reuid=4713", "--regid=4713", "--clear-groups", "rm", "-r", work.string()};
  removing.env = {"PATH=/usr/bin:/bin"};
  const auto removed = runtime_.run(run_process(processes_, std::move(removing)));
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->exit.shell_code(), 0) << removed->err;
  EXPECT_FALSE(fs::exists(work));
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

TEST_P(DockerEngineTest, ACommandThatIsGivenUpIsKilled) {
  const ExecutionId id("e1");
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  EXPECT_FALSE(runtime_.run(with_timeout(500ms, docker_->exec(id, {"sleep", "2345"}))));
  const auto left = [&] {
    const auto listed = runtime_.run(docker_->exec(id, {"sh", "-c", "busybox ps | grep -c '[s]leep 2345'"}));
    return listed ? listed->out : listed.error().to_string();
  };
  EXPECT_TRUE(until([&] { return left() == "0\n"; })) << left();
}

TEST_P(DockerEngineTest, WhatACommandLeavesEndsWithIt) {
  const ExecutionId id("e1");
  ASSERT_TRUE(start(request("echo ready; sleep 1000")));
  until_output("ready");
  const auto left = [&] {
    const auto listed = runtime_.run(docker_->exec(id, {"sh", "-c", "busybox ps | grep -c '[s]leep 3456'"}));
    return listed ? listed->out : listed.error().to_string();
  };
  const std::string leaving =
      "busybox setsid sleep 3456 >/dev/null 2>&1 & until busybox ps | grep -q '[s]leep 3456'; do :; done; echo left; ";
  const auto in_time = runtime_.run(docker_->exec(id, {"sh", "-c", leaving}));
  ASSERT_TRUE(in_time) << in_time.error().to_string();
  EXPECT_EQ(in_time->out, "left\n");
  EXPECT_EQ(left(), "0\n");
  EXPECT_FALSE(runtime_.run(with_timeout(2s, docker_->exec(id, {"sh", "-c", leaving + "sleep 2345"}))));
  EXPECT_TRUE(until([&] { return left() == "0\n"; })) << left();
  // The command itself has ended, and another process has its output.
  EXPECT_FALSE(runtime_.run(with_timeout(500ms, docker_->exec(id, {"sh", "-c", "busybox setsid sleep 3456 & true"}))));
  EXPECT_TRUE(until([&] { return left() == "0\n"; })) << left();
  EXPECT_EQ(state(), "running");
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

/// Seconds until the timer of a process expires.
std::int64_t timer_of(int pid) {
  std::int64_t longest = 0;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fdinfo", pid))) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("it_value: (")) longest = std::max<std::int64_t>(longest, std::stoll(line.substr(11)));
  }
  return longest;
}

TEST_P(DockerEngineTest, ADeadlineEndsTheContainerWithoutADaemon) {
  Request r = request("echo ready; sleep 1000");
  r.deadline = now() + 1h;
  ASSERT_TRUE(start(r));
  until_output("ready");
  ASSERT_TRUE(runtime_.run(docker_->set_deadline(ExecutionId("e1"), now() + 100ms)));
  runtime_.run(docker_->close());
  EXPECT_TRUE(until([&] { return state() == "exited"; })) << state();
  docker_ = make();
  ASSERT_EQ(runtime_.run(docker_->recover({r}))->size(), 1u);
  EXPECT_TRUE(runtime_.run(docker_->set_deadline(ExecutionId("e1"), now() + 1h))) << "too late, as it may come";
  const ExecutionResult result = *runtime_.run(docker_->wait(ExecutionId("e1")));
  EXPECT_EQ(result.out, "ready\n");
  EXPECT_EQ(result.exit_code, 137);
  EXPECT_TRUE(result.killed);
  EXPECT_THAT(result.error_msg, HasSubstr("deadline"));
  EXPECT_EQ(docker_->metrics().deadlines.value(), 1u);
  EXPECT_TRUE(watchers().empty());
}

TEST_P(DockerEngineTest, ADeadlineIsExtendedAlsoByTheNextDaemonAndAfterTheEndOfItsWatcher) {
  const ExecutionId id("e1");
  Request r = request("echo ready; sleep 1000");
  r.deadline = now() + 1h;
  ASSERT_TRUE(start(r));
  ASSERT_EQ(watchers().size(), 1u);
  const fs::path folder = watchers().front();
  const int first = shim_pid(folder);
  ASSERT_GT(first, 0);
  ASSERT_TRUE(runtime_.run(docker_->set_deadline(id, now() + 10h)));
  EXPECT_TRUE(until([&] { return timer_of(first) > 9 * 3600; }));
  restart();
  ASSERT_EQ(runtime_.run(docker_->recover({r}))->size(), 1u);
  EXPECT_EQ(shim_pid(folder), first) << "it is taken up";
  ASSERT_TRUE(runtime_.run(docker_->set_deadline(id, now() + 20h)));
  EXPECT_TRUE(until([&] { return timer_of(first) > 19 * 3600; }));
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ASSERT_TRUE(until([&] { return shim_pid(folder) == 0; }));
  ASSERT_TRUE(runtime_.run(docker_->set_deadline(id, now() + 30h)));
  const int second = shim_pid(folder);
  ASSERT_GT(second, 0) << "it is replaced";
  EXPECT_GT(timer_of(second), 29 * 3600);
  EXPECT_EQ(state(), "running");
}

TEST_P(DockerEngineTest, AWatcherEndsWithItsContainer) {
  Request r = request("sleep 1000");
  r.deadline = now() + 1h;
  ASSERT_TRUE(start(r));
  ASSERT_EQ(watchers().size(), 1u);
  const fs::path folder = watchers().front();
  runtime_.run(docker_->close());
  EXPECT_GT(shim_pid(folder), 0);
  DockerApi api(runtime_.runtime().net, *docker_socket(::getenv("DOCKER_HOST")));
  ASSERT_TRUE(runtime_.run(api.call("POST", "/containers/test_job_e1/kill")));
  EXPECT_TRUE(until([&] { return shim_pid(folder) == 0; })) << "no daemon tells it";
  docker_ = make();
  ASSERT_TRUE(runtime_.run(docker_->recover({})));
  EXPECT_TRUE(watchers().empty());
}

class DockerArchiveTest : public DockerEngineTest {
 protected:
  void SetUp() override {
    DockerEngineTest::SetUp();
    make_archive();
  }
  void TearDown() override {
    (void)call("DELETE", "/images/stranger:1");
    DockerEngineTest::TearDown();
  }
  Result<json::Value> call(std::string method, std::string path, std::string body = "") {
    DockerApi api(runtime_.runtime().net, *docker_socket(::getenv("DOCKER_HOST")));
    return runtime_.run(api.call(std::move(method), std::move(path), std::move(body)));
  }
  std::string image_of(const std::string& name) {
    const auto details = call("GET", "/images/" + name + "/json");
    return details ? json_text(*details, {"Id"}) : std::string();
  }
  /// An image that the engine has not, named stranger:1, as `docker save` writes it. That name is then another image's.
  void make_archive() {
    ASSERT_TRUE(call("POST", "/containers/create?name=model", R"({"Image":"nunet-test:busybox","Cmd":["true"]})"));
    ASSERT_TRUE(call("POST", "/commit?container=model&repo=stranger&tag=1&changes=ENV%20WHO%3Dstranger"));
    ASSERT_TRUE(call("DELETE", "/containers/model"));
    id_ = image_of("stranger:1");
    DockerApi api(runtime_.runtime().net, *docker_socket(::getenv("DOCKER_HOST")));
    auto saved = runtime_.run(api.stream("GET", "/images/stranger:1/get"));
    ASSERT_TRUE(saved) << saved.error().to_string();
    const auto bytes = runtime_.run(saved->body->read_all(64 << 20));
    ASSERT_TRUE(bytes);
    std::ofstream(dir_ / "image.tar", std::ios::binary) << *bytes;
    ASSERT_TRUE(call("DELETE", "/images/stranger:1"));
    ASSERT_EQ(image_of(id_), "") << "the engine has it still";
    ASSERT_TRUE(call("POST", "/images/nunet-test:busybox/tag?repo=stranger&tag=1"));
  }
  Request archived(std::string script, std::string id = "e1") {
    Request r = request(std::move(script), std::move(id));
    r.engine.params.image.clear();
    r.image_archive = dir_ / "image.tar";
    return r;
  }
  std::string id_;
};

TEST_P(DockerArchiveTest, AnImageComesWithTheWorkAndGoesWithIt) {
  for (const char* id : {"e1", "e2"}) {
    const ExecutionResult result = run(archived("echo $WHO", id));
    EXPECT_EQ(result.out, "stranger\n") << result.error_msg;
    EXPECT_EQ(image_of(id_), id_);
    EXPECT_EQ(image_of("stranger:1"), image_of("nunet-test:busybox")) << "no name is taken from anybody";
  }
  EXPECT_FALSE(fs::exists(dir_ / "image.tar.load"));
  ASSERT_TRUE(runtime_.run(docker_->remove(ExecutionId("e1"))));
  EXPECT_EQ(image_of(id_), id_) << "the other container uses it";
  ASSERT_TRUE(runtime_.run(docker_->remove(ExecutionId("e2"))));
  EXPECT_EQ(image_of(id_), "");
}

TEST_P(DockerArchiveTest, AnImageThatSomebodyHasNamedStays) {
  EXPECT_EQ(run(archived("echo $WHO")).out, "stranger\n");
  ASSERT_TRUE(call("POST", "/images/" + id_ + "/tag?repo=kept&tag=1"));
  ASSERT_TRUE(runtime_.run(docker_->remove(ExecutionId("e1"))));
  EXPECT_EQ(image_of("kept:1"), id_);
  EXPECT_TRUE(call("DELETE", "/images/kept:1"));
}

TEST_P(DockerArchiveTest, TheNextDaemonRemovesAnImageOrTakesItUp) {
  const Request r = archived("echo $WHO; sleep 1000");
  ASSERT_TRUE(start(r));
  until_output("stranger");
  restart();
  ASSERT_EQ(runtime_.run(docker_->recover({r}))->size(), 1u);
  EXPECT_EQ(image_of(id_), id_);
  restart();
  ASSERT_TRUE(runtime_.run(docker_->recover({})));
  EXPECT_EQ(image_of(id_), "");
}

TEST_P(DockerArchiveTest, ADamagedOneIsReportedAndLeavesNothing) {
  fs::resize_file(dir_ / "image.tar", fs::file_size(dir_ / "image.tar") / 2);
  const auto started = start(archived("echo $WHO"));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().to_string(), HasSubstr("execution.image_archive: "));
  EXPECT_EQ(image_of(id_), "");
  Request both = archived("true");
  both.engine.params.image = "nunet-test:busybox";
  EXPECT_FALSE(start(std::move(both)));
}

TEST_P(DockerEngineTest, ARestartOfTheEngineLosesNothing) {
  Request r = request("trap 'echo bye; exit 5' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done");
  r.deadline = now() + 1h;
  ASSERT_TRUE(start(r));
  until_output("line 3\n");
  engine("stop");
  runtime_.run(docker_->close());  // and the daemon is restarted meanwhile
  docker_ = make();
  EXPECT_FALSE(runtime_.run(docker_->recover({r})));
  EXPECT_FALSE(docker_->ready());
  engine("start");
  ASSERT_EQ(runtime_.run(docker_->recover({r}))->size(), 1u);
  const std::size_t before = runtime_.run(docker_->logs(ExecutionId("e1"), kResultOutputLimit))->out.size();
  EXPECT_TRUE(
      until([&] { return runtime_.run(docker_->logs(ExecutionId("e1"), kResultOutputLimit))->out.size() > before; }));
  engine("stop");
  engine("start");
  const std::size_t between = runtime_.run(docker_->logs(ExecutionId("e1"), kResultOutputLimit))->out.size();
  EXPECT_TRUE(
      until([&] { return runtime_.run(docker_->logs(ExecutionId("e1"), kResultOutputLimit))->out.size() > between; }));
  ASSERT_TRUE(runtime_.run(docker_->stop(ExecutionId("e1"), 60s)));
  const ExecutionResult result = *runtime_.run(docker_->wait(ExecutionId("e1")));
  EXPECT_EQ(result.exit_code, 5);
  int expected = 0;
  std::istringstream lines(result.out);
  std::string line;
  while (std::getline(lines, line) && line == fmt::format("line {}", expected + 1)) ++expected;
  EXPECT_EQ(line, "bye") << "after line " << expected;
}

std::vector<const char*> engines() {
  const char* engine = ::getenv("NUNET_TEST_ENGINE");
  return engine == nullptr ? std::vector<const char*>{} : std::vector{engine};
}
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DockerEngineTest);
INSTANTIATE_TEST_SUITE_P(One, DockerEngineTest, ::testing::ValuesIn(engines()));
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DockerArchiveTest);
INSTANTIATE_TEST_SUITE_P(One, DockerArchiveTest, ::testing::ValuesIn(engines()));

TEST(DockerWithEngine, TheTestsPass) {
  RealRuntime runtime;
  RealProcesses processes(runtime.runtime().lane);
  ProcessSpec spec;
  const std::string self = fs::read_symlink("/proc/self/exe");
  spec.argv = {DMS_SOURCE_DIR "/tests/docker/with-dockerd.sh", self, "--gtest_filter=One/*"};
  spec.env = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/tmp"};
  auto run = runtime.run(run_process(processes, std::move(spec), 1 << 20));
  ASSERT_TRUE(run) << run.error().to_string();
  if (run->exit.code == 77) GTEST_SKIP() << "skipped: " << run->err;
  EXPECT_EQ(run->exit.code, 0) << run->out.substr(run->out.size() > 8000 ? run->out.size() - 8000 : 0) << run->err;
  EXPECT_THAT(run->out, HasSubstr("[       OK ] One/DockerEngineTest.HelloExitCodeAndEnvironment/0"));
}

}  // namespace
}  // namespace dms::executor
