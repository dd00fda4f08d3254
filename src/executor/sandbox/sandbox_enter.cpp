// What a Sandbox does inside a running execution: commands and probes, by helpers (enter.hpp).
#include "executor/probe.hpp"
#include "executor/sandbox/process_tree.hpp"
#include "executor/sandbox/sandbox_arguments.hpp"
#include "executor/sandbox/sandbox_run.hpp"

namespace dms::executor {

namespace {

/// A pidfd of process 1 of the sandbox: the shim's child is bubblewrap, whose child it is.
Result<Fd> open_inside(const std::filesystem::path& folder) {
  const int shim = shim_pid(folder);
  const std::vector<int> bubblewraps = shim > 0 ? children_of(shim) : std::vector<int>();
  for (const int bubblewrap : bubblewraps) {
    const std::vector<int> inits = children_of(bubblewrap);
    if (inits.empty()) continue;
    Fd inside = open_child(bubblewrap, inits.front());
    if (inside && open_child(shim, bubblewrap) && shim_pid(folder) == shim) return inside;
  }
  return fail(Errc::invalid_argument, "the execution has ended");
}

}  // namespace

Task<Result<ExecOutput>> Sandbox::exec(ExecutionId id, std::vector<std::string> argv) {
  CO_TRY(RunPtr run, find<Run>(id));
  CO_TRY_VOID(check_state(*run, State::running));
  Request command = run->request;  // the rules for a program and its arguments are those of the work
  command.engine.params.entrypoint.clear();
  command.engine.params.cmd = argv;
  CO_TRY_VOID(validate(command));
  CO_TRY_VOID(check_sandbox_engine(command.engine));
  CO_TRY(const Fd inside, open_inside(run->dir));
  ProcessSpec spec;
  spec.argv = options_.helper;
  for (std::string word : {std::string("exec"), std::to_string(inside.get()), run->dir.string()})
    spec.argv.push_back(std::move(word));
  for (std::string& word : argv) spec.argv.push_back(std::move(word));
  spec.cwd = "/";
  spec.keep_fds = {inside.get()};
  CO_TRY(ProcessRun done, co_await run_process(processes_, std::move(spec), kResultOutputLimit));
  ExecOutput output;
  output.exit_code = done.exit.shell_code();
  output.out = std::move(done.out);
  output.err = std::move(done.err);
  co_return std::move(output);
}

Task<Result<ProbeResult>> Sandbox::probe(ExecutionId id, Probe probe) {
  CO_TRY(RunPtr run, find<Run>(id));
  CO_TRY_VOID(check_state(*run, State::running));
  CO_TRY_VOID(check_probe(probe));
  if (run->request.network)
    co_return fail(Errc::unsupported, "executor sandbox: execution '{}' has the machine's network, not one of its own",
                   id.value);
  CO_TRY(Fd inside, open_inside(run->dir));
  std::uint32_t uid = 0;  // without root, the sandbox has a user namespace
  if (root_) uid = run->uid;
  co_return co_await probe_inside(processes_, options_.helper, std::move(inside), uid, std::move(probe));
}

}  // namespace dms::executor
