// Prints replies of actors.
#pragma once

#include "actor/envelope.hpp"
#include "cli/client/session.hpp"

namespace dms::cli {

/// The payload as indented JSON. Errc::failed if it reports that the behaviour failed (`Error`, or `Status` "ERROR").
Result<void> print_reply(Session& session, const actor::Envelope& reply);
/// A list of the payloads.
Result<void> print_replies(Session& session, const std::vector<actor::Envelope>& replies);

/// The failure that the payload reports; empty if it reports none.
[[nodiscard]] std::string failure_in(const json::Value& payload);

}  // namespace dms::cli
