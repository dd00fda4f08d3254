// nunet key: signing keys.
#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"

namespace dms::cli {
namespace {

Result<void> key_new(Session& session, const Arguments& arguments) {
  const std::string name = arguments.get("name", "");
  TRY_VOID(check_name(name));
  TRY(auto store, session.keystore());
  if (store.exists(name) && !arguments.has("force"))
    TRY_VOID(session.confirm(
        fmt::format("A key \"{}\" already exists; replacing it loses its identity and capabilities. Replace it?", name),
        "Choose another name, or use --force."));
  TRY(auto key, session.make_key(name));
  TRY(auto did, did::Did::from(key.public_key()));
  session.print(did.uri());
  return {};
}

Result<void> key_did(Session& session, const Arguments& arguments) {
  const std::string name = arguments.get("name", "");
  if (is_wallet_context(name)) {
    TRY(auto signer, session.load_signer(name));
    TRY(auto did, did::Did::from(signer.public_key()));
    session.print(did.uri());
    return {};
  }
  TRY_VOID(check_name(name));
  if (const auto known = session.known_did(name)) {
    session.print(known->uri());
    return {};
  }
  TRY(auto key, session.load_key(name));
  TRY(auto did, did::Did::from(key.public_key()));
  session.print(did.uri());
  return {};
}

Result<void> key_list(Session& session, const Arguments& arguments) {
  TRY(auto store, session.keystore());
  TRY(auto names, store.list());
  if (arguments.has("json")) {
    json::Object list;
    for (const auto& name : names) {
      const auto did = session.known_did(name);
      list[name] = json::Object{{"did", did ? json::Value(did->uri()) : json::Value(nullptr)},
                                {"file", (store.folder() / (name + ".json")).string()}};
    }
    session.print_json(json::write_pretty(list));
    return {};
  }
  if (names.empty()) {
    session.note(
        fmt::format("There are no keys in {}; create one with `nunet key new user`.", store.folder().string()));
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"NAME", "DID"}};
  bool unknown = false;
  for (const auto& name : names) {
    const auto did = session.known_did(name);
    unknown = unknown || !did;
    rows.push_back({name, did ? did->uri() : "unknown"});
  }
  session.print_table(rows);
  if (unknown) session.note("Key files do not store the DID; `nunet key did <name>` decrypts the key to compute it.");
  return {};
}

Result<void> set_alias(Session& session, const Arguments& arguments) {
  const std::string alias = arguments.get("alias", "");
  const auto account = json::decode<std::uint32_t>(arguments.get("index", ""));
  if (!account)
    return fail(Errc::usage, "<index>: expected the number of an account, found \"{}\"", arguments.get("index", ""));
  TRY(const auto folders, session.section<FolderSettings>());
  TRY_VOID(set_wallet_alias(folders.user_dir, alias, *account));
  session.note(fmt::format("\"ledger:{}\" is now an alias of the wallet's account {}.", alias, *account));
  return {};
}

Command ledger_alias_command() {
  return {.name = "ledger-alias",
          .summary = "Manage names for accounts of a Ledger wallet",
          .children = {{.name = "set",
                        .summary = "Set an alias for an account",
                        .detail = "Makes `ledger:<alias>` a capability context whose tokens the wallet signs.",
                        .examples = {"nunet key ledger-alias set user 0"},
                        .positionals = {{"alias", "the alias"}, {"index", "number of the account, from 0"}},
                        .action = set_alias}}};
}

const Positional kNewName{"name", "name of the key; by convention `user` for the user and `dms` for the daemon"};
const Positional kName{.name = "name", .help = "name of the key", .known = Known::keys};

}  // namespace

Command key_commands() {
  return {
      .name = "key",
      .summary = "Create, show, import and export keys",
      .detail =
          "A key is an identity, named by its DID; it signs tokens and messages. Keys are stored encrypted under a "
          "passphrase,\n"
          "which is read from DMS_PASSPHRASE or from the terminal.",
      .children = {{.name = "new",
                    .summary = "Create a key and print its DID",
                    .examples = {"nunet key new user"},
                    .options = {{.name = "force",
                                 .letter = 'f',
                                 .help = "replace an existing key of that name without asking"}},
                    .positionals = {kName},
                    .action = key_new},
                   {.name = "did",
                    .summary = "Print the DID of a key",
                    .detail = "Decrypts the key only if no capability context of it contains the DID.",
                    .examples = {"nunet key did user"},
                    .positionals = {kName},
                    .action = key_did},
                   {.name = "list",
                    .summary = "List this user's keys and their DIDs",
                    .options = {json_option()},
                    .action = key_list},
                   key_import_command(),
                   key_export_command(),
                   ledger_alias_command()},
  };
}

}  // namespace dms::cli
