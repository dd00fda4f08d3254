#include "libp2p/multiaddr/resolve.hpp"

#include <algorithm>
#include <deque>
#include <set>

namespace dms::libp2p {
namespace {

constexpr std::string_view kTextPrefix = "dnsaddr=";
constexpr std::string_view kTextName = "_dnsaddr.";

Multiaddr with_ip(const IpAddress& ip, const Multiaddr& rest) {
  // The IP component of /ip4/<ip>/tcp/0.
  const Multiaddr endpoint = Multiaddr::tcp({ip, 0});
  const Multiaddr port = endpoint.tail(1);
  return Multiaddr::from_bytes(BytesView(endpoint.bytes()).first(endpoint.bytes().size() - port.bytes().size()))
      ->with(rest);
}

/// One resolution under way.
class Resolution {
 public:
  Resolution(Net& net, Lane& lane, ResolveOptions options)
      : net_(net), lane_(lane), options_(std::move(options)), end_(lane.now() + options_.timeout) {}

  Task<Result<std::vector<Multiaddr>>> run(Multiaddr address) {
    consider(address, 0);
    while (!pending_.empty() && lookups_ < options_.max_lookups && found_.size() < options_.max_addresses) {
      Pending next = std::move(pending_.front());
      pending_.pop_front();
      ++lookups_;
      Task<Result<void>> lookup = next.address.components()[0].protocol == Protocol::dnsaddr
                                      ? look_up_texts(next.address, next.depth)
                                      : look_up_host(next.address);
      const SteadyTime deadline = std::min(end_, lane_.now() + options_.lookup_timeout);
      Result<void> resolved = co_await with_deadline(deadline, std::move(lookup));
      if (resolved) continue;
      if (resolved.error().is(Errc::cancelled)) co_return std::unexpected(resolved.error());
      note(resolved.error().context(fmt::format("resolve {}", next.address.to_string())));
      if (lane_.now() >= end_) break;
    }
    if (!found_.empty()) co_return std::move(found_);
    if (!pending_.empty())
      note(Error(Errc::limit_exceeded, fmt::format("{}: too many names to look up", address.to_string())));
    if (failure_) co_return std::unexpected(*failure_);
    co_return fail(Errc::not_found, "{}: its names resolve to no address of this form", address.to_string());
  }

 private:
  struct Pending {
    Multiaddr address;
    std::size_t depth;
  };

  void note(Error error) {
    if (!failure_) failure_ = std::move(error);
  }

  /// Adds an address to the results, or to the names to look up.
  void consider(const Multiaddr& address, std::size_t depth) {
    if (!seen_.insert(address).second) return;
    if (!begins_with_name(address)) {
      if (found_.size() < options_.max_addresses) found_.push_back(address);
      return;
    }
    const Protocol protocol = address.components()[0].protocol;
    if (protocol == Protocol::dnsaddr) {
      if (depth < options_.max_depth)
        pending_.push_back({address, depth});
      else
        note(Error(Errc::limit_exceeded, fmt::format("{}: more than {} names refer to one another", address.to_string(),
                                                     options_.max_depth)));
      return;
    }
    const Multiaddr rest = address.tail(1);
    const bool v4 = protocol != Protocol::dns6 && is_wanted(with_ip(IpAddress(), rest));
    const bool v6 = protocol != Protocol::dns4 && is_wanted(with_ip(IpAddress::v6({}), rest));
    if (v4 || v6)
      pending_.push_back({address, depth});
    else
      note(Error(Errc::unsupported, fmt::format("{}: no transport handles it", address.to_string())));
  }

  [[nodiscard]] bool is_wanted(const Multiaddr& address) const { return !options_.wanted || options_.wanted(address); }

  Task<Result<void>> look_up_host(const Multiaddr& address) {
    const Multiaddr::Component part = address.components()[0];
    const IpFamily family = part.protocol == Protocol::dns4   ? IpFamily::v4
                            : part.protocol == Protocol::dns6 ? IpFamily::v6
                                                              : IpFamily::any;
    CO_TRY(std::vector<IpAddress> ips, co_await net_.resolve_host(std::string(as_text(part.value)), family));
    const Multiaddr rest = address.tail(1);
    for (const IpAddress& ip : ips) consider(with_ip(ip, rest), 0);
    co_return Result<void>();
  }

  Task<Result<void>> look_up_texts(const Multiaddr& address, std::size_t depth) {
    std::string name = std::string(kTextName);
    name += as_text(address.components()[0].value);
    if (name.size() > kMaxHostName) co_return fail(Errc::invalid_argument, "the name is too long for a text record");
    CO_TRY(std::vector<std::string> texts, co_await net_.resolve_text(std::move(name)));
    const Multiaddr suffix = address.tail(1);
    for (const std::string& text : texts) {
      if (!text.starts_with(kTextPrefix)) continue;
      auto entry = Multiaddr::parse(std::string_view(text).substr(kTextPrefix.size()));
      if (entry && entry->ends_with(suffix)) consider(*entry, depth + 1);
    }
    co_return Result<void>();
  }

  Net& net_;
  Lane& lane_;
  ResolveOptions options_;
  SteadyTime end_;
  std::deque<Pending> pending_;
  std::set<Multiaddr> seen_;
  std::vector<Multiaddr> found_;
  std::size_t lookups_ = 0;
  std::optional<Error> failure_;
};

}  // namespace

bool begins_with_name(const Multiaddr& address) {
  const auto parts = address.components();
  if (parts.empty()) return false;
  switch (parts.front().protocol) {
    case Protocol::dns:
    case Protocol::dns4:
    case Protocol::dns6:
    case Protocol::dnsaddr: return true;
    default: return false;
  }
}

Task<Result<std::vector<Multiaddr>>> resolve(Net& net, Multiaddr address, ResolveOptions options) {
  const TaskContext context = co_await this_task();
  Resolution resolution(net, *context.lane, std::move(options));
  Task<Result<std::vector<Multiaddr>>> running = resolution.run(std::move(address));
  co_return co_await std::move(running);
}

}  // namespace dms::libp2p
