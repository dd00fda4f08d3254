// Shared by the commands about deployments: deploy.cpp, deployment.cpp and deployment_output.cpp.
//
// With --json a command prints the daemon's reply, indented, with the names that the protocol gives its members; `list`
// prints one object with the deployments of all its pages by their ids. Without, it prints text for people.
#pragma once

#include <span>

#include "cli/client/client.hpp"
#include "cli/client/ensemble_files.hpp"
#include "protocol/deployment.hpp"

namespace dms::cli {

/// Between two requests about the same deployment.
inline constexpr Duration kPoll = std::chrono::milliseconds(200);
/// The same for `deploy --wait`: in its first seconds, in which short tasks end, and later.
inline constexpr Duration kQuickPoll = std::chrono::milliseconds(50);
inline constexpr Duration kQuickTime = std::chrono::seconds(5);
inline constexpr Duration kSlowPoll = std::chrono::milliseconds(500);
/// How long a command waits for output (a stream without progress) or results that the daemon still fetches from the
/// provider of a run that has ended.
inline constexpr Duration kCollecting = std::chrono::seconds(30);
/// Watching ends after this many requests in a row without a reply.
inline constexpr int kMaxUnanswered = 3;
inline constexpr std::size_t kLeastPrefix = 4;
/// How long a daemon that is being started again is waited for.
inline constexpr Duration kDaemonPatience = std::chrono::minutes(1);

/// Of a command that watches a deployment while the daemon is started again.
class DaemonPatience {
 public:
  explicit DaemonPatience(Session& session) : session_(session) {}

  /// Whether the daemon is to be asked again: it does not answer, for less than kDaemonPatience. Says so at first.
  [[nodiscard]] bool bears(const Error& error);
  /// The daemon has answered.
  void end() { since_.reset(); }

 private:
  Session& session_;
  std::optional<UnixTime> since_;  ///< the first request that it has not answered
};

/// Of --id or the argument, as it was given.
Result<std::string> deployment_id(const Arguments& arguments);
/// The id that begins so: what has kLeastPrefix characters and is no id itself is looked up. Errc::usage, with the
/// candidates, if several do; if none does, it is left to the daemon to say so.
Result<std::string> full_id(Client& client, std::string id, std::optional<Duration> timeout = {});

/// The same among `known`, which are `what`, as "deployments". A shorter one is only itself.
Result<std::string> only_match(std::string id, const std::vector<std::string>& known, std::string_view what);

struct Listed {
  std::string id;
  std::string status;
  std::optional<protocol::DeploymentSummary> summary;  ///< none of a record that cannot be read
};
/// All pages, the newest first.
Result<std::vector<Listed>> list_all(Client& client, protocol::DeploymentListRequest request,
                                     std::optional<Duration> timeout = {});
/// For Session::print_table(), with a row of headings.
[[nodiscard]] std::vector<std::vector<std::string>> listed_rows(std::span<const Listed> listed);
/// An object with the deployments by their ids.
[[nodiscard]] json::Object listed_json(std::span<const Listed> listed);
/// "Completed: it was shut down".
[[nodiscard]] std::string with_reason(std::string_view status, std::string_view reason);

/// Of --allocation or the argument, if either is given.
Result<std::optional<std::string>> allocation_argument(const Arguments& arguments, const std::string& id);

Result<protocol::DeploymentStatusReply> query_status(Client& client, const std::string& id);
[[nodiscard]] bool is_in(const protocol::DeploymentStatusReply& status, protocol::DeploymentStatus wanted);
[[nodiscard]] bool has_ended(const protocol::DeploymentStatusReply& status);
/// One line for the deployment and one for each allocation.
[[nodiscard]] std::vector<std::string> describe_status(const protocol::DeploymentStatusReply& status);
/// "running on 12D3..., healthy, restarted once, moved once, changed 2 times, exit code 3, out of memory": moves are
/// runs on another machine than the one before, changes are of updates. While it is started "pending on 12D3..., pulling
/// image, 34 of 120 MiB". Of a provider that does not answer "healthy when last heard from, not heard from for 12 s,
/// lost at 2026-11-29 10:00:00 UTC at the latest"; of one that is lost, what it runs is restarting, and its lease ends
/// at that time.
[[nodiscard]] std::string describe(const protocol::AllocationState& allocation);
/// "pulling image, 34 of 120 MiB"; empty if it cannot be shown.
[[nodiscard]] std::string progress_text(const protocol::StartProgress& progress);
/// "moved once", "moved 2 times"
[[nodiscard]] std::string times_text(std::string_view what, std::uint64_t times);

/// The names of a deployment's allocations.
Result<std::vector<std::string>> allocations_of(Client& client, const std::string& id,
                                                std::optional<Duration> timeout = {});

/// An ensemble whose every field has an effect (jobs/ensemble/supported.hpp).
Result<jobs::Ensemble> read_supported_ensemble(Session& session, const Arguments& arguments);
/// Sends the files that its inputs name (client/upload.hpp).
Result<void> send_inputs(Session& session, Client& client, jobs::Ensemble& ensemble, const Arguments& arguments);
[[nodiscard]] Option ensemble_option();

/// Copies both streams of each allocation to those of this process. What is missing is reported on standard error.
Result<void> show_all_logs(Session& session, Client& client, const std::string& id,
                           const std::vector<std::string>& allocations);

/// Runs `print`; with --follow until Ctrl-C, which is how that ends.
Result<void> run_logs(Session& session, const Arguments& arguments, const Action& print);
/// --follow, --stdout and --stderr.
void add_stream_options(Command& command);

template <class Reply>
void print_reply_json(Session& session, const Reply& reply) {
  session.print_json(json::write_pretty(json::to_value(reply)));
}

/// A command about one deployment.
Command one_deployment(std::string name, std::string summary, std::string example, Action action);
Command explain_command();
Command logs_command();
Command results_command();

}  // namespace dms::cli
