#include "orchestrator/deployment/actor_view.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "jobs/ensemble/supervision.hpp"
#include "orchestrator/deployment/reasons.hpp"
#include "orchestrator/deployment/views.hpp"
#include "orchestrator/supervision/trees.hpp"
#include "supervision/record.hpp"

namespace dms::orchestrator {

using namespace protocol;
namespace {

/// Why it last ended: its own reason, then those below it.
std::string why_ended(const std::vector<TreeCause>& causes, const std::string& path) {
  std::string why;
  for (const TreeCause& cause : causes) {
    if (!why.empty()) why += ": ";
    if (!cause.path.empty() && cause.path != path) why += cause.path + ": ";
    why += cause.text;
  }
  return shortened(std::move(why), kMaxReportedText);
}

class Look {
 public:
  Look(const DeploymentRecord& record, std::map<std::string, AllocationState> states, const std::string& boot,
       SteadyTime now)
      : record_(record), states_(std::move(states)), age_ns_(age_of_tree(record, boot, now).count()) {
    const bool lives = record.status == DeploymentStatus::provisioning || record.status == DeploymentStatus::running;
    counts_ = record.tree && (lives || record.tree->over);
  }

  Supervised run() {
    Supervised root;
    if (jobs::is_supervised(record_.ensemble))
      if (const Result<supervision::Spec> spec = jobs::supervision_of(record_.ensemble)) root = show(*spec, "");
    for (const auto& [name, allocation] : record_.ensemble.allocations)
      if (!shown_.contains(name)) root.children.push_back(leaf(name));
    // Those that are in no ensemble any more.
    while (!states_.empty()) root.children.push_back(leaf(states_.begin()->first));
    return root;
  }

 private:
  Supervised leaf(const std::string& name) {
    Supervised made;
    made.name = name;
    shown_.insert(name);
    auto state = states_.extract(name);
    if (state.empty()) return made;
    state.mapped().strategy.clear();  // its supervisor has it
    made.allocation = std::move(state.mapped());
    return made;
  }

  Supervised show(const supervision::Spec& spec, const std::string& path) {
    Supervised made;
    if (spec.supervisor) {
      made.name = spec.id;
      made.strategy = to_string(spec.supervisor->strategy);
      made.intensity = spec.supervisor->intensity;
      made.period_ns = spec.supervisor->period.count();
    } else {
      made = leaf(spec.id);
      made.restart = to_string(spec.restart);
      made.escalates = spec.escalates;
    }
    if (record_.tree) {
      const auto& states = spec.supervisor ? record_.tree->supervisors : record_.tree->allocations;
      if (const auto found = states.find(spec.supervisor ? path : spec.id); found != states.end())
        add(made, found->second, path);
    }
    for (const supervision::Spec& child : spec.children)
      made.children.push_back(show(child, supervision::path_of(path, child)));
    return made;
  }

  void add(Supervised& made, const SupervisedState& state, const std::string& path) const {
    made.restarts = state.starts == 0 ? 0 : state.starts - 1;
    made.recent = static_cast<std::uint32_t>(std::ranges::count_if(
        state.restarts_ns, [&](std::int64_t at_ns) { return at_ns >= age_ns_ - made.period_ns; }));
    made.last = why_ended(state.last, path);
    if (!counts_) return;
    const auto phase = static_cast<supervision::Phase>(state.phase);
    made.phase = to_string(phase);
    if (phase == supervision::Phase::waiting && state.due_ns && *state.due_ns > age_ns_)
      made.pause_ns = *state.due_ns - age_ns_;
  }

  const DeploymentRecord& record_;
  std::map<std::string, AllocationState> states_;  ///< of those that are not shown yet
  std::set<std::string> shown_;
  std::int64_t age_ns_ = 0;  ///< see age_of_tree()
  bool counts_ = false;      ///< the tree acts, or has given up
};

void add_texts(std::vector<std::string*>& texts, Supervised& supervised) {
  texts.push_back(&supervised.last);
  if (supervised.allocation) texts.push_back(&supervised.allocation->reason);
  for (Supervised& child : supervised.children) add_texts(texts, child);
}

}  // namespace

DeploymentActor actor_of(const DeploymentRecord& record, DeploymentStatusReply status, const std::string& boot,
                         SteadyTime now) {
  DeploymentActor actor;
  actor.status = std::move(status.status);
  actor.error = std::move(status.error);
  actor.reason = std::move(status.reason);
  if (const auto name = record.ensemble.metadata.find("name"); name != record.ensemble.metadata.end())
    actor.name = shortened(name->second, kMaxListedName);
  actor.supervision = Look(record, std::move(status.allocations), boot, now).run();
  return actor;
}

void fit_message(DeploymentActor& actor) {
  std::vector<std::string*> texts;
  add_texts(texts, actor.supervision);
  fit_texts(actor, texts, kMaxView);
}

}  // namespace dms::orchestrator
