// Private keys in the containers of other programs: PEM, OpenSSH, JSON Web Keys, JSON arrays.
//
// Model
//  1. PEM holds PKCS#8 (`openssl genpkey`) or SEC 1 (`openssl ecparam -genkey`, whose EC PARAMETERS block is skipped);
//     the same PKCS#8 is read as bare DER. The first private key of a text is read.
//  2. OpenSSH's own form (`ssh-keygen -t ed25519`) holds one key and its public part twice: all must agree.
//  3. A JWK is {"kty":"OKP","crv":"Ed25519","d":...} or {"kty":"EC","crv":"secp256k1","d":...} (RFC 8037, RFC 8812);
//     `x`, if there, must belong to `d`. A JSON array of 64 numbers is an Ed25519 key: seed, then public key.
//  4. Other contents are refused by name, with advice: keys under a passphrase, public keys and
//     certificates, and keys of other types.
//
// Pure functions. All copies of the key are wiped. Failure: Errc::bad_key. Cost: one pass, and OpenSSL's decoder.
//
// Attacks: the text comes from a file that another party may have sent; its size is the caller's to bound
// (kMaxKeyText). JSON is parsed in a fixed buffer. Halves that do not belong together are refused, as for every key
// (keys.hpp).
//
// Specification: RFC 7468, RFC 5958, RFC 8410, RFC 5915; OpenSSH's PROTOCOL.key.
#pragma once

#include <optional>

#include "crypto/keys.hpp"

namespace dms::crypto {

/// Nothing if the text is in none of these containers.
std::optional<Result<PrivateKey>> read_contained_key(BytesView text);

/// True for a JSON object with a member `kty`.
[[nodiscard]] bool is_json_web_key(BytesView text);

}  // namespace dms::crypto
