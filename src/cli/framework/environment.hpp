// All effects of commands other than on files; tests replace them.
#pragma once

#include <filesystem>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "base/time.hpp"
#include "cli/framework/error.hpp"
#include "crypto/keystore.hpp"
#include "http/http.hpp"
#include "resources/share.hpp"
#include "runtime/stream.hpp"

namespace dms::config {
class Registry;
struct Loaded;
}  // namespace dms::config

namespace dms::cli {

/// `out` is for the result only; `err` for messages to the user.
struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
};

/// The address of a daemon.
struct DaemonAddress {
  std::string socket;  ///< a Unix socket; empty: `rest`
  IpEndpoint rest;
};
/// Called with the user of the peer process, if it is known; an error ends the call.
using CheckPeer = std::function<Result<void>(std::optional<UserId>)>;

struct SimulationOptions {
  std::optional<std::uint64_t> seed;  ///< instead of the scenario's
  bool log = false;                   ///< the nodes log at level debug
};
/// What `nunet sim` found.
struct Simulated {
  bool held = false;  ///< every property
  bool interrupted = false;
  std::uint64_t seed = 0;
  std::string summary;   ///< for people, lines
  std::string report;    ///< JSON
  std::string scenario;  ///< with which the run replays, YAML
  std::string trace;     ///< what happened, lines
};

struct RunOptions {
  std::string context;  ///< names the daemon's key and capability context
  bool dev = false;     ///< alone: it dials no peer, and offers a share although no setting names one
  std::string next;     ///< printed after `ready`, a line; or empty
};

class Environment {
 public:
  virtual ~Environment() = default;

  [[nodiscard]] virtual std::optional<std::string> variable(const std::string& name) const = 0;
  /// The settings that all modules of the program declare.
  [[nodiscard]] virtual std::shared_ptr<const config::Registry> registry() const = 0;
  [[nodiscard]] virtual UnixTime now() = 0;
  virtual Random& random() = 0;
  /// True if standard input is a terminal, on which the user can answer prompts; a process in the background is not
  /// answered.
  [[nodiscard]] virtual bool interactive() const = 0;
  /// Whether a line can be read from standard input, or it has ended: reading does not wait.
  [[nodiscard]] virtual bool has_input() = 0;
  /// True if there is a terminal to prompt for a secret, even if standard input is a file or a pipe.
  [[nodiscard]] virtual bool has_terminal() const = 0;
  /// Shows `prompt` and reads a line from the terminal without echo.
  virtual Result<crypto::Secret> ask_secret(const std::string& prompt) = 0;

  /// The user that this program runs as.
  [[nodiscard]] virtual UserId user() const = 0;
  /// One request and its response; `check` runs before anything is sent. Errc::cancelled when the user interrupts.
  virtual Result<HttpResponse> call(DaemonAddress to, HttpRequest request, Duration limit, CheckPeer check) = 0;
  virtual Result<void> pause(Duration duration) = 0;
  /// From now on an interrupt between two of these calls does not end the program: the next one fails with
  /// Errc::cancelled.
  virtual void catch_interrupts() {}
  /// Runs `work` on its own runtime until it has finished. When the user interrupts, it is cancelled
  /// (runtime/task.hpp), and its result is returned.
  virtual Result<void> with_runtime(std::function<Task<Result<void>>(Runtime)> work) = 0;
  /// Opens a file in the user's editor and waits until it is closed.
  virtual Result<void> edit(const std::string& path) = 0;
  /// Runs a program from PATH and waits for it; both its outputs go to standard error. Errc::io unless it ends with 0.
  virtual Result<void> run_program(const std::vector<std::string>& words) = 0;
  /// `nunet run`; returns when the daemon has stopped.
  virtual Result<void> run_daemon(const config::Loaded& settings, const RunOptions& options,
                                  crypto::PrivateKey key) = 0;
  /// This machine; its disk is that of `folder`.
  virtual Result<resources::Machine> machine(const std::filesystem::path& folder) = 0;

  /// `nunet sim`: runs a scenario. `progress` gets a line now and
  /// then. An interrupting user ends it with the report so far.
  virtual Result<Simulated> simulate(const std::string& scenario, SimulationOptions options,
                                     std::function<void(const std::string&)> progress) = 0;

  [[nodiscard]] virtual crypto::ScryptCost key_cost() const { return {}; }
};

}  // namespace dms::cli
