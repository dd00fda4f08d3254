// The daemon: all modules wired together, started in order, stopped in the reverse order.
//
// Model
//  1. Start: folders (mode 0700), the lock on the work directory, the log, the capability context (made if missing),
//     the database, the network, the address book, hardware, resources, executors, the node, the REST API. A failure
//     ends the start with an error that says what to do; the modules started before are stopped.
//  2. When all of it listens, a human-readable summary and one line `ready` go to standard output.
//  3. A closed standard output or error does not end the daemon (SIGPIPE).
//  4. SIGINT and SIGTERM stop it in order; a second one ends it at once. SIGHUP and SIGUSR1 read the capability context
//     again; a broken file is reported and changes nothing. A SIGHUP because the terminal in which the daemon was
//     started is closed stops it, unless it was started by nohup.
#pragma once

#include <string>

#include "config/config.hpp"
#include "crypto/keys.hpp"

namespace dms {

/// Returns when the daemon has stopped; an error if it could not start.
Result<void> run_daemon(const config::Loaded& settings, const std::string& context, crypto::PrivateKey key);

}  // namespace dms
