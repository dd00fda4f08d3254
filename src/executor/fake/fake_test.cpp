#include "executor/fake/fake.hpp"

#include <gtest/gtest.h>

#include "simulation/sim_world.hpp"

namespace dms::executor {
namespace {

class FakeTest : public ::testing::Test {
 protected:
  void TearDown() override { world_.run(node_, fake_.close()); }
  Request request(std::vector<std::string> environment = {}, std::string id = "e") {
    Request r;
    r.job_id = "job";
    r.execution_id = ExecutionId(std::move(id));
    r.engine.type = "null";
    r.engine.params.environment = std::move(environment);
    r.results_dir = "/nowhere";
    return r;
  }
  template <class T>
  T run(Task<T> task) {
    return world_.run(node_, std::move(task));
  }
  Result<void> start(std::vector<std::string> environment = {}) {
    return run(fake_.start(request(std::move(environment))));
  }

  const ExecutionId id_{"e"};
  SimWorld world_{1};
  SimNode& node_ = world_.add_node("node");
  Fake fake_{node_.runtime().lane};
};

TEST_F(FakeTest, RunsForItsTimeAndEndsAsScripted) {
  ASSERT_TRUE(start({"FAKE_SECONDS=90", "FAKE_EXIT_CODE=3", "FAKE_OUT=hello\n"}));
  const SteadyTime before = world_.now();
  auto result = run(fake_.wait(id_));
  ASSERT_TRUE(result);
  EXPECT_EQ(world_.now() - before, 90s);
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->out, "hello\n");
  EXPECT_EQ(result->error_msg, "exit code 3");
  EXPECT_EQ(run(fake_.status(id_))->state, State::failed);
}

TEST_F(FakeTest, AShareOfTheRunsCrashes) {
  int crashed = 0;
  for (int i = 0; i < 200; ++i) {
    const ExecutionId id(fmt::format("run-{}", i));
    ASSERT_TRUE(run(fake_.start(request({"FAKE_SECONDS=30", "FAKE_CRASH=0.25:10"}, id.value))));
    const SteadyTime before = world_.now();
    const auto result = run(fake_.wait(id));
    ASSERT_TRUE(result);
    crashed += result->exit_code == 1 ? 1 : 0;
    EXPECT_EQ(world_.now() - before, result->exit_code == 1 ? Duration(10s) : Duration(30s));
    ASSERT_TRUE(run(fake_.remove(id)));
  }
  EXPECT_GT(crashed, 25);
  EXPECT_LT(crashed, 75);
  ASSERT_TRUE(start({"FAKE_SECONDS=5", "FAKE_CRASH=1:10"}));
  EXPECT_EQ(run(fake_.wait(id_))->exit_code, 0) << "it has ended before";
  EXPECT_FALSE(start({"FAKE_CRASH=often"}));
}

TEST_F(FakeTest, FailsToStartAsScripted) {
  auto started = start({"FAKE_START_ERROR=no such image"});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message(), "no such image");
  EXPECT_EQ(fake_.size(), 0u);
  EXPECT_FALSE(start({"FAKE_SECONDS=soon"}));
}

TEST_F(FakeTest, TakesItsTimeToStart) {
  const SteadyTime before = world_.now();
  ASSERT_TRUE(start({"FAKE_START_SECONDS=40", "FAKE_SECONDS=2"}));
  EXPECT_EQ(world_.now() - before, 40s);
  ASSERT_TRUE(run(fake_.wait(id_)));
  EXPECT_EQ(world_.now() - before, 42s);
  EXPECT_FALSE(start({"FAKE_START_SECONDS=soon"}));
}

Task<void> start_later(Fake& fake, Request request, std::optional<Result<void>>& started) {
  started = co_await fake.start(std::move(request));
}

TEST_F(FakeTest, TellsHowFarItsImageIsWhileItStarts) {
  std::optional<Result<void>> started;
  Nursery starting(node_.runtime().lane, "starting");
  starting.spawn(start_later(fake_, request({"FAKE_START_SECONDS=40", "FAKE_IMAGE_MIB=100"}), started));
  world_.run_for(10s);
  const std::optional<ImageProgress> progress = fake_.progress(id_);
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->phase, ImageProgress::Phase::pulling);
  EXPECT_EQ(progress->done, 25u << 20);
  EXPECT_EQ(progress->total, 100u << 20);
  world_.run_for(40s);
  ASSERT_TRUE(started && *started);
  EXPECT_FALSE(fake_.progress(id_)) << "it runs";
  EXPECT_FALSE(fake_.progress(ExecutionId("other")));
}

TEST_F(FakeTest, AStartOfWhatIsRemovedMeanwhileFails) {
  std::optional<Result<void>> started;
  Nursery starting(node_.runtime().lane, "starting");
  starting.spawn(start_later(fake_, request({"FAKE_START_SECONDS=40"}), started));
  world_.run_for(10s);
  ASSERT_FALSE(started);
  ASSERT_TRUE(run(fake_.remove(id_)));
  world_.run_for(40s);
  ASSERT_TRUE(started);
  ASSERT_FALSE(*started);
  EXPECT_TRUE(started->error().is(Errc::cancelled)) << started->error().to_string();
  EXPECT_EQ(fake_.started(), 0u);
  run(starting.close());
}

TEST(FakeHostTest, WorkBeginsBeforeItIsSeenToRun) {
  SimWorld world{1};
  SimNode& node = world.add_node("node");
  const auto host = std::make_shared<FakeHost>();
  Fake fake(node.runtime().lane, "null", {}, host);
  std::vector<State> seen;
  host->begins = [&](const Request& request) { seen.push_back(host->works.at(request.execution_id).state); };
  Request request;
  request.job_id = "job";
  request.execution_id = ExecutionId("e");
  request.engine.type = "null";
  request.results_dir = "/nowhere";
  ASSERT_TRUE(world.run(node, fake.start(std::move(request))));
  EXPECT_EQ(seen, std::vector<State>{State::pending});
  EXPECT_EQ(host->works.at(ExecutionId("e")).state, State::running);
  world.run(node, fake.close());
}

TEST_F(FakeTest, StopWaitsForTheGraceOnlyIfTermIsIgnored) {
  FakeScript stubborn;
  stubborn.runs_for.reset();
  stubborn.ignores_term = true;
  fake_.script("job", stubborn);
  ASSERT_TRUE(start());
  const SteadyTime before = world_.now();
  ASSERT_TRUE(run(fake_.stop(id_, 10s)));
  EXPECT_EQ(world_.now() - before, 10s);
  EXPECT_EQ(run(fake_.wait(id_))->exit_code, 137);
  ASSERT_TRUE(run(fake_.remove(id_)));
  fake_.script("job", FakeScript());
  ASSERT_TRUE(start());
  ASSERT_TRUE(run(fake_.stop(id_, 10s)));
  EXPECT_EQ(world_.now() - before, 10s);
  EXPECT_EQ(run(fake_.wait(id_))->exit_code, 143);
}

TEST_F(FakeTest, PausedTimeDoesNotCount) {
  ASSERT_TRUE(start({"FAKE_SECONDS=10"}));
  const SteadyTime before = world_.now();
  world_.run_for(4s);
  ASSERT_TRUE(run(fake_.pause(id_)));
  world_.run_for(100s);
  EXPECT_EQ(run(fake_.status(id_))->state, State::paused);
  ASSERT_TRUE(run(fake_.resume(id_)));
  ASSERT_TRUE(run(fake_.wait(id_)));
  EXPECT_EQ(world_.now() - before, 110s);
}

TEST_F(FakeTest, WritesEvenlyForAPartOfItsTime) {
  ASSERT_TRUE(start({"FAKE_SECONDS=20", "FAKE_WRITE_SECONDS=10", "FAKE_OUT=@RUN@12345678@RUN@", "FAKE_ERR=abcde"}));
  const auto written = [&](LogStream stream) {
    const Result<LogPage> page = run(fake_.read_log(id_, stream, 0, 100));
    return page ? page->data : page.error().to_string();
  };
  EXPECT_EQ(written(LogStream::out), "");
  world_.run_for(5s);
  EXPECT_EQ(written(LogStream::out), "e1234");
  EXPECT_EQ(written(LogStream::err), "ab");
  ASSERT_TRUE(run(fake_.pause(id_)));
  world_.run_for(5s);
  EXPECT_EQ(written(LogStream::out), "e1234");
  ASSERT_TRUE(run(fake_.resume(id_)));
  world_.run_for(6s);
  EXPECT_EQ(run(fake_.logs(id_, 100))->out, "e12345678e");
  EXPECT_EQ(run(fake_.wait(id_))->err, "abcde");
  EXPECT_FALSE(start({"FAKE_WRITE_SECONDS=long"}));
}

TEST_F(FakeTest, WhatIsStoppedHasWrittenWhatWasDue) {
  ASSERT_TRUE(start({"FAKE_SECONDS=-1", "FAKE_WRITE_SECONDS=10", "FAKE_OUT=0123456789"}));
  world_.run_for(3s);
  ASSERT_TRUE(run(fake_.stop(id_, 1s)));
  world_.run_for(10s);
  EXPECT_EQ(run(fake_.wait(id_))->out, "012");
  EXPECT_EQ(run(fake_.read_log(id_, LogStream::out, 0, 100))->data, "012");
}

TEST_F(FakeTest, SaysWhatItTakesOfTheDisk) {
  ASSERT_TRUE(start());
  EXPECT_FALSE(run(fake_.written_elsewhere(id_))->has_value());
  ASSERT_TRUE(run(fake_.remove(id_)));
  ASSERT_TRUE(start({"FAKE_DISK_MIB=4"}));
  EXPECT_EQ((**run(fake_.written_elsewhere(id_))).bytes, 4u << 20);
  EXPECT_FALSE(run(fake_.start(request({"FAKE_DISK_MIB=-1"}, "other"))));
}

TEST_F(FakeTest, ReportsItsExecutions) {
  ASSERT_TRUE(start());
  EXPECT_FALSE(start());
  EXPECT_EQ(run(fake_.list())->size(), 1u);
  EXPECT_EQ(run(fake_.exec(id_, {"echo", "hi"}))->out, "echo hi");
  ASSERT_TRUE(run(fake_.remove(id_)));
  EXPECT_EQ(run(fake_.list())->size(), 0u);
  EXPECT_FALSE(run(fake_.wait(id_)));
}

}  // namespace
}  // namespace dms::executor
