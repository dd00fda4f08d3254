// The signed envelope: the message format between actors.
//
// Model
//  1. An envelope names its receiver (none, for a broadcast), its sender, the behaviour it invokes, when it expires,
//     and carries a payload (JSON, defined by the behaviour), the sender's capability tokens and a signature.
//  2. The signature covers "dms:msg:" and the JSON of all members but `sig`, in the order below, in Go's form. A
//     receiver parses and re-encodes to verify, so unknown members, order and letter case of keys do not matter.
//  3. An envelope is signed by the key that `from.id` contains. Whether `from.did` may use that key is proven by the
//     capability tokens, not here (security_context.hpp).
//  4. Sender and nonce together name an envelope; replay_filter.hpp refuses to accept one twice.
//  5. A broadcast has an empty receiver and a topic. Anything else is for one actor, also if it has a topic.
//  6. A payload is never absent, only empty: Go signs an absent one as null, which no sender makes, and decode()
//     refuses it.
//
// Attacks: decode() reads untrusted bytes: at most network::kMaxMessage, eight levels deep, names of at most
// kMaxName.
//
// Specification: NuNet DMS 0.5, actor.Envelope.
#pragma once

#include "actor/handle.hpp"
#include "base/time.hpp"

namespace dms::actor {

inline constexpr Duration kDefaultTimeout = 30s;
/// A receiver refuses an envelope that expires later than this after its arrival. NuNet's nodes choose five minutes at
/// most; a deployment's user sets its own (docs/decisions/0102-envelope-lifetime.md).
inline constexpr Duration kMaxLifetime = std::chrono::hours(24);

struct EnvelopeOptions {
  std::uint64_t expires = 0;  ///< nanoseconds since 1970
  std::string reply_to;       ///< the behaviour that a reply invokes; empty if none is expected
  std::string topic;          ///< of a broadcast

  static constexpr auto json_fields() {
    return std::tuple(json::field("exp", &EnvelopeOptions::expires),
                      json::field("cont", &EnvelopeOptions::reply_to, json::omit_empty),
                      json::field("topic", &EnvelopeOptions::topic, json::omit_empty));
  }
};

struct Envelope {
  Handle to;
  std::string behaviour;
  Handle from;
  std::uint64_t nonce = 0;
  EnvelopeOptions options;
  Bytes message;
  Bytes capability;  ///< a ucan::TokenList as JSON
  Bytes signature;

  Envelope() = default;
  static Result<Envelope> decode(BytesView json);
  [[nodiscard]] Bytes encode() const;

  [[nodiscard]] bool is_broadcast() const { return to.empty() && !options.topic.empty(); }
  [[nodiscard]] bool expired(UnixTime now) const { return now.nanos > options.expires; }
  [[nodiscard]] bool lives_too_long(UnixTime now) const { return options.expires > (now + kMaxLifetime).nanos; }
  [[nodiscard]] UnixTime expiry() const { return {options.expires}; }

  [[nodiscard]] std::string signed_text() const;
  /// Errc::bad_sender if `key` is not that of `from.id`.
  Result<void> sign(const crypto::PrivateKey& key);
  /// Errc::expired, crypto::Errc::bad_key or Errc::bad_signature.
  [[nodiscard]] Result<void> verify(UnixTime now) const;

  static constexpr auto json_fields() {
    return std::tuple(json::field("to", &Envelope::to), json::field("be", &Envelope::behaviour),
                      json::field("from", &Envelope::from), json::field("nonce", &Envelope::nonce),
                      json::field("opt", &Envelope::options), json::field("msg", &Envelope::message),
                      json::field("cap", &Envelope::capability, json::omit_empty),
                      json::field("sig", &Envelope::signature, json::omit_empty));
  }
};

/// The payload, which was parsed to `parsed`, as the behaviour's type.
template <class T>
Result<T> payload(const Envelope& envelope, const Result<json::Value>& parsed) {
  Result<T> value = parsed ? json::from_value<T>(*parsed) : std::unexpected(parsed.error());
  if (!value) return fail(value.error(), "reading the payload of {}", envelope.behaviour);
  return value;
}
/// The payload as the behaviour's type. An envelope without payload is an error.
template <class T>
Result<T> payload(const Envelope& envelope) {
  return payload<T>(envelope, json::parse(as_text(envelope.message)));
}

/// For Envelope::message.
template <class T>
Bytes to_payload(const T& value) {
  return to_bytes(json::encode(value));
}

}  // namespace dms::actor
