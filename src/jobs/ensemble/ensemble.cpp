#include "jobs/ensemble/ensemble.hpp"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <set>

#include "encoding/unknown.hpp"
#include "jobs/ensemble/advice.hpp"
#include "jobs/ensemble/normalise.hpp"
#include "jobs/ensemble/yaml.hpp"

namespace dms::jobs {
namespace {

Result<void> require_areas(const json::Object& v1) {
  const json::Value* list = json::find_member(v1, "anti_affinity");
  const json::Array* all = list == nullptr ? nullptr : list->if_array();
  for (std::size_t i = 0; all != nullptr && i < all->size(); ++i)
    if (const json::Object* one = (*all)[i].if_object())
      if (const json::Value* by = json::find_member(*one, "by"); by == nullptr || by->is_null())
        return fail(Errc::invalid_argument, "anti_affinity[{}].by: expected {}, found nothing", i,
                    known_names<capability::Area>());
  return {};
}

Result<void> require_choices(const json::Value& v1) {
  const json::Object* object = v1.if_object();
  if (object != nullptr) TRY_VOID(require_areas(*object));
  const json::Value* list = object == nullptr ? nullptr : json::find_member(*object, "allocations");
  const json::Object* allocations = list == nullptr ? nullptr : list->if_object();
  if (allocations == nullptr) return {};  // the decoder or the validator reports the mistake
  for (const auto& member : *allocations)
    if (const json::Object* allocation = member.value().if_object())
      for (const auto& [choice, names] : missing_choices(*allocation))
        return fail(Errc::invalid_argument, "allocations.{}.{}: expected {}, found nothing",
                    std::string_view(member.key()), choice, names);
  return {};
}

using Advice = std::pair<std::string_view, std::string_view>;

/// Of these members of the YAML form, none may ask for something.
Result<void> refuse_all_set(const json::Value* value, std::string_view at, std::span<const Advice> members) {
  const json::Object* object = value == nullptr ? nullptr : value->if_object();
  for (const auto& [name, advice] : members) TRY_VOID(json::refuse_set(object, at, name, advice));
  return {};  // the decoder reports what is no object
}

Result<void> check_version(const json::Object& object) {
  const json::Value* version = json::find_set(object, "version");
  if (version == nullptr || *version == "V1" || *version == "v1") return {};
  return fail(Errc::unsupported, "version: expected \"V1\"");
}

/// Of each object in the map of that name, with its place, until one is refused.
template <class F>
Result<void> for_each_object(const json::Object& v1, std::string_view name, F check) {
  const json::Value* map = json::find_member(v1, name);
  if (map == nullptr || !map->is_object()) return {};  // the decoder reports the mistake
  for (const auto& member : map->get_object())
    if (member.value().is_object())
      TRY_VOID(check(member.value(), fmt::format("{}.{}.", name, std::string_view(member.key()).substr(0, 64))));
  return {};
}

/// What would be ignored, because reading YAML turns it into other members.
Result<void> check_wire_members(const json::Value& v1) {
  constexpr std::array<Advice, 3> kTop = {
      Advice{"edge_constraints", "between nodes they are `edges` with `s` and `t`; only YAML has this name"},
      Advice{"volumes", kNoVolumes},
      Advice{"resources", "templates are filled in only while YAML is read; write them out in each allocation"}};
  constexpr std::array<Advice, 1> kAllocation = {Advice{"volumes", kNoVolumes}};
  constexpr std::array<Advice, 1> kResources = {Advice{"gpu", kNoCards}};
  constexpr std::array<Advice, 1> kNode = {Advice{"contracts", kNoContracts}};
  const json::Object* object = v1.if_object();
  if (object == nullptr) return {};
  TRY_VOID(check_version(*object));
  TRY_VOID(refuse_all_set(&v1, "", kTop));
  TRY_VOID(for_each_object(*object, "allocations", [&](const json::Value& allocation, const std::string& at) {
    const json::Value* resources = json::find_member(allocation.get_object(), "resources");
    Result<void> checked = refuse_all_set(&allocation, at, kAllocation);
    return checked ? refuse_all_set(resources, at + "resources.", kResources) : checked;
  }));
  return for_each_object(*object, "nodes", [&](const json::Value& node, const std::string& at) {
    return refuse_all_set(&node, at, kNode);
  });
}

/// What would be ignored, because nothing reads it.
Result<void> check_unknown_members(const json::Object& ensemble, const json::Value& v1) {
  const auto is_one_of = [](std::string_view name, std::initializer_list<std::string_view> known) {
    return std::ranges::any_of(known, [&](std::string_view one) { return json::equal_any_case(name, one); });
  };
  const auto refused = [](std::string_view member) {
    return fail(Errc::unsupported, "{}: unknown member, which nothing here acts on; remove it", member);
  };
  for (const auto& [name, value] : ensemble)
    if (!json::is_unset(value) && !is_one_of(name, {"v1", "version"})) return refused(name.substr(0, 64));
  const auto checked = [&](std::string_view name) { return is_one_of(name, {"version"}); };
  if (const std::string found = json::first_unknown<EnsembleV1>(v1, checked); !found.empty()) return refused(found);
  return {};
}

Result<Ensemble> from_v1(const json::Value& v1) {
  TRY_VOID(require_choices(v1));
  TRY(EnsembleV1 members, json::from_value<EnsembleV1>(v1));
  Ensemble ensemble{std::move(members)};
  for (auto& [name, allocation] : ensemble.allocations)
    if (allocation.dns_name.empty()) allocation.dns_name = name;
  TRY_VOID(ensemble.validate());
  return ensemble;
}

}  // namespace

std::vector<std::pair<std::string_view, std::string>> missing_choices(const json::Object& allocation) {
  std::vector<std::pair<std::string_view, std::string>> missing;
  const auto require = [&](std::string_view name, std::string names) {
    const json::Value* value = json::find_member(allocation, name);
    if (value == nullptr || value->is_null()) missing.emplace_back(name, std::move(names));
  };
  require("executor", known_names<ExecutorType>());
  require("type", known_names<AllocationType>());
  return missing;
}

void Execution::to_json(json::Writer& writer) const {
  writer.begin_object().key("type").string(type);
  if (!params.empty()) writer.key("params").value(json::Value(params));
  writer.end_object();
}

Result<Execution> Execution::from_json(const json::Value& value) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return json::wrong_kind("an object", value);
  Execution execution;
  if (const json::Value* type = json::find_member(*object, "type")) {
    Result<std::string> read = json::from_value<std::string>(*type);
    if (!read) return std::unexpected(json::at_member("type", read.error()));
    execution.type = *std::move(read);
  }
  const json::Value* params = json::find_member(*object, "params");
  if (params == nullptr || params->is_null()) return execution;
  if (!params->is_object())
    return std::unexpected(json::at_member("params", json::wrong_kind("an object", *params).error()));
  // By name, as the network's other nodes write them.
  std::map<std::string_view, const json::Value*> sorted;
  for (const auto& param : params->get_object()) sorted.emplace(param.key(), &param.value());
  for (const auto& [name, param] : sorted) execution.params.emplace(name, *param);
  return execution;
}

namespace {

struct KeyWire {
  KeyType type = KeyType::ssh;
  std::string file, dest;
  static constexpr auto json_fields() {
    return std::tuple(json::field("type", &KeyWire::type), json::field("file", &KeyWire::file),
                      json::field("dest", &KeyWire::dest));
  }
};

}  // namespace

void AllocationKey::to_json(json::Writer& writer) const {
  json::write(writer, KeyWire{.type = type, .file = file, .dest = dest});
}

Result<AllocationKey> AllocationKey::from_json(const json::Value& value) {
  if (value.is_string())
    return AllocationKey{.type = KeyType::ssh, .file = std::string(value.get_string()), .dest = {}};
  TRY(KeyWire wire, json::from_value<KeyWire>(value));
  return AllocationKey{.type = wire.type, .file = std::move(wire.file), .dest = std::move(wire.dest)};
}

Result<Ensemble> Ensemble::parse_yaml(std::string_view text, const References& references) {
  TRY(YamlDocument written, read_yaml(text));
  TRY(YamlDocument texts, read_yaml(text, Scalars::text));
  keep_text(written.root, std::move(texts.root));
  TRY_VOID(resolve_references(written.root, references));
  TRY(const json::Value v1, normalise(written.root, written.aliased));
  return from_v1(v1);
}

Result<Ensemble> Ensemble::from_json(const json::Value& value) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return json::wrong_kind("an object", value);
  const json::Value* v1 = json::find_member(*object, "v1");
  if (v1 == nullptr || v1->is_null())
    return fail(Errc::invalid_argument, "v1: expected an ensemble of version 1, found nothing");
  TRY_VOID(check_version(*object));
  TRY_VOID(check_wire_members(*v1));
  TRY_VOID(check_unknown_members(*object, *v1));
  return from_v1(*v1);
}

void Ensemble::to_json(json::Writer& writer) const {
  writer.begin_object().key("v1");
  json::write(writer, static_cast<const EnsembleV1&>(*this));
  writer.end_object();
}

Result<capability::Resources> Ensemble::node_requirement(std::string_view node) const {
  const auto found = nodes.find(std::string(node));
  if (found == nodes.end()) return fail(Errc::not_found, "the ensemble has no node {}", node);
  capability::Resources total;
  for (const std::string& name : found->second.allocations) {
    Result<capability::Resources> sum = capability::add_requirement(total, allocations.at(name).resources);
    if (!sum) return fail(Errc::invalid_argument, "nodes.{}: {}", node, sum.error().message());
    total = *std::move(sum);
  }
  return total;
}

std::vector<ExecutorType> Ensemble::node_executors(std::string_view node) const {
  std::set<ExecutorType> executors;
  if (const auto found = nodes.find(std::string(node)); found != nodes.end())
    for (const std::string& name : found->second.allocations) executors.insert(allocations.at(name).executor);
  return {executors.begin(), executors.end()};
}

std::vector<Port> Ensemble::ports_of(std::string_view allocation) const {
  std::vector<Port> ports;
  for (const auto& [name, node] : nodes)
    for (const Port& port : node.ports)
      if (port.allocation == allocation) ports.push_back(port);
  return ports;
}

std::vector<std::string> Ensemble::start_order(std::string_view node) const {
  const auto found = nodes.find(std::string(node));
  if (found == nodes.end()) return {};
  std::vector<std::string> waiting = found->second.allocations;
  std::vector<std::string> order;
  std::set<std::string> placed;
  // Each round places what depends only on what is placed; a valid ensemble has no cycle, so each round places
  // something.
  while (!waiting.empty()) {
    std::vector<std::string> later;
    for (std::string& name : waiting) {
      const auto& needs = allocations.at(name).depends_on;
      const bool ready =
          std::all_of(needs.begin(), needs.end(), [&](const auto& need) { return placed.contains(need); });
      (ready ? order : later).push_back(std::move(name));
      if (ready) placed.insert(order.back());
    }
    if (later.size() == waiting.size()) break;
    waiting = std::move(later);
  }
  return order;
}

bool Ensemble::tasks_only() const {
  return std::all_of(allocations.begin(), allocations.end(),
                     [](const auto& entry) { return entry.second.type == AllocationType::task; });
}

std::string allocation_id(std::string_view ensemble_id, std::string_view allocation) {
  return fmt::format("{}_{}", ensemble_id, allocation);
}

std::string standby_id(std::string_view node, std::uint32_t number) {
  return fmt::format("{}-standby-{}", node, number);
}

std::string_view allocation_name(std::string_view allocation_id) {
  return allocation_id.substr(allocation_id.rfind('_') + 1);
}

std::string_view ensemble_id(std::string_view allocation_id) {
  return allocation_id.substr(0, allocation_id.rfind('_'));
}

}  // namespace dms::jobs
