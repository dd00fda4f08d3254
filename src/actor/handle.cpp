#include "actor/handle.hpp"

#include "encoding/multibase.hpp"

namespace dms::actor {
namespace {

constexpr std::string_view kPub = "pub";

Result<void> check_name(std::string_view what, const std::string& name) {
  if (name.size() > kMaxName)
    return fail(Errc::malformed, "the {} has {} characters; at most {} are accepted", what, name.size(), kMaxName);
  return {};
}

}  // namespace

Result<Id> Id::parse(std::string_view base32) {
  auto key = decode(Base::base32_upper, base32, kMaxId * 8 / 5 + 8);
  if (!key) return std::unexpected(key.error().context(Errc::malformed, "the actor id is not base32"));
  if (key->size() > kMaxId)
    return fail(Errc::malformed, "the actor id has {} bytes; at most {} are accepted", key->size(), kMaxId);
  return Id(*std::move(key));
}

std::string Id::to_string() const { return encode(Base::base32_upper, key_); }

Result<crypto::PublicKey> Id::public_key() const {
  TRY(crypto::PublicKey key, crypto::PublicKey::unmarshal(key_));
  if (key.type() != crypto::KeyType::ed25519 && key.type() != crypto::KeyType::secp256k1)
    return fail(crypto::Errc::bad_key, "a key of type {} cannot be an actor's; expected Ed25519 or Secp256k1",
                crypto::to_string(key.type()));
  return key;
}

Result<did::Did> Id::did() const {
  TRY(crypto::PublicKey key, public_key());
  return did::Did::from(key);
}

void Id::to_json(json::Writer& writer) const { writer.begin_object().key(kPub).string(to_string()).end_object(); }

Result<Id> Id::from_json(const json::Value& value) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return json::wrong_kind("an object", value);
  TRY(const json::Value* pub, json::read_member(*object, kPub));
  if (pub == nullptr || pub->is_null()) return Id();
  if (!pub->is_string()) {
    auto wrong = json::wrong_kind("a string", *pub);
    return std::unexpected(json::at_member(kPub, wrong.error()));
  }
  auto id = parse(std::string_view(pub->get_string()));
  if (!id) return std::unexpected(json::at_member(kPub, id.error()));
  return id;
}

Result<Address> Address::parse(std::string_view text) {
  // A host has no colon; an inbox may (a contract's inbox is a DID).
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos)
    return fail(Errc::malformed, "the address has no ':'; expected <peer id>:<inbox>");
  Address address{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
  TRY_VOID(check_name("host", address.host));
  TRY_VOID(check_name("inbox", address.inbox));
  return address;
}

Result<Handle> Handle::from(const crypto::PublicKey& key, std::string inbox) {
  Handle handle;
  handle.id = Id::from(key);
  TRY(handle.did, handle.id.did());
  handle.address = {crypto::PeerId::from(key).to_string(), std::move(inbox)};
  return handle;
}

Result<Handle> Handle::from(const crypto::PeerId& peer, std::string inbox) {
  const auto key = peer.public_key();
  if (!key)
    return fail(Errc::malformed, "peer id {} does not contain its key; name the actor by its handle", peer.to_string());
  return from(*key, std::move(inbox));
}

Result<Handle> Handle::from(const did::Did& did, std::string inbox) {
  TRY(crypto::PublicKey key, did.public_key());
  return from(key, std::move(inbox));
}

std::string Handle::to_string() const {
  const auto id_did = id.did();
  return (id_did ? id_did->uri() : std::string()) + "[" + did.uri() + "]@" + address.to_string();
}

Result<Handle> Handle::parse(std::string_view text) {
  const std::size_t open = text.find('[');
  const std::size_t close = text.find("]@");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return fail(Errc::malformed, "not a handle; expected <did of id>[<did>]@<peer id>:<inbox>");
  Handle handle;
  TRY(did::Did id_did, did::Did::parse(text.substr(0, open)));
  if (!id_did.empty()) {
    TRY(crypto::PublicKey key, id_did.public_key());
    handle.id = Id::from(key);
  }
  TRY(handle.did, did::Did::parse(text.substr(open + 1, close - open - 1)));
  TRY(handle.address, Address::parse(text.substr(close + 2)));
  return handle;
}

Result<void> check_limits(const Handle& handle) {
  TRY_VOID(check_name("host", handle.address.host));
  return check_name("inbox", handle.address.inbox);
}

}  // namespace dms::actor
