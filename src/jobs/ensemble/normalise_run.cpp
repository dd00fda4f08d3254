#include "jobs/ensemble/normalise_run.hpp"

#include <cmath>

#include "encoding/named_enum.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "jobs/ensemble/normalise.hpp"
#include "jobs/ensemble/rules.hpp"

namespace dms::jobs {
namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::string_view kHealthKeys[] = {"type",
                                            "exec",
                                            "endpoint",
                                            "port",
                                            "response",
                                            "interval",
                                            "timeout",
                                            "grace",
                                            "failure_threshold",
                                            "success_threshold"};
constexpr std::string_view kResponseKeys[] = {"type", "value"};
constexpr std::string_view kDependencyKeys[] = {"condition"};
constexpr std::string_view kInputKeys[] = {"file", "allocation", "path", "to"};
constexpr std::string_view kResultKeys[] = {"paths", "limit"};

Result<Value> duration(const Value& value, const Path& path) {
  const auto* text = value.if_string();
  if (text == nullptr) return path.wrong_kind("a duration such as 30s", value);
  const auto nanos = parse_duration(std::string_view(text->data(), text->size()));
  if (!nanos) return path.wrong(nanos.error());
  return Value(*nanos);
}

Result<Value> positive_number(const Value& value, const Path& path) {
  const auto number = json::from_value<std::uint32_t>(value);
  if (!number || *number == 0) return path.wrong("expected a whole number above 0");
  return value;
}

Result<Value> port(const Value& value, const Path& path) {
  const auto number = json::from_value<std::uint16_t>(value);
  if (number && *number > 0) return value;
  return path.wrong(fmt::format("expected a port from 1 to 65535, for example 8080, found {}",
                                std::string_view(json::write(value)).substr(0, 64)));
}

Result<Value> positive_size(const Value& value, const Path& path) {
  TRY(Value size, size_in_gib(value, path));
  if (size == 0) return path.wrong("expected a size above 0");
  return size;
}

/// The words of Compose files stand for those of this format.
Result<Condition> condition(const Value& value, const Path& path) {
  constexpr std::pair<std::string_view, std::string_view> kCompose[] = {
      {"service_started", "started"}, {"service_healthy", "healthy"}, {"service_completed_successfully", "completed"}};
  const auto* text = value.if_string();
  if (text == nullptr) return path.wrong_kind(known_names<Condition>(), value);
  std::string_view name(text->data(), text->size());
  for (const auto& [compose, word] : kCompose)
    if (name == compose) name = word;
  const auto known = parse_enum<Condition>(name);
  if (!known) return path.wrong(known.error());
  return *known;
}

Result<Condition> dependency(const Value& value, const Path& path) {
  if (!value.is_object()) return condition(value, path);
  TRY(const Object object, object_at(value, path, Keys(kDependencyKeys)));
  const Value* chosen = object.if_contains("condition");
  if (chosen == nullptr) return Condition::started;
  return condition(*chosen, path / "condition");
}

Result<void> check_dependency(std::string_view need, std::string_view name, const Object* all) {
  if (need == name) return wrong("{}", kDependsOnItself);
  if (all == nullptr || all->contains(need)) return {};  // without allocations, the decoder reports that
  return wrong("{}", no_allocation(need, name, *all));
}

}  // namespace

Result<Value> positive_duration(const Value& value, const Path& path) {
  TRY(Value nanos, duration(value, path));
  if (nanos == 0) return path.wrong("expected a duration above 0");
  return nanos;
}

Result<Value> healthcheck(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kHealthKeys)));
  if (const Value* type = object.if_contains("type"); !object.empty() && (type == nullptr || *type == ""))
    path.record((path / "type").wrong(fmt::format("expected {}, found nothing", known_names<HealthCheckType>())));
  rewrite(object, "response", path, plain_object<kResponseKeys>);
  for (const std::string_view key : {"interval", "timeout"}) rewrite(object, key, path, positive_duration);
  rewrite(object, "grace", path, duration);
  rewrite(object, "port", path, port);
  for (const std::string_view key : {"failure_threshold", "success_threshold"})
    rewrite(object, key, path, positive_number);
  return Value(std::move(object));
}

void dependencies(Object& allocation, const Path& path, std::string_view name, const Value* all) {
  const Value* given = allocation.if_contains("depends_on");
  if (given == nullptr || !given->is_object()) return;
  const Path at = path / "depends_on";
  Array names;
  Object conditions;
  for (const auto& member : given->get_object()) {
    names.emplace_back(member.key());
    if (const auto known = check_dependency(member.key(), name, all == nullptr ? nullptr : all->if_object()); !known)
      at.record((at / member.key()).wrong(known.error()));
    const Result<Condition> chosen = dependency(member.value(), at / member.key());
    if (!chosen)
      at.record(std::unexpected(chosen.error()));
    else if (*chosen != Condition::started)
      conditions.emplace(member.key(), boost::json::string(to_string(*chosen)));
  }
  allocation["depends_on"] = std::move(names);
  if (!conditions.empty()) allocation["depends_on_conditions"] = std::move(conditions);
}

Result<Value> inputs(const Value& value, const Path& path) {
  return each_item(value, path, [](const Value& one, const Path& at) -> Result<Value> {
    TRY(Object object, object_at(one, at, Keys(kInputKeys), "{file: points.csv}"));
    return Value(std::move(object));
  });
}

Result<Value> results(const Value& value, const Path& path) {
  if (value.is_array()) return Value(Object{{"paths", value}});
  if (!value.is_object()) return path.wrong_kind("a list of paths, or a map of paths and limit", value);
  TRY(Object object, object_at(value, path, Keys(kResultKeys)));
  rewrite(object, "limit", path, positive_size);
  return Value(std::move(object));
}

Result<std::int64_t> parse_duration(std::string_view text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                                            {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
  const auto refuse = [&] {
    return fail(Errc::invalid_argument, "expected a duration such as 30s or 1h30m, found \"{}\"", text.substr(0, 64));
  };
  if (text.empty() || text.size() > 64) return refuse();
  double total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
    if (digits == 0 || digits > 15) return refuse();
    char* end = nullptr;
    const std::string number(rest.substr(0, digits));
    const double amount = std::strtod(number.c_str(), &end);
    if (end != number.c_str() + number.size()) return refuse();
    rest.remove_prefix(digits);
    const auto letters = std::min(rest.find_first_of("0123456789."), rest.size());
    const auto unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                   [&](const auto& u) { return u.first == rest.substr(0, letters); });
    if (unit == std::end(kUnits)) return refuse();
    total += amount * unit->second;
    rest.remove_prefix(letters);
  }
  if (total > 9e18) return fail(Errc::limit_exceeded, "the duration {} is too long", text);
  return std::llround(total);
}

}  // namespace dms::jobs
