// Queries about a node and changes by its owner: hello, peers, onboarding, resources, hardware, allocations,
// capabilities, the log, status.
//
// Specification: the behaviours /public, /broadcast, /dms/node and /dms/cap of NuNet DMS 0.5.x.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "capability/capability.hpp"
#include "did/did.hpp"
#include "protocol/declaration.hpp"
#include "protocol/manifest.hpp"
#include "ucan/context.hpp"

namespace dms::protocol {

struct HelloReply {
  did::Did did;
  static constexpr auto json_fields() { return std::tuple(json::field("DID", &HelloReply::did)); }
};
struct PublicStatusReply {
  std::string status = "ERROR";
  capability::Resources resources;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Status", &PublicStatusReply::status),
                      json::field("Resources", &PublicStatusReply::resources));
  }
};
struct PingRequest {
  std::string host;
  static constexpr auto json_fields() { return std::tuple(json::field("Host", &PingRequest::host)); }
};
struct PingReply {
  std::string error;
  std::int64_t rtt_ms = 0;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Error", &PingReply::error), json::field("RTT", &PingReply::rtt_ms));
  }
};
struct PeersReply {
  std::vector<std::string> peers;
  static constexpr auto json_fields() { return std::tuple(json::field("Peers", &PeersReply::peers)); }
};
struct SelfReply {
  std::string id;
  std::string listen_addr;  // joined by ", "
  static constexpr auto json_fields() {
    return std::tuple(json::field("id", &SelfReply::id), json::field("listen_addr", &SelfReply::listen_addr));
  }
};
struct ConnectRequest {
  std::string address;
  static constexpr auto json_fields() { return std::tuple(json::field("Address", &ConnectRequest::address)); }
};
struct ConnectReply {
  std::string status;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Status", &ConnectReply::status), json::field("Error", &ConnectReply::error));
  }
};

struct OnboardingConfig {
  bool is_onboarded = false;
  capability::Resources onboarded_resources;
  static constexpr auto json_fields() {
    return std::tuple(json::field("is_onboarded", &OnboardingConfig::is_onboarded),
                      json::field("onboarded_resources", &OnboardingConfig::onboarded_resources));
  }
};
struct OnboardRequest {
  bool no_gpu = false;
  std::string gpus;
  OnboardingConfig config;
  static constexpr auto json_fields() {
    using R = OnboardRequest;
    return std::tuple(json::field("NoGPU", &R::no_gpu), json::field("GPUs", &R::gpus),
                      json::field("Config", &R::config));
  }
};
/// By executor, which limits it does not hold on this machine, and the remedy. Not in DMS 0.5.x.
using UnenforcedLimits = std::map<std::string, std::string>;

struct OnboardReply {
  bool ok = false;
  std::string error;
  OnboardingConfig config;
  UnenforcedLimits unenforced;
  static constexpr auto json_fields() {
    using R = OnboardReply;
    return std::tuple(json::field("success", &R::ok), json::field("error", &R::error, json::omit_empty),
                      json::field("config", &R::config),
                      json::field("unenforced_limits", &R::unenforced, json::omit_empty));
  }
};
struct OnboardStatusReply {
  bool onboarded = false;
  UnenforcedLimits unenforced;
  static constexpr auto json_fields() {
    using R = OnboardStatusReply;
    return std::tuple(json::field("onboarded", &R::onboarded),
                      json::field("unenforced_limits", &R::unenforced, json::omit_empty));
  }
};
struct ResourcesReply {
  bool ok = false;
  capability::Resources resources;
  std::string error;
  static constexpr auto json_fields() {
    using R = ResourcesReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Resources", &R::resources),
                      json::field("error", &R::error, json::omit_empty));
  }
};

/// Context, if it is given, is that of the node.
struct CapListRequest {
  std::string context;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Context", &CapListRequest::context, json::omit_empty));
  }
};
struct CapListReply {
  bool ok = false;
  std::string error;
  std::vector<did::Did> roots;
  ucan::TokenList require;
  ucan::TokenList provide;
  ucan::TokenList revoke;
  static constexpr auto json_fields() {
    using R = CapListReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error), json::field("Roots", &R::roots),
                      json::field("Require", &R::require), json::field("Provide", &R::provide),
                      json::field("Revoke", &R::revoke));
  }
};
struct CapAnchorRequest {
  std::vector<did::Did> root;
  ucan::TokenList require;
  ucan::TokenList provide;
  ucan::TokenList revoke;
  static constexpr auto json_fields() {
    using R = CapAnchorRequest;
    return std::tuple(json::field("Root", &R::root), json::field("Require", &R::require),
                      json::field("Provide", &R::provide), json::field("Revoke", &R::revoke));
  }
};
struct CapAnchorReply {
  bool ok = false;
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("OK", &CapAnchorReply::ok), json::field("Error", &CapAnchorReply::error));
  }
};
/// Context, if it is given, is that of the node. Token: revocations to anchor and spread; none: all that the node has.
struct CapBroadcastRequest {
  std::string context;
  ucan::TokenList token;
  static constexpr auto json_fields() {
    return std::tuple(json::field("Context", &CapBroadcastRequest::context),
                      json::field("Token", &CapBroadcastRequest::token));
  }
};
struct CapBroadcastReply {
  bool ok = false;
  std::string error;
  std::uint64_t tokens_count = 0;
  static constexpr auto json_fields() {
    using R = CapBroadcastReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("TokensCount", &R::tokens_count));
  }
};
/// Revocations between nodes, at most kMaxRevocations; none: a node asks for those that the receiver has.
struct RevocationsMessage {
  ucan::TokenList token;
  static constexpr auto json_fields() { return std::tuple(json::field("Token", &RevocationsMessage::token)); }
};
inline constexpr std::size_t kMaxRevocations = 64;

struct NetworkInterface {
  std::string name;
  std::vector<std::string> ip;  ///< address/prefix
  std::string mac_address;
  static constexpr auto json_fields() {
    using I = NetworkInterface;
    return std::tuple(json::field("name", &I::name), json::field("ip", &I::ip),
                      json::field("mac_address", &I::mac_address));
  }
};
struct NetworkStatus {
  std::vector<NetworkInterface> interfaces;
  SelfReply p2p;
  static constexpr auto json_fields() {
    return std::tuple(json::field("interfaces", &NetworkStatus::interfaces), json::field("p2p", &NetworkStatus::p2p));
  }
};
struct ResourcesStatus {
  capability::Resources total, onboarded, allocated, free;
  static constexpr auto json_fields() {
    using R = ResourcesStatus;
    return std::tuple(json::field("total", &R::total), json::field("onboarded", &R::onboarded),
                      json::field("allocated", &R::allocated), json::field("free", &R::free));
  }
};
struct NodeStatus {
  std::string hostname;
  std::string did;
  NetworkStatus network;
  bool onboarded = false;
  ResourcesStatus resources;
  json::Value config = json::Object();  ///< by section; the settings that may be shown
  std::vector<std::string> errors;      ///< of the parts that could not be determined
  UnenforcedLimits unenforced;
  /// The node itself, its allocations, and its deployments of which a provider may hold something. Not in DMS 0.5.x.
  std::uint64_t actors = 0;
  static constexpr auto json_fields() {
    using S = NodeStatus;
    return std::tuple(
        json::field("hostname", &S::hostname), json::field("did", &S::did), json::field("network", &S::network),
        json::field("onboarded", &S::onboarded), json::field("resources", &S::resources),
        json::field("config", &S::config), json::field("errors", &S::errors),
        json::field("unenforced_limits", &S::unenforced, json::omit_empty), json::field("actors", &S::actors));
  }
};
/// {peer id: status}, of one peer.
struct NodeStatusReply {
  std::map<std::string, NodeStatus> peers;
  void to_json(json::Writer& writer) const { json::write(writer, peers); }
  static Result<NodeStatusReply> from_json(const json::Value& value) {
    TRY(auto peers, json::from_value<decltype(NodeStatusReply::peers)>(value));
    return NodeStatusReply{std::move(peers)};
  }
};

/// Members but Level have names only: what they ask for is refused, and one may be a key.
struct LoggerConfigRequest {
  std::string level;
  std::vector<std::string> others;  ///< those that ask for something
  void to_json(json::Writer& writer) const;
  static Result<LoggerConfigRequest> from_json(const json::Value& value);
};

struct AllocationInfo {
  std::string id;
  jobs::AllocationType type = jobs::AllocationType::task;
  capability::Resources resources;
  std::string orchestrator;
  AllocationStatus status{};
  std::string executor;
  std::string execution_id;
  std::vector<int> using_ports;  // public ones, which are refused: none
  std::uint64_t created_at = 0;  // ns since 1970
  std::uint64_t started_at = 0;
  // Not in DMS 0.5.x.
  std::string name;           ///< unique on its machine; the id, unless two orchestrators use the same one
  std::int64_t lease_ns = 0;  ///< until its lease ends; of work that has not ended
  bool being_ended = false;   ///< its orchestrator or the owner of the machine has its run ended
  bool ended_by_owner = false;
  std::uint32_t restarts = 0;  ///< in its place, by its orchestrator
  std::string reason;          ///< of work that has ended
  int exit_code = 0;
  std::optional<StartProgress> progress;  ///< of its start
  // If the request asks for usage; 0 and absent: not known.
  double cpu_seconds = 0;
  std::uint64_t memory_bytes = 0;  ///< of work that has ended, the most
  std::uint64_t disk_bytes = 0;    ///< of its folder, as last counted
  std::uint64_t out_size = 0;
  std::uint64_t err_size = 0;
  static constexpr auto json_fields() {
    using I = AllocationInfo;
    constexpr auto omit = json::omit_empty;
    return std::tuple(
        json::field("id", &I::id), json::field("type", &I::type), json::field("resources", &I::resources),
        json::field("orchestrator", &I::orchestrator), json::field("status", &I::status),
        json::field("executor", &I::executor), json::field("execution_id", &I::execution_id),
        json::field("using_ports", &I::using_ports), json::field("created_at", &I::created_at),
        json::field("started_at", &I::started_at), json::field("name", &I::name, omit),
        json::field("lease", &I::lease_ns, omit), json::field("being_ended", &I::being_ended, omit),
        json::field("ended_by_owner", &I::ended_by_owner, omit), json::field("restarts", &I::restarts, omit),
        json::field("reason", &I::reason, omit), json::field("exit_code", &I::exit_code, omit),
        json::field("progress", &I::progress, omit), json::field("cpu_seconds", &I::cpu_seconds, omit),
        json::field("memory_bytes", &I::memory_bytes, omit), json::field("disk_bytes", &I::disk_bytes, omit),
        json::field("stdout_size", &I::out_size, omit), json::field("stderr_size", &I::err_size, omit));
  }
};

struct AllocationsRequest {
  std::uint32_t limit = 0;  ///< allocations in one reply; 0: as many as a message has room for
  std::string after;        ///< `next` of the reply before
  bool usage = false;       ///< what they use is measured, which takes up to 2 s
  static constexpr auto json_fields() {
    return std::tuple(json::field("Limit", &AllocationsRequest::limit, json::omit_empty),
                      json::field("After", &AllocationsRequest::after, json::omit_empty),
                      json::field("Usage", &AllocationsRequest::usage, json::omit_empty));
  }
};
struct AllocationsReply {
  std::vector<AllocationInfo> allocations;
  std::string next;  ///< not empty if there are more
  std::string error;
  static constexpr auto json_fields() {
    return std::tuple(json::field("allocations", &AllocationsReply::allocations),
                      json::field("next", &AllocationsReply::next, json::omit_empty),
                      json::field("error", &AllocationsReply::error, json::omit_empty));
  }
};

/// The owner of a machine reads the output of what runs there: a page of a stream, as in AllocationLogsRequest. `id`:
/// AllocationInfo::name, or how one and no other begins.
struct OwnerLogsRequest {
  std::string id;
  std::string stream;
  std::uint64_t offset = 0;
  std::uint64_t max_bytes = 0;
  static constexpr auto json_fields() {
    using R = OwnerLogsRequest;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("ID", &R::id), json::field("stream", &R::stream, omit),
                      json::field("offset", &R::offset, omit), json::field("max_bytes", &R::max_bytes, omit));
  }
};

/// At most, for work that the owner of its machine ends.
inline constexpr Duration kLongestOwnerGrace = 5min;

/// The owner of a machine ends what runs there: SIGTERM, and SIGKILL after the grace. Answered once it has ended.
struct OwnerStopRequest {
  std::string id;  ///< as in OwnerLogsRequest
  std::optional<std::int64_t> grace_ns;
  static constexpr auto json_fields() {
    return std::tuple(json::field("ID", &OwnerStopRequest::id),
                      json::field("Grace", &OwnerStopRequest::grace_ns, json::omit_empty));
  }
};
struct OwnerStopReply {
  bool ok = false;
  std::string error;
  std::string name;          ///< of the allocation
  std::string status;        ///< how it has ended
  bool before = false;       ///< it had ended by itself
  bool in_progress = false;  ///< with an error: what has begun goes on
  static constexpr auto json_fields() {
    using R = OwnerStopReply;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error), json::field("Name", &R::name, omit),
                      json::field("Status", &R::status, omit), json::field("EndedBefore", &R::before, omit),
                      json::field("InProgress", &R::in_progress, omit));
  }
};

inline constexpr std::string_view kHelloTopic = "/nunet/hello";
inline constexpr std::string_view kStatusTopic = "/nunet/status";
inline constexpr std::string_view kRevocationTopic = "/nunet/revocation";

inline constexpr std::array kPingParameters{Parameter{
    .name = "host", .letter = 'H', .member = "Host", .value = "peer", .help = "peer to ping", .required = true}};
inline constexpr std::array kConnectParameters{Parameter{.name = "address",
                                                         .letter = 'a',
                                                         .member = "Address",
                                                         .value = "multiaddr",
                                                         .help = "multiaddress of the peer, ending in /p2p/<id>",
                                                         .required = true}};
inline constexpr std::array kOnboardParameters{
    Parameter{"ram",
              'R',
              "Config.onboarded_resources.ram.size",
              Form::size,
              "size",
              "memory to offer; a bare number counts GiB",
              true,
              {}},
    Parameter{"cpu", 'C', "Config.onboarded_resources.cpu.cores", Form::number, "cores", "cores to offer", true, {}},
    Parameter{"disk",
              'D',
              "Config.onboarded_resources.disk.size",
              Form::size,
              "size",
              "disk to offer; a bare number counts GiB",
              true,
              {}},
    Parameter{"gpus",
              'G',
              "Config.onboarded_resources.gpus",
              Form::gpus,
              "index:size",
              "GPUs to offer: 0:4GiB,1:8GiB",
              false,
              {}},
    Parameter{"no-gpu", 'N', "NoGPU", Form::flag, {}, "offer no GPU", false, {}}};
inline constexpr std::array kCapAnchorParameters{
    Parameter{"root", 0, {}, Form::flag, {}, "the data is a DID to trust for everything", false, "anchor"},
    Parameter{"require", 0, {}, Form::flag, {}, "the data is a token that states what is accepted", false, "anchor"},
    Parameter{"provide", 0, {}, Form::flag, {}, "the data is a token for the node to present", false, "anchor"},
    Parameter{"revoke", 0, {}, Form::flag, {}, "the data is a revocation", false, "anchor"},
    Parameter{"data", 0, {}, Form::anchors, "did|token", "the DID or the token", true, {}}};

inline constexpr Behaviour<Nothing, HelloReply> kPublicHello{
    {.path = "/public/hello", .help = "Greet an actor", .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, HelloReply> kBroadcastHello{{.path = "/broadcast/hello",
                                                                 .help = "Greet every node on the network",
                                                                 .offered = Offered::command_line,
                                                                 .timeout = 5s,
                                                                 .topic = kHelloTopic}};
inline constexpr Behaviour<Nothing, PublicStatusReply> kPublicStatus{
    {.path = "/public/status", .help = "Show a node's status and machine", .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, PeersReply> kPeersList{
    {.path = "/dms/node/peers/list", .help = "List the connected peers of a node", .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, SelfReply> kPeersSelf{
    {.path = "/dms/node/peers/self", .help = "Show a node's peer id and addresses", .offered = Offered::command_line}};
inline constexpr Behaviour<PingRequest, PingReply> kPeersPing{{.path = "/dms/node/peers/ping",
                                                               .help = "Measure the round trip from a node to a peer",
                                                               .offered = Offered::command_line,
                                                               .parameters = kPingParameters}};
inline constexpr Behaviour<ConnectRequest, ConnectReply> kPeersConnect{{.path = "/dms/node/peers/connect",
                                                                        .help = "Connect a node to a peer",
                                                                        .offered = Offered::command_line,
                                                                        .parameters = kConnectParameters}};
inline constexpr Behaviour<OnboardRequest, OnboardReply> kOnboard{{.path = "/dms/node/onboarding/onboard",
                                                                   .help = "Offer a share of a node's machine",
                                                                   .offered = Offered::command_line,
                                                                   .parameters = kOnboardParameters}};
inline constexpr Behaviour<Nothing, OnboardReply> kOffboard{{.path = "/dms/node/onboarding/offboard",
                                                             .help = "Stop offering a share of a node's machine",
                                                             .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, OnboardStatusReply> kOnboardStatus{{.path = "/dms/node/onboarding/status",
                                                                        .help = "Show whether a node is onboarded",
                                                                        .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, ResourcesReply> kResourcesAllocated{
    {.path = "/dms/node/resources/allocated",
     .help = "Show the reserved resources of a node",
     .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, ResourcesReply> kResourcesFree{{.path = "/dms/node/resources/free",
                                                                    .help = "Show the free resources of a node",
                                                                    .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, ResourcesReply> kResourcesOnboarded{
    {.path = "/dms/node/resources/onboarded",
     .help = "Show the onboarded resources of a node",
     .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, ResourcesReply> kHardwareSpec{
    {.path = "/dms/node/hardware/spec", .help = "Show a node's hardware", .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, ResourcesReply> kHardwareUsage{
    {.path = "/dms/node/hardware/usage", .help = "Show a node's hardware usage", .offered = Offered::command_line}};
inline constexpr std::array kAllocationsListParameters{
    Parameter{.name = "after", .member = "After", .value = "next", .help = "go on behind a page, with its `next`"},
    Parameter{.name = "usage", .member = "Usage", .form = Form::flag, .help = "measure what they use"}};
inline constexpr Behaviour<AllocationsRequest, AllocationsReply> kAllocationsList{
    {.path = "/dms/node/allocations/list",
     .help = "List the allocations on a node",
     .offered = Offered::command_line,
     .parameters = kAllocationsListParameters}};
inline constexpr std::array kHeldParameters{Parameter{.name = "id",
                                                      .letter = 'i',
                                                      .member = "ID",
                                                      .value = "name",
                                                      .help = "name of the allocation, or how it begins",
                                                      .required = true}};
/// For the owner of the node alone, whatever others are granted.
inline constexpr Behaviour<OwnerLogsRequest, AllocationLogsResponse> kAllocationsLogs{
    {.path = "/dms/node/allocations/logs",
     .help = "Fetch the output of an allocation on a node, for its owner",
     .offered = Offered::command_line,
     .timeout = 2min,
     .parameters = kHeldParameters}};
/// For the owner of the node alone, whatever others are granted. Time limit: and the grace.
inline constexpr Behaviour<OwnerStopRequest, OwnerStopReply> kAllocationsStop{
    {.path = "/dms/node/allocations/stop",
     .help = "End an allocation on a node, for its owner",
     .offered = Offered::command_line,
     .timeout = 1min,
     .parameters = kHeldParameters}};
inline constexpr Behaviour<CapListRequest, CapListReply> kCapList{
    {.path = "/dms/cap/list", .help = "List a node's anchors", .offered = Offered::command_line}};
inline constexpr Behaviour<CapAnchorRequest, CapAnchorReply> kCapAnchor{{.path = "/dms/cap/anchor",
                                                                         .help = "Add an anchor to a node",
                                                                         .offered = Offered::command_line,
                                                                         .parameters = kCapAnchorParameters}};
inline constexpr Behaviour<CapBroadcastRequest, CapBroadcastReply> kCapBroadcast{
    {.path = "/dms/cap/broadcast",
     .help = "Spread a node's revocations to all peers",
     .offered = Offered::command_line}};
inline constexpr Behaviour<RevocationsMessage, Nothing> kRevocations{{.path = "/broadcast/cap/revocations",
                                                                      .help = "Revocations that spread between nodes",
                                                                      .topic = kRevocationTopic,
                                                                      .open = true}};
inline constexpr std::array kLoggerConfigParameters{Parameter{.name = "level",
                                                              .member = "Level",
                                                              .value = "level",
                                                              .help = "trace, debug, info, warn, error or off",
                                                              .required = true}};
/// Until the daemon ends.
inline constexpr Behaviour<LoggerConfigRequest, Ack> kLoggerConfig{
    {.path = "/dms/node/logger/config",
     .help = "Change the level of a node's log while it runs",
     .offered = Offered::command_line,
     .parameters = kLoggerConfigParameters}};
inline constexpr Behaviour<Nothing, NodeStatusReply> kNodeStatus{
    {.path = "/dms/node/status", .help = "Show the whole status of a node", .offered = Offered::command_line}};
inline constexpr Behaviour<Nothing, NodeStatusReply> kBroadcastNodeStatus{{.path = "/broadcast/dms/status",
                                                                           .help = "Ask every node for its status",
                                                                           .offered = Offered::command_line,
                                                                           .timeout = 5s,
                                                                           .topic = kStatusTopic}};

}  // namespace dms::protocol
