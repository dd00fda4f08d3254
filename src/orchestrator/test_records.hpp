// For tests: a record store that fails or delays; an ensemble of one task.
#pragma once

#include "orchestrator/deployment/record.hpp"

namespace dms::orchestrator {

class RefusingRecordStore final : public RecordStore {
 public:
  using RecordStore::RecordStore;
  Task<Result<void>> save(DeploymentRecord record) override {
    if (delay > Duration(0)) (void)co_await sleep_for(delay);
    if (++saves, refuse_from && saves >= *refuse_from) refuse = true;
    if (refuse) {
      ++refused;
      co_return fail(Errc::io, "no space left on device");
    }
    Task<Result<void>> saving = RecordStore::save(std::move(record));
    co_return co_await std::move(saving);
  }
  bool refuse = false;
  std::optional<std::size_t> refuse_from;  ///< from this call on, counted from 1
  std::size_t saves = 0;
  std::size_t refused = 0;
  Duration delay{0};
};

/// One task, `task`, of one node, `node`, pinned to `peer` unless that is empty.
inline jobs::Ensemble one_task_ensemble(const std::string& peer = {}) {
  jobs::Ensemble ensemble = jobs::Ensemble::parse_yaml(R"(
version: V1
allocations:
  task:
    executor: "null"
    type: task
    resources: {cpu: {cores: 1}, ram: {size: 1GiB}, disk: {size: 1GiB}}
    execution: {type: "null"}
nodes:
  node: {allocations: [task]}
)")
                                .value();
  ensemble.nodes["node"].peer = peer;
  return ensemble;
}

}  // namespace dms::orchestrator
