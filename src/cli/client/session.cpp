#include "cli/client/session.hpp"

#include <sys/stat.h>

#include "api/settings.hpp"
#include "base/file.hpp"
#include "cli/client/daemon_lock.hpp"

namespace dms::cli {
namespace {

/// The setting that a global flag sets.
constexpr std::pair<std::string_view, std::string_view> kFlagSettings[] = {
    {"rest-addr", "rest.addr"},         {"rest-port", "rest.port"},         {"user-dir", "general.user_dir"},
    {"work-dir", "general.work_dir"},   {"data-dir", "general.data_dir"},   {"debug", "general.debug"},
    {"profiler-addr", "profiler.addr"}, {"profiler-port", "profiler.port"}, {"profiler-enabled", "profiler.enabled"},
};

}  // namespace

Option context_option(std::string_view fallback) {
  return {.name = "context",
          .letter = 'c',
          .value = "name",
          .help = fmt::format("key and capability context to use [{}]", fallback),
          .known = Known::contexts};
}

Option json_option() { return {.name = "json", .help = "print JSON, for programs"}; }

Result<void> check_name(std::string_view name) {
  const auto good = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  if (!name.empty() && name.size() <= 64 && name.front() != '.' && std::ranges::all_of(name, good)) return {};
  return fail(Errc::usage, "name \"{}\": expected up to 64 letters, digits, '-', '_' and '.', not beginning with '.'",
              name);
}

Result<did::Did> parse_did(std::string_view what, std::string_view text) {
  auto did = did::Did::parse(text);
  if (!did) return std::unexpected(did.error().context(Errc::usage, std::string(what)));
  if (did->empty()) return fail(Errc::usage, "{}: expected a DID such as did:key:z6Mk...", what);
  return did;
}

config::Sources Session::sources() const {
  config::Sources sources{.registry = environment_.registry()};
  if (const auto file = global_.get("config")) sources.file = *file;
  sources.home = environment_.variable("HOME").value_or("/");
  // Flags take precedence over variables.
  sources.variable = [&environment = environment_, flags = flag_variables()](const std::string& name) {
    const auto flag = flags.find(name);
    return flag == flags.end() ? environment.variable(name) : std::optional(flag->second);
  };
  return sources;
}

std::map<std::string, std::string> Session::flag_variables() const {
  std::map<std::string, std::string> flags;
  for (const auto& [flag, key] : kFlagSettings) {
    const std::string name(flag);
    if (global_.is_off(name))
      flags[config::variable_name(key)] = "false";
    else if (const auto value = global_.get(name))
      flags[config::variable_name(key)] = *value;
  }
  return flags;
}

Result<void> Session::check_flags() const {
  config::Sources flags_only{.registry = environment_.registry()};
  flags_only.variable = [flags = flag_variables()](const std::string& name) {
    const auto flag = flags.find(name);
    return flag == flags.end() ? std::nullopt : std::optional(flag->second);
  };
  const auto read = config::parse("{}", flags_only);
  if (read) return {};
  const auto* wrong =
      std::ranges::find(kFlagSettings, read.error().path(), &std::pair<std::string_view, std::string_view>::second);
  if (wrong == std::end(kFlagSettings)) return std::unexpected(read.error().context(Errc::usage, "the global flags"));
  const Error* cause = read.error().cause();
  return fail(Errc::usage, "--{}: {}", wrong->first, (cause != nullptr ? *cause : read.error()).to_string());
}

Result<const config::Loaded*> Session::settings() {
  if (!settings_) {
    TRY_VOID(check_flags());
    TRY(settings_, config::load(sources()));
    for (const auto& warning : settings_->warnings) note(warning);
  }
  return &*settings_;
}

Result<IpEndpoint> Session::rest_address() {
  TRY(const auto rest, section<api::Settings>());
  TRY(const auto address, IpAddress::parse(rest.addr));
  return IpEndpoint{address, rest.port};
}

Result<DaemonTarget> Session::daemon_target() {
  TRY(const auto* loaded, settings());
  DaemonTarget target;
  TRY(target.rest, rest_address());
  const auto folders = loaded->section<FolderSettings>();
  const bool named = loaded->origin("rest.addr") == config::Origin::environment ||
                     loaded->origin("rest.port") == config::Origin::environment;
  struct stat folder {};
  if (!named && ::stat(folders.work_dir.c_str(), &folder) == 0) {
    target.socket = (std::filesystem::path(folders.work_dir) / api::kSocketName).string();
    target.folder_owner = folder.st_uid;
  }
  const auto daemon = loaded->section<DaemonSettings>();
  if (!daemon.did.empty()) {
    TRY(target.did, did::Did::parse(daemon.did));
    target.did_is_set = true;
    target.did_source = "rest.did";
    return target;
  }
  target.did_source = fmt::format("the capability context \"{}\"", daemon.context);
  auto context = load_context(daemon.context);
  if (context)
    target.did = context->did();
  else
    target.did_source += fmt::format(" cannot be read ({})", context.error().to_string());
  return target;
}

Result<DaemonConnection*> Session::daemon() {
  if (!daemon_) {
    TRY(auto target, daemon_target());
    TRY(daemon_, DaemonConnection::open(environment_, std::move(target)));
  }
  return &*daemon_;
}

std::optional<crypto::Secret> Session::given_passphrase() {
  auto value = environment_.variable(std::string(kPassphraseVariable));
  if (!value || value->empty()) return std::nullopt;
  return crypto::Secret::take(*value);
}

Result<crypto::Secret> Session::passphrase(const std::string& question) {
  if (auto given = given_passphrase()) return *std::move(given);
  if (!environment_.has_terminal())
    return fail(Errc::failed, "a passphrase is needed: set {} or run this in a terminal", kPassphraseVariable);
  TRY(crypto::Secret secret, environment_.ask_secret(printable(question)));
  if (secret.empty()) return fail(Errc::failed, "the passphrase is empty");
  return secret;
}

Result<crypto::Keystore> Session::keystore() {
  TRY(const auto folders, section<FolderSettings>());
  return crypto::Keystore(std::filesystem::path(folders.user_dir) / "key", environment_.key_cost());
}

Result<crypto::Signer> Session::load_signer(const std::string& context) {
  if (!is_wallet_context(context)) {
    TRY(auto key, load_key(context));
    return crypto::Signer(std::move(key));
  }
  TRY(const auto folders, section<FolderSettings>());
  TRY(const auto account, wallet_account(folders.user_dir, context));
  return open_wallet(environment_, account);
}

Result<crypto::PrivateKey> Session::load_key(const std::string& name) {
  if (is_wallet_context(name))
    return fail(Errc::failed, "the private key of \"{}\" does not leave the wallet; this needs a key of this machine",
                name);
  TRY_VOID(check_name(name));
  TRY(auto store, keystore());
  if (!store.exists(name))
    return fail(Errc::failed, "there is no key \"{}\" in {}; make one with `nunet key new {}`", name,
                store.folder().string(), name);
  TRY(auto secret, passphrase(fmt::format("Passphrase of key \"{}\": ", name)));
  return store.load(name, secret);
}

Result<crypto::Secret> Session::new_passphrase(std::string_view what) {
  if (auto given = given_passphrase()) return *std::move(given);
  TRY(auto secret, passphrase(fmt::format("New passphrase for {}: ", what)));
  TRY(auto again, passphrase("The same passphrase again: "));
  if (!std::ranges::equal(secret.view(), again.view()))
    return fail(Errc::declined, "the passphrases differ; no key was stored");
  return secret;
}

Result<void> Session::store_key(const std::string& name, const crypto::PrivateKey& key,
                                std::optional<crypto::Secret> secret) {
  TRY_VOID(check_name(name));
  TRY(auto store, keystore());
  TRY(auto did, did::Did::from(key.public_key()));
  if (!secret) {
    TRY(secret, new_passphrase(fmt::format("key \"{}\"", name)));
  }
  TRY_VOID(store.save(name, key, *secret, environment_.random()));
  return rename_stale_context(name, did);
}

Result<crypto::PrivateKey> Session::make_key(const std::string& name) {
  auto key = crypto::PrivateKey::generate(environment_.random());
  TRY_VOID(store_key(name, key));
  return key;
}

Result<void> Session::rename_stale_context(const std::string& name, const did::Did& owner) {
  TRY(auto path, context_path(name));
  const auto context = load_context(name);
  if (!context || context->did() == owner || belongs_to_wallet(*context)) return {};
  auto aside = path;
  aside += fmt::format(".{}", environment_.now().seconds());
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (error) return fail(dms::Errc::io, "moving {} aside: {}", path.string(), error.message());
  note(fmt::format("The capability context of the previous key, {}, is now {}; `nunet cap new {}` makes a new one.",
                   context->did().uri(), aside.string(), name));
  return {};
}

bool Session::belongs_to_wallet(const ucan::CapabilityContext& context) {
  const auto key = context.did().public_key();
  return key && key->type() == crypto::KeyType::ethereum;
}

bool Session::context_is_older_than_key(const std::string& name) {
  const auto path = context_path(name);
  const auto store = keystore();
  if (!path || !store) return true;
  std::error_code error;
  const auto context_time = std::filesystem::last_write_time(*path, error);
  if (error) return true;
  const auto key_time = std::filesystem::last_write_time(store->folder() / (name + ".json"), error);
  return error || context_time < key_time;
}

std::optional<did::Did> Session::known_did(const std::string& name) {
  if (context_is_older_than_key(name)) return std::nullopt;
  const auto context = load_context(name);
  if (!context || belongs_to_wallet(*context)) return std::nullopt;
  return context->did();
}

Result<std::filesystem::path> Session::context_path(const std::string& name) {
  const std::string stem(context_file_stem(name));
  TRY_VOID(check_name(stem));
  TRY(const auto folders, section<FolderSettings>());
  return std::filesystem::path(folders.user_dir) / "cap" / (stem + ".cap");
}

Result<ucan::CapabilityContext> Session::load_context(const std::string& name, std::optional<crypto::Signer> signer) {
  TRY(auto path, context_path(name));
  auto context = ucan::CapabilityContext::load(path, std::move(signer), environment_.random(), environment_.now());
  if (!context && context.error().is(dms::Errc::not_found))
    return fail(Errc::failed, "there is no capability context \"{}\" in {}; make one with `nunet cap new {}`", name,
                path.parent_path().string(), name);
  return context;
}

Result<void> Session::save_context(const std::string& name, const ucan::CapabilityContext& context) {
  TRY(auto path, context_path(name));
  // Whether the key was replaced since is not known here, so the order of the two files is preserved.
  std::error_code error;
  const auto before = std::filesystem::last_write_time(path, error);
  const bool stale = !error && !context.can_issue() && context_is_older_than_key(name);
  TRY_VOID(context.save(path));
  if (stale) std::filesystem::last_write_time(path, before, error);
  std::filesystem::permissions(path.parent_path(), std::filesystem::perms::owner_all, error);
  if (error) return fail(dms::Errc::io, "setting the mode of {}: {}", path.parent_path().string(), error.message());
  TRY(const auto folders, section<FolderSettings>());
  if (const auto pid = reload_daemon(folders.work_dir))
    note(fmt::format("The running daemon (process {}) reloads it.", *pid));
  return {};
}

std::vector<std::string> Session::list_contexts() {
  std::vector<std::string> names;
  const auto folder = context_path("any");
  if (!folder) return names;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder->parent_path(), error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error))
    if (entries->path().extension() == ".cap") names.push_back(entries->path().stem().string());
  return names;
}

std::vector<std::string> Session::list(Known kind) {
  std::vector<std::string> found;
  if (kind == Known::contexts) return list_contexts();
  if (kind == Known::keys) {
    if (const auto store = keystore()) found = store->list().value_or(std::vector<std::string>());
  } else if (kind == Known::dids) {
    for (const auto& name : list_contexts()) {
      const auto context = load_context(name);
      if (!context) continue;
      found.push_back(context->did().uri());
      for (const auto& root : context->anchors().roots) found.push_back(root.uri());
    }
  } else if (kind == Known::settings) {
    if (const auto loaded = settings())
      for (const auto& entry : (*loaded)->list()) found.push_back(entry.key);
  }
  return found;
}

Result<std::string> Session::read_input(std::size_t max_size) {
  std::string text;
  std::array<char, 16384> block;
  while (streams_.in.read(block.data(), block.size()) || streams_.in.gcount() > 0) {
    text.append(block.data(), static_cast<std::size_t>(streams_.in.gcount()));
    if (text.size() > max_size)
      return fail(dms::Errc::limit_exceeded, "standard input has more than {} bytes", max_size);
  }
  return text;
}

void Session::print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells = rows;
  std::vector<std::size_t> widths;
  for (auto& row : cells)
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto& row : cells) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.resize(line.find_last_not_of(' ') + 1);
    print_raw(line + '\n');
  }
}

Result<void> Session::confirm(std::string_view question, std::string_view instead) {
  if (!environment_.interactive()) return fail(Errc::declined, "{} {}", question, instead);
  note_raw(printable(question) + " [y/N] ");
  std::string answer;
  std::getline(streams_.in, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return {};
  return fail(Errc::declined, "nothing was changed");
}

Result<std::string> Session::ask(std::string_view question) {
  constexpr Duration kPatience = std::chrono::minutes(1);
  constexpr Duration kStep = std::chrono::milliseconds(50);
  note_raw(printable(question) + ' ');
  std::string answer;
  Duration waited(0);
  for (; waited < kPatience && !environment_.has_input(); waited += kStep) {
    const auto paused = environment_.pause(kStep);
    if (!paused) note("");
    TRY_VOID(paused);
  }
  if (waited < kPatience)
    std::getline(streams_.in, answer);
  else
    note("");
  return answer;
}

}  // namespace dms::cli
