#include "resources/ports.hpp"

#include "db/readable.hpp"

namespace dms::resources {
namespace {
constexpr std::string_view kPorts = "resources.ports";
}

Result<std::unique_ptr<Ports>> Ports::open(db::Store& store, PortRange range, Usable usable) {
  if (range.first == 0 || range.first > range.last)
    return fail(Errc::invalid_argument, "ports {} to {} are not a range", range.first, range.last);
  std::unique_ptr<Ports> ports(new Ports(store, range, std::move(usable)));
  TRY(const auto documents, db::list_readable<std::vector<std::uint16_t>>(store, kPorts));
  for (const auto& [owner, list] : documents)
    for (const std::uint16_t port : list) ports->owner_of_.emplace(port, owner);
  return ports;
}

Result<std::vector<std::uint16_t>> Ports::choose(const std::vector<std::uint16_t>& fixed, std::size_t dynamic) const {
  if (fixed.size() + dynamic > kMaxPerOwner)
    return fail(Errc::limit_exceeded, "{} ports requested; one allocation gets at most {}", fixed.size() + dynamic,
                kMaxPerOwner);
  std::vector<std::uint16_t> chosen;
  const auto is_chosen = [&](std::uint16_t port) {
    return std::find(chosen.begin(), chosen.end(), port) != chosen.end();
  };
  for (const std::uint16_t port : fixed) {
    if (port < range_.first || port > range_.last)
      return fail(Errc::invalid_argument, "port {} is outside this machine's range {} to {}", port, range_.first,
                  range_.last);
    if (owner_of_.contains(port) || is_chosen(port)) return fail(Errc::already_exists, "port {} is taken", port);
    if (!usable_(port)) return fail(Errc::already_exists, "port {} is used by another program on this machine", port);
    chosen.push_back(port);
  }
  for (std::uint32_t port = range_.first; port <= range_.last && chosen.size() < fixed.size() + dynamic; ++port) {
    const auto candidate = static_cast<std::uint16_t>(port);
    if (!owner_of_.contains(candidate) && !is_chosen(candidate) && usable_(candidate)) chosen.push_back(candidate);
  }
  if (chosen.size() < fixed.size() + dynamic)
    return fail(Errc::limit_exceeded, "fewer than {} ports are free in {} to {}", dynamic, range_.first, range_.last);
  return chosen;
}

Result<void> Ports::check(const std::vector<std::uint16_t>& fixed, std::size_t dynamic) const {
  TRY_VOID(choose(fixed, dynamic));
  return {};
}

Result<std::vector<std::uint16_t>> Ports::claim(const std::string& owner, const std::vector<std::uint16_t>& fixed,
                                                std::size_t dynamic) {
  TRY(std::vector<std::uint16_t> chosen, choose(fixed, dynamic));
  if (chosen.empty()) return chosen;
  std::vector<std::uint16_t> all = owned_by(owner);
  if (all.size() + chosen.size() > kMaxPerOwner)
    return fail(Errc::limit_exceeded, "{} has {} ports; at most {}", owner, all.size(), kMaxPerOwner);
  all.insert(all.end(), chosen.begin(), chosen.end());
  TRY_VOID(store_.put_value(kPorts, owner, all));
  for (const std::uint16_t port : chosen) owner_of_.emplace(port, owner);
  return chosen;
}

Result<void> Ports::release(const std::string& owner) {
  const std::vector<std::uint16_t> ports = owned_by(owner);
  if (ports.empty()) return fail(Errc::not_found, "{} has no ports", owner);
  TRY_VOID(store_.erase(kPorts, owner));
  for (const std::uint16_t port : ports) owner_of_.erase(port);
  return {};
}

Result<void> Ports::release_all() {
  TRY_VOID(store_.transaction([this]() -> Result<void> {
    for (const auto& [port, owner] : owner_of_) TRY_VOID(store_.erase(kPorts, owner));
    return {};
  }));
  owner_of_.clear();
  return {};
}

std::vector<std::uint16_t> Ports::owned_by(const std::string& owner) const {
  std::vector<std::uint16_t> ports;
  for (const auto& [port, other] : owner_of_)
    if (other == owner) ports.push_back(port);
  return ports;
}

}  // namespace dms::resources
