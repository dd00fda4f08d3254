// YAML read into a JSON tree, with limits. Knows nothing of ensembles.
//
// Model
//  1. One document. Plain scalars become null, true/false, whole numbers (decimal, 0x, 0o, 0b, `_` between digits),
//     numbers or strings as YAML 1.2 has it; quoted ones are strings. Anchors, aliases and merge keys (`<<`) work.
//  2. Duplicate keys, keys that are not scalars, and aliases to what is not complete are errors. Errors name line and
//     column.
//  3. Limits hold while reading: an alias counts as many nodes as it stands for, and long text as several, so that a
//     few lines cannot become a billion nodes; nesting is cut off before the parser's own recursion is deep.
#pragma once

#include "encoding/json.hpp"

namespace dms::jobs {

struct YamlLimits {
  std::size_t bytes = 1024 * 1024;
  std::size_t depth = 32;
  std::size_t nodes = 50'000;
};

/// Errc::invalid_argument or Errc::limit_exceeded, with line and column.
Result<json::Value> read_yaml(std::string_view text, YamlLimits limits = {});

}  // namespace dms::jobs
