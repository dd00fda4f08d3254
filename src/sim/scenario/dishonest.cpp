#include "sim/scenario/dishonest.hpp"

#include "protocol/allocation.hpp"
#include "protocol/serve.hpp"

namespace dms::sim {
namespace {

Task<void> send_later(network::Network& network, Duration delay, network::MemoryMessage message) {
  const Result<void> slept = co_await sleep_for(delay);
  if (!slept) co_return;
  (void)co_await network.send(message.to, std::move(message.channel), std::move(message.body));
}

/// Claims that an allocation has ended with success.
Task<void> claim_end(actor::Actor& actor, Duration delay, actor::Handle orchestrator, std::string allocation) {
  const Result<void> slept = co_await sleep_for(delay);
  if (!slept) co_return;
  protocol::TaskTermination claim;
  claim.allocation_id = std::move(allocation);
  claim.status = to_string(protocol::AllocationStatus::completed);
  const Result<protocol::Ack> ignored = co_await call(actor, protocol::kTaskTermination, orchestrator, claim);
}

}  // namespace

bool Dishonest::contains(const std::string& peer) const {
  const Result<crypto::PeerId> id = crypto::PeerId::parse(peer);
  return id && liars_.contains(*id);
}

bool Dishonest::tap(const network::MemoryMessage& message) {
  const SteadyTime now = cluster_.world().now();
  for (const crypto::PeerId& end : {message.from, message.to})
    if (const auto liar = liars_.find(end); liar != liars_.end() && message.from != message.to &&
                                            now >= liar->second.silent_from && now < liar->second.silent_until)
      return false;
  if (message.broadcast) return true;
  const auto receiver = liars_.find(message.to);
  const auto sender = liars_.find(message.from);
  if (receiver == liars_.end() && sender == liars_.end()) return true;
  const Result<actor::Envelope> envelope = actor::Envelope::decode(message.body);
  if (!envelope) return true;
  if (receiver != liars_.end() && envelope->behaviour == protocol::kCommit.path) committed(receiver->second, *envelope);
  if (sender != liars_.end() && envelope->behaviour == protocol::kTaskTermination.path)
    notified(sender->second, message);
  return true;
}

void Dishonest::committed(Liar& liar, const actor::Envelope& commit) {
  const Result<protocol::CommitRequest> request = actor::payload<protocol::CommitRequest>(commit);
  if (!request || !liar.machine->up()) return;
  const std::string id = protocol::full_allocation_id(request->ensemble_id, request->allocation_name);
  switch (liar.deceit) {
    case Deceit::vanishes:
      liar.silent_from = cluster_.world().now() + Duration(random_.below(2'000'000'000));
      liar.silent_until = liar.silent_from + 30s + Duration(random_.below(300'000'000'000));
      return;
    case Deceit::answers_for_another:
      for (const std::string_view name : {"a", "b", "c"})
        liar.machine->node().root().spawn(claim_end(liar.machine->node().root(),
                                                    Duration(random_.below(20'000'000'000)), commit.from,
                                                    jobs::allocation_id(request->ensemble_id, name)));
      return;
    case Deceit::false_offers: {
      executor::FakeScript script;
      script.start_error = "there is no such machine";
      return liar.machine->executor().script(id, std::move(script));
    }
    case Deceit::claims_ends: {
      executor::FakeScript script;
      script.runs_for = 0s;
      return liar.machine->executor().script(id, std::move(script));
    }
    case Deceit::repeats_notices: return;
  }
}

void Dishonest::notified(Liar& liar, const network::MemoryMessage& notice) {
  if (liar.deceit != Deceit::repeats_notices || !liar.machine->up()) return;
  // Copies come through the tap as well, so each makes less than one more.
  if (random_.below(4) == 0) return;
  liar.machine->node().root().spawn(
      send_later(liar.machine->network(), Duration(random_.below(60'000'000'000)), notice));
}

}  // namespace dms::sim
