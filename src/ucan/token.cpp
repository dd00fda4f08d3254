#include "ucan/token.hpp"

#include <algorithm>

#include "encoding/multibase.hpp"

namespace dms::ucan {
namespace {

constexpr std::string_view kSignaturePrefix = "dms:token:";
constexpr std::array kActions = {Action::invoke, Action::delegate, Action::broadcast, Action::revoke};

/// The JSON members of a token, without the chain.
struct TokenMembers {
  std::string act;
  did::Did iss, sub, aud;
  Capabilities topic, cap;
  Bytes nonce;
  std::uint64_t exp = 0, depth = 0;
  Bytes sig;

  static constexpr auto json_fields() {
    return std::tuple(json::field("act", &TokenMembers::act), json::field("iss", &TokenMembers::iss),
                      json::field("sub", &TokenMembers::sub), json::field("aud", &TokenMembers::aud),
                      json::field("topic", &TokenMembers::topic, json::omit_empty),
                      json::field("cap", &TokenMembers::cap), json::field("nonce", &TokenMembers::nonce),
                      json::field("exp", &TokenMembers::exp),
                      json::field("depth", &TokenMembers::depth, json::omit_empty),
                      json::field("sig", &TokenMembers::sig, json::omit_empty));
  }
};

Result<void> check_limits(const Claims& claims, std::size_t signature) {
  if (claims.issuer.empty()) return fail(Errc::malformed, "iss: a token has an issuer");
  if (claims.capabilities.size() > kMaxCapabilities)
    return fail(Errc::too_big, "cap: {} capabilities, at most {} are allowed", claims.capabilities.size(),
                kMaxCapabilities);
  if (claims.topics.size() > kMaxTopics)
    return fail(Errc::too_big, "topic: {} topics, at most {} are allowed", claims.topics.size(), kMaxTopics);
  if (signature > kMaxSignature)
    return fail(Errc::too_big, "sig: {} bytes, at most {} are allowed", signature, kMaxSignature);
  return {};
}

Result<Claims> claims_of(TokenMembers members) {
  Claims claims;
  const auto* action = std::ranges::find(kActions, members.act, [](Action a) { return to_string(a); });
  if (action == kActions.end())
    return fail(Errc::malformed, "act: expected invoke, delegate, broadcast or revoke, found '{}'",
                members.act.substr(0, 32));
  if (members.nonce.size() != claims.nonce.size())
    return fail(Errc::malformed, "nonce: expected {} bytes, found {}", claims.nonce.size(), members.nonce.size());
  std::ranges::copy(members.nonce, claims.nonce.begin());
  claims.action = *action;
  claims.issuer = std::move(members.iss);
  claims.subject = std::move(members.sub);
  claims.audience = std::move(members.aud);
  claims.topics = std::move(members.topic);
  claims.capabilities = std::move(members.cap);
  claims.expires = {members.exp};
  claims.depth = members.depth;
  TRY_VOID(check_limits(claims, members.sig.size()));
  return claims;
}

/// The object that is signed: members in Go's order, the chain with its signatures, no signature of its own.
std::string write_unsigned(const Claims& claims, const Token* parent) {
  json::Writer w;
  w.begin_object().key("act").string(to_string(claims.action));
  claims.issuer.to_json(w.key("iss"));
  claims.subject.to_json(w.key("sub"));
  claims.audience.to_json(w.key("aud"));
  if (!claims.topics.empty()) json::write(w.key("topic"), claims.topics);
  json::write(w.key("cap"), claims.capabilities);
  w.key("nonce").bytes(claims.nonce).key("exp").unsigned_integer(claims.expires.nanos);
  if (claims.depth != 0) w.key("depth").unsigned_integer(claims.depth);
  if (parent != nullptr) w.key("chain").raw(parent->text());
  w.end_object();
  return w.take();
}

Bytes with_prefix(std::string_view body) {
  Bytes bytes;
  bytes.reserve(kSignaturePrefix.size() + body.size());
  append(bytes, as_bytes(kSignaturePrefix));
  append(bytes, as_bytes(body));
  return bytes;
}

std::string name_of(const Claims& claims) {
  return fmt::format("{}#{}#{}", claims.issuer.uri(), claims.subject.uri(), as_text(claims.nonce));
}

/// Covers the token's own text, its parent's digest and its signature: the cost is linear in the length of a chain.
/// The text holds no control characters and thus ends where the 0 or 1 begins: no two tokens give the same input.
crypto::Digest256 digest_of(std::string_view unsigned_body, const Token* parent, BytesView signature) {
  constexpr std::string_view kChain = ",\"chain\":";  // the last member, if there is a parent
  const std::size_t chain = parent == nullptr ? 0 : kChain.size() + parent->text().size();
  Bytes input;
  input.reserve(unsigned_body.size() - chain + 1 + sizeof(crypto::Digest256) + signature.size());
  append(input, as_bytes(unsigned_body.substr(0, unsigned_body.size() - 1 - chain)));
  input.push_back(parent == nullptr ? 0 : 1);
  if (parent != nullptr) append(input, parent->digest());
  append(input, signature);
  return crypto::sha256(input);
}

template <class... Args>
std::unexpected<Error> refuse(Errc code, fmt::format_string<Args...> format, Args&&... args) {
  return fail(code, format, std::forward<Args>(args)...);
}

std::string name_of(const did::Did& did) { return did.empty() ? "any DID" : did.uri(); }

}  // namespace

std::string_view to_string(Action action) {
  switch (action) {
    case Action::invoke: return "invoke";
    case Action::delegate: return "delegate";
    case Action::broadcast: return "broadcast";
    case Action::revoke: return "revoke";
  }
  return "unknown";
}

Nonce make_nonce(Random& random) {
  Nonce nonce;
  random.fill(nonce);
  return nonce;
}

Token Token::make(Claims claims, std::shared_ptr<const Token> parent, std::string unsigned_body, Bytes signature) {
  auto rep = std::make_shared<Rep>();
  rep->claims = std::move(claims);
  rep->length = parent ? parent->length() + 1 : 1;
  rep->chain = std::move(parent);
  rep->text = "{\"dms\":" + unsigned_body;
  if (!signature.empty()) {
    rep->text.pop_back();  // the brace that closes the unsigned object
    rep->text += ",\"sig\":\"" + base64_encode(signature) + "\"}";
  }
  rep->text += '}';
  rep->revocation_key = name_of(rep->claims);
  rep->digest = digest_of(unsigned_body, rep->chain.get(), signature);
  rep->unsigned_body = std::move(unsigned_body);
  rep->signature = std::move(signature);
  return Token(std::move(rep));
}

Result<Token> Token::issue(Claims claims, const crypto::Signer& signer, const Token* parent) {
  TRY_VOID(check_limits(claims, 0));
  TRY(did::Did signer_did, did::Did::from(signer.public_key()));
  if (signer_did != claims.issuer)
    return fail(Errc::no_signer, "the key of {} cannot sign for {}", signer_did.uri(), claims.issuer.uri());
  if (parent != nullptr && parent->length() >= kMaxChain)
    return fail(Errc::too_deep, "a chain of {} links cannot grow: use a delegation nearer to its root",
                parent->length());
  std::string body = write_unsigned(claims, parent);
  TRY(Bytes signature, signer.sign(with_prefix(body)));
  return make(std::move(claims), parent == nullptr ? nullptr : std::make_shared<const Token>(*parent), std::move(body),
              std::move(signature));
}

Result<Token> Token::parse(std::string_view text) {
  auto value = json::parse(text, {.bytes = kMaxTokenBytes});
  if (!value) return std::unexpected(value.error().context(Errc::malformed, "not a token"));
  return from_json(*value);
}

Result<Token> Token::from_json(const json::Value& value) { return read(value, kMaxChain); }

Result<Token> Token::read(const json::Value& value, std::size_t links_left) {
  if (links_left == 0) return fail(Errc::too_big, "the chain has more than {} links", kMaxChain);
  if (!value.is_object()) return json::wrong_kind("a token, that is an object", value);
  TRY(const json::Value* body, json::read_member(value.get_object(), "dms"));
  if (body == nullptr || body->is_null())
    return fail(Errc::unsupported, "expected a token of the form {{\"dms\":{{...}}}}; no other kind is supported");
  TRY(const json::Value* ucan, json::read_member(value.get_object(), "ucan"));
  if (ucan != nullptr && !ucan->is_null())
    return fail(Errc::malformed, "a token is of one kind; this one has both dms and ucan");
  auto members = json::from_value<TokenMembers>(*body);
  if (!members) return std::unexpected(json::at_member("dms", members.error()).context(Errc::malformed, "not a token"));
  // Go writes a missing list as null, and signs that; no useful token lacks its capabilities.
  TRY(const json::Value* cap, json::read_member(body->get_object(), "cap"));
  if (cap == nullptr || cap->is_null()) return fail(Errc::malformed, "dms.cap: expected a list of capabilities");
  Bytes signature = std::move(members->sig);
  members->sig.clear();
  TRY(Claims claims, claims_of(*std::move(members)));
  if (signature.size() > kMaxSignature)
    return fail(Errc::too_big, "sig: {} bytes, at most {} are allowed", signature.size(), kMaxSignature);

  std::shared_ptr<const Token> parent;
  TRY(const json::Value* chain, json::read_member(body->get_object(), "chain"));
  if (chain != nullptr && !chain->is_null()) {
    TRY(Token token, read(*chain, links_left - 1));
    parent = std::make_shared<const Token>(std::move(token));
  }
  std::string unsigned_body = write_unsigned(claims, parent.get());
  return make(std::move(claims), std::move(parent), std::move(unsigned_body), std::move(signature));
}

Bytes Token::signed_bytes() const { return with_prefix(rep_->unsigned_body); }

bool Token::expired(UnixTime now) const {
  for (const Token* link = this; link != nullptr; link = link->chain())
    if (link->expires() < now) return true;
  return false;
}

std::optional<std::size_t> Token::anchor_depth(const did::Did& party) const {
  std::optional<std::size_t> found;
  std::size_t depth = 0;
  for (const Token* link = this; link != nullptr; link = link->chain(), ++depth)
    if (link->issuer() == party) found = depth;
  return found;
}

const did::Did& Token::root_issuer() const {
  const Token* link = this;
  while (link->chain() != nullptr) link = link->chain();
  return link->issuer();
}

Result<void> Token::check_link(UnixTime now, const RevocationSet& revoked, std::size_t distance) const {
  if (expires() < now)
    return refuse(Errc::expired, "it expired at {} ns, it is {} ns: ask {} for a new one", expires().nanos, now.nanos,
                  issuer().uri());
  if (action() == Action::revoke) {
    if (chain() != nullptr && (chain()->action() != Action::delegate || chain()->subject() != issuer()))
      return refuse(Errc::broken_chain, "the chain of a revocation is the delegation to its issuer; this one is to {}",
                    name_of(chain()->subject()));
    return {};
  }
  if (claims().depth > 0 && distance > claims().depth)
    return refuse(Errc::too_deep, "its depth allows {} links after it, there are {}", claims().depth, distance);
  if (revoked.contains(*this)) return refuse(Errc::revoked, "its issuer has revoked it");
  if (chain() != nullptr) return chain()->allows_child(claims());
  return {};
}

Result<void> Token::check_claims(UnixTime now, const RevocationSet& revoked) const {
  std::size_t distance = 0;
  for (const Token* link = this; link != nullptr; link = link->chain(), ++distance)
    if (auto sound = link->check_link(now, revoked, distance); !sound)
      return fail(sound.error(), "link {} of {}, issued by {}", distance + 1, length(), link->issuer().uri());
  return {};
}

Result<void> Token::check_signature() const {
  TRY(crypto::PublicKey key, issuer().public_key());
  if (key.verify(signed_bytes(), signature())) return {};
  return refuse(Errc::bad_signature, "{} did not sign this{}", issuer().uri(),
                signature().empty() ? ": there is no signature" : "");
}

Result<void> Token::verify(UnixTime now, const RevocationSet& revoked, SignatureCache* known) const {
  TRY_VOID(check_claims(now, revoked));
  std::array<const Token*, kMaxChain> unknown;
  std::size_t count = 0;
  for (const Token* link = this; link != nullptr; link = link->chain()) {
    if (known != nullptr && known->contains(link->digest())) break;  // and with it all that it derives from
    unknown.at(count++) = link;
  }
  for (std::size_t i = count; i-- > 0;)
    if (auto signed_ = unknown[i]->check_signature(); !signed_)
      return fail(signed_.error(), "link {} of {}, issued by {}", i + 1, length(), unknown[i]->issuer().uri());
  // Parents are used again; the token itself is new with every call and would only evict others.
  for (std::size_t i = 1; known != nullptr && i < count; ++i) known->add(unknown[i]->digest());
  return {};
}

Result<void> Token::allows_child(const Claims& child) const {
  if (action() != Action::delegate)
    return refuse(Errc::broken_chain,
                  "it is chained to a token that may {}; only one that may delegate can be passed on",
                  to_string(action()));
  if (expires() < child.expires)
    return refuse(Errc::expired, "its expiry, {} ns, is later than that of the delegation it is chained to, {} ns",
                  child.expires.nanos, expires().nanos);
  if (subject() != child.issuer)
    return refuse(Errc::broken_chain, "it is chained to a delegation to {}; one to {} is needed", name_of(subject()),
                  child.issuer.uri());
  if (!audience().empty() && audience() != child.audience)
    return refuse(Errc::widened, "its audience is {}; the delegation it is chained to is for {} only",
                  name_of(child.audience), audience().uri());
  if (const Capability* topic = first_uncovered(topics(), child.topics))
    return refuse(Errc::widened, "topic {} is not covered by the delegation it is chained to, which has {}",
                  topic->path(), to_string(topics()));
  if (const Capability* cap = first_uncovered(capabilities(), child.capabilities))
    return refuse(Errc::widened, "capability {} is not covered by the delegation it is chained to, which has {}",
                  cap->path(), to_string(capabilities()));
  return {};
}

Result<void> Token::allows_further(std::size_t links) const {
  for (const Token* link = this; link != nullptr; link = link->chain(), ++links)
    if (link->claims().depth > 0 && links > link->claims().depth)
      return refuse(Errc::too_deep, "the delegation by {} allows {} links after it, {} are needed",
                    link->issuer().uri(), link->claims().depth, links);
  if (length() >= kMaxChain) return refuse(Errc::too_deep, "a chain has at most {} links", kMaxChain);
  return {};
}

Result<void> Token::allows_invocation(const did::Did& actor, const did::Did& target,
                                      const Capability& capability) const {
  if (action() != Action::invoke) return refuse(Errc::not_authorized, "it may {}, not invoke", to_string(action()));
  if (subject() != actor)
    return refuse(Errc::not_authorized, "it is for {}, not for {}", name_of(subject()), name_of(actor));
  if (!audience().empty() && audience() != target)
    return refuse(Errc::not_authorized, "it is to be used on {}, not on {}", audience().uri(), name_of(target));
  if (!any_implies(capabilities(), capability))
    return refuse(Errc::not_authorized, "its capabilities {} do not cover {}", to_string(capabilities()),
                  capability.path());
  return {};
}

Result<void> Token::allows_broadcast(const did::Did& actor, const Capability& topic,
                                     const Capability& capability) const {
  if (action() != Action::broadcast)
    return refuse(Errc::not_authorized, "it may {}, not broadcast", to_string(action()));
  if (subject() != actor)
    return refuse(Errc::not_authorized, "it is for {}, not for {}", name_of(subject()), name_of(actor));
  if (!audience().empty()) return refuse(Errc::not_authorized, "it has an audience; a broadcast has none");
  if (!any_implies(topics(), topic))
    return refuse(Errc::not_authorized, "its topics {} do not cover {}", to_string(topics()), topic.path());
  if (!any_implies(capabilities(), capability))
    return refuse(Errc::not_authorized, "its capabilities {} do not cover {}", to_string(capabilities()),
                  capability.path());
  return {};
}

Result<void> Token::accepts(const Token& other) const {
  if (action() != Action::delegate)
    return refuse(Errc::not_authorized, "the required token may {}, not delegate", to_string(action()));
  if (expires() < other.expires())
    return refuse(Errc::expired, "it expires later than the require anchor, {} ns", expires().nanos);
  const auto depth = other.anchor_depth(subject());
  if (!depth) return refuse(Errc::not_authorized, "{} is not in its chain", name_of(subject()));
  if (claims().depth > 0 && *depth > claims().depth)
    return refuse(Errc::too_deep, "{} is {} links above it, at most {} are accepted", name_of(subject()), *depth,
                  claims().depth);
  if (!audience().empty() && audience() != other.audience())
    return refuse(Errc::not_authorized, "its audience is {}, only {} is accepted", name_of(other.audience()),
                  audience().uri());
  if (const Capability* cap = first_uncovered(capabilities(), other.capabilities()))
    return refuse(Errc::not_authorized, "its capability {} is not accepted from {}: {}", cap->path(),
                  name_of(subject()), to_string(capabilities()));
  if (const Capability* topic = first_uncovered(topics(), other.topics()))
    return refuse(Errc::not_authorized, "its topic {} is not accepted from {}: {}", topic->path(), name_of(subject()),
                  to_string(topics()));
  return {};
}

bool Token::subsumes(const Token& other) const {
  const auto at_least = [](std::uint64_t depth, std::uint64_t wanted) {
    return depth == 0 || (wanted != 0 && depth >= wanted);
  };
  const bool same_chain =
      chain() == nullptr || other.chain() == nullptr ? chain() == other.chain() : *chain() == *other.chain();
  return action() == other.action() && issuer() == other.issuer() && subject() == other.subject() &&
         audience() == other.audience() && same_chain && expires() >= other.expires() &&
         at_least(claims().depth, other.claims().depth) &&
         first_uncovered(capabilities(), other.capabilities()) == nullptr &&
         first_uncovered(topics(), other.topics()) == nullptr;
}

void TokenList::to_json(json::Writer& writer) const {
  writer.begin_object();
  if (!tokens.empty()) json::write(writer.key("tok"), tokens);
  writer.end_object();
}

Result<TokenList> TokenList::from_json(const json::Value& value) {
  if (!value.is_object()) return json::wrong_kind("a list of tokens, that is an object with the member tok", value);
  TRY(const json::Value* tok, json::read_member(value.get_object(), "tok"));
  if (tok == nullptr || tok->is_null()) return TokenList();
  auto tokens = json::from_value<std::vector<Token>>(*tok);
  if (!tokens) return std::unexpected(json::at_member("tok", tokens.error()));
  return TokenList{*std::move(tokens)};
}

Result<TokenList> TokenList::parse(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes)
    return fail(Errc::too_big, "a token list of {} bytes; at most {} are read", text.size(), max_bytes);
  auto value = json::parse(text, {.bytes = max_bytes});
  if (!value) return std::unexpected(value.error().context(Errc::malformed, "not a token list"));
  return from_json(*value);
}

void RevocationSet::add(const Token& revocation, did::Did accountable) {
  const auto [held, added] = by_key_.try_emplace(revocation.revocation_key(), Entry{revocation, accountable});
  if (!added && held->second.revocation.expires() < revocation.expires())
    held->second = Entry{revocation, std::move(accountable)};
}

std::size_t RevocationSet::bytes_of(const did::Did& accountable) const {
  std::size_t bytes = 0;
  for (const auto& [key, entry] : by_key_)
    if (entry.accountable == accountable) bytes += entry.revocation.text().size();
  return bytes;
}

TokenList RevocationSet::list() const {
  TokenList list;
  for (const auto& [key, entry] : by_key_) list.tokens.push_back(entry.revocation);
  return list;
}

}  // namespace dms::ucan
