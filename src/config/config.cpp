#include "config/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/file.hpp"
#include "base/suggest.hpp"

namespace dms::config {
namespace {

constexpr std::string_view kFileName = "dms_config.json";
constexpr std::size_t kMaxFile = 1024 * 1024;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view top_section(std::string_view key) { return key.substr(0, key.find('.')); }

/// Sets one key by a JSON value.
Result<void> assign(Loaded& loaded, const Setting& setting, const json::Value& given, Origin origin) {
  auto value = setting.read(given);
  if (!value) return std::unexpected(json::at_member(setting.key, value.error()));
  loaded.values[setting.key] = *std::move(value);
  loaded.origins[setting.key] = origin;
  return {};
}

// --- the file --------------------------------------------------------------------------------------------------------

struct Given {
  std::string written;  ///< the key as the file has it
  json::Value value;
};

/// The leaves of the file by dotted key. A section is an object; unknown keys are found later.
Result<void> collect(const json::Object& object, const std::string& prefix, std::size_t depth,
                     std::vector<Given>& leaves) {
  if (depth > 8) return fail(Errc::limit_exceeded, "{}: nested too deep", prefix);
  for (const auto& member : object) {
    const std::string key = prefix.empty() ? std::string(member.key()) : prefix + "." + std::string(member.key());
    if (const auto* inner = member.value().if_object()) {
      TRY_VOID(collect(*inner, key, depth + 1, leaves));
    } else {
      leaves.push_back({key, member.value()});
    }
  }
  return {};
}

Result<json::Object> parse_object(std::string_view text) {
  TRY(json::Value value, json::parse(text, {.bytes = kMaxFile, .depth = 16}));
  if (!value.is_object()) return json::wrong_kind("an object", value);
  return value.get_object();
}

Result<json::Object> read_object(const std::filesystem::path& file) {
  TRY(const std::string text, read_file(file, kMaxFile));
  return parse_object(text);
}

Result<void> apply_file(Loaded& loaded, const json::Object& object) {
  std::vector<Given> leaves;
  TRY_VOID(collect(object, "", 0, leaves));
  // Present spellings after old ones, so that they win.
  std::ranges::stable_partition(leaves, [&](const Given& leaf) {
    const Setting* setting = loaded.registry->find(leaf.written);
    return setting == nullptr || setting->key != lower(leaf.written);
  });
  for (const Given& leaf : leaves) {
    const auto setting = loaded.registry->get(leaf.written);
    if (!setting)
      return std::unexpected(json::at_member(
          leaf.written.substr(0, 128),
          Error(Errc::invalid_argument, fmt::format("unknown key{}", loaded.registry->suggestion(leaf.written)))));
    if (!leaf.value.is_null()) TRY_VOID(assign(loaded, **setting, leaf.value, Origin::file));
  }
  return {};
}

Result<void> apply_environment(Loaded& loaded, const Sources& sources) {
  for (const Setting& setting : loaded.registry->settings())
    for (const std::string& variable : {setting.variable, variable_name(setting.key)}) {
      const auto text = variable.empty() ? std::nullopt : sources.variable(variable);
      if (!text) continue;
      auto done = assign(loaded, setting, setting.from_text(*text), Origin::environment);
      if (!done) return fail(done.error(), "the environment variable {}", variable);
    }
  return {};
}

void expand_paths(Loaded& loaded, const std::filesystem::path& home) {
  for (const Setting& setting : loaded.registry->settings()) {
    if (!setting.path) continue;
    json::Value& value = loaded.values[setting.key];
    const std::string text = detail::to_text(value);
    if (text == "~") value = boost::json::string(home.string());
    if (text.starts_with("~/")) value = boost::json::string((home / text.substr(2)).string());
  }
}

Result<Loaded> load_from(const Sources& sources, FoundFile file, const json::Object& object) {
  Loaded loaded;
  loaded.registry = sources.registry;
  loaded.values = sources.registry->defaults();
  loaded.file = std::move(file.path);
  loaded.warnings = std::move(file.warnings);
  if (auto done = apply_file(loaded, object); !done)
    return fail(done.error(), "the configuration file {}", loaded.file.string());
  TRY_VOID(apply_environment(loaded, sources));
  TRY_VOID(sources.registry->check(loaded.values));
  expand_paths(loaded, sources.home);
  return loaded;
}

// --- the file in the working folder ----------------------------------------------------------------------------------

enum class Trust { trusted, foreign, writable };

bool is_foreign(const struct stat& file, const Sources& sources) {
  return file.st_uid != sources.user && file.st_uid != 0;
}

Trust trust_in(const struct stat& file, const Sources& sources) {
  if (is_foreign(file, sources)) return Trust::foreign;
  return (file.st_mode & 022) != 0 ? Trust::writable : Trust::trusted;
}

std::unexpected<Error> refuse_writable(const std::filesystem::path& file) {
  return fail(Errc::invalid_argument,
              "{}: other users may write it; `chmod go-w` it, or name another file with --config", file.string());
}

/// The whole of a file, checked on the descriptor that is read. A symbolic link of another user is not followed.
Result<std::string> read_trusted(const std::filesystem::path& file, const Sources& sources) {
  struct stat entry {};
  const bool follow = ::lstat(file.c_str(), &entry) == 0 && S_ISLNK(entry.st_mode) && !is_foreign(entry, sources);
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
  if (descriptor < 0) return fail(Errc::io, "open {}: {}", file.string(), std::strerror(errno));
  struct stat info {};
  Result<std::string> text = fail(Errc::invalid_argument, "{}: it belongs to another user", file.string());
  if (::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) {
    const Trust trust = trust_in(info, sources);
    if (trust == Trust::trusted) text = read_file(fmt::format("/proc/self/fd/{}", descriptor), kMaxFile);
    if (trust == Trust::writable) text = refuse_writable(file);
  }
  ::close(descriptor);
  return text;
}

Result<json::Object> read_checked(const Sources& sources, const std::filesystem::path& file) {
  if (sources.file || file != sources.working_folder / kFileName) return read_object(file);
  TRY(const std::string text, read_trusted(file, sources));
  return parse_object(text);
}

/// The file's object; empty if there is no file and none was named.
Result<json::Object> read_given(const Sources& sources, const std::filesystem::path& file) {
  Result<json::Object> object = read_checked(sources, file);
  if (object) return object;
  if (object.error().is(Errc::not_found) && !sources.file) return json::Object();
  return fail(object.error(), "the configuration file {}", file.string());
}

}  // namespace

// --- the registry ----------------------------------------------------------------------------------------------------

Registry::Registry(std::vector<Section> sections) {
  for (Section& section : sections) {
    if (section.check) checks_.push_back(std::move(section.check));
    for (Setting& setting : section.settings) {
      if (find(setting.key) != nullptr) throw std::logic_error("the setting " + setting.key + " is declared twice");
      // Behind the last one of the same section.
      const auto same = [&](const Setting& other) { return top_section(other.key) == top_section(setting.key); };
      const auto last = std::ranges::find_if(settings_.rbegin(), settings_.rend(), same);
      settings_.insert(last == settings_.rend() ? settings_.end() : last.base(), std::move(setting));
    }
  }
}

const Setting* Registry::find(std::string_view written) const {
  const std::string key = lower(written);
  const auto has_key = [&](const Setting& setting) {
    return setting.key == key || std::ranges::find(setting.former, key) != setting.former.end();
  };
  const auto found = std::ranges::find_if(settings_, has_key);
  return found == settings_.end() ? nullptr : &*found;
}

/// The nearest key: by the whole key, or by its last part for one written into the wrong section.
std::string Registry::suggestion(std::string_view written) const {
  const std::string key = lower(written);
  std::vector<std::string_view> keys;
  for (const Setting& setting : settings_) keys.push_back(setting.key);
  std::string_view near = nearest(key, keys);
  const auto last = [](std::string_view name) { return name.substr(name.rfind('.') + 1); };
  for (const std::string_view known : keys)
    if (near.empty() && last(known) == last(key)) near = known;
  return near.empty() ? "; `nunet config get` lists the known keys" : fmt::format("; did you mean {}?", near);
}

Result<const Setting*> Registry::get(std::string_view written) const {
  if (const Setting* setting = find(written)) return setting;
  const std::string why = fmt::format("unknown key{}", suggestion(written));
  return std::unexpected(json::at_member(written.substr(0, 128), Error(Errc::not_found, why)));
}

Values Registry::defaults() const {
  Values values;
  for (const Setting& setting : settings_) values[setting.key] = setting.initial;
  return values;
}

Result<void> Registry::check(Values& values) const {
  for (const auto& check : checks_) TRY_VOID(check(values));
  return {};
}

// --- what was loaded -------------------------------------------------------------------------------------------------

std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::initial: return "default";
    case Origin::file: return "file";
    case Origin::environment: return "environment";
  }
  return "default";
}

std::string variable_name(std::string_view key) {
  std::string name = "DMS_";
  for (const char c : key) name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

Origin Loaded::origin(std::string_view key) const {
  const Setting* setting = registry->find(key);
  const auto found = setting == nullptr ? origins.end() : origins.find(setting->key);
  return found == origins.end() ? Origin::initial : found->second;
}

Result<std::string> Loaded::get(std::string_view key) const {
  TRY(const Setting* setting, registry->get(key));
  return setting->to_text(values.at(setting->key));
}

std::vector<Entry> Loaded::list(std::string_view section) const {
  std::vector<Entry> entries;
  for (const Setting& setting : registry->settings()) {
    const std::string& key = setting.key;
    const bool inside = section.empty() || key == section || key.starts_with(std::string(section) + ".");
    if (inside) entries.push_back({key, setting.to_text(values.at(key)), origin(key), setting.without_effect});
  }
  return entries;
}

json::Value Loaded::shown() const {
  json::Value all = json::Object();
  for (const Setting& setting : registry->settings()) {
    const auto value = values.find(setting.key);
    if (setting.secret || !setting.without_effect.empty() || value == values.end()) continue;
    json::Value* place = &all;
    for (std::string_view rest = setting.key; !rest.empty();) {
      const std::string_view name = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
      if (!place->is_object()) *place = json::Object();
      place = &place->get_object()[name];
    }
    *place = value->second;
  }
  return all;
}

std::vector<std::string> Loaded::set_without_effect() const {
  std::vector<std::string> keys;
  for (const auto& [key, origin] : origins)
    if (!registry->find(key)->without_effect.empty()) keys.push_back(key);
  return keys;
}

// --- files -----------------------------------------------------------------------------------------------------------

Result<FoundFile> find_file(const Sources& sources) {
  FoundFile found;
  if (sources.file) {
    found.path = *sources.file;
    return found;
  }
  const auto here = sources.working_folder / kFileName;
  struct stat entry {};
  struct stat info {};
  if (::lstat(here.c_str(), &entry) == 0 && ::stat(here.c_str(), &info) == 0) {
    found.path = here;
    if (is_foreign(entry, sources)) info = entry;  // a link counts as its owner's, wherever it points
    const Trust trust = trust_in(info, sources);
    if (trust == Trust::trusted) return found;
    if (trust == Trust::writable) return refuse_writable(here);
    found.warnings.push_back(fmt::format("{} is skipped: it belongs to another user ({}), not to this one or to root",
                                         here.string(), info.st_uid));
  }
  std::filesystem::path user = sources.home / ".config";
  if (const auto given = sources.variable("XDG_CONFIG_HOME"); given && !given->empty()) user = *given;
  found.path = sources.home / ".nunet" / kFileName;
  std::error_code error;
  for (const auto& folder : {sources.home / ".nunet", user / "nunet", sources.system_folder}) {
    if (!std::filesystem::exists(folder / kFileName, error)) continue;
    found.path = folder / kFileName;
    break;
  }
  return found;
}

Result<void> write(const std::filesystem::path& file, std::string_view text) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  const bool exists = !error && std::filesystem::is_regular_file(status);
  return write_file(file, text, exists ? static_cast<unsigned>(status.permissions()) & 0777 : 0600);
}

Result<Loaded> load(const Sources& sources) {
  TRY(FoundFile file, find_file(sources));
  TRY(const json::Object object, read_given(sources, file.path));
  return load_from(sources, std::move(file), object);
}

Result<Loaded> parse(std::string_view text, const Sources& sources) {
  TRY(const json::Object object, parse_object(text));
  return load_from(sources, {}, object);
}

Result<Loaded> set(const Sources& sources, std::string_view key, std::string_view value) {
  TRY(const Setting* setting, sources.registry->get(key));
  TRY(FoundFile file, find_file(sources));
  Result<json::Object> object = read_checked(sources, file.path);
  if (!object && !object.error().is(Errc::not_found))
    return fail(object.error(), "the configuration file {}", file.path.string());
  if (!object) object = json::Object();
  json::Object* section = &*object;
  std::string_view rest = setting->key;
  for (auto dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
    json::Value& inner = (*section)[rest.substr(0, dot)];
    if (!inner.is_object()) inner = json::Object();
    section = &inner.get_object();
    rest.remove_prefix(dot + 1);
  }
  (*section)[rest] = setting->from_text(value);
  const auto path = file.path;
  TRY(Loaded loaded, load_from(sources, std::move(file), *object));
  TRY_VOID(write(path, json::write_pretty(json::Value(*object)) + "\n"));
  return loaded;
}

}  // namespace dms::config
