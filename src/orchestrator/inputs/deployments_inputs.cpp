// What Deployments does for the files that its user uploads.
#include "base/log.hpp"
#include "orchestrator/deployment/deployments.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<DeploymentInputReply> Deployments::input(DeploymentInputRequest request, const actor::Envelope&) {
  Task<Result<DeploymentInputReply>> putting = blobs_.put(std::move(request));
  Result<DeploymentInputReply> put = co_await std::move(putting);
  if (put) co_return std::move(*put);
  DeploymentInputReply reply;
  reply.error = put.error().to_string();
  co_return reply;
}

Task<void> Deployments::remove_unreferred_inputs() {
  for (;;) {
    std::set<std::string> referred;
    for (const auto& [id, deployment] : active_) add_digests(deployment->record().ensemble, referred);
    co_await blobs_.keep_only(std::move(referred));
    const Result<void> slept = co_await sleep_for(kUploadGrace / 4);
    if (!slept) co_return;
  }
}

}  // namespace dms::orchestrator
