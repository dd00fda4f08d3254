// nunet config: settings, their origin, and changes to them.
#include "config/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.hpp"
#include "base/temporary_folder.hpp"
#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

constexpr std::size_t kMaxConfigFile = 1 << 20;

Result<void> print_settings(Session& session, const config::Loaded& loaded, std::string_view section, bool as_json) {
  const auto entries = loaded.list(section);
  if (entries.empty())
    return fail(Errc::usage, "there is no section \"{}\"; `nunet config list` shows all settings", section);
  if (as_json) {
    json::Object object;
    for (const auto& entry : entries)
      object[entry.key] = json::Object{
          {"value", entry.value}, {"from", config::to_string(entry.origin)}, {"effect", entry.without_effect.empty()}};
    session.print_json(json::write_pretty(object));
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"KEY", "FROM", "VALUE"}};
  for (const auto& entry : entries) {
    rows.push_back({entry.key, std::string(config::to_string(entry.origin)), entry.value});
    if (!entry.without_effect.empty()) rows.back().push_back(fmt::format("(no effect: {})", entry.without_effect));
  }
  session.print_table(rows);
  return {};
}

Result<void> config_list(Session& session, const Arguments& arguments) {
  TRY(const auto* loaded, session.settings());
  return print_settings(session, *loaded, arguments.get("section", ""), arguments.has("json"));
}

Result<void> config_get(Session& session, const Arguments& arguments) {
  TRY(const auto* loaded, session.settings());
  const auto key = arguments.get("key");
  if (!key) return print_settings(session, *loaded, "", arguments.has("json"));
  auto value = loaded->get(*key);
  if (!value && !loaded->list(*key).empty()) return print_settings(session, *loaded, *key, arguments.has("json"));
  if (!value) return std::unexpected(value.error().context(Errc::usage, "<key>"));
  if (arguments.has("json"))
    session.print_json(json::encode(*value));
  else
    session.print(*value);
  return {};
}

/// The value by itself; other settings, which may be wrong too, are not checked.
bool is_valid(Session& session, const std::string& key, const std::string& value) {
  config::Sources sources{.registry = session.environment().registry()};
  sources.variable = [&, name = config::variable_name(key)](const std::string& variable) {
    return variable == name ? std::optional(value) : std::nullopt;
  };
  return config::parse("{}", sources).has_value();
}

Result<void> config_set(Session& session, const Arguments& arguments) {
  const std::string key = arguments.get("key", "");
  const std::string value = arguments.get("value", "");
  auto set = config::set(session.sources(), key, value);
  if (!set && (set.error().is(dms::Errc::not_found) || !is_valid(session, key, value)))
    return std::unexpected(set.error().context(Errc::usage, "nothing was changed"));
  TRY(const auto loaded, std::move(set));
  for (const auto& warning : loaded.warnings) session.note(warning);
  session.note(fmt::format("Written to {}; the daemon reads it when it starts.", loaded.file.string()));
  if (const auto why = loaded.list(key).at(0).without_effect; !why.empty())
    session.note(fmt::format("{} has no effect: {}.", key, why));
  if (loaded.origin(key) == config::Origin::environment)
    session.note(fmt::format("{} or a flag overrides it at present.", config::variable_name(key)));
  return {};
}

/// An edit that was invalid. What another user may have put there is refused: it would become the settings.
Result<std::optional<std::string>> earlier_edit(const std::string& copy) {
  const int file = ::open(copy.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0 && errno == ENOENT) return std::nullopt;
  struct stat info {};
  const bool own = file >= 0 && ::fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid() &&
                   (info.st_mode & 022) == 0;
  Result<std::string> text = fail(Errc::failed, "{} is not an earlier edit of this user; remove it", copy);
  if (own) text = read_file(fmt::format("/proc/self/fd/{}", file), kMaxConfigFile);
  if (file >= 0) ::close(file);
  return text;
}

/// The user edits a copy in a folder of its own, which replaces the file only if it is valid. An invalid copy is kept
/// beside the file, and the next edit continues with it. The file itself may be invalid: repairing it is a reason to edit it.
Result<void> config_edit(Session& session, const Arguments&) {
  config::Sources sources = session.sources();
  TRY(const auto found, config::find_file(sources));
  for (const auto& warning : found.warnings) session.note(warning);
  const auto& file = found.path;
  const auto copy = file.string() + ".edit";
  auto text = read_file(file, kMaxConfigFile);
  if (!text && !text.error().is(dms::Errc::not_found)) return std::unexpected(text.error());
  TRY(const auto earlier, earlier_edit(copy));
  if (earlier)
    session.note(fmt::format("Continuing with the earlier edit in {}; delete it to start from the file.", copy));
  const std::string before = earlier.value_or(text.value_or("{}\n"));
  TRY(const auto folder, TemporaryFolder::make("edit"));
  const std::string edit = folder.path() / "dms_config.json";
  TRY_VOID(write_file(edit, before));
  TRY_VOID(write_file(copy, before));  // where that cannot be done, the user should not begin
  const auto closed = session.environment().edit(edit);
  TRY(const auto edited, read_file(edit, kMaxConfigFile));
  const bool same = text && edited == *text;
  std::error_code error;
  if (same || (!closed && !earlier && edited == before))
    std::filesystem::remove(copy, error);
  else
    TRY_VOID(write_file(copy, edited));
  if (!closed) return fail(closed.error(), "nothing was changed");
  if (same) {
    session.note(fmt::format("{} was not changed.", file.string()));
    return {};
  }
  sources.file = copy;
  if (auto understood = config::load(sources); !understood)
    return fail(understood.error(),
                "nothing was changed; your edit is in {}, and `nunet config edit` continues with it", copy);
  TRY_VOID(config::write(file, edited));
  std::filesystem::remove(copy, error);
  session.note(fmt::format("Written to {}; the daemon reads it when it starts.", file.string()));
  return {};
}

}  // namespace

Command config_commands() {
  return {.name = "config",
          .summary = "Show and change settings",
          .detail =
              "Settings are stored in dms_config.json: the file given with --config, or the first that exists in ./, "
              "~/.nunet/,\n"
              "~/.config/nunet/ and /etc/nunet/.",
          .children = {{.name = "get",
                        .summary = "Print a setting, a section or everything",
                        .examples = {"nunet config get rest.port"},
                        .options = {json_option()},
                        .positionals = {{"key", "a setting or a section", false, Known::settings}},
                        .action = config_get},
                       {.name = "set",
                        .summary = "Change a setting in the configuration file",
                        .examples = {"nunet config set rest.port 9998",
                                     "nunet config set p2p.listen_address /ip4/0.0.0.0/tcp/9000"},
                        .positionals = {{"key", "the setting", true, Known::settings},
                                        {"value", "the value; elements of lists are separated by commas"}},
                        .action = config_set},
                       {.name = "list",
                        .summary = "List settings with their values and origins",
                        .options = {json_option()},
                        .positionals = {{"section", "only this section", false}},
                        .action = config_list},
                       {.name = "edit", .summary = "Edit the configuration file in EDITOR", .action = config_edit}}};
}

}  // namespace dms::cli
