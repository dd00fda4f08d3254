#include "provider/allocation.hpp"

#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "encoding/multibase.hpp"
#include "protocol/serve.hpp"

namespace dms::provider {

using protocol::Ack;
using protocol::AllocationStatus;

Allocation::Allocation(std::unique_ptr<actor::Actor> actor, executor::Executor& executor, Spec spec, Events events)
    : actor_(std::move(actor)),
      executor_(executor),
      spec_(std::move(spec)),
      execution_id_(encode(Base::hex, actor_->lane().random().bytes(16))),
      events_(std::move(events)) {
  set_status(AllocationStatus::pending);
}

Result<void> Allocation::open() { return serve(*actor_, protocol::kAllocationStart, *this, &Allocation::start); }

void Allocation::set_status(AllocationStatus status) {
  status_ = status;
  if (events_.status) events_.status(status);
}

Task<Ack> Allocation::start(protocol::StartRequest, const actor::Envelope& envelope) {
  if (envelope.from.did != spec_.orchestrator.did)
    co_return Ack{.error = "only the orchestrator of this allocation may start it"};
  if (std::exchange(start_called_, true))
    co_return Ack{.error = fmt::format("allocation {} was started before", spec_.id)};
  Result<executor::Request> request = execution_request();
  if (!request) co_return Ack{.error = request.error().to_string()};

  starting_ = true;
  Result<void> running = co_await executor_.start(std::move(*request));
  starting_ = false;
  if (!running) {
    set_status(AllocationStatus::failed);
    co_return Ack{.error = running.error().to_string()};
  }
  set_status(AllocationStatus::running);
  started_ = actor_->lane().unix_now();
  actor_->spawn(watch());
  co_return Ack{.ok = true};
}

Result<executor::Request> Allocation::execution_request() const {
  executor::Request request;
  request.job_id = spec_.id;
  request.execution_id = execution_id_;
  request.results_dir = spec_.results_dir;
  request.engine.type = spec_.config.execution.type;
  Result<executor::EngineParams> params =
      json::from_value<executor::EngineParams>(json::Value(spec_.config.execution.params));
  if (!params) return std::unexpected(json::at_member("execution.params", params.error()));
  request.engine.params = std::move(*params);
  request.limits.cpu_cores = spec_.config.resources.cpu.cores.cores();
  request.limits.memory_bytes = spec_.config.resources.ram.size.bytes;
  return request;
}

Task<void> Allocation::watch() {
  Result<executor::ExecutionResult> result = co_await executor_.wait(execution_id_);
  if (!result) {
    // release() stops this actor, which closes its waits, and continues from here.
    if (result.error().is(Errc::cancelled) || result.error().is(Errc::closed)) co_return;
    result = executor::ExecutionResult{};
    result->error_msg = "the executor does not know the execution any more";
  }
  set_status(result->exit_code == 0 && !result->killed ? AllocationStatus::completed : AllocationStatus::failed);
  log::info("provider",
            {{"allocation", spec_.id},
             {"status", to_string(status_)},
             {"exit_code", result->exit_code},
             {"reason", result->error_msg}},
            "allocation {} {}", spec_.id, to_string(status_));
  if (events_.work_ended) co_await events_.work_ended();
  co_await notify(std::move(*result));
  if (events_.settled) events_.settled();
}

Task<void> Allocation::notify(executor::ExecutionResult result) {
  const auto tail = [](const std::string& text) {
    return to_bytes(std::string_view(text).substr(text.size() - std::min(text.size(), protocol::kTerminationOutput)));
  };
  protocol::TaskTermination ended;
  ended.allocation_id = spec_.id;
  ended.status = to_string(status_);
  ended.error.exit_code = result.exit_code;
  ended.error.killed = result.killed;
  ended.out = tail(result.out);
  ended.err = tail(result.err);
  ended.reason = result.error_msg;

  for (int attempt = 0; attempt < kNotifyTries; ++attempt) {
    Result<Ack> answer = co_await call(*actor_, protocol::kTaskTermination, spec_.orchestrator, ended);
    if (answer) co_return;
    log::debug("provider", "notifying {} of the end of {}: {}", spec_.orchestrator.address.to_string(), spec_.id,
               answer.error().to_string());
    const Result<void> slept = co_await sleep_for((1 << attempt) * 1s);
    if (!slept) co_return;
  }
}

Task<Result<executor::Logs>> Allocation::logs() {
  if (!start_called_) co_return fail(Errc::not_found, "allocation {} has not been started", spec_.id);
  co_return co_await executor_.logs(execution_id_);
}

Task<void> Allocation::release() {
  events_.work_ended = nullptr;
  events_.settled = nullptr;
  co_await actor_->stop();
  if (status_ == AllocationStatus::running) {
    if (Result<void> stopped = co_await executor_.stop(execution_id_, kStopGrace); !stopped)
      log::warn("provider", "stopping {}: {}", spec_.id, stopped.error().to_string());
    set_status(AllocationStatus::terminated);
  }
  if (start_called_)
    if (Result<void> removed = co_await executor_.remove(execution_id_);
        !removed && !removed.error().is(Errc::not_found))
      log::warn("provider", "removing {}: {}", spec_.id, removed.error().to_string());
  auto removal = [dir = spec_.results_dir] { return discard_tree(dir); };
  if (const Result<void> gone = co_await offload(removal); !gone) log::warn("provider", "{}", gone.error().to_string());
}

}  // namespace dms::provider
