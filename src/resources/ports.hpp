// The public ports of this machine that allocations hold.
//
// Model
//  1. A port has at most one owner (an allocation id). claim() takes all requested ports or none; release() releases
//     the ports of the owner and no others.
//  2. A static port is one the owner names and must lie in the range; dynamic ones are the lowest free of the range.
//     claim() may be called again by the same owner: it adds to what the owner has.
//  3. `usable` reports whether no other program of this machine uses a port.
//  4. A change is on disk before it is in memory. A record that cannot be read is set aside (db/readable.hpp).
//
// Threads: one lane, which the store blocks; no behaviour uses this class: public ports belong to the planned feature
// ip-over-libp2p. Cost: linear in the range at worst. Attacks: an allocation takes at most kMaxPerOwner ports.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "db/store.hpp"

namespace dms::resources {

struct PortRange {
  std::uint16_t first = 16384;
  std::uint16_t last = 65535;
};

class Ports {
 public:
  static constexpr std::size_t kMaxPerOwner = 256;
  using Usable = std::function<bool(std::uint16_t)>;

  /// The store outlives this.
  static Result<std::unique_ptr<Ports>> open(
      db::Store& store, PortRange range, Usable usable = [](std::uint16_t) { return true; });

  /// The static ports in the order requested, then the dynamic ones. Errc::already_exists names a port that is taken,
  /// Errc::invalid_argument one outside the range, Errc::limit_exceeded if there are not enough.
  Result<std::vector<std::uint16_t>> claim(const std::string& owner, const std::vector<std::uint16_t>& fixed,
                                           std::size_t dynamic);
  /// Whether claim() would succeed now.
  [[nodiscard]] Result<void> check(const std::vector<std::uint16_t>& fixed, std::size_t dynamic) const;
  /// Errc::not_found if the owner has none.
  Result<void> release(const std::string& owner);
  Result<void> release_all();

  [[nodiscard]] std::vector<std::uint16_t> owned_by(const std::string& owner) const;
  [[nodiscard]] std::size_t taken() const { return owner_of_.size(); }

 private:
  Ports(db::Store& store, PortRange range, Usable usable) : store_(store), range_(range), usable_(std::move(usable)) {}
  [[nodiscard]] Result<std::vector<std::uint16_t>> choose(const std::vector<std::uint16_t>& fixed,
                                                          std::size_t dynamic) const;

  db::Store& store_;
  PortRange range_;
  Usable usable_;
  std::map<std::uint16_t, std::string> owner_of_;
};

}  // namespace dms::resources
