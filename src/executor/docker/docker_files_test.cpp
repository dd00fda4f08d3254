// How files of containers are given to a daemon that is not root, by a scripted engine.
#include <fstream>

#include "executor/docker/test_engine.hpp"

namespace dms::executor {
namespace {
namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

/// A daemon whose user is not the one that the files belong to.
class DockerFilesTest : public DockerTest {
 protected:
  static DockerOptions of_user(std::uint32_t user) {
    DockerOptions options;
    options.user = user;
    return options;
  }
  void TearDown() override {
    run(other_.close());
    DockerTest::TearDown();
  }
  /// To the import of the image, the creation and the start of the container.
  void answer_start() {
    net_.answers = {http(200, fmt::format(R"({{"status":"sha256:{}"}})", kImage)), http(201, R"({"Id":"abc"})"),
                    http(204, "")};
  }
  void answer_removal() {
    for (std::string& answer : std::vector{http(204, ""), http(200, fmt::format(R"([{{"Id":"sha256:{}"}}])", kImage)),
                                           http(200, "{}"), http(200, "[]")})
      net_.answers.push_back(std::move(answer));
  }
  /// The engine has neither.
  void answer_that_nothing_is_there() {
    net_.answers.push_back(http(404, "{}"));
    net_.answers.push_back(http(200, "[]"));
  }
  const std::string kImage = std::string(64, 'a');
  Docker other_{Runtime{node_.runtime().lane, net_}, of_user(::geteuid() + 1)};
};

TEST_F(DockerFilesTest, TheContainerThatGivesFilesGoesWithItsImage) {
  answer_start();
  net_.answers.push_back(http(200, R"({"StatusCode":0})"));
  answer_removal();
  const auto taken = run(other_.take_files(dir_));
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_TRUE(net_.answers.empty());
  EXPECT_THAT(net_.written, HasSubstr("&changes=LABEL%20nunet-executor%3Dnunet"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /images/sha256:" + kImage));
}

TEST_F(DockerFilesTest, TheImageStaysKnownWithAContainerThatCannotBeRemoved) {
  answer_start();
  net_.answers.push_back(http(200, R"({"StatusCode":0})"));
  net_.answers.push_back(http(500, "{}"));
  EXPECT_TRUE(run(other_.take_files(dir_)));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/nunet-give-"));
  EXPECT_THAT(net_.written, Not(HasSubstr("DELETE /images")));
}

TEST_F(DockerFilesTest, WhatAnEngineThatGoesAwayKeepsIsRemovedWhenItIsBack) {
  answer_start();
  EXPECT_TRUE(run(other_.take_files(dir_)).error().is(Errc::unsupported)) << "it went away while the container ran";
  world_.run_for(1min);
  answer_removal();
  world_.run_for(1min);
  EXPECT_TRUE(net_.answers.empty());
  const std::size_t container = net_.written.rfind("DELETE /containers/nunet-give-");
  const std::size_t image = net_.written.rfind("DELETE /images/sha256:" + kImage);
  ASSERT_NE(image, std::string::npos);
  EXPECT_LT(container, image);
  const std::string all = net_.written;
  world_.run_for(1min);
  EXPECT_EQ(net_.written, all) << "it is done";
}

TEST_F(DockerFilesTest, AContainerWhoseCreationIsNotAnsweredIsRemoved) {
  answer_start();
  net_.answers[1] = std::string(kHangs);
  net_.answers.pop_back();  // it is not started
  answer_removal();
  const auto taken = run(other_.take_files(dir_));
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().is(Errc::unsupported)) << "to be tried again: " << taken.error().to_string();
  EXPECT_TRUE(net_.answers.empty());
  const std::string create = "/containers/create?name=";
  const std::size_t at = net_.written.find(create);
  ASSERT_NE(at, std::string::npos);
  const std::string name = net_.written.substr(at + create.size(), std::string("nunet-give-").size() + 16);
  EXPECT_THAT(name, HasSubstr("nunet-give-"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /containers/" + name + "?"));
  EXPECT_THAT(net_.written, HasSubstr("DELETE /images/sha256:" + kImage));
}

TEST_F(DockerFilesTest, AnImageWhoseImportIsNotAnsweredIsRemoved) {
  net_.answers = {std::string(kHangs)};
  answer_removal();
  const auto taken = run(other_.take_files(dir_));
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().is(Errc::unsupported)) << taken.error().to_string();
  EXPECT_TRUE(net_.answers.empty());
  EXPECT_THAT(net_.written, HasSubstr("DELETE /images/sha256:" + kImage));
}

TEST_F(DockerFilesTest, AnAttemptReplacesTheContainerOfOneBefore) {
  answer_start();
  net_.answers.insert(net_.answers.begin() + 1, {http(409, "{}"), http(204, "")});
  net_.answers.push_back(http(200, R"({"StatusCode":0})"));
  answer_removal();
  const auto taken = run(other_.take_files(dir_));
  EXPECT_TRUE(taken) << taken.error().to_string();
  EXPECT_TRUE(net_.answers.empty());
  const std::size_t first = net_.written.find("POST /containers/create");
  const std::size_t removal = net_.written.find("DELETE /containers/nunet-give-");
  const std::size_t second = net_.written.rfind("POST /containers/create");
  EXPECT_LT(first, removal);
  EXPECT_LT(removal, second);
}

TEST_F(DockerFilesTest, AContainerThatTheEngineIsStillMakingIsWaitedFor) {
  answer_start();
  net_.answers = {net_.answers.front(), http(409, "{}"), http(404, "{}"), http(409, "{}")};
  answer_removal();
  const auto taken = run(other_.take_files(dir_));
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().is(Errc::unsupported)) << "to be tried again: " << taken.error().to_string();
  EXPECT_TRUE(net_.answers.empty());
}

TEST_F(DockerFilesTest, ARemovalThatIsLateSparesTheContainerOfTheNextAttempt) {
  answer_start();
  net_.answers[1] = std::string(kHangs);
  net_.answers.pop_back();
  EXPECT_TRUE(run(other_.take_files(dir_)).error().is(Errc::unsupported)) << "nor is the removal answered";
  answer_start();
  net_.answers.push_back("HTTP/1.1 200 OK\r\n\r\n" + std::string(kHangs));  // it runs for two minutes
  net_.answers.push_back("HTTP/1.1 200 OK\r\n\r\n" + frame(1, "1024\n"));
  net_.answers.push_back(http(200, R"({"StatusCode":0})"));
  answer_removal();
  answer_that_nothing_is_there();
  const auto taken = run(other_.take_files(dir_));
  EXPECT_TRUE(taken) << taken.error().to_string();
  world_.run_for(1min);
  EXPECT_TRUE(net_.answers.empty());
}

TEST_F(DockerFilesTest, ManyAttemptsNeedOneRemoval) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(run(other_.take_files(dir_)).error().is(Errc::unsupported));
  answer_that_nothing_is_there();
  const std::size_t answers = net_.answers.size();
  answer_that_nothing_is_there();
  world_.run_for(1min);
  EXPECT_EQ(net_.answers.size(), answers);
}

TEST_F(DockerFilesTest, GivingTakesAsLongAsItGetsOn) {
  const std::string hangs = "HTTP/1.1 200 OK\r\n\r\n" + std::string(kHangs);
  const auto told = [](std::string_view text) { return "HTTP/1.1 200 OK\r\n\r\n" + frame(1, text); };
  answer_start();
  for (const char* entries : {"1024\n", "2048\n", "9216\n"}) {
    net_.answers.push_back(hangs);
    net_.answers.push_back(told(entries));
  }
  net_.answers.push_back(http(200, R"({"StatusCode":0})"));
  answer_removal();
  const auto taken = run(other_.take_files(dir_));
  EXPECT_TRUE(taken) << taken.error().to_string();
  answer_start();
  for (int i = 0; i < 2; ++i) {
    net_.answers.push_back(hangs);
    net_.answers.push_back(told("1024\n"));
  }
  answer_removal();
  const auto stuck = run(other_.take_files(dir_));
  ASSERT_FALSE(stuck);
  EXPECT_TRUE(stuck.error().is(Errc::io)) << stuck.error().to_string();
  EXPECT_THAT(stuck.error().to_string(), HasSubstr("has not got on"));
  EXPECT_TRUE(net_.answers.empty());
}

TEST_F(DockerFilesTest, WhatTheContainerSaysOfItsFailureIsReported) {
  answer_start();
  net_.answers.push_back(http(200, R"({"StatusCode":1})"));
  net_.answers.push_back("HTTP/1.1 200 OK\r\n\r\n" + frame(2, "secret: Operation not permitted\n"));
  answer_removal();
  const auto taken = run(other_.take_files(dir_));
  ASSERT_FALSE(taken);
  EXPECT_TRUE(taken.error().is(Errc::io)) << "it is not the engine that is away";
  EXPECT_THAT(taken.error().to_string(), HasSubstr("exit code 1: secret: Operation not permitted"));
}

TEST_F(DockerFilesTest, AnEngineThatIsAwayIsToBeAskedAgain) {
  EXPECT_TRUE(run(other_.take_files(dir_)).error().is(Errc::unsupported));
  ASSERT_FALSE(run(other_.recover({})));
  answer_start();
  EXPECT_TRUE(run(other_.take_files(dir_)).error().is(Errc::unsupported));
  EXPECT_EQ(net_.answers.size(), 3U) << "recover() would remove the container";
}

TEST_F(DockerFilesTest, TheSearchForFilesOfOthersCanBeStopped) {
  const std::uint32_t user = ::geteuid() == 0 ? 4713 : ::geteuid();
  const fs::path work = dir_ / "work";
  fs::create_directories(work);
  ASSERT_EQ(::chown(work.c_str(), user, static_cast<gid_t>(-1)), 0);
  for (int i = 0; i < 5000; ++i) {
    const fs::path file = work / std::to_string(i);
    std::ofstream(file) << "x";
    ASSERT_EQ(::chown(file.c_str(), user, static_cast<gid_t>(-1)), 0);
  }
  Docker own(Runtime{node_.runtime().lane, net_}, of_user(user));
  EXPECT_TRUE(run(own.take_files(work))) << "nothing is another user's, so no engine is needed";
  const auto stopped = run(with_timeout(0ns, own.take_files(work)));
  ASSERT_FALSE(stopped);
  EXPECT_TRUE(stopped.error().is(Errc::deadline_exceeded)) << stopped.error().to_string();
  run(own.close());
}

}  // namespace
}  // namespace dms::executor
