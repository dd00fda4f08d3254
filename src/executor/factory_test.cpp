#include "executor/factory.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/log.hpp"
#include "runtime/real_runtime.hpp"

namespace dms::executor {
namespace {
using ::testing::HasSubstr;

TEST(Factory, OffersWorkingExecutorsAndReportsWhyOthersAreNot) {
  const std::filesystem::path dir = std::filesystem::temp_directory_path() / fmt::format("factory_test_{}", ::getpid());
  RealRuntime runtime;
  RealProcesses processes(runtime.runtime().lane);
  FactoryOptions options;
  options.docker.socket = dir / "no.sock";
  options.docker_socket_source = "the default of executor.docker_socket";
  options.sandbox.state_dir = dir / "state";
  options.sandbox.bwrap = "/no/such/bwrap";
  options.offer_null = true;
  std::string logged;
  log::set_level(log::Level::info);
  log::set_sink([&](const log::Line& line) { logged += line.text; });
  auto registry = runtime.run(find_executors(runtime.runtime(), processes, options));
  log::set_sink({});
  log::set_level(log::Level::warn);
  ASSERT_TRUE(registry) << registry.error().to_string();
  EXPECT_THAT(logged, HasSubstr("once its engine answers on " + options.docker.socket +
                                ", the default of executor.docker_socket"));
  EXPECT_EQ((*registry)->types(), (std::vector<std::string>{"docker", "null"}));
  EXPECT_TRUE((*registry)->find("null"));
  auto docker = (*registry)->find("docker");
  ASSERT_TRUE(docker) << "its engine may come later";
  auto taken = runtime.run((*docker)->recover({}));
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().to_string(), HasSubstr("does not answer on"));
  EXPECT_FALSE((*docker)->ready());
  auto sandbox = (*registry)->find("sandbox");
  ASSERT_FALSE(sandbox);
  EXPECT_THAT(sandbox.error().to_string(), HasSubstr("install bubblewrap"));
  auto other = (*registry)->find("firecracker");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().to_string(), HasSubstr("offered: docker, null"));
  runtime.run((*registry)->close());
}

}  // namespace
}  // namespace dms::executor
