// What a whole provider tells: pages of output, health, the features of a bid.
#include "provider/test_provider.hpp"

namespace dms::provider {
namespace {

using protocol::AllocationStatus;

struct ReportsTest : StartedProvider {};

TEST_F(ReportsTest, OutputIsReadInPages) {
  begin({.runs_for = 1min, .out = "0123456789", .err = "bad"});
  auto first = page("stdout", 0, 4);
  EXPECT_EQ(as_text(first.data), "0123");
  EXPECT_EQ(first.next_offset, 4U);
  EXPECT_EQ(first.total_size, 10U);
  EXPECT_FALSE(first.eof);
  EXPECT_FALSE(page("stdout", 4).eof) << "it still runs";
  EXPECT_EQ(as_text(page("stderr", 1).data), "ad");
  EXPECT_TRUE(page("stdout", 1000).data.empty());
  EXPECT_NE(page("results", 0).error.find("stream: "), std::string::npos);
  EXPECT_EQ(as_text(page("", 0).out), "0123456789") << "without a stream as DMS 0.5.x";
  EXPECT_TRUE(renew(alice, incarnation).ok);
  w.settle(59s + 5s);
  const auto last = page("stdout", 4);
  EXPECT_EQ(as_text(last.data), "456789");
  EXPECT_TRUE(last.eof);
}

TEST_F(ReportsTest, HealthIsReportedAndEndsWithTheRun) {
  protocol::AllocateRequest request = allocate_request("e", "task", 1, 1h);
  request.allocations["task"].health_check = jobs::HealthCheck{
      .type = jobs::HealthCheckType::http, .endpoint = "/ready", .interval_ns = Duration(10s).count()};
  script("e_task", {.runs_for = 5min, .healthy_after = 10s, .unhealthy_after = 1min});
  begin(request);
  EXPECT_EQ(report().health, protocol::Health::starting);
  w.settle(15s);
  EXPECT_EQ(report().health, protocol::Health::healthy);
  restart_daemon();
  w.settle(2s);
  EXPECT_EQ(report().health, protocol::Health::healthy) << "checked again";
  w.settle(90s);
  EXPECT_EQ(report().health, protocol::Health::unhealthy);
  EXPECT_FALSE(report().health_message.empty());
  w.settle(5min);
  EXPECT_EQ(report().status, AllocationStatus::completed);
  EXPECT_EQ(report().health, protocol::Health::unknown);
}

TEST_F(ReportsTest, AHealthCheckIsRegisteredAndAskedForAsInDms05) {
  begin({.runs_for = std::nullopt, .unhealthy_after = 40s}, 1h);
  const auto ask = [this](actor::TestNode& by) {
    return w.run(by, protocol::call(*by.root, protocol::kHealthQuery, allocation, protocol::Nothing()));
  };
  const auto add = [this](const jobs::HealthCheck& check) {
    return w.run(alice, protocol::call(*alice.root, protocol::kHealthCheckRegister, allocation,
                                       protocol::HealthCheckRegistration{"e", check}));
  };
  EXPECT_TRUE(ask(alice)->ok) << "without a check it is healthy while it runs";
  const auto of_bob = ask(bob);
  EXPECT_FALSE(of_bob && of_bob->ok);
  jobs::HealthCheck check{.type = jobs::HealthCheckType::tcp, .interval_ns = Duration(5s).count()};
  EXPECT_NE(add(check)->error.find("HealthCheck.port"), std::string::npos);
  check.port = 80;
  ASSERT_TRUE(add(check)->ok);
  ASSERT_TRUE(add(check)->ok) << "repeated";
  EXPECT_EQ(report().health, protocol::Health::healthy);
  check.port = 81;
  ASSERT_TRUE(add(check)->ok) << "replaced";
  restart_daemon();
  w.settle(1min);
  EXPECT_EQ(report().health, protocol::Health::unhealthy) << "it is stored";
  EXPECT_EQ(ask(alice)->error, "connect to 127.0.0.1:81: Connection refused");
  check.response.value = std::string(256 * 1024, 'x');
  EXPECT_TRUE(add(check)->error.starts_with("Config: ")) << "as large as a configuration may be";
  EXPECT_TRUE(shutdown()->ok);
}

TEST_F(ReportsTest, ABidNamesTheFeaturesAndTheLongestLease) {
  const auto bid = call(alice, protocol::kBidRequest, bid_request("e"));
  ASSERT_TRUE(bid && bid->offer);
  EXPECT_EQ(bid->offer->features, (std::vector<std::string>{"lease", "health", "edges"}));
  EXPECT_EQ(Duration(bid->offer->max_lease_ns), 24h);
}

}  // namespace
}  // namespace dms::provider
