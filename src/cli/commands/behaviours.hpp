// The behaviours that have a command of their own: their flags, and the payload those make.
//
// A behaviour is data: each flag names the member of the payload it fills and how its text is read. `nunet actor cmd`
// is generated from this table.
#pragma once

#include "cli/client/session.hpp"

namespace dms::cli {

/// How a flag's text becomes JSON.
enum class Form {
  text,      // a string
  number,    // a number
  size,      // bytes; a bare number counts GiB
  pairs,     // {"key": "value"} of key=value, repeated
  gpus,      // [{"index": 0, "vram": bytes}] of 0:4GiB,1:8
  on,        // a switch: true if given
  on_off,    // true or false
  seconds,   // a duration as whole seconds
  anchors,   // a token, a list of tokens or a DID, as the switch next to it says
  record,    // {"<this flag>": "<--ip>"}: a name in a subnet
  ensemble,  // a file, read and checked here
  contents,  // a file's text
};

struct Flag {
  Option option;
  std::string member;  // path in the payload, with dots; empty: read by another flag
  Form form = Form::text;
};

struct Behaviour {
  std::string path;
  std::string summary;
  std::vector<Flag> flags = {};
  std::string topic = {};  // of a broadcast
  Duration timeout = std::chrono::seconds(30);
  std::vector<std::vector<std::string>> exactly_one = {};
};

const std::vector<Behaviour>& behaviours();

/// The payload as JSON; empty for a behaviour without flags.
Result<std::string> make_payload(const Behaviour& behaviour, const Arguments& arguments);

/// An ensemble from YAML, with the scripts and keys it names read from files next to it, as {"v1":{...}}.
Result<json::Value> read_ensemble(const std::filesystem::path& file);

}  // namespace dms::cli
