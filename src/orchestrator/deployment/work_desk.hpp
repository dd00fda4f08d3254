// Answers the providers of a deployment that ask what the work of their allocations may call (protocol::kWorkGrant).
//
// Model: protocol/work.hpp. Only the actor of an allocation is answered, and tokens are made for the actor of its work
// that is in the record of the deployment. A sibling that has no machine at the moment is reported as such.
//
// Threads: the deployment's lane. Cost: a signature, and up to protocol::kMaxPublicTokens more to call a node; a walk
// over the delegations that this node has. Failure: the reply's `error`.
#pragma once

#include "orchestrator/deployment/parts.hpp"
#include "protocol/work.hpp"

namespace dms::orchestrator {

class WorkDesk {
 public:
  explicit WorkDesk(Parts parts) : parts_(parts) {}

  Task<protocol::WorkGrantReply> answer(protocol::WorkGrantRequest request, const actor::Envelope& envelope);

 private:
  Result<void> grant(const protocol::WorkGrantRequest& request, const actor::Id& sender,
                     protocol::WorkGrantReply& reply) const;
  /// Of its host, as far as they are known.
  [[nodiscard]] std::vector<std::string> addresses_of(const actor::Handle& handle) const;
  Result<void> add_public(const did::Did& node, ucan::Grant grant, ucan::TokenList& tokens) const;

  Parts parts_;
};

}  // namespace dms::orchestrator
