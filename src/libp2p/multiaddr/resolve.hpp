// Resolves addresses that begin with a name to addresses that begin with an IP address, through the node's Net.
//
// Model
//  1. /dns, /dns4 and /dns6 give one address for each address of the host, with the rest of the multiaddress behind it.
//  2. /dnsaddr gives what the TXT records of _dnsaddr.<name> contain after `dnsaddr=`, as far as they end with what
//     follows the name (usually `/p2p/<peer>`). Results that begin with a name are resolved likewise.
//  3. The result has no duplicates and keeps the order of the answers. Record content that is not understood is
//     skipped.
//  4. An address that does not begin with a name is its own result.
//
// Bounds: max_depth records may refer to one another, max_lookups queries are made for one address, max_addresses are
// returned, each query has lookup_timeout and all together `timeout`. At a bound, the result is what has been found so
// far.
//
// Failures: Errc::not_found if the names lead to no matching address, otherwise the failure of the first look-up.
//
// Attacks: the owner of a zone, or a forger of answers, can name any address. The peer behind it still has to prove its
// identity, and the bounds limit the queries and dials that one name causes. A loop causes no query twice. Names that
// lead only to unsupported transports are not looked up.
//
// Specification: libp2p addressing, "IP and Name Resolution"; multiformats/multiaddr, DNSADDR.
#pragma once

#include <functional>
#include <vector>

#include "libp2p/multiaddr/multiaddr.hpp"

namespace dms::libp2p {

struct ResolveOptions {
  std::size_t max_depth = 3;
  std::size_t max_lookups = 16;
  std::size_t max_addresses = 64;
  Duration lookup_timeout = 5s;
  Duration timeout = 20s;
  /// If set: whether addresses of this form can be used. Called before a host is looked up, with an unspecified IP
  /// address.
  std::function<bool(const Multiaddr&)> wanted;
};

/// True if the address begins with /dns, /dns4, /dns6 or /dnsaddr.
[[nodiscard]] bool begins_with_name(const Multiaddr& address);

/// `net` outlives the call.
Task<Result<std::vector<Multiaddr>>> resolve(Net& net, Multiaddr address, ResolveOptions options = ResolveOptions());

}  // namespace dms::libp2p
