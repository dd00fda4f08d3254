// What a provider reports to hold, compared with the record: a pure change of the record, and what is left to do.
//
// Model
//  1. A run that the report and the record agree on gets the reported state and health. A run that is being restarted
//     and is reported under a new incarnation has been restarted. The reason of one that is unhealthy is what its
//     provider says of the last check, shortened.
//  2. A run of the record that the report lacks, or has under another incarnation, does not exist: it is missing. What
//     the report has and the record does not know is superseded, to be stopped. What is being placed at this moment is
//     left alone. A run under another incarnation is returned beside the missing one: whoever knows that the report is
//     not older than the record supersedes it before the missing one is replaced, so that no exclusive work runs twice.
//  3. A run that the report says has ended is returned; the record learns of it from endings.hpp.
//
// Threads: none.
#pragma once

#include "orchestrator/deployment/record.hpp"

namespace dms::orchestrator {

/// What the reason of an unhealthy run begins with.
inline constexpr std::string_view kFailedCheck = "it failed its health check";

struct Findings {
  json::StringMap missing;  ///< name -> incarnation
  json::StringMap others;   ///< that run instead of missing ones: name -> incarnation
  std::map<std::string, protocol::AllocationReport> ended;
  bool changed = false;  ///< the record
};

Findings reconcile(DeploymentRecord& record, const std::string& node, const protocol::RenewReply& reply);

}  // namespace dms::orchestrator
