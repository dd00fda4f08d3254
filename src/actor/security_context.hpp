// Signs and authorises an actor's messages: its own key, and the capability context that it shares with its node.
//
// Model
//  1. The actor's id is the public half of its key; its Did is that of the capability context. provide() adds tokens to
//     an envelope that let `from.id` act with the context's power, and signs it; require() verifies the tokens of a
//     message.
//  2. require() needs a verified envelope (Envelope::verify). It succeeds if a token held for `from.id` and addressed
//     to this actor implies one of the capabilities and is anchored where this node trusts (ucan/context.hpp), and if
//     `from.did` itself has signed a token of this message for `from.id` that is valid now, not revoked, and for this
//     actor or for any. So behind require(), from.did is proven. NuNet's nodes omit the second check; their messages
//     pass it, as the tokens of an envelope are always issued by the Did of its sender.
//  3. A message from this actor to itself carries no tokens and needs none: verify() has shown that it was signed with
//     this actor's own key. Replays of one are refused like any other. Nothing else is exempt, not even actors of the
//     same node.
//  4. The tokens of a message are parsed once, and held as long as its Authorization exists. A refused message leaves
//     none behind.
//  5. Nonces begin at the time of creation in nanoseconds and count up, so they never repeat, also across restarts.
//
// Threads: the lane of the capability context.
#pragma once

#include <memory>

#include "actor/envelope.hpp"
#include "ucan/context.hpp"

namespace dms::actor {

/// The authority by which a message is permitted. Its tokens are held until this is destroyed, so that a reply can use
/// them.
struct Authorization {
  ucan::Consumed tokens;
  ucan::Authority authority;
};

class SecurityContext {
 public:
  /// crypto::Errc::bad_key or did::Errc::unsupported if an actor may not have the key.
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

  Result<Authorization> require(const Envelope& envelope, const ucan::Capabilities& capabilities, UnixTime now);
  /// Errc::bad_receiver if the envelope is no broadcast on `topic`.
  Result<Authorization> require_broadcast(const Envelope& envelope, const std::string& topic,
                                          const ucan::Capabilities& capabilities, UnixTime now);
  /// The trust in the sender's DID, once the signature and a token of the message prove that the sender acts for it;
  /// none without that proof.
  [[nodiscard]] ucan::Trust trust(const Envelope& envelope, UnixTime now) const;

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
  [[nodiscard]] Result<void> check_did(const Envelope& envelope, const did::Did& sender,
                                       const ucan::MessageTokens& tokens, UnixTime now) const;
  template <class Require>
  Result<Authorization> authorize(const Envelope& envelope, UnixTime now, Require required);

  crypto::PrivateKey key_;
  Id id_;
  did::Did id_did_;
  std::shared_ptr<ucan::CapabilityContext> capabilities_;
  std::uint64_t nonce_;
};

}  // namespace dms::actor
