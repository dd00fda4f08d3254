// nunet sim: a network in simulation, from a scenario file to a report.
#include <unistd.h>

#include <charconv>

#include "base/file.hpp"
#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

constexpr std::size_t kMaxScenario = 1 << 20;

Result<std::optional<std::uint64_t>> seed_of(const Arguments& arguments) {
  const auto text = arguments.get("seed");
  if (!text) return std::optional<std::uint64_t>();
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seed);
  if (error != std::errc() || end != text->data() + text->size())
    return fail(Errc::usage, "--seed: expected a whole number, found \"{}\"", *text);
  return std::optional(seed);
}

/// The scenario of the run, whose name is returned, and beside it what happened.
Result<std::string> keep(const std::filesystem::path& folder, const Simulated& done) {
  std::filesystem::path kept = folder / fmt::format("seed-{}.yaml", done.seed);
  TRY_VOID(write_file(kept, done.scenario, 0644));
  std::string name = kept.string();
  TRY_VOID(write_file(kept.replace_extension("trace"), done.trace, 0644));
  return name;
}

/// Before a run that may take an hour.
Result<void> check_report(const std::string& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) return fail(Errc::usage, "--report: {} is a folder, not a file", path);
  const std::filesystem::path folder = std::filesystem::absolute(path, ec).parent_path();
  if (!std::filesystem::is_directory(folder, ec) || ::access(folder.c_str(), W_OK) != 0)
    return fail(Errc::usage, "--report: {} is not a folder that can be written to", folder.string());
  return {};
}

Result<void> sim(Session& session, const Arguments& arguments) {
  const std::string file = arguments.get("file", "");
  TRY(const auto seed, seed_of(arguments));
  TRY(const std::string scenario, read_file(file, kMaxScenario));
  if (const auto report = arguments.get("report")) TRY_VOID(check_report(*report));
  auto done = session.environment().simulate(scenario, {seed, arguments.has("debug")},
                                             [&](const std::string& line) { session.note(line); });
  if (!done) return fail(done.error(), "{}", file);

  if (const auto report = arguments.get("report")) TRY_VOID(write_file(*report, done->report + "\n", 0644));
  if (arguments.has("json"))
    session.print_json(done->report);
  else
    for (std::string_view rest = done->summary; !rest.empty();) {
      const auto line = rest.substr(0, rest.find('\n'));
      session.print(line);
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
  if (!done->held) {
    std::string replay = fmt::format("nunet sim {} --seed {}", file, done->seed);
    if (const auto folder = arguments.get("keep")) {
      TRY(const std::string kept, keep(*folder, *done));
      replay = fmt::format("nunet sim {}", kept);
    }
    return fail(Errc::failed, "a property does not hold; `{}` replays the run", replay);
  }
  if (done->interrupted) return fail(dms::Errc::cancelled, "interrupted");
  return {};
}

}  // namespace

Command sim_command() {
  return {
      .name = "sim",
      .summary = "Simulate a network by a scenario file",
      .detail =
          "Runs whole nodes in one process and in simulated time: machines that fail, disks that are full, clocks "
          "that\n"
          "are wrong, messages that are lost, providers that lie. The scenario file gives the numbers;\n"
          "docs/howto/simulate.md describes it. Each simulated second it is checked that no resource is "
          "over-committed,\n"
          "nothing runs twice or without a lease, and nothing is reserved without a deployment; at the end, that each\n"
          "deployment has ended, none has failed without a fault, a lie or a lack of machines that explains it, all\n"
          "output and results are there and nothing is left. Fails if one of these does not hold. Ctrl-C ends it with\n"
          "the report so far.",
      .examples = {"nunet sim docs/howto/scenarios/small.yaml", "nunet sim small.yaml --seed 7 --report report.json",
                   "nunet sim small.yaml --json | jq .findings"},
      .options = {{.name = "seed", .value = "number", .help = "instead of the seed in the file"},
                  {.name = "report", .value = "file", .help = "write the report as JSON"},
                  {.name = "keep",
                   .value = "folder",
                   .help = "if a property does not hold, keep the scenario and the trace there"},
                  json_option()},
      .positionals = {{.name = "file", .help = "scenario, YAML"}},
      .action = sim};
}

}  // namespace dms::cli
