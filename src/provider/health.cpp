#include "provider/health.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "jobs/ensemble/health_endpoint.hpp"
#include "jobs/ensemble/program_limits.hpp"

namespace dms::provider {
namespace {

using jobs::HealthCheckType;
using protocol::Health;

constexpr std::size_t kMaxMessage = 256;
constexpr std::size_t kMaxSubject = 100;

Result<executor::Probe> probe_of(const jobs::HealthCheck& check) {
  executor::Probe probe;
  probe.port = check.port;
  if (check.type == HealthCheckType::http) {
    const Result<jobs::HealthEndpoint> endpoint = jobs::health_endpoint(check);
    if (!endpoint) return fail(Errc::invalid_argument, "endpoint: {}", endpoint.error().message());
    probe.port = endpoint->port;
    probe.http_path = endpoint->path;
  }
  if (probe.port == 0) return fail(Errc::invalid_argument, "port: a tcp check needs one");
  return probe;
}

/// What is asked: "`pg_isready -q`", "127.0.0.1:8080/health". It has passed check_health().
std::string subject_of(const jobs::HealthCheck& check) {
  std::string subject;
  if (check.type == HealthCheckType::command)
    subject = fmt::format("{}", fmt::join(check.exec, " "));
  else if (const Result<executor::Probe> probe = probe_of(check))
    subject = fmt::format("127.0.0.1:{}{}", probe->port, probe->http_path);
  if (subject.size() > kMaxSubject) subject = shortened(std::move(subject), kMaxSubject) + "...";
  return check.type == HealthCheckType::command ? fmt::format("`{}`", subject) : subject;
}

}  // namespace

Result<void> check_health(const jobs::HealthCheck& check) {
  if (!check.present()) {
    if (!jobs::lacks_type(check)) return {};
    return fail(Errc::invalid_argument, "type: expected {}", known_names<HealthCheckType>());
  }
  if (check.type == HealthCheckType::command) {
    if (check.exec.empty()) return fail(Errc::invalid_argument, "exec: a command check needs a command");
    TRY_VOID(jobs::check_command_limits("exec", check.exec));
  } else {
    TRY_VOID(probe_of(check));
  }
  if (check.interval_ns != 0 && Duration(check.interval_ns) < kShortestCheckInterval)
    return fail(Errc::invalid_argument, "interval: expected at least {} s", kShortestCheckInterval / 1s);
  if (Duration(check.interval_ns) > kLongestCheckInterval)
    return fail(Errc::invalid_argument, "interval: expected at most {} h", kLongestCheckInterval / 1h);
  if (check.timeout_ns < 0 || Duration(check.timeout_ns) > kLongestCheckTimeout)
    return fail(Errc::invalid_argument, "timeout: expected at most {} s", kLongestCheckTimeout / 1s);
  if (check.grace_ns < 0 || Duration(check.grace_ns) > kLongestCheckInterval)
    return fail(Errc::invalid_argument, "grace: expected a duration above 0 and at most {} h",
                kLongestCheckInterval / 1h);
  return {};
}

Task<void> HealthMonitor::run() {
  for (;;) {
    const SteadyTime begun = lane_.now();
    Result<void> outcome = co_await with_timeout(check_.timeout(), check_once());
    if (!outcome && outcome.error().is(Errc::cancelled)) co_return;
    if (!outcome && outcome.error().is(Errc::deadline_exceeded))
      outcome = fail(Errc::deadline_exceeded, "no answer of {} within {:g} s", subject_of(check_),
                     std::chrono::duration<double>(check_.timeout()).count());
    const Health before = health_;
    count(outcome);
    if (health_ != before) changed_();
    const Duration pause =
        health_ == Health::starting ? std::min(check_.interval(), kStartingInterval) : check_.interval();
    const Result<void> slept = co_await sleep_until(std::max(begun + pause, lane_.now()));
    if (!slept) co_return;
  }
}

void HealthMonitor::count(const Result<void>& outcome) {
  if (outcome) {
    failed_ = 0;
    if (++passed_ >= check_.successes()) {
      health_ = Health::healthy;
      message_.clear();
    }
    return;
  }
  passed_ = 0;
  message_ = shortened(printable(outcome.error().message()), kMaxMessage);
  if (health_ == Health::starting && (lane_.now() - since_ < check_.grace() || lane_.now() < next_counted_)) return;
  next_counted_ = lane_.now() + check_.interval();
  if (++failed_ >= check_.failures()) health_ = Health::unhealthy;
}

Task<Result<void>> HealthMonitor::check_once() {
  if (check_.type == HealthCheckType::command) co_return co_await check_command();
  co_return co_await check_probe();
}

Task<Result<void>> HealthMonitor::check_command() {
  CO_TRY(const executor::ExecOutput output, co_await executor_.exec(run_, check_.exec));
  if (output.exit_code != 0)
    co_return fail(Errc::io, "{} of {}", executor::describe_exit(output.exit_code), subject_of(check_));
  const std::string& expected = check_.response.value;
  if (!expected.empty() && (output.out + output.err).find(expected) == std::string::npos)
    co_return fail(Errc::io, "the output of {} does not contain the expected text", subject_of(check_));
  co_return Result<void>();
}

Task<Result<void>> HealthMonitor::check_probe() {
  CO_TRY(executor::Probe probe, probe_of(check_));
  const bool http = check_.type == HealthCheckType::http;
  CO_TRY(const executor::ProbeResult result, co_await executor_.probe(run_, std::move(probe)));
  if (!result.connected) co_return fail(Errc::io, "{}", result.message.empty() ? "no connection" : result.message);
  if (!http) co_return Result<void>();
  if (result.http_status == 0) co_return fail(Errc::io, "no HTTP answer of {}: {}", subject_of(check_), result.message);
  if (result.http_status < 200 || result.http_status > 399)
    co_return fail(Errc::io, "HTTP status {} of {}, 200 to 399 expected", result.http_status, subject_of(check_));
  const std::string& expected = check_.response.value;
  if (!expected.empty() && result.body != expected)
    co_return fail(Errc::io, "the answer of {} is not the expected text", subject_of(check_));
  co_return Result<void>();
}

}  // namespace dms::provider
