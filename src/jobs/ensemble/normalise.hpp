// From the form users write to the form the network carries: the last step of Ensemble::parse_yaml before decoding.
//
// Steps, in this order (the transforms of the existing implementation):
//  1. Templates: `resources: name` and `resources: {name: ..., ...}` take missing members from the top-level
//     `resources`; volumes `name:mountpoint` and `volumes: {name: {...}}` from the top-level `volumes`. The nearer
//     member wins.
//  2. Units: sizes and video memory count in GiB, clocks in GHz, unless a unit is written ("512 MiB", "2400MHz").
//     Durations are written like 1h30m, 45s or 500ms.
//  3. Execution becomes {type, params}; environment maps become a list of KEY=value, sorted by key.
//  4. edge_constraints become edges; `edges: [a, b]` becomes s and t. Scripts become base64.
//  5. Health checks, dependencies, inputs and results: normalise_run.hpp.
//  6. Defaults: dns_name is the name of the allocation.
// A member that is null counts as not given, but for an allocation, a node, a variable and the like, whose name is the
// user's. Unknown keys are refused with the nearest known one; one run reports every
// unknown key and every value of a wrong kind, each with its place (fields.hpp).
#pragma once

#include <set>

#include "encoding/json.hpp"

namespace dms::jobs {

/// Values of environment, keys and metadata are text: replaces them, where they are maps, by those of `texts`, the same
/// document read with Scalars::text.
void keep_text(json::Value& document, json::Value texts);

/// The object that belongs under "v1". `aliased` are the top-level keys that may be unknown, because they only hold a
/// value that is used elsewhere (YamlDocument).
Result<json::Value> normalise(const json::Value& written, const std::set<std::string>& aliased);

/// "1h30m", "45s", "1.5m", "500ms": nanoseconds. Errc::invalid_argument for other text.
Result<std::int64_t> parse_duration(std::string_view text);

/// The required members of an allocation, `executor` and `type`, that are missing, each with its known names. The
/// existing implementation has no default for them.
std::vector<std::pair<std::string_view, std::string>> missing_choices(const json::Object& allocation);

}  // namespace dms::jobs
