#include "executor/probe.hpp"

#include "executor/sandbox/enter.hpp"
#include "executor/sent_stream.hpp"
#include "http/http.hpp"

namespace dms::executor {

namespace {

Task<std::string> first_bytes(ByteStream& from, std::size_t limit) {
  Bytes chunk(limit);
  std::size_t size = 0;
  while (size < limit) {
    const Result<std::size_t> got = co_await from.read_some(MutableBytes(chunk).subspan(size));
    if (!got || *got == 0) break;
    size += *got;
  }
  co_return std::string(as_text(BytesView(chunk).first(size)));
}

/// The status and at most kResultOutputLimit bytes of the body.
Task<Result<void>> read_response(ByteStream& from, std::string path, ProbeResult& result) {
  HttpClient client(from, "localhost");
  HttpRequest request("GET", std::move(path));
  CO_TRY(const std::unique_ptr<HttpBody> body, co_await client.open(std::move(request)));
  result.http_status = body->status;
  Bytes chunk(16 * 1024);
  while (result.body.size() < kResultOutputLimit) {
    CO_TRY(const std::size_t got, co_await body->read_some(chunk));
    if (got == 0) break;
    result.body.append(as_text(BytesView(chunk).first(std::min(got, kResultOutputLimit - result.body.size()))));
  }
  co_return Result<void>();
}

}  // namespace

Result<void> check_probe(const Probe& probe) {
  if (probe.port == 0) return fail(Errc::invalid_argument, "port: expected 1 to 65535");
  if (probe.http_path.empty()) return {};
  const bool printable =
      std::all_of(probe.http_path.begin(), probe.http_path.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (probe.http_path.front() != '/' || !printable || probe.http_path.size() > 4096)
    return fail(Errc::invalid_argument, "path: expected '/' and at most 4096 printable characters without spaces");
  return {};
}

Task<Result<ProbeResult>> probe_inside(ProcessLauncher& processes, std::vector<std::string> helper, Fd inside,
                                       std::uint32_t uid, Probe probe) {
  ProcessSpec spec;
  spec.argv = std::move(helper);
  for (std::string word : {std::string("probe"), std::to_string(inside.get()), std::to_string(uid),
                           std::to_string(probe.port), probe.http_path})
    spec.argv.push_back(std::move(word));
  spec.cwd = "/";
  spec.out = ProcessOutput::pipe();
  spec.err = ProcessOutput::pipe();
  spec.keep_fds = {inside.get()};
  CO_TRY(const std::unique_ptr<Process> process, processes.spawn(std::move(spec)));  // ends with this
  SentStream out(process->take_out());                                               // the helper has sent the request
  const std::unique_ptr<ByteStream> err = process->take_err();
  ProbeResult result;
  const std::string sign = co_await first_bytes(out, 1);
  if (sign != "+") {
    result.message = co_await first_bytes(*err, 500);
    while (result.message.ends_with('\n')) result.message.pop_back();
    CO_TRY(const ProcessExit exit, co_await process->wait());
    if (exit.shell_code() == kConnectFailed) co_return std::move(result);
    const Errc code = exit.code == kEnterFailed ? Errc::unsupported : Errc::io;
    co_return fail(code, "probe: {}", result.message.empty() ? "the helper was ended" : result.message);
  }
  result.connected = true;
  if (probe.http_path.empty()) co_return std::move(result);
  const Result<void> read = co_await read_response(out, probe.http_path, result);
  if (!read && (read.error().is(Errc::cancelled) || read.error().is(Errc::deadline_exceeded)))
    co_return std::unexpected(read.error());
  if (!read) result.message = read.error().to_string();
  co_return std::move(result);
}

}  // namespace dms::executor
