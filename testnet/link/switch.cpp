#include "link/switch.hpp"

#include <algorithm>

namespace dms::testnet {

Result<void> Switch::add_nat(std::string name, NatKind kind, Address address, std::string region,
                             NatTimeouts timeouts) {
  if (boxes_.size() >= kMaxHosts) return fail(Errc::limit_exceeded, "a network has at most {} NAT boxes", kMaxHosts);
  if (std::ranges::find(boxes_, name, &Box::name) != boxes_.end())
    return fail(Errc::already_exists, "there is a NAT box '{}' already", name);
  if (box_by_address_.contains(address) || by_address_.contains({std::nullopt, address}))
    return fail(Errc::already_exists, "{} is in use", to_string(address));
  box_by_address_.emplace(address, boxes_.size());
  boxes_.push_back({std::move(name), std::move(region), std::make_unique<Nat>(kind, address, random_, timeouts)});
  return {};
}

Result<Switch::HostId> Switch::add_host(std::string name, Address address, std::string region, std::string_view nat) {
  if (hosts_.size() >= kMaxHosts) return fail(Errc::limit_exceeded, "a network has at most {} hosts", kMaxHosts);
  if (by_name_.contains(name)) return fail(Errc::already_exists, "there is a host '{}' already", name);
  std::optional<NatId> box;
  if (!nat.empty()) {
    const auto found = std::ranges::find(boxes_, nat, &Box::name);
    if (found == boxes_.end()) return fail(Errc::not_found, "there is no NAT box '{}'", nat);
    if (found->region != region)
      return fail(Errc::invalid_argument, "NAT box '{}' is in region '{}'", nat, found->region);
    box = static_cast<NatId>(found - boxes_.begin());
  }
  if (by_address_.contains({box, address}) || (!box && box_by_address_.contains(address)))
    return fail(Errc::already_exists, "{} is in use", to_string(address));
  const HostId id = hosts_.size();
  by_name_.emplace(name, id);
  by_address_.emplace(std::pair(box, address), id);
  hosts_.push_back({std::move(name), std::move(region), address, box});
  return id;
}

void Switch::set_quality(const std::string& from, const std::string& to, Quality quality) {
  qualities_[{from, to}] = quality;
}

Result<void> Switch::cut(const std::vector<std::string>& from, const std::vector<std::string>& to) {
  TRY(const std::vector<HostId> senders, find(from));
  TRY(const std::vector<HostId> receivers, find(to));
  for (const HostId a : senders)
    for (const HostId b : receivers)
      if (a != b) cuts_.emplace(a, b);
  return {};
}

Result<void> Switch::heal(const std::vector<std::string>& from, const std::vector<std::string>& to) {
  TRY(const std::vector<HostId> senders, find(from));
  TRY(const std::vector<HostId> receivers, find(to));
  for (const HostId a : senders)
    for (const HostId b : receivers) cuts_.erase({a, b});
  return {};
}

Result<void> Switch::set_power(const std::string& host, bool on) {
  TRY(const HostId id, find(host));
  hosts_[id].on = on;
  return {};
}

void Switch::send(HostId from, Bytes bytes, SteadyTime now) {
  ++counters_.sent;
  auto parsed = Packet::parse(std::move(bytes));
  if (!parsed) {
    ++counters_.malformed;
    return;
  }
  Packet packet = *std::move(parsed);
  const Host& sender = hosts_[from];
  const auto target = route(from, packet.destination_address());
  // A source that is not its own is no host of this network, so nobody could answer.
  if (!target || packet.source_address() != sender.address) {
    ++counters_.unroutable;
    return;
  }
  if (!sender.on || (target->host && is_cut(from, *target->host))) {
    ++counters_.cut;
    return;
  }
  const bool leaves = sender.nat && !(target->host && hosts_[*target->host].nat == sender.nat);
  if (leaves && !boxes_[*sender.nat].nat->outbound(packet, now)) {
    ++counters_.filtered;
    return;
  }
  if (under_way_.size() >= kMaxUnderWay) {
    ++counters_.overflowed;
    return;
  }
  const std::string& region = target->host ? hosts_[*target->host].region : boxes_[*target->nat].region;
  Pipe& pipe = pipes_[{from, packet.destination_address()}];
  const Pipe::Passage passage = pipe.send(quality(sender.region, region), packet.bytes().size(), now, random_);
  switch (passage.fate) {
    case Pipe::Fate::arrives:
      under_way_.emplace(std::pair(passage.arrival, number_++), UnderWay{from, std::move(packet)});
      break;
    case Pipe::Fate::lost: ++counters_.lost; break;
    case Pipe::Fate::overflows: ++counters_.overflowed; break;
  }
}

std::optional<SteadyTime> Switch::next() const {
  if (under_way_.empty()) return std::nullopt;
  return under_way_.begin()->first.first;
}

std::optional<Switch::Delivery> Switch::take(SteadyTime now) {
  while (!under_way_.empty() && under_way_.begin()->first.first <= now) {
    UnderWay packet = std::move(under_way_.extract(under_way_.begin()).mapped());
    if (const auto to = arrive(packet, now)) {
      ++counters_.delivered;
      return Delivery{*to, std::move(packet.packet).release()};
    }
  }
  return std::nullopt;
}

std::optional<Switch::HostId> Switch::arrive(UnderWay& packet, SteadyTime now) {
  const auto target = route(packet.from, packet.packet.destination_address());
  std::optional<HostId> host = target ? target->host : std::nullopt;
  if (target && target->nat) {
    if (!boxes_[*target->nat].nat->inbound(packet.packet, now)) {
      ++counters_.filtered;
      return std::nullopt;
    }
    const auto found = by_address_.find({target->nat, packet.packet.destination_address()});
    if (found != by_address_.end()) host = found->second;
  }
  if (!host) {
    ++counters_.unroutable;
    return std::nullopt;
  }
  if (!hosts_[*host].on || !hosts_[packet.from].on || is_cut(packet.from, *host)) {
    ++counters_.cut;
    return std::nullopt;
  }
  return host;
}

std::vector<HostStatus> Switch::hosts() const {
  std::vector<HostStatus> out;
  for (const Host& host : hosts_)
    out.push_back({host.name, host.region, host.nat ? boxes_[*host.nat].name : "", host.address, host.on});
  return out;
}

std::vector<std::pair<std::string, std::string>> Switch::cuts() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [from, to] : cuts_) out.emplace_back(hosts_[from].name, hosts_[to].name);
  return out;
}

Result<Switch::HostId> Switch::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return fail(Errc::not_found, "there is no host '{}'", name);
  return found->second;
}

Result<std::vector<Switch::HostId>> Switch::find(const std::vector<std::string>& names) const {
  std::vector<HostId> out;
  for (const std::string& name : names) {
    TRY(const HostId id, find(name));
    out.push_back(id);
  }
  return out;
}

std::optional<Switch::Target> Switch::route(HostId from, Address to) const {
  if (const auto& nat = hosts_[from].nat) {
    const auto neighbour = by_address_.find({nat, to});
    if (neighbour != by_address_.end()) return Target{neighbour->second, std::nullopt};
  }
  if (const auto host = by_address_.find({std::nullopt, to}); host != by_address_.end())
    return Target{host->second, std::nullopt};
  if (const auto box = box_by_address_.find(to); box != box_by_address_.end()) return Target{std::nullopt, box->second};
  return std::nullopt;
}

bool Switch::is_cut(HostId from, HostId to) const { return cuts_.contains({from, to}); }

const Quality& Switch::quality(const std::string& from, const std::string& to) const {
  static const Quality perfect;
  const auto found = qualities_.find({from, to});
  return found == qualities_.end() ? perfect : found->second;
}

}  // namespace dms::testnet
