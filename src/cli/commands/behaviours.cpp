#include "cli/commands/behaviours.hpp"

#include "base/file.hpp"
#include "capability/units.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "orchestrator/behaviours.hpp"

namespace dms::cli {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;

Flag text(std::string name, char letter, std::string member, std::string help, bool required = true,
          std::string value = "text") {
  return {{.name = std::move(name),
           .letter = letter,
           .value = std::move(value),
           .help = std::move(help),
           .required = required},
          std::move(member),
          Form::text};
}
Flag formed(Flag flag, Form form) {
  flag.form = form;
  if (form == Form::on) flag.option.value.clear();
  flag.option.repeated = form == Form::pairs;
  return flag;
}

Flag id_flag(std::string member) { return text("id", 'i', std::move(member), "id of the deployment", true, "id"); }
Flag subnet_flag(char letter = 's') { return text("subnet-id", letter, "SubnetID", "id of the subnet", true, "id"); }
Flag peer_flag() { return text("peer-id", 'p', "PeerID", "id of the peer", true, "id"); }
Flag ip_flag() { return text("ip", 'i', "IP", "address in the subnet", true, "ip"); }
Flag name_flag() { return text("name", 'n', "Name", "name of the volume", true, "name"); }

std::vector<Flag> onboard_flags() {
  const std::string resources = "Config.onboarded_resources.";
  return {formed(text("ram", 'R', resources + "ram.size", "memory to offer; a bare number counts GiB", true, "size"),
                 Form::size),
          formed(text("cpu", 'C', resources + "cpu.cores", "cores to offer", true, "cores"), Form::number),
          formed(text("disk", 'D', resources + "disk.size", "disk to offer; a bare number counts GiB", true, "size"),
                 Form::size),
          formed(text("gpus", 'G', resources + "gpus", "graphics cards to offer: 0:4GiB,1:8GiB", false, "index:size"),
                 Form::gpus),
          formed(text("no-gpu", 'N', "NoGPU", "offer no graphics card", false), Form::on)};
}

std::vector<Flag> port_flags() {
  return {subnet_flag('i'),
          text("protocol", 'p', "Protocol", "tcp or udp", true, "name"),
          text("source-ip", 's', "SourceIP", "from this address", true, "ip"),
          text("source-port", 'o', "SourcePort", "from this port", true, "port"),
          text("dest-ip", 'd', "DestIP", "to this address", true, "ip"),
          text("dest-port", 'n', "DestPort", "to this port", true, "port")};
}

std::vector<Flag> logger_flags() {
  return {text("url", 'u', "URL", "where logs are sent", false, "url"),
          text("level", 'l', "Level", "DEBUG, INFO, WARN or ERROR", false, "level"),
          formed(text("interval", 'i', "Interval", "how often logs are sent", false, "time"), Form::seconds),
          text("api-key", 0, "APIKey", "key for that place", false, "key"),
          text("apm-url", 0, "APMURL", "where traces are sent", false, "url"),
          formed(text("enable-elastic", 0, "ElasticEnabled", "true or false", false, "bool"), Form::on_off)};
}

std::vector<Flag> anchor_flags() {
  return {formed(text("root", 0, "", "the data is a DID to trust for everything", false), Form::on),
          formed(text("require", 0, "", "the data is a token that says what is accepted", false), Form::on),
          formed(text("provide", 0, "", "the data is a token given to the node", false), Form::on),
          formed(text("revoke", 0, "", "the data is a revocation", false), Form::on),
          formed(text("data", 0, "", "the DID or the token", true, "did|token"), Form::anchors)};
}

std::vector<Behaviour> node_behaviours() {
  namespace b = behaviour;
  return {
      {std::string(b::kPublicHello), "Greet an actor"},
      {std::string(b::kBroadcastHello), "Greet everybody", {}, std::string(b::kHelloTopic), 5s},
      {std::string(b::kPublicStatus), "Ask how a node is"},
      {std::string(b::kPeersList), "List the peers a node is connected to"},
      {std::string(b::kPeersSelf), "Show a node's peer id and addresses"},
      {std::string(b::kPeersPing),
       "Measure the way from a node to a peer",
       {text("host", 'H', "Host", "peer to ping", true, "peer")}},
      {"/dms/node/peers/dht", "List the peers in a node's address table"},
      {std::string(b::kPeersConnect),
       "Connect a node to a peer",
       {text("address", 'a', "Address", "multiaddress of the peer, ending in /p2p/<id>", true, "multiaddr")}},
      {"/dms/node/peers/score", "Show how a node rates its peers' broadcasts"},
      {std::string(b::kOnboard), "Offer a share of a node's machine", onboard_flags()},
      {std::string(b::kOffboard), "Offer nothing any more"},
      {std::string(b::kOnboardStatus), "Show what a node offers"},
      {std::string(b::kResourcesAllocated), "Show what a node has promised"},
      {std::string(b::kResourcesFree), "Show what a node can still promise"},
      {std::string(b::kResourcesOnboarded), "Show what a node has set aside to offer"},
      {std::string(b::kHardwareSpec), "Show what a node's machine is"},
      {std::string(b::kHardwareUsage), "Show what a node's machine is busy with"},
      {std::string(b::kAllocationsList), "List the work on a node"},
      {"/dms/node/status", "Show everything about a node"},
      {"/dms/node/logger/config", "Change what a node logs", logger_flags()},
      {std::string(b::kCapList),
       "List a node's anchors",
       {text("context", 'c', "Context", "capability context on the node", false, "name")}},
      {std::string(b::kCapAnchor),
       "Add an anchor to a node",
       anchor_flags(),
       "",
       30s,
       {{"root", "require", "provide", "revoke"}}},
  };
}

std::vector<Behaviour> deployment_behaviours() {
  namespace b = behaviour;
  return {
      {std::string(b::kDeploymentNew),
       "Deploy an ensemble",
       {formed(text("spec-file", 'f', "Ensemble", "the ensemble, as YAML [ensemble.yaml]", false, "file"),
               Form::ensemble)},
       "",
       5min},
      {std::string(b::kDeploymentList),
       "List deployments",
       {formed(text("filter", 'f', "Metadata", "only those whose metadata has this", false, "key=value"),
               Form::pairs)}},
      {std::string(b::kDeploymentStatus), "Show how a deployment is", {id_flag("ID")}},
      {std::string(b::kDeploymentManifest), "Show who runs what of a deployment", {id_flag("ID")}},
      {std::string(b::kDeploymentLogs),
       "Fetch the output of an allocation",
       {id_flag("EnsembleID"), text("allocation", 'a', "AllocationName", "name of the allocation", true, "name")},
       "",
       2min},
      {std::string(b::kDeploymentShutdown), "End a deployment", {id_flag("ID")}, "", 1min},
  };
}

std::vector<Behaviour> subnet_behaviours() {
  const auto routes = formed(text("routing-table", 'r', "RoutingTable", "address=peer", false, "ip=peer"), Form::pairs);
  return {
      {"/dms/node/subnet/create", "Make a subnet on a node", {subnet_flag(), routes}},
      {"/dms/node/subnet/destroy", "Remove a subnet from a node", {subnet_flag(), routes}},
      {"/dms/allocation/subnet/add-peer", "Add a peer to a subnet", {subnet_flag(), peer_flag(), ip_flag()}},
      {"/dms/allocation/subnet/accept-peers", "Accept a peer in a subnet", {subnet_flag(), peer_flag(), ip_flag()}},
      {"/dms/allocation/subnet/remove-peers", "Remove a peer from a subnet", {subnet_flag(), peer_flag()}},
      {"/dms/allocation/subnet/map-port", "Map a port into a subnet", port_flags()},
      {"/dms/allocation/subnet/unmap-port", "Remove a mapped port", port_flags()},
      {"/dms/allocation/subnet/dns/add-records",
       "Add a name to a subnet",
       {subnet_flag(), formed(text("domain-name", 'n', "Records", "the name", true, "name"), Form::record),
        text("ip", 'i', "", "address it stands for", true, "ip")}},
      {"/dms/allocation/subnet/dns/remove-records",
       "Remove a name from a subnet",
       {subnet_flag(), text("domain-name", 'n', "DomainName", "the name", true, "name")}},
      {"/dms/volume/create",
       "Make a volume on a node",
       {name_flag(), formed(text("client-pem-file", 'p', "ClientPEM", "certificate of who may mount it", true, "file"),
                            Form::contents)}},
      {"/dms/volume/delete", "Delete a volume", {name_flag()}},
      {"/dms/volume/start", "Start a volume", {name_flag()}},
  };
}

Result<std::pair<std::string, std::string>> split(std::string_view flag, std::string_view pair, char at) {
  const auto place = pair.find(at);
  if (place == std::string_view::npos || place == 0)
    return fail(Errc::usage, "--{}: expected name{}value, found \"{}\"", flag, at, pair);
  return std::pair(std::string(pair.substr(0, place)), std::string(pair.substr(place + 1)));
}

Result<json::Value> read_gpus(const std::string& text) {
  json::Array cards;
  for (std::size_t from = 0; from <= text.size();) {
    const auto to = std::min(text.find(',', from), text.size());
    TRY(auto pair, split("gpus", std::string_view(text).substr(from, to - from), ':'));
    auto index = json::decode<std::int64_t>(pair.first);
    if (!index) return fail(Errc::usage, "--gpus: expected the number of a card, found \"{}\"", pair.first);
    auto vram = capability::ByteSize::parse(pair.second, capability::kGiB);
    if (!vram) return std::unexpected(vram.error().context(Errc::usage, "--gpus"));
    cards.emplace_back(json::Object{{"index", *index}, {"vram", vram->bytes}});
    from = to + 1;
  }
  return json::Value(std::move(cards));
}

Result<json::Value> read_anchor_data(const Arguments& arguments, const std::string& text, std::string& member) {
  if (arguments.has("root")) {
    member = "Root";
    TRY(auto did, parse_did("--data", text));
    return json::parse(json::encode(std::vector{did}));
  }
  member = arguments.has("require") ? "Require" : arguments.has("provide") ? "Provide" : "Revoke";
  auto value = json::parse(text);
  if (!value) return std::unexpected(value.error().context(Errc::usage, "--data: expected a token as JSON"));
  if (value->is_object() && value->as_object().contains("dms"))
    return json::Value(json::Object{{"tok", json::Array{*value}}});
  return value;
}

Result<json::Value> read_value(const Flag& flag, const Arguments& arguments, std::string& member) {
  const std::string& name = flag.option.name;
  const std::string given = arguments.get(name, "");
  switch (flag.form) {
    case Form::text: return json::Value(boost::json::string(given));
    case Form::on: return json::Value(true);
    case Form::on_off:
      if (given == "true" || given == "false") return json::Value(given == "true");
      return fail(Errc::usage, "--{}: expected true or false, found \"{}\"", name, given);
    case Form::number: {
      auto number = json::decode<double>(given);
      if (!number) return fail(Errc::usage, "--{}: expected a number, found \"{}\"", name, given);
      return json::Value(*number);
    }
    case Form::size: {
      auto size = capability::ByteSize::parse(given, capability::kGiB);
      if (!size) return std::unexpected(size.error().context(Errc::usage, fmt::format("--{}", name)));
      return json::Value(size->bytes);
    }
    case Form::seconds: {
      TRY(auto duration, parse_duration(given));
      return json::Value(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
    }
    case Form::pairs: {
      json::Object object;
      for (const auto& each : arguments.all(name)) {
        TRY(auto pair, split(name, each, '='));
        object[pair.first] = pair.second;
      }
      return json::Value(std::move(object));
    }
    case Form::record: return json::Value(json::Object{{given, arguments.get("ip", "")}});
    case Form::gpus: return read_gpus(given);
    case Form::anchors: return read_anchor_data(arguments, given, member);
    case Form::ensemble: return read_ensemble(given.empty() ? "ensemble.yaml" : given);
    case Form::contents: {
      TRY(auto contents, read_file(given, kMaxFile));
      return json::Value(boost::json::string(contents));
    }
  }
  return fail(dms::Errc::internal, "flag {} has no form", name);
}

void put(json::Object& into, std::string_view path, json::Value value) {
  const auto dot = path.find('.');
  if (dot == std::string_view::npos) {
    into[path] = std::move(value);
    return;
  }
  auto& inner = into[path.substr(0, dot)];
  if (!inner.is_object()) inner = json::Object();
  put(inner.as_object(), path.substr(dot + 1), std::move(value));
}

/// The text of a script or key: what stands there if it has several lines, else the file of that name next to the ensemble.
Result<std::string> resolve(const std::filesystem::path& folder, std::string_view what, std::string_view given) {
  if (given.find('\n') != std::string_view::npos) return std::string(given);
  const auto path = std::filesystem::path(given).is_absolute() ? std::filesystem::path(given) : folder / given;
  auto contents = read_file(path, kMaxFile);
  if (!contents) return fail(contents.error(), "{}: expected a file, or the text itself in several lines", what);
  return contents;
}

}  // namespace

const std::vector<Behaviour>& behaviours() {
  static const std::vector<Behaviour> all = [] {
    auto list = node_behaviours();
    for (auto more : {deployment_behaviours(), subnet_behaviours()})
      for (auto& b : more) list.push_back(std::move(b));
    return list;
  }();
  return all;
}

Result<std::string> make_payload(const Behaviour& behaviour, const Arguments& arguments) {
  if (behaviour.flags.empty()) return std::string();
  json::Object payload;
  for (const auto& flag : behaviour.flags) {
    const bool has_default = flag.form == Form::ensemble;
    if (!arguments.has(flag.option.name) && !has_default) continue;
    std::string member = flag.member;
    TRY(auto value, read_value(flag, arguments, member));
    if (!member.empty()) put(payload, member, std::move(value));
  }
  return json::write(payload);
}

Result<json::Value> read_ensemble(const std::filesystem::path& file) {
  TRY(auto yaml, read_file(file, kMaxFile));
  auto ensemble = jobs::Ensemble::parse_yaml(yaml);
  if (!ensemble) return fail(ensemble.error(), "{}", file.string());
  const auto folder = file.parent_path();
  for (auto& [name, script] : ensemble->scripts) {
    TRY(auto contents, resolve(folder, fmt::format("scripts.{}", name), as_text(script)));
    script = to_bytes(contents);
  }
  for (auto& [name, allocation] : ensemble->allocations)
    for (auto& key : allocation.keys) {
      TRY(key.file, resolve(folder, fmt::format("allocations.{}.keys", name), key.file));
    }
  return json::parse(json::encode(*ensemble));
}

}  // namespace dms::cli
