#include "simulation/sim_names.hpp"

#include <algorithm>

#include "dns/dns_message.hpp"

namespace dms {

Result<std::vector<IpAddress>> SimNames::find_host(const std::string& name, IpFamily family) const {
  std::vector<IpAddress> found;
  if (const auto it = hosts.find(name); it != hosts.end())
    for (const IpAddress& ip : it->second)
      if ((family == IpFamily::any || ip.is_v6() == (family == IpFamily::v6)) && found.size() < kMaxHostAddresses)
        found.push_back(ip);
  if (found.empty()) return fail(Errc::not_found, "look up {}: it has no address", name);
  return found;
}

Result<std::vector<std::string>> SimNames::find_text(const std::string& name) const {
  std::vector<std::string> found;
  if (const auto it = texts.find(name); it != texts.end()) found = it->second;
  if (found.empty()) return fail(Errc::not_found, "look up the texts of {}: there are none", name);
  found.resize(std::min(found.size(), kMaxTextRecords));
  return found;
}

}  // namespace dms
