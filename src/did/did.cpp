#include "did/did.hpp"

#include <algorithm>

#include "encoding/multibase.hpp"
#include "encoding/multicodec.hpp"

namespace dms::did {
namespace {

// Codes of wallets' keys, which the multicodec table does not have.
constexpr auto kEthereum = static_cast<Multicodec>(0xef01);
constexpr auto kCardano = static_cast<Multicodec>(0xef02);

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~%:").find(c) != std::string_view::npos;
}

Result<crypto::PublicKey> decode_did_key(const std::string& uri, std::string_view id) {
  if (!id.starts_with('z'))
    return fail(Errc::bad_key, "{}: expected base58btc, that is an identifier that begins with 'z'", uri);
  const auto decoded = multibase_decode(id);
  if (!decoded) return std::unexpected(decoded.error().context(Errc::bad_key, uri));
  const auto coded = read_multicodec(decoded->bytes);
  if (!coded) return std::unexpected(coded.error().context(Errc::bad_key, uri));
  const auto key = [&](crypto::KeyType type) -> Result<crypto::PublicKey> {
    auto result = crypto::PublicKey::from_raw(type, coded->rest);
    if (!result) return std::unexpected(result.error().context(Errc::bad_key, uri));
    return result;
  };
  if (coded->code == Multicodec::ed25519_pub) return key(crypto::KeyType::ed25519);
  if (coded->code == Multicodec::secp256k1_pub) return key(crypto::KeyType::secp256k1);
  if (coded->code == kEthereum) return key(crypto::KeyType::ethereum);
  if (coded->code == kCardano)
    return fail(Errc::unsupported,
                "{} is a Cardano wallet's key, whose signatures are not verified: use an Ed25519 key", uri);
  return fail(Errc::unsupported,
              "{} holds a key of type {}; known are Ed25519 (0xed), secp256k1 (0xe7) and Ethereum (0xef01)", uri,
              dms::to_string(coded->code));
}

}  // namespace

Result<Did> Did::from(const crypto::PublicKey& key) {
  Bytes bytes;
  switch (key.type()) {
    case crypto::KeyType::ed25519: append_multicodec(bytes, Multicodec::ed25519_pub); break;
    case crypto::KeyType::secp256k1: append_multicodec(bytes, Multicodec::secp256k1_pub); break;
    case crypto::KeyType::ethereum: append_multicodec(bytes, kEthereum); break;
    default:
      return fail(Errc::unsupported, "{} keys have no did:key here: use Ed25519 or secp256k1",
                  crypto::to_string(key.type()));
  }
  append(bytes, key.raw());
  return Did("did:key:" + multibase_encode(Base::base58btc, bytes));
}

Result<Did> Did::parse(std::string_view uri) {
  if (uri.empty()) return Did();
  if (uri.size() > kMaxDid)
    return fail(dms::Errc::limit_exceeded, "a DID of {} characters; at most {} are read", uri.size(), kMaxDid);
  if (!std::ranges::all_of(uri, allowed))
    return fail(Errc::malformed, "a DID holds a character outside of a-z A-Z 0-9 - . _ ~ % :");
  const std::size_t method = uri.find(':') + 1;
  const std::size_t id = uri.find(':', method) + 1;
  if (!uri.starts_with("did:") || id == 0 || id == method + 1 || id == uri.size() ||
      uri.find(':', id) != std::string_view::npos)
    return fail(Errc::malformed, "'{}' is not did:<method>:<identifier>", uri);
  return Did(std::string(uri));
}

std::string_view Did::method() const {
  if (empty()) return {};
  const std::string_view rest = std::string_view(uri_).substr(4);
  return rest.substr(0, rest.find(':'));
}

std::string_view Did::identifier() const {
  if (empty()) return {};
  return std::string_view(uri_).substr(5 + method().size());
}

Result<crypto::PublicKey> Did::public_key() const {
  if (empty()) return fail(Errc::malformed, "the empty DID has no key");
  if (method() == "key") return decode_did_key(uri_, identifier());
  if (method() == "prism")
    return fail(Errc::unsupported, "{}: PRISM identifiers need a resolver and cannot be verified here: use did:key",
                uri_);
  return fail(Errc::unsupported, "{}: DID method '{}' is unknown; did:key is supported", uri_, method());
}

void Did::to_json(json::Writer& writer) const {
  writer.begin_object();
  if (!empty()) writer.key("uri").string(uri_);
  writer.end_object();
}

Result<Did> Did::from_json(const json::Value& value) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return json::wrong_kind("an object with the member uri", value);
  TRY(const json::Value* uri, json::read_member(*object, "uri"));
  if (uri == nullptr || uri->is_null()) return Did();
  if (!uri->is_string()) return std::unexpected(json::at_member("uri", json::wrong_kind("a string", *uri).error()));
  auto did = parse({uri->get_string().data(), uri->get_string().size()});
  if (!did) return std::unexpected(json::at_member("uri", did.error()));
  return did;
}

}  // namespace dms::did
