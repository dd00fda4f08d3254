#include "cli/cli.hpp"

#include "base/text.hpp"
#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

Command root_command() {
  return {
      .name = "nunet",
      .summary = "NuNet's device management service: the daemon and its command line client",
      .detail =
          "First steps: `nunet init`, `nunet run --dev`, `nunet deploy -f ensemble.yaml --wait`.\n\n"
          "Exit codes: 0 success, 1 failure, 2 wrong command line, 3 refused or no answer in time,\n"
          "4 shut down before its work had ended, 130 interrupted.\n"
          "Passphrases are read from DMS_PASSPHRASE or from the terminal. Settings are read from a configuration "
          "file;\n"
          "environment variables (DMS_REST_PORT for rest.port) override it, and these flags override both.",
      .options = {{.name = "config", .value = "file", .help = "configuration file"},
                  {.name = "rest-addr", .value = "ip", .help = "address of the daemon's REST API [127.0.0.1]"},
                  {.name = "rest-port", .value = "port", .help = "port of the daemon's REST API [9999]"},
                  {.name = "user-dir", .value = "folder", .help = "folder of keys and capability contexts [~/.nunet]"},
                  {.name = "work-dir",
                   .value = "folder",
                   .help = "folder of the daemon's state and of allocations [~/nunet]"},
                  {.name = "data-dir", .value = "folder", .help = "folder of deployments' data [~/nunet/data]"},
                  {.name = "debug", .help = "log at level debug"},
                  {.name = "profiler-enabled", .help = "no effect; accepted for scripts of the Go implementation"},
                  {.name = "profiler-addr", .value = "ip", .help = "no effect"},
                  {.name = "profiler-port", .value = "port", .help = "no effect"},
                  {.name = "context",
                   .letter = 'c',
                   .value = "name",
                   .help = "key and capability context, for commands that use one",
                   .known = Known::contexts},
                  {.name = "json", .help = "print JSON, for commands that can", .inner = true},
                  {.name = "version", .letter = 'V', .help = "print the version"}},
      .children = {init_command(), run_command(), status_command(), key_commands(), cap_commands(), deploy_command(),
                   plan_command(), deployment_commands(), allocation_commands(), actor_commands(), net_commands(),
                   config_commands(), sim_command(), version_command(), completion_command(), help_command()}};
}

int complete(std::span<const std::string> words, Streams streams, Environment& environment) {
  if (!words.empty() && words.front() == "--") words = words.subspan(1);
  if (words.size() > 1 && words.front() == "help") words = words.subspan(1);  // completed like the command itself
  std::vector<std::string> before(words.begin(), words.end());
  std::string last;
  if (!before.empty()) {
    last = std::move(before.back());
    before.pop_back();
  }
  // "--context=d" is completed like "--context" "d"; the shell replaces the whole word.
  std::string prefix;
  if (const auto equals = last.find('='); last.starts_with("--") && equals != std::string::npos) {
    before.push_back(last.substr(0, equals));
    prefix = last.substr(0, equals + 1);
    last.erase(0, equals + 1);
  }
  const Line line = read_line(command_tree(), before);
  if (!prefix.empty() && line.option == nullptr) return 0;
  std::ostream silent(nullptr);
  Session session({streams.in, streams.out, silent}, environment, command_tree(), line.arguments);
  const auto known = [&](Known kind) {
    const bool in_daemon = kind == Known::deployments || kind == Known::allocations || kind == Known::held;
    return in_daemon ? list_deployed(session, kind, line.arguments) : session.list(kind);
  };
  for (const auto& word : completions(line, last, known)) streams.out << prefix << word << '\n';
  return 0;
}

/// Output that could not be written is a failure, also after a successful command.
int check_written(int code, Streams streams) {
  streams.out.flush();
  if (streams.out) return code;
  streams.err << "nunet: standard output could not be written\n" << std::flush;
  return code == 0 ? 1 : code;
}

int report(const Error& error, Streams streams) {
  streams.err << "nunet: " << printable_lines(error.to_string()) << '\n' << std::flush;
  return exit_code(error);
}

}  // namespace

const Command& command_tree() {
  static const Command tree = root_command();
  return tree;
}

namespace {

/// `nunet help deployment list` is `nunet deployment list --help`.
Result<std::string> help_about(std::span<const std::string> words) {
  const Line line = read_line(command_tree(), words);
  if (line.wrong.empty()) return help(line.path);
  return fail(Errc::usage, "{}; see `nunet help`", line.wrong);
}

int dispatch(std::span<const std::string> words, Streams streams, Environment& environment) {
  if (!words.empty() && words.front() == "__complete") return complete(words.subspan(1), streams, environment);
  if (!words.empty() && words.front() == "help") {
    const auto text = help_about(words.subspan(1));
    if (!text) return report(text.error(), streams);
    streams.out << *text << std::flush;
    return 0;
  }
  auto parsed = parse(command_tree(), words);
  if (!parsed) return report(parsed.error(), streams);
  const bool only_version = parsed->arguments.has("version") && !parsed->help;
  const Command& command = only_version ? *command_tree().child("version") : *parsed->path.back();
  if (parsed->help || !command.action) {
    const bool requested = parsed->help || words.empty();
    (requested ? streams.out : streams.err) << help(parsed->path) << std::flush;
    return requested ? 0 : 2;
  }
  Session session(streams, environment, command_tree(), parsed->arguments);
  if (auto done = command.action(session, parsed->arguments); !done) return report(done.error(), streams);
  return 0;
}

}  // namespace

int run(std::span<const std::string> words, Streams streams, Environment& environment) {
  return check_written(dispatch(words, streams, environment), streams);
}

}  // namespace dms::cli
