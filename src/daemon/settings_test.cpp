#include "daemon/settings.hpp"

#include <gtest/gtest.h>

#include "api/settings.hpp"
#include "base/file.hpp"
#include "capability/location.hpp"
#include "network/settings.hpp"
#include "observability/settings.hpp"

namespace dms {
namespace {

/// Every key that existing nodes write, with a value that is not the default.
constexpr std::string_view kExistingNode = R"({
  "general": {"env": "test", "user_dir": "/u", "work_dir": "/w", "data_dir": "/d", "debug": true,
    "host_city": "a", "host_country": "b", "host_continent": "Asia",
    "port_available_range_from": 20000, "port_available_range_to": 65536, "storage_mode": true,
    "storage_ca_directory": "~/ca", "storage_bricks_dir": "/b", "storage_glusterfs_hostname": "g",
    "payment_provider": {"mode": true, "ethereum_rpc_url": "u", "ethereum_rpc_token": "t", "ntx_contract_address": "0x1",
      "starting_block_scanning": "0x2", "block_frost_api_url": "f", "block_frost_api_key": "k", "cardano_asset_name": "n",
      "cardano_asset_policy_id": "p"}},
  "rest": {"addr": "127.0.0.2", "port": 1},
  "profiler": {"enabled": true, "addr": "127.0.0.2", "port": 2},
  "p2p": {"listen_address": ["/ip4/127.0.0.1/tcp/3"], "bootstrap_peers": [], "memory": 4, "fd": 5},
  "job": {"allow_privileged_docker": true},
  "observability": {"logging": {"level": "WARN", "file": "/l", "rotation": {"max_size_mb": 6, "max_backups": 7, "max_age_days": 8}},
    "elastic": {"url": "e", "index": "i", "flush_interval": 9, "enabled": true, "api_key": "k", "insecure_skip_verify": true}},
  "apm": {"server_url": "s", "service_name": "n", "environment": "e", "api_key": "k", "secret_token": "t"}
})";

config::Sources sources() { return {.registry = node_settings(), .home = "/home/user"}; }

TEST(NodeSettings, AFileOfAnExistingNodeLoadsAndIsRead) {
  const auto loaded = config::parse(kExistingNode, sources());
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<api::Settings>().port, 1);
  EXPECT_EQ(loaded->section<network::Settings>().memory, 4U);
  EXPECT_EQ(loaded->section<observability::Settings>().max_age_days, 8U);
  for (const auto& entry : loaded->list()) {
    const bool added = entry.key.starts_with("executor.") || entry.key.starts_with("onboarding.") ||
                       entry.key.starts_with("price.") || entry.key == "p2p.security" || entry.key == "rest.context" ||
                       entry.key == "rest.did" ||
                       (entry.key.starts_with("job.") && entry.key != "job.allow_privileged_docker");
    EXPECT_EQ(entry.origin, added ? config::Origin::initial : config::Origin::file) << entry.key;
  }
  EXPECT_EQ(*loaded->get("general.storage_ca_directory"), "/home/user/ca");
  EXPECT_EQ(loaded->set_without_effect().size(), 30U);
}

TEST(NodeSettings, OldFlatKeysStillLoad) {
  const auto loaded = config::parse(R"({"observability": {"log_level": "DEBUG", "log_file": "/l", "max_size": 1,
      "max_backups": 2, "max_age": 3, "elasticsearch_url": "u", "elasticsearch_index": "i", "flush_interval": 4,
      "elasticsearch_enabled": false, "elasticsearch_api_key": "k", "insecure_skip_verify": true}})",
                                    sources());
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->section<observability::Settings>().level, "DEBUG");
  EXPECT_EQ(loaded->section<observability::Settings>().max_size_mb, 1U);
  EXPECT_EQ(*loaded->get("observability.elastic.api_key"), "k");
}

TEST(NodeSettings, AnErrorOfAModuleNamesTheSetting) {
  const auto place = [](std::string_view text) { return config::parse(text, sources()).error().place(); };
  EXPECT_EQ(place(R"({"observability":{"logging":{"level":"loud"}}})"), "observability.logging.level");
  EXPECT_EQ(place(R"({"p2p":{"security":["quic"]}})"), "p2p.security");
  EXPECT_EQ(place(R"({"rest":{"did":"me"}})"), "rest.did");
  EXPECT_EQ(place(R"({"rest":{"addr":"nowhere"}})"), "rest.addr");
  EXPECT_EQ(place(R"({"job":{"retention":"soon"}})"), "job.retention");
  EXPECT_EQ(place(R"({"job":{"max_lease":"1s"}})"), "job.min_lease");
  EXPECT_EQ(place(R"({"job":{"default_lease":"100h"}})"), "job.default_lease");
  EXPECT_EQ(place(R"({"price":{"core":"cheap"}})"), "price.core");
  EXPECT_EQ(place(R"({"general":{"host_continent":"Atlantis"}})"), "general.host_continent");
}

TEST(NodeSettings, AContinentIsOneThatEnsemblesName) {
  const auto error = [](std::string_view continent) {
    const auto loaded = config::parse(fmt::format(R"({{"general":{{"host_continent":"{}"}}}})", continent), sources());
    return loaded ? std::string() : loaded.error().to_string();
  };
  EXPECT_EQ(error(""), "");
  for (const std::string_view continent : capability::kContinents) EXPECT_EQ(error(continent), "");
  EXPECT_NE(error("europe").find("general.host_continent: expected one of Africa, Antarctica, Asia, Europe, North "
                                 "America, Oceania, South America, found \"europe\""),
            std::string::npos)
      << error("europe");
}

TEST(NodeSettings, OnlySettingsThatAModuleReadsHaveAnEffect) {
  const auto loaded = config::parse("{}", sources());
  ASSERT_TRUE(loaded);
  const auto effect = [&](std::string_view key) { return loaded->list(key).at(0).without_effect.empty(); };
  for (const auto* key :
       {"rest.port", "p2p.security", "general.work_dir", "general.host_city", "executor.docker_socket",
        "job.allow_privileged_docker", "job.retention", "price.core", "observability.logging.rotation.max_backups"})
    EXPECT_TRUE(effect(key)) << key;
  for (const auto* key : {"profiler.enabled", "apm.server_url", "general.payment_provider.mode", "general.env",
                          "observability.elastic.enabled", "general.port_available_range_from"})
    EXPECT_FALSE(effect(key)) << key;
}

TEST(NodeSettings, NothingShownToOtherMachinesCanBeASecret) {
  std::string text(kExistingNode);
  for (const char* key : {"ethereum_rpc_url", "ethereum_rpc_token", "block_frost_api_url", "block_frost_api_key",
                          "server_url", "api_key", "secret_token", "url"})
    for (std::size_t at = 0; (at = text.find(fmt::format("\"{}\": \"", key), at)) != std::string::npos; ++at)
      text.insert(text.find(": \"", at) + 3, "hidden");
  const auto loaded = config::parse(text, sources());
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(*loaded->get("apm.secret_token"), "hiddent");
  const std::string shown = json::write(loaded->shown());
  EXPECT_NE(shown.find("\"listen_address\":[\"/ip4/127.0.0.1/tcp/3\"]"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("hidden"), std::string::npos) << shown;
  // A setting with such a name is declared with field().secret().
  for (const char* word : {"key", "token", "secret", "pass"}) EXPECT_EQ(shown.find(word), std::string::npos) << word;
}

TEST(NodeSettings, EverySettingIsOnThePageOfSettingsWithItsDefaultAndNoOther) {
  constexpr std::size_t kLongDefault = 60;  // described in words
  const std::string page = read_file(DMS_SOURCE_DIR "/docs/settings.md", 1 << 20).value();
  const std::size_t idle = page.find("\n## Without effect\n");
  ASSERT_NE(idle, std::string::npos);
  for (const config::Setting& setting : node_settings()->settings()) {
    const std::string name = fmt::format("`{}`", setting.key);
    if (!setting.without_effect.empty()) {
      EXPECT_NE(page.find(name, idle), std::string::npos) << name;
      continue;
    }
    const std::size_t row = page.find(fmt::format("\n| {} | ", name));
    EXPECT_LT(row, idle) << name;
    const std::string initial = setting.to_text(setting.initial);
    if (row < idle && !initial.empty() && initial.size() <= kLongDefault) {
      EXPECT_EQ(page.find(fmt::format("\n| {} | `{}` | ", name, initial)), row) << name << ": " << initial;
    }
  }
  const auto expect_known = [](std::string_view key) {
    EXPECT_NE(node_settings()->find(key), nullptr) << key << " is no setting";
  };
  constexpr std::string_view kRow = "\n| `";
  for (std::size_t at = page.find(kRow); at < idle; at = page.find(kRow, at + 1)) {
    const std::size_t begin = at + kRow.size();
    expect_known(std::string_view(page).substr(begin, page.find('`', begin) - begin));
  }
  for (std::size_t at = page.find('`', idle); at != std::string::npos;) {
    const std::size_t end = page.find('`', at + 1);
    expect_known(std::string_view(page).substr(at + 1, end - at - 1));
    at = page.find('`', end + 1);
  }
}

}  // namespace
}  // namespace dms
