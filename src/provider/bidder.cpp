#include "provider/bidder.hpp"

#include <algorithm>

namespace dms::provider {
namespace {

Result<void> can_serve(const protocol::NodeRequest& node, const Offering& offering) {
  if (!node.location.allows(offering.location)) return fail(Errc::unsupported, "it may not run at this location");
  for (const std::string& executor : node.executors)
    if (!offering.executors.contains(executor))
      return fail(Errc::unsupported, "executor '{}' is not available here", executor);
  if (node.general_requirements.privileged_docker && !offering.privileged_docker)
    return fail(Errc::unsupported, "privileged containers are not allowed here (job.allow_privileged_docker)");
  if (!capability::covers(offering.free, node.resources))
    return fail(Errc::unsupported, "{}", capability::explain_shortage(offering.free, node.resources));
  if (offering.ports_available) TRY_VOID(offering.ports_available(node.public_ports));
  return {};
}

}  // namespace

Result<protocol::NodeRequest> choose_request(const protocol::EnsembleBidRequest& request, const Offering& offering,
                                             Random& random) {
  if (request.id.empty()) return fail(Errc::invalid_argument, "id: the ensemble's id is expected");
  if (request.request.empty()) return fail(Errc::invalid_argument, "request: at least one node is expected");
  if (request.request.size() > kMaxNodeRequests)
    return fail(Errc::limit_exceeded, "request: {} nodes, at most {} are looked at", request.request.size(),
                kMaxNodeRequests);
  if (!offering.onboarded) return fail(Errc::unsupported, "this machine is not onboarded");
  if (std::ranges::find(request.peer_exclusion, offering.self.to_string()) != request.peer_exclusion.end())
    return fail(Errc::unsupported, "this machine is excluded by the request");

  std::vector<const protocol::NodeRequest*> nodes;
  for (const protocol::BidRequest& entry : request.request)
    if (entry.v1) nodes.push_back(&*entry.v1);
  std::shuffle(nodes.begin(), nodes.end(), random);

  std::string reasons;
  for (const protocol::NodeRequest* node : nodes) {
    Result<void> fits = can_serve(*node, offering);
    if (fits) return *node;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", node->node_id, fits.error().to_string());
  }
  return fail(Errc::unsupported, "{}", reasons.empty() ? "no node request of a known version" : reasons);
}

}  // namespace dms::provider
