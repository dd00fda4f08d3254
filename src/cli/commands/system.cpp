// nunet run, version, completion.
#include "cli/client/identities.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

/// The flags of folders and of the configuration file, as a shell reads them: another command needs them, too.
std::string same_folders(const Arguments& arguments) {
  std::string flags;
  for (const char* name : {"config", "user-dir", "work-dir"}) {
    const auto value = arguments.get(name);
    if (!value) continue;
    std::string quoted;
    for (const char c : *value) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    flags += fmt::format(" --{} '{}'", name, quoted);
  }
  return flags;
}

/// Loopback at a free port, and nobody to dial.
config::Loaded without_network(config::Loaded settings) {
  settings.values["p2p.listen_address"] = json::Array{"/ip4/127.0.0.1/tcp/0"};
  settings.values["p2p.bootstrap_peers"] = json::Array();
  return settings;
}

Result<void> run_alone(Session& session, const Arguments& arguments, const config::Loaded& settings,
                       RunOptions options) {
  TRY(auto identities, make_identities(session, options.context, true));
  for (const Identity* each : {&identities.daemon, &identities.user})
    if (each->key_made) session.note(fmt::format("Made key \"{}\", {}.", each->name, each->did.uri()));
  options.dev = true;
  options.next = printable(
      fmt::format("Next, in another terminal: nunet deploy -f ensemble.yaml --wait{}", same_folders(arguments)));
  return session.environment().run_daemon(without_network(settings), options, *std::move(identities.daemon_key));
}

Result<void> run_daemon(Session& session, const Arguments& arguments) {
  TRY(const auto* loaded, session.settings());
  RunOptions options;
  options.context = context_name(arguments, loaded->section<DaemonSettings>().context);
  if (arguments.has("dev")) return run_alone(session, arguments, *loaded, std::move(options));
  TRY(auto key, session.load_key(options.context));
  return session.environment().run_daemon(*loaded, options, std::move(key));
}

Result<void> version(Session& session, const Arguments&) {
  // Scripts search for the line that begins with "Version".
  session.print("NuNet Device Management Service");
  session.print("Version: " DMS_VERSION);
  return {};
}

// bash splits words at colons and equals signs, so it replaces only the part of a DID after the last of them.
constexpr std::string_view kBash = R"sh(_nunet() {
  local line=${COMP_LINE:0:COMP_POINT} words last
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  last=${words[${#words[@]} - 1]}
  mapfile -t COMPREPLY < <(nunet __complete -- "${words[@]:1}" 2>/dev/null)
  COMPREPLY=("${COMPREPLY[@]#"${last%"${last##*[:=]}"}"}")
}
complete -o default -F _nunet nunet
)sh";

constexpr std::string_view kZsh = R"sh(#compdef nunet
_nunet() {
  local -a found
  found=(${(f)"$(nunet __complete -- "${words[@]:1:CURRENT-1}" 2>/dev/null)"})
  if (( $#found )); then compadd -a found; else _files; fi
}
if [ "$funcstack[1]" = "_nunet" ]; then _nunet; else compdef _nunet nunet; fi
)sh";

constexpr std::string_view kFish =
    R"sh(complete -c nunet -a '(nunet __complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
)sh";

Result<void> completion(Session& session, const Arguments& arguments) {
  const std::string shell = arguments.get("shell", "");
  if (shell == "bash")
    session.print_raw(kBash);
  else if (shell == "zsh")
    session.print_raw(kZsh);
  else if (shell == "fish")
    session.print_raw(kFish);
  else
    return fail(Errc::usage, "shell \"{}\": expected bash, zsh or fish", shell);
  return {};
}

}  // namespace

Command run_command() {
  return {
      .name = "run",
      .summary = "Run the daemon",
      .detail =
          "Uses the key and the capability context `dms`, and creates the context if there is none. SIGINT and SIGTERM "
          "stop it\n"
          "gracefully, as does the end of the terminal it was started in, unless by `nohup`; SIGHUP and SIGUSR1 reload "
          "its\n"
          "capability context. Prints `ready` when it listens on all its addresses.\n\n"
          "At its first start it offers the share of the machine that the settings name (`nunet init`). With --dev it "
          "runs\n"
          "alone: it listens on the loopback at a free port, dials no peer, makes the identities that are missing, and "
          "offers\n"
          "a share, so that deployments of this machine's user run here.",
      .examples = {"nunet init && nunet run", "nunet run --dev", "nunet run --config /etc/nunet/dms_config.json"},
      .options = {context_option(kDaemonContext),
                  {.name = "dev", .help = "run alone, without a network, and offer a share of the machine"}},
      .action = run_daemon};
}

Command help_command() {
  return {.name = "help",
          .summary = "Print the help of a command",
          .examples = {"nunet help deployment list"},
          .positionals = {{"command", "the command, in all its words [nunet]", false}}};
}

Command version_command() { return {.name = "version", .summary = "Print the version", .action = version}; }

Command completion_command() {
  return {.name = "completion",
          .summary = "Print a completion script for a shell",
          .examples = {"source <(nunet completion bash)", "nunet completion zsh > \"${fpath[1]}/_nunet\"",
                       "nunet completion fish | source"},
          .positionals = {{.name = "shell", .help = "bash, zsh or fish", .choices = {"bash", "zsh", "fish"}}},
          .aliases = {"autocomplete"},
          .action = completion};
}

}  // namespace dms::cli
