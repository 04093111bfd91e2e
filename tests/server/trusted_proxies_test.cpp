#include "server/trusted_proxies.h"

#include "support.h"

namespace lille {
namespace {

std::string client(const std::vector<std::string>& networks, const std::string& peer,
                   std::string_view forwarded_for) {
  return TrustedProxies(networks).client(peer, forwarded_for);
}

const std::vector<std::string> kTrusted = {"10.0.0.0/8", "2001:db8::1"};

TEST(TrustedProxies, WithoutThemThePeerIsTheClient) {
  EXPECT_EQ(client({}, "10.0.0.1", "192.0.2.1"), "10.0.0.1");
  EXPECT_EQ(client({}, "", "192.0.2.1"), "");
}

// Else whoever sends the header with half of the requests would wait in turn as two.
TEST(TrustedProxies, AClientHasOneNameWhateverItSends) {
  for (const std::string_view forwarded_for : {"", "192.0.2.1", "unknown", ","}) {
    EXPECT_EQ(client({}, "::ffff:127.0.0.1", forwarded_for), "127.0.0.1");
    EXPECT_EQ(client(kTrusted, "2001:DB8::2", forwarded_for), "2001:db8::2");
  }
  EXPECT_EQ(client(kTrusted, "::ffff:10.0.0.1", ""), "10.0.0.1");
  EXPECT_EQ(client(kTrusted, "::ffff:10.0.0.1", "unknown"), "10.0.0.1");
}

TEST(TrustedProxies, NobodyElseIsBelieved) {
  EXPECT_EQ(client(kTrusted, "192.0.2.9", "192.0.2.1"), "192.0.2.9");
  EXPECT_EQ(client(kTrusted, "192.0.2.9", "10.0.0.1"), "192.0.2.9");
  EXPECT_EQ(client(kTrusted, "2001:db8::2", "192.0.2.1"), "2001:db8::2");
  EXPECT_EQ(client(kTrusted, "", "192.0.2.1"), "");
}

TEST(TrustedProxies, TheLastAddressThatIsNoProxyIsTheClient) {
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client(kTrusted, "10.0.0.1", " 192.0.2.1\t"), "192.0.2.1");
  EXPECT_EQ(client(kTrusted, "2001:db8::1", "2001:DB8:0::7"), "2001:db8::7");
  EXPECT_EQ(client(kTrusted, "::ffff:10.0.0.1", "::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "192.0.2.1, 10.0.0.3,10.0.0.2"), "192.0.2.1");
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "192.0.2.1, 2001:db8::1"), "192.0.2.1");
}

TEST(TrustedProxies, WhatAClientWritesBeforeItIsNotLookedAt) {
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "192.0.2.7, 192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "10.0.0.5, 192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "<script>, ,, 192.0.2.1, 10.0.0.2"), "192.0.2.1");
}

TEST(TrustedProxies, WhatIsNoAddressLeavesThePeer) {
  for (const std::string_view text :
       {"", " ", ",", "unknown", "192.0.2.1:80", "192.0.2.1,", "192.0.2.1, x, 10.0.0.2", "192.0.2.1 10.0.0.2",
        "for=192.0.2.1", "192.0.2.0/24"})
    EXPECT_EQ(client(kTrusted, "10.0.0.1", text), "10.0.0.1") << text;
}

TEST(TrustedProxies, AProxyThatAsksIsTheClient) {
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "10.0.0.3"), "10.0.0.3");
  EXPECT_EQ(client(kTrusted, "10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3");
}

TEST(TrustedProxies, WhatIsNoNetworkIsRefused) {
  test::expect_error(ErrorCode::kInvalidArgument,
                     "--trusted-proxy: expected an address or a network such as 10.0.0.0/8, got \"nginx\". "
                     "Hint: names are not looked up",
                     [] {
                       TrustedProxies(std::vector<std::string>{"10.0.0.1", "nginx"});
                     });
}

}  // namespace
}  // namespace lille
