// The fields that wait for a later version, looked for in text that is refused for another reason: who has to remove a
// field need not correct it first.
//
// Model
//  1. A field waits if check_supported() refuses it whatever it contains, in whatever shape: volumes, ports, contracts,
//     supervision, keys, scripts, graphics cards, executors.
//  2. Of the problems of the text, those inside of such a field are left out; the others stay, behind the refusals.
//
// Threads: pure. Cost: linear in the text, within the limits of read_yaml(). Failure: none; text that is no YAML has no
// fields.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace dms::jobs {

/// `refused` is what Ensemble::parse_yaml() has said about `yaml`. Without fields that wait it is returned as it is.
Error waiting_first(std::string_view yaml, const Error& refused);

}  // namespace dms::jobs
