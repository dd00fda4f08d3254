// `nunet plan` and `nunet deployment explain`.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

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
  made.edges = {{"place", "db", "peer1", "peer4", true, "50 ms at most", "12 ms"},
                {"place", "db", "peer2", "peer4", false, "50 ms at most", "not measured: \x1b[2J"}};
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
  EXPECT_THAT(shown.out, HasSubstr("  RESULT\n"));
  EXPECT_THAT(shown.out, HasSubstr("place to db  peer1  peer4  50 ms at most  12 ms"));
  EXPECT_THAT(shown.out, HasSubstr("does not hold"));
  EXPECT_THAT(shown.out, HasSubstr("not measured: \\x1b[2J"));
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

TEST_F(DeployTest, APlanNamesTheInputThatIsMissingOrCannotBeRead) {
  protocol::DeploymentPlanReply reply;
  reply.complete = true;
  always(json::encode(reply));
  const auto folder = std::filesystem::path(file).parent_path();
  const auto with_input = [&](const std::string& name) {
    std::string text(kEnsemble);
    const std::string type = "    type: task\n";
    text.insert(text.find(type), "    inputs: [{file: " + name + ", to: in}]\n");
    (void)write_file(file, text);
    requests.clear();
    return nunet({"plan", "-f", file});
  };
  const auto missing = with_input("gone.csv");
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.err, HasSubstr("allocations.work.inputs[0].file: "));
  EXPECT_THAT(missing.err, HasSubstr("gone.csv: No such file"));
  EXPECT_TRUE(requests.empty()) << "nothing is asked";
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const auto pipe = with_input("pipe");
  EXPECT_EQ(pipe.code, 1);
  EXPECT_THAT(pipe.err, HasSubstr("allocations.work.inputs[0].file: "));
  EXPECT_THAT(pipe.err, HasSubstr("not a regular file"));
  ASSERT_TRUE(write_file(folder / "data/rows.csv", "1"));
  EXPECT_EQ(with_input("data/rows.csv").code, 0);
  EXPECT_EQ(with_input("data").code, 0);
  ASSERT_FALSE(requests.empty());
  for (const auto& request : requests) EXPECT_EQ(request.behaviour, "/dms/node/deployment/plan") << "an upload";
  if (::geteuid() == 0) return;  // may read everything
  ASSERT_EQ(::chmod((folder / "data/rows.csv").c_str(), 0), 0);
  EXPECT_THAT(with_input("data").err, HasSubstr("rows.csv cannot be read"));
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
