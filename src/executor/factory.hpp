// Which executors this machine offers, decided once at start.
//
// "docker" is offered where it is not disabled: its engine may be started later, or be restarted at this moment;
// Executor::ready() tells. An engine that is silent holds up the start by kFirstAnswer. "sandbox" is offered when
// bubblewrap can make its namespaces, "null" (a Fake) when requested. Executor::recover() comes next, by the owner of
// the executions.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "executor/docker/docker.hpp"
#include "executor/executor.hpp"
#include "executor/sandbox/sandbox.hpp"
#include "runtime/process.hpp"

namespace dms::executor {

class Registry {
 public:
  void add(std::unique_ptr<Executor> executor);
  /// Errc::unsupported, naming the offered types and why `type` is not one of them.
  [[nodiscard]] Result<Executor*> find(std::string_view type) const;
  [[nodiscard]] std::vector<std::string> types() const;
  void refuse(std::string type, std::string reason) { refused_[std::move(type)] = std::move(reason); }
  /// Lists the metrics of all executors. Once, when all are added.
  void register_with(metrics::Registry& registry);
  /// Lets go of the work of all executors. Before the destructor.
  Task<void> close();

 private:
  std::map<std::string, std::unique_ptr<Executor>, std::less<>> executors_;
  std::map<std::string, std::string, std::less<>> refused_;
};

struct FactoryOptions {
  DockerOptions docker;
  SandboxOptions sandbox;
  std::string docker_socket_source;  ///< where options.docker.socket comes from, for the log
  bool offer_docker = true;
  bool offer_sandbox = true;
  bool offer_null = false;
};

/// `processes` outlives the registry.
Task<Result<std::unique_ptr<Registry>>> find_executors(Runtime runtime, ProcessLauncher& processes,
                                                       FactoryOptions options);

}  // namespace dms::executor
