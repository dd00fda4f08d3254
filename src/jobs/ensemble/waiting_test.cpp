#include "jobs/ensemble/waiting.hpp"

#include <gmock/gmock.h>

#include "jobs/ensemble/ensemble.hpp"

namespace dms::jobs {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string refusal_of(const std::string& yaml) {
  const auto read = Ensemble::parse_yaml(yaml);
  if (read) return "accepted";
  return waiting_first(yaml, read.error()).message();
}

/// An ensemble with these lines in the allocation, the node and at the top.
std::string with(const std::string& allocation, const std::string& node = "", const std::string& top = "",
                 const std::string& executor = "docker") {
  return fmt::format(R"(
version: "V1"
allocations:
  web:
    executor: {3}
    type: service
    resources: {{cpu: {{cores: 1}}, ram: {{size: 1}}, disk: {{size: 1}}}}
    execution: {{type: {3}, image: nginx}}
    {0}
nodes:
  n:
    allocations: [web]
    {1}
{2}
)",
                     allocation, node, top, executor);
}

TEST(Waiting, AFieldThatWaitsIsRefusedForThatWhateverItsShape) {
  const struct {
    std::string yaml, place;
  } cases[] = {
      {with("volumes: [data]"), "allocations.web.volumes"},
      {with("volume: {type: local, src: ../x, mount_destination: y}"), "allocations.web.volume"},
      {with("keys: [{type: rsa}]"), "allocations.web.keys"},
      {with("provision: [missing]"), "allocations.web.provision"},
      {with("", "ports: [80]"), "nodes.n.ports"},
      {with("", "ports: [{public: 80, private: 80, allocation: web}]"), "nodes.n.ports"},
      {with("", "", "contracts: {c: yes}"), "contracts"},
      {with("", "", "keys: [k]"), "keys"},
      {with("", "", "scripts: {\"a b\": x}"), "scripts"},
      {with("", "", "volumes: {data: 7}"), "volumes"},
      {with("", "", "volumes: {data: {type: local, src: /tmp}}"), "volumes"},
      {with("", "", "", "firecracker"), "allocations.web.executor"},
  };
  for (const auto& [yaml, place] : cases) {
    const std::string refusal = refusal_of(yaml);
    EXPECT_THAT(refusal, StartsWith(place + ": ")) << yaml;
    EXPECT_THAT(refusal, HasSubstr(" yet")) << yaml;
    EXPECT_THAT(refusal, Not(HasSubstr("\n"))) << "nothing else is wrong with it";
  }
}

TEST(Waiting, WhatElseIsWrongStays) {
  EXPECT_EQ(refusal_of(with("volumes: [data]\n    dependson: [x]", "ports: [80]")),
            "3 problems:\n"
            "  allocations.web.volumes: volumes are not available yet; write results below the work folder and declare "
            "them under results\n"
            "  nodes.n.ports: ports are not available yet: the work has no network; remove it\n"
            "  allocations.web.dependson: unknown key; did you mean depends_on?");
  EXPECT_THAT(refusal_of(with("dependson: [x]")), StartsWith("allocations.web.dependson: "));
  EXPECT_THAT(refusal_of(with("volumes: []\n    dependson: [x]", "ports: []")),
              StartsWith("allocations.web.dependson: "))
      << "what is empty asks for nothing";
}

TEST(Waiting, TextThatIsNoYamlIsRefusedAsItWas) {
  const auto read = Ensemble::parse_yaml("a: [");
  ASSERT_FALSE(read);
  EXPECT_EQ(waiting_first("a: [", read.error()).message(), read.error().message());
}

TEST(Waiting, AFieldAtAnotherPlaceIsRefusedWithWhereItBelongs) {
  EXPECT_THAT(refusal_of(with("ports: [80]")), StartsWith("allocations.web.ports: they belong to nodes.<node>, and "));
  EXPECT_THAT(refusal_of(with("gpus: [1]")), StartsWith("allocations.web.gpus: they belong to resources, and "));
  EXPECT_THAT(refusal_of(with("restart_policy: always")),
              StartsWith("allocations.web.restart_policy: it belongs to execution"));
}

}  // namespace
}  // namespace dms::jobs
