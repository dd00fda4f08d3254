// For tests of the rules over a record: two nodes that run.
#pragma once

#include <gtest/gtest.h>

#include "orchestrator/deployment/placement.hpp"

namespace dms::orchestrator {

inline jobs::Ensemble two_node_ensemble() {
  return jobs::Ensemble::parse_yaml(R"(
version: V1
allocations:
  db:
    executor: "null"
    type: service
    resources: {cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}
    execution: {type: "null"}
  web:
    executor: "null"
    type: service
    resources: {cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}
    execution: {type: "null"}
  job:
    executor: "null"
    type: task
    resources: {cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}
    execution: {type: "null"}
nodes:
  left: {allocations: [db, web]}
  right: {allocations: [job]}
)")
      .value();
}

/// Both nodes run, on the peers "p-left" and "p-right".
struct PlacedRecordTest : testing::Test {
  PlacedRecordTest() {
    record.id = "d1";
    record.status = protocol::DeploymentStatus::running;
    record.ensemble = ensemble();
    for (const auto& [name, node] : record.ensemble.nodes) {
      protocol::NodeManifest& placed = record.manifest.nodes[name];
      placed.id = name;
      placed.peer = "p-" + name;
      placed.handle.address = {"p-" + name, "root"};
      placed.allocations = node.allocations;
      for (const std::string& allocation : node.allocations) {
        protocol::AllocationManifest& entry = record.manifest.allocations[allocation];
        entry.node_id = name;
        entry.handle.address = {"p-" + name, allocation};
        entry.incarnation = allocation + "-1";
        entry.lease_ns = Duration(1min).count();
        entry.status = protocol::AllocationStatus::running;
      }
    }
  }
  static jobs::Ensemble ensemble() { return two_node_ensemble(); }
  protocol::AllocationManifest& entry(const std::string& name) { return record.manifest.allocations.at(name); }
  protocol::RenewReply report() {
    protocol::RenewReply reply;
    for (const auto& [name, entry] : record.manifest.allocations)
      if (entry.node_id == "left") {
        reply.allocations[name].incarnation = entry.incarnation;
        reply.allocations[name].status = entry.status;
      }
    return reply;
  }
  DeploymentRecord record;
};

}  // namespace dms::orchestrator
