// The supervision that an ensemble asks for, as docs/howto/write-an-ensemble.md says: written down a second time, to be
// compared with what an orchestrator makes of it. It shares nothing with jobs/ensemble/supervision.hpp or
// supervision/tree.hpp.
//
// Model
//  1. A group is a supervisor: its members, allocations and groups, are started in order. Who is started again with a
//     member that has failed is in `together`. It gives up when a member fails that it has already started again
//     `restarts` times within its period, an hour unless the ensemble says otherwise: that is the failure of this group
//     in the group above.
//  2. The group of all is "". Below it are the written tree, `supervisor`, and a group `node:<name>` for each node with
//     allocations that this does not name, below `standbys:<name>` where the node has `redundancy`, and below
//     `recovery:<name>` where it has failure_recovery: that is above the standbys if it is `redeploy`. Only the
//     standbys remember their restarts when they are started anew.
//  3. What a failure of an allocation leads to is seen from the group that counts it: the first one above that makes up
//     for failures at all. That of one that stays down, on a node with failure_recovery, is the failure of its group.
//
// Threads: a value. Cost: linear in the ensemble, quadratic in the allocations of a node.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "jobs/ensemble/ensemble.hpp"

namespace dms::sim {

/// Who is started again with a member that has failed.
enum class Together { alone, all, rest };
/// When a group ends because allocations of it that are significant have ended for good: `any` of them, or `all`.
enum class EndsWith { none, any, all };
/// Which ends of an allocation are made up for.
enum class MadeUp { all, failures, none };

class ExpectedTree {
 public:
  static constexpr std::size_t kNone = ~std::size_t{0};
  struct Member {
    std::string allocation;     ///< empty: a group
    std::size_t group = kNone;  ///< its number
  };
  struct Group {
    std::string path;
    std::size_t above = kNone;
    Together together = Together::alone;
    std::size_t restarts = 0;
    Duration period = 1h;  ///< within which it makes at most `restarts`
    EndsWith ends_with = EndsWith::none;
    bool remembers = false;  ///< its restarts count also after the group has been started anew
    std::vector<Member> members;
  };
  struct Child {
    std::size_t group = 0;
    MadeUp made_up = MadeUp::all;
    bool fails_group = false;  ///< its failure is that of the group
    bool significant = false;
  };

  ExpectedTree() = default;
  explicit ExpectedTree(const jobs::Ensemble& ensemble);

  /// Those above come first; the first one is that of all.
  [[nodiscard]] const std::vector<Group>& groups() const { return groups_; }
  [[nodiscard]] const std::map<std::string, Child>& children() const { return children_; }
  /// In the order of their starts.
  [[nodiscard]] std::vector<std::string> allocations_of(std::size_t group) const;
  /// The group that counts a failure of the allocation, see (3); the first one if none makes up for it.
  [[nodiscard]] std::size_t counted_at(const std::string& allocation) const;
  /// Those that are started again when it fails, itself included.
  [[nodiscard]] std::set<std::string> restarted_with(const std::string& allocation) const;
  /// Those that are started before it.
  [[nodiscard]] std::set<std::string> started_before(const std::string& allocation) const;
  /// How many failures of allocations it takes at least until the group gives up, or has given up `times` times.
  [[nodiscard]] std::size_t least_failures(std::size_t group, std::size_t times = 1) const;

 private:
  std::size_t add_group(std::size_t above, const std::string& id, Together together, std::size_t restarts);
  void add_child(std::size_t group, const std::string& name, Child child);
  void add_written(const jobs::Ensemble& ensemble, const jobs::Supervisor& written, std::size_t above,
                   const std::string& id);
  void add_node(const jobs::Ensemble& ensemble, const std::string& name, const jobs::Node& node,
                const std::set<std::string>& named);

  std::vector<Group> groups_;
  std::map<std::string, Child> children_;
};

}  // namespace dms::sim
