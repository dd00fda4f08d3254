#include "jobs/ensemble/normalise.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cmath>

#include "encoding/multibase.hpp"
#include "base/suggest.hpp"
#include "capability/units.hpp"

namespace dms::jobs {
namespace {

using capability::ByteSize;
using capability::Hertz;
using json::Array;
using json::Object;
using json::Value;
using Keys = std::span<const std::string_view>;

constexpr std::string_view kTopKeys[] = {"version",
                                         "escalation_strategy",
                                         "allocations",
                                         "nodes",
                                         "edges",
                                         "supervisor",
                                         "keys",
                                         "scripts",
                                         "subnet",
                                         "exclude_peers",
                                         "metadata",
                                         "contracts",
                                         "volumes",
                                         "resources",
                                         "edge_constraints"};
constexpr std::string_view kAllocationKeys[] = {"executor",         "type",       "resources",  "execution", "dns_name",
                                                "dnsname",          "keys",       "provision",  "volume",    "volumes",
                                                "failure_recovery", "depends_on", "healthcheck"};
constexpr std::string_view kResourceKeys[] = {"name", "cpu", "ram", "disk", "gpus"};
constexpr std::string_view kCpuKeys[] = {"cores",   "clock_speed",  "model",     "vendor",
                                         "threads", "architecture", "cache_size"};
constexpr std::string_view kRamKeys[] = {"size", "clock_speed", "type"};
constexpr std::string_view kDiskKeys[] = {"size", "model", "vendor", "type", "interface", "read_speed", "write_speed"};
constexpr std::string_view kGpuKeys[] = {"index", "vendor", "pci_address", "model", "vram", "uuid"};
constexpr std::string_view kVolumeKeys[] = {"type",    "mount_destination",  "mountpoint", "read_only", "name",
                                            "servers", "client_private_key", "client_pem", "client_ca", "src"};
constexpr std::string_view kKeyKeys[] = {"type", "file", "dest"};
constexpr std::string_view kHealthKeys[] = {"type", "exec", "endpoint", "response", "interval"};
constexpr std::string_view kResponseKeys[] = {"type", "value"};
constexpr std::string_view kNodeKeys[] = {"allocations", "ports", "location", "peer", "redundancy", "failure_recovery"};
constexpr std::string_view kPortKeys[] = {"public", "private", "allocation"};
constexpr std::string_view kLocationKeys[] = {"accept", "reject"};
constexpr std::string_view kPlaceKeys[] = {"continent", "region", "country", "city", "asn", "isp"};
constexpr std::string_view kEdgeKeys[] = {"edges", "s", "t", "rtt", "bw", "S", "T", "RTT", "BW"};
constexpr std::string_view kSupervisorKeys[] = {"strategy", "allocations", "children"};
constexpr std::string_view kSubnetKeys[] = {"join"};
constexpr std::string_view kContractKeys[] = {"did", "host", "provider", "requestor"};
constexpr std::string_view kContainerKeys[] = {
    "image", "entrypoint", "cmd", "environment", "working_directory", "restart_policy", "privileged", "user", "type"};
constexpr std::string_view kSandboxKeys[] = {"entrypoint", "cmd", "environment", "working_directory", "type"};
constexpr std::string_view kFirecrackerKeys[] = {"kernel_image", "root_file_system", "kernel_args", "initrd",
                                                 "initrd_path",  "mmds_message",     "type"};

/// Where in the document a value stands, for messages.
class Path {
 public:
  Path() = default;
  [[nodiscard]] Path operator/(std::string_view name) const {
    return Path(text_.empty() ? std::string(name) : text_ + "." + std::string(name));
  }
  [[nodiscard]] Path operator/(std::size_t index) const { return Path(fmt::format("{}[{}]", text_, index)); }

  [[nodiscard]] std::unexpected<Error> wrong(std::string_view message) const {
    return fail(Errc::invalid_argument, "{}{}{}", text_, text_.empty() ? "" : ": ", message);
  }
  [[nodiscard]] std::unexpected<Error> wrong_kind(std::string_view expected, const Value& found) const {
    return wrong(json::wrong_kind(expected, found).error().message());
  }
  [[nodiscard]] std::unexpected<Error> wrong(const Error& error) const {
    return wrong(std::string_view(error.message()));
  }

 private:
  explicit Path(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// The object without members that are null; with `known`, only those keys.
Result<Object> object_at(const Value& value, const Path& path, std::optional<Keys> known = std::nullopt) {
  const Object* object = value.if_object();
  if (object == nullptr) return path.wrong_kind("a map", value);
  Object out;
  for (const auto& member : *object) {
    if (known && std::find(known->begin(), known->end(), member.key()) == known->end())
      return (path / member.key()).wrong("unknown key" + suggestion(member.key(), *known));
    if (!member.value().is_null()) out.emplace(member.key(), member.value());
  }
  return out;
}

using Transform = Result<Value> (*)(const Value&, const Path&);

/// Replaces a member, if it is there, by what `transform` makes of it.
template <class F>
Result<void> rewrite(Object& object, std::string_view key, const Path& path, F transform) {
  if (auto* member = object.if_contains(key)) {
    TRY(Value value, transform(*member, path / key));
    *member = std::move(value);
  }
  return {};
}

template <class F>
Result<Value> each_member(const Value& value, const Path& path, F transform) {
  TRY(Object object, object_at(value, path));
  for (auto& member : object) {
    TRY(Value item, transform(member.value(), path / member.key()));
    member.value() = std::move(item);
  }
  return Value(std::move(object));
}

template <class F>
Result<Value> each_item(const Value& value, const Path& path, F transform) {
  const Array* array = value.if_array();
  if (array == nullptr) return path.wrong_kind("a list", value);
  Array out;
  for (std::size_t i = 0; i < array->size(); ++i) {
    TRY(Value item, transform((*array)[i], path / i));
    out.push_back(std::move(item));
  }
  return Value(std::move(out));
}

/// Only known keys, values as they are.
template <const auto& kKeys>
Result<Value> plain_object(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kKeys)));
  return Value(std::move(object));
}

/// What a number, a truth value or a string is as text; a fraction's text is lost by then, so it needs quotes.
Result<Value> scalar_text(const Value& value, const Path& path) {
  if (value.is_string()) return value;
  if (value.is_int64() || value.is_uint64() || value.is_bool()) return Value(boost::json::string(json::write(value)));
  if (value.is_double()) return path.wrong("expected a string, found a number; put it in quotes");
  return path.wrong_kind("a string", value);
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

Result<Value> size_in_gib(const Value& v, const Path& p) {
  return quantity(v, p, parse_unit<ByteSize, capability::kGiB>);
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
  TRY(Object object, object_at(value, path, Keys(kCpuKeys)));
  TRY_VOID(rewrite(object, "cores", path, cores));
  TRY_VOID(rewrite(object, "clock_speed", path, clock));
  TRY_VOID(rewrite(object, "cache_size", path, size_in_bytes));
  return Value(std::move(object));
}

Result<Value> ram(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kRamKeys)));
  TRY_VOID(rewrite(object, "size", path, size_in_gib));
  TRY_VOID(rewrite(object, "clock_speed", path, clock));
  return Value(std::move(object));
}

Result<Value> disk(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kDiskKeys)));
  TRY_VOID(rewrite(object, "size", path, size_in_gib));
  TRY_VOID(rewrite(object, "read_speed", path, size_in_bytes));
  TRY_VOID(rewrite(object, "write_speed", path, size_in_bytes));
  return Value(std::move(object));
}

Result<Value> gpu(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kGpuKeys)));
  TRY_VOID(rewrite(object, "vram", path, size_in_gib));
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

Result<Value> resources(const Value& value, const Path& path, const Value* templates) {
  Object object;
  if (value.is_string()) {
    object["name"] = value;
  } else {
    TRY(object, object_at(value, path, Keys(kResourceKeys)));
  }
  if (const auto* name = object.if_contains("name")) {
    if (!name->is_string()) return (path / "name").wrong_kind("a string", *name);
    const Value* base = template_named(templates, name->get_string());
    if (base == nullptr)
      return path.wrong(fmt::format("there is no entry \"{}\" in the top-level resources",
                                    std::string_view(name->get_string()).substr(0, 64)));
    inherit(object, base);
    object.erase("name");
  }
  TRY(object, object_at(Value(std::move(object)), path, Keys(kResourceKeys)));
  TRY_VOID(rewrite(object, "cpu", path, cpu));
  TRY_VOID(rewrite(object, "ram", path, ram));
  TRY_VOID(rewrite(object, "disk", path, disk));
  TRY_VOID(rewrite(object, "gpus", path, [](const Value& list, const Path& at) { return each_item(list, at, gpu); }));
  object.erase("name");
  return Value(std::move(object));
}

Result<Value> volume(const Value& value, const Path& path, const Value* templates) {
  Object object;
  if (const auto* text = value.if_string()) {
    const std::string_view whole(text->data(), text->size());
    const auto colon = whole.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == whole.size() ||
        whole.find(':', colon + 1) != std::string_view::npos)
      return path.wrong("expected name:mountpoint");
    object["name"] = boost::json::string(whole.substr(0, colon));
    object["mount_destination"] = boost::json::string(whole.substr(colon + 1));
  } else {
    TRY(object, object_at(value, path, Keys(kVolumeKeys)));
  }
  if (const auto* name = object.if_contains("name"); name != nullptr && name->is_string())
    inherit(object, template_named(templates, name->get_string()));
  TRY(object, object_at(Value(std::move(object)), path, Keys(kVolumeKeys)));
  rename(object, "mountpoint", "mount_destination");
  if (!object.contains("type")) return (path / "type").wrong("expected local or glusterfs, found nothing");
  return Value(std::move(object));
}

/// `volume` is a list or one map; `volumes` a list, or a map from name to volume. Both end in the list `volume`.
Result<void> volumes(Object& allocation, const Path& path, const Value* templates) {
  Array all;
  const auto add = [&](const Value& value, const Path& at) -> Result<void> {
    TRY(Value one, volume(value, at, templates));
    all.push_back(std::move(one));
    return {};
  };
  for (const std::string_view key : {"volume", "volumes"}) {
    const Value* given = allocation.if_contains(key);
    if (given == nullptr) continue;
    const Path at = path / key;
    if (const auto* list = given->if_array()) {
      for (std::size_t i = 0; i < list->size(); ++i) TRY_VOID(add((*list)[i], at / i));
    } else if (key == "volume") {
      TRY_VOID(add(*given, at));
    } else {
      TRY(Object named, object_at(*given, at));
      for (const auto& member : named) {
        TRY(Object one, object_at(member.value(), at / member.key(), Keys(kVolumeKeys)));
        one["name"] = boost::json::string(member.key());
        TRY_VOID(add(Value(std::move(one)), at / member.key()));
      }
    }
  }
  allocation.erase("volumes");
  allocation.erase("volume");
  if (!all.empty()) allocation["volume"] = std::move(all);
  return {};
}

Result<Value> environment(const Value& value, const Path& path) {
  if (value.is_array()) return value;
  TRY(Object object, object_at(value, path));
  std::map<std::string, std::string> sorted;
  for (const auto& member : object) {
    TRY(Value text, scalar_text(member.value(), path / member.key()));
    sorted.emplace(std::string(member.key()), std::string(text.get_string()));
  }
  Array list;
  for (const auto& [name, text] : sorted) list.push_back(boost::json::string(fmt::format("{}={}", name, text)));
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
  TRY_VOID(rewrite(params, "environment", path, environment));
  Object out;
  out["type"] = *type;
  out["params"] = std::move(params);
  return Value(std::move(out));
}

Result<Value> duration(const Value& value, const Path& path) {
  const auto* text = value.if_string();
  if (text == nullptr) return path.wrong_kind("a duration such as 30s", value);
  const auto nanos = parse_duration(std::string_view(text->data(), text->size()));
  if (!nanos) return path.wrong(nanos.error());
  return Value(*nanos);
}

Result<Value> healthcheck(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kHealthKeys)));
  TRY_VOID(rewrite(object, "response", path, plain_object<kResponseKeys>));
  TRY_VOID(rewrite(object, "interval", path, duration));
  return Value(std::move(object));
}

Result<Value> allocation_key(const Value& value, const Path& path) {
  return value.is_string() ? Result<Value>(value) : plain_object<kKeyKeys>(value, path);
}

Result<Value> allocation(const Value& value, const Path& path, std::string_view name, const Object& top) {
  TRY(Object object, object_at(value, path, Keys(kAllocationKeys)));
  TRY_VOID(rewrite(object, "resources", path,
                   [&](const Value& v, const Path& p) { return resources(v, p, top.if_contains("resources")); }));
  TRY_VOID(rewrite(object, "execution", path, execution));
  TRY_VOID(rewrite(object, "healthcheck", path, healthcheck));
  TRY_VOID(
      rewrite(object, "keys", path, [](const Value& v, const Path& p) { return each_item(v, p, allocation_key); }));
  TRY_VOID(volumes(object, path, top.if_contains("volumes")));
  // An old spelling that the network's own examples still carry next to the new one.
  rename(object, "dnsname", "dns_name");
  object.emplace("dns_name", boost::json::string(name));
  return Value(std::move(object));
}

Result<Value> location(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kLocationKeys)));
  const auto places = [](const Value& v, const Path& p) { return each_item(v, p, plain_object<kPlaceKeys>); };
  TRY_VOID(rewrite(object, "accept", path, places));
  TRY_VOID(rewrite(object, "reject", path, places));
  return Value(std::move(object));
}

Result<Value> node(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kNodeKeys)));
  TRY_VOID(rewrite(object, "ports", path,
                   [](const Value& v, const Path& p) { return each_item(v, p, plain_object<kPortKeys>); }));
  TRY_VOID(rewrite(object, "location", path, location));
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

Result<Value> supervisor(const Value& value, const Path& path) {
  TRY(Object object, object_at(value, path, Keys(kSupervisorKeys)));
  TRY_VOID(
      rewrite(object, "children", path, [](const Value& v, const Path& p) { return each_item(v, p, supervisor); }));
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

Result<void> check_version(Object& top) {
  const Value* version = top.if_contains("version");
  if (version == nullptr || !version->is_string() || (version->get_string() != "V1" && version->get_string() != "v1"))
    return (Path() / "version").wrong("expected \"V1\"; write `version: \"V1\"` as the first line");
  top.erase("version");
  return {};
}

Result<void> move_edges(Object& top) {
  const Value* constraints = top.if_contains("edge_constraints");
  if (constraints == nullptr) return {};
  if (top.contains("edges"))
    return (Path() / "edge_constraints").wrong("edges are given already; use one of the two names");
  Value list = *constraints;
  top.erase("edge_constraints");
  top["edges"] = std::move(list);
  return {};
}

}  // namespace

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

Result<json::Value> normalise(const json::Value& written) {
  const Path root;
  TRY(Object top, object_at(written, root, Keys(kTopKeys)));
  TRY_VOID(check_version(top));
  TRY_VOID(move_edges(top));
  if (auto* given = top.if_contains("allocations")) {
    const Path path = root / "allocations";
    TRY(Object all, object_at(*given, path));
    for (auto& member : all) {
      TRY(Value one, allocation(member.value(), path / member.key(), member.key(), top));
      member.value() = std::move(one);
    }
    *given = std::move(all);
  }
  top.erase("resources");
  top.erase("volumes");
  const auto members = [](auto transform) {
    return [transform](const Value& v, const Path& p) { return each_member(v, p, transform); };
  };
  const auto items = [](auto transform) {
    return [transform](const Value& v, const Path& p) { return each_item(v, p, transform); };
  };
  TRY_VOID(rewrite(top, "nodes", root, members(node)));
  TRY_VOID(rewrite(top, "edges", root, items(edge)));
  TRY_VOID(rewrite(top, "supervisor", root, supervisor));
  TRY_VOID(rewrite(top, "scripts", root, members(script)));
  TRY_VOID(rewrite(top, "keys", root, members(scalar_text)));
  TRY_VOID(rewrite(top, "metadata", root, members(scalar_text)));
  TRY_VOID(rewrite(top, "subnet", root, subnet));
  TRY_VOID(rewrite(top, "contracts", root, members(plain_object<kContractKeys>)));
  return Value(std::move(top));
}

}  // namespace dms::jobs
