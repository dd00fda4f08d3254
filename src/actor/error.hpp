// Errors of sending and receiving envelopes.
#pragma once

#include "base/result.hpp"

namespace dms::actor {

enum class Errc { malformed, expired, bad_signature, bad_sender, bad_receiver, no_reply_expected, refused };

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "the bytes are not an envelope or a handle";
  switch (code) {
    case Errc::malformed: break;
    case Errc::expired: sentence = "the envelope has expired"; break;
    case Errc::bad_signature: sentence = "the envelope is not signed by the actor it names as its sender"; break;
    case Errc::bad_sender: sentence = "the envelope does not come from the actor that should sign or send it"; break;
    case Errc::bad_receiver: sentence = "the envelope cannot be delivered this way"; break;
    case Errc::no_reply_expected: sentence = "the envelope expects no reply"; break;
    case Errc::refused: sentence = "the receiver refuses the envelope"; break;
  }
  return {"actor", static_cast<int>(code), sentence};
}

}  // namespace dms::actor
