// What an actor signs with and by what it judges others: its own key, and the capability context it shares with its
// node.
//
// Model
//  1. The actor's id is the public half of its key; its Did is that of the capability context. provide() puts tokens
//     into an envelope that let `from.id` act with the context's power, and signs it; require() judges the tokens of a
//     message.
//  2. require() needs a verified envelope (Envelope::verify). It succeeds if a token held for `from.id` and addressed
//     to this actor implies one of the capabilities and is anchored where this node trusts (ucan/context.hpp), and if
//     `from.did` itself has signed a token of this message for `from.id`. So behind require(), from.did is a fact.
//     NuNet's nodes leave the second test out; what they send passes it, as the tokens of an envelope are always issued
//     by the Did of its sender.
//  3. A message from this actor to itself carries no tokens and needs none: verify() has shown that it was signed with
//     this actor's own key. Nobody else can make one, and replaying one is refused like any replay. Nothing else is
//     exempt, not even actors of the same node.
//  4. Tokens that came with a message are held until discard(). A refused message leaves none behind.
//  5. Nonces begin at the time of creation in nanoseconds and count up, so they never repeat, also across restarts.
//
// Threads: the lane of the capability context.
#pragma once

#include <memory>

#include "actor/envelope.hpp"
#include "ucan/context.hpp"

namespace dms::actor {

class SecurityContext {
 public:
  /// crypto::Errc::bad_key or did::Errc::unsupported if the key may not be an actor's.
  static Result<SecurityContext> create(crypto::PrivateKey key, std::shared_ptr<ucan::CapabilityContext> capabilities,
                                        UnixTime now);

  [[nodiscard]] const Id& id() const { return id_; }
  /// The did:key of id(): how tokens name this actor.
  [[nodiscard]] const did::Did& id_did() const { return id_did_; }
  [[nodiscard]] const did::Did& did() const { return capabilities_->did(); }
  [[nodiscard]] const crypto::PrivateKey& key() const { return key_; }
  [[nodiscard]] const std::shared_ptr<ucan::CapabilityContext>& capabilities() const { return capabilities_; }
  std::uint64_t next_nonce() { return nonce_++; }

  Result<void> sign(Envelope& envelope) const { return envelope.sign(key_); }
  /// Tokens to invoke `invoke` at the receiver, and to let it invoke `reply` here; then signs.
  Result<void> provide(Envelope& envelope, const ucan::Capabilities& invoke, const ucan::Capabilities& reply,
                       UnixTime now) const;
  Result<void> provide_broadcast(Envelope& envelope, const ucan::Capabilities& broadcast, UnixTime now) const;

  Result<void> require(const Envelope& envelope, const ucan::Capabilities& capabilities, UnixTime now);
  /// Errc::bad_receiver if the envelope is no broadcast on `topic`.
  Result<void> require_broadcast(const Envelope& envelope, const std::string& topic,
                                 const ucan::Capabilities& capabilities, UnixTime now);
  /// The standing of the sender's DID, once the signature and a token of the message prove that the sender acts for it;
  /// without that proof, unknown.
  [[nodiscard]] ucan::Standing standing(const Envelope& envelope, UnixTime now) const;
  /// Forgets the tokens that came with the message. Twice is a mistake: the tokens may have come with another, too.
  void discard(const Envelope& envelope) { discard(envelope.capability); }
  void discard(BytesView tokens) { capabilities_->discard(tokens); }

 private:
  SecurityContext(crypto::PrivateKey key, Id id, did::Did id_did, std::shared_ptr<ucan::CapabilityContext> capabilities,
                  UnixTime now)
      : key_(std::move(key)),
        id_(std::move(id)),
        id_did_(std::move(id_did)),
        capabilities_(std::move(capabilities)),
        nonce_(now.nanos) {}
  [[nodiscard]] bool to_self(const Envelope& envelope) const {
    return envelope.from.id == id_ && envelope.to.id == id_;
  }
  template <class Judge>
  Result<void> judge(const Envelope& envelope, UnixTime now, Judge permitted);

  crypto::PrivateKey key_;
  Id id_;
  did::Did id_did_;
  std::shared_ptr<ucan::CapabilityContext> capabilities_;
  std::uint64_t nonce_;
};

}  // namespace dms::actor
