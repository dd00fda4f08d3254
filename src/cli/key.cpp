// nunet key: the keys that sign.
#include "cli/groups.hpp"
#include "cli/session.hpp"

namespace dms::cli {
namespace {

Result<void> key_new(Session& session, const Arguments& arguments) {
  const std::string name = arguments.get("name", "");
  TRY_VOID(check_name(name));
  TRY(auto store, session.keystore());
  if (store.exists(name) && !arguments.has("force"))
    TRY_VOID(session.confirm(
        fmt::format("There is a key \"{}\" already; whatever it may do is lost with it. Replace it?", name),
        "Choose another name, or use --force."));
  TRY(auto key, session.make_key(name));
  TRY(auto did, did::Did::from(key.public_key()));
  session.print(did.uri());
  return {};
}

Result<void> key_did(Session& session, const Arguments& arguments) {
  const std::string name = arguments.get("name", "");
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
    json::Array list;
    for (const auto& name : names) {
      const auto did = session.known_did(name);
      list.emplace_back(json::Object{{"name", name},
                                     {"did", did ? json::Value(did->uri()) : json::Value(nullptr)},
                                     {"file", (store.folder() / (name + ".json")).string()}});
    }
    session.print(json::write_pretty(list));
    return {};
  }
  if (names.empty()) {
    session.note(fmt::format("There are no keys in {}; make one with `nunet key new user`.", store.folder().string()));
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"NAME", "DID"}};
  bool unknown = false;
  for (const auto& name : names) {
    const auto did = session.known_did(name);
    unknown = unknown || !did;
    rows.push_back({name, did ? did->uri() : "unknown"});
  }
  session.print(table(rows));
  if (unknown) session.note("A key file does not say whose it is; `nunet key did <name>` opens it.");
  return {};
}

const Positional kNewName{"name", "name of the key; by custom `user` for people and `dms` for the daemon"};
const Positional kName{.name = "name", .help = "name of the key", .known = Known::keys};

}  // namespace

Command key_commands() {
  return {
      .name = "key",
      .summary = "Make and show keys",
      .detail =
          "A key is an identity: its DID is what others trust, and what it signs counts. Keys are kept encrypted under "
          "a\n"
          "passphrase, which is read from DMS_PASSPHRASE or asked for.",
      .children = {{.name = "new",
                    .summary = "Make a key and print its DID",
                    .examples = {"nunet key new user"},
                    .options = {{.name = "force", .letter = 'f', .help = "replace a key of that name without asking"}},
                    .positionals = {kName},
                    .action = key_new},
                   {.name = "did",
                    .summary = "Print the DID of a key",
                    .detail = "Opens the key only if no capability context made with it tells its DID.",
                    .examples = {"nunet key did user"},
                    .positionals = {kName},
                    .action = key_did},
                   {.name = "list",
                    .summary = "List the keys of this user and their DIDs",
                    .options = {json_option()},
                    .action = key_list},
                   key_import_command(),
                   key_export_command()},
  };
}

}  // namespace dms::cli
