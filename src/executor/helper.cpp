#include "executor/helper.hpp"

#include <unistd.h>

#include <charconv>

#include "executor/docker/give_back.hpp"
#include "executor/docker/watcher.hpp"
#include "executor/sandbox/enter.hpp"
#include "executor/sandbox/shim.hpp"

namespace dms::executor {

namespace {
/// -1 for what is no number.
int parse_number(std::string_view text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

/// argv: program, kHelperArgument, "watch", folder, socket, container, deadline
int watch(char** argv) {
  Watched watched;
  watched.folder = argv[3];
  watched.socket = argv[4];
  watched.container = argv[5];
  const std::string_view deadline = argv[6];
  const auto [end, error] = std::from_chars(deadline.data(), deadline.data() + deadline.size(), watched.deadline);
  if (error != std::errc() || end != deadline.data() + deadline.size()) return 2;
  return run_watcher(watched);
}
}  // namespace

std::optional<int> run_helper(int argc, char** argv) {
  if (argc < 2 || argv[1] != kHelperArgument) return std::nullopt;
  const std::string_view what = argc > 2 ? argv[2] : "";
  if (what == "shim" && argc == 4) return run_shim(argv[3]);
  if (what == "watch" && argc == 7) return watch(argv);
  // Without the exit handler of a sanitizer: it needs more than this container allows.
  if (what == "give-back" && argc == 4) ::_exit(run_give_back(argv[3]));
  const int pidfd = argc > 3 ? parse_number(argv[3]) : -1;
  // These two end without exit handlers: that of a sanitizer starts a thread and waits for it, for ever in the namespaces that
  // they have entered.
  if (what == "exec" && argc > 5 && pidfd > 2) ::_exit(run_exec(pidfd, argv[4], {argv + 5, argv + argc}));
  if (what == "probe" && argc == 7 && pidfd > 2 && parse_number(argv[4]) >= 0 && parse_number(argv[5]) > 0)
    ::_exit(run_probe(pidfd, static_cast<unsigned>(parse_number(argv[4])), static_cast<unsigned>(parse_number(argv[5])),
                      argv[6]));
  return 2;
}

std::vector<std::string> helper_command() { return {"/proc/self/exe", std::string(kHelperArgument)}; }

}  // namespace dms::executor
