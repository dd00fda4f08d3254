// What the work of an allocation may call, and what an orchestrator grants it for that.
//
// Model
//  1. The work of an allocation has an actor of its own (provider/work_actor.hpp): a key, a DID that is that key, and a
//     capability context that holds nothing but what the orchestrator delegates. AllocateResponse::work names it.
//  2. Behaviours of the work of an ensemble are below work_namespace(). An orchestrator delegates that, with the topics
//     of the same names, to the work of each allocation, and each accepts what its orchestrator delegates there. So
//     siblings call each other, and nobody else does unless the orchestrator delegates it.
//  3. A name of a sibling is looked up at the orchestrator (kWorkGrant), which knows where each allocation is, and at
//     which addresses its host may be dialed. Nothing of it is stored at the provider: after any restart it is asked
//     for again.
//  4. To call a node, the orchestrator delegates kPublicNamespace: by its own signature, which is accepted where it is
//     trusted for that, and what it holds of that node's grants.
//  5. Delegations last ucan::kStandingGrantTime and allow no further ones.
//
// Attacks: only the actor of an allocation is answered, and tokens are made for the work that its provider has named
// when it was allocated. So a provider gets what the work may do, and no more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "actor/handle.hpp"
#include "protocol/allocation.hpp"
#include "ucan/token.hpp"

namespace dms::protocol {

inline constexpr std::string_view kPublicNamespace = "/public";
/// Of the behaviours and topics of work, as the work itself names them.
inline constexpr std::string_view kWorkPrefix = "/work/";
/// The same on the network.
inline std::string work_namespace(std::string_view ensemble) { return ensemble_namespace(ensemble) + "/work"; }

/// Of addresses in one reply.
inline constexpr std::size_t kMaxCalledAddresses = 16;
/// Of tokens for kPublicNamespace in one reply.
inline constexpr std::size_t kMaxPublicTokens = 4;

struct WorkGrantRequest {
  std::string allocation_id;
  std::string sibling;  ///< the name of an allocation whose work is to be called; may be empty
  did::Did node;        ///< a node that is to be called; may be empty
  static constexpr auto json_fields() {
    using R = WorkGrantRequest;
    return std::tuple(json::field("AllocationID", &R::allocation_id),
                      json::field("Sibling", &R::sibling, json::omit_empty),
                      json::field("Node", &R::node, json::omit_empty));
  }
};
struct WorkGrantReply {
  bool ok = false;
  std::string error;
  std::optional<actor::Handle> sibling;  ///< the actor of its work
  std::vector<std::string> addresses;    ///< of the host that is called, as far as they are known
  ucan::TokenList tokens;                ///< delegations to the work of the allocation
  static constexpr auto json_fields() {
    using R = WorkGrantReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("Sibling", &R::sibling, json::omit_empty),
                      json::field("Addresses", &R::addresses, json::omit_empty),
                      json::field("Tokens", &R::tokens, json::omit_empty));
  }
};

inline constexpr Behaviour<WorkGrantRequest, WorkGrantReply> kWorkGrant{
    {.path = "/dms/orchestrator/work",
     .help = "Get delegations for the work of an allocation, and the actor that it calls",
     .timeout = 10s}};

}  // namespace dms::protocol
