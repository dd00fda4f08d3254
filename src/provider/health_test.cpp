#include "provider/health.hpp"

#include "jobs/ensemble/program_limits.hpp"
#include "provider/testing.hpp"

namespace dms::provider {
namespace {

using jobs::HealthCheckType;
using protocol::Health;

jobs::HealthCheck command(std::string expected = "") {
  jobs::HealthCheck check;
  check.type = HealthCheckType::command;
  check.exec = {"check", "me"};
  check.response.value = std::move(expected);
  check.interval_ns = Duration(10s).count();
  return check;
}

jobs::HealthCheck probe(HealthCheckType type, std::uint16_t port, std::string endpoint = "") {
  jobs::HealthCheck check;
  check.type = type;
  check.port = port;
  check.endpoint = std::move(endpoint);
  check.interval_ns = Duration(10s).count();
  return check;
}

TEST(CheckHealth, WhatCannotBeHonouredIsRefusedByName) {
  const auto refusal = [](const jobs::HealthCheck& check) {
    const Result<void> honoured = check_health(check);
    return honoured ? std::string() : honoured.error().to_string();
  };
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal(command()), "");
  EXPECT_EQ(refusal(probe(HealthCheckType::tcp, 80)), "");
  for (const auto* own : {"http://localhost:8080/health", "http://127.0.0.1/", "/health?all=1"})
    EXPECT_EQ(refusal(probe(HealthCheckType::http, 0, own)), "") << own;
  for (const auto* other : {"http://169.254.169.254/latest", "https://localhost/", "http://localhost@10.0.0.1/",
                            "http://localhost:0/", "http://localhost.example/", "/a b", "file:///etc/passwd", ""})
    EXPECT_TRUE(refusal(probe(HealthCheckType::http, 0, other)).starts_with("endpoint: ")) << other;
  EXPECT_TRUE(refusal(probe(HealthCheckType::tcp, 0)).starts_with("port: "));
  jobs::HealthCheck check = command();
  check.exec.clear();
  EXPECT_TRUE(refusal(check).starts_with("exec: "));
  check.exec = {std::string(jobs::kMaxCheckCommand, 'x')};
  EXPECT_TRUE(refusal(check).starts_with("exec: "));
  check.exec = {"test", std::string("a\0b", 3)};
  EXPECT_TRUE(refusal(check).starts_with("exec[1]: a zero byte")) << refusal(check);
  for (const Duration interval : {Duration(1ms), Duration(-1s), kLongestCheckInterval + 1s, Duration::max()}) {
    check = command();
    check.interval_ns = interval.count();
    EXPECT_TRUE(refusal(check).starts_with("interval: ")) << interval.count();
  }
  check = command();
  check.timeout_ns = Duration(24h).count();
  EXPECT_TRUE(refusal(check).starts_with("timeout: "));
  check = command();
  for (const Duration grace : {Duration(-1), Duration::max()}) {
    check.grace_ns = grace.count();
    EXPECT_TRUE(refusal(check).starts_with("grace: ")) << grace.count();
  }
}

struct HealthTest : ProviderTest {
  ~HealthTest() override { run(tasks.close()); }
  void begin(const jobs::HealthCheck& check, executor::FakeScript work) {
    work.runs_for = std::nullopt;
    executor->script("job", std::move(work));
    executor::Request request;
    request.job_id = "job";
    request.execution_id = executor::ExecutionId("run");
    request.engine.type = "null";
    request.results_dir = "/nowhere";
    ASSERT_TRUE(check_health(check));
    ASSERT_TRUE(run(executor->start(std::move(request))));
    monitor = std::make_unique<HealthMonitor>(node.lane(), *executor, executor::ExecutionId("run"), check,
                                              [this] { ++changes; });
    tasks.spawn(monitor->run());
  }
  Health after(Duration time) {
    w.settle(time);
    return monitor->health();
  }
  Nursery tasks{node.lane(), "health"};
  std::unique_ptr<HealthMonitor> monitor;
  int changes = 0;
};

TEST_F(HealthTest, ARunThatStartsIsHealthySoonAfterItsFirstPassedCheck) {
  begin(command("check me"), {.healthy_after = 3500ms});
  EXPECT_EQ(after(3s), Health::starting);
  EXPECT_EQ(monitor->message(), "exit code 1 of `check me`");
  EXPECT_EQ(after(1500ms), Health::healthy) << "it does not wait for the interval";
  EXPECT_EQ(monitor->message(), "");
}

TEST_F(HealthTest, ThreeFailuresAnIntervalApartMakeItUnhealthyAndOneSuccessHealthyAgain) {
  begin(probe(HealthCheckType::tcp, 80), {.unhealthy_after = 15s});
  EXPECT_EQ(after(1s), Health::healthy);
  EXPECT_EQ(after(38s), Health::healthy) << "two checks have failed, at 20 s and 30 s";
  EXPECT_EQ(after(2s), Health::unhealthy);
  EXPECT_EQ(changes, 2);
  EXPECT_EQ(monitor->message(), "connect to 127.0.0.1:80: Connection refused");
}

TEST_F(HealthTest, WithinTheGraceFailuresDoNotCount) {
  jobs::HealthCheck check = command();
  check.grace_ns = Duration(60s).count();
  begin(check, {.healthy_after = 1h});
  EXPECT_EQ(after(79s), Health::starting);
  EXPECT_EQ(after(3s), Health::unhealthy) << "at 60, 70 and 80 s";
  EXPECT_EQ(after(1h), Health::healthy);
}

TEST_F(HealthTest, ThresholdsAreCountedInARow) {
  jobs::HealthCheck check = command();
  check.success_threshold = 3;
  check.failure_threshold = 1;
  begin(check, {.unhealthy_after = 25s});
  EXPECT_EQ(after(1500ms), Health::starting);
  EXPECT_EQ(after(1s), Health::healthy);
  EXPECT_EQ(after(30s), Health::unhealthy);
}

TEST_F(HealthTest, TheExpectedTextIsComparedWithOutputOrBody) {
  begin(command("something else"), {});
  EXPECT_EQ(after(1s), Health::starting);
  EXPECT_EQ(monitor->message(), "the output of `check me` does not contain the expected text");
  jobs::HealthCheck http = probe(HealthCheckType::http, 0, "http://localhost:8080/");
  http.response.value = "ready";
  HealthMonitor other(node.lane(), *executor, executor::ExecutionId("run"), http, [] {});
  tasks.spawn(other.run());
  w.settle(1s);
  EXPECT_EQ(other.message(), "the answer of 127.0.0.1:8080/ is not the expected text");
  run(tasks.close());
}

TEST_F(HealthTest, AFailedCheckSaysWhatWasAskedAndWhatWasAnswered) {
  jobs::HealthCheck check = probe(HealthCheckType::http, 8080, "/health");
  begin(check, {.http_status = 503});
  after(1s);
  EXPECT_EQ(monitor->message(), "HTTP status 503 of 127.0.0.1:8080/health, 200 to 399 expected");
}

TEST_F(HealthTest, ACheckThatIsNotAnsweredSaysHowLongThatWasAwaited) {
  jobs::HealthCheck check = probe(HealthCheckType::tcp, 8080);
  check.timeout_ns = Duration(1500ms).count();
  begin(check, {.check_takes = 1h});
  after(2s);
  EXPECT_EQ(monitor->message(), "no answer of 127.0.0.1:8080 within 1.5 s");
}

TEST_F(HealthTest, TheCommandIsNamedInOneShortLine) {
  jobs::HealthCheck check = command();
  check.exec = {"sh", "-c", "echo '\x1b[2J'\nexit 1; " + std::string(2000, 'x')};
  begin(check, {.healthy_after = 1h});
  after(1s);
  const std::string& message = monitor->message();
  EXPECT_TRUE(message.starts_with("exit code 1 of `sh -c echo '\\x1b[2J'\\x0aexit 1; xxx")) << message;
  EXPECT_TRUE(message.ends_with("xxx...`")) << message;
  EXPECT_LE(message.size(), 256U);
}

}  // namespace
}  // namespace dms::provider
