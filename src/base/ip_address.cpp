#include "base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace lille {
namespace {

// How an address of IPv4 begins within IPv6.
constexpr std::array<uint8_t, 12> kIpv4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool is_ipv4(const IpAddress& address) {
  return std::equal(kIpv4Prefix.begin(), kIpv4Prefix.end(), address.bytes.begin());
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton reads up to a NUL, which is none of an address.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string ended(text);
  IpAddress address;
  if (::inet_pton(AF_INET6, ended.c_str(), address.bytes.data()) == 1) return address;
  std::copy(kIpv4Prefix.begin(), kIpv4Prefix.end(), address.bytes.begin());
  if (::inet_pton(AF_INET, ended.c_str(), address.bytes.data() + kIpv4Prefix.size()) == 1) return address;
  return std::nullopt;
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_ipv4(*this))
    ::inet_ntop(AF_INET, bytes.data() + kIpv4Prefix.size(), text.data(), text.size());
  else
    ::inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  return text.data();
}

std::optional<IpNetwork> IpNetwork::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return IpNetwork(*address, IpAddress::kBits);
  // As it is written: ::ffff:10.0.0.0/104 is a network of IPv6.
  const bool is_short = text.substr(0, slash).find(':') == std::string_view::npos;
  const int n_hidden = is_short ? static_cast<int>(8 * kIpv4Prefix.size()) : 0;
  const std::string_view digits = text.substr(slash + 1);
  int n_bits = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), n_bits);
  if (failure != std::errc() || end != digits.data() + digits.size() || n_bits < 0 ||
      n_bits > IpAddress::kBits - n_hidden)
    return std::nullopt;
  return IpNetwork(*address, n_hidden + n_bits);
}

bool IpNetwork::contains(const IpAddress& address) const noexcept {
  // Addresses of IPv4 stand in one corner of IPv6, which a short prefix would hold as well.
  if (n_bits_ < static_cast<int>(8 * kIpv4Prefix.size()) && is_ipv4(address)) return false;
  for (int bit = 0; bit < n_bits_; ++bit) {
    const auto idx = static_cast<std::size_t>(bit / 8);
    const auto mask = static_cast<uint8_t>(0x80 >> bit % 8);
    if (((address.bytes[idx] ^ address_.bytes[idx]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace lille
