// nunet init: all that a node and its user need before the daemon runs.
#include <array>

#include "capability/units.hpp"
#include "cli/client/daemon_lock.hpp"
#include "cli/client/identities.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

/// What the settings say of the share, and what of that this call has changed.
struct Share {
  resources::ShareSettings settings;
  std::vector<std::string> changed;  ///< keys
  std::filesystem::path file;
};

constexpr std::array<std::string_view, 3> kParts = {"cpu", "ram", "disk"};

std::string& part_of(resources::ShareSettings& settings, std::string_view part) {
  return part == "cpu" ? settings.cpu : part == "ram" ? settings.ram : settings.disk;
}

std::string key_of(std::string_view part) { return fmt::format("onboarding.{}", part); }

/// The settings as they should be. Errc::usage for a wrong flag; nothing is changed.
Result<resources::ShareSettings> wanted_share(Session& session, const Arguments& arguments) {
  if (arguments.has("no-onboard")) return resources::ShareSettings{};
  TRY(const auto folders, session.section<FolderSettings>());
  TRY(auto settings, session.section<resources::ShareSettings>());
  const bool is_set = !settings.empty();
  bool is_given = false;
  for (const std::string_view part : kParts) {
    const auto given = arguments.get(std::string(part));
    if (!given) continue;
    resources::ShareSettings alone;
    part_of(alone, part) = *given;
    if (given->empty()) return fail(Errc::usage, "--{}: expected an amount, found nothing", part);
    if (const auto valid = alone.check(); !valid)
      return std::unexpected(valid.error().context(Errc::usage, fmt::format("--{}", part)));
    part_of(settings, part) = *given;
    is_given = true;
  }
  if (is_set && !is_given) return settings;
  TRY(const auto machine, session.environment().machine(folders.work_dir));
  auto share = resources::share_of(settings, machine);
  if (!share && is_given) return std::unexpected(share.error().context(Errc::usage, "nothing was made"));
  if (!share) return std::unexpected(share.error());
  const auto proposed = resources::settings_of(*share);
  if (settings.cpu.empty()) settings.cpu = proposed.cpu;
  if (settings.ram.empty()) settings.ram = proposed.ram;
  if (settings.disk.empty()) settings.disk = proposed.disk;
  return settings;
}

Result<Share> write_share(Session& session, resources::ShareSettings wanted) {
  TRY(const auto* loaded, session.settings());
  auto before = loaded->section<resources::ShareSettings>();
  Share share;
  share.settings = wanted;
  share.file = loaded->file;
  for (const std::string_view part : kParts) {
    const std::string& value = part_of(wanted, part);
    if (value == part_of(before, part)) continue;
    const std::string key = key_of(part);
    TRY(const auto written, config::set(session.sources(), key, value));
    share.file = written.file;
    share.changed.push_back(key);
    if (written.origin(key) == config::Origin::environment)
      session.note(
          fmt::format("{} overrides what was written to {}.", config::variable_name(key), share.file.string()));
  }
  return share;
}

std::string_view made_or_kept(bool made) { return made ? "made" : "kept"; }

json::Value json_of(const Identity& identity) {
  return json::Object{{"did", identity.did.uri()},
                      {"key", identity.in_wallet ? "in a wallet" : made_or_kept(identity.key_made)},
                      {"key_file", identity.key_file.string()},
                      {"context", made_or_kept(identity.context_made)},
                      {"context_file", identity.context_file.string()}};
}

void print_made(Session& session, const Identities& identities, const Share& share) {
  std::vector<std::vector<std::string>> rows;
  for (const Identity* each : {&identities.daemon, &identities.user}) {
    rows.push_back({each->in_wallet ? "kept" : std::string(made_or_kept(each->key_made)),
                    fmt::format("key {}", each->name), each->did.uri()});
    rows.push_back({std::string(made_or_kept(each->context_made)), fmt::format("context {}", each->name),
                    each->context_file.string()});
  }
  rows.push_back(
      {std::string(made_or_kept(identities.anchored)), "anchor",
       fmt::format("{} is a root of {}: its messages are obeyed", identities.user.name, identities.daemon.name)});
  const resources::ShareSettings& parts = share.settings;
  constexpr capability::Millicores no_cores;
  const std::string offered =
      parts.empty()
          ? "none of this machine is offered"
          : fmt::format("{}, {} memory, {} disk of this machine",
                        parts.cpu.empty() ? "half the cores"
                                          : capability::Millicores::parse(parts.cpu).value_or(no_cores).described(),
                        parts.ram.empty() ? "half the" : parts.ram, parts.disk.empty() ? "half the free" : parts.disk);
  rows.push_back({std::string(made_or_kept(!share.changed.empty())), "share", offered});
  rows.push_back({std::string(made_or_kept(!share.changed.empty())), "settings", share.file.string()});
  session.print_table(rows);
}

Result<void> init(Session& session, const Arguments& arguments) {
  TRY(const auto daemon, session.section<DaemonSettings>());
  TRY(const auto folders, session.section<FolderSettings>());
  TRY(auto wanted, wanted_share(session, arguments));
  TRY(const auto identities, make_identities(session, daemon.context, false));
  TRY(const auto share, write_share(session, std::move(wanted)));
  const bool changed = identities.changed() || !share.changed.empty();
  if (arguments.has("json")) {
    json::Object parts;
    auto settings = share.settings;
    for (const std::string_view part : kParts) parts[part] = part_of(settings, part);
    session.print_json(json::write_pretty(json::Object{
        {"changed", changed},
        {"identities", json::Object{{identities.daemon.name, json_of(identities.daemon)},
                                    {identities.user.name, json_of(identities.user)}}},
        {"anchor", made_or_kept(identities.anchored)},
        {"share", std::move(parts)},
        {"settings", json::Object{{"state", made_or_kept(!share.changed.empty())}, {"file", share.file.string()}}}}));
  } else {
    print_made(session, identities, share);
  }
  if (!changed) session.note("Everything was there; nothing was changed.");
  if (!share.changed.empty() && running_daemon(folders.work_dir))
    session.note(
        "A daemon is running: the share counts at its first start only. To change what it offers: "
        "nunet actor cmd /dms/node/onboarding/onboard");
  session.note("Next: nunet run --dev for this machine alone, or nunet run to join the network.");
  return {};
}

}  // namespace

Command init_command() {
  return {.name = "init",
          .summary = "Make all that a node and its user need",
          .detail =
              "Makes the keys and the capability contexts `dms` of the daemon and `user` of its user, has the daemon "
              "trust its\n"
              "user, and writes to the configuration file which share of this machine the daemon offers at its first "
              "start: half\n"
              "of the cores and the memory, and half of the free disk, unless flags say otherwise. What is there is "
              "kept: a second\n"
              "call changes nothing, and one that was interrupted is completed. One passphrase is asked for.",
          .examples = {"nunet init", "nunet init --cpu 2 --ram 4GiB --disk 20GiB", "nunet init --no-onboard"},
          .options = {{.name = "cpu", .value = "cores", .help = "cores to offer: 2, 0.5"},
                      {.name = "ram", .value = "size", .help = "memory to offer; a bare number counts GiB"},
                      {.name = "disk", .value = "size", .help = "disk to offer; a bare number counts GiB"},
                      {.name = "no-onboard", .help = "offer nothing; removes the share from the settings"},
                      json_option()},
          .at_most_one = {{"no-onboard", "cpu"}, {"no-onboard", "ram"}, {"no-onboard", "disk"}},
          .action = init};
}

}  // namespace dms::cli
