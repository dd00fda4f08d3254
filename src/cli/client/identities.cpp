#include "cli/client/identities.hpp"

#include <algorithm>

namespace dms::cli {
namespace {

/// What there is of an identity.
struct Party {
  Identity identity;
  bool has_key = false;
  std::optional<ucan::CapabilityContext> context;
  bool is_unproven = false;  ///< whether the context belongs to the key is seen by decrypting the key only
  std::optional<crypto::PrivateKey> key;
  [[nodiscard]] bool lacks_key() const { return !has_key && !identity.in_wallet; }
};

Result<Party> find_party(Session& session, const std::string& name, bool may_be_in_wallet) {
  TRY_VOID(check_name(name));
  Party party;
  Identity& identity = party.identity;
  identity.name = name;
  TRY(const auto store, session.keystore());
  identity.key_file = store.folder() / (name + ".json");
  TRY(identity.context_file, session.context_path(name));
  party.has_key = store.exists(name);
  std::error_code error;
  if (!std::filesystem::exists(identity.context_file, error)) return party;
  TRY(party.context, session.load_context(name));
  identity.did = party.context->did();
  identity.in_wallet = may_be_in_wallet && Session::belongs_to_wallet(*party.context);
  if (party.lacks_key())
    return fail(
        Errc::failed,
        "the key of the capability context in {} is missing: bring it back with `nunet key import {} <file>`, or "
        "move the context away",
        identity.context_file.string(), name);
  party.is_unproven = !identity.in_wallet && !session.known_did(name);
  return party;
}

Result<void> decrypt(Session& session, Party& party, const crypto::Secret& secret) {
  const Identity& identity = party.identity;
  TRY(const auto store, session.keystore());
  auto key = store.load(identity.name, secret);
  if (!key) return fail(key.error(), "key \"{}\"", identity.name);
  TRY(const auto did, did::Did::from(key->public_key()));
  if (party.context && party.context->did() != did)
    return fail(
        Errc::failed,
        "the capability context in {} belongs to another key than \"{}\"; `nunet cap new {} --force` replaces it",
        identity.context_file.string(), identity.name, identity.name);
  party.key = *std::move(key);
  return {};
}

Result<void> make_key(Session& session, Party& party, const crypto::Secret& secret) {
  TRY(const auto store, session.keystore());
  party.key = crypto::PrivateKey::generate(session.environment().random());
  TRY_VOID(store.save(party.identity.name, *party.key, secret, session.environment().random()));
  party.identity.key_made = true;
  return {};
}

Result<void> make_keys(Session& session, Party& daemon, Party& user, bool with_daemon_key) {
  std::vector<Party*> sealed;
  std::vector<Party*> missing;
  for (Party* party : {&daemon, &user}) {
    const bool is_asked_for = party == &daemon && with_daemon_key;
    if (party->lacks_key())
      missing.push_back(party);
    else if (!party->identity.in_wallet && (!party->context || party->is_unproven || is_asked_for))
      sealed.push_back(party);
  }
  if (sealed.empty() && missing.empty()) return {};
  std::string names;
  for (const Party* party : sealed.empty() ? missing : sealed)
    names += fmt::format("{}\"{}\"", names.empty() ? "" : " and ", party->identity.name);
  const std::string keys = fmt::format("key{} {}", names.find(' ') == std::string::npos ? "" : "s", names);
  auto secret =
      sealed.empty() ? session.new_passphrase(keys) : session.passphrase(fmt::format("Passphrase of {}: ", keys));
  if (!secret) return std::unexpected(secret.error());
  for (Party* party : sealed) TRY_VOID(decrypt(session, *party, *secret));
  for (Party* party : missing) TRY_VOID(make_key(session, *party, *secret));
  return {};
}

Result<void> make_context(Session& session, Party& party) {
  if (party.context) return {};
  TRY(party.context, ucan::CapabilityContext::create(*party.key, session.environment().random()));
  party.identity.did = party.context->did();
  party.identity.context_made = true;
  return {};
}

}  // namespace

Result<Identities> make_identities(Session& session, const std::string& daemon, bool with_daemon_key) {
  if (daemon == kUserContext)
    return fail(Errc::failed, "rest.context: the daemon needs an identity of its own, beside that of \"{}\"",
                kUserContext);
  TRY(Party node, find_party(session, daemon, false));
  TRY(Party user, find_party(session, std::string(kUserContext), true));
  TRY_VOID(make_keys(session, node, user, with_daemon_key));
  TRY_VOID(make_context(session, user));
  if (user.identity.context_made) TRY_VOID(session.save_context(user.identity.name, *user.context));
  TRY_VOID(make_context(session, node));
  Identities made;
  const std::vector<did::Did> roots = node.context->anchors().roots;
  if (std::ranges::find(roots, user.identity.did) == roots.end()) {
    ucan::Anchors root;
    root.roots.push_back(user.identity.did);
    TRY_VOID(node.context->anchor(root, session.environment().now()));
    made.anchored = true;
  }
  // With its root: a context without one would let nobody use the daemon.
  if (node.identity.context_made || made.anchored) TRY_VOID(session.save_context(daemon, *node.context));
  made.daemon = std::move(node.identity);
  made.user = std::move(user.identity);
  made.daemon_key = std::move(node.key);
  return made;
}

}  // namespace dms::cli
