// The actors of one node by the name of their inbox, with their parents and children.
//
// Model
//  1. An inbox names one actor; a second of that name is refused.
//  2. One registry serves all actors of a node. It only knows handles; the actors belong to their creators.
//  3. A parent is an actor of the same node, and has made the child. A supervisor may be one of another node
//     (ChildOptions::supervisor).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actor/handle.hpp"

namespace dms::actor {

class Registry {
 public:
  struct Info {
    Handle handle;
    std::optional<Handle> parent;
    std::optional<Handle> supervisor;
    std::vector<Handle> children;
  };

  /// Errc::already_exists if the inbox is taken.
  Result<void> add(const Handle& actor, std::optional<Handle> parent = std::nullopt,
                   std::optional<Handle> supervisor = std::nullopt);
  /// Unknown inboxes are ignored.
  void remove(const std::string& inbox);
  [[nodiscard]] std::optional<Info> get(const std::string& inbox) const;
  [[nodiscard]] const std::map<std::string, Info>& actors() const { return actors_; }

 private:
  std::map<std::string, Info> actors_;
};

}  // namespace dms::actor
