// A changed ensemble applied to a running deployment: a pure change of its record.
//
// Model
//  1. What is the same in both ensembles continues, same run: an allocation whose work, resources and node are
//     unchanged. What it depends on only matters for starts to come, and its failure_recovery, restart and significant
//     for failures and ends to come.
//  2. An allocation that is gone is superseded; one that has changed or has moved to another node is superseded and
//     unplaced, to be brought up anew. A node that is pinned to another machine now, or may not be where it is, moves
//     with everything on it, once the output of what has ended there is here. Before that, another machine must have
//     bid for it (Replacer::find_places): without one the update is refused, and what runs goes on where it is. The
//     same holds for a node of which something that runs would be stopped to run anew while the node asks for more
//     than before (more of a resource, another executor, ...): its own machine, or another one, must have bid for all
//     of it. A machine of DMS 0.5.x, which grants no lease, is not asked: it does not count as free what the node uses
//     there. What is exclusive runs at its new place when the old run is released or cannot run any more. The output
//     of what is removed or changed is fetched before it is released (cleaner.hpp): that of a removed allocation stays
//     readable under its name, that of a changed one as the output of the run before.
//  3. The lease of a node that stays where it is cannot be changed: what runs there keeps the lease that it was
//     granted. Edges between nodes that stay cannot be made stricter, and anti_affinity that is new to them must hold
//     where they are. A standby that is not kept apart as is asked for now is superseded; another one is sought.
//  4. The record holds the new ensemble from then on, in one change: a restart in the middle continues with it.
//
// Threads: none.
#pragma once

#include <set>

#include "orchestrator/deployment/record.hpp"

namespace dms::orchestrator {

/// The nodes that the update would move off their machines, whatever else may take them.
std::set<std::string> moving_nodes(const DeploymentRecord& record, const jobs::Ensemble& wanted);
/// The nodes that stay and ask for more than before, for something that runs and that the update stops; see (2).
std::set<std::string> growing_nodes(const DeploymentRecord& record, const jobs::Ensemble& wanted);
/// Errc::invalid_argument for what cannot be changed while the deployment runs.
Result<void> check_update(const DeploymentRecord& record, const jobs::Ensemble& wanted);
/// Of an ensemble that check_update() accepts.
void apply_update(DeploymentRecord& record, jobs::Ensemble wanted);

}  // namespace dms::orchestrator
