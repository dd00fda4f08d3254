#include "runtime/stream.hpp"

#include <gtest/gtest.h>

namespace dms {
namespace {

TEST(IpAddress, WhatIsPrivate) {
  for (const char* text :
       {"127.0.0.1", "10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.1.1",
        "100.64.0.1", "100.127.255.255", "::1", "fe80::1", "febf::1", "fc00::1", "fdff::1"})
    EXPECT_TRUE(IpAddress::parse(text)->is_private()) << text;
  for (const char* text :
       {"9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.1", "192.167.0.1", "192.169.0.1", "169.253.0.1",
        "100.63.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1", "fec0::1", "fe00::1", "::2"})
    EXPECT_FALSE(IpAddress::parse(text)->is_private()) << text;
}

TEST(IpEndpoint, Texts) {
  EXPECT_EQ((IpEndpoint{*IpAddress::parse("192.0.2.1"), 80}.to_string()), "192.0.2.1:80");
  EXPECT_EQ((IpEndpoint{*IpAddress::parse("::1"), 80}.to_string()), "[::1]:80");
  EXPECT_EQ((IpEndpoint{*IpAddress::parse("fe80::1"), 80, *ZoneName::from("eth0")}.to_string()), "[fe80::1%eth0]:80");
}

TEST(ZoneName, FitsAnInterfaceNameAndNoMore) {
  EXPECT_EQ(ZoneName::from("fifteen-letters")->text(), "fifteen-letters");
  EXPECT_FALSE(ZoneName::from("sixteen--letters"));
  EXPECT_TRUE(ZoneName().empty());
  EXPECT_EQ(ZoneName::from(""), ZoneName());
}

}  // namespace
}  // namespace dms
