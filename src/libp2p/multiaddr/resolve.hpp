// Turns addresses that begin with a name into addresses that begin with an IP address, by asking the node's wire.
//
// Model
//  1. /dns, /dns4 and /dns6 give one address for each address of the host, with the rest of the multiaddress behind it.
//  2. /dnsaddr gives what the TXT records of _dnsaddr.<name> say after `dnsaddr=`, as far as they end with what follows
//     the name (`/p2p/<peer>`, most often). What begins with a name in turn is resolved likewise.
//  3. The result has no duplicates and keeps the order of the answers. What is not understood in a record is passed
//     over.
//  4. An address without a name in front is its own result.
//
// Bounds: max_depth records may lead to one another, max_lookups queries are made for one address, max_addresses are
// returned, each query has lookup_timeout and all together `timeout`. At a bound, what has been found is the result.
//
// Failures: Errc::not_found if the names lead to no address that fits, else the first look-up's failure.
//
// Attacks. Whoever holds a zone, or forges answers, can name any address: the peer at the other end still has to prove
// its identity, and the bounds say how much one name can make us ask and dial. A loop asks nothing twice. Names that
// lead to transports nobody here has are not asked for.
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
  /// If set: whether addresses of this form are of use. Asked before a host is looked up, with an unspecified IP address.
  std::function<bool(const Multiaddr&)> wanted;
};

/// True if the address begins with /dns, /dns4, /dns6 or /dnsaddr.
[[nodiscard]] bool begins_with_name(const Multiaddr& address);

/// `net` outlives the call.
Task<Result<std::vector<Multiaddr>>> resolve(Net& net, Multiaddr address, ResolveOptions options = {});

}  // namespace dms::libp2p
