#include "executor/docker/docker.hpp"

#include "base/file.hpp"
#include "executor/docker/test_engine.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

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
                  "HTTP/1.1 200 OK\r\n\r\n" + entry(1, 1, "hel"),
                  http(200, R"({"StatusCode":3})"),
                  "HTTP/1.1 200 OK\r\n\r\n" + entry(1, 1, "hello\n") + entry(2, 2, "oops\n"),
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
                    "HTTP/1.1 200 OK\r\n\r\n",
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

TEST_F(DockerTest, TellsHowFarAnImageIsWhileItIsPulled) {
  const auto begin = [](Docker& docker, Request request) -> Task<void> {
    (void)co_await docker.start(std::move(request));
  };
  const std::string told =
      "{\"status\":\"Pulling from library/nunet-test\",\"id\":\"busybox\"}\r\n"
      "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":34,\"total\":120},\"id\":\"aa\"}\r\n";
  net_.answers = {http(404, R"({"message":"No such image"})"), "HTTP/1.1 200 OK\r\n\r\n" + told + std::string(kHangs)};
  Nursery starting(node_.runtime().lane, "starting");
  starting.spawn(begin(docker_, docker_request(dir_, {"true"})));
  world_.run_for(1s);
  ASSERT_TRUE(net_.answers.empty());
  const ImageProgress expected{ImageProgress::Phase::pulling, 34, 120};
  EXPECT_EQ(docker_.progress(ExecutionId("e1")), expected);
  EXPECT_FALSE(docker_.progress(ExecutionId("e2")));
  net_.answers = {http(204, "")};
  run(starting.close());
  EXPECT_FALSE(docker_.progress(ExecutionId("e1"))) << "the start is given up";
}

TEST_F(DockerTest, TellsOfEachBlockOfAFileThatItSends) {
  const fs::path file = dir_ / "image.tar";
  ASSERT_TRUE(write_file(file, std::string((2 << 20) + 5, 'x')));
  net_.answers = {http(200, "{}")};
  std::vector<std::uint64_t> sent;
  DockerApi::OnSent on_sent = [&sent](std::uint64_t bytes, std::uint64_t size) {
    EXPECT_EQ(size, (2u << 20) + 5);
    sent.push_back(bytes);
  };
  DockerApi api(net_, std::string(kDockerSocket));
  EXPECT_TRUE(run(api.upload("/images/load?quiet=0", file, std::move(on_sent))));
  EXPECT_EQ(sent, (std::vector<std::uint64_t>{1 << 20, 2 << 20, (2 << 20) + 5}));
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

TEST_F(DockerTest, FailedStartReturnsOnceTheContainerIsGone) {
  net_.answers = {http(200, "{}"),
                  http(201, R"({"Id":"abc"})"),
                  http(500, R"({"message":"too slow"})"),
                  http(500, "{}"),
                  http(500, "{}"),
                  http(204, "")};
  auto started = run(docker_.start(docker_request(dir_, {"true"})));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().to_string(), HasSubstr("too slow"));
  EXPECT_TRUE(net_.answers.empty()) << "the removal was repeated until the engine said that it is gone";
  EXPECT_TRUE(run(docker_.list())->empty());
}

TEST_F(DockerTest, ARemovalThatTheEngineDoesNotAnswerFailsInTimeAndCanBeRepeated) {
  net_.answers = {http(200, "{}"),
                  http(201, R"({"Id":"abc"})"),
                  http(204, ""),
                  "HTTP/1.1 200 OK\r\n\r\n",
                  http(200, R"({"StatusCode":0})"),
                  "HTTP/1.1 200 OK\r\n\r\n",
                  http(200, "{}")};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  ASSERT_TRUE(run(docker_.wait(ExecutionId("e1"))));
  net_.answers = {std::string(kHangs)};
  const auto hung = run(docker_.remove(ExecutionId("e1")));
  ASSERT_FALSE(hung);
  EXPECT_TRUE(hung.error().is(Errc::deadline_exceeded)) << hung.error().to_string();
  EXPECT_THAT(hung.error().to_string(), HasSubstr("did not answer DELETE /containers/nunet_job_e1"));
  EXPECT_EQ(run(docker_.list())->size(), 1U) << "it is kept for the next attempt";
  net_.answers = {http(204, "")};
  EXPECT_TRUE(run(docker_.remove(ExecutionId("e1"))));
  EXPECT_TRUE(run(docker_.list())->empty());
}

TEST_F(DockerTest, AStopIsRepeatedWhileTheEngineAnswersNeitherThatNorTheRemoval) {
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(204, ""), std::string(kHangs),
                  std::string(kHangs)};  // the log, and the end
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  world_.run_for(1s);
  ASSERT_TRUE(net_.answers.empty());
  net_.answers = {std::string(kHangs), std::string(kHangs), http(500, "{}"), http(204, "")};
  const auto stopped = run(with_timeout(5min, docker_.stop(ExecutionId("e1"), 1s)));
  EXPECT_FALSE(stopped) << "the engine does not say that it has ended";
  EXPECT_TRUE(net_.answers.empty()) << "stop, removal, stop, removal";
}

TEST_F(DockerTest, AFailedStartThatWaitsForTheEngineCanBeCancelled) {
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(500, "{}")};
  const auto started = run(with_timeout(1h, docker_.start(docker_request(dir_, {"true"}))));
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().is(Errc::deadline_exceeded)) << started.error().to_string();
  run(docker_.close());
}

TEST_F(DockerTest, NoCommandRunsWhileTheOneBeforeDoes) {
  const std::string hangs = "HTTP/1.1 200 OK\r\n\r\n" + std::string(kHangs);
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(204, ""), hangs, hangs};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  world_.run_for(1s);
  ASSERT_TRUE(net_.answers.empty());
  const std::string runs = R"({"Running":true,"Pid":0})";
  net_.answers = {http(201, R"({"Id":"e5ec"})"), hangs, http(200, runs)};
  const auto exec = [&] { return run(with_timeout(1s, docker_.exec(ExecutionId("e1"), {"check"}))); };
  EXPECT_TRUE(exec().error().is(Errc::deadline_exceeded));
  world_.run_for(1s);
  EXPECT_TRUE(net_.answers.empty()) << "it is looked for at once, to be killed";
  net_.answers = {http(200, runs)};
  EXPECT_TRUE(exec().error().is(Errc::already_exists));
  net_.answers = {http(200, R"({"Running":false})"), http(201, R"({"Id":"e5ed"})"),
                  "HTTP/1.1 200 OK\r\n\r\n" + frame(1, "fine"), http(200, R"({"ExitCode":0})")};
  const auto output = exec();
  ASSERT_TRUE(output) << output.error().to_string();
  EXPECT_EQ(output->out, "fine");
}

TEST_F(DockerTest, AnEngineThatDoesNotAnswerForAWhileLosesNothing) {
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(204, "")};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  auto early = run(with_timeout(1h, docker_.wait(ExecutionId("e1"))));
  ASSERT_FALSE(early);
  EXPECT_TRUE(early.error().is(Errc::deadline_exceeded)) << "it is not lost";
  // Follow and wait are tried again, in this or the other order.
  const std::string both = R"({"StatusCode":137})";
  net_.answers = {http(200, both), http(200, both), "HTTP/1.1 200 OK\r\n\r\n" + entry(1, 1, "all\n"), http(200, "{}"),
                  http(200, "{}")};
  auto result = run(docker_.wait(ExecutionId("e1")));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, 137);
  EXPECT_TRUE(result->killed);
  EXPECT_THAT(result->error_msg, HasSubstr("engine was stopped or restarted meanwhile"));
}

TEST_F(DockerTest, AContainerThatTheEngineDoesNotKnowIsLost) {
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(204, ""), http(404, "{}"), http(404, "{}"),
                  http(404, "{}")};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  auto result = run(docker_.wait(ExecutionId("e1")));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_code, -1);
  EXPECT_THAT(result->error_msg, HasSubstr("the container is lost"));
  EXPECT_THAT(result->out, HasSubstr("[the rest of the output may be missing: the Docker engine has not sent it]"));
}

TEST_F(DockerTest, TheLayerOfAContainerIsWhatItWritesElsewhere) {
  const std::string hangs = "HTTP/1.1 200 OK\r\n\r\n" + std::string(kHangs);
  net_.answers = {http(200, "{}"), http(201, R"({"Id":"abc"})"), http(204, ""), hangs, hangs};
  ASSERT_TRUE(run(docker_.start(docker_request(dir_, {"true"}))));
  world_.run_for(1s);
  ASSERT_TRUE(net_.answers.empty());
  net_.answers = {http(200, R"({"SizeRw":123456789,"SizeRootFs":999999999,"Mounts":[)"
                            R"({"Type":"bind","Source":"/a"},{"Type":"volume","Source":"/v/_data"}]})"),
                  http(200, R"({"Id":"abc"})")};
  const auto written = run(docker_.written_elsewhere(ExecutionId("e1")));
  ASSERT_TRUE(written && *written) << (written ? "none" : written.error().to_string());
  EXPECT_EQ((*written)->bytes, 123456789U);
  EXPECT_EQ((*written)->folders, std::vector<fs::path>{"/v/_data"});
  EXPECT_THAT(net_.written, HasSubstr("GET /containers/nunet_job_e1/json?size=1 HTTP/1.1"));
  const auto nothing = run(docker_.written_elsewhere(ExecutionId("e1")));
  ASSERT_TRUE(nothing && *nothing);
  EXPECT_EQ((*nothing)->bytes, 0U);
  EXPECT_FALSE(run(docker_.written_elsewhere(ExecutionId("e1")))) << "the engine is away";
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
                  http(200, "[]"),
                  "HTTP/1.1 200 OK\r\n\r\n",
                  http(200, R"({"StatusCode":3})"),
                  "HTTP/1.1 200 OK\r\n\r\n" + entry(1, 2, "two\n") + entry(2, 2, "err\n") + entry(1, 3, "three\n"),
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

TEST_F(DockerTest, WhatAnEngineThatHasNotAnsweredMayRunIsNotTakenForEnded) {
  const Request known = docker_request(dir_, {"true"}, "known");
  ASSERT_FALSE(run(docker_.recover({known})));
  EXPECT_FALSE(docker_.ready());
  EXPECT_TRUE(run(docker_.stop(ExecutionId("known"), 1s)).error().is(Errc::unsupported));
  EXPECT_TRUE(run(docker_.remove(ExecutionId("known"))).error().is(Errc::unsupported));
  EXPECT_FALSE(run(docker_.start(docker_request(dir_, {"true"}, "other"))));
  net_.answers = {http(200, "[]")};
  ASSERT_TRUE(run(docker_.recover({known})));
  EXPECT_TRUE(docker_.ready());
  EXPECT_TRUE(run(docker_.stop(ExecutionId("known"), 1s)).error().is(Errc::not_found));
}

TEST_F(DockerTest, ASilentEngineIsWaitedForBrieflyAtTheStartAndLongerLater) {
  const auto waited = [&](auto task) {
    const SteadyTime before = world_.now();
    EXPECT_FALSE(run(std::move(task)));
    return world_.now() - before;
  };
  const std::string silent(kHangs);
  net_.answers = {silent, silent};
  EXPECT_LT(waited(docker_.recover({})), kFirstAnswer + 1s);
  EXPECT_GE(waited(docker_.recover({})), 10s) << "no start waits for it";
  EXPECT_FALSE(docker_.ready());
  net_.answers = {http(200, "[]")};
  ASSERT_TRUE(run(docker_.recover({})));
  EXPECT_TRUE(docker_.ready());
  net_.answers = {silent};
  EXPECT_LT(waited(docker_.version()), kFirstAnswer + 1s);
  EXPECT_FALSE(docker_.ready());
}

TEST_F(DockerTest, WhatIsNotTakenUpYetIsNotTakenForEnded) {
  const auto recover = [](Docker& docker, std::vector<Request> known) -> Task<void> {
    (void)co_await docker.recover(std::move(known));
  };
  net_.answers = {http(200, R"([{"Id":"aa","Labels":{"nunet-executionID":"nunet_job_known"}}])"), std::string(kHangs)};
  Nursery recovering(node_.runtime().lane, "recovering");
  recovering.spawn(recover(docker_, {docker_request(dir_, {"true"}, "known")}));
  world_.run_for(1s);
  ASSERT_TRUE(net_.answers.empty()) << "it has answered, and is asked for the container";
  EXPECT_FALSE(docker_.ready());
  EXPECT_TRUE(run(docker_.remove(ExecutionId("known"))).error().is(Errc::unsupported));
  net_.answers = {http(204, "")};
  run(recovering.close());
  EXPECT_THAT(net_.written, Not(HasSubstr("DELETE"))) << "the next daemon takes it up";
  EXPECT_FALSE(docker_.ready());
}

TEST_F(DockerTest, AnEngineThatFallsSilentWhileItIsRecoveredLosesNothing) {
  const Request known = docker_request(dir_, {"true"}, "known");
  const std::string list = http(200, R"([{"Id":"aa","Labels":{"nunet-executionID":"nunet_job_known"}}])");
  net_.answers = {list, std::string(kHangs), http(204, "")};
  const SteadyTime before = world_.now();
  ASSERT_FALSE(run(docker_.recover({known})));
  EXPECT_LT(world_.now() - before, kFirstAnswer + 1s);
  EXPECT_FALSE(docker_.ready());
  EXPECT_THAT(net_.written, Not(HasSubstr("DELETE")));
  net_.answers = {list, http(200, R"({"Id":"aa","State":{"Status":"running"}})"), http(200, "[]")};
  const auto taken = run(docker_.recover({known}));
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(*taken, std::vector{ExecutionId("known")});
  EXPECT_TRUE(docker_.ready());
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

TEST_F(DockerTest, RecoverRemovesImagesByLabel) {
  const std::string id(64, 'b');
  net_.answers = {http(200, "[]"), http(200, fmt::format(R"([{{"Id":"sha256:{}"}},{{"Id":"../x"}}])", id)),
                  http(200, "{}"), http(200, "[]")};
  ASSERT_TRUE(run(docker_.recover({})));
  EXPECT_THAT(net_.written, HasSubstr("GET /images/json?filters=%7B%22label%22%3A%5B%22nunet-executor%3Dnunet%22"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /images/sha256:" + id));
  EXPECT_THAT(net_.written, Not(HasSubstr("../x")));
  EXPECT_TRUE(net_.answers.empty());
}

TEST_F(DockerTest, ASmallProcessorShareIsAQuotaInALongPeriod) {
  net_.answers = {http(200, "{}"), http(404, R"({"message":"no"})"), http(204, "")};
  Request small = docker_request(dir_, {"true"});
  small.limits.cpu_cores = 0.003;
  (void)run(docker_.start(small));
  EXPECT_THAT(net_.written, HasSubstr(R"("CpuPeriod":1000000,"CpuQuota":3000)"));
  EXPECT_THAT(net_.written, Not(HasSubstr("NanoCpus"))) << "the engine refuses both together";
  small.limits.cpu_cores = 0.01;
  const std::string body = docker_create_body(small, DockerOptions{});
  EXPECT_THAT(body, HasSubstr(R"("NanoCpus":10000000)"));
  EXPECT_THAT(body, Not(HasSubstr("CpuQuota")));
}

TEST(DockerCreate, LimitsAndIsolation) {
  Request r = docker_request("/tmp", {"echo", "a\"b"});
  r.limits.cpu_cores = 1.5;
  r.limits.memory_bytes = 1 << 20;
  r.limits.pids = 5;
  r.engine.params.environment = {"A=1"};
  r.work_dir = "/data/work";
  r.actor_dir = "/data/actors/1";
  const std::string body = docker_create_body(r, DockerOptions{});
  EXPECT_TRUE(json::parse(body));
  for (const char* part :
       {R"("NanoCpus":1500000000)", R"("Memory":1048576)", R"("MemorySwap":1048576)", R"("PidsLimit":5)",
        R"("no-new-privileges")", R"("NetworkMode":"none")", R"("Cmd":["echo","a\"b"])", R"("Env":["A=1"])",
        R"("nunet-executor":"nunet")", R"("nunet-jobID":"nunet_job")", R"("nunet-executionID":"nunet_job_e1")",
        R"("Target":"/work")", R"("Source":"/data/actors/1","Target":"/run/nunet","ReadOnly":true)"})
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

}  // namespace
}  // namespace dms::executor
