#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lille {

/// An address of IPv4 or IPv6. One of IPv4 within IPv6, ::ffff:192.0.2.1, is that of IPv4.
struct IpAddress {
  static constexpr int kBits = 128;

  std::array<uint8_t, kBits / 8> bytes = {};  ///< As IPv6 has them, in the order of the network.

  /// "192.0.2.1", "2001:db8::1"; nothing for any other text.
  static std::optional<IpAddress> parse(std::string_view text);
  /// The shortest form, as parse() takes it.
  std::string text() const;
  bool operator==(const IpAddress&) const = default;
};

/// Addresses that begin alike.
class IpNetwork {
 public:
  /// "10.0.0.0/8", "2001:db8::/32", or one address; nothing for any other text. Bits behind the prefix do not
  /// count.
  static std::optional<IpNetwork> parse(std::string_view text);
  /// No network of IPv6 has an address of IPv4 but those written as ::ffff:10.0.0.0/104.
  bool contains(const IpAddress& address) const noexcept;

 private:
  IpNetwork(const IpAddress& address, int n_bits) : address_(address), n_bits_(n_bits) {}

  IpAddress address_;
  int n_bits_;  // of an IPv6 address
};

}  // namespace lille
