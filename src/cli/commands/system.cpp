// nunet run, version, completion.
#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

Result<void> run_daemon(Session& session, const Arguments& arguments) {
  TRY(const auto* loaded, session.settings());
  RunOptions options;
  options.context = context_name(arguments, loaded->section<DaemonSettings>().context);
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
          "capability context. Prints `ready` when it listens on all its addresses.",
      .examples = {"nunet key new dms && nunet run", "nunet run --config /etc/nunet/dms_config.json"},
      .options = {context_option(kDaemonContext)},
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
