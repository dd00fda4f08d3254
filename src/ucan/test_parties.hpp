// The parties of the tests: each has its own key, DID and context.
#pragma once

#include "ucan/context.hpp"

namespace dms::ucan::test {

inline constexpr UnixTime kNow{1'700'000'000'000'000'000};
inline constexpr Duration kHour = std::chrono::hours(1);

struct Party {
  explicit Party(std::uint8_t seed)
      : key(crypto::PrivateKey::from_raw(crypto::KeyType::ed25519, Bytes(32, seed)).value()),
        did(did::Did::from(key.public_key()).value()),
        context(CapabilityContext::create(key, random()).value()) {}
  Party(Party&&) = default;  // a message is not copied
  static Random& random() {
    static SeededRandom shared(1);
    return shared;
  }
  crypto::PrivateKey key;
  did::Did did;
  CapabilityContext context;
  std::vector<Consumed> messages;  ///< in progress

  /// Consumes the tokens of a message and keeps it in progress: how many tokens are kept, or why none were read.
  Result<std::size_t> receive(const did::Did& origin, BytesView tokens, UnixTime now = kNow) {
    TRY(Consumed consumed, context.consume(origin, tokens, now));
    messages.push_back(std::move(consumed));
    return messages.back().kept();
  }
};

/// A token by `issuer` with exactly these claims, sound or not.
inline Token make(const Party& issuer, Action action, const did::Did& subject, const did::Did& audience,
                  Capabilities capabilities, const Token* parent = nullptr, UnixTime expires = kNow + kHour,
                  std::uint64_t depth = 0, Capabilities topics = {}) {
  Claims claims;
  claims.action = action;
  claims.issuer = issuer.did;
  claims.subject = subject;
  claims.audience = audience;
  claims.topics = std::move(topics);
  claims.capabilities = std::move(capabilities);
  claims.nonce = make_nonce(Party::random());
  claims.expires = expires;
  claims.depth = depth;
  return Token::issue(std::move(claims), issuer.key, parent).value();
}

inline std::string replace(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  return at == std::string::npos ? std::string() : text.replace(at, from.size(), to);
}

}  // namespace dms::ucan::test
