// A node's trust anchors, the delegations granted to it, and the decisions that follow: whether an inbound message is
// permitted, and which tokens authorise an outbound one.
//
// Model
//  1. A context belongs to one DID and usually holds its key (the signer). Tokens are issued by that DID, also for the
//     keys of child actors, which appear as subjects and audiences only.
//  2. Anchors, kept on disk: `roots` are DIDs trusted for everything; `require` are delegations that name DIDs trusted
//     for something ("I accept what is anchored at token.subject, within the token's bounds"); `provide` are
//     delegations to this DID, on which its own tokens are chained; `revoke` are revocations.
//  3. consume() verifies the tokens of a message and holds them in memory until the returned Consumed is destroyed or
//     they expire (held_tokens.hpp). Only sound tokens that can authorise a message are held: those anchored at the
//     context's DID, at a root, or accepted by a `require` anchor; and delegations by the sender to the context's DID,
//     which a reply needs.
//  4. require() succeeds if one held invoke token of the subject, for this audience, implies one of the capabilities
//     and is anchored at `anchor` (this context's DID), at a root, or accepted by a `require` anchor.
//     require_broadcast() likewise.
//  5. provide() makes: an invoke token on each delegation that covers all of it (of the target to this DID, then of
//     `provide` anchors), a self-signed one, and a self-signed delegation (depth 1) of the reply path to the target.
//  6. Adding anchors is all or nothing. Afterwards every anchor and consumed token is checked against the revocations
//     again. A token that another subsumes is dropped.
//  7. learn() takes a revocation from anybody. It is kept if it concerns this context: its issuer, or the issuer of a
//     link of its chain, is the context's DID, a root, or named by an anchor; or it revokes a link of a token held
//     here. It is charged to the DID to which that issuer delegated (itself, if it is the issuer). What is charged to
//     one DID takes at most kMaxRevocationBytesOfOne, of one that an anchor names kMaxRevocationBytesOfNamed;
//     kMaxLearned revocations are kept of others than roots and the context's own DID, so the rest of kMaxAnchors stays
//     for those. Beyond that a revocation is refused; none is displaced.
// Time is an argument and never stored. Threads: one lane. Cost: consume() checks one signature per link of tokens
// that can authorise a message, and each delegation only once; provide() makes one signature per token.
//
// Attacks. The tokens of an unknown sender are dropped before any signature is checked unless they claim an anchor of
// this context or delegate to its DID. What messages hold is bounded per sender (kMaxConsumedPerOrigin) and in all
// (kMaxConsumed); beyond that consume() refuses, so no sender displaces the tokens of another. Nested, oversized and
// duplicate input is refused by the parsers (token.hpp). A token authorises its subject, not its sender: a copied token
// is useless without the key of its subject, which signs the envelope.
//
// Format: NuNet's capability context file, one line of JSON (older files with capitalised names are read too).
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>

#include "ucan/held_tokens.hpp"
#include "ucan/token.hpp"

namespace dms::ucan {

/// Roots, require, provide and revoke: each at most so many.
inline constexpr std::size_t kMaxAnchors = 1024;
inline constexpr std::size_t kMaxEphemeral = 8192;
inline constexpr std::size_t kMaxContextFile = 16 << 20;
inline constexpr std::size_t kMaxKnownChains = 4096;
inline constexpr std::size_t kMaxLearned = kMaxAnchors / 4 * 3;
inline constexpr std::size_t kMaxRevocationBytesOfOne = 64 << 10;
inline constexpr std::size_t kMaxRevocationBytesOfNamed = 256 << 10;

struct Anchors {
  std::vector<did::Did> roots;
  TokenList require;
  TokenList provide;
  TokenList revoke;

  static constexpr auto json_fields() {
    return std::tuple(json::field("roots", &Anchors::roots), json::field("require", &Anchors::require),
                      json::field("provide", &Anchors::provide), json::field("revoke", &Anchors::revoke));
  }
};

/// Whether delegate() may issue a token rooted in this DID where no anchor allows a chained one.
enum class SelfSign { no, also, only };

/// How far the anchors trust a DID itself, apart from tokens.
enum class Trust {
  none,   ///< not named by an anchor
  named,  ///< the subject of a `require` anchor, or the issuer of a `provide` anchor
  full,   ///< the context's own DID or a root
};

/// The authority by which a message is permitted.
struct Authority {
  /// The DID to which the trusted issuer delegated, or that issuer itself. A holder that delegates further stays
  /// accountable: quotas are charged to it.
  did::Did accountable;
  /// The revocation keys of the token and of those it derives from.
  std::vector<std::string> links;
  [[nodiscard]] bool revoked(const RevocationSet& revoked) const;
};

/// What to grant or delegate.
struct Grant {
  did::Did subject;
  did::Did audience;
  Capabilities topics;
  Capabilities capabilities;
  /// 0 in delegate(): as long as the parent.
  UnixTime expires;
  std::uint64_t depth = 0;
};

/// The tokens of one message, parsed. Malformed tokens are skipped.
struct MessageTokens {
  std::vector<Token> tokens;
  std::vector<Error> unreadable;
  /// Errc::malformed if `text` is not a token list, Errc::too_big.
  static Result<MessageTokens> parse(BytesView text);
};

class CapabilityContext {
 public:
  /// An empty context of the signer's DID. `random` makes nonces and outlives the context.
  static Result<CapabilityContext> create(crypto::Signer signer, Random& random);
  /// Expired and revoked tokens are left out; a token that is malformed or badly signed refuses the file. Without a
  /// signer the context can be listed, changed and asked, but issues nothing.
  static Result<CapabilityContext> parse(std::string_view text, std::optional<crypto::Signer> signer, Random& random,
                                         UnixTime now);
  static Result<CapabilityContext> load(const std::filesystem::path& file, std::optional<crypto::Signer> signer,
                                        Random& random, UnixTime now);
  /// One line of JSON, line feed included.
  [[nodiscard]] std::string serialise() const;
  /// Mode 0600, atomically.
  [[nodiscard]] Result<void> save(const std::filesystem::path& file) const;
  /// The anchors of `text` replace those of this context; consumed tokens stay as far as they are still sound.
  Result<void> reload(std::string_view text, UnixTime now);

  [[nodiscard]] const did::Did& did() const { return did_; }
  [[nodiscard]] Trust trust(const did::Did& party) const;
  /// Whether it has a signer.
  [[nodiscard]] bool can_issue() const { return signer_.has_value(); }

  // --- anchors
  [[nodiscard]] Anchors anchors() const;
  Result<void> anchor(const Anchors& more, UnixTime now);
  /// Tokens are matched by issuer and nonce. Unknown ones are ignored.
  void remove(const Anchors& gone);

  /// A revocation from the network, see (7): whether it is new. Errc::not_authorized if it concerns nothing here.
  Result<bool> learn(const Token& revocation, UnixTime now);
  [[nodiscard]] const RevocationSet& revocations() const { return revoked_; }
  /// Rises whenever a revocation may have been added: a caller that keeps something by Authority compares it with an
  /// earlier value.
  [[nodiscard]] std::uint64_t revocation_generation() const { return revocation_generation_; }

  /// An ephemeral grant: a delegation by this context for the life of an object of this process. Trusted like a
  /// `require` anchor, never saved, not touched by reload(). standing_grant.hpp keeps one alive.
  Result<void> add_ephemeral(Token token, UnixTime now);
  void remove_ephemeral(const Token& token);
  [[nodiscard]] std::size_t ephemeral_count() const { return ephemeral_.size(); }

  // --- issuing
  /// A token rooted in this DID.
  [[nodiscard]] Result<Token> grant(Action action, const Grant& grant) const;
  /// Delegations chained to the `provide` anchors, one for each that allows all of it. Errc::not_authorized if there is
  /// none.
  [[nodiscard]] Result<TokenList> delegate(const Grant& grant, UnixTime now, SelfSign self_sign = SelfSign::no) const;
  /// Only the issuer of a token can revoke it. The revocation carries the chain of the token.
  [[nodiscard]] Result<Token> revoke(const Token& token) const;

  // --- messages
  Consumed consume(const did::Did& origin, const MessageTokens& tokens, UnixTime now);
  Result<Consumed> consume(const did::Did& origin, BytesView tokens, UnixTime now);
  /// Any one of `capabilities` is sufficient; an empty list never is.
  [[nodiscard]] Result<Authority> require(const did::Did& anchor, const did::Did& subject, const did::Did& audience,
                                          const Capabilities& capabilities, UnixTime now) const;
  [[nodiscard]] Result<Authority> require_broadcast(const did::Did& anchor, const did::Did& subject,
                                                    const Capability& topic, const Capabilities& capabilities,
                                                    UnixTime now) const;
  /// A TokenList of at most kMaxTokenBytes. `subject` and `audience` are the key DIDs of the two actors, `target` the
  /// DID for which the other one acts.
  [[nodiscard]] Result<Bytes> provide(const did::Did& target, const did::Did& subject, const did::Did& audience,
                                      UnixTime expires, const Capabilities& invoke, const Capabilities& reply,
                                      UnixTime now) const;
  [[nodiscard]] Result<Bytes> provide_broadcast(const did::Did& subject, const Capability& topic, UnixTime expires,
                                                const Capabilities& capabilities, UnixTime now) const;
  /// Drops expired tokens. Cheap enough for every minute; consume() calls it when it reaches a limit.
  void drop_expired(UnixTime now);

  [[nodiscard]] std::size_t consumed_count() const { return held_->size(); }

 private:
  CapabilityContext(did::Did did, std::optional<crypto::Signer> signer, Random& random)
      : did_(std::move(did)), signer_(std::move(signer)), random_(&random) {}

  /// Tokens issued so far, and why other parents allow none.
  struct Issued {
    std::vector<Token> tokens;
    std::size_t bytes = 0;
    std::vector<Error> refused;
  };

  Result<void> restore(Anchors anchors, UnixTime now);
  [[nodiscard]] Result<Token> issue(Claims claims, const Token* parent) const;
  [[nodiscard]] Claims claims_of(Action action, const Grant& grant) const;
  void chain_on(const Token& parent, Claims claims, UnixTime now, Issued& issued) const;
  [[nodiscard]] Result<Authority> trusted(const Token& token, const did::Did& anchor) const;
  [[nodiscard]] Result<void> check_relevance(const Token& token, const did::Did& origin) const;
  Result<HeldTokens::Use> hold(const Token& token, const did::Did& origin, UnixTime now);
  void drop_unsound(UnixTime now);
  void apply_revocations(UnixTime now);
  [[nodiscard]] Result<did::Did> concerned(const Token& revocation) const;
  [[nodiscard]] did::Did accountable_for(const Token& revocation) const;
  template <class Allows>
  [[nodiscard]] Result<Authority> require_any(const did::Did& anchor, const did::Did& subject,
                                              const Capabilities& capabilities, UnixTime now, std::string_view purpose,
                                              Allows allows) const;

  did::Did did_;
  std::optional<crypto::Signer> signer_;
  Random* random_;
  std::set<did::Did> roots_;
  std::vector<Token> require_;
  std::vector<Token> provide_;
  std::vector<Token> ephemeral_;
  RevocationSet revoked_;
  std::uint64_t revocation_generation_ = 0;
  std::shared_ptr<HeldTokens> held_ = std::make_shared<HeldTokens>();
  SignatureCache known_{kMaxKnownChains};
};

}  // namespace dms::ucan
