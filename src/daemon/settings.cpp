#include "daemon/settings.hpp"

#include <algorithm>

#include "api/settings.hpp"
#include "cli/client/settings.hpp"
#include "executor/settings.hpp"
#include "network/settings.hpp"
#include "node/settings.hpp"
#include "observability/settings.hpp"
#include "provider/settings.hpp"
#include "resources/share.hpp"

namespace dms {
namespace {

using config::unused;

constexpr const char* kKept = "kept for files of existing nodes";

/// Sections whose modules are planned: `storage`, `subnet`, `tokenomics`, export of logs and traces.
config::Section planned() {
  const std::string none;
  const std::string payment = "general.payment_provider.";
  const std::string elastic = "observability.elastic.";
  config::Section section;
  auto& settings = section.settings;
  settings = {
      unused("general.env", std::string("production"), kKept),
      unused("general.port_available_range_from", std::uint16_t{16384}, kKept),
      unused("general.port_available_range_to", std::uint32_t{65535}, kKept),
      unused("general.storage_mode", false, kKept),
      unused("general.storage_ca_directory", std::string("~/.nunet/storage_ca_directory"), kKept),
      unused("general.storage_bricks_dir", std::string("~/.nunet/storage_bricks_dir"), kKept),
      unused("general.storage_glusterfs_hostname", none, kKept),
      unused(payment + "mode", false, kKept),
      unused(payment + "ethereum_rpc_url", std::string("https://ethereum-sepolia-rpc.publicnode.com"), kKept),
      unused(payment + "ethereum_rpc_token", none, kKept),
      unused(payment + "ntx_contract_address", std::string("0xB37216b70a745129966E553cF8Ee2C51e1cB359A"), kKept),
      unused(payment + "starting_block_scanning", std::string("0x8D7374"), kKept),
      unused(payment + "block_frost_api_url", none, kKept),
      unused(payment + "block_frost_api_key", none, kKept),
      unused(payment + "cardano_asset_name", none, kKept),
      unused(payment + "cardano_asset_policy_id", none, kKept),
      unused("profiler.enabled", false, "there is no profiler"),
      unused("profiler.addr", std::string("127.0.0.1"), "there is no profiler"),
      unused("profiler.port", std::uint16_t{6060}, "there is no profiler"),
      unused(elastic + "url", std::string("https://telemetry.nunet.io"), kKept),
      unused(elastic + "index", std::string("nunet-dms"), kKept),
      unused(elastic + "flush_interval", std::uint64_t{5}, kKept),
      unused(elastic + "enabled", false, kKept),
      unused(elastic + "api_key", none, kKept),
      unused(elastic + "insecure_skip_verify", false, kKept),
      unused("apm.server_url", std::string("https://apm.telemetry.nunet.io"), kKept),
      unused("apm.service_name", std::string("nunet-dms"), kKept),
      unused("apm.environment", std::string("production"), kKept),
      unused("apm.api_key", none, kKept),
      unused("apm.secret_token", none, kKept),
  };
  const auto formerly = [&](std::string_view key, std::string former) {
    std::ranges::find(settings, key, &config::Setting::key)->former.push_back(std::move(former));
  };
  for (const auto* key : {"general.storage_ca_directory", "general.storage_bricks_dir"})
    std::ranges::find(settings, key, &config::Setting::key)->path = true;
  formerly(elastic + "url", "observability.elasticsearch_url");
  formerly(elastic + "index", "observability.elasticsearch_index");
  formerly(elastic + "flush_interval", "observability.flush_interval");
  formerly(elastic + "enabled", "observability.elasticsearch_enabled");
  formerly(elastic + "api_key", "observability.elasticsearch_api_key");
  formerly(elastic + "insecure_skip_verify", "observability.insecure_skip_verify");
  return section;
}

}  // namespace

std::shared_ptr<const config::Registry> node_settings() {
  static const auto registry = std::make_shared<const config::Registry>(std::vector{
      config::section<cli::FolderSettings>(), config::section<node::LocationSettings>(),
      config::section<api::Settings>(), config::section<cli::DaemonSettings>(), config::section<network::Settings>(),
      config::section<executor::JobSettings>(), config::section<provider::Settings>(),
      config::section<provider::PriceSettings>(), config::section<executor::Settings>(),
      config::section<resources::ShareSettings>(), config::section<observability::Settings>(), planned()});
  return registry;
}

}  // namespace dms
