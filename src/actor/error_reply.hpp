// The payload of the error reply that a local operator gets for a refused envelope.
//
// Model
//  1. It is sent as a reply: signed by the receiver, on the request's reply path, with the request's expiry.
//  2. Only senders on this host whose DID the capability context names (ucan::Trust) get one. Every other sender gets
//     no answer, as in NuNet's network: an unauthenticated or unknown peer gets no information.
//  3. `error` is a sentence. `refusal` is one of the kinds below and distinguishes an error reply from a payload of
//     the behaviour. `capabilities`: any one of them is sufficient.
//  4. A behaviour may send one as well, of kind kDeclined, to this node's own actors: its reason is for no other.
//
// Clients of NuNet's Go implementation print the payload: their structs ignore unknown members, and `error` is the
// member in which most behaviours report a failure.
#pragma once

#include <optional>

#include "actor/envelope.hpp"
#include "actor/refusal.hpp"
#include "ucan/capability.hpp"

namespace dms::actor {

inline constexpr std::string_view kDeclined = "declined";

struct ErrorReply {
  std::string error;
  std::string refusal;
  std::vector<std::string> capabilities;

  /// The error reply in `reply`, if it is one.
  static std::optional<ErrorReply> read(const Envelope& reply);

  static constexpr auto json_fields() {
    return std::tuple(json::field("error", &ErrorReply::error), json::field("refusal", &ErrorReply::refusal),
                      json::field("capabilities", &ErrorReply::capabilities, json::omit_empty));
  }
};

/// The error reply for a local operator; nothing if this refusal is never reported to the sender.
[[nodiscard]] std::optional<ErrorReply> error_reply(Refusal reason, const Envelope& request, std::string_view detail,
                                                    const ucan::Capabilities& sufficient);

}  // namespace dms::actor
