#include "ucan/context.hpp"

#include <algorithm>

#include "base/file.hpp"
#include "base/log.hpp"

namespace dms::ucan {
namespace {

/// What an envelope's TokenList takes besides its tokens: {"tok":[]} and a comma for each.
constexpr std::size_t kListOverhead = 10;

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
  if (file->did.empty()) return fail(Errc::malformed, "not a capability context: did: expected the DID of its owner");
  return file;
}

/// Adds `token` unless another subsumes it; drops those that it subsumes.
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

Result<void> check_space(std::string_view list, std::size_t held, std::size_t more) {
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

bool Authority::revoked(const RevocationSet& revoked) const {
  return std::ranges::any_of(links, [&](const std::string& link) { return revoked.contains(link); });
}

Result<MessageTokens> MessageTokens::parse(BytesView text) {
  if (text.size() > kMaxTokenBytes)
    return fail(Errc::too_big, "the message carries {} bytes of tokens; at most {} are read", text.size(),
                kMaxTokenBytes);
  constexpr std::string_view kNoList = "the message's capability field is not a token list";
  auto value = json::parse(as_text(text), {.bytes = kMaxTokenBytes});
  if (!value) return std::unexpected(value.error().context(Errc::malformed, std::string(kNoList)));
  const Result<const json::Value*> member =
      value->is_object() ? json::read_member(value->get_object(), "tok") : json::wrong_kind("an object", *value);
  if (!member) return std::unexpected(member.error().context(Errc::malformed, std::string(kNoList)));
  MessageTokens parsed;
  const json::Value* list = *member;
  if (list == nullptr || list->is_null()) return parsed;
  if (!list->is_array() || !std::ranges::all_of(list->get_array(), [](const json::Value& v) { return v.is_object(); }))
    return fail(Errc::malformed, "{}: expected {{\"tok\":[{{...}},...]}}", kNoList);
  if (list->get_array().size() > kMaxTokensPerMessage)
    return fail(Errc::too_big, "the message carries {} tokens; at most {} are read", list->get_array().size(),
                kMaxTokensPerMessage);
  for (const json::Value& item : list->get_array()) {
    auto token = Token::from_json(item);
    if (token)
      parsed.tokens.push_back(*std::move(token));
    else
      parsed.unreadable.push_back(token.error());
  }
  return parsed;
}

// --- creating and storing ------------------------------------------------------------------------------------------

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
  ++revocation_generation_;
  drop_unsound(now);
  return {};
}

/// Anchors from disk: expired and revoked ones are left out; a malformed or badly signed one refuses the file.
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
  TRY_VOID(anchor(
      {.roots = {}, .require = std::move(anchors.require), .provide = std::move(anchors.provide), .revoke = {}}, now));
  revoked_.charge([this](const Token& revocation) { return accountable_for(revocation); });
  return {};
}

// --- anchors ------------------------------------------------------------------------------------------------------

Anchors CapabilityContext::anchors() const {
  return {{roots_.begin(), roots_.end()}, {require_}, {provide_}, revoked_.list()};
}

Result<void> CapabilityContext::anchor(const Anchors& more, UnixTime now) {
  drop_expired(now);
  TRY_VOID(check_space("roots", roots_.size(), more.roots.size()));
  TRY_VOID(check_space("require", require_.size(), more.require.size()));
  TRY_VOID(check_space("provide", provide_.size(), more.provide.size()));
  TRY_VOID(check_space("revoke", revoked_.size(), more.revoke.size()));
  for (const did::Did& root : more.roots)
    if (root.empty()) return fail(Errc::malformed, "roots: expected the DID to trust, found the empty one");
  RevocationSet revoked = revoked_;
  TRY_VOID(check_tokens("revoke", more.revoke, true, now, revoked));
  for (const Token& token : more.revoke.tokens) revoked.add(token, accountable_for(token));
  TRY_VOID(check_tokens("require", more.require, false, now, revoked));
  TRY_VOID(check_tokens("provide", more.provide, false, now, revoked));

  roots_.insert(more.roots.begin(), more.roots.end());
  revoked_ = std::move(revoked);
  for (const Token& token : more.require.tokens) add_anchor(require_, token);
  for (const Token& token : more.provide.tokens) add_anchor(provide_, token);
  if (!more.revoke.empty()) apply_revocations(now);
  return {};
}

void CapabilityContext::apply_revocations(UnixTime now) {
  const auto unsound = [&](const Token& token) { return !token.check_claims(now, revoked_); };
  ++revocation_generation_;
  std::erase_if(require_, unsound);
  std::erase_if(provide_, unsound);
  std::erase_if(ephemeral_, unsound);
  drop_unsound(now);
}

// --- revocations from the network ---------------------------------------------------------------------------------

/// The DID that is accountable for a revocation that concerns this context.
Result<did::Did> CapabilityContext::concerned(const Token& revocation) const {
  for (const Token* link = &revocation; link != nullptr; link = link->chain()) {
    const did::Did& issuer = link->issuer();
    const bool named = trust(issuer) != Trust::none || std::ranges::any_of(ephemeral_, [&](const Token& granted) {
                         return granted.subject() == issuer;
                       });
    if (named) return link == &revocation ? issuer : link->subject();
  }
  const auto revokes_link_of = [&](const Token& token) {
    for (const Token* link = &token; link != nullptr; link = link->chain())
      if (link->revocation_key() == revocation.revocation_key()) return true;
    return false;
  };
  if (std::ranges::any_of(provide_, revokes_link_of) || held_->any_of(revokes_link_of)) return revocation.issuer();
  return fail(Errc::not_authorized, "the revocation by {} concerns no anchor and no token here",
              revocation.issuer().uri());
}

/// None for roots and for this DID: their revocations have no limit of their own.
did::Did CapabilityContext::accountable_for(const Token& revocation) const {
  const Result<did::Did> party = concerned(revocation);
  if (!party) return revocation.issuer();
  return trust(*party) == Trust::full ? did::Did() : *party;
}

Result<bool> CapabilityContext::learn(const Token& revocation, UnixTime now) {
  if (revocation.action() != Action::revoke)
    return fail(Errc::malformed, "expected a revocation, found a token to {}", to_string(revocation.action()));
  if (revoked_.contains(revocation)) return false;
  // Before the signatures: what claims nothing of this context costs none.
  TRY_VOID(concerned(revocation));
  if (Result<void> sound = revocation.verify(now, revoked_, &known_); !sound) {
    // What it revokes derives from a revoked token already.
    if (sound.error().is(Errc::revoked)) return false;
    return std::unexpected(sound.error());
  }
  drop_expired(now);
  const did::Did accountable = accountable_for(revocation);
  const bool limited = !accountable.empty();
  if (revoked_.size() >= (limited ? kMaxLearned : kMaxAnchors))
    return fail(Errc::too_big, "{} revocations are held; more of {} are not kept", revoked_.size(),
                revocation.issuer().uri());
  const std::size_t limit = trust(accountable) == Trust::none ? kMaxRevocationBytesOfOne : kMaxRevocationBytesOfNamed;
  if (limited && revoked_.bytes_of(accountable) + revocation.text().size() > limit)
    return fail(Errc::too_big, "the revocations of {} take {} bytes, more are not kept", accountable.uri(), limit);
  revoked_.add(revocation, accountable);
  apply_revocations(now);
  return true;
}

/// Drops held tokens that have expired, are revoked, or have lost their anchor.
void CapabilityContext::drop_unsound(UnixTime now) {
  held_->erase_if([&](const HeldTokens::Held& held) {
    return !held.token.check_claims(now, revoked_) || !check_relevance(held.token, held.origin);
  });
}

Trust CapabilityContext::trust(const did::Did& party) const {
  if (party.empty()) return Trust::none;
  if (party == did_ || roots_.contains(party)) return Trust::full;
  const bool named = std::ranges::any_of(require_, [&](const Token& token) { return token.subject() == party; }) ||
                     std::ranges::any_of(provide_, [&](const Token& token) { return token.issuer() == party; });
  return named ? Trust::named : Trust::none;
}

void CapabilityContext::remove(const Anchors& gone) {
  for (const did::Did& root : gone.roots) roots_.erase(root);
  remove_anchors(require_, gone.require);
  remove_anchors(provide_, gone.provide);
  for (const Token& token : gone.revoke.tokens) revoked_.remove(token);
  // Tokens held because of a removed anchor are dropped with it.
  held_->erase_if([&](const HeldTokens::Held& held) { return !check_relevance(held.token, held.origin); });
}

Result<void> CapabilityContext::add_ephemeral(Token token, UnixTime now) {
  drop_expired(now);
  if (ephemeral_.size() >= kMaxEphemeral)
    return fail(Errc::too_big, "there are {} ephemeral grants; more are not kept", ephemeral_.size());
  TRY_VOID(check_tokens("ephemeral", {{token}}, false, now, revoked_));
  ephemeral_.push_back(std::move(token));
  return {};
}

void CapabilityContext::remove_ephemeral(const Token& token) {
  const auto same = [&](const Token& other) { return other.claims().nonce == token.claims().nonce; };
  if (std::erase_if(ephemeral_, same) == 0) return;
  held_->erase_if([&](const HeldTokens::Held& held) { return !check_relevance(held.token, held.origin); });
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

/// Chains a token with `claims` to `parent` if it allows all of it, and the message has space for it.
void CapabilityContext::chain_on(const Token& parent, Claims claims, UnixTime now, Issued& issued) const {
  if (claims.expires.nanos == 0) claims.expires = parent.expires();
  Result<void> allowed = parent.check_claims(now, revoked_);
  if (allowed) allowed = parent.allows_child(claims);
  // A delegation that allows no further link is useless.
  if (allowed) allowed = parent.allows_further(claims.action == Action::delegate ? 2 : 1);
  if (!allowed) {
    issued.refused.push_back(allowed.error().context(fmt::format("the delegation by {}", parent.issuer().uri())));
    return;
  }
  // A child is longer than its parent: no need to sign what cannot fit.
  const auto fits = [&](const Token& token) { return issued.bytes + token.text().size() + 1 <= kMaxTokenBytes; };
  if (!fits(parent)) {
    issued.refused.emplace_back(Errc::too_big, "no space is left for another token");
    return;
  }
  auto token = issue(std::move(claims), &parent);
  if (!token) {
    issued.refused.push_back(token.error());
  } else if (!fits(*token)) {
    issued.refused.emplace_back(Errc::too_big, "no space is left for another token");
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
  return Token::issue(std::move(claims), *signer_, token.chain());
}

// --- messages -----------------------------------------------------------------------------------------------------

namespace {

/// `link` was issued by a trusted DID; `token` derives from it.
Authority authority_of(const Token& token, const Token& link) {
  Authority authority{link.action() == Action::delegate ? link.subject() : link.issuer(), {}};
  for (const Token* each = &token; each != nullptr; each = each->chain())
    authority.links.push_back(each->revocation_key());
  return authority;
}

const Token* first_issued_by(const Token& token, const did::Did& issuer) {
  for (const Token* link = &token; link != nullptr; link = link->chain())
    if (link->issuer() == issuer) return link;
  return nullptr;
}

}  // namespace

Result<Authority> CapabilityContext::trusted(const Token& token, const did::Did& anchor) const {
  for (const Token* link = &token; link != nullptr; link = link->chain())
    if (link->issuer() == anchor || roots_.contains(link->issuer())) return authority_of(token, *link);
  std::optional<Error> nearest;
  for (const std::vector<Token>* list : {&require_, &ephemeral_})
    for (const Token& required : *list) {
      const Token* link = first_issued_by(token, required.subject());
      if (link == nullptr) continue;
      Result<void> accepted = required.accepts(token);
      if (accepted) return authority_of(token, *link);
      nearest = accepted.error();
    }
  if (nearest) return std::unexpected(*nearest);
  return fail(Errc::not_authorized,
              "its chain begins at {}, which is neither {}, nor a root, nor named by a require anchor",
              token.root_issuer().uri(), anchor.uri());
}

Result<void> CapabilityContext::check_relevance(const Token& token, const did::Did& origin) const {
  if (token.action() == Action::revoke)
    return fail(Errc::not_authorized, "a revocation takes effect only as an anchor");
  if (token.action() == Action::delegate) {
    if (token.subject() != did_)
      return fail(Errc::not_authorized, "it delegates to {}, not to {}", token.subject().uri(), did_.uri());
    if (token.anchored_at(origin)) return {};
  }
  TRY_VOID(trusted(token, did_));
  return {};
}

Result<HeldTokens::Use> CapabilityContext::hold(const Token& token, const did::Did& origin, UnixTime now) {
  if (const auto use = held_->find(token)) {
    if (Result<void> sound = token.check_claims(now, revoked_); !sound) {
      held_->release(*use);
      return std::unexpected(sound.error());
    }
    return *use;
  }
  TRY_VOID(token.verify(now, revoked_, &known_));
  if (held_->full(origin)) drop_expired(now);
  if (held_->full(origin))
    return fail(Errc::too_big, "{} tokens of {} and {} in all are held; at most {} and {} are", held_->held_of(origin),
                origin.uri(), held_->size(), kMaxConsumedPerOrigin, kMaxConsumed);
  return held_->add(token, origin);
}

Consumed CapabilityContext::consume(const did::Did& origin, const MessageTokens& message, UnixTime now) {
  Consumed consumed(held_);
  consumed.refused_ = message.unreadable;
  for (const Token& token : message.tokens) {
    Result<void> kept = check_relevance(token, origin);
    if (kept) {
      if (auto use = hold(token, origin, now))
        consumed.uses_.push_back(*use);
      else
        kept = std::unexpected(use.error());
    }
    if (!kept) consumed.refused_.push_back(kept.error());
  }
  return consumed;
}

Result<Consumed> CapabilityContext::consume(const did::Did& origin, BytesView tokens, UnixTime now) {
  TRY(MessageTokens message, MessageTokens::parse(tokens));
  return consume(origin, message, now);
}

void CapabilityContext::drop_expired(UnixTime now) {
  const auto expired = [now](const Token& token) { return token.expired(now); };
  std::erase_if(require_, expired);
  std::erase_if(provide_, expired);
  std::erase_if(ephemeral_, expired);
  revoked_.drop_expired(now);
  held_->erase_if([&](const HeldTokens::Held& held) { return expired(held.token); });
}

/// `purpose` finishes the sentence "no token lets <subject> ...".
template <class Allows>
Result<Authority> CapabilityContext::require_any(const did::Did& anchor, const did::Did& subject,
                                                 const Capabilities& capabilities, UnixTime now,
                                                 std::string_view purpose, Allows allows) const {
  if (subject.empty() || anchor.empty()) return fail(Errc::not_authorized, "an empty DID has no rights");
  if (capabilities.empty()) return fail(Errc::not_authorized, "no capability was named");
  std::vector<Error> reasons;
  for (const HeldTokens::Held& held : held_->of(subject)) {
    Result<void> allowed = held.token.check_claims(now, revoked_);
    auto authority = allowed ? trusted(held.token, anchor) : std::unexpected(allowed.error());
    if (!authority) {
      reasons.push_back(authority.error());
      continue;
    }
    for (const Capability& capability : capabilities) {
      allowed = allows(held.token, capability);
      if (allowed) return authority;
    }
    reasons.push_back(allowed.error());
  }
  return fail(Errc::not_authorized,
              "no token lets {} {} any of {}: {}. A token for it with one of these, whose chain begins at {}, at a "
              "root or at a DID named by a require anchor, would suffice",
              subject.uri(), purpose, to_string(capabilities), reasons.empty() ? "it has no valid one" : join(reasons),
              anchor.uri());
}

Result<Authority> CapabilityContext::require(const did::Did& anchor, const did::Did& subject, const did::Did& audience,
                                             const Capabilities& capabilities, UnixTime now) const {
  return require_any(anchor, subject, capabilities, now, "invoke",
                     [&](const Token& token, const Capability& capability) {
                       return token.allows_invocation(subject, audience, capability);
                     });
}

Result<Authority> CapabilityContext::require_broadcast(const did::Did& anchor, const did::Did& subject,
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
  for (const HeldTokens::Held& held : held_->of(did_))
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
