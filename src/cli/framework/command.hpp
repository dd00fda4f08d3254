// The command line as a tree of commands, described as data. Parsing, help and completion read the same tree.
//
// Model
//  1. A command has children or an action. Options of an outer command may follow an inner one
//     (`nunet key did user --debug`); an option that both declare belongs to the inner one.
//  2. An option with a `value` takes the next word, even if that begins with a dash, or what follows `=`, or, after
//     its letter, the rest of the word. It may be given once; if `repeated`, any number of times, and as a,b,c. An
//     option without `value` is a switch; `--name=false` turns off what a setting has turned on. `-wf x` is `-w -f x`.
//     What an option with the `value` "file" or "folder" is given is not empty.
//  3. `--` ends the options, `-` is an argument. --help takes effect in any position, even on a wrong command line.
//  4. `nunet --json key list` is `nunet key list --json`: the outer command declares the option as `inner`.
//  5. parse() checks the words against the tree (unknown words, required options, groups); the action checks values.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cli/framework/error.hpp"

namespace dms::cli {

/// The kind of object that a value names, so that a shell can complete existing ones.
enum class Known { nothing, contexts, keys, dids, settings, deployments, allocations, held };

struct Option {
  std::string name;   // without dashes
  char letter = 0;    // 0: none
  std::string value;  // name of its argument in help; empty: a switch
  std::string help;
  bool required = false;
  bool repeated = false;
  bool inner = false;  // belongs to a command that follows, which has to know it too
  std::vector<std::string> aliases;
  Known known = Known::nothing;
  std::vector<std::string> choices;  // other values that a shell offers
};

struct Positional {
  std::string name;
  std::string help;
  bool required = true;
  Known known = Known::nothing;
  std::vector<std::string> choices;
};

/// The values on a command line, by the names in the tree.
class Arguments {
 public:
  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  [[nodiscard]] std::optional<std::string> get(const std::string& name) const;
  [[nodiscard]] std::string get(const std::string& name, std::string_view fallback) const;
  [[nodiscard]] std::vector<std::string> all(const std::string& name) const;
  void set(std::string name, std::vector<std::string> values) {
    values_.insert_or_assign(std::move(name), std::move(values));
  }
  /// A switch given as --name=false; has() is false then.
  [[nodiscard]] bool is_off(const std::string& name) const { return off_.contains(name); }
  void set_switch(const std::string& name, bool on);

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::set<std::string> off_;
};

class Session;
using Action = std::function<Result<void>(Session&, const Arguments&)>;

struct Command {
  std::string name;
  std::string summary;  // one line, in the list of its parent
  std::string detail;   // paragraphs of its own help
  std::vector<std::string> examples;
  std::vector<Option> options;
  std::vector<Positional> positionals;
  std::vector<std::vector<std::string>> at_most_one;  // of each group of option names
  std::vector<std::vector<std::string>> exactly_one;
  std::vector<Command> children;
  std::vector<std::string> aliases;
  bool hidden = false;
  Action action;

  [[nodiscard]] const Command* child(std::string_view word) const;
};

/// A parsed prefix of a command line.
struct Line {
  std::vector<const Command*> path;  // from the root to the innermost command named
  Arguments arguments;               // options by name, and positionals by the names they have in `path.back()`
  std::vector<std::string> positionals;
  const Option* option = nullptr;  // the last word names it, and its value follows
  bool help = false;
  std::string wrong;  // the first word that the tree does not allow; empty if there is none
};

/// `words` are without the program's name. The result points into `root`.
Line read_line(const Command& root, std::span<const std::string> words);

/// The same for a complete line: Errc::usage with what was expected, unless it requests help or the command has no
/// action.
Result<Line> parse(const Command& root, std::span<const std::string> words);

/// What --help prints for the last command of `path`.
std::string help(std::span<const Command* const> path);

/// The candidates for `last`, the word after `line`. `known` lists existing names.
std::vector<std::string> completions(const Line& line, std::string_view last,
                                     const std::function<std::vector<std::string>(Known)>& known);

}  // namespace dms::cli
