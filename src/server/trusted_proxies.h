#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"

namespace lille {

/// Proxies whose word on where a request comes from is taken.
class TrustedProxies {
 public:
  /// @param networks  addresses, or networks such as "10.0.0.0/8".
  /// @throws Error(kInvalidArgument) that names the option for one that is neither.
  explicit TrustedProxies(std::span<const std::string> networks);

  /// The client's address: the peer's own unless it is a trusted proxy; else the last one in the header that
  /// is none. What stands before that one the client may have written itself.
  /// @param peer           the address at the other end of the connection.
  /// @param forwarded_for  X-Forwarded-For, with commas between its values; empty: none came.
  /// @return the peer also where the header says none, or something else than an address where one is needed.
  std::string client(const std::string& peer, std::string_view forwarded_for) const;

 private:
  bool contains(const IpAddress& address) const noexcept;

  std::vector<IpNetwork> networks_;
};

}  // namespace lille
