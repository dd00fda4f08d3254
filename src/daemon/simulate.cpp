// RealEnvironment::simulate(): `nunet sim` on the real clock and terminal.
#include <array>
#include <csignal>

#include "base/log.hpp"
#include "daemon/real_environment.hpp"
#include "sim/scenario/simulation.hpp"

namespace dms {
namespace {

constexpr Duration kProgressInterval = 2s;  // of real time

volatile std::sig_atomic_t interrupted = 0;

/// While it exists, Ctrl-C and SIGTERM set `interrupted`; a second one ends the program.
class Interruptible {
 public:
  Interruptible() {
    interrupted = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = SA_RESETHAND;
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
  }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  ~Interruptible() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM};
  std::array<struct sigaction, kSignals.size()> before_ = {};
};

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Result<cli::Simulated> RealEnvironment::simulate(const std::string& scenario, cli::SimulationOptions options,
                                                 std::function<void(const std::string&)> progress) {
  TRY(sim::Scenario parsed, sim::Scenario::parse(scenario));
  if (options.seed) parsed.seed = *options.seed;
  const Interruptible interruptible;
  log::set_level(options.log ? log::Level::debug : log::Level::off);
  const UnixTime begin = now();
  UnixTime next = begin + kProgressInterval;
  std::size_t told = 0;
  sim::Simulation simulation(parsed, [&](const sim::Report& so_far, Duration simulated, Duration planned) {
    for (; told < so_far.findings.size(); ++told) progress(to_string(so_far.findings[told]));
    if (const UnixTime at = now(); at.nanos >= next.nanos) {
      next = at + kProgressInterval;
      progress(fmt::format(
          "{:.0f} of at most {:.0f} s simulated, {} deployments, {} completed, {} failed, {} checks, {} findings",
          seconds(simulated), seconds(planned), so_far.submitted, so_far.completed, so_far.failed, so_far.checks,
          so_far.findings_total));
    }
    return interrupted == 0;
  });
  sim::Report report = simulation.run();
  report.wall_seconds = seconds(now() - begin);
  std::string trace;
  for (const std::string& line : report.trace) trace += line + '\n';
  return cli::Simulated{.held = report.held(),
                        .interrupted = report.interrupted,
                        .seed = parsed.seed,
                        .summary = report.summary(),
                        .report = json::encode(report),
                        .scenario = parsed.to_yaml(),
                        .trace = std::move(trace)};
}

}  // namespace dms
