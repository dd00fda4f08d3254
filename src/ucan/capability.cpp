#include "ucan/capability.hpp"

#include <algorithm>
#include <cstdlib>

namespace dms::ucan {

Result<Capability> Capability::parse(std::string_view path) {
  if (path.size() > kMaxCapability)
    return fail(Errc::malformed, "a capability has {} characters, at most {} are allowed", path.size(), kMaxCapability);
  if (!path.starts_with('/'))
    return fail(Errc::malformed, "a capability is a path that begins with '/', for example /dms/node");
  if (!std::ranges::all_of(path, [](char c) { return c > ' ' && c < 0x7f; }))
    return fail(Errc::malformed, "a capability holds only printable ASCII characters and no space");
  return Capability(std::string(path));
}

Capability Capability::root() { return Capability("/"); }

bool Capability::implies(const Capability& other) const {
  return path_ == "/" || path_ == other.path_ ||
         (other.path_.size() > path_.size() && other.path_.starts_with(path_) && other.path_[path_.size()] == '/');
}

Result<Capability> Capability::from_json(const json::Value& value) {
  if (!value.is_string()) return json::wrong_kind("a capability", value);
  return parse({value.get_string().data(), value.get_string().size()});
}

Result<Capabilities> parse_capabilities(const std::vector<std::string>& paths) {
  Capabilities capabilities;
  for (const std::string& path : paths) {
    TRY(Capability capability, Capability::parse(path));
    capabilities.push_back(std::move(capability));
  }
  return capabilities;
}

bool any_implies(const Capabilities& held, const Capability& wanted) {
  return std::ranges::any_of(held, [&](const Capability& h) { return h.implies(wanted); });
}

const Capability* first_uncovered(const Capabilities& held, const Capabilities& wanted) {
  for (const Capability& w : wanted)
    if (!any_implies(held, w)) return &w;
  return nullptr;
}

std::string to_string(const Capabilities& capabilities) {
  std::string text = "[";
  for (const Capability& c : capabilities) {
    if (text.size() > 1) text += ", ";
    text += c.path();
  }
  return text + "]";
}

inline namespace literals {
Capability operator""_cap(const char* path, std::size_t size) {
  auto capability = Capability::parse({path, size});
  if (!capability) std::abort();
  return *std::move(capability);
}
}  // namespace literals

}  // namespace dms::ucan
