// The payloads of behaviours, from the network and from users: what is accepted is written as it was read. Bids and ensembles
// have targets of their own (protocol_bid_fuzz, jobs_ensemble_fuzz).
#include <cstdlib>

#include "protocol/allocation.hpp"
#include "protocol/bid.hpp"
#include "protocol/deployment.hpp"
#include "protocol/health.hpp"
#include "protocol/node.hpp"

namespace dms::protocol {
namespace {

template <class T>
void check(std::string_view text) {
  const Result<T> value = json::decode<T>(text);
  if (!value) return;
  const std::string written = json::encode(*value);
  const Result<T> again = json::decode<T>(written);
  if (!again || json::encode(*again) != written) std::abort();
}

template <class Request, class Reply>
void check_payloads(std::string_view text, const Behaviour<Request, Reply>&) {
  check<Request>(text);
  check<Reply>(text);
}

void check_all(std::string_view text, const auto&... behaviours) { (check_payloads(text, behaviours), ...); }

}  // namespace
}  // namespace dms::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::protocol;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_all(text, kPublicHello, kPublicStatus, kPeersList, kPeersSelf, kPeersPing, kPeersConnect, kOnboard, kOffboard,
            kOnboardStatus, kResourcesFree, kAllocationsList, kCapList, kCapAnchor, kCapBroadcast, kRevocations,
            kNodeStatus);
  check_all(text, kDeploymentList, kDeploymentStatus, kDeploymentManifest, kDeploymentLogs, kDeploymentPrune,
            kDeploymentInfo);
  check_all(text, kCommit, kAllocate, kRenew, kRevert, kAllocationStart, kAllocationRestart, kHealthCheckRegister,
            kAllocationLogs, kAllocationShutdown, kTaskTermination);
  return 0;
}
