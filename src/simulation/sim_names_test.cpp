#include "simulation/sim_names.hpp"

#include <gtest/gtest.h>

#include "simulation/sim_world.hpp"

namespace dms {
namespace {

TEST(SimNames, NamesResolveToWhatTheTestHasSet) {
  SimWorld world(1);
  SimNode& node = world.add_node("node");
  Net& net = node.runtime().net;
  world.names().hosts["nunet.io"] = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("::1")};
  world.names().texts["nunet.io"] = std::vector<std::string>(100, "text");
  world.names().silent = {"silent.io"};
  EXPECT_EQ(world.run(node, net.resolve_host("NuNet.io", IpFamily::any))->size(), 2u);
  EXPECT_EQ(*world.run(node, net.resolve_host("nunet.io", IpFamily::v6)), std::vector{*IpAddress::parse("::1")});
  EXPECT_EQ(world.run(node, net.resolve_text("nunet.io"))->size(), 64u);
  EXPECT_TRUE(world.run(node, net.resolve_host("unknown.example", IpFamily::any)).error().is(Errc::not_found));
  EXPECT_TRUE(world.run(node, net.resolve_text("unknown.example")).error().is(Errc::not_found));
  const SteadyTime begin = world.now();
  EXPECT_TRUE(world.run(node, net.resolve_host("silent.io", IpFamily::any)).error().is(Errc::io));
  EXPECT_EQ(world.now() - begin, 30s);
  EXPECT_EQ(world.names().queries, 6u);
  node.kill();
  EXPECT_TRUE(world.run(node, net.resolve_host("nunet.io", IpFamily::any)).error().is(Errc::io));
}

}  // namespace
}  // namespace dms
