// How a Docker has containers end at their deadlines: by a watcher for each (watcher.hpp).
#include <fcntl.h>

#include <filesystem>

#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "executor/docker/docker_run.hpp"
#include "executor/docker/watcher.hpp"
#include "executor/sandbox/shim_files.hpp"

namespace dms::executor {
namespace fs = std::filesystem;

namespace {

constexpr int kTries = 3;

/// An existing lock file is kept: a watcher that has not begun yet may be about to lock it.
Result<void> make_folder(const fs::path& folder) {
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (!ec) fs::permissions(folder, fs::perms::owner_all, ec);
  if (ec) return fail(Errc::io, "make folder {}: {}", folder.string(), ec.message());
  for (const std::string_view name : {kLockFile, kArmedFile}) {
    const Fd file(::open((folder / name).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return fail(Errc::io, "create {}: {}", (folder / name).string(), std::strerror(errno));
  }
  return {};
}

}  // namespace

fs::path Docker::watcher_folder(const std::string& container) const { return options_.state_dir / container; }

Task<Result<void>> Docker::set_deadline(ExecutionId id, SteadyTime deadline) {
  CO_TRY(RunPtr run, find<Run>(id));
  if (!has_deadlines()) co_return fail(Errc::unsupported, "executor docker: this daemon has no folder for watchers");
  if (run->container.empty()) co_return fail(Errc::invalid_argument, "execution '{}' is not started yet", id.value);
  co_return co_await watch_deadline(run, deadline);
}

/// Tells the container's watcher, or starts one.
Task<Result<void>> Docker::watch_deadline(RunPtr run, SteadyTime deadline) {
  const Mutex::Lock lock = co_await run->watching.lock();
  if (run->ended || run->over) co_return Result<void>();
  const fs::path folder = watcher_folder(run->container);
  const std::int64_t at = deadline.time_since_epoch().count();
  Result<void> launched;
  for (int i = 0; i < kTries; ++i) {
    CO_TRY(const Fd watcher, find_shim(folder));
    if (watcher && tell_shim(watcher, ShimSignal::deadline, at)) co_return Result<void>();
    launched = co_await launch_watcher(folder, run->container, at);
    if (launched) co_return Result<void>();
  }
  co_return fail(launched.error(), "watch the deadline of container {}", run->name);
}

Task<Result<void>> Docker::launch_watcher(fs::path folder, std::string container, std::int64_t deadline) {
  auto making = [&folder] { return make_folder(folder); };
  CO_TRY_VOID(co_await offload(making));
  ProcessSpec spec;
  spec.argv = options_.helper;
  spec.argv.insert(spec.argv.end(), {"watch", folder.string(), options_.socket, container, std::to_string(deadline)});
  spec.cwd = "/";
  CO_TRY(const ProcessRun run, co_await run_process(*options_.processes, std::move(spec), 4096));
  if (run.exit.shell_code() != 0)
    co_return fail(Errc::io, "the watcher does not start: {}", run.err.substr(0, run.err.find_last_not_of('\n') + 1));
  co_return Result<void>();
}

Task<Result<bool>> Docker::disarm(RunPtr run) {
  run->ended = true;
  const Mutex::Lock lock = co_await run->watching.lock();
  co_return co_await end_watcher(run->container);
}

/// Nothing ends the container any more. True if its deadline has.
Task<Result<bool>> Docker::end_watcher(std::string container) {
  if (!has_deadlines() || container.empty()) co_return false;
  const fs::path folder = watcher_folder(container);
  CO_TRY_VOID(co_await end_shim(*options_.processes, folder));
  auto removing = [&folder]() -> Result<bool> {
    std::error_code ec;
    const bool fired = fs::exists(folder / kFiredFile, ec);
    TRY_VOID(remove_tree(folder));
    return fired;
  };
  co_return co_await offload(removing);
}

/// Of containers that are gone.
Task<void> Docker::end_watchers_but(std::set<std::string> containers) {
  if (!has_deadlines()) co_return;
  const std::vector<std::string> watchers = list_folders(options_.state_dir, is_container_id);
  for (const std::string& name : watchers) {
    if (containers.contains(name)) continue;
    const Result<bool> ended = co_await end_watcher(name);
    if (!ended) log::error("executor", "the watcher of container {}: {}", name, ended.error().to_string());
  }
}

}  // namespace dms::executor
