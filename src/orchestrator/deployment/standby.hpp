// Machines that stand by for a node of the ensemble (`redundancy`): pure changes of a record.
//
// Model
//  1. A standby of a node is a machine of its own, beside those of all nodes and of all other standbys, that has
//     reserved and allocated all of the node. Nothing of it is started; its lease is renewed
//     (supervision/standbys.hpp). Its id is `<node>-standby-<n>`, n from 1 to the node's `redundancy`. It is part of
//     the record before the first request is sent to it, and is ready once its provider has made all of it.
//  2. use_standbys() is made in each change of the record before it is stored, as supervise() is
//     (supervision/trees.hpp): a node that has lost its machine gets that of its first ready standby in the same
//     change, and its work is started there. What is exclusive is released first, see is_blocked(). The loss of the
//     machine is no failure of the work: with no standby ready, the node is placed anew as on_loss says (replacer.hpp).
//  3. Work that its supervisor starts again is no loss: it is placed as without standbys, and a standby is used if no
//     other machine takes it (replacer.hpp). A supervisor that is started anew after it has given up is one: the node
//     has failed for good where it was, and a ready standby gets it (jobs/ensemble/supervision.hpp, 7). So is a node
//     that is redeployed, while one that is restarted (its failure_recovery) is work that is started again.
//  4. Standbys exist while the deployment runs. One that is not wanted any more, or has lost what it had, is
//     superseded: nothing of it can run.
//
// Threads: none. Cost: an ensemble has jobs::kMaxMachines nodes and standbys at most, so that edges between copies are
// as many as pairs of these at most.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "orchestrator/deployment/placement.hpp"

namespace dms::orchestrator {

struct MissingStandby {
  std::string node;
  std::uint32_t number = 0;
  [[nodiscard]] std::string id() const;
  friend auto operator<=>(const MissingStandby&, const MissingStandby&) = default;
};

/// Those that the ensemble asks for and that the record does not have, ready or not.
[[nodiscard]] std::vector<MissingStandby> missing_standbys(const DeploymentRecord& record);
/// The ensemble with one node only: the standby, as an auction and its provider see it.
[[nodiscard]] jobs::Ensemble standby_part(const jobs::Ensemble& ensemble, const MissingStandby& wanted);
/// Those with limits, one of each pair of nodes: with the stricter limits of all edges of the pair.
[[nodiscard]] std::vector<jobs::Edge> merged_edges(const jobs::Ensemble& ensemble);
/// The merged ones between a node that is sought and the other node, and each standby of that in the record, which may
/// take it over.
[[nodiscard]] std::vector<jobs::Edge> edges_of_sought(const DeploymentRecord& record,
                                                      const std::set<std::string>& sought);
/// The merged ones between every copy of one node and every copy of the other.
[[nodiscard]] std::vector<jobs::Edge> edges_with_standbys(const jobs::Ensemble& ensemble);
/// That which asks for something, with the standbys beside their nodes.
[[nodiscard]] std::vector<jobs::AntiAffinity> anti_affinity_with_standbys(const jobs::Ensemble& ensemble);
/// With all standbys as nodes beside the others.
[[nodiscard]] jobs::Ensemble with_standbys(jobs::Ensemble ensemble);
/// Whether one is ready for the node.
[[nodiscard]] bool has_standby(const DeploymentRecord& record, const std::string& node);

/// On the machine of the bid; it is not ready.
void add_standby(DeploymentRecord& record, const MissingStandby& wanted, const protocol::Bid& bid);
/// What its provider may hold is superseded.
void drop_standby(DeploymentRecord& record, const std::string& id);
/// Those that are not ready: after a start of the daemon it is not known what their providers have made.
void drop_unready_standbys(DeploymentRecord& record);
/// The node, which has no machine, gets that of its first ready standby. False if it cannot.
bool stand_in(DeploymentRecord& record, const std::string& node);
/// See (2) and (4).
void use_standbys(DeploymentRecord& record);

}  // namespace dms::orchestrator
