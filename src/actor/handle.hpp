// Identity and address of an actor.
//
// Model
//  1. An Id is an actor's own public key, in libp2p's marshalled form; it signs the actor's envelopes. A Did names the
//     party whose capabilities the actor uses: a node's children have their own keys and the node's Did. An Address is
//     the peer id of the host and the name of an inbox there (`root` for the node's own actor).
//  2. All three may be empty; a handle with all three empty is the receiver of a broadcast.
//  3. On the wire an Id is {"pub": base32 with padding}; an empty handle is {"id":{"pub":""},"did":{},"addr":{}}.
//  4. As text a handle is `<did of id>[<did>]@<host>:<inbox>`; parse() reads exactly what to_string() writes.
//
// Attacks: handles are untrusted input. An Id holds any bytes up to kMaxId until public_key() is asked, which accepts
// Ed25519 and secp256k1 only; names are bounded by kMaxName. The host is kept as the text it came as, because
// signatures cover that text; it is compared with the text of the peer id that the connection proved, so another
// spelling of the same id (a CID) is refused, not confused.
//
// Specification: NuNet DMS 0.5, actor.Handle.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "actor/error.hpp"
#include "crypto/keys.hpp"
#include "crypto/peer_id.hpp"
#include "did/did.hpp"
#include "encoding/json.hpp"

namespace dms::actor {

inline constexpr std::size_t kMaxId = 128;
inline constexpr std::size_t kMaxName = 1024;
inline constexpr std::string_view kRootInbox = "root";

class Id {
 public:
  Id() = default;
  static Id from(const crypto::PublicKey& key) { return Id(key.marshal()); }
  static Result<Id> parse(std::string_view base32);

  [[nodiscard]] bool empty() const { return key_.empty(); }
  [[nodiscard]] BytesView bytes() const { return key_; }
  [[nodiscard]] std::string to_string() const;
  /// crypto::Errc::bad_key if this is not a key, or not of a type that actors may have.
  [[nodiscard]] Result<crypto::PublicKey> public_key() const;
  /// The did:key of the key.
  [[nodiscard]] Result<did::Did> did() const;

  void to_json(json::Writer& writer) const;
  static Result<Id> from_json(const json::Value& value);

  friend bool operator==(const Id&, const Id&) = default;
  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  explicit Id(Bytes key) : key_(std::move(key)) {}
  Bytes key_;
};

struct Address {
  std::string host;
  std::string inbox;

  [[nodiscard]] bool empty() const { return host.empty() && inbox.empty(); }
  [[nodiscard]] Result<crypto::PeerId> peer() const { return crypto::PeerId::parse(host); }
  /// `<host>:<inbox>`
  [[nodiscard]] std::string to_string() const { return host + ":" + inbox; }
  static Result<Address> parse(std::string_view text);

  static constexpr auto json_fields() {
    return std::tuple(json::field("host", &Address::host, json::omit_empty),
                      json::field("inbox", &Address::inbox, json::omit_empty));
  }
  friend auto operator<=>(const Address&, const Address&) = default;
};

struct Handle {
  Id id;
  did::Did did;
  Address address;

  /// The actor of that key on the host of that key. Errc::malformed for keys that actors may not have.
  static Result<Handle> from(const crypto::PublicKey& key, std::string inbox = std::string(kRootInbox));
  /// Peer ids that are hashes do not contain the key; those are refused.
  static Result<Handle> from(const crypto::PeerId& peer, std::string inbox = std::string(kRootInbox));
  static Result<Handle> from(const did::Did& did, std::string inbox = std::string(kRootInbox));

  [[nodiscard]] bool empty() const { return id.empty() && did.empty() && address.empty(); }
  [[nodiscard]] std::string to_string() const;
  static Result<Handle> parse(std::string_view text);

  static constexpr auto json_fields() {
    return std::tuple(json::field("id", &Handle::id), json::field("did", &Handle::did),
                      json::field("addr", &Handle::address));
  }
  friend auto operator<=>(const Handle&, const Handle&) = default;
};

/// Errc::malformed for what is longer than the limits above.
Result<void> check_limits(const Handle& handle);

}  // namespace dms::actor
