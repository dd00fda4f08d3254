// From the form users write to the form the network carries: the second of the three steps of Ensemble::parse_yaml.
//
// What it does, in this order (the existing network's transforms):
//  1. Templates: `resources: name` and `resources: {name: ..., ...}` take what is missing from the top-level
//     `resources`; volumes `name:mountpoint` and `volumes: {name: {...}}` from the top-level `volumes`. What stands
//     nearer wins.
//  2. Units: sizes and video memory count in GiB, clocks in GHz, unless a unit is written ("512 MiB", "2400MHz").
//     Durations are written like 1h30m, 45s or 500ms.
//  3. Execution becomes {type, params}; environment maps become a list of KEY=value, sorted by key.
//  4. edge_constraints become edges; `edges: [a, b]` becomes s and t. Scripts become base64.
//  5. Defaults: dns_name is the allocation's name.
// A member that is null counts as not given. Unknown keys are refused with the nearest known one.
#pragma once

#include "encoding/json.hpp"

namespace dms::jobs {

/// The object that belongs under "v1".
Result<json::Value> normalise(const json::Value& written);

/// "1h30m", "45s", "1.5m", "500ms": nanoseconds. Errc::invalid_argument otherwise.
Result<std::int64_t> parse_duration(std::string_view text);

}  // namespace dms::jobs
