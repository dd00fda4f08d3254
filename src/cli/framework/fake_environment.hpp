// An environment for tests of commands: a temporary home folder, a fixed clock, a daemon that is a function.
#pragma once

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "actor/envelope.hpp"
#include "api/settings.hpp"
#include "base/file.hpp"
#include "cli/cli.hpp"
#include "cli/client/settings.hpp"
#include "config/config.hpp"
#include "simulation/sim_world.hpp"

namespace dms::cli {

class FakeEnvironment final : public Environment {
 public:
  using Daemon = std::function<HttpResponse(const HttpRequest&)>;

  FakeEnvironment() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nunet-cli-XXXXXX").string();
    home = ::mkdtemp(pattern.data());
    variables = {{"HOME", home.string()}, {"DMS_PASSPHRASE", "secret"}};
    write("dms_config.json", "{}");
    variables["DMS_GENERAL_WORK_DIR"] = (home / "nunet").string();
  }
  FakeEnvironment(const FakeEnvironment&) = delete;
  FakeEnvironment& operator=(const FakeEnvironment&) = delete;
  ~FakeEnvironment() override {
    std::error_code ignored;
    std::filesystem::remove_all(home, ignored);
  }

  void write(const std::string& name, std::string_view text) { (void)write_file(home / ".nunet" / name, text); }

  std::optional<std::string> variable(const std::string& name) const override {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  }
  std::shared_ptr<const config::Registry> registry() const override {
    config::Section planned;
    planned.settings = {config::unused("profiler.enabled", false, "there is no profiler"),
                        config::unused("profiler.port", std::uint16_t{6060}, "there is no profiler")};
    return std::make_shared<const config::Registry>(std::vector{
        config::section<FolderSettings>(), config::section<api::Settings>(), config::section<DaemonSettings>(),
        config::section<resources::ShareSettings>(), std::move(planned)});
  }
  UnixTime now() override { return time; }
  Random& random() override { return seeded; }
  bool interactive() const override { return at_terminal; }
  bool has_input() override { return !hesitates; }
  bool has_terminal() const override { return !secrets.empty() || at_terminal; }
  Result<crypto::Secret> ask_secret(const std::string& prompt) override {
    prompts.push_back(prompt);
    if (secrets.empty()) return fail(dms::Errc::cancelled, "interrupted");
    crypto::Secret secret(secrets.front());
    secrets.erase(secrets.begin());
    return secret;
  }
  UserId user() const override { return 1000; }
  Result<HttpResponse> call(DaemonAddress to, HttpRequest request, Duration, CheckPeer check) override {
    if (!to.socket.empty() && !socket_user) return fail(dms::Errc::not_found, "no socket");
    called = to;
    if (std::exchange(interrupt_call, false)) return fail(dms::Errc::cancelled, "interrupted");
    if (!daemon || time < daemon_back) return fail(dms::Errc::io, "connection refused");
    TRY_VOID(check(to.socket.empty() ? port_user : socket_user));
    HttpResponse response = daemon(request);
    if (std::exchange(lose_reply, false)) return fail(dms::Errc::io, "connection reset");
    return response;
  }
  Result<void> pause(Duration duration) override {
    time = time + duration;
    if (interrupt_after > 0 && --interrupt_after == 0) return fail(dms::Errc::cancelled, "interrupted");
    return {};
  }
  void catch_interrupts() override { catches_interrupts = true; }
  Result<void> edit(const std::string& path) override {
    opened = read_file(path, 1 << 20).value_or("");
    if (edited.empty()) return fail(dms::Errc::io, "the editor failed");
    return write_file(path, edited);
  }
  Result<void> run_program(const std::vector<std::string>& words) override {
    programs.push_back(words);
    if (!program) return fail(dms::Errc::io, "{} is not installed", words.front());
    return program(words);
  }
  /// On a new node of the simulated network, for at most `time_limit`; 0: the user has interrupted before it begins.
  Result<void> with_runtime(std::function<Task<Result<void>>(Runtime)> work) override {
    SimNode& node = network.add_node("nunet");
    return network.run(node, interrupted(time_limit, work(node.runtime())));
  }
  Result<void> run_daemon(const config::Loaded& settings, const RunOptions& options, crypto::PrivateKey) override {
    ran = options.context;
    run_options = options;
    run_settings = settings.values;
    return {};
  }
  Result<resources::Machine> machine(const std::filesystem::path&) override { return this_machine; }
  Result<Simulated> simulate(const std::string& scenario, SimulationOptions options,
                             std::function<void(const std::string&)> progress) override {
    simulated_scenario = scenario;
    simulated_seed = options.seed;
    progress("half of it");
    return simulated;
  }
  /// Cancels `work` after a time, as an interrupting user does.
  static Task<Result<void>> interrupted(Duration after, Task<Result<void>> work) {
    TaskContext context = co_await this_task();
    CancelScope scope(context.scope);
    if (after == Duration(0)) scope.cancel();
    ScopedTimer timer(*context.lane, context.lane->now() + after, [&scope] { scope.cancel(); });
    work.set_context({context.lane, &scope});
    co_return co_await std::move(work);
  }
  crypto::ScryptCost key_cost() const override { return {.n = 2, .r = 1, .p = 1}; }

  std::filesystem::path home;
  std::map<std::string, std::string> variables;
  UnixTime time{1'760'000'000ULL * 1'000'000'000ULL};
  SeededRandom seeded{1};
  bool at_terminal = false;
  bool hesitates = false;  // the user, who does not answer
  std::vector<std::string> secrets;
  std::vector<std::string> prompts;
  Daemon daemon;
  UnixTime daemon_back{};   ///< until then nothing answers
  bool lose_reply = false;  ///< to the request that the daemon is reading
  std::optional<DaemonAddress> called;
  std::optional<UserId> socket_user;       // that serves the Unix socket; none: no socket
  std::optional<UserId> port_user = 1000;  // that serves the port
  std::string edited;                      // the file after editing; empty: the editor fails
  std::string opened;                      // the file before editing
  std::function<Result<void>(const std::vector<std::string>&)> program;
  std::vector<std::vector<std::string>> programs;
  SimWorld network{1};
  Duration time_limit = 1h;
  std::string ran;
  RunOptions run_options;
  config::Values run_settings;
  Result<resources::Machine> this_machine = fail(dms::Errc::io, "unknown hardware");
  Result<Simulated> simulated = Simulated{};
  std::string simulated_scenario;
  std::optional<std::uint64_t> simulated_seed;
  int interrupt_after = 0;
  bool interrupt_call = false;  // the next one
  bool catches_interrupts = false;
};

struct CommandResult {
  int code = 0;
  std::string out;
  std::string err;
};

inline CommandResult run_in(FakeEnvironment& environment, const std::vector<std::string>& words,
                            const std::string& input = "") {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  const int code = run(words, {in, out, err}, environment);
  return {code, out.str(), err.str()};
}

}  // namespace dms::cli
