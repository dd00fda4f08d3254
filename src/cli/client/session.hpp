// The state shared by commands: configuration, keys, capability contexts, the daemon, input and output.
//
// Passphrases come from DMS_PASSPHRASE or, on a terminal, from a prompt without echo, and are not kept. Decrypting a
// key needs its passphrase and a second (scrypt), so a key is decrypted only to sign: contexts are listed and changed
// without it, and a DID is read from the context if that belongs to the key.
#pragma once

#include <filesystem>

#include "base/text.hpp"
#include "cli/client/daemon_connection.hpp"
#include "cli/client/settings.hpp"
#include "cli/client/wallet.hpp"
#include "cli/framework/command.hpp"
#include "cli/framework/environment.hpp"
#include "config/config.hpp"
#include "ucan/context.hpp"

namespace dms::cli {

/// Of envelopes and tokens on standard input.
inline constexpr std::size_t kMaxInput = 16 << 20;

inline constexpr std::string_view kUserContext = "user";
inline constexpr std::string_view kDaemonContext = "dms";
inline constexpr std::string_view kPassphraseVariable = "DMS_PASSPHRASE";

class Session {
 public:
  Session(Streams streams, Environment& environment, const Command& root, Arguments global)
      : streams_(streams), environment_(environment), root_(root), global_(std::move(global)) {}

  [[nodiscard]] Environment& environment() { return environment_; }
  [[nodiscard]] const Command& root() const { return root_; }
  // Displayed text is escaped (base/text.hpp): it may come from a peer, a file or the daemon. The two raw functions are
  // the exceptions: text of this program (shell scripts) and the output of the user's own jobs, byte for byte.
  /// Standard output: one line of the result.
  void print(std::string_view line) { print_raw(printable(line) + '\n'); }
  /// JSON text of the same value, safe to display.
  void print_json(std::string_view json) { print_raw(printable_json(json) + '\n'); }
  /// Columns padded to their widest cell, two spaces apart; no line ends in spaces.
  void print_table(const std::vector<std::vector<std::string>>& rows);
  /// Standard error: one line of further information for the user.
  void note(std::string_view line) { note_raw(printable(line) + '\n'); }
  void print_raw(std::string_view bytes) { streams_.out << bytes << std::flush; }
  void note_raw(std::string_view bytes) { streams_.err << bytes << std::flush; }
  /// False once standard output could not be written (`| head`): more of it is in vain.
  [[nodiscard]] bool can_print() const { return static_cast<bool>(streams_.out); }
  [[nodiscard]] std::istream& input() { return streams_.in; }
  /// All of standard input, at most `max_size` bytes.
  Result<std::string> read_input(std::size_t max_size);

  /// Of the file, the environment and the global flags, each overriding the one before. Read once.
  Result<const config::Loaded*> settings();
  /// The settings of a module.
  template <class S>
  Result<S> section() {
    TRY(const config::Loaded* loaded, settings());
    return loaded->section<S>();
  }
  [[nodiscard]] config::Sources sources() const;
  /// The daemon, found and checked at the first call.
  Result<DaemonConnection*> daemon();

  Result<crypto::Keystore> keystore();
  Result<crypto::PrivateKey> load_key(const std::string& name);
  /// The signer of a context: its key, or a wallet (wallet.hpp).
  Result<crypto::Signer> load_signer(const std::string& context);
  /// Prompts for a passphrase (twice) and stores a new key encrypted under it.
  Result<crypto::PrivateKey> make_key(const std::string& name);
  /// The same for an existing key. With `secret` there is no prompt. A capability context of that name that belongs to
  /// another key is renamed.
  Result<void> store_key(const std::string& name, const crypto::PrivateKey& key,
                         std::optional<crypto::Secret> secret = std::nullopt);
  /// The DID of a key, if it is known without a passphrase: a key file does not hold it; the capability context of
  /// that name does, if it was written after the key.
  std::optional<did::Did> known_did(const std::string& name);
  /// Whether the context is that of a wallet, although its file may have the name of a key's: `ledger:user` is kept in
  /// user.cap.
  [[nodiscard]] static bool belongs_to_wallet(const ucan::CapabilityContext& context);
  /// True if it is in the environment: no prompt is needed.
  [[nodiscard]] bool has_passphrase() { return given_passphrase().has_value(); }
  /// From DMS_PASSPHRASE, else by a prompt.
  Result<crypto::Secret> passphrase(const std::string& question);
  /// The same, prompted for twice; `what` is what will be encrypted under it.
  Result<crypto::Secret> new_passphrase(std::string_view what);

  Result<std::filesystem::path> context_path(const std::string& name);
  /// Without a signer the context can be listed and changed, but issues nothing, and no passphrase is needed.
  Result<ucan::CapabilityContext> load_context(const std::string& name,
                                               std::optional<crypto::Signer> signer = std::nullopt);
  /// Also signals a running daemon to reload its context.
  Result<void> save_context(const std::string& name, const ucan::CapabilityContext& context);

  /// The existing items of that kind; empty where they cannot be read.
  std::vector<std::string> list(Known kind);

  /// Errc::declined unless the user confirms; `instead` is the advice without a terminal.
  Result<void> confirm(std::string_view question, std::string_view instead);
  /// The user's answer, a line; empty if there is none within a minute. Errc::cancelled at an interrupt, if interrupts
  /// are caught.
  Result<std::string> ask(std::string_view question);

 private:
  [[nodiscard]] std::map<std::string, std::string> flag_variables() const;
  [[nodiscard]] Result<void> check_flags() const;
  Result<DaemonTarget> daemon_target();
  Result<IpEndpoint> rest_address();
  std::optional<crypto::Secret> given_passphrase();
  std::vector<std::string> list_contexts();
  [[nodiscard]] bool context_is_older_than_key(const std::string& name);
  Result<void> rename_stale_context(const std::string& name, const did::Did& owner);

  Streams streams_;
  Environment& environment_;
  const Command& root_;
  Arguments global_;
  std::optional<config::Loaded> settings_;
  std::optional<DaemonConnection> daemon_;
};

/// The context that a command uses.
[[nodiscard]] inline std::string context_name(const Arguments& arguments, std::string_view fallback = kUserContext) {
  return arguments.get("context", fallback);
}
[[nodiscard]] Option context_option(std::string_view fallback = kUserContext);
[[nodiscard]] Option json_option();

/// A name that becomes a file name.
Result<void> check_name(std::string_view name);
Result<did::Did> parse_did(std::string_view what, std::string_view text);
/// "24h", "90m", "1h30m", "500ms"; a bare number counts seconds. Not below `least`.
Result<Duration> parse_duration(std::string_view what, std::string_view text, Duration least = Duration(1));
/// "2026-12-31", "2026-12-31T18:00:00Z", with offsets: the ISO 8601 forms of RFC 3339.
Result<UnixTime> parse_time(std::string_view what, std::string_view text);
/// "2026-12-31 18:00:00 UTC"
[[nodiscard]] std::string format_time(UnixTime time);

}  // namespace dms::cli
