#include "jobs/ensemble/fields.hpp"

#include <algorithm>

#include "base/suggest.hpp"
#include "jobs/ensemble/advice.hpp"

namespace dms::jobs {
namespace {

constexpr char kNotOffered = '~';

/// Keys of published ensembles that no known key is near to, with what to do instead.
constexpr std::pair<std::string_view, std::string_view> kForeignKeys[] = {
    {"args", "not supported; the arguments of the program are called cmd"},
    {"gpu", kNoCards},
    {"gpus", "they belong to resources, and are not available to the work yet; remove it"},
    {"lease", "it belongs to a node; for example nodes: {main: {allocations: [web], lease: 1h}}"},
    {"ports", "they belong to nodes.<node>, and are not available yet: the work has no network; remove it"},
    {"restart_policy", "it belongs to execution, where only \"no\" is available yet; remove it"},
    {"memory", "not supported; the memory of a graphics card is called vram"},
    {"retries", "unknown key; did you mean failure_threshold?"},
    {"start_period", "unknown key; did you mean grace?"},
    {"forwardStdout", "not supported; remove it and read the output with `nunet deployment logs`"},
    {"stdoutLabels", "not supported; remove it and read the output with `nunet deployment logs`"},
    {"stdoutPrefix", "not supported; remove it and read the output with `nunet deployment logs`"},
};

std::string unknown_key(std::string_view key, Keys known) {
  for (const auto& [foreign, advice] : kForeignKeys)
    if (key == foreign) return std::string(advice);
  std::vector<std::string_view> offered;
  for (const std::string_view name : known)
    if (!name.starts_with(kNotOffered)) offered.push_back(name);
  return "unknown key" + suggestion(key, offered);
}

}  // namespace

bool is_known(std::string_view key, Keys known) {
  return std::ranges::any_of(
      known, [&](std::string_view name) { return key == (name.starts_with(kNotOffered) ? name.substr(1) : name); });
}

Result<void> failure(const std::vector<std::string>& problems) {
  if (problems.empty()) return {};
  if (problems.size() == 1) return fail(Errc::invalid_argument, "{}", problems.front());
  return fail(Errc::invalid_argument, "{} problems:\n  {}", problems.size(), fmt::join(problems, "\n  "));
}

Result<json::Object> object_at(const json::Value& value, const Path& path, std::optional<Keys> known,
                               std::string_view example) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return path.wrong_kind("a map", value, example);
  json::Object out;
  for (const auto& member : *object) {
    if (known && !is_known(member.key(), *known))
      path.record((path / member.key()).wrong(unknown_key(member.key(), *known)));
    else if (!member.value().is_null())
      out.emplace(member.key(), member.value());
  }
  return out;
}

}  // namespace dms::jobs
