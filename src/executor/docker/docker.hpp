// The `docker` executor: containers, by the Docker Engine API over its Unix socket.
//
// Model
//  1. A container is named and labelled as NuNet's Go implementation does: nunet-executor=<id>, nunet-jobID=<id>_<job>,
//     nunet-executionID=<id>_<job>_<execution>, which is also its name. The id belongs to the daemon and stays the same
//     over restarts, so recover() finds what an earlier process left. The engine keeps containers while no daemon runs;
//     close() leaves them running. recover() takes up the known ones that run or have ended, and removes all others.
//  2. Only images of the provider's registries run (image_name.hpp). A missing image is pulled; a present one is used.
//     Or the image comes with the work, as an archive: it is loaded without a name, so it replaces none
//     (image_archive.hpp), and removed with the last container that uses it, unless it has got a tag. progress() tells
//     meanwhile what the engine does (image_stream.hpp).
//  3. Limits: NanoCPUs (below 0.01 core a quota in periods of 1 s: cpu_quota.hpp), memory without swap beyond it,
//     number of processes. The engine enforces them.
//  4. No new privileges, no raw sockets, no device nodes, no file capabilities; no network unless Request::network.
//     `privileged` is refused unless the provider has opted in.
//  5. Output is followed while the container runs and kept as executor.hpp says. The engine's own copy is bounded in
//     size by the log options of the container (two files of the log limit, at least 1 MiB each). How fast the engine
//     copies is its own affair: it has no option for that, and its time is not the container's.
//     It is followed on after a restart (docker_log.hpp). When the engine reports the end of a container, its log is
//     read once more, to the end: a follow that began shortly before may miss it.
//  6. A deadline is kept by a watcher, a process for each container that outlives the daemon (watcher.hpp). The next
//     deadline replaces a watcher that was killed. Needs DockerOptions::state_dir.
//  7. An engine that does not answer, or is restarted, decides nothing: watching, following and stopping are tried
//     again with growing pauses. A container is lost if the engine answers and does not know it. While recover() has
//     not reached the engine, ready() is false, and stop() and remove() of what is unknown fail with Errc::unsupported.
//     An engine that accepts connections and has not answered version(), or what the first recover() asks of it, within
//     kFirstAnswer counts as one that does not answer: a later recover() waits longer.
//     A failed start() returns once its container is gone, or when it is cancelled; close() leaves the watcher. stop()
//     lets the engine send the image's stop signal; the grace is rounded up to whole seconds.
//  8. A command of exec() whose caller gives it up is killed, if /proc says that its process is the container's. Until
//     it has ended, the next exec() fails with Errc::already_exists. What a command leaves, also in a session of its
//     own, is killed after it: /proc names its processes by a variable of its environment, NUNET_COMMAND. Only root can
//     do that.
//  9. Containers write as users of their own, root among them. take_files() of a daemon that is not root gives what
//     they have left to its user: by a container of its own on an empty image, which has the program and its libraries
//     mounted and may change owners (give_back.hpp). Nothing of the work's image runs there. As root, or without a file
//     of another user, it does nothing. It takes as long as it takes, while the container gets on; both have the mark
//     of (1), and what a daemon that is killed leaves of them is removed by the next recover(). If the engine goes away
//     meanwhile, they are removed when it answers. The container is named after the folder, <id>-give-<hash>, and the
//     image is found by its mark: so what an engine makes without an answer is removed as well, at the latest by the
//     next attempt, and there is one container for each folder at most.
//
// Threads: one lane. What stays on it: locks and signals of watchers, one file of /proc. Every call to the
// engine has a time limit except those that wait for the work or a pull.
//
// Attacks: a container shares the machine's kernel; its isolation is the engine's with the drops above. Names that
// reach a URL are checked or encoded; the environment and arguments travel as JSON. The orchestrator cannot choose
// mounts, devices, capabilities, the network mode or a registry that the provider does not list. Messages of the engine
// are truncated, its streams parsed with bounds. Not prevented: using the engine's processor time and disk writes by
// output without end. The disk of the work is the provider's affair (provider/allocation.hpp, 10).
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "executor/docker/docker_api.hpp"
#include "executor/docker/docker_log.hpp"
#include "executor/docker/image_name.hpp"
#include "executor/executor_base.hpp"
#include "executor/helper.hpp"
#include "runtime/mutex.hpp"
#include "runtime/nursery.hpp"

namespace dms::executor {

struct DockerOptions {
  std::string socket = std::string(kDockerSocket);
  /// Marks this daemon's containers. [A-Za-z0-9][A-Za-z0-9_.-]{0,63}
  std::string id = "nunet";
  bool allow_privileged = false;
  /// Registries whose images may run, "host" or "host:port"; "*" allows all.
  std::vector<std::string> registries{kPublicRegistries.begin(), kPublicRegistries.end()};
  /// For a private engine whose work is accounted separately; empty: the engine's own.
  std::string cgroup_parent;
  /// For the watchers of deadlines, one folder for each container; one per daemon. Empty: there are no deadlines.
  std::filesystem::path state_dir;
  /// For probes and watchers: how this program runs itself as a helper, and who runs it. Without a launcher there are
  /// none.
  std::vector<std::string> helper = helper_command();
  ProcessLauncher* processes = nullptr;
  /// Who is to read and remove what containers leave.
  std::uint32_t user = ::geteuid();
};

/// The start of a daemon waits for it.
inline constexpr Duration kFirstAnswer = 2s;

class Docker final : public ExecutorBase {
 public:
  Docker(Runtime runtime, DockerOptions options);
  ~Docker() override;

  /// The engine's version; or why there is none: then ready() is false until recover() succeeds.
  Task<Result<std::string>> version();

  [[nodiscard]] std::string_view type() const override { return "docker"; }
  [[nodiscard]] bool binds_actor_dir() const override { return true; }
  [[nodiscard]] std::string_view enforcement() const override { return "docker"; }
  Task<Result<void>> start(Request request) override;
  Task<Result<void>> stop(ExecutionId id, Duration grace) override;
  Task<Result<void>> pause(ExecutionId id) override;
  Task<Result<void>> resume(ExecutionId id) override;
  Task<Result<void>> remove(ExecutionId id) override;
  Task<Result<Stats>> stats(ExecutionId id) override;
  /// In the container's own layer, and in volumes that its image declares.
  Task<Result<std::optional<Elsewhere>>> written_elsewhere(ExecutionId id) override;
  /// As root it reads every folder of a container.
  [[nodiscard]] std::string unenforced() const override;
  Task<Result<ExecOutput>> exec(ExecutionId id, std::vector<std::string> argv) override;
  /// Errc::unsupported if this daemon may not enter the namespaces of containers: it is not root.
  Task<Result<ProbeResult>> probe(ExecutionId id, Probe probe) override;
  Task<Result<std::vector<ExecutionId>>> recover(std::vector<Request> known) override;
  Task<Result<void>> set_deadline(ExecutionId id, SteadyTime deadline) override;
  Task<Result<void>> take_files(std::filesystem::path folder) override;
  [[nodiscard]] bool ready() const override { return !awaits_engine_; }
  Task<void> close() override;

 private:
  struct Run;
  using RunPtr = std::shared_ptr<Run>;

  Result<void> check(const Request& request) const;
  Task<Result<void>> begin(RunPtr run);
  Task<Result<void>> create_from_archive(RunPtr run);
  /// Its id in the run.
  Task<Result<void>> create_container(RunPtr run, std::string body);
  Task<Result<void>> ensure_image(RunPtr run);
  [[nodiscard]] std::filesystem::path image_marker(const std::string& id) const;
  Task<Result<void>> load_image(RunPtr run);
  Task<Result<void>> send_image(RunPtr run, std::filesystem::path file, std::string& said);
  Task<Result<void>> release_image(std::string id);
  Task<void> release_image_logged(std::string id);
  Task<Result<void>> release_empty_images();
  Task<void> release_images();
  Task<Result<void>> import_empty_image(RunPtr run);
  Task<Result<void>> run_giver(std::string name, std::filesystem::path folder);
  Task<Result<void>> create_giver(RunPtr run, std::string body);
  Task<Result<void>> remove_giver(std::string name);
  Task<void> remove_giver_later(std::string name);
  Task<Result<void>> give_in_container(RunPtr run, std::filesystem::path folder);
  Task<Result<bool>> holds_foreign(std::filesystem::path folder);
  Task<Result<json::Value>> wait_for_giver(std::string container);
  Task<Result<std::string>> words_of(std::string container, std::string query);
  Task<Result<std::string>> read_words(std::string path);
  [[nodiscard]] std::string own_label() const;
  Task<void> supervise(RunPtr run);
  void begin_supervision(const RunPtr& run, DockerLog log);
  Task<void> follow(RunPtr run, DockerLog log);
  Task<Result<void>> copy_log(RunPtr run, DockerLog& log, bool follow);
  void count_log(Run& run, const DockerLog& log);
  Task<void> complete_log(RunPtr run, bool cut);
  Task<Result<int>> request_exit(RunPtr run);
  Task<Result<int>> wait_for_exit(RunPtr run);
  Task<void> conclude(RunPtr run, Result<int> code);
  Task<void> explain(RunPtr run);
  Task<Result<ExecOutput>> run_command(std::string exec_id);
  Task<Result<bool>> end_command(RunPtr run);
  Task<void> end_command_logged(RunPtr run);
  Task<void> end_marked(RunPtr run, std::string mark);
  Task<Result<Fd>> open_inside(RunPtr run);
  Task<Result<DockerLog>> take_up(RunPtr run, std::string id, Result<json::Value> found);
  [[nodiscard]] Result<RunPtr> find_ended(const ExecutionId& id) const;
  [[nodiscard]] bool has_deadlines() const { return options_.processes != nullptr && !options_.state_dir.empty(); }
  [[nodiscard]] std::filesystem::path watcher_folder(const std::string& container) const;
  Task<Result<void>> watch_deadline(RunPtr run, SteadyTime deadline);
  Task<Result<void>> launch_watcher(std::filesystem::path folder, std::string container, std::int64_t deadline);
  Task<Result<bool>> disarm(RunPtr run);
  Task<Result<bool>> end_watcher(std::string container);
  Task<void> end_watchers_but(std::set<std::string> containers);
  Task<void> discard(RunPtr run);
  Task<void> request_stop(RunPtr run, Duration grace);
  Task<Result<void>> delete_container(std::string name);
  Task<Result<void>> freeze(ExecutionId id, State from, State to, std::string_view verb);

  DockerOptions options_;
  DockerApi api_;
  bool closing_ = false;
  bool awaits_engine_ = false;      // recover() has not taken up what it runs
  Mutex loading_;                   // held while an image that may be removed has no container yet
  std::size_t givers_ = 0;          // containers that give files
  std::set<std::string> giving_;    // names of those that are made, run or are removed now
  std::set<std::string> removing_;  // names of those that are removed later
  Notify giver_left_;
  Nursery nursery_;
};

/// What reaches a URL or a file name.
bool is_container_id(std::string_view text);
/// The body of the engine's "create container": pure, so that a test can read it.
/// `image`: the id of one that came with the work; empty: the one that the request names.
std::string docker_create_body(const Request& request, const DockerOptions& options, const std::string& image = {});
std::string docker_container_name(const Request& request, const DockerOptions& options);

}  // namespace dms::executor
