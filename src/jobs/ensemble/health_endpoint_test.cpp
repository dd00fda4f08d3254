#include "jobs/ensemble/health_endpoint.hpp"

#include <gtest/gtest.h>

namespace dms::jobs {
namespace {

std::string read(std::string endpoint, std::uint16_t port = 0) {
  const auto target = health_endpoint({.type = HealthCheckType::http, .endpoint = std::move(endpoint), .port = port});
  return target ? fmt::format("{} {}", target->port, target->path) : "refused";
}

TEST(HealthEndpoint, IsAPathOrAUrlOfTheAllocation) {
  EXPECT_EQ(read("/"), "80 /");
  EXPECT_EQ(read("/health?full=1#top", 8080), "8080 /health?full=1");
  EXPECT_EQ(read("http://localhost"), "80 /");
  EXPECT_EQ(read("http://localhost:8080/a/b"), "8080 /a/b");
  EXPECT_EQ(read("http://127.0.0.1:1?x"), "1 /?x");
  EXPECT_EQ(read("http://localhost/", 8080), "8080 /");
  EXPECT_EQ(read("http://localhost:80/", 80), "80 /");
  EXPECT_EQ(read("http:///health"), "80 /health");
  EXPECT_EQ(read("//192.0.2.1/x"), "80 //192.0.2.1/x") << "a path of the allocation";
}

TEST(HealthEndpoint, ReachesNothingElse) {
  for (const std::string_view endpoint :
       {"http://localhost.example/", "http://127.0.0.2/", "http://[::1]/", "http://0/", "http://a@localhost/",
        "http://localhost:1@192.0.2.1/", "http://localhost\\@192.0.2.1/", "ftp://localhost/", "HTTP://localhost/",
        "localhost:80", "http://localhost:0/", "http://localhost:/", "http://localhost:80x/", "/a b", "/\r\nHost: x"})
    EXPECT_EQ(read(std::string(endpoint)), "refused") << endpoint;
  EXPECT_EQ(read("http://localhost:81/", 80), "refused");
  EXPECT_EQ(read("/" + std::string(4000, 'x')), "refused");
}

}  // namespace
}  // namespace dms::jobs
