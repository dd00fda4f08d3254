// nunet deployment results: the files and folders that tasks have left.
#include "capability/units.hpp"
#include "cli/client/download.hpp"
#include "cli/commands/deployment.hpp"

namespace dms::cli {
namespace {

constexpr Duration kDownloadReport = std::chrono::seconds(2);  ///< between two lines about a download

std::string size_text(std::uint64_t bytes) { return capability::ByteSize{bytes}.to_string(); }

std::unexpected<Error> no_allocation(const protocol::DeploymentInfoReply& info, const std::string& allocation) {
  std::vector<std::string> names;
  for (const auto& [name, usage] : info.allocations) names.push_back(name);
  for (const auto& [name, removed] : info.removed) names.push_back(name);
  return fail(Errc::failed, "the deployment has no allocation {}{}{}", allocation,
              names.empty() ? ", and nothing of it has a machine yet" : "; it has ", fmt::join(names, ", "));
}

Result<protocol::AllocationUsage> usage_of(Client& client, const std::string& id, const std::string& allocation) {
  TRY(const auto info, client.call(protocol::kDeploymentInfo, protocol::DeploymentId{id}));
  if (info.status.empty()) return fail(Errc::failed, "{}", info.error);
  if (const auto found = info.allocations.find(allocation); found != info.allocations.end()) return found->second;
  const auto removed = info.removed.find(allocation);
  if (removed == info.removed.end()) return no_allocation(info, allocation);
  if (removed->second.results.empty() && removed->second.absent.empty())
    return fail(Errc::failed, "an update has removed {}, and none of its results are here", allocation);
  protocol::AllocationUsage usage;
  usage.results = removed->second.results;
  usage.absent = removed->second.absent;
  usage.reason = "an update has removed it; what was here before is kept until the deployment is deleted";
  return usage;
}

/// Whether the work has ended and the daemon does not have all of its output and results yet.
Result<bool> is_being_fetched(Client& client, const std::string& id, const std::string& allocation) {
  TRY(const auto reply, client.call(protocol::kDeploymentManifest, protocol::DeploymentId{id}));
  const auto found = reply.manifest.allocations.find(allocation);
  if (found == reply.manifest.allocations.end()) return false;
  return protocol::is_final(found->second.status) && found->second.results_limit > 0 && !found->second.collected;
}

/// With its results once the daemon has them, or if none are on their way.
Result<protocol::AllocationUsage> wait_for_results(Session& session, Client& client, const std::string& id,
                                                   const std::string& allocation) {
  Duration reported{-kDownloadReport};
  for (Duration waited{0};; waited += kPoll) {
    TRY(auto usage, usage_of(client, id, allocation));
    if (!usage.results.empty()) return usage;
    TRY(const bool coming, is_being_fetched(client, id, allocation));
    if (!coming) return usage_of(client, id, allocation);  // they may have come in between
    if (waited >= kCollecting)
      return fail(Errc::failed,
                  "the results of {} are still being fetched from the provider; repeat the command in a minute, "
                  "`nunet deployment status {}` says what is in the way",
                  allocation, id);
    if (waited - reported >= kDownloadReport) {
      session.note(
          fmt::format("The results of {} are being fetched from the provider ({} s)", allocation, waited / 1s));
      reported = waited;
    }
    TRY_VOID(session.environment().pause(kPoll));
  }
}

/// The results of an allocation that have come back, and those that will not. Why not, and what is not whole, is in the
/// allocation's reason, which is printed.
Result<protocol::AllocationUsage> results_of(Session& session, Client& client, const std::string& id,
                                             const std::string& allocation) {
  TRY(auto usage, wait_for_results(session, client, id, allocation));
  const std::string& reason = usage.reason;
  if (usage.results.empty() && !reason.empty() && is_final(usage.status))
    return fail(Errc::failed, "{} ({}) has no results here: {}", allocation, to_string(usage.status), reason);
  if (usage.results.empty())
    return fail(Errc::failed,
                "{} ({}) has no results here; they come back when the task has ended, and only those "
                "that its ensemble declares",
                allocation, to_string(usage.status));
  if (!reason.empty()) session.note(fmt::format("{}: {}", allocation, reason));
  for (const auto& [name, why] : usage.absent)
    if (reason.find(why) == std::string::npos) session.note(fmt::format("result \"{}\": {}", name, why));
  return usage;
}

/// An error that names the declared results that did not come back.
Result<void> check_complete(const protocol::AllocationUsage& usage, const std::string& allocation) {
  if (usage.absent.empty()) return {};
  std::vector<std::string> names;
  for (const auto& [name, why] : usage.absent) names.push_back(fmt::format("\"{}\"", name));
  return fail(Errc::failed, "{} of the {} results that {} declares did not come back: {}", names.size(),
              names.size() + usage.results.size(), allocation, fmt::join(names, ", "));
}

Result<std::string> fetch(Session& session, Client& client, const std::string& id, const std::string& allocation,
                          const std::string& name, DownloadOptions options) {
  UnixTime reported = session.environment().now();
  options.on_progress = [&](std::uint64_t received, std::uint64_t size) {
    const UnixTime now = session.environment().now();
    if (now - reported < kDownloadReport) return;
    reported = now;
    session.note(fmt::format("Fetching {}: {} of {}", name, size_text(received), size_text(size)));
  };
  OutputStream stream(client, id, allocation, "result:" + name);
  auto done = download(session, stream, name, options);
  if (!done) return fail(done.error(), "fetching {}", name);
  if (done->was_there)
    session.note(fmt::format("{} is here already, with {}", done->path.string(),
                             done->folder ? "the same content" : "the right SHA-256"));
  return done->path.string();
}

Result<void> deployment_results(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(const auto allocation, allocation_argument(arguments, id));
  if (!allocation)
    return fail(Errc::usage, "the name of the allocation is missing; `nunet deployment status {}` shows the names", id);
  const DownloadOptions options{
      .folder = arguments.get("output", "."), .replace = arguments.has("force"), .on_progress = {}};
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(id, full_id(client, std::move(id)));
  TRY(const auto usage, results_of(session, client, id, *allocation));
  json::Object fetched;
  Result<void> refused;  // does not keep the others from coming
  for (const auto& name : usage.results) {
    const auto path = fetch(session, client, id, *allocation, name, options);
    if (!path && !path.error().is(dms::Errc::already_exists)) return std::unexpected(path.error());
    if (!path) {
      if (!refused) session.note(refused.error().to_string());
      refused = std::unexpected(path.error());
      continue;
    }
    if (!arguments.has("json")) session.print(*path);
    fetched[name] = json::Object{{"path", *path}};
  }
  if (arguments.has("json")) session.print_json(json::write_pretty(fetched));
  if (!refused) return refused;
  return check_complete(usage, *allocation);
}

}  // namespace

Command results_command() {
  auto results = one_deployment("results", "Fetch the files that a task has left", "", deployment_results);
  results.detail =
      "Fetches each result that the ensemble declares for the allocation into a folder and prints its path. An\n"
      "interrupted download continues where it was; what has arrived is compared with its SHA-256, and a file that is\n"
      "there with the right one is done, as is a folder with the same content. What else has that name is left as it "
      "is\n"
      "unless --force is given; the other results are fetched all the same. Which results did not come back, and why, "
      "is said on standard\n"
      "error, and the exit status is 1 then.";
  results.examples = {"nunet deployment results 4f2a... train", "nunet deployment results 4f2a... train -o run-7",
                      "nunet deployment results 4f2a... -a train --force --json"};
  results.positionals.push_back({"name", "name of the allocation", false, Known::allocations});
  results.options.push_back({.name = "allocation",
                             .letter = 'a',
                             .value = "name",
                             .help = "name of the allocation",
                             .known = Known::allocations});
  results.options.push_back({.name = "output", .letter = 'o', .value = "folder", .help = "where to put them [.]"});
  results.options.push_back({.name = "force", .help = "replace what is there, a folder with all that it has"});
  results.options.push_back(json_option());
  results.at_most_one.push_back({"allocation", "name"});
  return results;
}

}  // namespace dms::cli
