#include "libp2p/swarm/dialer.hpp"

#include <algorithm>
#include <set>

namespace dms::libp2p {

/// The dial of one peer.
struct Dialer::Job {
  struct Candidate {
    Multiaddr address;
    SteadyTime due;
  };
  struct Name {
    Multiaddr address;
    bool named;
  };
  struct Failure {
    Multiaddr address;
    Error error;
  };

  explicit Job(crypto::PeerId p) : peer(p) {}

  crypto::PeerId peer;
  std::vector<Candidate> waiting;  ///< by due time
  std::size_t running = 0;
  std::vector<Name> names;  ///< still to be resolved
  std::size_t resolving = 0;
  std::vector<Failure> failures;
  std::set<Multiaddr> seen;
  std::size_t callers = 0;
  bool won = false;
  CancelScope* scope = nullptr;  ///< of all tasks of this job, while it runs
  bool abandoned = false;
  std::optional<Result<void>> result;
  Notify changed;
  Notify done;

  [[nodiscard]] bool idle() const { return running + resolving == 0 && waiting.empty() && names.empty(); }

  /// The error of the callers when every address has failed. The kind is that of the first failure, unless given.
  [[nodiscard]] Error report(std::optional<ErrorCode> kind = {}) const {
    if (failures.empty())
      return {Errc::limit_exceeded,
              fmt::format("connect to {}: it has more addresses than are tried", peer.to_string())};
    const auto tried = std::ranges::find_if(failures, [](const Failure& f) { return !f.error.is(Errc::unsupported); });
    const Error& first = (tried == failures.end() ? failures.front() : *tried).error;
    std::string list;
    for (const Failure& failure : failures)
      list += fmt::format("{}{}: {}", list.empty() ? "" : "; ", failure.address.to_string(), failure.error.to_string());
    const std::string count =
        failures.size() == 1 ? "its only address failed" : fmt::format("all {} addresses failed", failures.size());
    const Error all(kind.value_or(first.code()), fmt::format("{}: {}", count, list));
    return all.context(DialErrc::unreachable, fmt::format("connect to {}", peer.to_string()));
  }
};

/// A caller that waits for a job. The last one to leave before there is a result cancels the job.
class Dialer::Caller {
 public:
  Caller(Dialer& dialer, JobPtr job) : dialer_(dialer), job_(std::move(job)) { ++job_->callers; }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  ~Caller() {
    if (--job_->callers > 0 || job_->result) return;
    job_->abandoned = true;
    if (job_->scope != nullptr) job_->scope->cancel();
    const auto it = dialer_.jobs_.find(job_->peer);
    if (it != dialer_.jobs_.end() && it->second == job_) dialer_.jobs_.erase(it);
  }

 private:
  Dialer& dialer_;
  JobPtr job_;
};

/// One of the max_attempts.
class Dialer::AttemptSlot {
 public:
  explicit AttemptSlot(Dialer& dialer) : dialer_(dialer) { ++dialer_.attempts_; }
  AttemptSlot(const AttemptSlot&) = delete;
  AttemptSlot& operator=(const AttemptSlot&) = delete;
  ~AttemptSlot() {
    --dialer_.attempts_;
    dialer_.slot_free_.notify_one();
  }

 private:
  Dialer& dialer_;
};

Dialer::Dialer(Runtime runtime, Owner& owner, DialOptions options)
    : lane_(runtime.lane),
      net_(runtime.net),
      owner_(owner),
      options_(std::move(options)),
      backoff_(options_.backoff),
      nursery_(lane_, "libp2p dialer") {
  options_.resolve.wanted = [this](const Multiaddr& address) {
    return owner_.transport_for(address.without_peer()) != nullptr;
  };
}
Dialer::~Dialer() = default;

Task<Result<void>> Dialer::dial(crypto::PeerId peer, std::vector<Multiaddr> named, std::vector<Multiaddr> known) {
  if (closed_) co_return fail(Errc::closed, "the host is closed");
  const auto it = jobs_.find(peer);
  JobPtr job = it == jobs_.end() ? nullptr : it->second;
  if (!job) {
    if (named.empty() && known.empty())
      co_return fail(Errc::not_found, "no address of peer {} is known; connect to it by its multiaddress first",
                     peer.to_string());
    if (jobs_.size() >= options_.max_peers)
      co_return fail(Errc::limit_exceeded, "connect to {}: {} peers are being dialed already, which is the limit",
                     peer.to_string(), jobs_.size());
    job = std::make_shared<Job>(peer);
    jobs_.emplace(peer, job);
    nursery_.spawn(run(job));
  }
  const Caller caller(*this, job);
  add(*job, named, known);
  while (!job->result) CO_TRY_VOID(co_await job->done.wait());
  co_return *job->result;
}

void Dialer::connection_changed(const crypto::PeerId& peer) {
  backoff_.succeeded(peer);
  if (const auto it = jobs_.find(peer); it != jobs_.end()) it->second->changed.notify_all();
}

Task<void> Dialer::close() {
  closed_ = true;
  co_await nursery_.close();
}

/// Ranks addresses that arrive together; earlier ones keep their times.
void Dialer::add(Job& job, const std::vector<Multiaddr>& named, const std::vector<Multiaddr>& known) {
  std::vector<Multiaddr> good;
  for (const auto* list : {&named, &known}) {
    for (const Multiaddr& address : *list) {
      if (job.seen.size() >= options_.max_addresses || !job.seen.insert(address).second) continue;
      if (!worth_trying(job, address, list == &named)) continue;
      if (begins_with_name(address))
        job.names.push_back({address, list == &named});
      else
        good.push_back(address);
    }
  }
  const SteadyTime now = lane_.now();
  for (RankedAddress& ranked : rank_addresses(std::move(good), options_.rank))
    job.waiting.push_back({std::move(ranked.address), now + ranked.delay});
  std::ranges::stable_sort(job.waiting, {}, &Job::Candidate::due);
  job.changed.notify_all();
}

/// If not, records the reason as the address's failure.
bool Dialer::worth_trying(Job& job, const Multiaddr& address, bool named) {
  Result<void> allowed;
  if (!begins_with_name(address) && owner_.transport_for(address) == nullptr)
    allowed = fail(Errc::unsupported, "no transport handles it");
  else if (backoff_.until(job.peer, address, lane_.now()) && !named)
    // Without the time: callers keep this text, which a countdown would make wrong.
    allowed = fail(Errc::limit_exceeded, "it has failed a short time ago and is not tried again yet");
  if (!allowed) job.failures.push_back({address, allowed.error()});
  return allowed.has_value();
}

Task<void> Dialer::run(JobPtr job) {
  const TaskContext context = co_await this_task();
  CancelScope scope(context.scope);
  if (job->abandoned) scope.cancel();
  job->scope = &scope;
  const ScopedTimer timer(lane_, lane_.now() + options_.peer_timeout,
                          [&scope] { scope.cancel(Errc::deadline_exceeded); });
  Nursery race(lane_, "libp2p dial", &scope);
  Task<Result<void>> conducting = conduct(job, race);
  conducting.set_context({context.lane, &scope});
  Result<void> result = co_await std::move(conducting);
  if (closed_) result = fail(Errc::closed, "the host is closed");
  publish(job, std::move(result));
  job->scope = nullptr;
  race.cancel();
  co_await race.join();
}

Task<Result<void>> Dialer::conduct(JobPtr job, Nursery& race) {
  for (;;) {
    if (job->won) co_return Result<void>();
    if (owner_.usable_connection(job->peer)) {
      publish(job, Result<void>());
      job->waiting.clear();
      job->names.clear();
      if (job->running == 0) co_return Result<void>();
    }
    start_due(job, race);
    if (job->idle()) co_return std::unexpected(job->report());
    std::optional<ScopedTimer> alarm;
    if (!job->waiting.empty() && job->running < options_.max_attempts_per_peer)
      alarm.emplace(lane_, job->waiting.front().due, [&job] { job->changed.notify_all(); });
    Result<void> woken = co_await job->changed.wait();
    if (woken) continue;
    co_await race.join();  // cancelled too; each records how far it got
    if (job->won) co_return Result<void>();
    const Error late(woken.error().code(), "it was not tried in time");
    for (Job::Candidate& left : std::exchange(job->waiting, {}))
      job->failures.push_back({std::move(left.address), late});
    for (Job::Name& left : std::exchange(job->names, {})) job->failures.push_back({std::move(left.address), late});
    co_return std::unexpected(job->report(woken.error().code()));
  }
}

void Dialer::start_due(const JobPtr& job, Nursery& race) {
  while (!job->names.empty() && job->resolving < options_.max_resolving) {
    Job::Name next = std::move(job->names.front());
    job->names.erase(job->names.begin());
    ++job->resolving;
    race.spawn(look_up(job, std::move(next.address), next.named));
  }
  const SteadyTime now = lane_.now();
  while (!job->waiting.empty() && job->running < options_.max_attempts_per_peer) {
    if (job->waiting.front().due > now && job->running > 0) return;
    Multiaddr address = std::move(job->waiting.front().address);
    job->waiting.erase(job->waiting.begin());
    ++job->running;
    race.spawn(attempt(job, std::move(address)));
  }
}

Task<void> Dialer::attempt(JobPtr job, Multiaddr address) {
  Result<Connection> connection = co_await dial_one(job->peer, address);
  --job->running;
  job->changed.notify_all();
  if (connection && job->won) {
    nursery_.spawn(close_unused(std::move(*connection)));
    co_return;
  }
  if (!connection) {
    failed(*job, std::move(address), connection.error());
    co_return;
  }
  Result<void> adopted = owner_.add_connection(std::move(*connection));
  backoff_.succeeded(job->peer);
  if (adopted)
    job->won = true;
  else
    job->failures.push_back({std::move(address), adopted.error()});
}

Task<void> Dialer::look_up(JobPtr job, Multiaddr name, bool named) {
  // The peer is part of the query, so that records of other peers are skipped.
  Task<Result<std::vector<Multiaddr>>> resolving = resolve(net_, name.with_peer(job->peer), options_.resolve);
  Result<std::vector<Multiaddr>> found = co_await std::move(resolving);
  --job->resolving;
  job->changed.notify_all();
  if (!found) {
    failed(*job, std::move(name), found.error());
    co_return;
  }
  for (Multiaddr& address : *found) address = address.without_peer();
  const std::vector<Multiaddr> none;
  add(*job, named ? *found : none, named ? none : *found);
}

/// Neither a cancellation because another address was faster nor a local refusal counts as a failure of the address.
void Dialer::failed(Job& job, Multiaddr address, Error error) {
  if (error.code() == describe(DialErrc::refused_here))
    error = Error(*error.cause());
  else if (!error.is(Errc::cancelled))
    backoff_.failed(job.peer, address, lane_.now());
  job.failures.push_back({std::move(address), std::move(error)});
}

Task<Result<Connection>> Dialer::dial_one(crypto::PeerId peer, Multiaddr address) {
  while (attempts_ >= options_.max_attempts) CO_TRY_VOID(co_await slot_free_.wait());
  const AttemptSlot slot(*this);
  Transport* transport = owner_.transport_for(address);
  if (transport == nullptr) co_return fail(Errc::unsupported, "no transport handles it");
  Task<Result<Connection>> dialing = transport->dial(std::move(address), peer);
  co_return co_await with_timeout(options_.attempt_timeout, std::move(dialing));
}

Task<void> Dialer::close_unused(Connection connection) { co_await connection.muxer->close(); }

namespace {

DialOutcome outcome_of(const Result<void>& result) {
  if (result) return DialOutcome::connected;
  if (result.error().is(Errc::deadline_exceeded)) return DialOutcome::timed_out;
  return result.error().is(Errc::cancelled) ? DialOutcome::cancelled : DialOutcome::failed;
}

}  // namespace

void Dialer::publish(const JobPtr& job, Result<void> result) {
  if (job->result) return;
  ++outcomes_[outcome_of(result)];
  job->result = std::move(result);
  const auto it = jobs_.find(job->peer);
  if (it != jobs_.end() && it->second == job) jobs_.erase(it);
  job->done.notify_all();
}

}  // namespace dms::libp2p
