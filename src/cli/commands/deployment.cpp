// nunet deployment: the deployments of the local daemon. Output and results are in deployment_output.cpp.
#include "cli/commands/deployment.hpp"

#include <cctype>
#include <charconv>
#include <functional>
#include <map>

#include "base/text.hpp"
#include "cli/commands/allocation.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {

using protocol::DeploymentStatus;
using protocol::DeploymentStatusReply;

Result<std::string> deployment_id(const Arguments& arguments) {
  const bool as_option = arguments.has("id");
  auto id = as_option ? arguments.get("id") : arguments.get("deployment");
  if (!id) return fail(Errc::usage, "the id of the deployment is missing; `nunet deployment list` shows the ids");
  if (id->empty())
    return fail(Errc::usage, "{}: the id of the deployment is empty; `nunet deployment list` shows the ids",
                as_option ? "--id" : "<deployment>");
  return *id;
}

Result<std::optional<std::string>> allocation_argument(const Arguments& arguments, const std::string& id) {
  const bool as_option = arguments.has("allocation");
  auto name = as_option ? arguments.get("allocation") : arguments.get("name");
  if (name && name->empty())
    return fail(Errc::usage, "{}: the name of the allocation is empty; `nunet deployment status {}` shows the names",
                as_option ? "--allocation" : "<name>", id);
  return name;
}

Result<DeploymentStatusReply> query_status(Client& client, const std::string& id) {
  TRY(auto status, client.call(protocol::kDeploymentStatus, protocol::DeploymentId{id}));
  if (status.status.empty())
    return fail(Errc::failed, "{}", status.error.empty() ? "the reply of the daemon has no status" : status.error);
  return status;
}

bool DaemonPatience::bears(const Error& error) {
  if (!error.is(Errc::no_daemon)) return false;
  const UnixTime now = session_.environment().now();
  if (!since_) session_.note("The daemon does not answer; it is asked again for a minute.");
  if (!since_) since_ = now;
  return now < *since_ + kDaemonPatience;
}

bool is_in(const DeploymentStatusReply& status, DeploymentStatus wanted) {
  return parse_enum<DeploymentStatus>(status.status) == wanted;
}

bool has_ended(const DeploymentStatusReply& status) {
  const auto known = parse_enum<DeploymentStatus>(status.status);
  return known && is_final(*known);
}

std::string times_text(std::string_view what, std::uint64_t times) {
  return times == 1 ? fmt::format("{} once", what) : fmt::format("{} {} times", what, times);
}

namespace {

/// "34 of 120 MiB": in the unit of the whole.
std::string part_text(std::uint64_t done, std::uint64_t total) {
  struct Unit {
    std::string_view name;
    std::uint64_t size;
    int decimals;
  };
  constexpr Unit kUnits[] = {{"GiB", capability::kGiB, 1}, {"MiB", capability::kMiB, 0}, {"KiB", capability::kKiB, 0}};
  for (const Unit& unit : kUnits) {
    if (total < unit.size) continue;
    const auto in_unit = [&unit](std::uint64_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(unit.size);
    };
    return fmt::format("{:.{}f} of {:.{}f} {}", in_unit(done), unit.decimals, in_unit(total), unit.decimals, unit.name);
  }
  return fmt::format("{} of {} B", done, total);
}

std::string_view phase_text(protocol::StartPhase phase) {
  switch (phase) {
    case protocol::StartPhase::inputs: return "fetching inputs";
    case protocol::StartPhase::pulling: return "pulling image";
    case protocol::StartPhase::loading: return "loading image";
    case protocol::StartPhase::extracting: return "extracting image";
    case protocol::StartPhase::unknown: break;
  }
  return {};
}

}  // namespace

std::string progress_text(const protocol::StartProgress& progress) {
  if (!progress.is_sound()) return {};
  std::string text(phase_text(progress.phase));
  if (progress.total > 0) text += ", " + part_text(progress.done, progress.total);
  return text;
}

std::string describe(const protocol::AllocationState& allocation) {
  std::string line(to_string(allocation.status));
  if (!allocation.peer.empty()) line += fmt::format(" on {}", allocation.peer);
  if (allocation.progress && allocation.progress->is_sound()) line += ", " + progress_text(*allocation.progress);
  if (allocation.health != protocol::Health::unknown && !is_final(allocation.status))
    line += fmt::format(", {}{}", to_string(allocation.health),
                        allocation.unreachable_ns > 0 ? " when last heard from" : "");
  if (allocation.unreachable_ns > 0)
    line += fmt::format(", not heard from for {} s", Duration(allocation.unreachable_ns) / 1s);
  if (allocation.lost_at > 0 && allocation.status == protocol::AllocationStatus::restarting)
    line += fmt::format(", its lease ends at {} at the latest, and its run there with it",
                        format_time(UnixTime{allocation.lost_at}));
  else if (allocation.lost_at > 0)
    line += fmt::format(", lost at {} at the latest", format_time(UnixTime{allocation.lost_at}));
  if (!allocation.strategy.empty()) line += ", " + allocation.strategy;
  if (allocation.redundancy > 0 && allocation.standbys.empty())
    line += ", no standby yet";
  else if (allocation.redundancy > 0)
    line += fmt::format(", {} of {} standbys: {}", allocation.standbys.size(), allocation.redundancy,
                        fmt::join(allocation.standbys, ", "));
  const auto count = [&](std::string_view what, std::uint32_t times) {
    if (times > 0) line += ", " + times_text(what, times);
  };
  count("restarted", allocation.restarts - std::min(allocation.moves, allocation.restarts));
  count("moved", allocation.moves);
  count("changed", allocation.changes);
  const std::string exit_code = fmt::format("exit code {}", allocation.exit_code);
  if (allocation.exit_code > 0 && !allocation.reason.starts_with(exit_code)) line += ", " + exit_code;
  if (!allocation.reason.empty()) line += fmt::format(", {}", allocation.reason);
  if (allocation.pause_ns > 0)
    line += fmt::format(", starts again in {} s",
                        std::chrono::ceil<std::chrono::seconds>(Duration(allocation.pause_ns)).count());
  return line;
}

std::string with_reason(std::string_view status, std::string_view reason) {
  return reason.empty() ? std::string(status) : fmt::format("{}: {}", status, reason);
}

namespace {

/// A shorter reason may be told twice.
constexpr std::size_t kLongReason = 40;

/// From where on `text` is the end of `other`, too: at its start, or after one of its colons; npos if that is short.
std::size_t common_end(std::string_view text, std::string_view other) {
  for (std::size_t at = 0; text.size() - at >= kLongReason;) {
    if (other.ends_with(text.substr(at))) return at;
    const std::size_t colon = text.find(": ", at);
    if (colon == std::string_view::npos) break;
    at = colon + 2;
  }
  return std::string_view::npos;
}

/// Without the reasons at its start that are some of those of `error`; "; " joins them.
std::string without_told(std::string reason, std::string_view error) {
  constexpr std::string_view kNext = "; ";
  for (std::size_t end = reason.size(); end != std::string::npos && end >= kLongReason;
       end = reason.rfind(kNext, end - 1)) {
    const std::size_t at = error.find(std::string_view(reason).substr(0, end));
    if (at == std::string_view::npos || (at > 0 && !error.substr(0, at).ends_with(kNext))) continue;
    const std::string_view rest = error.substr(at + end);
    if (rest.empty() || rest.starts_with(kNext)) return reason.substr(std::min(end + kNext.size(), reason.size()));
  }
  return reason;
}

/// What the error of a deployment, or of one of its allocations, ends with, and the other one too, stays in one of them.
/// So does a reason that the error has in its midst, and one that several allocations have.
template <class Reply>
Reply tell_once(Reply reply) {
  for (auto& [name, allocation] : reply.allocations) {
    allocation.reason = without_told(std::move(allocation.reason), reply.error);
    const std::size_t at = common_end(reply.error, allocation.reason);
    if (at == std::string::npos) continue;
    std::string& shorter = at == 0 ? allocation.reason : reply.error;
    shorter.resize(at == 0 ? shorter.size() - reply.error.size() : at);
    if (shorter.ends_with(": ")) shorter.resize(shorter.size() - 2);
  }
  std::map<std::string, std::string> told;  // reason -> the allocation that has it
  for (auto& [name, allocation] : reply.allocations) {
    if (allocation.reason.size() < kLongReason) continue;
    const auto [first, is_new] = told.emplace(allocation.reason, name);
    if (!is_new) allocation.reason = "for the same reason as " + first->second;
  }
  return reply;
}

}  // namespace

std::vector<std::string> describe_status(const DeploymentStatusReply& reply) {
  const DeploymentStatusReply status = tell_once(reply);
  std::vector<std::string> lines{with_reason(status.status, status.reason)};
  for (const auto& [name, allocation] : status.allocations)
    lines.push_back(fmt::format("  {}: {}", name, describe(allocation)));
  if (!status.error.empty()) lines.push_back("  " + status.error);
  return lines;
}

Result<std::vector<std::string>> allocations_of(Client& client, const std::string& id,
                                                std::optional<Duration> timeout) {
  TRY(auto reply, client.call(protocol::kDeploymentManifest, protocol::DeploymentId{id}, timeout));
  if (!reply.error.empty()) return fail(Errc::failed, "{}", reply.error);
  std::vector<std::string> names;
  for (const auto& [name, ignored] : reply.manifest.allocations) names.push_back(name);
  return names;
}

namespace {

/// Calls a behaviour about one deployment, whose id becomes a full one.
template <class Reply>
Result<Reply> ask(Session& session, const Arguments& arguments,
                  const protocol::Behaviour<protocol::DeploymentId, Reply>& behaviour, std::string& id) {
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(id, full_id(client, std::move(id)));
  return client.call(behaviour, protocol::DeploymentId{id});
}

template <class Reply>
Result<void> acknowledge(Session& session, const Arguments& arguments, const Reply& reply, std::string_view done) {
  if (arguments.has("json")) print_reply_json(session, reply);
  if (!reply.ok) return fail(Errc::failed, "{}", reply.error.empty() ? "no reason was given" : reply.error);
  if (!arguments.has("json")) session.note(done);
  return {};
}

Result<std::uint64_t> count_of(std::string_view flag, const std::string& text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Errc::usage, "{}: expected a number, found \"{}\"", flag, text);
  return count;
}

Result<std::map<std::string, std::string>> metadata_filter(const Arguments& arguments) {
  std::map<std::string, std::string> filter;
  for (const auto& pair : arguments.all("filter")) {
    const auto at = pair.find('=');
    if (at == std::string::npos || at == 0)
      return fail(Errc::usage, "--filter: expected key=value, found \"{}\"", pair);
    filter[pair.substr(0, at)] = pair.substr(at + 1);
  }
  return filter;
}

Result<std::vector<std::string>> status_filter(const Arguments& arguments) {
  const auto same = [](std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b,
                              [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
  };
  std::vector<std::string> wanted;
  for (const auto& given : arguments.all("status")) {
    const auto names = enum_names(DeploymentStatus{});
    const auto* known = std::ranges::find_if(names, [&](const auto& entry) { return same(entry.second, given); });
    if (known == names.end())
      return fail(Errc::usage, "--status: expected {}, found \"{}\"", known_names<DeploymentStatus>(), given);
    wanted.emplace_back(known->second);
  }
  return wanted;
}

/// Of a full id, which is a SHA-256 in hex.
constexpr std::size_t kIdLength = 64;

}  // namespace

Result<std::vector<Listed>> list_all(Client& client, protocol::DeploymentListRequest request,
                                     std::optional<Duration> timeout) {
  std::vector<Listed> all;
  const auto take = [&](protocol::DeploymentListReply reply) {
    for (auto& [id, status] : reply.deployments) {
      Listed& entry = all.emplace_back(id, std::move(status), std::nullopt);
      if (const auto found = reply.details.find(id); found != reply.details.end()) entry.summary = found->second;
    }
  };
  TRY_VOID(list_pages(client, protocol::kDeploymentList, std::move(request), "deployments", take, timeout));
  const auto created = [](const Listed& entry) { return entry.summary ? entry.summary->created : 0; };
  std::ranges::stable_sort(all, std::greater(), created);
  return all;
}

Result<std::string> only_match(std::string id, const std::vector<std::string>& known, std::string_view what) {
  std::vector<std::string> found;
  for (const std::string& each : known) {
    if (each == id) return id;
    if (id.size() >= kLeastPrefix && each.starts_with(id)) found.push_back(each);
  }
  if (found.size() > 1)
    return fail(Errc::usage, "the id {} is that of several {}: {}; write more of it", id, what, fmt::join(found, ", "));
  return found.empty() ? id : found.front();
}

Result<std::string> full_id(Client& client, std::string id, std::optional<Duration> timeout) {
  if (id.size() < kLeastPrefix || id.size() >= kIdLength) return id;
  TRY(const auto all, list_all(client, {}, timeout));
  std::vector<std::string> known;
  for (const Listed& entry : all) known.push_back(entry.id);
  return only_match(std::move(id), known, "deployments");
}

namespace {

json::Object entry_json(const Listed& entry) {
  json::Object object{{"status", entry.status}};
  if (!entry.summary) return object;
  const json::Value summary = json::to_value(*entry.summary);
  for (const auto& member : summary.as_object()) object[member.key()] = member.value();
  return object;
}

/// Bytes of a reason in a table.
constexpr std::size_t kMaxListedReason = 120;

std::vector<std::string> listed_row(const Listed& entry) {
  const auto& summary = entry.summary;
  if (!summary) return {entry.id, "-", entry.status, "-", "-"};
  std::string reason = summary->reason;
  if (reason.size() > kMaxListedReason) reason = shortened(std::move(reason), kMaxListedReason) + "...";
  const auto known = parse_enum<DeploymentStatus>(entry.status);
  const bool may_run = summary->running > 0 || (known && !is_final(*known));
  return {entry.id, summary->name.empty() ? "-" : summary->name, with_reason(entry.status, reason),
          format_time(UnixTime{summary->created}),
          may_run ? fmt::format("{}, {} running", summary->allocations, summary->running)
                  : std::to_string(summary->allocations)};
}

}  // namespace

std::vector<std::vector<std::string>> listed_rows(std::span<const Listed> listed) {
  std::vector<std::vector<std::string>> rows{{"DEPLOYMENT", "NAME", "STATUS", "CREATED", "ALLOCATIONS"}};
  for (const Listed& entry : listed) rows.push_back(listed_row(entry));
  return rows;
}

json::Object listed_json(std::span<const Listed> listed) {
  json::Object list;
  for (const Listed& entry : listed) list[entry.id] = entry_json(entry);
  return list;
}

namespace {

Result<void> deployment_list(Session& session, const Arguments& arguments) {
  protocol::DeploymentListRequest request;
  TRY(request.metadata, metadata_filter(arguments));
  TRY(request.status, status_filter(arguments));
  TRY(const std::uint64_t offset, count_of("--offset", arguments.get("offset", "0")));
  TRY(const std::uint64_t limit, count_of("--limit", arguments.get("limit", "0")));
  if (arguments.has("limit") && limit == 0) return fail(Errc::usage, "--limit: expected a number above 0, found 0");
  const bool filtered = !request.metadata.empty() || !request.status.empty();
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(const auto all, list_all(client, std::move(request)));
  const std::size_t begin = std::min<std::uint64_t>(offset, all.size());
  const std::size_t end = limit == 0 ? all.size() : begin + std::min<std::uint64_t>(limit, all.size() - begin);
  const std::span<const Listed> shown = std::span(all).subspan(begin, end - begin);
  if (arguments.has("json")) {
    session.print_json(json::write_pretty(listed_json(shown)));
    return {};
  }
  if (all.empty()) {
    session.note(filtered ? "No deployment matches."
                          : "There are no deployments; start one with `nunet deploy -f ensemble.yaml`.");
    return {};
  }
  if (shown.empty()) {
    session.note(fmt::format("There are {} deployments; --offset {} leaves none.", all.size(), offset));
    return {};
  }
  session.print_table(listed_rows(shown));
  if (shown.size() < all.size())
    session.note(fmt::format("{} of {} deployments, from number {} on", shown.size(), all.size(), begin + 1));
  return {};
}

Result<void> deployment_status(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(id, full_id(client, std::move(id)));
  if (arguments.has("json")) {
    TRY(auto reply, client.call(protocol::kDeploymentStatus, protocol::DeploymentId{id}));
    print_reply_json(session, reply);
    return reply.status.empty() ? Result<void>(fail(Errc::failed, "{}", reply.error)) : Result<void>();
  }
  TRY(auto status, query_status(client, id));
  for (const auto& line : describe_status(status)) session.print(line);
  return {};
}

std::string seconds_text(std::int64_t nanos) { return fmt::format("{:.1f} s", static_cast<double>(nanos) / 1e9); }

/// What a provider does not count is unknown; what runs has used more than nothing.
std::string used_text(const protocol::AllocationUsage& usage) {
  if (usage.cpu_seconds <= 0 && usage.memory_bytes == 0) return "unknown";
  return fmt::format(
      "{:.2f} s of processor time, {} memory", usage.cpu_seconds,
      usage.memory_bytes > 0 ? capability::ByteSize{usage.memory_bytes}.to_string() : std::string("unknown"));
}

void print_usage(Session& session, const std::string& name, const protocol::AllocationUsage& usage) {
  const auto line = [&](std::string_view what, const std::string& value) {
    if (!value.empty()) session.print(fmt::format("    {:<12}{}", what, value));
  };
  session.print(fmt::format("  {}: {}", name, describe(usage)));
  line("node", usage.node);
  line("runs as", fmt::format("{} in {}", usage.type, usage.executor));
  line("reserved", usage.resources.to_string());
  line("used", used_text(usage));
  // Providers report it with each renewal of the lease, so not at once.
  const bool reported = is_final(usage.status) || usage.memory_bytes > 0 || usage.out_size + usage.err_size > 0;
  line("output", reported ? fmt::format("{}, {} of it on standard error",
                                        capability::ByteSize{usage.out_size + usage.err_size}.to_string(),
                                        capability::ByteSize{usage.err_size}.to_string())
                          : "not reported yet");
  if (usage.lease_ns > 0) line("lease", seconds_text(usage.lease_ns));
  line("incarnation", usage.incarnation);
  line("results", fmt::format("{}", fmt::join(usage.results, ", ")));
}

Result<void> deployment_info(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(auto info, ask(session, arguments, protocol::kDeploymentInfo, id));
  if (arguments.has("json")) print_reply_json(session, info);
  if (info.status.empty())
    return fail(Errc::failed, "{}", info.error.empty() ? "the reply of the daemon has no status" : info.error);
  if (arguments.has("json")) return {};
  info = tell_once(std::move(info));
  session.print(with_reason(with_reason(info.status, info.reason), info.error));
  if (info.created > 0) session.print(fmt::format("  created {}", format_time(UnixTime{info.created})));
  if (info.ended > 0) session.print(fmt::format("  ended   {}", format_time(UnixTime{info.ended})));
  for (const auto& [key, value] : info.metadata) session.print(fmt::format("  {}={}", key, value));
  for (const auto& [name, usage] : info.allocations) print_usage(session, name, usage);
  for (const auto& [name, removed] : info.removed) {
    session.print(fmt::format("  {}: removed by an update, its output is kept", name));
    if (!removed.results.empty())
      session.print(fmt::format("    {:<12}{}", "results", fmt::join(removed.results, ", ")));
  }
  return {};
}

Result<void> deployment_manifest(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(auto reply, ask(session, arguments, protocol::kDeploymentManifest, id));
  if (!reply.error.empty()) return fail(Errc::failed, "{}", reply.error);
  print_reply_json(session, reply);
  return {};
}

Result<void> deployment_update(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(auto ensemble, read_supported_ensemble(session, arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(id, full_id(client, std::move(id)));
  TRY_VOID(send_inputs(session, client, ensemble, arguments));
  const protocol::DeploymentUpdateRequest request{id, std::move(ensemble)};
  TRY(const auto reply, client.call(protocol::kDeploymentUpdate, request));
  const std::string done = reply.unchanged
                               ? fmt::format("Deployment {} has this ensemble already; nothing is changed.", id)
                               : fmt::format("Deployment {} is updated.", id);
  return acknowledge(session, arguments, reply, done);
}

Result<void> deployment_shutdown(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(const auto reply, ask(session, arguments, protocol::kDeploymentShutdown, id));
  return acknowledge(session, arguments, reply,
                     reply.status.empty()
                         ? fmt::format("Deployment {} is shut down.", id)
                         : fmt::format("Deployment {} has ended already: {}. `nunet deployment logs {}` prints its "
                                       "output, `nunet deployment delete {}` removes it.",
                                       id, reply.status, id, id));
}

Result<void> deployment_delete(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(const auto reply, ask(session, arguments, protocol::kDeploymentDelete, id));
  return acknowledge(session, arguments, reply, fmt::format("Deployment {} and its output are deleted.", id));
}

Result<void> deployment_prune(Session& session, const Arguments& arguments) {
  protocol::DeploymentPruneRequest request;
  TRY(request.metadata, metadata_filter(arguments));
  if (arguments.has("older-than")) {
    TRY(const Duration age, parse_duration("--older-than", arguments.get("older-than", ""), Duration(0)));
    request.older_than_ns = age.count();
  }
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(const auto reply, client.call(protocol::kDeploymentPrune, request));
  if (arguments.has("json")) print_reply_json(session, reply);
  if (!reply.error.empty()) return fail(Errc::failed, "{}", reply.error);
  if (arguments.has("json")) return {};
  for (const auto& id : reply.deployments) session.print(id);
  const auto count = reply.deployments.size();
  session.note(count == 1 ? "1 deployment and its output are deleted."
                          : fmt::format("{} deployments and their output are deleted.", count));
  return {};
}

Option filter_option() {
  return {.name = "filter",
          .letter = 'f',
          .value = "key=value",
          .help = "only deployments with this metadata",
          .repeated = true};
}

Command list_command() {
  std::vector<std::string> states;
  for (const auto& [value, name] : enum_names(DeploymentStatus{})) states.emplace_back(name);
  return {.name = "list",
          .summary = "List the deployments of the local daemon",
          .detail = "The newest are first. NAME is the value of `name` in the ensemble's metadata.",
          .examples = {"nunet deployment list --filter project=demo", "nunet deployment list --status Running,Failed",
                       "nunet deployment list --limit 20 --offset 40"},
          .options = {context_option(),
                      filter_option(),
                      {.name = "status",
                       .letter = 's',
                       .value = "status",
                       .help = "only deployments in one of these states",
                       .repeated = true,
                       .choices = std::move(states)},
                      {.name = "limit", .letter = 'n', .value = "count", .help = "at most so many [all]"},
                      {.name = "offset", .value = "count", .help = "leave out so many of the newest [0]"},
                      json_option()},
          .action = deployment_list};
}

Command update_command() {
  auto update = one_deployment("update", "Change a deployment to another ensemble",
                               "nunet deployment update 4f2a... -f ensemble.yaml", deployment_update);
  update.detail =
      "Allocations and nodes that are the same in both ensembles are not touched. What is new is placed and started,\n"
      "what is gone is stopped and released, what differs is replaced.\n"
      "If no machine takes what would have to move or asks for more than before, nothing is changed.";
  update.options.push_back(ensemble_option());
  update.options.push_back(any_file_option());
  update.options.push_back(json_option());
  return update;
}

Command prune_command() {
  return {.name = "prune",
          .summary = "Delete deployments that have ended, with their output and results",
          .examples = {"nunet deployment prune --older-than 7d", "nunet deployment prune --filter project=demo"},
          .options = {context_option(),
                      filter_option(),
                      {.name = "older-than", .value = "time", .help = "only those that ended at least this long ago"},
                      json_option()},
          .action = deployment_prune};
}

Command with_json(Command command) {
  command.options.push_back(json_option());
  return command;
}

}  // namespace

std::vector<std::string> list_deployed(Session& session, Known kind, const Arguments& arguments) {
  constexpr Duration kPatience = std::chrono::seconds(2);
  std::vector<std::string> found;
  if (!session.has_passphrase()) return found;
  auto client = Client::open(session, context_name(arguments));
  if (!client) return found;
  if (kind == Known::deployments) {
    const auto all = list_all(*client, {}, kPatience);
    if (all)
      for (const Listed& entry : *all) found.push_back(entry.id);
  } else if (kind == Known::held) {
    const auto all = list_held(*client, kPatience);
    if (all)
      for (const protocol::AllocationInfo& info : *all) found.push_back(name_of(info));
  } else if (const auto id = deployment_id(arguments)) {
    if (const auto full = full_id(*client, *id, kPatience))
      found = allocations_of(*client, *full, kPatience).value_or(std::vector<std::string>());
  }
  // They go to the user's shell.
  std::erase_if(found, [](const std::string& word) {
    return std::ranges::any_of(
        word, [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.'; });
  });
  return found;
}

Command one_deployment(std::string name, std::string summary, std::string example, Action action) {
  return {
      .name = std::move(name),
      .summary = std::move(summary),
      .examples = {std::move(example)},
      .options =
          {context_option(),
           {.name = "id", .letter = 'i', .value = "id", .help = "id of the deployment", .known = Known::deployments}},
      .positionals = {{"deployment", "id of the deployment, or its first 4 characters or more", false,
                       Known::deployments}},
      .at_most_one = {{"id", "deployment"}},
      .action = std::move(action)};
}

Command deployment_commands() {
  auto remove = one_deployment("delete", "Delete a deployment that has ended, with its output and results",
                               "nunet deployment delete 4f2a...", deployment_delete);
  auto shutdown =
      one_deployment("shutdown", "Shut a deployment down", "nunet deployment shutdown 4f2a...", deployment_shutdown);
  shutdown.detail =
      "Ends what runs, fetches the rest of its output and releases it; the deployment is ShuttingDown meanwhile. If "
      "that\n"
      "takes longer than 40 s, it ends with 1, and the daemon continues.";
  auto cancel = one_deployment("cancel", "Cancel a deployment that has not ended", "nunet deployment cancel 4f2a...",
                               deployment_shutdown);
  cancel.detail =
      "The same as `nunet deployment shutdown`. Of a deployment that is still being deployed, bids and reservations "
      "are\n"
      "given back, and nothing runs; what has been started by then is ended, and its output is kept.";
  return {.name = "deployment",
          .summary = "Show, change, shut down and delete deployments",
          .children = {
              list_command(),
              with_json(one_deployment("status", "Show the status of a deployment", "nunet deployment status 4f2a...",
                                       deployment_status)),
              with_json(one_deployment("info", "Show a deployment with what its allocations use",
                                       "nunet deployment info 4f2a... --json", deployment_info)),
              explain_command(), logs_command(), results_command(),
              with_json(one_deployment("manifest", "Print as JSON which machine runs which allocation of a deployment",
                                       "nunet deployment manifest 4f2a...", deployment_manifest)),
              update_command(), with_json(std::move(shutdown)), with_json(std::move(cancel)),
              with_json(std::move(remove)), prune_command()}};
}

}  // namespace dms::cli
