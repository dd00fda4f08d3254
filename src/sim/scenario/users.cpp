#include "sim/scenario/users.hpp"

#include <algorithm>

#include "protocol/serve.hpp"
#include "protocol/transfer.hpp"

namespace dms::sim {
namespace {

constexpr Duration kUntilItRuns = 5s;  // between two looks
constexpr int kLooks = 60;
constexpr Duration kShutDown = 2min;

Task<Result<void>> upload(actor::Actor& user, actor::Handle node, File file) {
  const std::string content = file.content();
  protocol::DeploymentInputRequest page;
  page.digest = file.digest();
  page.size = content.size();
  for (;;) {
    const std::size_t offset = std::min<std::size_t>(page.offset, content.size());
    page.data = to_bytes(std::string_view(content).substr(offset, protocol::kInputPage));
    const Result<protocol::DeploymentInputReply> reply = co_await call(user, protocol::kDeploymentInput, node, page);
    if (!reply) co_return std::unexpected(reply.error());
    if (!reply->error.empty()) co_return fail(Errc::io, "uploading: {}", reply->error);
    if (reply->complete) break;
    if (reply->offset <= page.offset) co_return fail(Errc::io, "uploading does not go on at {}", page.offset);
    page.offset = reply->offset;
  }
  co_return Result<void>();
}

Task<Result<std::string>> submit_request(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order) {
  for (const File& file : order->uploads) CO_TRY_VOID(co_await upload(user, node, file));
  const Result<protocol::NewDeploymentReply> reply =
      co_await call(user, protocol::kDeploymentNew, node, order->request, kAnswer);
  if (!reply) co_return std::unexpected(reply.error());
  if (reply->status != "OK") co_return fail(Errc::invalid_argument, "{}", reply->error);
  co_return std::string(reply->ensemble_id);
}

Task<void> cancel(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order) {
  const Result<void> slept = co_await sleep_for(*order->cancel_after);
  if (!slept) co_return;
  const protocol::DeploymentId request{order->id};
  const Result<protocol::DeploymentStatusReply> status =
      co_await call(user, protocol::kDeploymentStatus, node, request);
  if (!status || is_ended(status->status)) co_return;
  order->cancelled_in = status->status;  // also if the reply is lost
  const auto reply = co_await call(user, protocol::kDeploymentShutdown, node, request, kShutDown);
  if (reply && reply->error.contains("already")) order->cancelled_in.clear();  // it has just ended by itself
}

/// While it runs, or not: what comes is compared with what is printed (outputs.hpp).
Task<void> read_output(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order) {
  const Result<void> slept = co_await sleep_for(*order->read_after);
  if (!slept) co_return;
  for (const auto& [name, allocation] : order->request.ensemble.allocations) {
    protocol::DeploymentLogsRequest request;
    request.ensemble_id = order->id;
    request.allocation_name = name;
    const auto ignored = co_await call(user, protocol::kDeploymentLogs, node, request);
  }
}

using Runs = std::map<std::string, std::string>;  // allocation -> incarnation

/// The runs that the change has to leave alone, without those that a failed check may restart.
Runs neighbours(const protocol::DeploymentStatusReply& status, const Order& order) {
  const auto may_be_restarted = [&](const std::string& name) {
    const auto spec = order.request.ensemble.allocations.find(name);
    return spec != order.request.ensemble.allocations.end() && spec->second.healthcheck.present();
  };
  Runs runs;
  for (const auto& [name, state] : status.allocations) {
    const bool stays =
        state.status == protocol::AllocationStatus::running || state.status == protocol::AllocationStatus::completed;
    if (name != order.change->allocation && stays && !state.incarnation.empty() && !may_be_restarted(name))
      runs[name] = state.incarnation;
  }
  return runs;
}

std::string disturbed(const Runs& before, const protocol::DeploymentStatusReply& status) {
  for (const auto& [name, run] : before) {
    const auto now = status.allocations.find(name);
    if (now == status.allocations.end()) return fmt::format("{} is gone", name);
    if (now->second.incarnation != run)
      return fmt::format("{} was run {} and is run {} ({})", name, run, now->second.incarnation, now->second.reason);
  }
  return {};
}

Task<void> change(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order,
                  protocol::DeploymentStatusReply before) {
  const std::string& name = order->change->allocation;
  protocol::DeploymentUpdateRequest request;
  request.ensemble_id = order->id;
  request.ensemble = order->change->ensemble;
  std::optional<std::string> output;
  if (auto old = order->outputs.extract(name)) output = old.mapped();  // not known until the reply is here
  const Runs runs = neighbours(before, *order);
  const Result<protocol::Ack> reply = co_await call(user, protocol::kDeploymentUpdate, node, request, kAnswer);
  if (!reply) co_return;
  if (!reply->ok) {
    if (output) order->outputs[name] = *output;
    order->update_refusal = reply->error;
    co_return;
  }
  order->updated = true;
  if (!order->change->output.empty()) order->outputs[name] = order->change->output;
  const protocol::DeploymentId id{order->id};
  for (Duration pause = 0s; order->disturbed.empty() && pause <= kUndisturbed; pause += kUndisturbed) {
    const Result<void> slept = co_await sleep_for(pause);
    const Result<protocol::DeploymentStatusReply> status = co_await call(user, protocol::kDeploymentStatus, node, id);
    if (!slept || !status) co_return;
    order->disturbed = disturbed(runs, *status);
  }
}

Task<void> update(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order) {
  Result<void> slept = co_await sleep_for(order->change->after);
  const protocol::DeploymentId id{order->id};
  for (int look = 0; slept && look < kLooks; ++look) {
    const Result<protocol::DeploymentStatusReply> status = co_await call(user, protocol::kDeploymentStatus, node, id);
    if (status && is_ended(status->status)) co_return;
    if (status && status->status == "Running") {
      co_await change(user, node, order, *status);
      co_return;
    }
    slept = co_await sleep_for(kUntilItRuns);
  }
}

}  // namespace

Task<void> submit(actor::Actor& user, actor::Handle node, std::shared_ptr<Order> order) {
  const Result<std::string> id = co_await submit_request(user, node, order);
  order->answered = true;
  order->answered_at = user.lane().now();
  if (!id) {
    order->refusal = id.error().to_string();
    co_return;
  }
  order->id = *id;
  if (order->cancel_after) user.spawn(cancel(user, node, order));
  if (order->change) user.spawn(update(user, node, order));
  if (order->read_after) user.spawn(read_output(user, node, order));
}

Task<void> shut_down(actor::Actor& user, actor::Handle node, std::string id) {
  const protocol::DeploymentId request{std::move(id)};
  const auto ignored = co_await call(user, protocol::kDeploymentShutdown, node, request, kShutDown);
}

}  // namespace dms::sim
