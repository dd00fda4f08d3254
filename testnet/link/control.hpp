// The commands that the link is given on its control socket: one JSON object on a line, answered by one.
//
// Model
//  1. parse_command() takes a line and returns one of the commands below, all of whose members are checked: a member
//     that is missing, unknown or of another kind is refused by name.
//  2. Times are microseconds, sizes bytes, bandwidths bits per second, probabilities 0 to 1.
//
//   {"command": "nat", "name": N, "kind": K, "address": A, "region": R, "udp_timeout_us": T (optional)}
//   {"command": "host", "name": N, "address": A, "region": R, "nat": N or "", "namespace": PATH, "device": D}
//   {"command": "quality", "from": R, "to": R, "delay_us": T, "jitter_us": T, "loss": P, "bits_per_second": B,
//    "queue": BYTES}
//   {"command": "cut" or "heal", "from": [N...], "to": [N...]}      one direction
//   {"command": "heal_all"}
//   {"command": "power", "host": N, "on": true or false}
//   {"command": "status"}
//   {"command": "stop"}
//
//  3. The answer is {"ok": true, ...} or {"ok": false, "error": TEXT}.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "link/switch.hpp"

namespace dms::testnet {

struct AddNat {
  std::string name, region;
  NatKind kind;
  Address address;
  NatTimeouts timeouts;
};
struct AddHost {
  std::string name, region, nat, network_namespace, device;
  Address address;
};
struct SetQuality {
  std::string from, to;
  Quality quality;
};
struct Cut {
  std::vector<std::string> from, to;
};
struct Heal {
  std::vector<std::string> from, to;
};
struct HealAll {};
struct SetPower {
  std::string host;
  bool on;
};
struct GetStatus {};
struct Stop {};

using Command = std::variant<AddNat, AddHost, SetQuality, Cut, Heal, HealAll, SetPower, GetStatus, Stop>;

/// Longer lines are refused by the reader.
inline constexpr std::size_t kMaxLine = 65'536;
inline constexpr std::size_t kMaxName = 64;

Result<Command> parse_command(std::string_view line);

/// Carries out a command, and returns the members of its answer. Of a host only its place in the network is made, not its
/// device; Stop does nothing.
Result<boost::json::object> carry_out(Switch& network, const Command& command);

/// The members of the answer to GetStatus.
boost::json::object status_of(const Switch& network);

/// A line: `{"ok": true}` with the members of `more`, or the error.
std::string answer(const Result<boost::json::object>& result);

}  // namespace dms::testnet
