#include "executor/sandbox/residue.hpp"

#include "base/log.hpp"
#include "base/remove_tree.hpp"

namespace dms::executor {
namespace {

constexpr Duration kEndPoll = 5ms;
constexpr int kEndTries = 1000;

}  // namespace

Residue::Residue(Lane& lane, std::filesystem::path state_dir)
    : state_dir_(std::move(state_dir)), nursery_(lane, "sandbox residue") {}

Task<void> Residue::end(Cgroup group) {
  for (int i = 0; !group.remove(); ++i) {
    if (i == kEndTries) {
      log::error("executor", "{} processes of an execution do not end; the next start of the daemon ends them",
                 group.pids().size());
      co_return;
    }
    group.kill_all();
    (void)co_await sleep_for(kEndPoll);
  }
}

Task<void> Residue::remove(std::filesystem::path folder) {
  auto removal = [&folder] { return discard_tree(folder); };
  const Result<void> gone = co_await offload(removal);
  if (!gone) log::error("executor", "{}", gone.error().to_string());
}

Task<void> Residue::adopt(std::vector<Cgroup> groups, std::set<std::string> keep) {
  for (const Cgroup& group : groups) {
    log::warn("executor", "ending {} processes that an earlier daemon left in a sandbox", group.pids().size());
    co_await end(group);
  }
  auto quarantine = [this, &keep] { return quarantine_entries(state_dir_, keep); };
  const Result<void> quarantined = co_await offload(quarantine);
  if (!quarantined) log::error("executor", "{}", quarantined.error().to_string());
  if (!std::exchange(sweeping_, true)) nursery_.spawn(sweep());
}

Task<void> Residue::sweep() {
  auto removal = [dir = state_dir_, stop = stop_.get_token()] { return sweep_quarantine(dir, stop); };
  (void)co_await offload(removal);
  sweeping_ = false;
}

Task<void> Residue::close() {
  stop_.request_stop();
  co_await nursery_.join();
}

}  // namespace dms::executor
