// Shell completion.
#include <algorithm>

#include "cli/framework/command.hpp"

namespace dms::cli {

std::vector<std::string> completions(const Line& line, std::string_view last,
                                     const std::function<std::vector<std::string>(Known)>& known) {
  std::vector<std::string> found;
  const auto offer = [&](std::string word) {
    if (word.starts_with(last)) found.push_back(std::move(word));
  };
  const auto offer_values = [&](const auto& what) {
    for (const auto& choice : what.choices) offer(choice);
    if (what.known == Known::nothing) return;
    for (auto& word : known(what.known)) offer(std::move(word));
  };
  const Command& command = *line.path.back();
  const std::size_t position = line.positionals.size();
  if (line.option != nullptr) {
    offer_values(*line.option);
  } else if (last.starts_with('-')) {
    for (const auto* outer : line.path)
      for (const auto& option : outer->options)
        if (!option.inner || outer == &command) offer("--" + option.name);
    offer("--help");
  } else {
    if (position == 0)
      for (const auto& child : command.children)
        if (!child.hidden) offer(child.name);
    if (position < command.positionals.size()) offer_values(command.positionals[position]);
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace dms::cli
