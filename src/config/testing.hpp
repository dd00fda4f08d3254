// Sections as a program would declare them, with every type of setting, for tests and fuzzing.
#pragma once

#include "config/config.hpp"

namespace dms::config {

struct General {
  static constexpr std::string_view kSection = "general";
  std::string env = "production";
  std::string user_dir = "~/.nunet";
  std::string work_dir = "~/nunet";
  bool debug = false;

  static auto config_fields() {
    return std::tuple(field("env", &General::env), field("user_dir", &General::user_dir).path(),
                      field("work_dir", &General::work_dir).path(), field("debug", &General::debug));
  }
};

struct Rest {
  static constexpr std::string_view kSection = "rest";
  std::string addr = "127.0.0.1";
  std::uint16_t port = 9999;

  static auto config_fields() { return std::tuple(field("addr", &Rest::addr), field("port", &Rest::port)); }
};

/// Shares its section with General.
struct Ports {
  static constexpr std::string_view kSection = "general";
  std::uint16_t port_available_range_from = 16384;
  std::uint32_t port_available_range_to = 65535;

  static auto config_fields() {
    return std::tuple(field("port_available_range_from", &Ports::port_available_range_from),
                      field("port_available_range_to", &Ports::port_available_range_to));
  }
  Result<void> check() {
    if (port_available_range_from > port_available_range_to || port_available_range_to > 65536)
      return refuse("general.port_available_range_from", "expected a port");
    port_available_range_to = std::min(port_available_range_to, std::uint32_t{65535});
    return {};
  }
};

struct Peers {
  static constexpr std::string_view kSection = "p2p";
  std::vector<std::string> listen_address = {"/ip4/0.0.0.0/tcp/9000"};
  std::vector<std::string> bootstrap_peers = {"/dnsaddr/a", "/dnsaddr/b"};
  std::uint64_t fd = 512;

  static auto config_fields() {
    return std::tuple(field("listen_address", &Peers::listen_address),
                      field("bootstrap_peers", &Peers::bootstrap_peers).variable("BOOTSTRAP_PEERS"),
                      field("fd", &Peers::fd));
  }
};

struct Logs {
  static constexpr std::string_view kSection = "observability.logging";
  std::string level = "INFO";
  std::uint64_t max_size_mb = 100;

  static auto config_fields() {
    return std::tuple(field("level", &Logs::level).formerly("observability.log_level"),
                      field("rotation.max_size_mb", &Logs::max_size_mb).formerly("observability.max_size"));
  }
};

inline std::shared_ptr<const Registry> test_registry() {
  Section planned;
  planned.settings = {unused("profiler.enabled", false, "there is no profiler"),
                      unused("profiler.port", std::uint16_t{6060}, "there is no profiler")};
  return std::make_shared<const Registry>(std::vector{section<General>(), section<Rest>(), section<Ports>(),
                                                      section<Peers>(), section<Logs>(), std::move(planned)});
}

}  // namespace dms::config
