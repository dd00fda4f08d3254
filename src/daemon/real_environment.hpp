// The environment of the real program: variables, the terminal, sockets, and a daemon to run.
#pragma once

#include <memory>

#include "cli/framework/environment.hpp"
#include "daemon/settings.hpp"
#include "runtime/real_runtime.hpp"

namespace dms {

class RealEnvironment final : public cli::Environment {
 public:
  [[nodiscard]] std::optional<std::string> variable(const std::string& name) const override;
  [[nodiscard]] std::shared_ptr<const config::Registry> registry() const override { return node_settings(); }
  [[nodiscard]] UnixTime now() override;
  Random& random() override { return random_; }
  [[nodiscard]] bool interactive() const override;
  [[nodiscard]] bool has_input() override;
  [[nodiscard]] bool has_terminal() const override;
  Result<crypto::Secret> ask_secret(const std::string& prompt) override;
  [[nodiscard]] UserId user() const override;
  Result<HttpResponse> call(cli::DaemonAddress to, HttpRequest request, Duration limit, cli::CheckPeer check) override;
  Result<void> pause(Duration duration) override;
  void catch_interrupts() override;
  Result<void> with_runtime(std::function<Task<Result<void>>(Runtime)> work) override;
  Result<void> edit(const std::string& path) override;
  Result<void> run_program(const std::vector<std::string>& words) override;
  Result<void> run_daemon(const config::Loaded& settings, const cli::RunOptions& options,
                          crypto::PrivateKey key) override;
  Result<resources::Machine> machine(const std::filesystem::path& folder) override;
  Result<cli::Simulated> simulate(const std::string& scenario, cli::SimulationOptions options,
                                  std::function<void(const std::string&)> progress) override;

 private:
  RealRuntime& lasting();

  SystemRandom random_;
  std::unique_ptr<RealRuntime> lasting_;  ///< of all calls; runs nothing
  bool catches_interrupts_ = false;
};

}  // namespace dms
