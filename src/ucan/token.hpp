// A capability token: its issuer signs what its subject may do; it is chained to the token it derives from.
//
// Model
//  1. A token names an action, its issuer (the signer), its subject (the delegate, or the caller), its audience (the
//     receiver; empty means any), capabilities, topics, a nonce, an expiry, a depth, and at most one parent, its
//     chain.
//  2. `delegate` delegates capabilities, `invoke` and `broadcast` exercise them, `revoke` revokes a token of the same
//     issuer. The chain of a revocation is that of the revoked token: it shows from where the issuer had its power, and
//     limits nothing.
//  3. A token is immutable and keeps its canonical text, the compact JSON that Go writes. What is signed is
//     "dms:token:" followed by that text of the token without its signature. A parsed token is encoded again, so two
//     texts with the same meaning are one token.
//  4. A chain is sound (verify()) if for each link and its parent: the parent is a delegation to the link's issuer,
//     expires no earlier, has no audience or the link's, implies each of its capabilities and topics; no link has
//     expired or is revoked; no link is further from the end than its depth (0: any) allows; and each issuer has
//     signed. Which root is trusted is not decided here: see context.hpp.
//  5. Attenuation is monotone: whatever a sound token allows, each of its ancestors allows to its subject.
//
// A refusal names the link ("link 2 of 3, issued by ..."; link 1 is the token itself), the rule, and what would have
// been sufficient.
//
// Cost: verify() is one signature check per link; everything cheap is tested before the first, and the root's
// signature, which a forger cannot have, before the others. With a SignatureCache, verified links are not checked
// again: what remains is about a tenth of a microsecond per link. Threads: an immutable value; copies share one
// representation.
//
// Attacks: tokens are untrusted input. Length of text, chain, lists and names are bounded before they are stored;
// unknown members are dropped and thereby fall out of the signed text; duplicate members, also in another letter case,
// are refused by the JSON reader, and so is a token of two kinds, since the reference would sign both in a chain.
//
// Format: NuNet's DMSToken, wrapped as {"dms": ...}.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/random.hpp"
#include "base/time.hpp"
#include "crypto/signer.hpp"
#include "did/did.hpp"
#include "ucan/capability.hpp"
#include "ucan/signature_cache.hpp"

namespace dms::ucan {

/// All tokens of one envelope, as text.
inline constexpr std::size_t kMaxTokenBytes = 16384;
/// Links of one chain, the token itself included.
inline constexpr std::size_t kMaxChain = 16;
inline constexpr std::size_t kMaxTokensPerMessage = 64;
inline constexpr std::size_t kMaxCapabilities = 64;
inline constexpr std::size_t kMaxTopics = 64;
inline constexpr std::size_t kMaxSignature = 128;

enum class Action { invoke, delegate, broadcast, revoke };
[[nodiscard]] std::string_view to_string(Action action);

using Nonce = std::array<std::uint8_t, 12>;
[[nodiscard]] Nonce make_nonce(Random& random);

/// The claims of a token, without its chain and signature.
struct Claims {
  Action action = Action::delegate;
  did::Did issuer;
  did::Did subject;
  did::Did audience;
  Capabilities topics;
  Capabilities capabilities;
  Nonce nonce{};
  UnixTime expires;
  /// How many links may follow this one; 0 means any number.
  std::uint64_t depth = 0;
};

class RevocationSet;

class Token {
 public:
  /// Signs `claims`; `signer` must be the key of claims.issuer. The caller ensures that the chain is sound.
  static Result<Token> issue(Claims claims, const crypto::Signer& signer, const Token* parent = nullptr);
  static Result<Token> parse(std::string_view json);
  static Result<Token> from_json(const json::Value& value);
  void to_json(json::Writer& writer) const { writer.raw(text()); }

  [[nodiscard]] const Claims& claims() const { return rep_->claims; }
  [[nodiscard]] Action action() const { return claims().action; }
  [[nodiscard]] const did::Did& issuer() const { return claims().issuer; }
  [[nodiscard]] const did::Did& subject() const { return claims().subject; }
  [[nodiscard]] const did::Did& audience() const { return claims().audience; }
  [[nodiscard]] const Capabilities& capabilities() const { return claims().capabilities; }
  [[nodiscard]] const Capabilities& topics() const { return claims().topics; }
  [[nodiscard]] UnixTime expires() const { return claims().expires; }
  /// The parent, or null at the root.
  [[nodiscard]] const Token* chain() const { return rep_->chain.get(); }
  [[nodiscard]] BytesView signature() const { return rep_->signature; }
  /// Links, this one included.
  [[nodiscard]] std::size_t length() const { return rep_->length; }
  /// {"dms":{...}} with the signature.
  [[nodiscard]] const std::string& text() const { return rep_->text; }
  [[nodiscard]] Bytes signed_bytes() const;

  /// See (4). With `known`, the signatures of delegations from which a good token derived before are not checked again;
  /// everything else is.
  [[nodiscard]] Result<void> verify(UnixTime now, const RevocationSet& revoked, SignatureCache* known = nullptr) const;
  /// The same without the signatures, for a token that was verified before: signatures do not change.
  [[nodiscard]] Result<void> check_claims(UnixTime now, const RevocationSet& revoked) const;
  /// True if this token or one it derives from has expired.
  [[nodiscard]] bool expired(UnixTime now) const;

  /// The distance of the farthest link that `party` issued (0: this one); none if it issued no link.
  [[nodiscard]] std::optional<std::size_t> anchor_depth(const did::Did& party) const;
  [[nodiscard]] bool anchored_at(const did::Did& party) const { return anchor_depth(party).has_value(); }
  /// The issuer of the root link.
  [[nodiscard]] const did::Did& root_issuer() const;

  /// Whether `subject` may use `capability` on `audience` by this token. Soundness and root are checked separately.
  [[nodiscard]] Result<void> allows_invocation(const did::Did& subject, const did::Did& audience,
                                               const Capability& capability) const;
  [[nodiscard]] Result<void> allows_broadcast(const did::Did& subject, const Capability& topic,
                                              const Capability& capability) const;
  /// Whether a sound token with these claims could be chained to this one.
  [[nodiscard]] Result<void> allows_child(const Claims& child) const;
  /// Whether `links` more links may follow this one, by its own depth and by those above.
  [[nodiscard]] Result<void> allows_further(std::size_t links) const;
  /// Whether this token, anchored as "required", accepts `other`: see context.hpp.
  [[nodiscard]] Result<void> accepts(const Token& other) const;
  /// Whether this token makes `other` superfluous: same action, parties and chain; capabilities, topics, expiry and
  /// depth no narrower.
  [[nodiscard]] bool subsumes(const Token& other) const;
  /// Same issuer, subject and nonce: the name by which a token is revoked.
  [[nodiscard]] const std::string& revocation_key() const { return rep_->revocation_key; }
  /// Covers the signature and the whole chain: two tokens have the same digest only if their texts are the same.
  [[nodiscard]] const crypto::Digest256& digest() const { return rep_->digest; }

  friend bool operator==(const Token& a, const Token& b) { return a.text() == b.text(); }

 private:
  struct Rep {
    Claims claims;
    std::shared_ptr<const Token> chain;
    Bytes signature;
    std::size_t length = 1;
    std::string revocation_key;
    crypto::Digest256 digest{};
    std::string unsigned_body;  // the object inside {"dms":...} as it is signed
    std::string text;           // {"dms":...} with the signature
  };
  explicit Token(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}
  static Token make(Claims claims, std::shared_ptr<const Token> parent, std::string unsigned_body, Bytes signature);
  static Result<Token> read(const json::Value& value, std::size_t links_left);
  [[nodiscard]] Result<void> check_link(UnixTime now, const RevocationSet& revoked, std::size_t distance) const;
  [[nodiscard]] Result<void> check_signature() const;
  std::shared_ptr<const Rep> rep_;
};

/// {"tok":[...]}, or {} without tokens.
struct TokenList {
  std::vector<Token> tokens;

  [[nodiscard]] bool empty() const { return tokens.empty(); }
  [[nodiscard]] std::size_t size() const { return tokens.size(); }
  void to_json(json::Writer& writer) const;
  /// Refuses the list if it refuses one token.
  static Result<TokenList> from_json(const json::Value& value);
  static Result<TokenList> parse(std::string_view text, std::size_t max_bytes = kMaxTokenBytes);
  [[nodiscard]] std::string text() const { return json::encode(*this); }
};

/// Revocations by the key of the token they revoke. The owner bounds their number.
class RevocationSet {
 public:
  /// `revocation` has been verified. Of two for one token the one that expires later stays. `accountable` is the DID
  /// that it is charged to; empty: none.
  void add(const Token& revocation, did::Did accountable = {});
  void remove(const Token& revocation) { by_key_.erase(revocation.revocation_key()); }
  /// A revocation expires with the token it revokes.
  void drop_expired(UnixTime now) {
    std::erase_if(by_key_, [now](const auto& entry) { return entry.second.revocation.expired(now); });
  }
  /// Charges each revocation anew.
  template <class AccountableFor>
  void charge(AccountableFor accountable_for) {
    for (auto& [key, entry] : by_key_) entry.accountable = accountable_for(entry.revocation);
  }
  /// The size of the revocations that are charged to `accountable`.
  [[nodiscard]] std::size_t bytes_of(const did::Did& accountable) const;
  [[nodiscard]] bool contains(const Token& token) const { return contains(token.revocation_key()); }
  [[nodiscard]] bool contains(const std::string& revocation_key) const { return by_key_.contains(revocation_key); }
  [[nodiscard]] TokenList list() const;
  [[nodiscard]] std::size_t size() const { return by_key_.size(); }

 private:
  struct Entry {
    Token revocation;
    did::Did accountable;
  };
  std::map<std::string, Entry> by_key_;
};

}  // namespace dms::ucan
