// The configuration of a node: `dms_config.json`, overridden by DMS_ environment variables, completed by defaults.
//
// Model
//  1. Every setting has a dotted key ("rest.port"), a type and a default; modules declare them (section.hpp), and the
//     program collects the declarations in a Registry. A file holds any of them, nested by section; the environment
//     variable of a key is DMS_ and the key in capitals, dots as underscores (DMS_REST_PORT). The environment overrides
//     the file, the file overrides the default; origin() returns the source.
//  2. The file is the one named with --config, else the first that exists of ./dms_config.json, ~/.nunet/, the user's
//     configuration folder + /nunet/, /etc/nunet/. That is the search order of the existing nodes, whose keys are used
//     too, so their files load; the flat observability keys of older files are read as the nested ones.
//  3. The file in the working folder is read only if it belongs to this user or to root: a file of another user is
//     skipped with a warning. One that group or others may write is refused.
//     (docs/decisions/0301-file-in-the-working-folder.md)
//  4. An unknown key is refused with the nearest known one, a value of the wrong type with its key. Lists in the
//     environment or on a command line are separated by commas. `~/` at the start of a path is the home folder.
//  5. set() changes one key in the file, atomically, and leaves the others as they are.
//  6. A setting without effect is accepted and marked (Setting::without_effect, Entry::without_effect).
//
// Threads: values. Failure: Errc::invalid_argument names key and file; Errc::io the file.
// Attacks: a file planted in a folder where the user runs a command (3); its owner is checked on the opened file, so it
// cannot be exchanged between check and use.
#pragma once

#include <unistd.h>
#include <filesystem>
#include <memory>
#include <optional>

#include "config/section.hpp"

namespace dms::config {

/// All settings of a program, in the order of their declaration, sections together.
class Registry {
 public:
  /// A key that is declared twice is a bug: std::logic_error.
  explicit Registry(std::vector<Section> sections);

  [[nodiscard]] const std::vector<Setting>& settings() const { return settings_; }
  /// By its key in any letter case, or a key of older files; null if it is unknown.
  [[nodiscard]] const Setting* find(std::string_view written) const;
  /// Errc::not_found with the nearest known key.
  [[nodiscard]] Result<const Setting*> get(std::string_view written) const;
  /// "; did you mean rest.port?", or where the known keys are listed.
  [[nodiscard]] std::string suggestion(std::string_view written) const;
  [[nodiscard]] Values defaults() const;
  /// The sections' checks across values.
  Result<void> check(Values& values) const;

 private:
  std::vector<Setting> settings_;
  std::vector<std::function<Result<void>(Values&)>> checks_;
};

enum class Origin { initial, file, environment };  ///< `initial`: the default
std::string_view to_string(Origin origin);         ///< "default", "file", "environment"

/// The sources of settings.
struct Sources {
  std::shared_ptr<const Registry> registry;
  std::optional<std::filesystem::path> file = {};  ///< --config
  std::filesystem::path home = {};
  std::filesystem::path working_folder = ".";
  std::filesystem::path system_folder = "/etc/nunet";
  std::function<std::optional<std::string>(const std::string& name)> variable = [](const std::string&) {
    return std::nullopt;
  };
  std::uint32_t user = ::geteuid();  ///< the owner of an accepted file in the working folder
};

struct Entry {
  std::string key;
  std::string value;  ///< as set() takes it
  Origin origin = Origin::initial;
  std::string without_effect;  ///< why; empty: it has an effect
};

struct Loaded {
  std::shared_ptr<const Registry> registry;
  Values values;
  std::filesystem::path file;  ///< the file used; if there is none, where set() would make one
  std::map<std::string, Origin, std::less<>> origins;
  std::vector<std::string> warnings;  ///< a file that was skipped, and why

  /// The settings of a module. Those of a struct that is not in the registry have their defaults.
  template <class S>
  [[nodiscard]] S section() const {
    return detail::read<S>(values);
  }
  [[nodiscard]] Origin origin(std::string_view key) const;
  /// The value of a key as text. Errc::not_found with the nearest known key.
  [[nodiscard]] Result<std::string> get(std::string_view key) const;
  /// All settings, or those of a section ("rest"), in the order of the registry.
  [[nodiscard]] std::vector<Entry> list(std::string_view section = {}) const;
  /// What another machine may see, nested by section: the settings that have an effect and are not marked as secret.
  /// Those without effect may be API keys of services that this program does not use.
  [[nodiscard]] json::Value shown() const;
  /// The keys that were set although they have no effect.
  [[nodiscard]] std::vector<std::string> set_without_effect() const;
};

Result<Loaded> load(const Sources& sources);

struct FoundFile {
  std::filesystem::path path;
  std::vector<std::string> warnings;
};
/// The file that load() reads, see (2) and (3), or where the first set() makes one: it need not exist.
Result<FoundFile> find_file(const Sources& sources);

/// Replaces the file atomically. It keeps its mode; a new one is the owner's only, since it may hold API keys.
Result<void> write(const std::filesystem::path& file, std::string_view text);
/// What load() would make of a file with this text: no file is read. An error's place() is the key, or the byte at
/// which the text is not JSON.
Result<Loaded> parse(std::string_view text, const Sources& sources);

/// Writes one key into the file and loads again: the result is what a restart would see. What load() would refuse is
/// not written.
Result<Loaded> set(const Sources& sources, std::string_view key, std::string_view value);

/// "DMS_REST_PORT"
std::string variable_name(std::string_view key);

}  // namespace dms::config
