// What Deployments does for the files that its user uploads.
#include "base/log.hpp"
#include "orchestrator/deployment/deployments.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<DeploymentInputReply> Deployments::input(DeploymentInputRequest request, const actor::Envelope&) {
  DeploymentInputRequest file;  // without a page
  file.digest = request.digest;
  file.size = request.size;
  const bool local = request.local && services_.transfers != nullptr;
  Task<Result<DeploymentInputReply>> putting = blobs_.put(std::move(request));
  Result<DeploymentInputReply> put = co_await std::move(putting);
  if (put && local && !put->complete)
    put->ticket = services_.transfers->local().offer_writing(
        [this, file](std::uint64_t offset, Bytes data) { return put_page(file, offset, std::move(data)); });
  if (put) co_return std::move(*put);
  DeploymentInputReply reply;
  reply.error = put.error().to_string();
  co_return reply;
}

Task<Result<std::uint64_t>> Deployments::put_page(DeploymentInputRequest file, std::uint64_t offset, Bytes data) {
  file.offset = offset;
  file.data = std::move(data);
  CO_TRY(const DeploymentInputReply put, co_await blobs_.put(std::move(file), transfer::kLocalPage));
  co_return put.offset;
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
