// The only file that knows CLI11.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <deque>

#include "cli/framework/command.hpp"

namespace dms::cli {
namespace {

/// One level of the tree as CLI11 sees it, with where its values go.
struct Level {
  const Command* command;
  CLI::App* app;
  std::deque<std::pair<const Option*, CLI::Option*>> options;
  std::deque<std::pair<const Positional*, CLI::Option*>> positionals;
};

std::string flag_names(const Option& option) {
  std::string names = option.letter == 0 ? "" : fmt::format("-{},", option.letter);
  names += "--" + option.name;
  for (const auto& alias : option.aliases) names += ",--" + alias;
  return names;
}

class Tree {
 public:
  explicit Tree(const Command& root) {
    app_.name(root.name);
    build(root, app_);
  }

  Result<Parsed> parse(std::span<const std::string> words) {
    Parsed parsed;
    try {
      std::vector<std::string> reversed(words.rbegin(), words.rend());  // what CLI11 wants
      app_.parse(reversed);
    } catch (const CLI::CallForHelp&) {
      parsed.help = true;
    } catch (const CLI::ParseError& e) {
      collect_path(parsed);
      return usage(parsed, explain(e));
    }
    collect_path(parsed);
    if (parsed.help) return parsed;
    if (const auto wrong = collect_values(parsed)) return usage(parsed, *wrong);
    const Command& last = *parsed.path.back();
    for (const auto& group : last.at_most_one)
      if (count(parsed.arguments, group) > 1)
        return usage(parsed, fmt::format("only one of {} can be given", join(group)));
    for (const auto& group : last.exactly_one)
      if (count(parsed.arguments, group) != 1)
        return usage(parsed, fmt::format("exactly one of {} is needed", join(group)));
    return parsed;
  }

 private:
  void build(const Command& command, CLI::App& app) {
    Level& level = levels_.emplace_back(Level{&command, &app, {}, {}});
    app.set_help_flag("-h,--help", "");
    app.fallthrough();
    app.require_subcommand(0, 1);
    for (const auto& alias : command.aliases) app.alias(alias);
    for (const auto& option : command.options) level.options.emplace_back(&option, add(option, app));
    for (const auto& positional : command.positionals) {
      auto* added = app.add_option(positional.name, storage_.emplace_back());
      added->allow_extra_args(false)->required(positional.required);
      level.positionals.emplace_back(&positional, added);
    }
    for (const auto& child : command.children) build(child, *app.add_subcommand(child.name));
  }

  CLI::Option* add(const Option& option, CLI::App& app) {
    if (option.value.empty()) return app.add_flag(flag_names(option));
    auto* added = app.add_option(flag_names(option), storage_.emplace_back());
    added->required(option.required)->allow_extra_args(false);
    if (option.repeated)
      added->delimiter(',');
    else
      added->multi_option_policy(CLI::MultiOptionPolicy::Throw)->expected(1);
    return added;
  }

  void collect_path(Parsed& parsed) const {
    const CLI::App* app = &app_;
    for (;;) {
      for (const auto& level : levels_)
        if (level.app == app) parsed.path.push_back(level.command);
      const auto inner = app->get_subcommands();
      if (inner.empty()) return;
      app = inner.front();
    }
  }

  /// Inner levels come later in levels_ than outer ones, so what they know wins. What is wrong, if something is.
  std::optional<std::string> collect_values(Parsed& parsed) const {
    for (const auto& level : levels_) {
      if (std::ranges::find(parsed.path, level.command) == parsed.path.end()) continue;
      for (const auto& [option, given] : level.options) {
        if (given->count() == 0) continue;
        const std::string& word = given->results().back();
        if (!option->value.empty() || word == "true" || word == "1")
          parsed.arguments.set(option->name, given->results());
        else if (word == "false" || word == "0")
          parsed.arguments.set_off(option->name);
        else
          return fmt::format("--{}: expected no value, true or false, found \"{}\"", option->name, word);
      }
      for (const auto& [positional, given] : level.positionals)
        if (given->count() > 0) parsed.arguments.set(positional->name, given->results());
    }
    return std::nullopt;
  }

  static std::size_t count(const Arguments& arguments, const std::vector<std::string>& group) {
    return static_cast<std::size_t>(
        std::ranges::count_if(group, [&](const auto& name) { return arguments.has(name); }));
  }
  static std::string join(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "--" : ", --") + name;
    return text;
  }

  static std::string explain(const CLI::ParseError& error) {
    std::string text = error.what();
    if (const auto* extras = dynamic_cast<const CLI::ExtrasError*>(&error); extras != nullptr) {
      const auto colon = text.rfind(": ");
      text = fmt::format("not understood: {}", colon == std::string::npos ? text : text.substr(colon + 2));
    }
    return text;
  }

  static std::unexpected<Error> usage(const Parsed& parsed, std::string_view what) {
    std::string words;
    for (const auto* command : parsed.path) words += command->name + " ";
    return fail(Errc::usage, "{}; see `{}--help`", what, words);
  }

  CLI::App app_;
  std::deque<Level> levels_;
  std::deque<std::vector<std::string>> storage_;
};

}  // namespace

std::optional<std::string> Arguments::get(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::string Arguments::get(const std::string& name, std::string_view otherwise) const {
  return get(name).value_or(std::string(otherwise));
}

std::vector<std::string> Arguments::all(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

const Command* Command::child(std::string_view word) const {
  for (const auto& c : children)
    if (c.name == word || std::ranges::find(c.aliases, word) != c.aliases.end()) return &c;
  return nullptr;
}

Result<Parsed> parse(const Command& root, std::span<const std::string> words) {
  try {
    return Tree(root).parse(words);
  } catch (const CLI::Error& e) {
    return fail(dms::Errc::internal, "the command tree is wrong: {}", e.what());
  }
}

}  // namespace dms::cli
