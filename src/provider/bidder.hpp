// The provider's side of an auction: whether to bid, and for which node of an ensemble.
//
// A pure decision: what the machine is and has goes in, the node request to answer, or the reason for silence, comes
// out. Silence is not told to the network (a stranger could otherwise map what we have); it is logged.
#pragma once

#include <functional>
#include <set>

#include "base/random.hpp"
#include "crypto/peer_id.hpp"
#include "protocol/bid.hpp"

namespace dms::provider {

/// What a provider can say for itself at the moment of a request.
struct Offering {
  crypto::PeerId self;
  bool onboarded = false;
  capability::Location location;
  std::set<std::string> executors;
  capability::Resources free;
  bool privileged_docker = false;
  /// Whether these public ports could be had now.
  std::function<Result<void>(const protocol::PublicPorts&)> ports_available;
};

/// The most node requests in one message that are looked at; an ensemble has no more nodes than this.
inline constexpr std::size_t kMaxNodeRequests = 256;

/// Picks, in random order, the first node request that this machine can serve. Errc::unsupported with the reasons, one for
/// each node, when there is none.
Result<protocol::NodeRequest> choose_request(const protocol::EnsembleBidRequest& request, const Offering& offering,
                                             Random& random);

}  // namespace dms::provider
