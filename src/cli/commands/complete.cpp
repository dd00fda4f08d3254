// What a shell can offer while a line is typed.
#include <algorithm>

#include "cli/framework/command.hpp"

namespace dms::cli {
namespace {

/// The option that `word` names, if it awaits its value in the next word.
const Option* find_option(const std::vector<const Command*>& path, std::string_view word) {
  for (auto command = path.rbegin(); command != path.rend(); ++command)
    for (const Option& option : (*command)->options) {
      const bool named = word.starts_with("--")
                             ? word.substr(2) == option.name || std::ranges::count(option.aliases, word.substr(2)) > 0
                             : word.size() == 2 && word[0] == '-' && option.letter != 0 && word[1] == option.letter;
      if (named) return &option;
    }
  return nullptr;
}

}  // namespace

Unfinished read_unfinished(const Command& root, std::span<const std::string> words) {
  Unfinished line;
  line.path.push_back(&root);
  if (words.empty()) return line;
  for (const std::string& word : words.first(words.size() - 1)) {
    if (line.option != nullptr) {
      line.arguments.set(line.option->name, {word});
      line.option = nullptr;
    } else if (word.starts_with('-') && word != "-") {
      const auto equals = word.find('=');
      const Option* option = find_option(line.path, word.substr(0, equals));
      if (option == nullptr || option->value.empty()) continue;
      if (equals == std::string::npos)
        line.option = option;
      else
        line.arguments.set(option->name, {word.substr(equals + 1)});
    } else if (const Command* child = line.positionals == 0 ? line.path.back()->child(word) : nullptr) {
      line.path.push_back(child);
    } else {
      ++line.positionals;
    }
  }
  line.last = words.back();
  return line;
}

std::vector<std::string> completions(const Unfinished& line,
                                     const std::function<std::vector<std::string>(Known)>& known) {
  std::vector<std::string> found;
  const auto offer = [&](std::string word) {
    if (word.starts_with(line.last)) found.push_back(std::move(word));
  };
  const auto offer_values = [&](const auto& what, const std::string& before) {
    for (const auto& choice : what.choices) offer(before + choice);
    if (what.known == Known::nothing) return;
    for (const auto& word : known(what.known)) offer(before + word);
  };
  const Command& command = *line.path.back();
  const auto equals = line.last.find('=');
  if (line.option != nullptr) {
    offer_values(*line.option, "");
  } else if (line.last.starts_with("--") && equals != std::string::npos) {
    if (const Option* option = find_option(line.path, line.last.substr(0, equals)))
      offer_values(*option, line.last.substr(0, equals + 1));
  } else if (line.last.starts_with('-')) {
    for (const auto* outer : line.path)
      for (const auto& option : outer->options) offer("--" + option.name);
    offer("--help");
  } else {
    if (line.positionals == 0)
      for (const auto& child : command.children)
        if (!child.hidden) offer(child.name);
    if (line.positionals < command.positionals.size()) offer_values(command.positionals[line.positionals], "");
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace dms::cli
