// The settings of the libp2p network.
#pragma once

#include "config/section.hpp"

namespace dms::network {

struct Settings {
  static constexpr std::string_view kSection = "p2p";
  std::vector<std::string> listen_address = {"/ip4/0.0.0.0/tcp/9000", "/ip4/0.0.0.0/udp/9000/quic-v1"};
  std::vector<std::string> bootstrap_peers = {
      "/dnsaddr/bootstrap.p2p.nunet.io/p2p/12D3KooWHzew9HTYzywFuvTHGK5Yzoz7qAhMfxagtCvhvjheoBQ3",
      "/dnsaddr/bootstrap.p2p.nunet.io/p2p/12D3KooWJMtMN1mTNRfgMqUygT7eSXamVzc9ihpSjeairm9PebmB",
      "/dnsaddr/bootstrap.p2p.nunet.io/p2p/12D3KooWKjSodxxi7UfRHzuk7eGgUF49MoPUCJvtva9K12TqDDsi"};
  std::uint64_t memory = 1024;  ///< MiB
  std::uint64_t fd = 512;
  /// Not a setting of the Go implementation. The security protocols that a dialer proposes, the preferred one first; a
  /// listener accepts all of them. The default is what Go nodes propose, in their order.
  std::vector<std::string> security = {"/tls/1.0.0", "/noise"};

  static auto config_fields() {
    return std::tuple(config::field("listen_address", &Settings::listen_address),
                      config::field("bootstrap_peers", &Settings::bootstrap_peers).variable("BOOTSTRAP_PEERS"),
                      config::field("memory", &Settings::memory), config::field("fd", &Settings::fd),
                      config::field("security", &Settings::security));
  }
  /// Refuses addresses that are no multiaddrs, security protocols that this program does not implement, and none of
  /// them.
  Result<void> check();
};

}  // namespace dms::network
