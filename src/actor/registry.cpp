#include "actor/registry.hpp"

#include <algorithm>

namespace dms::actor {

Result<void> Registry::add(const Handle& actor, std::optional<Handle> parent, std::optional<Handle> supervisor) {
  const std::string& inbox = actor.address.inbox;
  if (actors_.contains(inbox)) return fail(dms::Errc::already_exists, "there is an actor in inbox {} already", inbox);
  if (parent) {
    if (const auto it = actors_.find(parent->address.inbox); it != actors_.end()) it->second.children.push_back(actor);
  }
  actors_.emplace(inbox, Info{actor, std::move(parent), std::move(supervisor), {}});
  return {};
}

void Registry::remove(const std::string& inbox) {
  const auto it = actors_.find(inbox);
  if (it == actors_.end()) return;
  if (it->second.parent) {
    if (const auto up = actors_.find(it->second.parent->address.inbox); up != actors_.end())
      std::erase(up->second.children, it->second.handle);
  }
  actors_.erase(it);
}

std::optional<Registry::Info> Registry::get(const std::string& inbox) const {
  const auto it = actors_.find(inbox);
  if (it == actors_.end()) return std::nullopt;
  return it->second;
}

}  // namespace dms::actor
