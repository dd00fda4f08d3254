#include "cli/commands/behaviours.hpp"

#include "base/file.hpp"
#include "capability/units.hpp"
#include "cli/client/ensemble_files.hpp"
#include "jobs/ensemble/ensemble.hpp"
#include "jobs/ensemble/waiting.hpp"
#include "protocol/table.hpp"

namespace dms::cli {

using protocol::Form;
using protocol::Parameter;
namespace {

constexpr std::size_t kMaxFile = 1 << 20;

Result<std::pair<std::string, std::string>> split(std::string_view flag, std::string_view pair, char at) {
  const auto place = pair.find(at);
  if (place == std::string_view::npos || place == 0)
    return fail(Errc::usage, "--{}: expected name{}value, found \"{}\"", flag, at, pair);
  return std::pair(std::string(pair.substr(0, place)), std::string(pair.substr(place + 1)));
}

Result<json::Value> read_gpus(const std::string& text) {
  json::Array cards;
  for (std::size_t from = 0; from <= text.size();) {
    const auto to = std::min(text.find(',', from), text.size());
    TRY(auto pair, split("gpus", std::string_view(text).substr(from, to - from), ':'));
    auto index = json::decode<std::int64_t>(pair.first);
    if (!index) return fail(Errc::usage, "--gpus: expected the number of a card, found \"{}\"", pair.first);
    auto vram = capability::ByteSize::parse(pair.second, capability::kGiB);
    if (!vram) return std::unexpected(vram.error().context(Errc::usage, "--gpus"));
    cards.emplace_back(json::Object{{"index", *index}, {"vram", vram->bytes}});
    from = to + 1;
  }
  return json::Value(std::move(cards));
}

Result<json::Value> read_anchor_data(const Arguments& arguments, const std::string& text, std::string& member) {
  if (arguments.has("root")) {
    member = "Root";
    TRY(auto did, parse_did("--data", text));
    return json::to_value(std::vector{did});
  }
  member = arguments.has("require") ? "Require" : arguments.has("provide") ? "Provide" : "Revoke";
  auto value = json::parse(text);
  if (!value) return std::unexpected(value.error().context(Errc::usage, "--data: expected a token as JSON"));
  if (value->is_object() && value->as_object().contains("dms"))
    return json::Value(json::Object{{"tok", json::Array{*value}}});
  return value;
}

Result<json::Value> read_value(Session& session, const Parameter& parameter, const Arguments& arguments,
                               std::string& member) {
  const std::string name(parameter.name);
  const std::string given = arguments.get(name, "");
  switch (parameter.form) {
    case Form::text:
      if (parameter.required && given.empty())
        return fail(Errc::usage, "--{}: expected {}, found nothing", name, parameter.help);
      return json::Value(boost::json::string(given));
    case Form::flag: return json::Value(true);
    case Form::number: {
      auto number = json::decode<double>(given);
      if (!number) return fail(Errc::usage, "--{}: expected a number, found \"{}\"", name, given);
      return json::Value(*number);
    }
    case Form::size: {
      auto size = capability::ByteSize::parse(given, capability::kGiB);
      if (!size) return std::unexpected(size.error().context(Errc::usage, fmt::format("--{}", name)));
      return json::Value(size->bytes);
    }
    case Form::pairs: {
      json::Object object;
      for (const auto& each : arguments.all(name)) {
        TRY(auto pair, split(name, each, '='));
        object[pair.first] = pair.second;
      }
      return json::Value(std::move(object));
    }
    case Form::gpus: return read_gpus(given);
    case Form::anchors: return read_anchor_data(arguments, given, member);
    case Form::ensemble: {
      TRY(const jobs::Ensemble ensemble, read_ensemble(session, given.empty() ? "ensemble.yaml" : given, arguments));
      return json::to_value(ensemble);
    }
  }
  return fail(dms::Errc::internal, "parameter {} has no form", name);
}

void put(json::Object& into, std::string_view path, json::Value value) {
  const auto dot = path.find('.');
  if (dot == std::string_view::npos) {
    into[path] = std::move(value);
    return;
  }
  auto& inner = into[path.substr(0, dot)];
  if (!inner.is_object()) inner = json::Object();
  put(inner.as_object(), path.substr(dot + 1), std::move(value));
}

}  // namespace

std::vector<const protocol::Declaration*> offered_behaviours() {
  std::vector<const protocol::Declaration*> offered;
  for (const protocol::TableEntry& entry : protocol::behaviour_table())
    if (entry.declaration->offered == protocol::Offered::command_line) offered.push_back(entry.declaration);
  return offered;
}

std::vector<Option> parameter_options(const protocol::Declaration& behaviour) {
  std::vector<Option> options;
  for (const Parameter& parameter : behaviour.parameters)
    options.push_back({.name = std::string(parameter.name),
                       .letter = parameter.letter,
                       .value = std::string(parameter.value),
                       .help = std::string(parameter.help),
                       .required = parameter.required,
                       .repeated = parameter.form == Form::pairs});
  if (std::ranges::find(behaviour.parameters, Form::ensemble, &Parameter::form) != behaviour.parameters.end())
    options.push_back(any_file_option());
  return options;
}

std::vector<std::vector<std::string>> option_groups(const protocol::Declaration& behaviour) {
  std::map<std::string_view, std::vector<std::string>> groups;
  for (const Parameter& parameter : behaviour.parameters)
    if (!parameter.group.empty()) groups[parameter.group].emplace_back(parameter.name);
  std::vector<std::vector<std::string>> all;
  for (auto& [name, members] : groups) all.push_back(std::move(members));
  return all;
}

Result<std::string> make_payload(Session& session, const protocol::Declaration& behaviour, const Arguments& arguments) {
  if (behaviour.parameters.empty()) return std::string();
  json::Object payload;
  for (const Parameter& parameter : behaviour.parameters) {
    const bool has_default = parameter.form == Form::ensemble;
    if (!arguments.has(std::string(parameter.name)) && !has_default) continue;
    std::string member(parameter.member);
    TRY(auto value, read_value(session, parameter, arguments, member));
    if (!member.empty()) put(payload, member, std::move(value));
  }
  return json::write(payload);
}

Result<jobs::Ensemble> read_ensemble(Session& session, const std::filesystem::path& file, const Arguments& arguments) {
  const bool piped = file == "-";
  TRY(auto yaml, piped ? session.read_input(kMaxFile) : read_file(file, kMaxFile));
  const EnsembleFiles files(file, arguments);
  const auto read = [&](const std::string& name) -> Result<std::string> {
    TRY(const auto path, files.find(name));
    return read_file(path, kMaxFile);
  };
  const auto variable = [&](const std::string& name) {
    return name == kPassphraseVariable ? std::nullopt : session.environment().variable(name);
  };
  auto ensemble = jobs::Ensemble::parse_yaml(yaml, {.file = read, .variable = variable});
  if (!ensemble)
    return fail(jobs::waiting_first(yaml, ensemble.error()), "{}", piped ? "standard input" : file.string());
  return ensemble;
}

}  // namespace dms::cli
