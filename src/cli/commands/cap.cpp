// nunet cap: the trust anchors of capability contexts, and tokens issued from them.
#include "cli/client/client.hpp"
#include "cli/client/session.hpp"
#include "cli/commands/groups.hpp"
#include "protocol/node.hpp"

namespace dms::cli {
namespace {

/// A token or a list of tokens as JSON; `-` stands for standard input.
Result<ucan::TokenList> read_tokens(Session& session, std::string_view what, std::string text) {
  if (text == "-") {
    TRY(text, session.read_input(kMaxInput));
  }
  auto value = json::parse(text);
  if (!value)
    return std::unexpected(value.error().context(Errc::usage, fmt::format("{}: expected a token as JSON", what)));
  if (value->is_object() && (value->as_object().contains("dms") || value->as_object().contains("ucan"))) {
    auto token = ucan::Token::from_json(*value);
    if (!token) return std::unexpected(token.error().context(Errc::usage, std::string(what)));
    return ucan::TokenList{{*std::move(token)}};
  }
  auto list = ucan::TokenList::from_json(*value);
  if (!list) return std::unexpected(list.error().context(Errc::usage, std::string(what)));
  if (list->empty()) return fail(Errc::usage, "{}: expected a token, found none", what);
  return list;
}

Result<ucan::Anchors> read_anchors(Session& session, const Arguments& arguments) {
  ucan::Anchors anchors;
  for (const auto& root : arguments.all("root")) {
    TRY(auto did, parse_did("--root", root));
    anchors.roots.push_back(std::move(did));
  }
  for (auto [name, list] : {std::pair("require", &anchors.require), std::pair("provide", &anchors.provide),
                            std::pair("revoke", &anchors.revoke)}) {
    if (!arguments.has(name)) continue;
    TRY(*list, read_tokens(session, fmt::format("--{}", name), arguments.get(name, "")));
  }
  return anchors;
}

Result<crypto::Signer> signer_of_new_context(Session& session, const std::string& name) {
  if (is_wallet_context(name)) return session.load_signer(name);
  TRY(auto store, session.keystore());
  const bool known = store.exists(name);
  session.note(known ? fmt::format("Using key \"{}\".", name) : fmt::format("Creating key \"{}\".", name));
  auto key = known ? session.load_key(name) : session.make_key(name);
  if (!key) return std::unexpected(key.error());
  return crypto::Signer(*std::move(key));
}

Result<void> cap_new(Session& session, const Arguments& arguments) {
  const std::string name = arguments.get("name", "");
  TRY(auto path, session.context_path(name));
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !arguments.has("force"))
    TRY_VOID(session.confirm(
        fmt::format("A capability context already exists in {}; replacing it loses its anchors. Replace it?",
                    path.string()),
        "Use --force to replace it."));
  TRY(auto signer, signer_of_new_context(session, name));
  TRY(auto context, ucan::CapabilityContext::create(std::move(signer), session.environment().random()));
  TRY_VOID(session.save_context(name, context));
  session.note(fmt::format("Capability context of {} written to {}.", context.did().uri(), path.string()));
  return {};
}

Result<void> cap_anchor(Session& session, const Arguments& arguments) {
  TRY(auto anchors, read_anchors(session, arguments));
  TRY(auto context, session.load_context(context_name(arguments)));
  auto anchored = context.anchor(anchors, session.environment().now());
  if (!anchored && anchored.error().is(ucan::Errc::malformed))
    return std::unexpected(anchored.error().context(Errc::usage, "no anchor was added"));
  if (!anchored)
    return fail(anchored.error(), "no anchor was added{}",
                anchored.error().is(ucan::Errc::bad_signature) ? ": a signature is wrong" : "");
  return session.save_context(context_name(arguments), context);
}

Result<void> cap_remove(Session& session, const Arguments& arguments) {
  TRY(auto anchors, read_anchors(session, arguments));
  TRY(auto context, session.load_context(context_name(arguments)));
  const auto before = context.serialise();
  context.remove(anchors);
  if (context.serialise() == before)
    return fail(Errc::failed, "there is no such anchor; see `nunet cap list -c {}`", context_name(arguments));
  return session.save_context(context_name(arguments), context);
}

void print_token(Session& session, const ucan::Token& token) {
  std::string text =
      fmt::format("  {} by {} for {}", ucan::to_string(token.action()), token.issuer().uri(), token.subject().uri());
  if (!token.audience().empty()) text += fmt::format(" on {}", token.audience().uri());
  session.print(text);
  text = fmt::format("    capabilities {}", ucan::to_string(token.capabilities()));
  if (!token.topics().empty()) text += fmt::format(", topics {}", ucan::to_string(token.topics()));
  text += fmt::format(", until {}", format_time(token.expires()));
  if (token.claims().depth > 0) text += fmt::format(", depth {}", token.claims().depth);
  if (token.length() > 1) text += fmt::format(", {} links", token.length());
  session.print(text);
  session.print_json(fmt::format("    {}", token.text()));
}

Result<void> cap_list(Session& session, const Arguments& arguments) {
  TRY(auto context, session.load_context(context_name(arguments)));
  const auto anchors = context.anchors();
  if (arguments.has("json")) {
    session.print_json(json::write_pretty(json::to_value(anchors)));
    return {};
  }
  session.print("did:");
  session.print("  " + context.did().uri());
  session.print("roots:");
  for (const auto& root : anchors.roots) session.print("  " + root.uri());
  for (const auto& [title, list] : {std::pair("require:", &anchors.require), std::pair("provide:", &anchors.provide),
                                    std::pair("revoke:", &anchors.revoke)}) {
    session.print(title);
    for (const auto& token : list->tokens) print_token(session, token);
  }
  return {};
}

Result<ucan::Grant> read_grant(Session& session, const Arguments& arguments) {
  ucan::Grant grant;
  TRY(grant.subject, parse_did("<did>", arguments.get("did", "")));
  if (arguments.has("audience")) {
    TRY(grant.audience, parse_did("--audience", arguments.get("audience", "")));
  }
  auto capabilities = ucan::parse_capabilities(arguments.all("cap"));
  if (!capabilities) return std::unexpected(capabilities.error().context(Errc::usage, "--cap"));
  grant.capabilities = *std::move(capabilities);
  auto topics = ucan::parse_capabilities(arguments.all("topic"));
  if (!topics) return std::unexpected(topics.error().context(Errc::usage, "--topic"));
  grant.topics = *std::move(topics);
  if (grant.capabilities.empty()) return fail(Errc::usage, "--cap: expected at least one capability, such as /public");
  if (arguments.has("expiry")) {
    TRY(grant.expires, parse_time("--expiry", arguments.get("expiry", "")));
    if (grant.expires <= session.environment().now())
      return fail(Errc::usage, "--expiry: {} is in the past", format_time(grant.expires));
  } else if (arguments.has("duration")) {
    TRY(auto duration, parse_duration("--duration", arguments.get("duration", "")));
    grant.expires = session.environment().now() + duration;
  }
  const auto depth = json::decode<std::uint64_t>(arguments.get("depth", "0"));
  if (!depth) return fail(Errc::usage, "--depth: expected a whole number, found \"{}\"", arguments.get("depth", ""));
  grant.depth = *depth;
  return grant;
}

Result<ucan::CapabilityContext> signing_context(Session& session, const Arguments& arguments) {
  TRY(auto signer, session.load_signer(context_name(arguments)));
  return session.load_context(context_name(arguments), std::move(signer));
}

Result<void> cap_grant(Session& session, const Arguments& arguments) {
  TRY(auto grant, read_grant(session, arguments));
  TRY(auto context, signing_context(session, arguments));
  TRY(auto token, context.grant(ucan::Action::delegate, grant));
  session.print_json(ucan::TokenList{{token}}.text());
  return {};
}

Result<ucan::SelfSign> read_self_sign(const Arguments& arguments) {
  const std::string mode = arguments.get("self-sign", "no");
  if (mode == "no") return ucan::SelfSign::no;
  if (mode == "also") return ucan::SelfSign::also;
  if (mode == "only") return ucan::SelfSign::only;
  return fail(Errc::usage, "--self-sign: expected no, also or only, found \"{}\"", mode);
}

Result<void> cap_delegate(Session& session, const Arguments& arguments) {
  TRY(auto mode, read_self_sign(arguments));
  if (mode != ucan::SelfSign::no && arguments.has("auto-expire"))
    return fail(Errc::usage, "--auto-expire takes the expiry of the parent token; a self-signed token has none");
  TRY(auto grant, read_grant(session, arguments));
  TRY(auto context, signing_context(session, arguments));
  TRY(auto tokens, context.delegate(grant, session.environment().now(), mode));
  session.print_json(tokens.text());
  return {};
}

/// The daemon anchors `revocations` and spreads them; without any, those that it has.
Result<void> broadcast(Session& session, const std::string& context, ucan::TokenList revocations) {
  TRY(auto client, Client::open(session, context));
  protocol::CapBroadcastRequest request;
  request.token = std::move(revocations);
  TRY(const auto reply, client.call(protocol::kCapBroadcast, request));
  if (!reply.ok) return fail(Errc::failed, "nothing was broadcast: {}", reply.error);
  session.note(
      fmt::format("{} revocations were sent to all peers. They are sent again until the revoked tokens expire.",
                  reply.tokens_count));
  return {};
}

Result<void> cap_revoke(Session& session, const Arguments& arguments) {
  TRY(auto tokens, read_tokens(session, "<token>", arguments.get("token", "")));
  TRY(auto context, signing_context(session, arguments));
  ucan::TokenList revocations;
  for (const auto& token : tokens.tokens) {
    TRY(auto revocation, context.revoke(token));
    revocations.tokens.push_back(std::move(revocation));
  }
  for (const auto& revocation : revocations.tokens) session.print_json(revocation.text());
  if (arguments.has("broadcast")) return broadcast(session, context_name(arguments), std::move(revocations));
  session.note(
      "It takes effect where it is anchored: send it to all peers with `nunet cap broadcast <revocation>`, or add it "
      "on one "
      "machine with `nunet cap anchor -c dms --revoke <revocation>`.");
  return {};
}

Result<void> cap_broadcast(Session& session, const Arguments& arguments) {
  ucan::TokenList revocations;
  if (arguments.has("revocation")) {
    TRY(revocations, read_tokens(session, "<revocation>", arguments.get("revocation", "")));
    for (const auto& token : revocations.tokens)
      if (token.action() != ucan::Action::revoke)
        return fail(Errc::usage, "<revocation>: expected what `nunet cap revoke` prints, found a token to {}",
                    ucan::to_string(token.action()));
  }
  return broadcast(session, context_name(arguments), std::move(revocations));
}

std::vector<Option> anchor_options(std::string_view verb) {
  return {
      context_option(),
      {.name = "root",
       .value = "did",
       .help = fmt::format("{} a DID that is trusted for all capabilities", verb),
       .known = Known::dids},
      {.name = "require",
       .value = "token",
       .help = fmt::format("{} a token that states which requests are accepted", verb)},
      {.name = "provide", .value = "token", .help = fmt::format("{} a token that was granted to this context", verb)},
      {.name = "revoke", .value = "token", .help = fmt::format("{} a revocation", verb)}};
}

std::vector<Option> grant_options() {
  return {context_option(),
          {.name = "cap", .value = "path", .help = "capability; includes all capabilities below it", .repeated = true},
          {.name = "topic",
           .letter = 't',
           .value = "path",
           .help = "topic on which the capability may be broadcast",
           .repeated = true},
          {.name = "audience",
           .letter = 'a',
           .value = "did",
           .help = "DID of the only actor on which the token may be used [any]",
           .known = Known::dids},
          {.name = "expiry", .letter = 'e', .value = "date", .help = "expiry: 2026-12-31 or 2026-12-31T18:00:00Z"},
          {.name = "duration", .value = "time", .help = "time until expiry: 90m, 24h, 30d"},
          {.name = "depth",
           .letter = 'd',
           .value = "n",
           .help = "how many times it may be delegated further; 0: any number [0]"}};
}

Command anchor_command() {
  return {
      .name = "anchor",
      .summary = "Add a trust anchor",
      .detail =
          "A root anchor is a DID that is trusted for all capabilities. A require anchor is a token that states which "
          "requests\n"
          "are accepted, and from which DIDs. A provide anchor is a token that was granted to this context, from which "
          "the "
          "tokens\n"
          "of its messages are derived. A revocation invalidates a token. A running daemon reloads its context. `-` "
          "reads\n"
          "standard input.",
      .examples = {"nunet cap anchor -c dms --root did:key:z6Mk...",
                   "nunet cap anchor -c dms --require '{\"tok\":[...]}'",
                   "nunet cap grant -c org --cap /dms --duration 24h did:key:z6Mk... | nunet cap anchor --provide -"},
      .options = anchor_options("add"),
      .exactly_one = {{"root", "require", "provide", "revoke"}},
      .action = cap_anchor};
}

Command grant_command() {
  return {
      .name = "grant",
      .summary = "Issue a token that grants capabilities to a DID",
      .detail =
          "The token is signed by this context: it is accepted wherever this context's DID is trusted. Prints JSON.",
      .examples = {"nunet cap grant --context user --cap /dms --cap /public --duration 24h did:key:z6Mk..."},
      .options = grant_options(),
      .positionals = {{.name = "did", .help = "DID that receives the capabilities", .known = Known::dids}},
      .exactly_one = {{"expiry", "duration"}},
      .action = cap_grant};
}

Command delegate_command() {
  auto options = grant_options();
  options.push_back({.name = "auto-expire", .help = "expire together with the parent token"});
  options.push_back({.name = "self-sign",
                     .value = "mode",
                     .help = "a token signed by this context alone: no, also or only [no]",
                     .choices = {"no", "also", "only"}});
  return {.name = "delegate",
          .summary = "Delegate capabilities that were granted to this context",
          .detail = "Derives tokens from the provide anchors that contain all of the capabilities. Prints JSON.",
          .examples = {"nunet cap delegate -c user --cap /dms/deployment --duration 1h did:key:z6Mk..."},
          .options = std::move(options),
          .positionals = {{.name = "did", .help = "DID that receives the capabilities", .known = Known::dids}},
          .exactly_one = {{"expiry", "duration", "auto-expire"}},
          .action = cap_delegate};
}

Command revoke_command() {
  return {
      .name = "revoke",
      .summary = "Issue revocations of tokens that this context has issued",
      .detail =
          "Prints a revocation for each token. With --broadcast, this machine's daemon also anchors them and sends "
          "them to "
          "all\n"
          "peers, where they take effect at once; the context needs the capability /dms/cap/broadcast of the daemon.",
      .examples = {"nunet cap revoke -c user '{\"tok\":[...]}'",
                   "nunet cap revoke -c user --broadcast '{\"tok\":[...]}'"},
      .options = {context_option(), {.name = "broadcast", .help = "send them to all peers"}},
      .positionals = {{"token", "a token or a list of tokens as JSON; - reads standard input"}},
      .action = cap_revoke};
}

Command broadcast_command() {
  return {
      .name = "broadcast",
      .summary = "Send revocations to all peers",
      .detail =
          "This machine's daemon anchors the revocations and sends them to all peers; without an argument it sends "
          "those that "
          "it has.\n"
          "A node keeps a revocation that concerns its anchors, refuses what was revoked from then on, and sends it "
          "on. Nodes "
          "that\n"
          "are offline learn it after they have connected. The context needs the capability /dms/cap/broadcast of the "
          "daemon.",
      .examples = {"nunet cap revoke -c org '{\"tok\":[...]}' | nunet cap broadcast -c user -", "nunet cap broadcast"},
      .options = {context_option()},
      .positionals = {{.name = "revocation",
                       .help = "a revocation or a list of them as JSON; - reads standard input",
                       .required = false}},
      .action = cap_broadcast};
}

}  // namespace

Command cap_commands() {
  return {
      .name = "cap",
      .summary = "Manage capability contexts and tokens",
      .detail =
          "A capability context belongs to a key and contains its trust anchors. The daemon uses the context `dms`; "
          "the "
          "other\n"
          "commands use `user` by default.",
      .children =
          {{.name = "new",
            .summary = "Create a capability context, and its key if there is none",
            .examples = {"nunet cap new user", "nunet cap new dms", "nunet cap new ledger:user"},
            .options =
                {{.name = "force", .letter = 'f', .help = "replace an existing context of that name without asking"}},
            .positionals = {{.name = "name", .help = "name of the context and of its key", .known = Known::keys}},
            .action = cap_new},
           {.name = "list",
            .summary = "Show the anchors of a context",
            .options = {context_option(), json_option()},
            .action = cap_list},
           anchor_command(),
           {.name = "remove",
            .summary = "Remove an anchor",
            .examples = {"nunet cap remove -c dms --root did:key:z6Mk..."},
            .options = anchor_options("remove"),
            .exactly_one = {{"root", "require", "provide", "revoke"}},
            .action = cap_remove},
           grant_command(),
           delegate_command(),
           revoke_command(),
           broadcast_command()},
  };
}

}  // namespace dms::cli
