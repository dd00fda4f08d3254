// Shared by the commands about what runs on this machine: allocation.cpp and status.cpp.
#pragma once

#include "cli/client/client.hpp"
#include "protocol/node.hpp"

namespace dms::cli {

/// All pages: also what has ended and is kept for its orchestrator.
Result<std::vector<protocol::AllocationInfo>> list_held(Client& client, std::optional<Duration> timeout = {});
/// By which the daemon and its owner name it.
[[nodiscard]] const std::string& name_of(const protocol::AllocationInfo& held);
/// For Session::print_table(), with a row of headings. `now`: when it was listed.
[[nodiscard]] std::vector<std::vector<std::string>> held_rows(const std::vector<protocol::AllocationInfo>& held,
                                                              UnixTime now);
/// An object with the allocations by their names.
[[nodiscard]] json::Object held_json(const std::vector<protocol::AllocationInfo>& held);

}  // namespace dms::cli
