#include "executor/sandbox/sandbox_arguments.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace dms::executor {
namespace {

TEST(SandboxArguments, TheEnvironmentComesAfterEveryPrivilegedProgram) {
  SandboxPlan plan;
  plan.command = {"program", "arg"};
  plan.environment = {"LD_PRELOAD=x"};
  plan.work_dir = "/data/work";
  plan.uid = 700000001;
  const auto args = sandbox_arguments(plan);
  const auto at = [&](std::string_view text) { return std::find(args.begin(), args.end(), text) - args.begin(); };
  EXPECT_LT(at("--clearenv"), at("/usr/bin/setpriv"));
  EXPECT_LT(at("/usr/bin/setpriv"), at("--bounding-set=-all"));
  EXPECT_LT(at("--bounding-set=-all"), at("/usr/bin/env"));
  EXPECT_LT(at("/usr/bin/env"), at("LD_PRELOAD=x"));
  EXPECT_LT(at("LD_PRELOAD=x"), at("program"));
  EXPECT_LT(at("--unshare-net"), at("--"));
  EXPECT_EQ(at("--unshare-user"), static_cast<std::ptrdiff_t>(args.size())) << "root needs no user namespace";
}

TEST(SandboxArguments, TheFolderOfTheActorIsBoundReadOnlyIfThereIsOne) {
  SandboxPlan plan;
  plan.command = {"program"};
  plan.work_dir = "/data/work";
  const auto has = [](const std::vector<std::string>& args, std::string_view text) {
    return std::find(args.begin(), args.end(), text) != args.end();
  };
  EXPECT_FALSE(has(sandbox_arguments(plan), kActorFolder));
  plan.actor_dir = "/data/actors/1";
  const auto args = sandbox_arguments(plan);
  const auto source = std::find(args.begin(), args.end(), "/data/actors/1");
  ASSERT_TRUE(source != args.end());
  EXPECT_EQ(*(source - 1), "--ro-bind");
  EXPECT_EQ(*(source + 1), kActorFolder);
  EXPECT_LT(source - args.begin(), std::find(args.begin(), args.end(), "--remount-ro") - args.begin());
}

}  // namespace
}  // namespace dms::executor
