// The network between the hosts: who is where, what is cut, and which packets are under way.
//
// Model
//  1. Hosts and NAT boxes are in regions; the quality of a path is that of its ordered pair of regions, and a path
//     without one is perfect. Each ordered pair of hosts has a Pipe of its own, so hosts do not share bandwidth.
//  2. A host is public, or behind a NAT box with a private address, which only hosts behind the same box can reach. The
//     box translates what leaves when it is sent, and what enters when it arrives: the order of arrivals decides what
//     its filter lets pass. Hosts behind one box reach each other by its public address, too (hairpinning).
//  3. A cut is of an ordered pair of hosts. It is looked at when a packet is sent and again when it arrives, so packets
//     under way are lost. The same is true of a host that is off.
//  4. Nothing is answered: a packet that is dropped is counted, and neither side is told.
//  5. Bounds: hosts, boxes, and packets under way; at the last a packet is dropped as if a queue were full.
//  6. Time and randomness are given. The caller reads next() and calls take() then.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "link/nat.hpp"
#include "link/packet.hpp"
#include "link/pipe.hpp"

namespace dms::testnet {

struct Counters {
  std::uint64_t sent = 0, delivered = 0;
  std::uint64_t lost = 0, overflowed = 0, cut = 0, filtered = 0, unroutable = 0, malformed = 0;
};

struct HostStatus {
  std::string name, region, nat;
  Address address = 0;
  bool on = true;
};

class Switch {
 public:
  using HostId = std::size_t;
  struct Delivery {
    HostId to;
    Bytes packet;
  };

  static constexpr std::size_t kMaxHosts = 256;
  static constexpr std::size_t kMaxUnderWay = 65'536;

  /// `random` outlives the switch.
  explicit Switch(Random& random) : random_(random) {}

  Result<void> add_nat(std::string name, NatKind kind, Address address, std::string region, NatTimeouts timeouts = {});
  /// `nat` is empty for a public host.
  Result<HostId> add_host(std::string name, Address address, std::string region, std::string_view nat = {});
  void set_quality(const std::string& from, const std::string& to, Quality quality);
  /// Every host of `from` to every host of `to`, in this direction; a host to itself is not cut.
  Result<void> cut(const std::vector<std::string>& from, const std::vector<std::string>& to);
  Result<void> heal(const std::vector<std::string>& from, const std::vector<std::string>& to);
  void heal_all() { cuts_.clear(); }
  Result<void> set_power(const std::string& host, bool on);

  /// A packet that `from` has written.
  void send(HostId from, Bytes packet, SteadyTime now);
  /// When the next packet arrives.
  [[nodiscard]] std::optional<SteadyTime> next() const;
  /// A packet that has arrived by `now`; none if there is none left.
  std::optional<Delivery> take(SteadyTime now);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] std::vector<HostStatus> hosts() const;
  /// (from, to) of each cut.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> cuts() const;

 private:
  using NatId = std::size_t;
  struct Host {
    std::string name, region;
    Address address;
    std::optional<NatId> nat;
    bool on = true;
  };
  struct Box {
    std::string name, region;
    std::unique_ptr<Nat> nat;
  };
  struct UnderWay {
    HostId from;
    Packet packet;
  };
  /// A host, or a box whose filter decides about the host when the packet arrives.
  struct Target {
    std::optional<HostId> host;
    std::optional<NatId> nat;
  };

  [[nodiscard]] Result<HostId> find(const std::string& name) const;
  [[nodiscard]] Result<std::vector<HostId>> find(const std::vector<std::string>& names) const;
  [[nodiscard]] std::optional<Target> route(HostId from, Address to) const;
  [[nodiscard]] bool is_cut(HostId from, HostId to) const;
  [[nodiscard]] const Quality& quality(const std::string& from, const std::string& to) const;
  std::optional<HostId> arrive(UnderWay& packet, SteadyTime now);

  Random& random_;
  std::vector<Host> hosts_;
  std::vector<Box> boxes_;
  std::map<std::string, HostId> by_name_;
  std::map<std::pair<std::optional<NatId>, Address>, HostId> by_address_;
  std::map<Address, NatId> box_by_address_;
  std::map<std::pair<std::string, std::string>, Quality> qualities_;
  std::map<std::pair<HostId, Address>, Pipe> pipes_;
  std::set<std::pair<HostId, HostId>> cuts_;
  std::map<std::pair<SteadyTime, std::uint64_t>, UnderWay> under_way_;  // by arrival, then in the order of sending
  std::uint64_t number_ = 0;
  Counters counters_;
};

}  // namespace dms::testnet
