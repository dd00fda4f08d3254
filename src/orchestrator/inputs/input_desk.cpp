#include "orchestrator/inputs/input_desk.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "encoding/multibase.hpp"
#include "orchestrator/output/results.hpp"

namespace dms::orchestrator {

using namespace protocol;

Task<InputReply> InputDesk::answer(InputRequest request, const actor::Envelope& envelope) {
  Task<Result<InputReply>> offering = offer(std::move(request), envelope);
  Result<InputReply> reply = co_await std::move(offering);
  if (reply) co_return std::move(*reply);
  log::debug("orchestrator", "{}: an input for {}: {}", parts_.id(), envelope.from.to_string(),
             reply.error().to_string());
  InputReply refusal;
  refusal.error = reply.error().to_string();
  co_return refusal;
}

Task<Result<InputReply>> InputDesk::offer(InputRequest request, const actor::Envelope& envelope) {
  const std::string name(jobs::allocation_name(request.allocation_id));
  const AllocationManifest* entry = parts_.allocation(name);
  if (entry == nullptr || entry->handle.id != envelope.from.id)
    co_return fail(Errc::permission_denied, "only the allocation itself may ask for its inputs");
  const auto spec = parts_.record->ensemble.allocations.find(name);
  if (spec == parts_.record->ensemble.allocations.end()) co_return fail(Errc::not_found, "there is no such allocation");
  const auto input = std::ranges::find(spec->second.inputs, request.to, &jobs::Input::to);
  if (input == spec->second.inputs.end()) co_return fail(Errc::not_found, "the allocation declares no such input");
  if (parts_.services.transfers == nullptr) co_return fail(Errc::unsupported, "this node sends no files");
  CO_TRY(const crypto::PeerId peer, envelope.from.address.peer());
  InputReply reply;
  Task<Result<std::filesystem::path>> finding = find(*input, reply);
  CO_TRY(std::filesystem::path path, co_await std::move(finding));
  transfer::Content content;
  content.size = reply.size;
  CO_TRY(const Bytes digest, decode(Base::hex, reply.digest, 2 * content.digest.size()));
  if (digest.size() != content.digest.size()) co_return fail(Errc::internal, "the digest of the input is damaged");
  std::ranges::copy(digest, content.digest.begin());
  CO_TRY(const transfer::Ticket ticket,
         parts_.services.transfers->offer(peer, std::move(path), content, kInputTicket, parts_.id()));
  reply.ticket = ticket.to_string();
  reply.ok = true;
  co_return std::move(reply);
}

Task<Result<std::filesystem::path>> InputDesk::find(jobs::Input input, InputReply& reply) {
  if (input.allocation.empty()) {
    reply.folder = input.folder;
    reply.size = input.size;
    reply.digest = input.digest;
    Blobs blobs(parts_.services.work_dir);
    Result<std::filesystem::path> path = co_await blobs.find(input.digest, input.size);
    co_return std::move(path);
  }
  ResultFile about;
  Task<Result<std::filesystem::path>> finding =
      stored_result(parts_.output.folder(parts_.id(), input.allocation), input.path, about);
  Result<std::filesystem::path> path = co_await std::move(finding);
  reply.folder = about.folder;
  reply.size = about.size;
  reply.digest = about.digest;
  co_return std::move(path);
}

Task<Result<void>> check_inputs(Blobs& blobs, const jobs::Ensemble& ensemble) {
  for (const auto& [name, allocation] : ensemble.allocations)
    for (const jobs::Input& input : allocation.inputs) {
      if (!input.allocation.empty()) continue;
      const Result<std::filesystem::path> there = co_await blobs.find(input.digest, input.size);
      if (!there) co_return fail(there.error(), "allocations.{}.inputs: \"{}\"", name, input.to);
    }
  co_return Result<void>();
}

void add_digests(const jobs::Ensemble& ensemble, std::set<std::string>& digests) {
  for (const auto& [name, allocation] : ensemble.allocations)
    for (const jobs::Input& input : allocation.inputs)
      if (!input.digest.empty()) digests.insert(input.digest);
}

}  // namespace dms::orchestrator
