// Connects the command line to its daemon, and checks the daemon's identity.
//
// Model
//  1. The daemon's Unix socket comes first; if it does not exist or this user may not connect, the loopback port
//     follows. An address given on the command line or in the environment is used unchanged.
//  2. On the Unix socket the peer's process must run as this user, or, if this user is root, as the owner of the
//     folder. That is checked on every connection before anything is sent.
//  3. The handle that the daemon gives must be that of the expected DID: key, DID and peer id. The DID comes from
//     `rest.did`, else from the capability context `rest.context`.
//  4. Unless `rest.did` is set, the process at the loopback port must run as this user or as root, as reported by the
//     kernel; otherwise the command line refuses and explains how to configure the DID. A process whose user the kernel
//     does not report is accepted with the DID of the context, and refused without one.
// A process of the same user that claims the daemon's handle can still read, withhold or relay messages. It cannot
// forge replies, which are signed by the key that (3) fixes, nor use an envelope elsewhere: the receiver is signed too.
//
// Threads: one. Failure: Errc::no_daemon if nothing answers, Errc::failed if another daemon does.
// Decision: docs/decisions/0300-which-daemon-the-command-line-trusts.md
#pragma once

#include "actor/handle.hpp"
#include "cli/framework/environment.hpp"

namespace dms::cli {

struct DaemonTarget {
  std::string socket;  ///< empty: only the port
  UserId folder_owner = 0;
  IpEndpoint rest;
  std::optional<did::Did> did;  ///< the expected one
  bool did_is_set = false;      ///< by the user, in `rest.did`: then the daemon may run as any user
  std::string did_source;       ///< where it comes from, or why it is not known
};

class DaemonConnection {
 public:
  static Result<DaemonConnection> open(Environment& environment, DaemonTarget target);

  [[nodiscard]] const actor::Handle& handle() const { return handle_; }
  /// The body of a 200; anything else is an error. Errc::refused for 408.
  Result<std::string> call(HttpRequest request, Duration limit);

 private:
  DaemonConnection(Environment& environment, DaemonTarget target)
      : environment_(&environment), target_(std::move(target)) {}
  Result<HttpResponse> request_handle();
  Result<HttpResponse> exchange(HttpRequest request, Duration limit);
  [[nodiscard]] std::string address() const;
  Result<std::string> body_of(Result<HttpResponse> response) const;
  [[nodiscard]] bool is_own(std::optional<UserId> user) const;
  [[nodiscard]] bool is_trusted(std::optional<UserId> user) const;
  [[nodiscard]] Result<void> check_user(std::optional<UserId> user) const;
  [[nodiscard]] Result<void> check_port_user(std::optional<UserId> user) const;
  [[nodiscard]] Result<void> check_handle() const;

  Environment* environment_;
  DaemonTarget target_;
  std::optional<UserId> user_;  ///< of the process that answered last
  actor::Handle handle_;
};

/// One request on its own connection; `check` gets the peer's user before anything is sent, repeatedly for up to a
/// second while it is unknown and `check` fails.
Task<Result<HttpResponse>> call_daemon(Net& net, DaemonAddress to, HttpRequest request, HttpLimits limits,
                                       CheckPeer check);

}  // namespace dms::cli
