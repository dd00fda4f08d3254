#include "sim/scenario/scenario.hpp"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <variant>
#include <vector>

#include "encoding/json.hpp"
#include "jobs/ensemble/normalise.hpp"
#include "jobs/ensemble/yaml.hpp"

namespace dms::sim {
namespace {

struct Whole {
  int Scenario::*member;
  int most;
};
struct Share {
  double Scenario::*member;
};
struct Rate {
  double Scenario::*member;
};
struct Time {
  Duration Scenario::*member;
};
struct Seed {};
struct Key {
  std::string_view name;
  std::variant<Whole, Share, Rate, Time, Seed> kind;
};

constexpr Duration kLongest = 30 * 24h;
constexpr double kMostRate = 10'000;

const std::vector<Key>& keys() {
  using S = Scenario;
  static const std::vector<Key> all = {{"seed", Seed{}},
                                       {"providers", Whole{&S::providers, 5000}},
                                       {"users", Whole{&S::users, 1000}},
                                       {"deployments", Whole{&S::deployments, 1'000'000}},
                                       {"duration", Time{&S::duration}},
                                       {"settle", Time{&S::settle}},
                                       {"dishonest", Share{&S::dishonest}},
                                       {"network.latency", Time{&S::latency}},
                                       {"network.loss", Share{&S::loss}},
                                       {"network.reach", Share{&S::reach}},
                                       {"work.services", Share{&S::services}},
                                       {"work.longest_task", Time{&S::longest_task}},
                                       {"work.service_time", Time{&S::service_time}},
                                       {"work.lease", Time{&S::lease}},
                                       {"work.fast", Share{&S::fast}},
                                       {"work.dependent", Share{&S::dependent}},
                                       {"work.inputs", Share{&S::inputs}},
                                       {"work.results", Share{&S::results}},
                                       {"work.largest_file", Whole{&S::largest_file, 65536}},
                                       {"work.updates", Share{&S::updates}},
                                       {"work.cancels", Share{&S::cancels}},
                                       {"work.slow_starts", Share{&S::slow_starts}},
                                       {"work.slowest_start", Time{&S::slowest_start}},
                                       {"work.unhealthy", Share{&S::unhealthy}},
                                       {"work.supervised", Share{&S::supervised}},
                                       {"work.failing", Share{&S::failing}},
                                       {"faults.kills", Rate{&S::kills}},
                                       {"faults.power_losses", Rate{&S::power_losses}},
                                       {"faults.partitions", Rate{&S::partitions}},
                                       {"faults.full_disks", Rate{&S::full_disks}},
                                       {"faults.clock_errors", Rate{&S::clock_errors}},
                                       {"faults.largest_clock_error", Time{&S::largest_clock_error}},
                                       {"faults.shortest_outage", Time{&S::shortest_outage}},
                                       {"faults.longest_outage", Time{&S::longest_outage}}};
  return all;
}

Result<double> number(const json::Value& value, double most) {
  TRY(const double read, json::from_value<double>(value));
  if (!(read >= 0 && read <= most)) return fail(Errc::invalid_argument, "expected a number from 0 to {}", most);
  return read;
}

Result<Duration> time(const json::Value& value) {
  TRY(const std::string text, json::from_value<std::string>(value));
  TRY(const std::int64_t nanos, jobs::parse_duration(text));
  if (nanos < 0 || Duration(nanos) > kLongest)
    return fail(Errc::invalid_argument, "expected a duration from 0 to 720h, found {}", text);
  return Duration(nanos);
}

Result<void> read(Scenario& scenario, const Key& key, const json::Value& value) {
  if (const auto* whole = std::get_if<Whole>(&key.kind)) {
    TRY(const int found, json::from_value<int>(value));
    if (found < 1 || found > whole->most)
      return fail(Errc::invalid_argument, "expected a whole number from 1 to {}", whole->most);
    scenario.*(whole->member) = found;
  } else if (const auto* share = std::get_if<Share>(&key.kind)) {
    TRY(scenario.*(share->member), number(value, 1));
  } else if (const auto* rate = std::get_if<Rate>(&key.kind)) {
    TRY(scenario.*(rate->member), number(value, kMostRate));
  } else if (const auto* duration = std::get_if<Time>(&key.kind)) {
    TRY(scenario.*(duration->member), time(value));
  } else {
    TRY(scenario.seed, json::from_value<std::uint64_t>(value));
  }
  return {};
}

Result<void> read_all(Scenario& scenario, const json::Object& object, const std::string& prefix) {
  for (const auto& [name, value] : object) {
    const std::string path = prefix + std::string(name);
    const bool is_group = path == "network" || path == "work" || path == "faults";
    if (is_group) {
      const json::Object* group = value.if_object();
      if (group == nullptr) return std::unexpected(json::at_member(path, json::wrong_kind("a map", value).error()));
      TRY_VOID(read_all(scenario, *group, path + "."));
      continue;
    }
    const auto key = std::ranges::find(keys(), path, &Key::name);
    if (key == keys().end())
      return fail(Errc::invalid_argument, "{}: unknown key; docs/howto/simulate.md lists the keys", path);
    if (const Result<void> done = read(scenario, *key, value); !done)
      return std::unexpected(json::at_member(path, done.error()));
  }
  return {};
}

/// Exactly: in two parts if need be, because a number has 15 digits at most.
std::string text_of(Duration time) {
  if (time % 1ms == 0ns) return fmt::format("{}ms", time / 1ms);
  return fmt::format("{}s{}ns", time / 1s, (time % 1s) / 1ns);
}

std::string text_of(const Scenario& scenario, const Key& key) {
  if (const auto* whole = std::get_if<Whole>(&key.kind)) return fmt::format("{}", scenario.*(whole->member));
  if (const auto* share = std::get_if<Share>(&key.kind)) return fmt::format("{}", scenario.*(share->member));
  if (const auto* rate = std::get_if<Rate>(&key.kind)) return fmt::format("{}", scenario.*(rate->member));
  if (const auto* duration = std::get_if<Time>(&key.kind)) return text_of(scenario.*(duration->member));
  return fmt::format("{}", scenario.seed);
}

}  // namespace

Result<Scenario> Scenario::parse(std::string_view yaml) {
  TRY(const jobs::YamlDocument document, jobs::read_yaml(yaml));
  const json::Object* object = document.root.if_object();
  if (object == nullptr) return json::wrong_kind("a map of keys", document.root);
  Scenario scenario;
  TRY_VOID(read_all(scenario, *object, ""));
  if (scenario.shortest_outage > scenario.longest_outage)
    return fail(Errc::invalid_argument, "faults.shortest_outage: longer than faults.longest_outage");
  return scenario;
}

std::string Scenario::to_yaml() const {
  std::string text;
  std::string group;
  for (const Key& key : keys()) {
    const auto dot = key.name.find('.');
    const std::string in(dot == std::string_view::npos ? "" : key.name.substr(0, dot));
    if (in != group) text += in + ":\n";
    group = in;
    text += fmt::format("{}{}: {}\n", in.empty() ? "" : "  ",
                        key.name.substr(dot == std::string_view::npos ? 0 : dot + 1), text_of(*this, key));
  }
  return text;
}

}  // namespace dms::sim
