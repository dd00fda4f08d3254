// How a command ends, as scripts see it.
//
//   0    done
//   1    failed; standard error says why and what to do
//   2    the command line is wrong
//   3    refused, or not answered in time. The local node tells an operator of its own why it refuses, at once; a remote
//        node does not answer a sender that lacks the capability.
//   130  interrupted
#pragma once

#include "base/result.hpp"

namespace dms::cli {

enum class Errc { usage, failed, refused, no_daemon, declined };

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "the command failed";
  switch (code) {
    case Errc::usage: sentence = "the command line is not understood"; break;
    case Errc::failed: break;
    case Errc::refused: sentence = "the request was refused or not answered in time"; break;
    case Errc::no_daemon: sentence = "no daemon answers on this machine"; break;
    case Errc::declined: sentence = "nothing was changed"; break;
  }
  return {"cli", static_cast<int>(code), sentence};
}

[[nodiscard]] int exit_code(const Error& error);

}  // namespace dms::cli
