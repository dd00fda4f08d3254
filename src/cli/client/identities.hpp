// The identities that a node and its user need: a key and a capability context of each, and the user as a root of the
// node's context. What is missing is made; what is there stays as it is.
//
// Each step is one file that is replaced at once: a call that is interrupted leaves finished steps, and the next call
// goes on with the others. One passphrase is asked for, if a key is made or has to be decrypted.
#pragma once

#include "cli/client/session.hpp"

namespace dms::cli {

struct Identity {
  std::string name;
  did::Did did;
  bool in_wallet = false;  ///< its key is in a Ledger wallet
  bool key_made = false;
  bool context_made = false;
  std::filesystem::path key_file;
  std::filesystem::path context_file;
};

struct Identities {
  Identity daemon;
  Identity user;
  bool anchored = false;                         ///< by this call
  std::optional<crypto::PrivateKey> daemon_key;  ///< if it has been made or decrypted
  [[nodiscard]] bool changed() const {
    return daemon.key_made || daemon.context_made || user.key_made || user.context_made || anchored;
  }
};

/// Errc::failed if a context belongs to another key than the one of its name, or its key is gone.
Result<Identities> make_identities(Session& session, const std::string& daemon, bool with_daemon_key);

}  // namespace dms::cli
