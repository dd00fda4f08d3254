// YAML read into a JSON tree, with limits. Independent of ensembles.
//
// Model
//  1. One document. Plain scalars become null, true/false, whole numbers (decimal, 0x, 0o, 0b, `_` between digits),
//     numbers or strings as in YAML 1.2; quoted ones are strings. Anchors, aliases and merge keys (`<<`) work.
//  2. A number or a boolean loses the form in which it was written (`0022`, `1_000`, `True`). With Scalars::text every
//     plain scalar but null becomes the text as written, in a tree of the same shape.
//  3. Duplicate keys, keys that are not scalars, and aliases to an incomplete value are errors. Errors name line and
//     column. Text that is a template not yet rendered (`peer: {{ peer_id }}`) is reported as such, each placeholder
//     with its line.
//  4. Limits apply while reading: an alias counts as many nodes as the value it refers to, and long text as several, so
//     that a few lines cannot become a billion nodes; nesting is cut off before the recursion of the parser is deep.
#pragma once

#include <set>

#include "encoding/json.hpp"

namespace dms::jobs {

struct YamlLimits {
  std::size_t bytes = 1024 * 1024;
  std::size_t depth = 32;
  std::size_t nodes = 50'000;
};

enum class Scalars { typed, text };

struct YamlDocument {
  json::Value root;
  /// Keys of the root whose value has an anchor and is used through an alias.
  std::set<std::string> aliased;
};

/// Errc::invalid_argument or Errc::limit_exceeded, with line and column.
Result<YamlDocument> read_yaml(std::string_view text, Scalars scalars = Scalars::typed, YamlLimits limits = {});

}  // namespace dms::jobs
