// `nunet plan` and `nunet deployment explain`.
#include <gmock/gmock.h>

#include "cli/commands/test_deployments.hpp"

namespace dms::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

protocol::Choice choice() {
  protocol::Choice made;
  made.machines = {{"peer1", "place", true, "price 0 an hour"},
                   {"peer2", "place", false, "its load is 90 %, that of the chosen machine 10 %"},
                   {"peer3", "", false, "too many bids"}};
  made.left_out = 2;
  return made;
}

TEST_F(DeployTest, APlanShowsWhichMachinesWouldBeChosenAndWhy) {
  protocol::DeploymentPlanReply reply;
  reply.complete = true;
  reply.choice = choice();
  reply.choice.machines[1].reason = "\x1b[2J";
  always(json::encode(reply));
  const auto shown = nunet({"plan", "-f", file});
  EXPECT_EQ(shown.code, 0) << shown.err;
  ASSERT_FALSE(requests.empty());
  EXPECT_EQ(requests.back().behaviour, "/dms/node/deployment/plan");
  EXPECT_THAT(shown.out, HasSubstr("place  peer1    chosen      price 0 an hour"));
  EXPECT_THAT(shown.out, HasSubstr("place  peer2    not chosen  \\x1b[2J"));
  EXPECT_THAT(shown.out, HasSubstr("-      peer3    not chosen  too many bids"));
  EXPECT_THAT(shown.err, HasSubstr("2 more that were not chosen are left out"));
  EXPECT_THAT(shown.err, Not(HasSubstr("A better choice may exist")));
  EXPECT_THAT(nunet({"plan", "-f", file, "--json"}).out, HasSubstr(R"("Complete": true)"));
}

TEST_F(DeployTest, APlanThatLeavesANodeWithoutAMachineFails) {
  protocol::DeploymentPlanReply reply;
  reply.error = "no machine was found for node place";
  reply.choice.optimal = false;
  reply.choice.machines = {{"peer1", "place", false, "ram.size: 2 GiB required, 1 GiB available"}};
  always(json::encode(reply));
  const auto shown = nunet({"plan", "-f", file});
  EXPECT_EQ(shown.code, 1);
  EXPECT_THAT(shown.out, HasSubstr("ram.size: 2 GiB required"));
  EXPECT_THAT(shown.err, HasSubstr("no machine was found for node place"));
  EXPECT_THAT(shown.err, HasSubstr("A better choice may exist"));
  (void)write_file(file, "version: V1\n");
  requests.clear();
  EXPECT_EQ(nunet({"plan", "-f", file}).code, 1);
  EXPECT_TRUE(requests.empty()) << "what is no ensemble is not sent";
}

TEST_F(DeployTest, ADeploymentExplainsWhyItsMachinesWereChosen) {
  protocol::DeploymentExplainReply reply;
  reply.status = "Running";
  always(json::encode(reply));
  EXPECT_THAT(nunet({"deployment", "explain", "abc"}).err, HasSubstr("No round of bids has ended yet"));
  reply.choice = choice();
  always(json::encode(reply));
  const auto shown = nunet({"deployment", "explain", "abc"});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_EQ(shown.out.substr(0, 8), "Running\n");
  EXPECT_THAT(shown.out, HasSubstr("its load is 90 %"));
  const auto as_json = json::parse(nunet({"deployment", "explain", "abc", "--json"}).out).value();
  EXPECT_EQ(as_json.at("Choice").at("machines").as_array().size(), 3u);
  reply = {};
  reply.error = "there is no deployment 'abc'";
  always(json::encode(reply));
  EXPECT_EQ(nunet({"deployment", "explain", "abc"}).code, 1);
}

}  // namespace
}  // namespace dms::cli
