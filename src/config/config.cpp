#include "config/config.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cctype>

#include "base/file.hpp"
#include "encoding/json.hpp"
#include "base/suggest.hpp"

namespace dms::config {
namespace {

constexpr std::string_view kFileName = "dms_config.json";
constexpr std::size_t kMaxFile = 1024 * 1024;

/// A setting that is a path: `~/` is expanded in it.
struct PathRef {
  std::string& text;
};
struct ConstPathRef {
  const std::string& text;
};
inline PathRef path(std::string& text) { return {text}; }
inline ConstPathRef path(const std::string& text) { return {text}; }

/// The one list of all keys: calls f("rest.port", config.rest.port) for each.
template <class C, class F>
void for_each_key(C& c, F&& f) {
  auto& general = c.general;
  f("general.env", general.env);
  f("general.user_dir", path(general.user_dir));
  f("general.work_dir", path(general.work_dir));
  f("general.data_dir", path(general.data_dir));
  f("general.debug", general.debug);
  f("general.host_city", general.host_city);
  f("general.host_country", general.host_country);
  f("general.host_continent", general.host_continent);
  f("general.port_available_range_from", general.port_available_range_from);
  f("general.port_available_range_to", general.port_available_range_to);
  f("general.storage_mode", general.storage_mode);
  f("general.storage_ca_directory", path(general.storage_ca_directory));
  f("general.storage_bricks_dir", path(general.storage_bricks_dir));
  f("general.storage_glusterfs_hostname", general.storage_glusterfs_hostname);
  auto& payment = general.payment_provider;
  f("general.payment_provider.mode", payment.mode);
  f("general.payment_provider.ethereum_rpc_url", payment.ethereum_rpc_url);
  f("general.payment_provider.ethereum_rpc_token", payment.ethereum_rpc_token);
  f("general.payment_provider.ntx_contract_address", payment.ntx_contract_address);
  f("general.payment_provider.starting_block_scanning", payment.starting_block_scanning);
  f("general.payment_provider.block_frost_api_url", payment.block_frost_api_url);
  f("general.payment_provider.block_frost_api_key", payment.block_frost_api_key);
  f("general.payment_provider.cardano_asset_name", payment.cardano_asset_name);
  f("general.payment_provider.cardano_asset_policy_id", payment.cardano_asset_policy_id);
  f("rest.addr", c.rest.addr);
  f("rest.port", c.rest.port);
  f("profiler.enabled", c.profiler.enabled);
  f("profiler.addr", c.profiler.addr);
  f("profiler.port", c.profiler.port);
  f("p2p.listen_address", c.p2p.listen_address);
  f("p2p.bootstrap_peers", c.p2p.bootstrap_peers);
  f("p2p.memory", c.p2p.memory);
  f("p2p.fd", c.p2p.fd);
  f("p2p.security", c.p2p.security);
  f("job.allow_privileged_docker", c.job.allow_privileged_docker);
  auto& logging = c.observability.logging;
  f("observability.logging.level", logging.level);
  f("observability.logging.file", path(logging.file));
  f("observability.logging.rotation.max_size_mb", logging.rotation.max_size_mb);
  f("observability.logging.rotation.max_backups", logging.rotation.max_backups);
  f("observability.logging.rotation.max_age_days", logging.rotation.max_age_days);
  auto& elastic = c.observability.elastic;
  f("observability.elastic.url", elastic.url);
  f("observability.elastic.index", elastic.index);
  f("observability.elastic.flush_interval", elastic.flush_interval);
  f("observability.elastic.enabled", elastic.enabled);
  f("observability.elastic.api_key", elastic.api_key);
  f("observability.elastic.insecure_skip_verify", elastic.insecure_skip_verify);
  f("apm.server_url", c.apm.server_url);
  f("apm.service_name", c.apm.service_name);
  f("apm.environment", c.apm.environment);
  f("apm.api_key", c.apm.api_key);
  f("apm.secret_token", c.apm.secret_token);
  f("executor.docker", c.executor.docker);
  f("executor.docker_socket", path(c.executor.docker_socket));
  f("executor.sandbox", c.executor.sandbox);
}

/// Keys of older files and the keys they stand for.
constexpr std::pair<std::string_view, std::string_view> kOldKeys[] = {
    {"observability.log_level", "observability.logging.level"},
    {"observability.log_file", "observability.logging.file"},
    {"observability.max_size", "observability.logging.rotation.max_size_mb"},
    {"observability.max_backups", "observability.logging.rotation.max_backups"},
    {"observability.max_age", "observability.logging.rotation.max_age_days"},
    {"observability.elasticsearch_url", "observability.elastic.url"},
    {"observability.elasticsearch_index", "observability.elastic.index"},
    {"observability.flush_interval", "observability.elastic.flush_interval"},
    {"observability.elasticsearch_enabled", "observability.elastic.enabled"},
    {"observability.elasticsearch_api_key", "observability.elastic.api_key"},
    {"observability.insecure_skip_verify", "observability.elastic.insecure_skip_verify"},
};

const std::vector<std::string_view>& all_keys() {
  static const auto keys = [] {
    std::vector<std::string_view> names;
    const Config config;
    for_each_key(config, [&](std::string_view key, const auto&) { names.push_back(key); });
    return names;
  }();
  return keys;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// The key in its present spelling; empty if there is none such.
std::string_view known_key(std::string_view written) {
  const std::string key = lower(written);
  for (const auto& [old, present] : kOldKeys)
    if (old == key) return present;
  const auto& keys = all_keys();
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? std::string_view() : *found;
}

/// The nearest key: by the whole key, or by its last part for one written into the wrong section.
std::string meant(std::string_view key) {
  std::string_view near = nearest(key, all_keys());
  const auto last = [](std::string_view name) { return name.substr(name.rfind('.') + 1); };
  for (const std::string_view known : all_keys())
    if (near.empty() && last(known) == last(key)) near = known;
  return near.empty() ? "; `nunet config get` lists the known keys" : fmt::format("; did you mean {}?", near);
}

// --- values ----------------------------------------------------------------------------------------------------------

template <class T>
Result<void> assign(T& value, const json::Value& given) {
  TRY(value, json::from_value<T>(given));
  return {};
}
Result<void> assign(PathRef value, const json::Value& given) { return assign(value.text, given); }

/// Text from the environment or a command line as the JSON value of the same meaning.
json::Value from_text(const bool&, std::string_view text) {
  const std::string word = lower(text);
  if (word == "true" || word == "1" || word == "yes" || word == "on") return true;
  if (word == "false" || word == "0" || word == "no" || word == "off") return false;
  return boost::json::string(text);
}
json::Value from_text(const std::string&, std::string_view text) { return boost::json::string(text); }
json::Value from_text(const PathRef&, std::string_view text) { return boost::json::string(text); }
json::Value from_text(const std::vector<std::string>&, std::string_view text) {
  if (text.starts_with('['))
    if (auto list = json::parse(text)) return *std::move(list);
  json::Array items;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) items.push_back(boost::json::string(item));
  }
  return items;
}
template <std::integral T>
json::Value from_text(const T&, std::string_view text) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  if (auto number = digits ? json::parse(text) : fail(Errc::invalid_argument, "no number")) return *std::move(number);
  return boost::json::string(text);
}

std::string to_text(const bool& value) { return value ? "true" : "false"; }
std::string to_text(const std::string& value) { return value; }
std::string to_text(const ConstPathRef& value) { return value.text; }
std::string to_text(const std::vector<std::string>& value) { return fmt::format("{}", fmt::join(value, ",")); }
template <std::integral T>
std::string to_text(const T& value) {
  return std::to_string(value);
}

std::unexpected<Error> refuse(std::string_view key, std::string why) {
  return std::unexpected(json::at_member(key, Error(Errc::invalid_argument, std::move(why))));
}

/// Sets one key by a JSON value.
Result<void> assign_key(Config& config, std::string_view key, const json::Value& given) {
  Result<void> done;
  for_each_key(config, [&](std::string_view name, auto&& value) {
    if (name == key) done = assign(value, given);
  });
  if (!done) return std::unexpected(json::at_member(key, done.error()));
  return {};
}

json::Value value_from_text(Config& config, std::string_view key, std::string_view text) {
  json::Value given;
  for_each_key(config, [&](std::string_view name, auto&& value) {
    if (name == key) given = from_text(value, text);
  });
  return given;
}

// --- the file --------------------------------------------------------------------------------------------------------

struct Given {
  std::string written;  ///< the key as the file has it
  json::Value value;
};

/// The leaves of the file by dotted key. A section is an object; what is none of a section's keys is found out later.
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
  std::stable_partition(leaves.begin(), leaves.end(),
                        [](const Given& leaf) { return known_key(leaf.written) != lower(leaf.written); });
  for (const Given& leaf : leaves) {
    const std::string_view key = known_key(leaf.written);
    if (key.empty())
      return refuse(leaf.written.substr(0, 128), fmt::format("unknown key{}", meant(lower(leaf.written))));
    if (leaf.value.is_null()) continue;
    TRY_VOID(assign_key(loaded.config, key, leaf.value));
    loaded.origins[std::string(key)] = Origin::file;
  }
  return {};
}

Result<void> apply_environment(Loaded& loaded, const Sources& sources) {
  const auto apply = [&](const std::string& variable, std::string_view key) -> Result<void> {
    const auto text = sources.variable(variable);
    if (!text) return {};
    const json::Value value = value_from_text(loaded.config, key, *text);
    Result<void> done = assign_key(loaded.config, key, value);
    if (!done) return fail(done.error(), "the environment variable {}", variable);
    loaded.origins[std::string(key)] = Origin::environment;
    return {};
  };
  TRY_VOID(apply("BOOTSTRAP_PEERS", "p2p.bootstrap_peers"));
  for (const std::string_view key : all_keys()) TRY_VOID(apply(variable_name(key), key));
  return {};
}

Result<void> check_security(const std::vector<std::string>& names) {
  const std::string expected = fmt::format("expected one or more of {}, each once, the preferred one first",
                                           fmt::join(kSecurityProtocols, ", "));
  if (names.empty()) return refuse("p2p.security", expected + "; found an empty list");
  for (const std::string& name : names) {
    if (std::ranges::find(kSecurityProtocols, name) == kSecurityProtocols.end())
      return refuse("p2p.security", fmt::format("{}; found \"{}\"", expected, name.substr(0, 128)));
    if (std::ranges::count(names, name) > 1)
      return refuse("p2p.security", fmt::format("{}; found \"{}\" twice", expected, name));
  }
  return {};
}

Result<void> check(const Config& config) {
  if (config.general.port_available_range_from > config.general.port_available_range_to ||
      config.general.port_available_range_to > 65536 || config.general.port_available_range_from < 1024)
    return refuse("general.port_available_range_from",
                  fmt::format("expected a port from 1024 to general.port_available_range_to ({}), found {}",
                              config.general.port_available_range_to, config.general.port_available_range_from));
  constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "warning", "error", "off"};
  if (std::find(std::begin(kLevels), std::end(kLevels), lower(config.observability.logging.level)) == std::end(kLevels))
    return refuse("observability.logging.level",
                  fmt::format("expected trace, debug, info, warn, error or off, found \"{}\"",
                              config.observability.logging.level));
  return check_security(config.p2p.security);
}

void expand(Config& config, const std::filesystem::path& home) {
  for_each_key(config, [&]<class T>(std::string_view, T&& value) {
    if constexpr (std::same_as<std::remove_cvref_t<T>, PathRef>) {
      if (value.text == "~") value.text = home.string();
      if (value.text.starts_with("~/")) value.text = (home / value.text.substr(2)).string();
    }
  });
}

Result<Loaded> load_from(const Sources& sources, const std::filesystem::path& file, const json::Object& object) {
  Loaded loaded;
  loaded.file = file;
  if (auto done = apply_file(loaded, object); !done)
    return fail(done.error(), "the configuration file {}", file.string());
  TRY_VOID(apply_environment(loaded, sources));
  TRY_VOID(check(loaded.config));
  auto& last = loaded.config.general.port_available_range_to;
  last = std::min<std::uint32_t>(last, 65535);
  expand(loaded.config, sources.home);
  return loaded;
}

/// The file's object; empty if there is no file and none was named.
Result<json::Object> read_given(const Sources& sources, const std::filesystem::path& file) {
  Result<json::Object> object = read_object(file);
  if (object) return object;
  if (object.error().is(Errc::not_found) && !sources.file) return json::Object();
  return fail(object.error(), "the configuration file {}", file.string());
}

}  // namespace

std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::otherwise: return "default";
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
  const auto found = origins.find(std::string(known_key(key)));
  return found == origins.end() ? Origin::otherwise : found->second;
}

Result<std::string> Loaded::get(std::string_view key) const {
  const std::string_view known = known_key(key);
  if (known.empty()) return fail(Errc::not_found, "{}: unknown key{}", key.substr(0, 128), meant(lower(key)));
  std::string text;
  for_each_key(config, [&](std::string_view name, const auto& value) {
    if (name == known) text = to_text(value);
  });
  return text;
}

std::vector<Entry> Loaded::list(std::string_view section) const {
  std::vector<Entry> entries;
  for_each_key(config, [&](std::string_view name, const auto& value) {
    const bool inside = section.empty() || name == section || name.starts_with(std::string(section) + ".");
    if (inside) entries.push_back({.key = std::string(name), .value = to_text(value), .origin = origin(name)});
  });
  return entries;
}

std::filesystem::path find_file(const Sources& sources) {
  if (sources.file) return *sources.file;
  std::filesystem::path user = sources.home / ".config";
  if (const auto given = sources.variable("XDG_CONFIG_HOME"); given && !given->empty()) user = *given;
  const std::filesystem::path folders[] = {sources.working_folder, sources.home / ".nunet", user / "nunet",
                                           sources.system_folder};
  std::error_code error;
  for (const auto& folder : folders)
    if (std::filesystem::exists(folder / kFileName, error)) return folder / kFileName;
  return sources.home / ".nunet" / kFileName;
}

Result<void> write(const std::filesystem::path& file, std::string_view text) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  const bool there = !error && std::filesystem::is_regular_file(status);
  return write_file(file, text, there ? static_cast<unsigned>(status.permissions()) & 0777 : 0600);
}

Result<Loaded> load(const Sources& sources) {
  const auto file = find_file(sources);
  TRY(const json::Object object, read_given(sources, file));
  return load_from(sources, file, object);
}

Result<Loaded> parse(std::string_view text, const Sources& sources) {
  TRY(const json::Object object, parse_object(text));
  return load_from(sources, {}, object);
}

Result<Loaded> set(const Sources& sources, std::string_view key, std::string_view value) {
  const std::string_view known = known_key(key);
  if (known.empty()) return fail(Errc::not_found, "{}: unknown key{}", key.substr(0, 128), meant(lower(key)));
  const auto file = find_file(sources);
  Result<json::Object> object = read_object(file);
  if (!object && !object.error().is(Errc::not_found))
    return fail(object.error(), "the configuration file {}", file.string());
  if (!object) object = json::Object();
  Config scratch;
  json::Object* section = &*object;
  std::string_view rest = known;
  for (auto dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
    json::Value& inner = (*section)[rest.substr(0, dot)];
    if (!inner.is_object()) inner = json::Object();
    section = &inner.get_object();
    rest.remove_prefix(dot + 1);
  }
  (*section)[rest] = value_from_text(scratch, known, value);
  TRY(Loaded loaded, load_from(sources, file, *object));
  TRY_VOID(write(file, json::write_pretty(json::Value(*object)) + "\n"));
  return loaded;
}

}  // namespace dms::config
