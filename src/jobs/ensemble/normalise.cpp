#include "jobs/ensemble/normalise.hpp"

#include "capability/units.hpp"
#include "encoding/multibase.hpp"
#include "jobs/ensemble/advice.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "jobs/ensemble/fields.hpp"
#include "jobs/ensemble/normalise_run.hpp"
#include "jobs/ensemble/rules.hpp"

namespace dms::jobs {
namespace {

using capability::ByteSize;
using capability::Hertz;
using json::Array;
using json::Object;
using json::Value;

// Without effect (check_supported()) or another name of a key, not offered (fields.hpp): ~
constexpr std::string_view kTopKeys[] = {
    "version",           "allocations", "nodes",     "edges",      "anti_affinity",
    "exclude_peers",     "metadata",    "resources", "supervisor", "escalation_strategy",
    "~edge_constraints", "~keys",       "~scripts",  "~subnet",    "~contracts",
    "~volumes"};
constexpr std::string_view kAllocationKeys[] = {
    "executor", "type",    "resources",        "execution", "depends_on",  "healthcheck",
    "inputs",   "results", "failure_recovery", "restart",   "significant", "~dns_name",
    "~dnsname", "~keys",   "~provision",       "~volume",   "~volumes"};
constexpr std::string_view kResourceKeys[] = {"name", "cpu", "ram", "disk", "~gpus"};
constexpr std::string_view kCpuKeys[] = {"cores",   "clock_speed", "architecture", "~model",
                                         "~vendor", "~threads",    "~cache_size"};
constexpr std::string_view kRamKeys[] = {"size", "~clock_speed", "~type"};
constexpr std::string_view kDiskKeys[] = {"size",       "~model",      "~vendor",     "~type",
                                          "~interface", "~read_speed", "~write_speed"};
constexpr std::string_view kGpuKeys[] = {"index", "vendor", "pci_address", "model", "vram", "uuid"};
constexpr std::string_view kVolumeKeys[] = {"type",    "mount_destination",  "mountpoint", "read_only", "name",
                                            "servers", "client_private_key", "client_pem", "client_ca", "src"};
constexpr std::string_view kKeyKeys[] = {"type", "file", "dest"};
constexpr std::string_view kNodeKeys[] = {"allocations", "location",         "peer",  "lease", "on_loss",
                                          "redundancy",  "failure_recovery", "~ports"};
constexpr std::string_view kPortKeys[] = {"public", "private", "allocation"};
constexpr std::string_view kLocationKeys[] = {"accept", "reject"};
constexpr std::string_view kPlaceKeys[] = {"continent", "region", "country", "city", "~asn", "~isp"};
constexpr std::string_view kEdgeKeys[] = {"edges", "s", "t", "rtt", "bw", "S", "T", "RTT", "BW"};
constexpr std::string_view kAntiAffinityKeys[] = {"nodes", "by"};
constexpr std::string_view kSupervisorKeys[] = {"strategy",     "allocations", "children",
                                                "max_restarts", "period",      "auto_shutdown"};
constexpr std::string_view kSubnetKeys[] = {"join"};
constexpr std::string_view kContractKeys[] = {"did", "host", "provider", "requestor"};
constexpr std::string_view kContainerKeys[] = {"image",       "image_archive",     "entrypoint", "cmd",
                                               "environment", "working_directory", "privileged", "user",
                                               "type",        "~restart_policy"};
constexpr std::string_view kSandboxKeys[] = {"entrypoint",        "cmd",  "environment",
                                             "working_directory", "type", "~restart_policy"};
constexpr std::string_view kFirecrackerKeys[] = {"kernel_image", "root_file_system", "kernel_args", "initrd",
                                                 "initrd_path",  "mmds_message",     "type"};
constexpr std::string_view kSizeExample = "{size: 1GiB}";

/// Of a place that keep_text() covers.
Result<Value> text_of(const Value& value, const Path& path) {
  if (value.is_string()) return value;
  return path.wrong_kind("a string", value);
}

/// Of a map whose members have names of the user, a missing value is a mistake: the name alone would vanish.
void refuse_nulls(const Value& value, const Path& path, std::string_view expected) {
  if (const Object* object = value.if_object())
    for (const auto& member : *object)
      if (member.value().is_null()) path.record((path / member.key()).wrong_kind(expected, member.value()));
}

Result<Value> texts(const Value& value, const Path& path) {
  if (const Object* object = value.if_object())
    for (const auto& member : *object)
      if (member.value().is_null())
        path.record((path / member.key()).wrong("expected a text, found null; put it in quotes, or write \"\""));
  return each_member(value, path, text_of);
}

Result<Value> quantity(const Value& value, const Path& path, Result<std::uint64_t> (*parse)(std::string_view)) {
  Result<std::uint64_t> amount = 0;
  if (const auto* text = value.if_string())
    amount = parse(std::string_view(text->data(), text->size()));
  else if (value.is_number())
    amount = parse(value.is_double() ? fmt::format("{:.12f}", value.get_double()) : json::write(value));
  else
    return path.wrong_kind("a quantity", value);
  if (!amount) return path.wrong(amount.error());
  return Value(*amount);
}

template <class Unit, std::uint64_t kBare>
Result<std::uint64_t> parse_unit(std::string_view text) {
  TRY(const Unit unit, Unit::parse(text, kBare));
  if constexpr (std::same_as<Unit, ByteSize>)
    return unit.bytes;
  else
    return unit.hertz;
}

Result<Value> size_in_bytes(const Value& v, const Path& p) { return quantity(v, p, parse_unit<ByteSize, 1>); }
Result<Value> clock(const Value& v, const Path& p) { return quantity(v, p, parse_unit<Hertz, capability::kGHz>); }

Result<Value> cores(const Value& value, const Path& path) {
  const auto* text = value.if_string();
  if (text == nullptr) return value;
  const auto read = capability::Millicores::parse(std::string_view(text->data(), text->size()));
  if (!read) return path.wrong(read.error());
  return Value(read->cores());
}

Result<Value> cpu(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kCpuKeys), "{cores: 1}"));
  rewrite(object, "cores", path, cores);
  rewrite(object, "clock_speed", path, clock);
  rewrite(object, "cache_size", path, size_in_bytes);
  return Value(std::move(object));
}

Result<Value> ram(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kRamKeys), kSizeExample));
  rewrite(object, "size", path, size_in_gib);
  rewrite(object, "clock_speed", path, clock);
  return Value(std::move(object));
}

Result<Value> disk(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kDiskKeys), kSizeExample));
  rewrite(object, "size", path, size_in_gib);
  rewrite(object, "read_speed", path, size_in_bytes);
  rewrite(object, "write_speed", path, size_in_bytes);
  return Value(std::move(object));
}

Result<Value> gpu(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kGpuKeys)));
  rewrite(object, "vram", path, size_in_gib);
  return Value(std::move(object));
}

/// Moves a member to another name, unless that one is there already.
void rename(Object& object, std::string_view old_name, std::string_view name) {
  const auto* old = object.if_contains(old_name);
  if (old == nullptr) return;
  Value value = *old;  // adding a member moves the others
  object.erase(old_name);
  object.emplace(name, std::move(value));
}

/// Members of `base` that `object` lacks.
void inherit(Object& object, const Value* base) {
  if (base == nullptr || !base->is_object()) return;
  for (const auto& member : base->get_object())
    if (!member.value().is_null()) object.emplace(member.key(), member.value());
}

const Value* template_named(const Value* templates, std::string_view name) {
  const Object* object = templates == nullptr ? nullptr : templates->if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}

/// The members of a resource description in the units of the network; `name` is kept.
Result<Value> own_resources(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kResourceKeys), kResourcesExample));
  rewrite(object, "cpu", path, cpu);
  rewrite(object, "ram", path, ram);
  rewrite(object, "disk", path, disk);
  rewrite(object, "gpus", path, [](const Value& list, const Path& at) { return each_item(list, at, gpu); });
  return Value(std::move(object));
}

/// `templates` are the top-level resources, each as own_resources() returns it.
Result<Value> resources(const Value& value, const Path& path, const Value* templates) {
  TRY(Value own, value.is_string() ? Result<Value>(Object{{"name", value}}) : own_resources(value, path));
  Object& object = own.get_object();
  if (const auto* name = object.if_contains("name")) {
    if (!name->is_string()) return (path / "name").wrong_kind("a string", *name);
    const Value* base = template_named(templates, name->get_string());
    if (base == nullptr)
      return path.wrong(fmt::format("there is no entry \"{}\" in the top-level resources",
                                    std::string_view(name->get_string()).substr(0, 64)));
    object.erase("name");
    inherit(object, base);
    object.erase("name");
  }
  return own;
}

/// The members of a volume under the names of the network.
Result<Value> own_volume(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kVolumeKeys)));
  rename(object, "mountpoint", "mount_destination");
  return Value(std::move(object));
}

Result<Value> short_volume(const Value& value, const Path& path) {
  const std::string_view text = value.get_string();
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size() ||
      text.find(':', colon + 1) != std::string_view::npos)
    return path.wrong("expected name:mountpoint");
  return Value(Object{{"name", text.substr(0, colon)}, {"mount_destination", text.substr(colon + 1)}});
}

/// `templates` are the top-level volumes, each as own_volume() returns it.
Result<Value> volume(const Value& value, const Path& path, std::string_view name, const Value* templates) {
  TRY(Value own, value.is_string() ? short_volume(value, path) : own_volume(value, path));
  Object& object = own.get_object();
  if (!name.empty()) object["name"] = name;
  if (const auto* given = object.if_contains("name"); given != nullptr && given->is_string())
    inherit(object, template_named(templates, given->get_string()));
  if (!object.contains("type")) return (path / "type").wrong("expected local or glusterfs, found nothing");
  return own;
}

/// `volume` is a list or one map; `volumes` a list, or a map from name to volume. Both end in the list `volume`.
void volumes(Object& allocation, const Path& path, const Value* templates) {
  Array all;
  const auto add = [&](const Value& value, const Path& at, std::string_view name = "") {
    Result<Value> one = volume(value, at, name, templates);
    if (one)
      all.push_back(*std::move(one));
    else
      at.record(std::unexpected(one.error()));
  };
  for (const std::string_view key : {"volume", "volumes"}) {
    const Value* given = allocation.if_contains(key);
    if (given == nullptr) continue;
    const Path at = path / key;
    if (const auto* list = given->if_array()) {
      for (std::size_t i = 0; i < list->size(); ++i) add((*list)[i], at / i);
    } else if (key == "volume") {
      add(*given, at);
    } else if (const auto* named = given->if_object()) {
      for (const auto& member : *named)
        if (!member.value().is_null()) add(member.value(), at / member.key(), member.key());
    } else {
      at.record(at.wrong_kind("a list or a map", *given));
    }
  }
  allocation.erase("volumes");
  allocation.erase("volume");
  if (!all.empty()) allocation["volume"] = std::move(all);
}

Result<Value> environment(const Value& value, const Path& path) {
  if (value.is_array()) return value;
  TRY(const Value given, texts(value, path));
  std::map<std::string_view, std::string_view> sorted;
  for (const auto& member : given.get_object()) {
    if (member.key().empty() || member.key().find('=') != std::string_view::npos)
      path.record((path / member.key()).wrong("the name of a variable is not empty and has no ="));
    sorted.emplace(member.key(), member.value().get_string());
  }
  Array list;
  for (const auto& [name, text] : sorted) list.emplace_back(fmt::format("{}={}", name, text));
  return Value(std::move(list));
}

Result<Value> execution(const Value& value, const Path& path) {
  TRY(Object given, object_at(value, path));
  const Value* type = given.if_contains("type");
  if (type == nullptr || !type->is_string()) return (path / "type").wrong("expected the name of an executor");
  Object params = given;
  if (const auto* inner = given.if_contains("params"); inner != nullptr && given.size() == 2) {
    TRY(params, object_at(*inner, path / "params"));
  }
  const std::string_view name = type->get_string();
  const auto known = name == "docker" || name == "containerd" ? std::optional(Keys(kContainerKeys))
                     : name == "sandbox"                      ? std::optional(Keys(kSandboxKeys))
                     : name == "firecracker"                  ? std::optional(Keys(kFirecrackerKeys))
                                                              : std::nullopt;
  TRY(params, object_at(Value(std::move(params)), path, known));
  params.erase("type");
  rewrite(params, "environment", path, environment);
  Object out;
  out["type"] = *type;
  out["params"] = std::move(params);
  return Value(std::move(out));
}

Result<Value> allocation_key(const Value& value, const Path& path) {
  return value.is_string() ? Result<Value>(value) : plain_object<kKeyKeys>(value, path);
}

/// What is written without a value is a mistake: the default is not what the user had in mind.
void refuse_empty(const Value& value, const Path& path, std::string_view key, std::string_view expected) {
  const Object* written = value.if_object();
  const Value* given = written == nullptr ? nullptr : written->if_contains(key);
  if (given != nullptr && (given->is_null() || *given == ""))
    path.record(
        (path / key).wrong(fmt::format("expected {}, found nothing; remove the line for the default", expected)));
}

Result<Value> allocation(const Value& value, const Path& path, std::string_view name, const Object& top) {
  refuse_empty(value, path, "restart", known_names<RestartType>());
  TRY(Object object, object_at(value, path, Keys(kAllocationKeys)));
  rewrite(object, "resources", path,
          [&](const Value& v, const Path& p) { return resources(v, p, top.if_contains("resources")); });
  rewrite(object, "execution", path, execution);
  rewrite(object, "healthcheck", path, healthcheck);
  dependencies(object, path, name, top.if_contains("allocations"));
  rewrite(object, "inputs", path, inputs);
  rewrite(object, "results", path, results);
  rewrite(object, "keys", path, [](const Value& v, const Path& p) { return each_item(v, p, allocation_key); });
  volumes(object, path, top.if_contains("volumes"));
  for (const auto& [choice, names] : missing_choices(object))
    path.record((path / choice).wrong(fmt::format("expected {}, found nothing", names)));
  // An old spelling, which published examples have beside the new one.
  rename(object, "dnsname", "dns_name");
  object.emplace("dns_name", boost::json::string(name));
  return Value(std::move(object));
}

Result<Value> location(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kLocationKeys)));
  const auto places = [](const Value& v, const Path& p) { return each_item(v, p, plain_object<kPlaceKeys>); };
  rewrite(object, "accept", path, places);
  rewrite(object, "reject", path, places);
  return Value(std::move(object));
}

Result<Value> node(const Value& value, const Path& path) {
  refuse_empty(value, path, "peer", "a peer id (12D3KooW...)");
  refuse_empty(value, path, "on_loss", known_names<OnLoss>());
  refuse_empty(value, path, "lease", "a duration such as 1h");
  TRY(Object object, object_at(value, path, Keys(kNodeKeys)));
  rewrite(object, "ports", path,
          [](const Value& v, const Path& p) { return each_item(v, p, plain_object<kPortKeys>); });
  rewrite(object, "location", path, location);
  if (const Value* lease = object.if_contains("lease"); lease != nullptr && *lease != "")
    rewrite(object, "lease", path, positive_duration);
  return Value(std::move(object));
}

Result<Value> edge(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kEdgeKeys)));
  if (const auto* pair = object.if_contains("edges")) {
    const auto* both = pair->if_array();
    if (both == nullptr || both->size() != 2) return (path / "edges").wrong("expected the names of two nodes");
    const Value s = (*both)[0];
    const Value t = (*both)[1];
    object.erase("edges");
    object["s"] = s;
    object["t"] = t;
  }
  return Value(std::move(object));
}

Result<Value> anti_affinity(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kAntiAffinityKeys), "{nodes: [web, db], by: country}"));
  if (!object.contains("by"))
    path.record((path / "by").wrong(fmt::format("expected {}, found nothing", known_names<capability::Area>())));
  return Value(std::move(object));
}

Result<Value> supervisor(const Value& value, const Path& path) {
  refuse_empty(value, path, "max_restarts", "a number of restarts");
  refuse_empty(value, path, "period", "a duration such as 1h");
  refuse_empty(value, path, "auto_shutdown", known_names<SupervisorShutdown>());
  TRY(Object object, object_at(value, path, Keys(kSupervisorKeys)));
  if (const Value* period = object.if_contains("period"); period != nullptr && *period != "")
    rewrite(object, "period", path, positive_duration);
  rewrite(object, "children", path, [](const Value& v, const Path& p) { return each_item(v, p, supervisor); });
  return Value(std::move(object));
}

Result<Value> script(const Value& value, const Path& path) {
  const auto* text = value.if_string();
  if (text == nullptr) return path.wrong_kind("the script's text", value);
  return Value(boost::json::string(encode(Base::base64, as_bytes(std::string_view(text->data(), text->size())))));
}

Result<Value> subnet(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kSubnetKeys)));
  if (const auto* join = object.if_contains("join"); join == nullptr || !join->is_bool())
    return (path / "join").wrong("expected true or false");
  return Value(std::move(object));
}

void check_version(Object& top, const Path& root) {
  const Value* version = top.if_contains("version");
  if (version == nullptr || !version->is_string() || (version->get_string() != "V1" && version->get_string() != "v1"))
    root.record((root / "version").wrong("expected \"V1\"; write `version: \"V1\"` as the first line"));
  top.erase("version");
}

void move_edges(Object& top, const Path& root) {
  const Value* constraints = top.if_contains("edge_constraints");
  if (constraints == nullptr) return;
  if (top.contains("edges"))
    root.record((root / "edge_constraints").wrong("edges are given already; use one of the two names"));
  Value list = *constraints;
  top.erase("edge_constraints");
  top["edges"] = std::move(list);
}

/// Without the keys that only hold what an alias refers to elsewhere.
Object without_anchors(const Object& written, const std::set<std::string>& aliased) {
  Object top;
  for (const auto& member : written)
    if (is_known(member.key(), Keys(kTopKeys)) || !aliased.contains(std::string(member.key())))
      top.emplace(member.key(), member.value());
  return top;
}

Value* member_of(Value* value, std::string_view key) {
  Object* object = value == nullptr ? nullptr : value->if_object();
  return object == nullptr ? nullptr : object->if_contains(key);
}

}  // namespace

Result<Value> size_in_gib(const Value& value, const Path& path) {
  return quantity(value, path, parse_unit<ByteSize, capability::kGiB>);
}

void keep_text(Value& document, Value texts) {
  const auto keep = [](Value* typed, Value* text) {
    if (typed != nullptr && text != nullptr && text->is_object()) *typed = std::move(*text);
  };
  for (const std::string_view key : {"keys", "metadata"}) keep(member_of(&document, key), member_of(&texts, key));
  Value* allocations = member_of(&document, "allocations");
  if (allocations == nullptr || !allocations->is_object()) return;
  for (auto& member : allocations->get_object()) {
    Value* typed = member_of(&member.value(), "execution");
    Value* text = member_of(member_of(member_of(&texts, "allocations"), member.key()), "execution");
    keep(member_of(typed, "environment"), member_of(text, "environment"));
    keep(member_of(member_of(typed, "params"), "environment"), member_of(member_of(text, "params"), "environment"));
  }
}

/// Those that an allocation uses are in it, and refused there; what else is written would be ignored.
void refuse_unused_volumes(const Object& top, const Path& root) {
  const Value* templates = top.if_contains("volumes");
  if (templates == nullptr || !templates->is_object() || templates->get_object().empty()) return;
  const Value* allocations = top.if_contains("allocations");
  if (allocations != nullptr && allocations->is_object())
    for (const auto& member : allocations->get_object())
      if (const Object* allocation = member.value().if_object(); allocation != nullptr)
        if (const Value* used = allocation->if_contains("volume");
            used != nullptr && used->is_array() && !used->get_array().empty())
          return;
  root.record((root / "volumes").wrong(kNoVolumes));
}

/// What no allocation names would be ignored.
void refuse_unused_resources(const Object& top, const Path& root) {
  const Value* templates = top.if_contains("resources");
  if (templates == nullptr || !templates->is_object()) return;
  std::set<std::string_view> used;
  if (const Value* allocations = top.if_contains("allocations"); allocations != nullptr && allocations->is_object())
    for (const auto& member : allocations->get_object()) {
      const Object* allocation = member.value().if_object();
      const Value* named = allocation != nullptr ? allocation->if_contains("resources") : nullptr;
      if (named != nullptr && named->is_object()) named = named->get_object().if_contains("name");
      if (named != nullptr && named->is_string()) used.insert(named->get_string());
    }
  for (const auto& member : templates->get_object())
    if (!used.contains(member.key()))
      root.record((root / "resources" / member.key()).wrong("no allocation uses it; name it there, or remove it"));
}

Result<json::Value> normalise(const json::Value& written, const std::set<std::string>& aliased) {
  std::vector<std::string> problems;
  const Path root(problems);
  if (!written.is_object()) return root.wrong_kind("a map", written);
  TRY(Object top, object_at(without_anchors(written.get_object(), aliased), root, Keys(kTopKeys)));
  const auto members = [](auto transform) {
    return [transform](const Value& v, const Path& p) { return each_member(v, p, transform); };
  };
  const auto items = [](auto transform) {
    return [transform](const Value& v, const Path& p) { return each_item(v, p, transform); };
  };
  check_version(top, root);
  move_edges(top, root);
  rewrite(top, "resources", root, members(own_resources));
  refuse_unused_resources(top, root);
  rewrite(top, "volumes", root, members(own_volume));
  rewrite(top, "allocations", root, [&](const Value& value, const Path& path) -> Result<Value> {
    refuse_nulls(value, path, "a map");
    TRY(Object all, object_at(value, path));
    std::vector<std::string> names;
    for (const auto& member : all) names.emplace_back(member.key());
    for (const std::string& name : names)
      rewrite(all, name, path, [&](const Value& v, const Path& p) { return allocation(v, p, name, top); });
    return Value(std::move(all));
  });
  top.erase("resources");
  refuse_unused_volumes(top, root);
  top.erase("volumes");
  rewrite(top, "nodes", root, [](const Value& value, const Path& path) {
    refuse_nulls(value, path, "a map");
    return each_member(value, path, node);
  });
  rewrite(top, "edges", root, items(edge));
  rewrite(top, "anti_affinity", root, items(anti_affinity));
  rewrite(top, "supervisor", root, supervisor);
  rewrite(top, "scripts", root, members(script));
  rewrite(top, "keys", root, texts);
  rewrite(top, "metadata", root, texts);
  rewrite(top, "subnet", root, subnet);
  rewrite(top, "contracts", root, members(plain_object<kContractKeys>));
  TRY_VOID(failure(problems));
  return Value(std::move(top));
}

}  // namespace dms::jobs
