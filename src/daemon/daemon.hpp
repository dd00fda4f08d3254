// The daemon: every room wired together, started in order, stopped in the reverse order.
//
// Model
//  1. Start: folders (mode 0700), the lock on the working directory, the log, the capability context (made if missing),
//     the database, the network, hardware, resources, executors, the node, the REST API. What fails ends the start with
//     an error that says what to do; what has been started by then is stopped.
//  2. When all of it listens, a summary for people and one line `ready` go to standard output.
//  3. SIGINT and SIGTERM stop it in order; a second one ends it at once. SIGHUP and SIGUSR1 read the capability context
//     again; a broken file is reported and changes nothing.
#pragma once

#include <string>

#include "config/config.hpp"
#include "crypto/keys.hpp"

namespace dms {

/// Returns when the daemon has stopped; an error if it could not start.
Result<void> run_daemon(const config::Config& config, const std::string& context, crypto::PrivateKey key);

}  // namespace dms
