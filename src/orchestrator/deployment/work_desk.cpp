#include "orchestrator/deployment/work_desk.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "ucan/standing_grant.hpp"

namespace dms::orchestrator {

using namespace protocol;

namespace {

/// Where a node's own grant ends within ucan::kStandingGrantTime.
constexpr Duration kShortDelegation = 5min;

}  // namespace

Task<WorkGrantReply> WorkDesk::answer(WorkGrantRequest request, const actor::Envelope& envelope) {
  WorkGrantReply reply;
  const Result<void> granted = grant(request, envelope.from.id, reply);
  reply.ok = granted.has_value();
  if (granted) co_return reply;
  log::debug("orchestrator", "{}: what work may call, for {}: {}", parts_.id(), envelope.from.to_string(),
             granted.error().to_string());
  WorkGrantReply refusal;
  refusal.error = granted.error().to_string();
  co_return refusal;
}

Result<void> WorkDesk::grant(const WorkGrantRequest& request, const actor::Id& sender, WorkGrantReply& reply) const {
  const AllocationManifest* own = parts_.allocation(std::string(jobs::allocation_name(request.allocation_id)));
  if (own == nullptr || own->handle.id != sender)
    return fail(Errc::permission_denied, "only the allocation itself may ask what its work may call");
  if (!own->work) return fail(Errc::unsupported, "its provider has named no actor of its work");
  if (!request.sibling.empty()) {
    const AllocationManifest* sibling = parts_.allocation(request.sibling);
    if (sibling == nullptr)
      return fail(Errc::not_found, "the ensemble has no allocation '{}'", shortened(request.sibling, 64));
    if (!sibling->work)
      return fail(Errc::not_found, "'{}' has no machine at the moment, or one that offers no actor to its work",
                  shortened(request.sibling, 64));
    reply.sibling = *sibling->work;
    reply.addresses = addresses_of(*reply.sibling);
  }
  ucan::Grant grant;
  grant.subject = own->work->did;
  grant.expires = parts_.services.lane.unix_now() + ucan::kStandingGrantTime;
  grant.depth = 1;
  TRY(ucan::Capability below, ucan::Capability::parse(work_namespace(parts_.id())));
  grant.capabilities = {below};
  grant.topics = {below};
  TRY(ucan::Token siblings, parts_.actor.security().capabilities()->grant(ucan::Action::delegate, grant));
  reply.tokens.tokens.push_back(std::move(siblings));
  if (request.node.empty()) return {};
  TRY(const actor::Handle node, actor::Handle::from(request.node));
  reply.addresses = addresses_of(node);
  TRY(ucan::Capability open, ucan::Capability::parse(kPublicNamespace));
  grant.capabilities = {open};
  grant.topics.clear();
  return add_public(request.node, std::move(grant), reply.tokens);
}

/// A node accepts this one's own signature where it has an anchor that says so, and what it has granted in any case.
Result<void> WorkDesk::add_public(const did::Did& node, ucan::Grant grant, ucan::TokenList& tokens) const {
  const ucan::CapabilityContext& context = *parts_.actor.security().capabilities();
  TRY(ucan::Token own, context.grant(ucan::Action::delegate, grant));
  tokens.tokens.push_back(std::move(own));
  if (node == context.did()) return {};
  const UnixTime now = parts_.services.lane.unix_now();
  Result<ucan::TokenList> held = context.delegate(grant, now);
  if (!held) {  // what it has expires sooner
    grant.expires = now + kShortDelegation;
    held = context.delegate(grant, now);
  }
  if (!held) return {};
  std::ranges::stable_partition(held->tokens, [&](const ucan::Token& token) { return token.anchored_at(node); });
  for (std::size_t i = 0; i < std::min(held->size(), kMaxPublicTokens); ++i) tokens.tokens.push_back(held->tokens[i]);
  return {};
}

std::vector<std::string> WorkDesk::addresses_of(const actor::Handle& handle) const {
  const Result<crypto::PeerId> host = handle.address.peer();
  if (!host) return {};
  std::vector<std::string> addresses = parts_.services.network.addresses_of(*host);
  if (addresses.size() > kMaxCalledAddresses) addresses.resize(kMaxCalledAddresses);
  return addresses;
}

}  // namespace dms::orchestrator
