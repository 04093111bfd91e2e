#include "server/trusted_proxies.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

}  // namespace

TrustedProxies::TrustedProxies(std::span<const std::string> networks) {
  for (const std::string& text : networks) {
    const std::optional<IpNetwork> network = IpNetwork::parse(text);
    if (!network)
      raise_field("trusted_proxy",
                  "--trusted-proxy: expected an address or a network such as 10.0.0.0/8, got \"{}\". Hint: "
                  "names are not looked up",
                  printable(text));
    networks_.push_back(*network);
  }
}

bool TrustedProxies::contains(const IpAddress& address) const noexcept {
  return std::ranges::any_of(networks_, [&](const IpNetwork& one) { return one.contains(address); });
}

std::string TrustedProxies::client(const std::string& peer, std::string_view forwarded_for) const {
  const std::optional<IpAddress> from = IpAddress::parse(peer);
  if (!from) return peer;
  IpAddress client = *from;
  while (contains(client) && !forwarded_for.empty()) {
    const std::size_t comma = forwarded_for.rfind(',');
    const std::optional<IpAddress> said = IpAddress::parse(without_blanks(forwarded_for.substr(comma + 1)));
    if (!said) return from->text();
    client = *said;
    // Nobody else but proxies: the first of them is who asks.
    if (comma == std::string_view::npos) break;
    forwarded_for = forwarded_for.substr(0, comma);
  }
  return client.text();
}

}  // namespace lille
