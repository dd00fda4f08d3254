// Answers the providers of a deployment that ask for the inputs of their allocations (protocol::kOrchestratorInput).
//
// Model: only the actor of an allocation gets tickets, and only for the inputs of that allocation, each bound to the
// host it asks from. An input is an uploaded file (blobs.hpp) or a result of another allocation, which is here once
// that has completed (output/results.hpp). The tickets end with the deployment.
//
// Threads: the deployment's lane. Failure: the reply's `error`.
#pragma once

#include "orchestrator/deployment/parts.hpp"
#include "orchestrator/inputs/blobs.hpp"

namespace dms::orchestrator {

inline constexpr Duration kInputTicket = 1h;

class InputDesk {
 public:
  explicit InputDesk(Parts parts) : parts_(parts) {}

  Task<protocol::InputReply> answer(protocol::InputRequest request, const actor::Envelope& envelope);
  /// Once nothing asks any more.
  void close() {
    if (parts_.services.transfers != nullptr) parts_.services.transfers->revoke_purpose(parts_.id());
  }

 private:
  Task<Result<protocol::InputReply>> offer(protocol::InputRequest request, const actor::Envelope& envelope);
  /// The file, with its size, digest and kind in `reply`.
  Task<Result<std::filesystem::path>> find(jobs::Input input, protocol::InputReply& reply);

  Parts parts_;
};

/// Errc::invalid_argument names the first input whose content is not here.
Task<Result<void>> check_inputs(Blobs& blobs, const jobs::Ensemble& ensemble);
/// The digests of all inputs that users upload.
void add_digests(const jobs::Ensemble& ensemble, std::set<std::string>& digests);

}  // namespace dms::orchestrator
