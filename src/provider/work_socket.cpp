#include "provider/work_socket.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/remove_tree.hpp"
#include "crypto/hash.hpp"
#include "encoding/multibase.hpp"
#include "executor/executor.hpp"

namespace dms::provider {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kWorkBuffer = 4096;
constexpr Duration kAcceptPause = 100ms;
constexpr Duration kLinger = 5s;
constexpr Duration kDropPause = 1ms;
constexpr Duration kTurn = Duration(1s) / kWorkRate;

/// The folder of the sockets is for the daemon's user alone; the one in it is seen by the work.
Result<void> make_actor_folder(const fs::path& folder) {
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (!ec) fs::permissions(folder.parent_path(), fs::perms::owner_all, ec);
  if (!ec) fs::permissions(folder, fs::perms(0755), ec);
  if (!ec) fs::remove(folder / executor::kActorSocket, ec);
  if (ec) return fail(Errc::io, "make the folder {}: {}", folder.string(), ec.message());
  return {};
}

/// Ends this half. What the work still sends is read and dropped until it ends its own: it gets all answers.
Task<Result<void>> finish(ByteStream& stream) {
  CO_TRY_VOID(co_await stream.close_write());
  Bytes buffer(kWorkBuffer);
  for (;;) {
    CO_TRY(const std::size_t read, co_await stream.read_some(MutableBytes(buffer)));
    if (read == 0) co_return Result<void>();
    CO_TRY_VOID(co_await sleep_for(kDropPause));  // its rate costs the daemon little
  }
}

}  // namespace

std::string actor_folder_name(std::string_view local_name) {
  const crypto::Digest256 digest = crypto::sha256(as_bytes(local_name));
  return encode(Base::hex, BytesView(digest).first(8));
}

Result<void> remove_actor_folders(const fs::path& folders, const std::set<std::string>& except) {
  std::error_code ec;
  std::vector<fs::path> unknown;
  for (fs::directory_iterator it(folders, ec), end; !ec && it != end; it.increment(ec))
    if (!except.contains(it->path().filename().string())) unknown.push_back(it->path());
  Result<void> removed;
  for (const fs::path& folder : unknown)
    if (const Result<void> gone = remove_tree(folder); !gone && removed) removed = gone;
  return removed;
}

WorkSocket::WorkSocket(Parts parts)
    : parts_(std::move(parts)), lane_(parts_.actor.allocation.lane()), tasks_(lane_, "socket of work") {}

Task<Result<void>> WorkSocket::open() {
  auto making = [folder = parts_.folder] { return make_actor_folder(folder); };
  const Result<void> made = co_await offload(std::move(making));
  if (!made) co_return made;
  CO_TRY(actor_, WorkActor::start(parts_.actor));
  CO_TRY(listener_, parts_.net.listen_unix((parts_.folder / executor::kActorSocket).string(), 0666));
  tasks_.spawn(accept_all());
  co_return Result<void>();
}

Task<void> WorkSocket::close() {
  if (listener_) listener_->close();
  co_await tasks_.close();
  if (actor_) co_await actor_->stop();
  actor_.reset();
  listener_.reset();
}

Task<void> WorkSocket::accept_all() {
  for (;;) {
    Result<Accepted> accepted = co_await listener_->accept();
    if (accepted) {
      const Result<void> turn = co_await take_turn(kTurn);
      if (!turn) co_return;
    }
    if (accepted && connections_ < kMaxWorkConnections) {
      ++connections_;
      tasks_.spawn(serve(std::move(accepted->stream)));
      continue;
    }
    if (accepted) continue;  // it is closed
    if (accepted.error().is(Errc::closed) || tasks_.cancelled()) co_return;
    log::warn("provider", "accepting a connection of {}: {}", parts_.actor.allocation_id, accepted.error().to_string());
    const Result<void> slept = co_await sleep_for(kAcceptPause);
    if (!slept) co_return;
  }
}

// ------------------------------------------------------------------------------------------------------ connections

Task<void> WorkSocket::serve(std::unique_ptr<ByteStream> stream) {
  const TaskContext context = co_await this_task();
  const auto connection = std::make_shared<Connection>(lane_, context.scope, std::move(stream));
  connection->writing.spawn(write_all(connection));
  const bool ended = co_await read_all(connection);
  leave(*connection);
  if (!ended) connection->calls.cancel();
  co_await connection->calls.join();
  connection->out.close();
  if (!ended) connection->stream->abort();
  co_await connection->writing.join();
  if (ended) (void)co_await with_timeout(kLinger, finish(*connection->stream));
  connection->stream->abort();
  --connections_;
}

/// Whether the work has ended its half; the answers to what it has asked are still written.
Task<bool> WorkSocket::read_all(ConnectionPtr connection) {
  LineSplitter lines;
  Bytes buffer(kWorkBuffer);
  for (;;) {
    const Result<std::size_t> read = co_await connection->stream->read_some(MutableBytes(buffer));
    if (!read) co_return false;
    if (*read == 0) co_return true;
    // By what is read, and before its lines: empty and endless ones cost nothing else.
    const Result<void> turn = co_await take_turn(kTurn * static_cast<int>(*read) / static_cast<int>(kWorkUnit));
    if (!turn) co_return false;
    lines.add(as_text(BytesView(buffer).first(*read)));
    Task<Result<void>> handling = read_lines(connection, lines);
    const Result<void> handled = co_await std::move(handling);
    if (!handled) co_return handled.error().is(Errc::limit_exceeded);
  }
}

Task<Result<void>> WorkSocket::read_lines(ConnectionPtr connection, LineSplitter& lines) {
  for (;;) {
    Result<std::optional<std::string>> line = lines.next();
    if (!line) {
      std::string refusal = work_refusal(0, line.error().to_string());
      CO_TRY_VOID(co_await connection->out.send(std::move(refusal)));
      co_return std::unexpected(line.error());
    }
    if (!*line) co_return Result<void>();
    CO_TRY_VOID(co_await take_turn(kTurn));
    std::optional<std::string> answer = handle(connection, **line);
    if (answer) CO_TRY_VOID(co_await connection->out.send(std::move(*answer)));
  }
}

Task<void> WorkSocket::write_all(ConnectionPtr connection) {
  for (;;) {
    Result<std::string> line = co_await connection->out.receive();
    if (!line) co_return;
    const Result<void> written = co_await connection->stream->write(as_bytes(*line));
    if (written) continue;
    connection->out.close();
    connection->stream->abort();
    co_return;
  }
}

Task<Result<void>> WorkSocket::take_turn(Duration cost) {
  next_turn_ = std::max(next_turn_, lane_.now() - kWorkBurst * kTurn) + cost;
  if (next_turn_ > lane_.now()) CO_TRY_VOID(co_await sleep_until(next_turn_));
  co_return Result<void>();
}

void WorkSocket::leave(Connection& connection) {
  for (const std::string& behaviour : connection.behaviours) actor_->withdraw(behaviour);
  connection.behaviours.clear();
  for (const auto& [number, waiting] : waiting_) {
    if (waiting->connection != &connection) continue;
    waiting->over = true;
    waiting->changed.notify_all();
  }
}

// --------------------------------------------------------------------------------------------------------- requests

std::optional<std::string> WorkSocket::handle(const ConnectionPtr& connection, std::string_view line) {
  auto parsed = parse_work_request(line);
  if (const auto* bad = std::get_if<BadWorkRequest>(&parsed)) return work_refusal(bad->id, bad->error);
  WorkRequest request = std::get<WorkRequest>(std::move(parsed));
  const bool takes_time = request.op == WorkOp::invoke || request.op == WorkOp::send || request.op == WorkOp::publish;
  if (!takes_time) {
    const Result<json::Value> answer = handle_now(connection, request);
    return answer ? work_answer(request.id, *answer) : work_refusal(request.id, answer.error().to_string());
  }
  if (calls_ >= kMaxWorkCalls)
    return work_refusal(request.id, fmt::format("{} calls are under way, which is the limit", calls_));
  ++calls_;
  connection->calls.spawn(call(connection, std::move(request)));
  return std::nullopt;
}

Result<json::Value> WorkSocket::handle_now(const ConnectionPtr& connection, const WorkRequest& request) {
  if (request.op == WorkOp::register_behaviour) TRY_VOID(enrol(connection, request));
  if (request.op == WorkOp::reply) TRY_VOID(settle(*connection, request));
  if (request.op == WorkOp::unregister) {
    if (connection->behaviours.erase(request.behaviour) == 0)
      return fail(Errc::not_found, "{} is not registered by this connection", request.behaviour);
    actor_->withdraw(request.behaviour);
  }
  return request.op == WorkOp::whoami ? actor_->identity() : json::Value();
}

Result<void> WorkSocket::enrol(const ConnectionPtr& connection, const WorkRequest& request) {
  const std::weak_ptr<Connection> to = connection;
  TRY_VOID(actor_->offer(request.behaviour, request.topic,
                         [this, behaviour = request.behaviour, to](actor::Envelope envelope) {
                           return on_call(behaviour, to, std::move(envelope));
                         }));
  connection->behaviours.insert(request.behaviour);
  return {};
}

Result<void> WorkSocket::settle(const Connection& connection, const WorkRequest& request) {
  const auto found = waiting_.find(request.call);
  if (found == waiting_.end() || found->second->connection != &connection || found->second->reply ||
      found->second->over)
    return fail(Errc::not_found, "no call {} waits for a reply: it has one, or its time is over", request.call);
  found->second->reply = request.payload;
  found->second->changed.notify_all();
  return {};
}

Task<void> WorkSocket::call(ConnectionPtr connection, WorkRequest request) {
  const std::uint64_t id = request.id;
  Result<json::Value> answer = json::Value();
  if (request.op == WorkOp::invoke) {
    Task<Result<json::Value>> calling = actor_->invoke(std::move(request));
    answer = co_await std::move(calling);
  } else {
    const bool to_all = request.op == WorkOp::publish;
    Task<Result<void>> sending = to_all ? actor_->publish(std::move(request)) : actor_->send(std::move(request));
    const Result<void> sent = co_await std::move(sending);
    if (!sent) answer = std::unexpected(sent.error());
  }
  std::string line;
  if (answer)
    line = work_answer(id, *answer);
  else
    line = work_refusal(id, answer.error().to_string());
  (void)co_await connection->out.send(std::move(line));
  --calls_;  // an answer that is not read keeps its place
}

// -------------------------------------------------------------------------------------------------- calls by others

/// What finds no room is dropped: a caller without a reply tries again.
Task<void> WorkSocket::on_call(std::string behaviour, std::weak_ptr<Connection> to, actor::Envelope envelope) {
  WorkCall told;
  told.behaviour = behaviour;
  told.from = envelope.from.did.uri();
  const bool awaited = !envelope.options.reply_to.empty() && !envelope.is_broadcast();
  json::Limits limits;
  limits.bytes = kMaxWorkLine;
  Result<json::Value> payload = json::Value();
  if (!envelope.message.empty()) payload = json::parse(as_text(envelope.message), limits);
  if (payload) told.payload = *std::move(payload);
  if (awaited) told.number = ++last_call_;
  const bool room = payload && waiting_.size() < kMaxWorkCalls;
  std::optional<std::string> line;
  if (room) line = work_call(told);
  const auto waiting = std::make_shared<Waiting>();
  bool sent = false;
  if (const ConnectionPtr connection = to.lock(); connection && line) {
    waiting->connection = connection.get();
    sent = connection->out.try_send(std::move(*line));
  }
  if (!sent)
    log::debug("provider", "{}: a call of {} by {} is dropped", parts_.actor.allocation_id, behaviour, told.from);
  if (!sent || !awaited) co_return;
  waiting_.emplace(told.number, waiting);
  const Duration left = std::clamp(envelope.expiry() - lane_.unix_now(), Duration(0), kLongestWorkCall);
  Task<Result<void>> replied = with_timeout(left, until_replied(waiting));
  (void)co_await std::move(replied);
  waiting_.erase(told.number);
  if (!waiting->reply) co_return;
  Task<Result<void>> replying = actor_->reply(envelope, *waiting->reply);
  const Result<void> answered = co_await std::move(replying);
  if (!answered)
    log::debug("provider", "{}: the reply to {} of {}: {}", parts_.actor.allocation_id, told.from, behaviour,
               answered.error().to_string());
}

Task<Result<void>> WorkSocket::until_replied(WaitingPtr waiting) {
  while (!waiting->reply && !waiting->over) CO_TRY_VOID(co_await waiting->changed.wait());
  co_return Result<void>();
}

}  // namespace dms::provider
