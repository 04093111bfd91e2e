#include "base/ip_address.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

std::string text_of(std::string_view text) {
  const std::optional<IpAddress> address = IpAddress::parse(text);
  return address ? address->text() : "none";
}

bool network_has(std::string_view network, std::string_view address) {
  return IpNetwork::parse(network).value().contains(IpAddress::parse(address).value());
}

TEST(IpAddress, BothFamiliesHaveOneText) {
  EXPECT_EQ(text_of("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(text_of("2001:DB8:0::0:1"), "2001:db8::1");
  EXPECT_EQ(text_of("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(text_of("::ffff:c000:201"), "192.0.2.1");
  EXPECT_EQ(text_of("::1"), "::1");
  EXPECT_EQ(text_of("2001:0db8:85a3:0000:0000:8a2e:0370:7334"), "2001:db8:85a3::8a2e:370:7334");
}

TEST(IpAddress, OtherTextsAreNone) {
  for (const std::string_view text :
       {"", " ", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:80", "[::1]",
        "::1%lo", "unknown", "_hidden", "localhost", "0x7f.0.0.1", "1:2:3:4:5:6:7:8:9", "10.0.0.0/8"})
    EXPECT_EQ(text_of(text), "none") << text;
  EXPECT_EQ(text_of(std::string_view("1.2.3.4\0x", 9)), "none");
  EXPECT_EQ(text_of(std::string(100'000, '1')), "none");
}

TEST(IpNetwork, HoldsWhatBeginsAlike) {
  EXPECT_TRUE(network_has("10.20.0.0/16", "10.20.255.1"));
  EXPECT_FALSE(network_has("10.20.0.0/16", "10.21.0.1"));
  EXPECT_TRUE(network_has("10.20.0.128/25", "10.20.0.128"));
  EXPECT_FALSE(network_has("10.20.0.128/25", "10.20.0.127"));
  EXPECT_TRUE(network_has("10.20.0.77/25", "10.20.0.1"));
  EXPECT_TRUE(network_has("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(network_has("192.0.2.1", "192.0.2.0"));
  EXPECT_TRUE(network_has("2001:db8::/32", "2001:db8:1::9"));
  EXPECT_FALSE(network_has("2001:db8::/32", "2001:db9::"));
}

TEST(IpNetwork, IsOfOneFamily) {
  EXPECT_TRUE(network_has("0.0.0.0/0", "192.0.2.1"));
  EXPECT_FALSE(network_has("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(network_has("10.0.0.0/8", "::ffff:10.1.2.3"));
  EXPECT_TRUE(network_has("::ffff:10.0.0.0/104", "10.1.2.3"));
  EXPECT_TRUE(network_has("::/0", "2001:db8::1"));
  for (const std::string_view network : {"::/0", "::1/64", "::/80"}) {
    EXPECT_FALSE(network_has(network, "127.0.0.1")) << network;
    EXPECT_TRUE(network_has(network, "::1")) << network;
  }
  EXPECT_FALSE(network_has("::ffff:0.0.0.0/95", "127.0.0.1"));
  EXPECT_TRUE(network_has("::ffff:0.0.0.0/96", "127.0.0.1"));
}

TEST(IpNetwork, OtherTextsAreNone) {
  for (const std::string_view text :
       {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8 ", "10.0.0.0/ 8", "10.0.0.0/+8",
        "10.0.0.0/8/8", "10/8", "::/129", "any", "10.0.0.0/255.0.0.0", "10.0.0.0,10.0.0.1"})
    EXPECT_FALSE(IpNetwork::parse(text)) << text;
}

}  // namespace
}  // namespace lille
