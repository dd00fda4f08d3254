// The addresses of the REST API, for the server and the command line.
#pragma once

#include "config/section.hpp"

namespace dms::api {

struct Settings {
  static constexpr std::string_view kSection = "rest";
  std::string addr = "127.0.0.1";
  std::uint16_t port = 9999;

  static auto config_fields() {
    return std::tuple(config::field("addr", &Settings::addr), config::field("port", &Settings::port));
  }
  /// Refuses an `addr` that is not an IP address.
  Result<void> check();
};

/// The Unix socket in the work directory. Only the daemon's own user and root are served there.
inline constexpr std::string_view kSocketName = "nunet.sock";

/// How the inboxes of callers are named, here and by NuNet's clients: user-<nonce>.
inline constexpr std::string_view kCallerInbox = "user-";

inline constexpr std::string_view kHandlePath = "/api/v1/actor/handle";
inline constexpr std::string_view kSendPath = "/api/v1/actor/send";
inline constexpr std::string_view kInvokePath = "/api/v1/actor/invoke";
inline constexpr std::string_view kBroadcastPath = "/api/v1/actor/broadcast";
/// Before the ticket of a file, whose pages are posted or fetched: ?offset=N.
inline constexpr std::string_view kFilePath = "/api/v1/file/";

}  // namespace dms::api
