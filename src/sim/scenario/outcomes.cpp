#include "sim/scenario/outcomes.hpp"

#include <utility>

#include "sim/scenario/users.hpp"

namespace dms::sim {
namespace {

double seconds(SteadyTime at) { return std::chrono::duration<double>(at.time_since_epoch()).count(); }

/// A reason without what differs between deployments.
std::string kind_of(const std::string& reason) {
  std::string kind;
  for (std::string_view rest = reason; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    const bool name = word.size() > 24 || word.find_first_of("0123456789") != std::string_view::npos;
    kind += (kind.empty() ? "" : " ") + std::string(name ? "..." : word);
  }
  return kind.substr(0, 160);
}

}  // namespace

Cause Outcomes::cause(const Order& order, const crypto::PeerId& user, const std::string& reason, SteadyTime now) const {
  Causes::Failure failure;
  failure.user = user;
  failure.deployment = order.id;
  failure.reason = reason;
  failure.since = order.sent_at;
  failure.until = order.id.empty() ? order.answered_at : is_ended(order.state) ? order.ended_at : now;
  failure.deadline = order.sent_at + kAnswer - protocol::kDeploymentReserve;
  failure.starts = order.starts;
  return causes_.of(failure);
}

void Outcomes::not_taken(const Order& order, const crypto::PeerId& user, SteadyTime now) {
  const Cause why = cause(order, user, order.refusal, now);
  report_.count("not taken", fmt::format("{} ({})", kind_of(order.refusal), to_string(why)));
  failed(order, why, "a node takes what its user deploys", order.refusal, now);
}

void Outcomes::ended(const Order& order, const crypto::PeerId& user, const protocol::DeploymentStatusReply& status,
                     SteadyTime now) {
  if (!order.update_refusal.empty()) report_.count("not updated", kind_of(order.update_refusal));
  if (status.status != "Failed") {
    if (!order.cancelled_in.empty())
      report_.count("cancelled", "while " + order.cancelled_in);
    else
      report_.count("completed", order.shut_down_at ? "shut down" : "its tasks have ended");
    return;
  }
  const Cause why = cause(order, user, status.error, now);
  report_.count("failed", fmt::format("{} ({})", kind_of(status.error), to_string(why)));
  failed(order, why, "what honest parties agree on does not fail", status.error, now);
}

void Outcomes::disturbed(Order& order, const crypto::PeerId& user, SteadyTime now) {
  const std::string what = std::exchange(order.disturbed, std::string());
  if (!what.empty())
    failed(order, cause(order, user, what, now), "an update leaves the runs that it does not change", what, now);
}

void Outcomes::failed(const Order& order, Cause cause, std::string_view property, const std::string& reason,
                      SteadyTime now) {
  if (cause != Cause::none) return;
  report_.add(seconds(now), std::string(property),
              fmt::format("{} of user{}, providers {}: {}", order.id.empty() ? "a deployment" : order.id, order.user,
                          causes_.providers(order.id), reason));
}

}  // namespace dms::sim
