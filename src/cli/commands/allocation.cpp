// nunet allocation: what runs on this machine, for its owner.
#include "cli/commands/allocation.hpp"

#include "base/text.hpp"
#include "cli/client/output.hpp"
#include "cli/commands/deployment.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {

using protocol::AllocationInfo;

Result<std::vector<AllocationInfo>> list_held(Client& client, std::optional<Duration> timeout) {
  std::vector<AllocationInfo> all;
  const auto take = [&](protocol::AllocationsReply reply) {
    for (AllocationInfo& info : reply.allocations) all.push_back(std::move(info));
  };
  TRY_VOID(
      list_pages(client, protocol::kAllocationsList, protocol::AllocationsRequest(), "allocations", take, timeout));
  return all;
}

const std::string& name_of(const AllocationInfo& held) { return held.name.empty() ? held.id : held.name; }

std::vector<std::vector<std::string>> held_rows(const std::vector<AllocationInfo>& held, UnixTime now) {
  std::vector<std::vector<std::string>> rows{
      {"ALLOCATION", "STATUS", "ORCHESTRATOR", "RESOURCES", "SINCE", "LEASE UNTIL"}};
  for (const AllocationInfo& info : held) {
    std::string status = fmt::format("{}{}", to_string(info.status), info.being_ended ? ", being ended" : "");
    if (info.progress && info.progress->is_sound()) status += ", " + progress_text(*info.progress);
    const std::uint64_t since = info.started_at > 0 ? info.started_at : info.created_at;
    rows.push_back({name_of(info), with_reason(status, info.reason), info.orchestrator, info.resources.to_string(),
                    since > 0 ? format_time(UnixTime{since}) : "-",
                    info.lease_ns > 0 ? format_time(now + Duration(info.lease_ns)) : "-"});
  }
  return rows;
}

json::Object held_json(const std::vector<AllocationInfo>& held) {
  json::Object list;
  for (const AllocationInfo& info : held) {
    json::Object entry{{"deployment", jobs::ensemble_id(info.id)}, {"allocation", jobs::allocation_name(info.id)}};
    const json::Value told = json::to_value(info);
    for (const auto& member : told.as_object()) entry[member.key()] = member.value();
    list[name_of(info)] = std::move(entry);
  }
  return list;
}

namespace {

Result<void> allocation_list(Session& session, const Arguments& arguments) {
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(const auto held, list_held(client));
  if (arguments.has("json")) {
    session.print_json(json::write_pretty(held_json(held)));
    return {};
  }
  if (held.empty())
    session.note("Nothing runs on this machine.");
  else
    session.print_table(held_rows(held, session.environment().now()));
  return {};
}

/// The argument, as it was given.
Result<std::string> held_id(const Arguments& arguments) {
  const std::string id = arguments.get("allocation", "");
  if (!id.empty()) return id;
  return fail(Errc::usage, "<allocation>: the id is empty; `nunet allocation list` shows the ids");
}

/// The allocation with this name, or the only one whose name begins so.
Result<AllocationInfo> find_held(Client& client, const std::string& id) {
  TRY(auto all, list_held(client));
  std::vector<std::string> names;
  for (const AllocationInfo& info : all) names.push_back(name_of(info));
  TRY(const std::string name, only_match(id, names, "allocations"));
  const auto found = std::ranges::find(all, name, name_of);
  if (found != all.end()) return std::move(*found);
  return fail(Errc::failed, "no allocation on this machine has the id {}; `nunet allocation list` shows the ids", id);
}

// ------------------------------------------------------------------------------------------------------------ output

/// A stream of an allocation and how it is printed. Its text is a stranger's: it is escaped, but line feeds and tabs,
/// unless `raw`.
class Shown {
 public:
  Shown(Session& session, OutputStream stream, bool raw) : session_(session), stream_(std::move(stream)), raw_(raw) {}

  [[nodiscard]] const OutputStream& stream() const { return stream_; }

  /// Reads and prints a page. False if there was nothing new.
  Result<bool> print_next() {
    TRY(const OutputStream::Piece piece, stream_.next());
    if (piece.restarted) end_text();
    if (piece.restarted) session_.note(fmt::format("({} starts anew: the work was started again)", stream_.title()));
    note_missing(session_, stream_, piece);
    print(as_text(piece.data));
    return !piece.data.empty();
  }

  /// All that there was at the first request.
  Result<void> print_all() {
    std::optional<std::uint64_t> end;
    do {
      const std::uint64_t before = stream_.position();
      TRY(const bool more, print_next());
      if (!more) break;
      if (!end || stream_.position() < before) end = stream_.total();
    } while (stream_.position() < *end && session_.can_print());
    end_text();
    return {};
  }

  /// What was held back of a character that was not there in full.
  void end_text() { write(printable(std::exchange(rest_, {}))); }

 private:
  void print(std::string_view bytes) {
    if (raw_) return write(bytes);
    const std::string text = std::exchange(rest_, {}) + std::string(bytes);
    const std::size_t whole = text.size() - cut_character(text);
    rest_ = text.substr(whole);
    std::string shown;
    for (std::size_t from = 0; from < whole;) {
      const std::size_t to = std::min(text.find_first_of("\n\t", from), whole);
      shown += printable(std::string_view(text).substr(from, to - from));
      if (to < whole) shown += text[to];
      from = to + 1;
    }
    write(shown);
  }

  /// The bytes at the end of which a character may become of the next page.
  static std::size_t cut_character(std::string_view text) {
    for (std::size_t length = 1; length <= std::min<std::size_t>(3, text.size()); ++length) {
      const auto byte = static_cast<unsigned char>(text[text.size() - length]);
      if ((byte & 0xc0) == 0x80) continue;
      return byte >= 0xc0 && utf8_length(text.substr(text.size() - length)) == 0 ? length : 0;
    }
    return 0;
  }

  void write(std::string_view text) { print_text(session_, stream_, text); }

  Session& session_;
  OutputStream stream_;
  bool raw_ = false;
  std::string rest_;
};

/// Whether no more output comes: it has ended, or its orchestrator has had it removed.
Result<bool> is_over(Session& session, Client& client, const std::string& name) {
  TRY(const auto all, list_held(client));
  const auto found = std::ranges::find(all, name, name_of);
  if (found != all.end()) return protocol::is_final(found->status);
  session.note(fmt::format("({} is no longer on this machine; the end of its output may be missing)", name));
  return true;
}

/// As they grow, until the work has ended. A daemon that is started again is waited for.
Result<void> follow(Session& session, Client& client, std::vector<Shown>& streams, const std::string& name) {
  DaemonPatience patience(session);
  while (session.can_print()) {
    std::optional<Error> failed;
    bool progress = false;
    for (Shown& each : streams) {
      const Result<bool> printed = each.print_next();
      if (printed)
        progress |= *printed;
      else
        failed = printed.error();
    }
    if (!failed) patience.end();
    const bool ended = std::ranges::all_of(streams, [](const Shown& each) { return each.stream().ended(); });
    if (failed ? failed->is(Errc::failed) : ended && !progress) {
      const Result<bool> over = is_over(session, client, name);
      if (over && *over) break;
      if (!over) failed = over.error();
    }
    if (failed && !patience.bears(*failed)) return std::unexpected(*failed);
    if (!progress) TRY_VOID(session.environment().pause(kPoll));
  }
  for (Shown& each : streams) each.end_text();
  return {};
}

Result<void> print_held_logs(Session& session, const Arguments& arguments) {
  TRY(const std::string id, held_id(arguments));
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(const AllocationInfo held, find_held(client, id));
  const std::string& name = name_of(held);
  std::vector<Shown> streams;
  for (const bool error : {false, true}) {
    if (arguments.has(error ? "stdout" : "stderr")) continue;
    OutputStream stream = OutputStream::of_held(client, name, error ? "stderr" : "stdout");
    streams.emplace_back(session, std::move(stream), arguments.has("raw"));
  }
  if (arguments.has("follow")) return follow(session, client, streams, name);
  for (Shown& each : streams) TRY_VOID(each.print_all());
  return {};
}

Result<void> allocation_logs(Session& session, const Arguments& arguments) {
  return run_logs(session, arguments, print_held_logs);
}

// --------------------------------------------------------------------------------------------------------------- end

Result<void> allocation_stop(Session& session, const Arguments& arguments) {
  TRY(const std::string id, held_id(arguments));
  protocol::OwnerStopRequest request;
  Duration grace(0);
  if (const auto text = arguments.get("grace")) {
    TRY(grace, parse_duration("--grace", *text, Duration(0)));
    if (grace > protocol::kLongestOwnerGrace)
      return fail(Errc::usage, "--grace: expected at most {} s, found {}", protocol::kLongestOwnerGrace / 1s, *text);
    request.grace_ns = grace.count();
  }
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(const AllocationInfo held, find_held(client, id));
  request.id = name_of(held);
  if (!arguments.has("yes") && !protocol::is_final(held.status))
    TRY_VOID(session.confirm(
        fmt::format("{} runs here for {}, who is told that you have ended it. End it?", request.id, held.orchestrator),
        "Use --yes to confirm."));
  const Duration patience = protocol::kAllocationsStop.timeout + grace;
  TRY(const auto reply, client.call(protocol::kAllocationsStop, request, patience));
  if (arguments.has("json")) print_reply_json(session, reply);
  if (!reply.ok) return fail(Errc::failed, "{}", reply.error.empty() ? "no reason was given" : reply.error);
  if (!arguments.has("json"))
    session.note(reply.before
                     ? fmt::format("{} has ended already: {}. `nunet allocation logs {}` prints its output while it "
                                   "is kept.",
                                   request.id, reply.status, request.id)
                     : fmt::format("{} is ended.", request.id));
  return {};
}

Command one_held(std::string name, std::string summary, Action action) {
  return {.name = std::move(name),
          .summary = std::move(summary),
          .options = {context_option()},
          .positionals = {{"allocation", "id of the allocation, or its first 4 characters or more", true, Known::held}},
          .action = std::move(action)};
}

Command held_logs_command() {
  auto logs = one_held("logs", "Print the output of what runs on this machine", allocation_logs);
  logs.detail =
      "What a terminal could take for a command is escaped, since the work may be a stranger's; --raw copies the\n"
      "output byte for byte. For the owner of the machine alone: a root of its daemon's capability context.";
  logs.examples = {"nunet allocation logs 4f2a... --follow", "nunet allocation logs 4f2a... --stdout --raw > output"};
  add_stream_options(logs);
  logs.options.push_back({.name = "raw", .help = "byte for byte"});
  return logs;
}

Command held_stop_command() {
  auto stop = one_held("stop", "End what runs on this machine", allocation_stop);
  stop.detail =
      "The work gets SIGTERM and, after the grace, SIGKILL. Its orchestrator is told that the owner of the machine "
      "has\n"
      "ended it, seeks another machine if the ensemble allows that, and does not ask this one again for that "
      "deployment.\n"
      "For the owner of the machine alone: a root of its daemon's capability context.";
  stop.examples = {"nunet allocation stop 4f2a...", "nunet allocation stop 4f2a... --yes --grace 1m"};
  stop.options.push_back({.name = "grace", .value = "time", .help = "how long the work has to end by itself [10s]"});
  stop.options.push_back({.name = "yes", .letter = 'y', .help = "without a question"});
  stop.options.push_back(json_option());
  return stop;
}

}  // namespace

Command allocation_commands() {
  return {.name = "allocation",
          .summary = "Show, read and end what runs on this machine",
          .children = {
              {.name = "list",
               .summary = "List what runs on this machine",
               .detail = "An id is that of the deployment, an underscore and the name of the allocation there. What "
                         "has\n"
                         "ended is kept until its orchestrator has its output.",
               .examples = {"nunet allocation list --json"},
               .options = {context_option(), json_option()},
               .action = allocation_list},
              held_logs_command(),
              held_stop_command()}};
}

}  // namespace dms::cli
