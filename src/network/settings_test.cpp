#include "network/settings.hpp"

#include <gtest/gtest.h>

namespace dms::network {
namespace {

using Names = std::vector<std::string>;

std::string refusal(Names security) {
  Settings settings;
  settings.security = std::move(security);
  const auto checked = settings.check();
  return checked ? "accepted" : checked.error().to_string();
}

TEST(NetworkSettings, AddressesAreMultiaddrs) {
  Settings settings;
  EXPECT_TRUE(settings.check()) << "the defaults";
  settings.listen_address = {"/ip4/127.0.0.1/tcp/0", "foo"};
  EXPECT_NE(settings.check().error().to_string().find("p2p.listen_address: multiaddr 'foo'"), std::string::npos)
      << settings.check().error().to_string();
  settings.listen_address = {};
  settings.bootstrap_peers = {"bootstrap.example"};
  EXPECT_NE(settings.check().error().to_string().find("p2p.bootstrap_peers: "), std::string::npos);
}

TEST(NetworkSettings, SecurityProtocolsAreAListInOrderOfPreference) {
  EXPECT_EQ(Settings().security, (Names{"/tls/1.0.0", "/noise"})) << "as Go nodes propose them";
  EXPECT_EQ(refusal({"/noise"}), "accepted");
  EXPECT_EQ(refusal({"/noise", "/tls/1.0.0"}), "accepted");
  for (const auto& [given, found] : {std::pair<Names, std::string>{{"/plaintext/2.0.0"}, "found \"/plaintext/2.0.0\""},
                                     {{"/noise", "tls"}, "found \"tls\""},
                                     {{"/noise", "/tls/1.0.0", "/noise"}, "found \"/noise\" twice"},
                                     {{}, "found an empty list"}}) {
    const std::string text = refusal(given);
    EXPECT_NE(text.find("p2p.security: expected one or more of /noise, /tls/1.0.0, each once"), std::string::npos)
        << text;
    EXPECT_NE(text.find(found), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace dms::network
