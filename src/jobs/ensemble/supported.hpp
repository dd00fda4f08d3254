// Which fields of an ensemble have an effect. A field that is read but not acted on yet is refused by name, with what
// to do instead: an ensemble that is accepted runs as it says.
//
// Model
//  1. A value that equals the default asks for nothing and is accepted: `redundancy: 0`, `restart_policy: no`,
//     `gpus: []`, `subnet: {join: false}`.
//  2. All refusals are reported at once, each with its place.
//  3. Parsing accepts these fields: ensembles of other nodes are read, stored and shown. Only a new deployment and an
//     update are refused.
//  4. A supervision that contradicts itself is refused (supervision.hpp), as Errc::invalid_argument.
//  5. What is acted on, but with a value that every provider refuses, is refused as well: providers bid for resources
//     and executors, and look at the rest only afterwards.
//
// src/jobs/README.md lists every field with the module that acts on it.
#pragma once

#include "jobs/ensemble/ensemble.hpp"

namespace dms::jobs {

/// Errc::unsupported with one line for each field; see (4).
Result<void> check_supported(const Ensemble& ensemble);

/// Errc::unsupported for the executor that only simulations have. Apart, as simulations deploy by the same way.
Result<void> check_offered(const Ensemble& ensemble);

}  // namespace dms::jobs
