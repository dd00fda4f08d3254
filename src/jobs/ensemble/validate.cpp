// The rules for a decoded ensemble. Each function checks one kind of item and names the first field that fails.
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "base/text.hpp"
#include "crypto/peer_id.hpp"
#include "jobs/ensemble/program_limits.hpp"
#include "jobs/ensemble/rules.hpp"
#include "supervision/spec.hpp"

namespace dms::jobs {
namespace {

constexpr std::size_t kMaxAllocations = 256;
constexpr std::size_t kMaxPorts = 256;
constexpr std::size_t kMaxRedundancy = 64;
constexpr std::size_t kMaxAntiAffinity = 32;
constexpr std::size_t kMaxScriptBytes = 512 * 1024;
constexpr std::uint64_t kMaxClock = 100 * capability::kGHz;
constexpr std::uint64_t kFirstPort = 1025;  // as in the existing implementation

bool word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

/// Labels of letters, digits and inner dashes, at most 63 long, joined by dots, at most 253 together.
bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  while (true) {
    const auto dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > 63 || !word_char(label.front()) || !word_char(label.back())) return false;
    if (!std::all_of(label.begin(), label.end(), [](char c) { return word_char(c) || c == '-'; })) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

/// A name that may become a file: [A-Za-z0-9][A-Za-z0-9_.-]*.
bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && word_char(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return word_char(c) || c == '_' || c == '.' || c == '-'; });
}

/// An absolute path without `..`.
bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() > 4096 || path.find('\0') != std::string_view::npos) return false;
  return ("/" + std::string(path) + "/").find("/../") == std::string::npos;
}

/// [host[:port]/]path[:tag][@digest], by its characters and ends; the engine that pulls it checks the rest.
bool is_image(std::string_view image) {
  return !image.empty() && image.size() <= 512 && word_char(image.front()) && word_char(image.back()) &&
         image.find("..") == std::string_view::npos && image.find("//") == std::string_view::npos &&
         std::all_of(image.begin(), image.end(), [](char c) {
           return word_char(c) || std::string_view("._-/:@").find(c) != std::string_view::npos;
         });
}

Result<void> check_resources(const std::string& at, const capability::Resources& resources) {
  if (resources.cpu.cores.empty() && resources.ram.size.empty() && resources.disk.size.empty())
    return wrong("{}: expected what the work needs, found nothing; for example {}", at, kResourcesExample);
  if (resources.cpu.cores.empty()) return wrong("{}.cpu.cores: expected a number above 0", at);
  if (resources.ram.size.empty()) return wrong("{}.ram.size: expected a size above 0", at);
  if (resources.disk.size.empty()) return wrong("{}.disk.size: expected a size above 0", at);
  if (resources.cpu.clock_speed.hertz > kMaxClock)
    return wrong("{}.cpu.clock_speed: {} is beyond any processor; a bare number counts in GHz", at,
                 resources.cpu.clock_speed.to_string());
  if (resources.gpus.size() > capability::kMaxGpus)
    return wrong("{}.gpus: at most {} are possible", at, capability::kMaxGpus);
  return {};
}

Result<void> check_strings(const std::string& at, const json::Value& list, bool variables) {
  const json::Array* array = list.if_array();
  if (array == nullptr)
    return wrong("{}: {}; for example {}", at, json::wrong_kind("a list", list).error().message(),
                 variables ? "[NAME=value]" : "[python3, train.py]");
  for (std::size_t i = 0; i < array->size(); ++i) {
    const auto* text = (*array)[i].if_string();
    if (text == nullptr) return wrong("{}[{}]: {}", at, i, json::wrong_kind("a string", (*array)[i]).error().message());
    const std::string_view item(text->data(), text->size());
    // exec(2) takes any name that is not empty.
    if (variables && (item.find('=') == std::string_view::npos || item.starts_with('=')))
      return wrong("{}[{}]: expected NAME=value", at, i);
  }
  return {};
}

Result<void> check_param_kind(const std::string& at, std::string_view name, const json::Value& value) {
  if (name == "entrypoint" || name == "cmd") return check_strings(at, value, false);
  if (name == "environment") return check_strings(at, value, true);
  if (name == "privileged")
    return value.is_bool() ? Result<void>()
                           : wrong("{}: {}", at, json::wrong_kind("true or false", value).error().message());
  constexpr std::string_view kTexts[] = {"image",          "image_archive", "working_directory", "user",
                                         "restart_policy", "kernel_image",  "root_file_system",  "kernel_args",
                                         "initrd",         "initrd_path"};
  if (std::find(std::begin(kTexts), std::end(kTexts), name) == std::end(kTexts)) return {};
  const auto* text = value.if_string();
  if (text == nullptr) return wrong("{}: {}", at, json::wrong_kind("a string", value).error().message());
  if (text->empty()) return wrong("{}: expected something, or leave the key out", at);
  if (name == "image" && !is_image({text->data(), text->size()}))
    return wrong("{}: \"{}\" is not an image name", at, std::string_view(*text).substr(0, 128));
  if (name == "restart_policy" && *text != "no" && *text != "on-failure" && *text != "always" &&
      *text != "unless-stopped")
    return wrong("{}: expected no", at);  // the others are refused later
  return {};
}

/// Named, or an input.
Result<void> check_image(const std::string& at, const Allocation& allocation) {
  const auto given = [&](std::string_view name) {
    const json::Value* value = allocation.execution.params.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  };
  const json::Value* archive = given("image_archive");
  const bool named = given("image") != nullptr;
  if (!named && archive == nullptr) return wrong("{}.image: docker cannot run without it", at);
  if (named && archive != nullptr) return wrong("{}.image_archive: it excludes image", at);
  if (named) return {};
  const std::string_view name(*archive->if_string());
  const auto input = std::ranges::find(allocation.inputs, name, &Input::to);
  if (input == allocation.inputs.end() || input->folder)
    return wrong("{}.image_archive: \"{}\" is no input; write `inputs: [{{to: {}, file: <archive>}}]`", at,
                 name.substr(0, 128), name.substr(0, 128));
  return {};
}

Result<void> check_execution(const std::string& at, const Allocation& allocation) {
  const std::string_view executor = to_string(allocation.executor);
  const Execution& execution = allocation.execution;
  if (execution.type != executor)
    return wrong("{}.type: expected {}, the executor, found \"{}\"", at, executor,
                 std::string_view(execution.type).substr(0, 64));
  for (const auto& param : execution.params)
    if (!param.value().is_null())
      TRY_VOID(check_param_kind(fmt::format("{}.{}", at, std::string_view(param.key())), param.key(), param.value()));
  TRY_VOID(check_program_limits(at, execution.params));
  const auto needs = [&](std::string_view name) -> Result<void> {
    const json::Value* value = execution.params.if_contains(name);
    if (value == nullptr || value->is_null()) return wrong("{}.{}: {} cannot run without it", at, name, executor);
    return {};
  };
  switch (allocation.executor) {
    case ExecutorType::docker: return check_image(at, allocation);
    case ExecutorType::containerd: return needs("image");
    case ExecutorType::sandbox: return execution.params.contains("entrypoint") ? Result<void>() : needs("cmd");
    case ExecutorType::firecracker: TRY_VOID(needs("kernel_image")); return needs("root_file_system");
    case ExecutorType::null: return {};
  }
  return {};
}

Result<void> check_volume(const std::string& at, const Volume& volume) {
  if (volume.type == VolumeType::local) {
    const bool path = volume.src.find('/') != std::string::npos;
    if (path ? !is_plain_path(volume.src) : !is_file_name(volume.src))
      return wrong("{}.src: expected an absolute path without .. or a name of letters, digits, _ . and -", at);
  } else {
    if (!is_file_name(volume.name)) return wrong("{}.name: expected a name of letters, digits, _ . and -", at);
    if (volume.servers.empty()) return wrong("{}.servers: expected at least one server", at);
    for (std::size_t i = 0; i < volume.servers.size(); ++i)
      if (volume.servers[i].empty()) return wrong("{}.servers[{}]: expected a host name", at, i);
  }
  if (!is_plain_path(volume.mount_destination))
    return wrong("{}.mount_destination: expected an absolute path without ..", at);
  return {};
}

Result<void> check_allocation(const Ensemble& ensemble, const std::string& name, const Allocation& allocation) {
  const std::string at = "allocations." + name;
  TRY_VOID(check_resources(at + ".resources", allocation.resources));
  TRY_VOID(check_execution(at + ".execution", allocation));
  if (!is_host_name(allocation.dns_name))
    return wrong("{}.dns_name: \"{}\" is not a host name", at, allocation.dns_name.substr(0, 64));
  for (std::size_t i = 0; i < allocation.keys.size(); ++i) {
    if (allocation.keys[i].file.empty()) return wrong("{}.keys[{}].file: expected a key or the path of one", at, i);
    if (allocation.keys[i].type == KeyType::gpg && allocation.keys[i].dest.empty())
      return wrong("{}.keys[{}].dest: a gpg key needs one", at, i);
  }
  for (std::size_t i = 0; i < allocation.provision.size(); ++i)
    if (!ensemble.scripts.contains(allocation.provision[i]))
      return wrong("{}.provision[{}]: there is no script \"{}\"{}", at, i, allocation.provision[i].substr(0, 64),
                   hint(allocation.provision[i], ensemble.scripts));
  for (std::size_t i = 0; i < allocation.volume.size(); ++i)
    TRY_VOID(check_volume(fmt::format("{}.volume[{}]", at, i), allocation.volume[i]));
  if (std::max({allocation.keys.size(), allocation.provision.size(), allocation.volume.size(),
                allocation.depends_on.size()}) > kMaxList)
    return wrong("{}: a list has more than {} entries", at, kMaxList);
  return check_run(ensemble, name, allocation);
}

/// Names of allocations and DNS names are unique without regard to letter case, as in the existing implementation.
Result<void> check_names(const Ensemble& ensemble) {
  const auto lower = [](std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  };
  std::map<std::string, std::string> names;
  std::map<std::string, std::string> dns_names;
  for (const auto& [name, allocation] : ensemble.allocations) {
    if (name.empty()) return wrong("allocations: the name of an allocation is missing");
    if (!is_host_name(name))
      return wrong("allocations.{}: expected a host name: letters, digits and inner dashes", name.substr(0, 64));
    if (const auto [other, fresh] = names.emplace(lower(name), name); !fresh)
      return wrong("allocations.{}: differs from {} in letter case only", name, other->second);
    if (const auto [other, fresh] = dns_names.emplace(lower(allocation.dns_name), name); !fresh)
      return wrong("allocations.{}.dns_name: {} has the name \"{}\" already", name, other->second, allocation.dns_name);
  }
  return {};
}

Result<void> check_ports(const std::string& at, const Node& node) {
  if (node.ports.size() > kMaxPorts) return wrong("{}.ports: more than {}", at, kMaxPorts);
  std::set<std::uint16_t> taken;
  for (std::size_t i = 0; i < node.ports.size(); ++i) {
    const Port& port = node.ports[i];
    if (port.private_port == 0) return wrong("{}.ports[{}].private: expected a port from 1 to 65535", at, i);
    if (port.public_port != 0 && port.public_port < kFirstPort)
      return wrong("{}.ports[{}].public: expected 0 or a port from {} to 65535, found {}", at, i, kFirstPort,
                   port.public_port);
    if (port.public_port != 0 && !taken.insert(port.public_port).second)
      return wrong("{}.ports[{}].public: {} is mapped already", at, i, port.public_port);
    if (std::find(node.allocations.begin(), node.allocations.end(), port.allocation) == node.allocations.end())
      return wrong("{}.ports[{}].allocation: \"{}\" is not an allocation of this node", at, i,
                   port.allocation.substr(0, 64));
  }
  return {};
}

Result<void> check_places(const std::string& at, const std::vector<capability::Location>& places) {
  if (places.size() > kMaxList) return wrong("{}: more than {} places", at, kMaxList);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i].continent.empty())
      return wrong("{}[{}].continent: {}expected the name of a continent", at, i,
                   places[i].country.empty() ? "" : "a country needs its continent: ");
    if (!places[i].city.empty() && places[i].country.empty())
      return wrong("{}[{}].country: a city needs its country", at, i);
  }
  return {};
}

Result<void> check_node(const Ensemble& ensemble, const std::string& name, const Node& node) {
  if (name.empty()) return wrong("nodes: the name of a node is missing");
  if (!is_file_name(name)) return wrong("nodes.{}: expected a name of letters, digits, _ . and -", name.substr(0, 64));
  const std::string at = "nodes." + name;
  for (std::size_t i = 0; i < node.allocations.size(); ++i)
    if (!ensemble.allocations.contains(node.allocations[i]))
      return wrong("{}.allocations[{}]: there is no allocation \"{}\"{}", at, i, node.allocations[i].substr(0, 64),
                   hint(node.allocations[i], ensemble.allocations));
  TRY_VOID(check_ports(at, node));
  TRY_VOID(check_places(at + ".location.accept", node.location.accept));
  TRY_VOID(check_places(at + ".location.reject", node.location.reject));
  if (!node.peer.empty() && !crypto::PeerId::parse(node.peer))
    return wrong("{}.peer: \"{}\" is not a peer id", at, node.peer.substr(0, 128));
  if (node.redundancy > kMaxRedundancy)
    return wrong("{}.redundancy: expected a number from 0 to {}", at, kMaxRedundancy);
  if (node.lease_ns < 0) return wrong("{}.lease: expected a duration above 0", at);
  return {};
}

/// Each node, and each of its standbys, needs one.
Result<void> check_machines(const Ensemble& ensemble) {
  std::size_t machines = ensemble.nodes.size();
  for (const auto& [name, node] : ensemble.nodes) {
    machines += node.redundancy;
    if (machines > kMaxMachines)
      return wrong("nodes.{}.redundancy: {} nodes and their standbys are more than {} machines", name,
                   ensemble.nodes.size(), kMaxMachines);
  }
  return {};
}

/// Each node is placed on a machine of its own.
Result<void> check_pins(const Ensemble& ensemble) {
  std::map<std::string_view, std::string_view> node_of;
  for (const auto& [name, node] : ensemble.nodes) {
    if (node.peer.empty()) continue;
    if (std::ranges::count(ensemble.exclude_peers, node.peer) > 0)
      return wrong("nodes.{}.peer: {} is in exclude_peers", name, node.peer);
    if (const auto [other, fresh] = node_of.emplace(node.peer, name); !fresh)
      return wrong("nodes.{}.peer: {} is the peer of node {} already; put the allocations of both in one node", name,
                   node.peer, other->second);
  }
  return {};
}

/// Every allocation is in exactly one node, together with its dependencies.
Result<void> check_placement(const Ensemble& ensemble) {
  std::map<std::string_view, std::string_view> node_of;
  for (const auto& [name, node] : ensemble.nodes)
    for (const std::string& allocation : node.allocations)
      if (const auto [other, fresh] = node_of.emplace(allocation, name); !fresh)
        return wrong("nodes.{}.allocations: {} is in node {} already", name, allocation, other->second);
  for (const auto& [name, allocation] : ensemble.allocations) {
    if (!node_of.contains(name))
      return wrong("allocations.{}: no node lists it; add it to nodes.<node>.allocations", name);
    for (const std::string& need : allocation.depends_on)
      if (node_of[need] != node_of[name])
        return wrong("allocations.{}.depends_on: {} is in node {}, but dependencies must share a node", name, need,
                     node_of[need]);
  }
  for (const auto& [name, node] : ensemble.nodes) {
    if (ensemble.start_order(name).size() != node.allocations.size())
      return wrong("nodes.{}.allocations: their depends_on form a cycle", name);
    TRY_VOID(ensemble.node_requirement(name));
  }
  return {};
}

Result<void> check_edges(const Ensemble& ensemble) {
  if (ensemble.edges.size() > kMaxList) return wrong("edges: more than {}", kMaxList);
  for (std::size_t i = 0; i < ensemble.edges.size(); ++i) {
    const Edge& edge = ensemble.edges[i];
    for (const std::string& end : {edge.s, edge.t})
      if (!ensemble.nodes.contains(end))
        return wrong("edges[{}]: there is no node \"{}\"{}", i, end.substr(0, 64), hint(end, ensemble.nodes));
    if (edge.s == edge.t) return wrong("edges[{}]: an edge joins two different nodes", i);
  }
  return {};
}

using Areas = std::map<std::string, std::string>;  // key -> as it is written

/// Those that the node may be in; nothing if they are many, or not bounded.
std::optional<Areas> accepted_areas(const Node& node, capability::Area by) {
  constexpr std::size_t kMany = 16;
  if (node.location.accept.empty() || node.location.accept.size() > kMany) return std::nullopt;
  Areas areas;
  for (const capability::Location& place : node.location.accept) {
    std::string key = capability::area_key(by, place);
    if (key.empty()) return std::nullopt;
    areas.emplace(std::move(key), capability::area_text(by, place));
  }
  return areas;
}

std::string few(const std::vector<std::string>& all, std::string_view separator) {
  constexpr std::size_t kFew = 3;
  constexpr std::size_t kLong = 64;
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kFew); ++i)
    text += fmt::format("{}{}", i > 0 ? separator : "", shortened(printable(all[i]), kLong));
  if (all.size() > kFew) text += fmt::format(" and {} more", all.size() - kFew);
  return text;
}

/// Nodes that may be in some areas only need no more of them than there are.
Result<void> check_room(const Ensemble& ensemble, const std::string& at, const AntiAffinity& apart) {
  std::vector<std::pair<std::string, Areas>> bounded;
  for (const std::string& name : apart.nodes)
    if (std::optional<Areas> areas = accepted_areas(ensemble.nodes.at(name), apart.by))
      bounded.emplace_back(name, *std::move(areas));
  const auto by_key = [](const auto& a, const auto& b) { return a.first < b.first; };
  for (const auto& [first, areas] : bounded) {
    std::size_t machines = 0;
    std::vector<std::string> nodes;
    for (const auto& [name, own] : bounded) {
      if (!std::includes(areas.begin(), areas.end(), own.begin(), own.end(), by_key)) continue;
      machines += 1 + ensemble.nodes.at(name).redundancy;
      nodes.push_back(name);
    }
    if (machines <= areas.size()) continue;
    std::vector<std::string> texts;
    for (const auto& [key, text] : areas) texts.push_back(text);
    return wrong("{}: {}{}: {} machines need {} different {}, and location.accept leaves {}: {}", at, few(nodes, ", "),
                 machines > nodes.size() ? " and standbys" : "", machines, machines, capability::plural(apart.by),
                 areas.size(), few(texts, "; "));
  }
  return {};
}

Result<void> check_anti_affinity(const Ensemble& ensemble) {
  if (ensemble.anti_affinity.size() > kMaxAntiAffinity) return wrong("anti_affinity: more than {}", kMaxAntiAffinity);
  for (std::size_t i = 0; i < ensemble.anti_affinity.size(); ++i) {
    const AntiAffinity& apart = ensemble.anti_affinity[i];
    const std::string at = fmt::format("anti_affinity[{}]", i);
    if (apart.nodes.empty()) return wrong("{}.nodes: expected the names of nodes, found none", at);
    std::set<std::string_view> seen;
    for (std::size_t k = 0; k < apart.nodes.size(); ++k) {
      const std::string& name = apart.nodes[k];
      if (!ensemble.nodes.contains(name))
        return wrong("{}.nodes[{}]: there is no node \"{}\"{}", at, k, name.substr(0, 64), hint(name, ensemble.nodes));
      if (!seen.insert(name).second) return wrong("{}.nodes[{}]: {} is named already", at, k, name);
    }
    if (apart.nodes.size() == 1 && ensemble.nodes.at(apart.nodes[0]).redundancy == 0)
      return wrong("{}.nodes: {} has no standbys (redundancy) to keep away from it; name another node as well", at,
                   apart.nodes[0]);
    TRY_VOID(check_room(ensemble, at, apart));
  }
  return {};
}

Result<void> check_supervisor(const Ensemble& ensemble, const Supervisor& supervisor, const std::string& at) {
  if (supervisor.restarts() > supervision::kMaxIntensity)
    return wrong("{}.max_restarts: expected 0 to {}, found {}", at, supervision::kMaxIntensity, supervisor.restarts());
  if (supervisor.period() <= Duration(0) || supervisor.period() > supervision::kMaxDuration)
    return wrong("{}.period: expected a duration above 0, {} h at most", at, supervision::kMaxDuration / 1h);
  for (std::size_t i = 0; i < supervisor.allocations.size(); ++i)
    if (!ensemble.allocations.contains(supervisor.allocations[i]))
      return wrong("{}.allocations[{}]: there is no allocation \"{}\"{}", at, i,
                   supervisor.allocations[i].substr(0, 64), hint(supervisor.allocations[i], ensemble.allocations));
  for (std::size_t i = 0; i < supervisor.children.size(); ++i)
    TRY_VOID(check_supervisor(ensemble, supervisor.children[i], fmt::format("{}.children[{}]", at, i)));
  return {};
}

Result<void> check_scripts(const Ensemble& ensemble) {
  std::size_t total = 0;
  for (const auto& [name, script] : ensemble.scripts) {
    if (!is_file_name(name))
      return wrong("scripts.{}: expected a name of letters, digits, _ . and -", name.substr(0, 64));
    total += script.size();
  }
  if (total > kMaxScriptBytes)
    return wrong("scripts: {} bytes together; at most {} are carried", total, kMaxScriptBytes);
  return {};
}

Result<void> check_contracts(const Ensemble& ensemble) {
  for (const auto& [name, contract] : ensemble.contracts) {
    if (!contract.did.starts_with("did:"))
      return wrong("contracts.{}.did: expected a DID such as did:key:...", name.substr(0, 64));
    if (!contract.host.empty() && !contract.host.starts_with("did:"))
      return wrong("contracts.{}.host: expected a DID such as did:key:...", name.substr(0, 64));
  }
  return {};
}

}  // namespace

Result<void> Ensemble::validate() const {
  if (allocations.empty()) return wrong("allocations: expected at least one");
  if (allocations.size() > kMaxAllocations) return wrong("allocations: more than {}", kMaxAllocations);
  if (nodes.size() > kMaxMachines) return wrong("nodes: more than {}", kMaxMachines);
  TRY_VOID(check_names(*this));
  TRY_VOID(check_scripts(*this));
  for (const auto& [name, allocation] : allocations) TRY_VOID(check_allocation(*this, name, allocation));
  for (const auto& [name, node] : nodes) TRY_VOID(check_node(*this, name, node));
  TRY_VOID(check_machines(*this));
  TRY_VOID(check_placement(*this));
  TRY_VOID(check_edges(*this));
  TRY_VOID(check_anti_affinity(*this));
  TRY_VOID(check_supervisor(*this, supervisor, "supervisor"));
  TRY_VOID(check_contracts(*this));
  for (std::size_t i = 0; i < exclude_peers.size(); ++i)
    if (!crypto::PeerId::parse(exclude_peers[i]))
      return wrong("exclude_peers[{}]: \"{}\" is not a peer id", i, exclude_peers[i].substr(0, 128));
  TRY_VOID(check_pins(*this));
  return {};
}

}  // namespace dms::jobs
