// The part of normalise.hpp about how the work of an allocation runs: health checks, dependencies, inputs, results.
//
//  1. `depends_on` is a list of names, or a map from name to condition: `{db: healthy}` or, as in Compose files,
//     `{db: {condition: service_healthy}}`. The map becomes the list and `depends_on_conditions`; a
//     mistake in a key is reported here, because the list has no keys.
//  2. `results` is a list of paths, or `{paths, limit}`.
//  3. A health check with a member has a type: without one, nothing would be checked. On the network it may lack one
//     (health_endpoint.hpp). `healthcheck: {}` is none.
//  4. Durations that are given are above 0, but for `grace`; on the network 0 stands for the default.
#pragma once

#include "jobs/ensemble/fields.hpp"

namespace dms::jobs {

Result<json::Value> positive_duration(const json::Value& value, const Path& path);
Result<json::Value> healthcheck(const json::Value& value, const Path& path);
/// Of the allocation `name` at `path`; `all` are the allocations as they are written.
void dependencies(json::Object& allocation, const Path& path, std::string_view name, const json::Value* all);
Result<json::Value> inputs(const json::Value& value, const Path& path);
Result<json::Value> results(const json::Value& value, const Path& path);

/// In normalise.cpp, for all sizes that count in GiB.
Result<json::Value> size_in_gib(const json::Value& value, const Path& path);

}  // namespace dms::jobs
