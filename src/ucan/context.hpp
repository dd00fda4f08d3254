// Whom a node trusts, what it was given, and the decisions that follow: may this message act, and which tokens show
// that ours may.
//
// Model
//  1. A context belongs to one DID and usually holds its key (the signer). Tokens are issued by that DID, also for the
//     keys of child actors, which appear as subjects and audiences only.
//  2. Anchors, kept on disk: `roots` are DIDs trusted for everything; `require` are delegations that name DIDs trusted
//     for something ("I accept what is anchored at token.subject, within the token's bounds"); `provide` are
//     delegations to us, on which our own tokens are chained; `revoke` are revocations.
//  3. Consumed tokens came with messages and live in memory until discarded or expired. Kept are only sound ones that
//     can ever count: those anchored at our DID, at a root, or accepted by a `require` anchor; and delegations to our
//     DID by the sender (how a caller lets us answer). A token shown twice is held once, and goes when both showings
//     are discarded.
//  4. require() succeeds if one held invoke token of the subject, for this audience, implies one of the capabilities
//     and is anchored at `anchor` (our DID), at a root, or accepted by a `require` anchor. require_broadcast()
//     likewise.
//  5. provide() makes: an invoke token on each delegation that covers all of it (of the target to us, then of `provide`
//     anchors), a self-signed one, and a self-signed delegation (depth 1) of the reply path to the target.
//  6. Adding anchors is all or nothing. Afterwards every anchor and consumed token is held against the revocations
//     anew. A token that another subsumes is dropped.
//
// Time is an argument and never remembered. Threads: one lane. Cost: consume() checks one signature per link of tokens
// that might count, but those of delegations seen before only once; provide() makes one signature per token.
//
// Attacks. A stranger's tokens are dropped before any signature is checked unless they claim one of our anchors or
// delegate to us. What a message leaves behind is bounded per sender (kMaxConsumedPerOrigin) and in all (kMaxConsumed);
// beyond that consume() refuses, so nobody can push out what another has shown. Nested, oversized and duplicate input
// is refused by the parsers (token.hpp). Require tokens speak of subjects, not of senders: stealing a token is of no
// use without the key of its subject, which signs the envelope.
//
// Format: NuNet's capability context file, one line of JSON (older files with capitalised names are read too).
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>

#include "ucan/token.hpp"

namespace dms::ucan {

/// Roots, require, provide and revoke: each at most so many.
inline constexpr std::size_t kMaxAnchors = 1024;
inline constexpr std::size_t kMaxLent = 8192;
inline constexpr std::size_t kMaxConsumed = 8192;
inline constexpr std::size_t kMaxConsumedPerOrigin = 256;
inline constexpr std::size_t kMaxContextFile = 16 << 20;
inline constexpr std::size_t kMaxKnownChains = 4096;

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

/// Whether delegate() may speak in our own name where no anchor lets us pass something on.
enum class SelfSign { no, also, only };

/// What the operator has made of a DID, by naming it in the context.
enum class Standing {
  unknown,   ///< not named
  named,     ///< the subject of a `require` anchor, or the issuer of a `provide` anchor
  operator_  ///< the context's own DID or a root: trusted for everything
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

/// What became of the tokens of a message.
struct Consumed {
  std::size_t kept = 0;
  /// One for each token that does not count, with the reason.
  std::vector<Error> refused;
  [[nodiscard]] std::string explain() const;
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
  /// The anchors of `text` replace ours; consumed tokens stay as far as they are still sound.
  Result<void> reload(std::string_view text, UnixTime now);

  [[nodiscard]] const did::Did& did() const { return did_; }
  [[nodiscard]] Standing standing(const did::Did& who) const;
  /// Whether it has a signer.
  [[nodiscard]] bool can_issue() const { return signer_.has_value(); }

  // --- anchors
  [[nodiscard]] Anchors anchors() const;
  Result<void> anchor(const Anchors& more, UnixTime now);
  /// Tokens are matched by issuer and nonce. What is not there is not missed.
  void remove(const Anchors& gone);

  /// A delegation of our own that this process needs for a while: trusted like a `require` anchor, but never saved, and not
  /// touched by reload(). standing_grant.hpp keeps one alive.
  Result<void> lend(Token token, UnixTime now);
  void take_back(const Token& token);
  [[nodiscard]] std::size_t lent_count() const { return lent_.size(); }

  // --- issuing
  /// A token rooted in ourselves.
  [[nodiscard]] Result<Token> grant(Action action, const Grant& grant) const;
  /// Delegations chained to our `provide` anchors, one for each that allows all of it. Errc::not_authorized if there is
  /// none.
  [[nodiscard]] Result<TokenList> delegate(const Grant& grant, UnixTime now, SelfSign self_sign = SelfSign::no) const;
  /// Only the issuer of a token can revoke it.
  [[nodiscard]] Result<Token> revoke(const Token& token) const;

  // --- messages
  Result<Consumed> consume(const did::Did& origin, BytesView tokens, UnixTime now);
  void discard(BytesView tokens);
  /// Any one of `capabilities` is enough; none at all never is.
  [[nodiscard]] Result<void> require(const did::Did& anchor, const did::Did& subject, const did::Did& audience,
                                     const Capabilities& capabilities, UnixTime now) const;
  [[nodiscard]] Result<void> require_broadcast(const did::Did& anchor, const did::Did& subject, const Capability& topic,
                                               const Capabilities& capabilities, UnixTime now) const;
  /// A TokenList of at most kMaxTokenBytes. `subject` and `audience` are the key DIDs of the two actors, `target` the
  /// DID in whose name the other one speaks.
  [[nodiscard]] Result<Bytes> provide(const did::Did& target, const did::Did& subject, const did::Did& audience,
                                      UnixTime expires, const Capabilities& invoke, const Capabilities& reply,
                                      UnixTime now) const;
  [[nodiscard]] Result<Bytes> provide_broadcast(const did::Did& subject, const Capability& topic, UnixTime expires,
                                                const Capabilities& capabilities, UnixTime now) const;
  /// Forgets what has expired. Cheap enough to be called every minute; consume() calls it when space is short.
  void drop_expired(UnixTime now);

  [[nodiscard]] std::size_t consumed_count() const { return consumed_count_; }

 private:
  struct Held {
    Token token;
    did::Did origin;
    std::size_t showings = 1;
  };
  CapabilityContext(did::Did did, std::optional<crypto::Signer> signer, Random& random)
      : did_(std::move(did)), signer_(std::move(signer)), random_(&random) {}

  /// Tokens made so far, and why other parents would not do.
  struct Issued {
    std::vector<Token> tokens;
    std::size_t bytes = 0;
    std::vector<Error> refused;
  };

  Result<void> restore(Anchors anchors, UnixTime now);
  [[nodiscard]] Result<Token> issue(Claims claims, const Token* parent) const;
  [[nodiscard]] Claims claims_of(Action action, const Grant& grant) const;
  void chain_on(const Token& parent, Claims claims, UnixTime now, Issued& issued) const;
  [[nodiscard]] Result<void> trusted(const Token& token, const did::Did& anchor) const;
  [[nodiscard]] Result<void> worth_keeping(const Token& token, const did::Did& origin) const;
  Result<void> hold(Token token, const did::Did& origin, UnixTime now);
  template <class Allows>
  [[nodiscard]] Result<void> require_any(const did::Did& anchor, const did::Did& subject,
                                         const Capabilities& capabilities, UnixTime now, std::string_view purpose,
                                         Allows allows) const;
  template <class Gone>
  void erase_held(Gone gone);

  did::Did did_;
  std::optional<crypto::Signer> signer_;
  Random* random_;
  std::set<did::Did> roots_;
  std::vector<Token> require_;
  std::vector<Token> provide_;
  std::vector<Token> lent_;
  RevocationSet revoked_;
  std::unordered_map<did::Did, std::vector<Held>> consumed_;  // by subject
  std::unordered_map<did::Did, std::size_t> held_by_origin_;
  std::size_t consumed_count_ = 0;
  SignatureCache known_{kMaxKnownChains};
};

}  // namespace dms::ucan
