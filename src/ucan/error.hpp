// Errors of tokens and contexts.
#pragma once

#include "base/result.hpp"

namespace dms::ucan {

enum class Errc {
  malformed,
  unsupported,
  too_big,
  expired,
  too_deep,
  revoked,
  broken_chain,
  widened,
  bad_signature,
  not_authorized,
  no_signer,
};

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "the token does not allow this";
  switch (code) {
    case Errc::malformed: sentence = "the text is not a token or a capability context"; break;
    case Errc::unsupported: sentence = "this kind of token is not supported"; break;
    case Errc::too_big: sentence = "there are more or larger tokens than the limits allow"; break;
    case Errc::expired: sentence = "the token has expired, or outlives the one it is derived from"; break;
    case Errc::too_deep: sentence = "the chain of delegation is longer than one of its links allows"; break;
    case Errc::revoked: sentence = "the token or one it is derived from was revoked"; break;
    case Errc::broken_chain: sentence = "a link of the chain does not follow from its parent"; break;
    case Errc::widened: sentence = "a link claims more than the one it is derived from"; break;
    case Errc::bad_signature: sentence = "the issuer did not sign this"; break;
    case Errc::not_authorized: break;
    case Errc::no_signer: sentence = "this capability context has no key to sign with"; break;
  }
  return {"ucan", static_cast<int>(code), sentence};
}

}  // namespace dms::ucan
