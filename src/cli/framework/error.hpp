// The exit codes of commands.
//
//   0    done
//   1    failed; standard error says why and what to do
//   2    the command line is wrong: an unknown command or flag, a missing or malformed value. The object that a value
//        names (a file, a key, a daemon) is not checked for this.
//   3    refused, or not answered in time. The local node reports to its own users at once why it refuses; a remote
//        node does not answer callers without the capability. Also: a token or context that does not allow the request.
//   4    `deploy --wait`: the deployment was shut down before its work had ended
//   130  interrupted
#pragma once

#include "base/result.hpp"

namespace dms::cli {

enum class Errc { usage, failed, refused, no_daemon, declined, shut_down };

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "the command failed";
  switch (code) {
    case Errc::usage: sentence = "the command line is not understood"; break;
    case Errc::failed: break;
    case Errc::refused: sentence = "the request was refused or not answered in time"; break;
    case Errc::no_daemon: sentence = "no daemon answers on this machine"; break;
    case Errc::declined: sentence = "nothing was changed"; break;
    case Errc::shut_down: sentence = "the deployment was shut down"; break;
  }
  return {"cli", static_cast<int>(code), sentence};
}

[[nodiscard]] int exit_code(const Error& error);

}  // namespace dms::cli
