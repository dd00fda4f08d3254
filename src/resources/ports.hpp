// The public ports of this machine that allocations have taken.
//
// Model
//  1. A port has at most one owner (an allocation id). claim() takes all requested ports or none; release() frees the
//     owner's ports and no others.
//  2. A static port is requested by number and lies in the range; dynamic ones are the lowest free of the range. A second
//     claim() of the same owner adds ports.
//  3. `usable` reports whether other programs of the machine leave a port free.
//  4. Durable like Manager: written before answered.
//
// Threads: one lane. Cost: at worst linear in the range. Attacks: an allocation takes at most kMaxPerOwner ports.
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

  /// The static ports in the order asked, then the dynamic ones. Errc::already_exists names a port that is taken,
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
