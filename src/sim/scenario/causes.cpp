#include "sim/scenario/causes.hpp"

#include <algorithm>
#include <array>

#include "actor/envelope.hpp"
#include "protocol/allocation.hpp"

namespace dms::sim {
namespace {

/// What a provider says that has promised its resources to others meanwhile.
constexpr std::array<std::string_view, 3> kResources = {"not enough is free", "more than was bid for",
                                                        "which is the limit"};

/// Whether each refusal in the reason is one for lack of resources.
bool refuses_for_resources_only(std::string_view reason) {
  constexpr std::string_view kRefused = "refused: ";
  for (std::size_t at = reason.find(kRefused); at != std::string_view::npos; at = reason.find(kRefused, at + 1)) {
    const std::string_view why = reason.substr(at + kRefused.size());
    const std::string_view this_one = why.substr(0, why.find(kRefused));
    if (std::ranges::none_of(kResources, [&](std::string_view text) { return this_one.contains(text); })) return false;
  }
  return true;
}

}  // namespace

std::string_view to_string(Cause cause) {
  switch (cause) {
    case Cause::none: break;
    case Cause::dishonest: return "a dishonest provider";
    case Cause::fault: return "a fault";
    case Cause::capacity: return "too few machines";
    case Cause::work: return "its work has failed";
  }
  return "no cause";
}

void Causes::sees(const network::MemoryMessage& message, SteadyTime now) {
  constexpr std::string_view kPath = protocol::kCommit.path;
  if (message.broadcast || as_text(message.body).find(kPath) == std::string_view::npos) return;
  const Result<actor::Envelope> envelope = actor::Envelope::decode(message.body);
  if (!envelope || envelope->behaviour != kPath) return;
  const Result<protocol::CommitRequest> request = actor::payload<protocol::CommitRequest>(*envelope);
  if (!request) return;
  Commits& commits = commits_[request->ensemble_id];
  commits.providers.insert(message.to);
  commits.last = now;
}

bool Causes::had_fault(const crypto::PeerId& machine, SteadyTime since, SteadyTime until) const {
  const auto found = machines_.find(machine);
  return found != machines_.end() && std::ranges::any_of(found->second.faults, [&](const auto& fault) {
           return fault.first <= until && fault.second + kAftermath >= since;
         });
}

bool Causes::is_calm(const crypto::PeerId& user, const std::string& deployment, SteadyTime since,
                     SteadyTime until) const {
  if (had_fault(user, since, until)) return false;
  const auto found = commits_.find(deployment);
  return found == commits_.end() || std::ranges::none_of(found->second.providers, [&](const crypto::PeerId& provider) {
           return is_liar(provider) || had_fault(provider, since, until);
         });
}

bool Causes::lacks_machines(const Failure& failure, const Commits* commits) const {
  if (!refuses_for_resources_only(failure.reason)) return false;
  if (failure.reason.contains("no machine was found") || failure.reason.contains("which is the limit")) return true;
  const bool late = commits != nullptr && commits->last + failure.starts + kStartMargin > failure.deadline;
  return late && failure.reason.contains("could not be started in time");
}

Cause Causes::of(const Failure& failure) const {
  const auto found = commits_.find(failure.deployment);
  const Commits* commits = found == commits_.end() ? nullptr : &found->second;
  if (commits != nullptr) {
    if (std::ranges::any_of(commits->providers, [&](const crypto::PeerId& each) { return is_liar(each); }))
      return Cause::dishonest;
    for (const crypto::PeerId& provider : commits->providers)
      if (had_fault(provider, failure.since, failure.until)) return Cause::fault;
  }
  if (had_fault(failure.user, failure.since, failure.until)) return Cause::fault;
  if (failing_.contains(failure.deployment)) return Cause::work;
  return lacks_machines(failure, commits) ? Cause::capacity : Cause::none;
}

std::string Causes::providers(const std::string& deployment) const {
  std::string names;
  const auto found = commits_.find(deployment);
  if (found == commits_.end()) return "none";
  for (const crypto::PeerId& provider : found->second.providers) {
    const auto machine = machines_.find(provider);
    names += (names.empty() ? "" : ", ") + (machine == machines_.end() ? provider.to_string() : machine->second.name);
  }
  return names;
}

}  // namespace dms::sim
