#include "ucan/context.hpp"

#include <algorithm>

#include "base/file.hpp"
#include "base/log.hpp"

namespace dms::ucan {
namespace {

/// What an envelope's TokenList takes besides its tokens: {"tok":[]} and a comma for each.
constexpr std::size_t kListOverhead = 10;
/// Reasons in one message: enough to see the pattern, too few to fill a log.
constexpr std::size_t kMaxReasons = 4;

struct ContextFile {
  did::Did did;
  std::vector<did::Did> roots;
  TokenList require, provide, revoke;

  static constexpr auto json_fields() {
    return std::tuple(json::field("did", &ContextFile::did), json::field("roots", &ContextFile::roots),
                      json::field("require", &ContextFile::require), json::field("provide", &ContextFile::provide),
                      json::field("revoke", &ContextFile::revoke));
  }
};

Result<ContextFile> read_context(std::string_view text) {
  auto file = json::decode<ContextFile>(text, {.bytes = kMaxContextFile});
  if (!file) return std::unexpected(file.error().context(Errc::malformed, "not a capability context"));
  if (file->did.empty()) return fail(Errc::malformed, "not a capability context: did: it belongs to nobody");
  return file;
}

std::string join(const std::vector<Error>& reasons) {
  std::string text;
  for (std::size_t i = 0; i < reasons.size() && i < kMaxReasons; ++i)
    text += fmt::format("{}({}) {}", i == 0 ? "" : "; ", i + 1, reasons[i].to_string());
  if (reasons.size() > kMaxReasons) text += fmt::format("; and {} more", reasons.size() - kMaxReasons);
  return text;
}

/// Adds `token` unless another makes it superfluous; drops those that it makes superfluous.
void add_anchor(std::vector<Token>& anchors, const Token& token) {
  if (std::ranges::any_of(anchors, [&](const Token& held) { return held.subsumes(token); })) return;
  std::erase_if(anchors, [&](const Token& held) { return token.subsumes(held); });
  anchors.push_back(token);
}

void remove_anchors(std::vector<Token>& anchors, const TokenList& gone) {
  std::erase_if(anchors, [&](const Token& held) {
    return std::ranges::any_of(gone.tokens, [&](const Token& token) {
      return token.issuer() == held.issuer() && token.claims().nonce == held.claims().nonce;
    });
  });
}

Result<void> check_room(std::string_view list, std::size_t held, std::size_t more) {
  if (held + more <= kMaxAnchors) return {};
  return fail(Errc::too_big, "{}: {} anchors and {} more; at most {} are kept: remove some first", list, held, more,
              kMaxAnchors);
}

Result<void> check_tokens(std::string_view list, const TokenList& tokens, bool revocations, UnixTime now,
                          const RevocationSet& revoked) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens.tokens[i];
    if ((token.action() == Action::revoke) != revocations || (!revocations && token.action() != Action::delegate))
      return fail(Errc::malformed, "{}: token {} is to {}; expected one to {}", list, i + 1, to_string(token.action()),
                  revocations ? "revoke" : "delegate");
    if (auto sound = token.verify(now, revoked); !sound) return fail(sound.error(), "{}: token {}", list, i + 1);
  }
  return {};
}

}  // namespace

std::string Consumed::explain() const {
  if (refused.empty()) return fmt::format("{} tokens count", kept);
  return fmt::format("{} tokens count, {} do not: {}", kept, refused.size(), join(refused));
}

// --- making and keeping -------------------------------------------------------------------------------------------

Result<CapabilityContext> CapabilityContext::create(crypto::Signer signer, Random& random) {
  TRY(did::Did did, did::Did::from(signer.public_key()));
  return CapabilityContext(std::move(did), std::move(signer), random);
}

Result<CapabilityContext> CapabilityContext::parse(std::string_view text, std::optional<crypto::Signer> signer,
                                                   Random& random, UnixTime now) {
  TRY(ContextFile file, read_context(text));
  if (signer) {
    TRY(did::Did did, did::Did::from(signer->public_key()));
    if (did != file.did)
      return fail(Errc::no_signer, "the context belongs to {}, the key to {}: use the key that made it", file.did.uri(),
                  did.uri());
  }
  CapabilityContext context(file.did, std::move(signer), random);
  TRY_VOID(context.restore(
      {std::move(file.roots), std::move(file.require), std::move(file.provide), std::move(file.revoke)}, now));
  return context;
}

Result<CapabilityContext> CapabilityContext::load(const std::filesystem::path& file,
                                                  std::optional<crypto::Signer> signer, Random& random, UnixTime now) {
  TRY(std::string text, read_file(file, kMaxContextFile));
  auto context = parse(text, std::move(signer), random, now);
  if (!context) return fail(context.error(), "capability context {}", file.string());
  return context;
}

std::string CapabilityContext::serialise() const {
  Anchors a = anchors();
  return json::encode(
             ContextFile{did_, std::move(a.roots), std::move(a.require), std::move(a.provide), std::move(a.revoke)}) +
         "\n";
}

Result<void> CapabilityContext::save(const std::filesystem::path& file) const {
  return write_file(file, serialise(), 0600);
}

Result<void> CapabilityContext::reload(std::string_view text, UnixTime now) {
  TRY(ContextFile file, read_context(text));
  if (file.did != did_)
    return fail(Errc::no_signer, "the context belongs to {}, this node is {}", file.did.uri(), did_.uri());
  CapabilityContext fresh(did_, signer_, *random_);
  TRY_VOID(fresh.restore(
      {std::move(file.roots), std::move(file.require), std::move(file.provide), std::move(file.revoke)}, now));
  roots_ = std::move(fresh.roots_);
  require_ = std::move(fresh.require_);
  provide_ = std::move(fresh.provide_);
  revoked_ = std::move(fresh.revoked_);
  erase_held([&](const Held& held) {
    return !held.token.check_claims(now, revoked_) || !worth_keeping(held.token, held.origin);
  });
  return {};
}

/// Anchors from disk: what time or a revocation has ended is left out, what was forged or damaged refuses the file.
Result<void> CapabilityContext::restore(Anchors anchors, UnixTime now) {
  const auto expired = [now](const Token& token) { return token.expired(now); };
  std::erase_if(anchors.revoke.tokens, expired);
  TRY_VOID(anchor(
      {.roots = std::move(anchors.roots), .require = {}, .provide = {}, .revoke = std::move(anchors.revoke)}, now));
  for (TokenList* list : {&anchors.require, &anchors.provide})
    std::erase_if(list->tokens, [&](const Token& token) {
      const Result<void> sound = token.check_claims(now, revoked_);
      const bool useless = token.action() != Action::delegate;
      if (useless) log::warn("ucan", "a stored token may only {}: left out", to_string(token.action()));
      return useless || (!sound && (sound.error().is(Errc::expired) || sound.error().is(Errc::revoked)));
    });
  return anchor(
      {.roots = {}, .require = std::move(anchors.require), .provide = std::move(anchors.provide), .revoke = {}}, now);
}

// --- anchors ------------------------------------------------------------------------------------------------------

Anchors CapabilityContext::anchors() const {
  return {{roots_.begin(), roots_.end()}, {require_}, {provide_}, revoked_.list()};
}

Result<void> CapabilityContext::anchor(const Anchors& more, UnixTime now) {
  drop_expired(now);
  TRY_VOID(check_room("roots", roots_.size(), more.roots.size()));
  TRY_VOID(check_room("require", require_.size(), more.require.size()));
  TRY_VOID(check_room("provide", provide_.size(), more.provide.size()));
  TRY_VOID(check_room("revoke", revoked_.size(), more.revoke.size()));
  for (const did::Did& root : more.roots)
    if (root.empty()) return fail(Errc::malformed, "roots: the empty DID is nobody: name the DID to trust");
  RevocationSet revoked = revoked_;
  TRY_VOID(check_tokens("revoke", more.revoke, true, now, revoked));
  for (const Token& token : more.revoke.tokens) revoked.add(token);
  TRY_VOID(check_tokens("require", more.require, false, now, revoked));
  TRY_VOID(check_tokens("provide", more.provide, false, now, revoked));

  roots_.insert(more.roots.begin(), more.roots.end());
  revoked_ = std::move(revoked);
  for (const Token& token : more.require.tokens) add_anchor(require_, token);
  for (const Token& token : more.provide.tokens) add_anchor(provide_, token);
  if (!more.revoke.empty()) {
    const auto unsound = [&](const Token& token) { return !token.check_claims(now, revoked_); };
    std::erase_if(require_, unsound);
    std::erase_if(provide_, unsound);
    std::erase_if(lent_, unsound);
    erase_held([&](const Held& held) { return unsound(held.token); });
  }
  return {};
}

Standing CapabilityContext::standing(const did::Did& who) const {
  if (who.empty()) return Standing::unknown;
  if (who == did_ || roots_.contains(who)) return Standing::operator_;
  const bool named = std::ranges::any_of(require_, [&](const Token& token) { return token.subject() == who; }) ||
                     std::ranges::any_of(provide_, [&](const Token& token) { return token.issuer() == who; });
  return named ? Standing::named : Standing::unknown;
}

void CapabilityContext::remove(const Anchors& gone) {
  for (const did::Did& root : gone.roots) roots_.erase(root);
  remove_anchors(require_, gone.require);
  remove_anchors(provide_, gone.provide);
  for (const Token& token : gone.revoke.tokens) revoked_.remove(token);
  // What was kept for the sake of an anchor goes with it.
  erase_held([&](const Held& held) { return !worth_keeping(held.token, held.origin); });
}

Result<void> CapabilityContext::lend(Token token, UnixTime now) {
  drop_expired(now);
  if (lent_.size() >= kMaxLent)
    return fail(Errc::too_big, "{} grants are lent already; at most so many are kept", lent_.size());
  TRY_VOID(check_tokens("lent", {{token}}, false, now, revoked_));
  lent_.push_back(std::move(token));
  return {};
}

void CapabilityContext::take_back(const Token& token) {
  const auto same = [&](const Token& lent) { return lent.claims().nonce == token.claims().nonce; };
  if (std::erase_if(lent_, same) == 0) return;
  erase_held([&](const Held& held) { return !worth_keeping(held.token, held.origin); });
}

// --- issuing ------------------------------------------------------------------------------------------------------

Claims CapabilityContext::claims_of(Action action, const Grant& grant) const {
  Claims claims;
  claims.action = action;
  claims.issuer = did_;
  claims.subject = grant.subject;
  claims.audience = grant.audience;
  claims.topics = grant.topics;
  claims.capabilities = grant.capabilities;
  claims.expires = grant.expires;
  claims.depth = grant.depth;
  return claims;
}

Result<Token> CapabilityContext::issue(Claims claims, const Token* parent) const {
  if (!signer_)
    return fail(Errc::no_signer, "the context of {} was opened without its key, so it can sign nothing", did_.uri());
  claims.nonce = make_nonce(*random_);
  return Token::issue(std::move(claims), *signer_, parent);
}

Result<Token> CapabilityContext::grant(Action action, const Grant& grant) const {
  if (action == Action::revoke)
    return fail(dms::Errc::invalid_argument, "a revocation is made from the token it revokes");
  if (grant.capabilities.empty())
    return fail(dms::Errc::invalid_argument, "cap: name at least one capability to grant");
  if (grant.expires.nanos == 0)
    return fail(dms::Errc::invalid_argument, "exp: a token needs an expiry: name a time or a duration");
  return issue(claims_of(action, grant), nullptr);
}

/// Chains a token with `claims` to `parent` if it allows all of it, and there is room for it.
void CapabilityContext::chain_on(const Token& parent, Claims claims, UnixTime now, Issued& issued) const {
  if (claims.expires.nanos == 0) claims.expires = parent.expires();
  Result<void> allowed = parent.check_claims(now, revoked_);
  if (allowed) allowed = parent.allows_child(claims);
  // A delegation that nothing can follow is a dead end.
  if (allowed) allowed = parent.allows_further(claims.action == Action::delegate ? 2 : 1);
  if (!allowed) {
    issued.refused.push_back(allowed.error().context(fmt::format("the delegation by {}", parent.issuer().uri())));
    return;
  }
  // A child is longer than its parent: no need to sign what cannot fit.
  const auto fits = [&](const Token& token) { return issued.bytes + token.text().size() + 1 <= kMaxTokenBytes; };
  if (!fits(parent)) {
    issued.refused.emplace_back(Errc::too_big, "no room is left for another token");
    return;
  }
  auto token = issue(std::move(claims), &parent);
  if (!token) {
    issued.refused.push_back(token.error());
  } else if (!fits(*token)) {
    issued.refused.emplace_back(Errc::too_big, "no room is left for another token");
  } else {
    issued.bytes += token->text().size() + 1;
    issued.tokens.push_back(*std::move(token));
  }
}

Result<TokenList> CapabilityContext::delegate(const Grant& grant, UnixTime now, SelfSign self_sign) const {
  if (grant.capabilities.empty())
    return fail(dms::Errc::invalid_argument, "cap: name at least one capability to delegate");
  Issued issued;
  if (self_sign != SelfSign::only)
    for (const Token& parent : provide_) chain_on(parent, claims_of(Action::delegate, grant), now, issued);
  if (self_sign != SelfSign::no) {
    TRY(Token token, this->grant(Action::delegate, grant));
    issued.tokens.push_back(std::move(token));
  }
  if (issued.tokens.empty())
    return fail(Errc::not_authorized, "no provide anchor of {} lets it delegate {}: {}", did_.uri(),
                to_string(grant.capabilities), issued.refused.empty() ? "there is none" : join(issued.refused));
  return TokenList{std::move(issued.tokens)};
}

Result<Token> CapabilityContext::revoke(const Token& token) const {
  if (token.issuer() != did_)
    return fail(Errc::not_authorized, "only {} can revoke its token; this is the context of {}", token.issuer().uri(),
                did_.uri());
  if (token.action() == Action::revoke)
    return fail(Errc::malformed, "a revocation cannot be revoked: remove it where it is anchored");
  if (!signer_)
    return fail(Errc::no_signer, "the context of {} was opened without its key, so it can sign nothing", did_.uri());
  Claims claims;
  claims.action = Action::revoke;
  claims.issuer = token.issuer();
  claims.subject = token.subject();
  claims.capabilities = token.capabilities();
  claims.nonce = token.claims().nonce;
  claims.expires = token.expires();
  return Token::issue(std::move(claims), *signer_);
}

// --- messages -----------------------------------------------------------------------------------------------------

Result<void> CapabilityContext::trusted(const Token& token, const did::Did& anchor) const {
  for (const Token* link = &token; link != nullptr; link = link->chain())
    if (link->issuer() == anchor || roots_.contains(link->issuer())) return {};
  std::optional<Error> nearest;
  for (const std::vector<Token>* list : {&require_, &lent_})
    for (const Token& required : *list) {
      if (!token.anchored_at(required.subject())) continue;
      Result<void> accepted = required.accepts(token);
      if (accepted) return {};
      nearest = accepted.error();
    }
  if (nearest) return std::unexpected(*nearest);
  return fail(Errc::not_authorized,
              "its chain begins at {}, which is neither {}, nor a root, nor named by a require anchor",
              token.root_issuer().uri(), anchor.uri());
}

Result<void> CapabilityContext::worth_keeping(const Token& token, const did::Did& origin) const {
  if (token.action() == Action::revoke)
    return fail(Errc::not_authorized, "a revocation counts where an operator anchors it");
  if (token.action() == Action::delegate) {
    if (token.subject() != did_)
      return fail(Errc::not_authorized, "it delegates to {}, not to us", token.subject().uri());
    if (token.anchored_at(origin)) return {};
  }
  return trusted(token, did_);
}

Result<void> CapabilityContext::hold(Token token, const did::Did& origin, UnixTime now) {
  if (auto it = consumed_.find(token.subject()); it != consumed_.end())
    for (Held& held : it->second)
      if (held.token == token) {
        TRY_VOID(held.token.check_claims(now, revoked_));
        ++held.showings;
        return {};
      }
  TRY_VOID(token.verify(now, revoked_, &known_));
  const auto full = [&] {
    auto it = held_by_origin_.find(origin);
    return consumed_count_ >= kMaxConsumed || (it != held_by_origin_.end() && it->second >= kMaxConsumedPerOrigin);
  };
  if (full()) drop_expired(now);
  if (full())
    return fail(Errc::too_big, "{} tokens of {} and {} in all are held; at most {} and {} are", held_by_origin_[origin],
                origin.uri(), consumed_count_, kMaxConsumedPerOrigin, kMaxConsumed);
  ++consumed_count_;
  ++held_by_origin_[origin];
  const did::Did subject = token.subject();
  consumed_[subject].push_back({std::move(token), origin});
  return {};
}

Result<Consumed> CapabilityContext::consume(const did::Did& origin, BytesView tokens, UnixTime now) {
  if (tokens.size() > kMaxTokenBytes)
    return fail(Errc::too_big, "{} bytes of tokens came with the message; at most {} are read", tokens.size(),
                kMaxTokenBytes);
  auto value = json::parse(as_text(tokens), {.bytes = kMaxTokenBytes});
  if (!value)
    return std::unexpected(value.error().context(Errc::malformed, "what came with the message is not a token list"));
  Consumed consumed;
  const Result<const json::Value*> member =
      value->is_object() ? json::read_member(value->get_object(), "tok") : json::wrong_kind("an object", *value);
  if (!member)
    return std::unexpected(member.error().context(Errc::malformed, "what came with the message is not a token list"));
  const json::Value* list = *member;
  if (list == nullptr || list->is_null()) return consumed;
  if (!list->is_array() || !std::ranges::all_of(list->get_array(), [](const json::Value& v) { return v.is_object(); }))
    return fail(Errc::malformed, "what came with the message is not a token list: expected {{\"tok\":[{{...}},...]}}");
  if (list->get_array().size() > kMaxTokensPerMessage)
    return fail(Errc::too_big, "{} tokens came with the message; at most {} are read", list->get_array().size(),
                kMaxTokensPerMessage);
  for (const json::Value& item : list->get_array()) {
    auto token = Token::from_json(item);
    Result<void> kept = token ? worth_keeping(*token, origin) : std::unexpected(token.error());
    if (kept) kept = hold(*std::move(token), origin, now);
    if (kept)
      ++consumed.kept;
    else
      consumed.refused.push_back(kept.error());
  }
  return consumed;
}

void CapabilityContext::discard(BytesView tokens) {
  auto value = json::parse(as_text(tokens), {.bytes = kMaxTokenBytes});
  const json::Value* list = value && value->is_object() ? json::find_member(value->get_object(), "tok") : nullptr;
  if (list == nullptr || !list->is_array()) return;  // then consume() kept nothing of it
  for (const json::Value& item : list->get_array()) {
    auto token = Token::from_json(item);
    if (!token) continue;
    auto it = consumed_.find(token->subject());
    if (it == consumed_.end()) continue;
    auto held = std::ranges::find(it->second, *token, &Held::token);
    if (held == it->second.end() || --held->showings > 0) continue;
    --consumed_count_;
    if (auto origin = held_by_origin_.find(held->origin); --origin->second == 0) held_by_origin_.erase(origin);
    it->second.erase(held);
    if (it->second.empty()) consumed_.erase(it);
  }
}

template <class Gone>
void CapabilityContext::erase_held(Gone gone) {
  for (auto it = consumed_.begin(); it != consumed_.end();) {
    std::erase_if(it->second, [&](const Held& held) {
      if (!gone(held)) return false;
      --consumed_count_;
      if (auto origin = held_by_origin_.find(held.origin); --origin->second == 0) held_by_origin_.erase(origin);
      return true;
    });
    it = it->second.empty() ? consumed_.erase(it) : std::next(it);
  }
}

void CapabilityContext::drop_expired(UnixTime now) {
  const auto expired = [now](const Token& token) { return token.expired(now); };
  std::erase_if(require_, expired);
  std::erase_if(provide_, expired);
  std::erase_if(lent_, expired);
  revoked_.drop_expired(now);
  erase_held([&](const Held& held) { return expired(held.token); });
}

/// `purpose` finishes the sentence "no token lets <subject> ...".
template <class Allows>
Result<void> CapabilityContext::require_any(const did::Did& anchor, const did::Did& subject,
                                            const Capabilities& capabilities, UnixTime now, std::string_view purpose,
                                            Allows allows) const {
  if (subject.empty() || anchor.empty()) return fail(Errc::not_authorized, "nobody in particular has no rights");
  if (capabilities.empty()) return fail(Errc::not_authorized, "no capability was named, so none is enough");
  std::vector<Error> reasons;
  if (auto it = consumed_.find(subject); it != consumed_.end()) {
    for (const Held& held : it->second) {
      Result<void> allowed = held.token.check_claims(now, revoked_);
      if (allowed) allowed = trusted(held.token, anchor);
      for (const Capability& capability : capabilities) {
        if (!allowed) break;
        Result<void> this_one = allows(held.token, capability);
        if (this_one) return {};
        if (&capability == &capabilities.back()) allowed = this_one;
      }
      if (!allowed) reasons.push_back(allowed.error());
    }
  }
  return fail(Errc::not_authorized,
              "no token lets {} {} any of {}: {}. A token for it with one of these, whose chain begins at {}, at a "
              "root or at a DID named by a require anchor, would do",
              subject.uri(), purpose, to_string(capabilities),
              reasons.empty() ? "it has shown none that counts" : join(reasons), anchor.uri());
}

Result<void> CapabilityContext::require(const did::Did& anchor, const did::Did& subject, const did::Did& audience,
                                        const Capabilities& capabilities, UnixTime now) const {
  return require_any(anchor, subject, capabilities, now, "invoke",
                     [&](const Token& token, const Capability& capability) {
                       return token.allows_invocation(subject, audience, capability);
                     });
}

Result<void> CapabilityContext::require_broadcast(const did::Did& anchor, const did::Did& subject,
                                                  const Capability& topic, const Capabilities& capabilities,
                                                  UnixTime now) const {
  return require_any(anchor, subject, capabilities, now, "broadcast",
                     [&](const Token& token, const Capability& capability) {
                       return token.allows_broadcast(subject, topic, capability);
                     });
}

Result<Bytes> CapabilityContext::provide(const did::Did& target, const did::Did& subject, const did::Did& audience,
                                         UnixTime expires, const Capabilities& invoke, const Capabilities& reply,
                                         UnixTime now) const {
  const Grant invocation{subject, audience, {}, invoke, expires, 0};
  TRY(Token self_signed, grant(Action::invoke, invocation));
  std::vector<Token> always{std::move(self_signed)};
  if (!reply.empty()) {
    TRY(Token delegation, grant(Action::delegate, {target, subject, {}, reply, expires, 1}));
    always.push_back(std::move(delegation));
  }
  Issued issued;
  issued.bytes = kListOverhead;
  for (const Token& token : always) issued.bytes += token.text().size() + 1;
  if (issued.bytes > kMaxTokenBytes)
    return fail(Errc::too_big, "the tokens for {} take {} bytes", to_string(invoke), issued.bytes);

  const Claims claims = claims_of(Action::invoke, invocation);
  if (auto it = consumed_.find(did_); it != consumed_.end())
    for (const Held& held : it->second)
      if (held.token.anchored_at(target)) chain_on(held.token, claims, now, issued);
  for (const Token& parent : provide_) chain_on(parent, claims, now, issued);
  std::ranges::move(always, std::back_inserter(issued.tokens));
  return to_bytes(TokenList{std::move(issued.tokens)}.text());
}

Result<Bytes> CapabilityContext::provide_broadcast(const did::Did& subject, const Capability& topic, UnixTime expires,
                                                   const Capabilities& capabilities, UnixTime now) const {
  const Grant broadcast{subject, {}, {topic}, capabilities, expires, 0};
  TRY(Token self_signed, grant(Action::broadcast, broadcast));
  Issued issued;
  issued.bytes = kListOverhead + self_signed.text().size() + 1;
  const Claims claims = claims_of(Action::broadcast, broadcast);
  for (const Token& parent : provide_) chain_on(parent, claims, now, issued);
  issued.tokens.push_back(std::move(self_signed));
  return to_bytes(TokenList{std::move(issued.tokens)}.text());
}

}  // namespace dms::ucan
