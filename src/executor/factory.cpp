#include "executor/factory.hpp"

#include "base/log.hpp"
#include "executor/fake/fake.hpp"

namespace dms::executor {

void Registry::add(std::unique_ptr<Executor> executor) {
  std::string type(executor->type());
  executors_.insert_or_assign(std::move(type), std::move(executor));
}

Result<Executor*> Registry::find(std::string_view type) const {
  if (const auto it = executors_.find(type); it != executors_.end()) return it->second.get();
  std::string offered;
  for (const std::string& name : types()) offered += (offered.empty() ? "" : ", ") + name;
  const auto why = refused_.find(type);
  return fail(Errc::unsupported, "execution type '{}' is not offered here (offered: {}){}", type,
              offered.empty() ? "none" : offered, why == refused_.end() ? std::string() : ": " + why->second);
}

std::vector<std::string> Registry::types() const {
  std::vector<std::string> names;
  for (const auto& [type, executor] : executors_) names.push_back(type);
  return names;
}

void Registry::register_with(metrics::Registry& registry) {
  for (auto& [type, executor] : executors_) executor->register_with(registry);
}

Task<void> Registry::close() {
  for (auto& [type, executor] : executors_) co_await executor->close();
}

namespace {

/// Adds the executor, or closes it and records the reason.
Task<void> offer(Registry& registry, std::unique_ptr<Executor> executor, Result<void> works) {
  if (works) {
    log::info("executor", "executor {} is offered", executor->type());
    if (const std::string unenforced = executor->unenforced(); !unenforced.empty())
      log::warn("executor", "executor {} does not hold all limits: {}", executor->type(), unenforced);
    registry.add(std::move(executor));
    co_return;
  }
  log::info("executor", "executor {} is not offered: {}", executor->type(), works.error().to_string());
  registry.refuse(std::string(executor->type()), works.error().to_string());
  co_await executor->close();
}

}  // namespace

Task<Result<std::unique_ptr<Registry>>> find_executors(Runtime runtime, ProcessLauncher& processes,
                                                       FactoryOptions options) {
  auto registry = std::make_unique<Registry>();
  if (options.offer_docker) {
    options.docker.processes = &processes;
    auto docker = std::make_unique<Docker>(runtime, options.docker);
    const Result<std::string> version = co_await docker->version();
    const std::string socket = fmt::format("{}, {}", options.docker.socket, options.docker_socket_source);
    if (version)
      log::info("executor", "executor docker is offered: engine {} on {}", *version, socket);
    else
      log::info("executor", "executor docker is offered once its engine answers on {}: {}", socket,
                version.error().to_string());
    registry->add(std::move(docker));
  }
  if (options.offer_sandbox) {
    auto sandbox = std::make_unique<Sandbox>(runtime.lane, processes, options.sandbox);
    Result<void> works = co_await sandbox->probe();
    std::unique_ptr<Executor> executor = std::move(sandbox);
    co_await offer(*registry, std::move(executor), std::move(works));
  }
  if (options.offer_null) registry->add(std::make_unique<Fake>(runtime.lane, "null"));
  co_return std::move(registry);
}

}  // namespace dms::executor
