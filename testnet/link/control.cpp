#include "link/control.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <set>

namespace dms::testnet {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kMaxMicroseconds = 86'400'000'000;  // a day
constexpr std::uint64_t kMaxBandwidth = 1'000'000'000'000;
constexpr std::uint64_t kMaxQueue = 1ULL << 30;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

/// Reads the members of a command; the first mistake is kept, and what is read after it means nothing.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  std::string text(std::string_view member) {
    const json::value* value = get(member);
    if (value != nullptr && !value->is_string()) wrong(member, "a text");
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  }

  std::string name(std::string_view member) {
    std::string read = text(member);
    if (!is_name(read)) wrong(member, "a name of letters, digits, '-' and '_'");
    return read;
  }

  std::string name_or_empty(std::string_view member) {
    std::string read = text(member);
    if (!read.empty() && !is_name(read)) wrong(member, "a name of letters, digits, '-' and '_', or nothing");
    return read;
  }

  std::string path(std::string_view member) {
    std::string read = text(member);
    if (read.empty() || read.size() > 4096 || read.find('\0') != std::string::npos) wrong(member, "a path");
    return read;
  }

  std::vector<std::string> names(std::string_view member) {
    std::vector<std::string> out;
    const json::value* value = get(member);
    if (value == nullptr) return out;
    const json::array* list = value->if_array();
    if (list == nullptr || list->empty() || list->size() > Switch::kMaxHosts) {
      wrong(member, "a list of names");
      return out;
    }
    for (const json::value& entry : *list) {
      if (!entry.is_string() || !is_name(entry.get_string())) wrong(member, "a list of names");
      if (entry.is_string()) out.emplace_back(entry.get_string());
    }
    return out;
  }

  Address address(std::string_view member) {
    auto parsed = parse_address(text(member));
    if (!parsed) wrong(member, "an IPv4 address");
    return parsed.value_or(0);
  }

  std::uint64_t number(std::string_view member, std::uint64_t most) {
    const json::value* value = get(member);
    if (value == nullptr) return 0;
    std::error_code error;
    const auto read = value->to_number<std::uint64_t>(error);
    if (error || value->is_double() || read > most) {
      wrong(member, fmt::format("a whole number, at most {}", most));
      return 0;
    }
    return read;
  }

  Duration microseconds(std::string_view member) { return std::chrono::microseconds(number(member, kMaxMicroseconds)); }

  double probability(std::string_view member) {
    const json::value* value = get(member);
    if (value == nullptr) return 0;
    std::error_code error;
    const auto read = value->to_number<double>(error);
    if (!value->is_number() || error || !(read >= 0 && read <= 1)) {
      wrong(member, "a number from 0 to 1");
      return 0;
    }
    return read;
  }

  bool flag(std::string_view member) {
    const json::value* value = get(member);
    if (value != nullptr && !value->is_bool()) wrong(member, "true or false");
    return value != nullptr && value->is_bool() && value->get_bool();
  }

  NatKind kind(std::string_view member) {
    const std::string read = text(member);
    if (read == "full_cone") return NatKind::full_cone;
    if (read == "restricted_cone") return NatKind::restricted_cone;
    if (read == "port_restricted") return NatKind::port_restricted;
    if (read != "symmetric") wrong(member, "full_cone, restricted_cone, port_restricted or symmetric");
    return NatKind::symmetric;
  }

  [[nodiscard]] bool has(std::string_view member) const { return object_.contains(member); }

  /// The command, unless something was wrong or a member has not been read.
  Result<Command> finish(Command command) {
    for (const auto& member : object_)
      if (mistake_.empty() && !read_.contains(member.key())) mistake_ = "the command has a member that is unknown";
    if (!mistake_.empty()) return fail(Errc::invalid_argument, "{}", mistake_);
    return command;
  }

 private:
  const json::value* get(std::string_view member) {
    read_.emplace(member);
    const json::value* value = object_.if_contains(member);
    if (value == nullptr) wrong(member, "a value");
    return value;
  }
  void wrong(std::string_view member, std::string_view expected) {
    if (mistake_.empty()) mistake_ = fmt::format("{}: expected {}", member, expected);
  }

  const json::object& object_;
  std::set<std::string, std::less<>> read_;
  std::string mistake_;
};

Result<Command> read_nat(Reader& in) {
  AddNat nat{in.name("name"), in.name("region"), in.kind("kind"), in.address("address"), {}};
  if (in.has("udp_timeout_us")) nat.timeouts.udp = in.microseconds("udp_timeout_us");
  return in.finish(std::move(nat));
}

Result<Command> read_host(Reader& in) {
  return in.finish(AddHost{in.name("name"), in.name("region"), in.name_or_empty("nat"), in.path("namespace"),
                           in.name("device"), in.address("address")});
}

Result<Command> read_quality(Reader& in) {
  Quality quality{in.microseconds("delay_us"), in.microseconds("jitter_us"), in.probability("loss"),
                  in.number("bits_per_second", kMaxBandwidth), in.number("queue", kMaxQueue)};
  return in.finish(SetQuality{in.name("from"), in.name("to"), quality});
}

}  // namespace

Result<Command> parse_command(std::string_view line) {
  if (line.size() > kMaxLine) return fail(Errc::limit_exceeded, "a command has at most {} bytes", kMaxLine);
  std::error_code error;
  const json::value value = json::parse(line, error);
  const json::object* object = error ? nullptr : value.if_object();
  if (object == nullptr) return fail(Errc::invalid_argument, "expected a JSON object on a line");
  Reader in(*object);
  const std::string command = in.text("command");
  if (command == "nat") return read_nat(in);
  if (command == "host") return read_host(in);
  if (command == "quality") return read_quality(in);
  if (command == "cut") return in.finish(Cut{in.names("from"), in.names("to")});
  if (command == "heal") return in.finish(Heal{in.names("from"), in.names("to")});
  if (command == "heal_all") return in.finish(HealAll{});
  if (command == "power") return in.finish(SetPower{in.name("host"), in.flag("on")});
  if (command == "status") return in.finish(GetStatus{});
  if (command == "stop") return in.finish(Stop{});
  return fail(Errc::invalid_argument,
              "command: expected nat, host, quality, cut, heal, heal_all, power, status or stop");
}

Result<json::object> carry_out(Switch& network, const Command& command) {
  struct Visitor {
    Switch& network;
    Result<void> operator()(const AddNat& c) const {
      return network.add_nat(c.name, c.kind, c.address, c.region, c.timeouts);
    }
    Result<void> operator()(const AddHost& c) const {
      TRY_VOID(network.add_host(c.name, c.address, c.region, c.nat));
      return {};
    }
    Result<void> operator()(const SetQuality& c) const {
      network.set_quality(c.from, c.to, c.quality);
      return {};
    }
    Result<void> operator()(const Cut& c) const { return network.cut(c.from, c.to); }
    Result<void> operator()(const Heal& c) const { return network.heal(c.from, c.to); }
    Result<void> operator()(const HealAll&) const {
      network.heal_all();
      return {};
    }
    Result<void> operator()(const SetPower& c) const { return network.set_power(c.host, c.on); }
    Result<void> operator()(const GetStatus&) const { return {}; }
    Result<void> operator()(const Stop&) const { return {}; }
  };
  TRY_VOID(std::visit(Visitor{network}, command));
  if (std::holds_alternative<GetStatus>(command)) return status_of(network);
  return json::object{};
}

json::object status_of(const Switch& network) {
  json::array hosts;
  for (const HostStatus& host : network.hosts())
    hosts.push_back(json::object{{"name", host.name},
                                 {"region", host.region},
                                 {"nat", host.nat},
                                 {"address", to_string(host.address)},
                                 {"on", host.on}});
  json::array cuts;
  for (const auto& [from, to] : network.cuts()) cuts.push_back(json::object{{"from", from}, {"to", to}});
  const Counters& c = network.counters();
  return {{"hosts", std::move(hosts)},
          {"cuts", std::move(cuts)},
          {"packets", json::object{{"sent", c.sent},
                                   {"delivered", c.delivered},
                                   {"lost", c.lost},
                                   {"overflowed", c.overflowed},
                                   {"cut", c.cut},
                                   {"filtered", c.filtered},
                                   {"unroutable", c.unroutable},
                                   {"malformed", c.malformed}}}};
}

std::string answer(const Result<json::object>& result) {
  json::object out{{"ok", result.has_value()}};
  if (result) {
    for (const auto& member : *result) out.insert_or_assign(member.key(), member.value());
  } else {
    out["error"] = result.error().to_string();
  }
  return json::serialize(out) + "\n";
}

}  // namespace dms::testnet
