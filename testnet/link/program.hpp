// The program `testnet_link`: TUN devices, the control socket and the clock, around one Switch.
//
//   testnet_link --socket PATH --seed NUMBER
//
// Model
//  1. One thread waits for packets, commands and the next arrival (a timerfd). It ends at the command "stop", SIGTERM or
//     SIGINT; its devices end with it.
//  2. Bounds: kMaxConnections of the control socket, a line of kMaxLine bytes. A connection at a bound is closed.
//  3. The socket is for the user that has started the program (mode 600).
#pragma once

namespace dms::testnet {

/// The exit status.
int run_program(int argc, char** argv);

}  // namespace dms::testnet
