// The settings of a node: `dms_config.json`, overridden by DMS_ environment variables, complete by defaults.
//
// Model
//  1. Every setting has a dotted key ("rest.port"), a type and a default. A file holds any of them, nested by section;
//     the environment variable of a key is DMS_ and the key in capitals, dots as underscores (DMS_REST_PORT). The
//     environment wins over the file, the file over the default; origin() says which it was.
//  2. The file is the one named with --config, else the first that exists of ./dms_config.json, ~/.nunet/, the user's
//     configuration folder + /nunet/, /etc/nunet/. Keys are those of the existing network's nodes, so their files can
//     be used; the flat observability keys of older files stand for the nested ones. Keys of our own are `p2p.security`
//     and those in the section `executor`; nothing writes them into a file unless the user sets them.
//  3. An unknown key is refused with the nearest known one, a value of the wrong type with its key. Lists in the
//     environment or on a command line are separated by commas. `~/` at the start of a path is the home folder.
//  4. set() changes one key in the file, atomically, and leaves the others as they stand.
//
// Two defaults differ from the existing nodes': `profiler.enabled` is false, for there is no profiler to open a port,
// and `general.port_available_range_to` is the last port itself (65535). Threads: values. Failure:
// Errc::invalid_argument names key and file; Errc::io the file.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace dms::config {

struct PaymentProvider {
  bool mode = false;
  std::string ethereum_rpc_url = "https://ethereum-sepolia-rpc.publicnode.com";
  std::string ethereum_rpc_token;
  std::string ntx_contract_address = "0xB37216b70a745129966E553cF8Ee2C51e1cB359A";
  std::string starting_block_scanning = "0x8D7374";
  std::string block_frost_api_url;
  std::string block_frost_api_key;
  std::string cardano_asset_name;
  std::string cardano_asset_policy_id;
};

struct General {
  std::string env = "production";
  std::string user_dir = "~/.nunet";
  std::string work_dir = "~/nunet";
  std::string data_dir = "~/nunet/data";
  bool debug = false;
  std::string host_city;
  std::string host_country;
  std::string host_continent;
  std::uint16_t port_available_range_from = 16384;
  std::uint32_t port_available_range_to = 65535;
  bool storage_mode = false;
  std::string storage_ca_directory = "~/.nunet/storage_ca_directory";
  std::string storage_bricks_dir = "~/.nunet/storage_bricks_dir";
  std::string storage_glusterfs_hostname;
  PaymentProvider payment_provider;
};

struct Rest {
  std::string addr = "127.0.0.1";
  std::uint16_t port = 9999;
};

struct Profiler {
  bool enabled = false;
  std::string addr = "127.0.0.1";
  std::uint16_t port = 6060;
};

/// What p2p.security may name.
inline constexpr std::array<std::string_view, 2> kSecurityProtocols{"/noise", "/tls/1.0.0"};

struct P2p {
  std::vector<std::string> listen_address = {"/ip4/0.0.0.0/tcp/9000", "/ip4/0.0.0.0/udp/9000/quic-v1"};
  std::vector<std::string> bootstrap_peers = {
      "/dnsaddr/bootstrap.p2p.nunet.io/p2p/12D3KooWHzew9HTYzywFuvTHGK5Yzoz7qAhMfxagtCvhvjheoBQ3",
      "/dnsaddr/bootstrap.p2p.nunet.io/p2p/12D3KooWJMtMN1mTNRfgMqUygT7eSXamVzc9ihpSjeairm9PebmB",
      "/dnsaddr/bootstrap.p2p.nunet.io/p2p/12D3KooWKjSodxxi7UfRHzuk7eGgUF49MoPUCJvtva9K12TqDDsi"};
  std::uint64_t memory = 1024;  ///< MiB
  std::uint64_t fd = 512;
  /// Not a setting of the Go implementation. The members of kSecurityProtocols that a dialer proposes, the preferred one first;
  /// a listener accepts all of them. The default is what Go nodes propose, in their order.
  std::vector<std::string> security = {"/tls/1.0.0", "/noise"};
};

struct Job {
  bool allow_privileged_docker = false;
};

struct Rotation {
  std::uint64_t max_size_mb = 100;
  std::uint64_t max_backups = 3;
  std::uint64_t max_age_days = 28;
};

struct Logging {
  std::string level = "INFO";
  std::string file = "~/nunet/logs/nunet-dms-logs.jsonl";
  Rotation rotation;
};

struct Elastic {
  std::string url = "https://telemetry.nunet.io";
  std::string index = "nunet-dms";
  std::uint64_t flush_interval = 5;
  bool enabled = false;
  std::string api_key;
  bool insecure_skip_verify = false;
};

struct Observability {
  Logging logging;
  Elastic elastic;
};

struct Apm {
  std::string server_url = "https://apm.telemetry.nunet.io";
  std::string service_name = "nunet-dms";
  std::string environment = "production";
  std::string api_key;
  std::string secret_token;
};

/// Ours: which engines run work on this machine.
struct Executor {
  bool docker = true;
  std::string docker_socket = "/var/run/docker.sock";
  bool sandbox = true;
};

struct Config {
  General general;
  Rest rest;
  Profiler profiler;
  P2p p2p;
  Job job;
  Observability observability;
  Apm apm;
  Executor executor;
};

enum class Origin { otherwise, file, environment };  ///< `otherwise`: the default
std::string_view to_string(Origin origin);           ///< "default", "file", "environment"

/// The world that settings come from, handed in.
struct Sources {
  std::optional<std::filesystem::path> file;  ///< --config
  std::filesystem::path home;
  std::filesystem::path working_folder = ".";
  std::filesystem::path system_folder = "/etc/nunet";
  std::function<std::optional<std::string>(const std::string& name)> variable = [](const std::string&) {
    return std::nullopt;
  };
};

struct Entry {
  std::string key;
  std::string value;  ///< as set() takes it
  Origin origin = Origin::otherwise;
};

struct Loaded {
  Config config;
  std::filesystem::path file;  ///< the file used; if there is none, where set() would make one
  std::map<std::string, Origin> origins;

  [[nodiscard]] Origin origin(std::string_view key) const;
  /// The value of a key as text. Errc::not_found with the nearest known key.
  [[nodiscard]] Result<std::string> get(std::string_view key) const;
  /// All settings, or those of a section ("rest"), in the order of the structs above.
  [[nodiscard]] std::vector<Entry> list(std::string_view section = {}) const;
};

Result<Loaded> load(const Sources& sources);

/// The file that load() reads, see (2), or where the first set() makes one: it need not be there.
std::filesystem::path find_file(const Sources& sources);

/// Replaces the file atomically. It keeps its mode; a new one is the owner's only, for it may hold API keys.
Result<void> write(const std::filesystem::path& file, std::string_view text);
/// What load() would make of a file with this text: no file is read. An error's place() is the key, or the byte where
/// the text is no JSON.
Result<Loaded> parse(std::string_view text, const Sources& sources);

/// Writes one key into the file and loads again: the result is what a restart would see. What load() would refuse is
/// not written.
Result<Loaded> set(const Sources& sources, std::string_view key, std::string_view value);

/// "DMS_REST_PORT"
std::string variable_name(std::string_view key);

}  // namespace dms::config
