// Failures of keys and key files.
#pragma once

#include "base/result.hpp"

namespace dms::crypto {

enum class Errc { bad_key, bad_peer_id, wrong_passphrase, damaged_file, wrong_signature, library };

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "the cryptographic library reported an error";
  switch (code) {
    case Errc::bad_key: sentence = "the bytes are not a key of a supported type"; break;
    case Errc::bad_peer_id: sentence = "the text or bytes are not a peer id"; break;
    case Errc::wrong_passphrase: sentence = "the passphrase does not open this key"; break;
    case Errc::damaged_file: sentence = "the key file is not readable as a key file"; break;
    case Errc::wrong_signature: sentence = "the signature is not by the requested key"; break;
    case Errc::library: break;
  }
  return {"crypto", static_cast<int>(code), sentence};
}

}  // namespace dms::crypto
