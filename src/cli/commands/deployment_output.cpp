// nunet deployment logs and results: what allocations have written, from the daemon.
#include <charconv>

#include "cli/client/output.hpp"
#include "cli/commands/deployment.hpp"

namespace dms::cli {
namespace {

struct Selection {
  bool out = true;
  bool error = true;
  bool follow = false;
  bool previous = false;  ///< of the run before
  std::optional<std::uint64_t> tail;
};

/// `why` another run is printed from here on, if one is.
void print_piece(Session& session, const OutputStream& stream, const OutputStream::Piece& piece, std::string_view why) {
  if (piece.restarted)
    session.note(fmt::format("({} starts anew: {}; `nunet deployment logs {} {} --previous` prints the run before)",
                             stream.title(), why, stream.deployment(), stream.allocation()));
  note_missing(session, stream, piece);
  print_text(session, stream, as_text(piece.data));
}

/// What the stream has had at the first request, and nothing that is written meanwhile.
Result<void> copy(Session& session, OutputStream& stream, std::optional<std::uint64_t> end) {
  Duration waited{0};
  while (!end || stream.position() < *end) {
    TRY(auto piece, stream.next());
    if (!end || piece.restarted) end = stream.total();
    if (const auto position = stream.position(); position > *end)
      piece.data.resize(piece.data.size() - std::min<std::uint64_t>(piece.data.size(), position - *end));
    print_piece(session, stream, piece, "the work was started again");
    if (!session.can_print()) return {};
    if (!piece.data.empty() || stream.position() >= *end) {
      waited = {};
      continue;
    }
    if (waited >= kCollecting) {
      session.note(fmt::format("(the last {} bytes of {} are missing: they have not come back from the provider)",
                               *end - stream.position(), stream.title()));
      return {};
    }
    TRY_VOID(session.environment().pause(kPoll));
    waited += kPoll;
  }
  if (!stream.incomplete().empty())
    session.note(fmt::format("(the end of {} may be missing: {})", stream.title(), stream.incomplete()));
  return {};
}

std::vector<OutputStream> streams_of(Client& client, const std::string& id, const std::string& allocation,
                                     const Selection& selection) {
  const std::string before = selection.previous ? "previous:" : "";
  std::vector<OutputStream> streams;
  if (selection.out) streams.emplace_back(client, id, allocation, before + "stdout");
  if (selection.error) streams.emplace_back(client, id, allocation, before + "stderr");
  return streams;
}

/// Copies one allocation's streams.
Result<void> copy_each(Session& session, std::vector<OutputStream> streams, const Selection& selection) {
  for (OutputStream& stream : streams) {
    std::optional<std::uint64_t> end;
    if (selection.tail) {
      TRY(end, stream.seek_lines(*selection.tail));
    }
    TRY_VOID(copy(session, stream, end));
  }
  return {};
}

Result<void> copy_all(Session& session, Client& client, const std::string& id,
                      const std::vector<std::string>& allocations, const Selection& selection) {
  std::optional<Error> first;
  for (const auto& allocation : allocations) {
    if (allocations.size() > 1) session.note(fmt::format("==> {} <==", allocation));
    const auto done = copy_each(session, streams_of(client, id, allocation, selection), selection);
    if (done) continue;
    if (done.error().is(dms::Errc::cancelled)) return done;
    if (!first) first = done.error();
    if (allocations.size() > 1) session.note(done.error().to_string());
  }
  if (first) return std::unexpected(*first);
  return {};
}

/// Prints both streams of several allocations as they grow. One that cannot be read does not stop the others. A daemon
/// that is started again is waited for, and reading goes on where it was.
class Follower {
 public:
  /// `status`: as far as it is known.
  Follower(Session& session, Client& client, std::string id, protocol::DeploymentStatusReply status)
      : session_(session), client_(client), id_(std::move(id)), patience_(session), status_(std::move(status)) {}

  Result<void> run(const std::vector<std::string>& allocations, const Selection& selection) {
    named_ = allocations.size() > 1;
    for (const auto& allocation : allocations)
      for (OutputStream& stream : streams_of(client_, id_, allocation, selection))
        followed_.push_back(
            {.stream = std::move(stream), .tail = selection.tail, .counted = status_.allocations[allocation]});
    while (session_.can_print()) {
      const Result<Round> round = read_round();
      if (round)
        patience_.end();
      else if (!patience_.bears(round.error()))
        return std::unexpected(round.error());
      if (round && *round == Round::over) break;
      if (round && *round == Round::progress) continue;
      TRY_VOID(session_.environment().pause(kPoll));
    }
    if (given_up_) return std::unexpected(*given_up_);
    return {};
  }

 private:
  enum class Round { progress, idle, over };
  struct Followed {
    OutputStream stream;
    std::optional<std::uint64_t> tail;  ///< lines to begin with, until they have been found
    int missed = 0;                     ///< failures in succession since the work has ended
    int resting = 0;                    ///< rounds without a request
    bool away = false;                  ///< the last request failed, and the work has not ended
    bool over = false;                  ///< it cannot be read, for good
    std::string noted;                  ///< since it was last read
    protocol::AllocationState counted;  ///< as the run began that is read
  };

  Result<Round> read_round() {
    bool progress = false;
    for (Followed& each : followed_) {
      if (each.over || each.resting-- > 0) continue;
      const auto read = read_page(each);
      if (!read) TRY_VOID(bear(each, read.error()));
      each.resting = !read && named_ ? kRest : 0;
      if (!read) continue;
      progress |= *read;
      each.missed = 0;
      each.away = false;
      each.noted.clear();
    }
    if (progress) return Round::progress;
    if (!everything_ended()) return Round::idle;
    TRY(const bool over, is_over());
    return over ? Round::over : Round::idle;
  }

  /// True if there was something.
  Result<bool> read_page(Followed& each) {
    OutputStream& stream = each.stream;
    if (each.tail) {
      TRY([[maybe_unused]] const auto end, stream.seek_lines(*each.tail));
      each.tail.reset();
    }
    TRY(const auto piece, stream.next());
    if (piece.data.empty() && piece.missing == 0 && !piece.restarted) return false;
    if (named_ && shown_ != stream.allocation()) {
      shown_ = stream.allocation();
      session_.note(fmt::format("==> {} <==", shown_));
    }
    std::string_view why;
    if (piece.restarted) {
      TRY(why, why_anew(each));
    }
    print_piece(session_, stream, piece, why);
    return true;
  }

  /// What has happened to the work since the run before was first read.
  Result<std::string_view> why_anew(Followed& each) {
    const auto status = query_status(client_, id_);
    if (!status && status.error().is(dms::Errc::cancelled)) return std::unexpected(status.error());
    const auto known = status.value_or(protocol::DeploymentStatusReply());
    const auto found = known.allocations.find(each.stream.allocation());
    if (found == known.allocations.end()) return "the work was started again";
    const auto before = std::exchange(each.counted, found->second);
    if (each.counted.changes > before.changes) return "an update has changed the work";
    if (each.counted.moves > before.moves) return "the work has moved to another machine";
    return "the work was restarted";
  }

  /// Work that is being placed or started anew has no output at this moment, and that of a provider whose daemon is away
  /// cannot be read; the work goes on. An error ends the round: the user interrupts, or the daemon does not answer.
  Result<void> bear(Followed& each, const Error& error) {
    if (ends_round(error)) return std::unexpected(error);
    TRY(const bool goes_on, may_go_on(each, error));
    if (goes_on) {
      each.missed = 0;
      if (!std::exchange(each.away, true))
        note(each, fmt::format("({}; the work has not ended, following goes on)", error.to_string()));
      return {};
    }
    // What failed may have been asked for before the work ended. Afterwards all of its output is at the orchestrator.
    if (each.missed++ == 0 || (error.is(Errc::refused) && each.missed < kMaxUnanswered)) return {};
    each.over = true;
    if (named_) note(each, error.to_string());
    if (!given_up_) given_up_ = error;
    return {};
  }

  /// Once for both streams of an allocation.
  void note(Followed& each, const std::string& text) {
    const bool known = std::ranges::any_of(followed_, [&](const Followed& other) {
      return other.noted == text && other.stream.allocation() == each.stream.allocation();
    });
    each.noted = text;
    if (!known) session_.note(text);
  }

  Result<bool> may_go_on(const Followed& each, const Error& error) {
    if (!error.is(Errc::failed) && !error.is(Errc::refused)) return false;
    const auto status = query_status(client_, id_);
    if (!status && ends_round(status.error())) return std::unexpected(status.error());
    return status && !has_ended(*status) && !is_final(*status, each);
  }

  [[nodiscard]] static bool ends_round(const Error& error) {
    return error.is(dms::Errc::cancelled) || error.is(Errc::no_daemon);
  }

  [[nodiscard]] static bool is_final(const protocol::DeploymentStatusReply& status, const Followed& each) {
    const auto found = status.allocations.find(each.stream.allocation());
    return found == status.allocations.end() || protocol::is_final(found->second.status);
  }

  [[nodiscard]] bool everything_ended() const {
    return std::ranges::all_of(followed_, [](const Followed& each) { return each.over || each.stream.ended(); });
  }

  /// The end of a run is not the end if the work is restarted.
  Result<bool> is_over() {
    if (std::ranges::all_of(followed_, &Followed::over)) return true;
    TRY(const auto status, query_status(client_, id_));
    return has_ended(status) ||
           std::ranges::all_of(followed_, [&](const Followed& each) { return each.over || is_final(status, each); });
  }

  static constexpr int kRest = 10;  ///< for one that failed, so that its timeouts do not delay the others

  Session& session_;
  Client& client_;
  std::string id_;
  DaemonPatience patience_;
  protocol::DeploymentStatusReply status_;  ///< before the first page
  std::vector<Followed> followed_;
  std::optional<Error> given_up_;  ///< the first
  bool named_ = false;
  std::string shown_;
};

/// Empty if there was no run before. One that failed without an exit code has perhaps not begun, and is not counted.
std::string earlier_runs(const std::string& name, const protocol::AllocationState& allocation) {
  if (allocation.status == protocol::AllocationStatus::failed && allocation.exit_code < 0)
    return fmt::format("({} did not run to its end; if it has run before, --previous prints that)", name);
  if (allocation.restarts == 0) return {};
  return fmt::format("({} has run {} before; this is its last run, --previous prints the one before if it is kept)",
                     name, allocation.restarts == 1 ? "once" : fmt::format("{} times", allocation.restarts));
}

/// Only the last run is printed; for the others there is a note. The status, if there is one.
Result<protocol::DeploymentStatusReply> note_earlier_runs(Session& session, Client& client, const std::string& id,
                                                          const std::vector<std::string>& allocations) {
  auto status = query_status(client, id);
  if (!status && !status.error().is(dms::Errc::cancelled)) return protocol::DeploymentStatusReply();
  if (!status) return status;
  for (const auto& [name, allocation] : status->allocations) {
    const std::string note = earlier_runs(name, allocation);
    if (!note.empty() && std::ranges::find(allocations, name) != allocations.end()) session.note(note);
  }
  return status;
}

Result<std::uint64_t> line_count(const std::string& text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Errc::usage, "--tail: expected a number of lines, found \"{}\"", text);
  return count;
}

Result<void> print_logs(Session& session, const Arguments& arguments) {
  TRY(auto id, deployment_id(arguments));
  TRY(auto one, allocation_argument(arguments, id));
  Selection selection{.out = !arguments.has("stderr"),
                      .error = !arguments.has("stdout"),
                      .follow = arguments.has("follow"),
                      .previous = arguments.has("previous"),
                      .tail = {}};
  if (const auto lines = arguments.get("tail")) {
    TRY(selection.tail, line_count(*lines));
  }
  TRY(auto client, Client::open(session, context_name(arguments)));
  TRY(id, full_id(client, std::move(id)));
  std::vector<std::string> allocations;
  if (one) {
    allocations.push_back(*std::move(one));
  } else {
    TRY(allocations, allocations_of(client, id));
  }
  protocol::DeploymentStatusReply status;
  if (!selection.previous) {
    TRY(status, note_earlier_runs(session, client, id, allocations));
  }
  if (selection.follow) return Follower(session, client, id, std::move(status)).run(allocations, selection);
  return copy_all(session, client, id, allocations, selection);
}

Result<void> deployment_logs(Session& session, const Arguments& arguments) {
  return run_logs(session, arguments, print_logs);
}

}  // namespace

Result<void> run_logs(Session& session, const Arguments& arguments, const Action& print) {
  const bool follows = arguments.has("follow");
  if (follows) session.environment().catch_interrupts();
  auto done = print(session, arguments);
  if (!done && follows && done.error().is(dms::Errc::cancelled)) return {};
  return done;
}

void add_stream_options(Command& command) {
  command.options.push_back(
      {.name = "follow", .letter = 'f', .help = "print what is written until the work has ended"});
  command.options.push_back({.name = "stdout", .help = "only the standard output"});
  command.options.push_back({.name = "stderr", .help = "only the standard error"});
  command.at_most_one.push_back({"stdout", "stderr"});
}

Command logs_command() {
  auto logs = one_deployment("logs", "Print the output of a deployment's allocations", "nunet deployment logs 4f2a...",
                             deployment_logs);
  logs.detail =
      "Copies the standard output and the standard error of each allocation, byte for byte. Providers keep the newest\n"
      "output; how many bytes are missing is said on standard error. --follow goes on until the work has ended, also "
      "while\n"
      "its provider does not answer, or until Ctrl-C. A daemon that is being started again is waited for, for a "
      "minute.";
  logs.examples = {
      "nunet deployment logs 4f2a... web --follow", "nunet deployment logs 4f2a... web --tail 100 --stderr",
      "nunet deployment logs 4f2a... web --previous", "nunet deployment logs 4f2a... -a train > train.log"};
  logs.positionals.push_back({"name", "name of the allocation [all]", false, Known::allocations});
  logs.options.push_back({.name = "allocation",
                          .letter = 'a',
                          .value = "name",
                          .help = "only this allocation [all]",
                          .known = Known::allocations});
  add_stream_options(logs);
  logs.options.push_back(
      {.name = "tail", .letter = 'n', .value = "lines", .help = "only the last lines of each stream"});
  logs.options.push_back(
      {.name = "previous", .letter = 'p', .help = "what the run before has written, as far as it could be fetched"});
  logs.at_most_one.push_back({"allocation", "name"});
  logs.at_most_one.push_back({"follow", "previous"});
  return logs;
}

Result<void> show_all_logs(Session& session, Client& client, const std::string& id,
                           const std::vector<std::string>& allocations) {
  return copy_all(session, client, id, allocations, {});
}

}  // namespace dms::cli
