// The behaviours of NuNet DMS 0.5.x that this implementation does not serve yet, each with the reason, so that who
// invokes one learns it instead of waiting for a reply.
//
// Model
//  1. A path is declared (every_behaviour.hpp) or refused, never both: once it is served, it moves there.
//  2. The actor that would serve a refused behaviour answers {"OK": false, "Error": reason}, which callers of DMS 0.5.x
//     read. The payload is not read.
//  3. The reply needs the capability that serving it would need: a stranger learns nothing.
//
// Specification: the paths of NuNet DMS 0.5.x, of both spellings where they have changed. Behaviours whose paths are
// not known can be neither served nor refused; docs/behaviours.md names them.
#pragma once

#include <span>

#include "actor/actor.hpp"
#include "protocol/declaration.hpp"

namespace dms::protocol {

/// The actor that would serve a behaviour.
enum class Holder {
  node,
  ensemble,  ///< the node, while it holds allocations of the ensemble; the path has the placeholder
  allocation,
};

struct RefusedBehaviour {
  std::string_view path;
  std::string_view reason;  ///< what is missing, and what to use instead
  Holder holder = Holder::node;
};

[[nodiscard]] std::span<const RefusedBehaviour> refused_behaviours();

/// "/dms/node/peers/dht is not served yet: ...".
[[nodiscard]] std::string refusal_of(std::string_view path, const RefusedBehaviour& refused);

/// Answers those of `holder`. The actor outlives the registration.
Result<void> refuse_behaviours(actor::Actor& actor, Holder holder, std::string_view ensemble = {});
void stop_refusing(actor::Actor& actor, Holder holder, std::string_view ensemble = {});

}  // namespace dms::protocol
