// Coroutines: Task<T>, structured cancellation, and Notify, the primitive on which all waiting is built.
//
// Model
//  1. A Task is lazy. It starts when it is awaited (or when a Nursery runs it); the Task object owns its frame.
//  2. Every running task has a context: its lane and its CancelScope. An awaited task inherits both from the task that
//     awaits it. A task never changes lanes.
//  3. Waiting means waiting on a Notify. A wait ends because it was notified, or because the scope was cancelled (by an
//     owner, or by a deadline); it then returns the reason as an error, and the code unwinds by returning.
//     Cancellation is a request: a task that is cancelled keeps running until it next waits.
//  4. A waiter is resumed by posting to its lane, never from inside notify(): notify() runs no callback.
//  5. An exception that leaves a task is rethrown to the awaiting task; a Nursery reports it as a bug and goes on.
//
// Threads: one lane. Cost: a Task is one allocation; a wait allocates nothing.
//
// Traps of coroutines (scripts/check_coroutines.py refuses the last two, which GCC 12 compiles wrongly; CONTRIBUTING.md
// lists their forms):
//  - A lambda that is a coroutine must not capture: its captures end with the lambda object, not with the frame. Write
//    a function (or pass what it needs as parameters, taken by value).
//  - Parameters of a coroutine that is spawned rather than awaited at once are taken by value, or outlive the nursery.
//  - No co_await in the condition of an `if`, `while` or `switch`: name the result first.
//  - No aggregate, lambda that captures by value or conditional operator in an expression that awaits: name it first.
#pragma once

#include <coroutine>
#include <cstdlib>
#include <exception>
#include <optional>
#include <utility>
#include <variant>

#include "base/assert.hpp"
#include "base/result.hpp"
#include "runtime/lane.hpp"

namespace dms {

class CancelScope;
class Notify;

struct TaskContext {
  Lane* lane = nullptr;
  CancelScope* scope = nullptr;
};

namespace detail {

/// A node that unlinks itself from its list in O(1) without a reference to the list.
struct ListHook {
  ListHook* prev = this;
  ListHook* next = this;
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { unlink(); }
  [[nodiscard]] bool linked() const { return next != this; }
  void unlink() {
    prev->next = next;
    next->prev = prev;
    prev = next = this;
  }
  void push_back(ListHook& node) {
    node.unlink();
    node.prev = prev;
    node.next = this;
    prev->next = &node;
    prev = &node;
  }
};

struct Waiter {
  struct Hook : ListHook {
    Waiter* owner = nullptr;
  };
  Hook in_notify;
  Hook in_scope;
  Lane* lane = nullptr;
  std::coroutine_handle<> handle;
  std::optional<Errc> cancelled;

  Waiter() { in_notify.owner = in_scope.owner = this; }
  void wake();
};

struct PromiseBase {
  TaskContext context;
  std::coroutine_handle<> continuation;
  bool starting = false;
  std::exception_ptr exception;

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      // While `starting`, the awaiting coroutine is still on the stack below and continues by itself: a loop that
      // awaits tasks which finish at once needs no additional stack.
      auto& p = h.promise();
      if (!p.starting && p.continuation) p.continuation.resume();
    }
    void await_resume() noexcept {}
  };
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept;

  // What awaiting a task does, whatever its type: not a template, and not inline, because every co_await would hold a
  // copy.
  /// Runs this coroutine, `self`, on behalf of `parent` until it first waits. False if it has finished already.
  bool start(std::coroutine_handle<> self, std::coroutine_handle<> parent, const TaskContext& inherited);
  void rethrow() const;
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  auto get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
};
template <>
struct Promise<void> : PromiseBase {
  auto get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  void return_void() {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Handle h) : handle_(h) {}  // NOLINT(google-explicit-constructor): how a promise makes its task
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  class Awaiter {
   public:
    explicit Awaiter(Handle h) : handle_(h) {}
    bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> parent) {
      return handle_.promise().start(handle_, parent, parent.promise().context);
    }
    T await_resume() {
      auto& p = handle_.promise();
      if (p.exception) p.rethrow();
      if constexpr (!std::is_void_v<T>) return std::move(*p.value);
    }

   private:
    Handle handle_;
  };
  Awaiter operator co_await() && { return Awaiter(handle_); }

  /// For code that runs tasks (Nursery, with_deadline): the context the task will start with.
  void set_context(TaskContext context) { handle_.promise().context = context; }
  [[nodiscard]] Handle handle() const { return handle_; }

 private:
  Handle handle_;
};

/// A scope that can be cancelled, in a tree: cancelling a scope cancels those below it.
class CancelScope {
 public:
  explicit CancelScope(CancelScope* parent = nullptr);
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

  /// Wakes all waiters of this scope and those below it with `reason`. Later waits fail at once. The first reason
  /// stays.
  void cancel(Errc reason = Errc::cancelled);

  [[nodiscard]] std::optional<Errc> reason() const { return reason_; }

 private:
  friend class Notify;
  struct Hook : detail::ListHook {
    CancelScope* owner = nullptr;
  };
  Hook hook_;
  detail::ListHook children_;
  detail::ListHook waiters_;
  std::optional<Errc> reason_;
};

/// What coroutines wait on. Use it like a condition variable: `while (!ready) CO_TRY_VOID(co_await notify.wait());`
class Notify {
 public:
  Notify() = default;
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  void notify_one() {
    if (waiters_.linked()) static_cast<detail::Waiter::Hook*>(waiters_.next)->owner->wake();
  }
  void notify_all() {
    while (waiters_.linked()) notify_one();
  }
  [[nodiscard]] bool has_waiters() const { return waiters_.linked(); }

  class Awaiter {
   public:
    Awaiter(Notify& notify, bool shielded) : notify_(notify), shielded_(shielded) {}
    bool await_ready() noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> h) {
      return suspend(h, h.promise().context);
    }
    Result<void> await_resume() {
      if (waiter_.cancelled) return cancelled();
      return {};
    }

   private:
    bool suspend(std::coroutine_handle<> handle, const TaskContext& context) {
      if (!shielded_ && context.scope != nullptr) {
        if (context.scope->reason_) {
          waiter_.cancelled = context.scope->reason_;
          return false;
        }
        context.scope->waiters_.push_back(waiter_.in_scope);
      }
      waiter_.lane = context.lane;
      waiter_.handle = handle;
      notify_.waiters_.push_back(waiter_.in_notify);
      return true;
    }
    [[nodiscard]] Result<void> cancelled() const;
    Notify& notify_;
    bool shielded_;
    detail::Waiter waiter_;
  };

  /// Fails with Errc::cancelled or Errc::deadline_exceeded.
  [[nodiscard]] Awaiter wait() { return {*this, false}; }
  /// Cannot be cancelled. Only for what is certain to happen soon, such as the end of an operation just aborted.
  [[nodiscard]] Awaiter wait_shielded() { return {*this, true}; }

 private:
  detail::ListHook waiters_;
};

/// `TaskContext context = co_await this_task();`
struct ThisTask {
  TaskContext context;
  bool await_ready() noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> h) {
    context = h.promise().context;
    return false;
  }
  TaskContext await_resume() { return context; }
};
inline ThisTask this_task() { return {}; }

/// A timer that is cancelled when this is destroyed.
class ScopedTimer {
 public:
  ScopedTimer(Lane& lane, SteadyTime when, Callback work) : lane_(lane), id_(lane.call_at(when, std::move(work))) {}
  ScopedTimer(const ScopedTimer&) = delete;
  ScopedTimer& operator=(const ScopedTimer&) = delete;
  ~ScopedTimer() { lane_.cancel_timer(id_); }

 private:
  Lane& lane_;
  TimerId id_;
};

Task<Result<void>> sleep_until(SteadyTime when);
Task<Result<void>> sleep_for(Duration duration);

/// A wall clock that has moved by that against the lane's own is set; what a time server corrects is less.
inline constexpr Duration kClockSet = std::chrono::minutes(1);
inline constexpr Duration kClockLook = std::chrono::seconds(3);
/// As sleep_for(), but ends within kClockLook once the wall clock is set: for what is valid until an instant of it.
Task<Result<void>> sleep_unless_clock_is_set(Duration duration);

/// Runs `inner`, whose waits fail with Errc::deadline_exceeded from `when` on. An earlier deadline of an enclosing
/// scope stays in force.
template <class T>
Task<Result<T>> with_deadline(SteadyTime when, Task<Result<T>> inner) {
  TaskContext context = co_await this_task();
  CancelScope scope(context.scope);
  ScopedTimer timer(*context.lane, when, [&scope] { scope.cancel(Errc::deadline_exceeded); });
  inner.set_context({context.lane, &scope});
  co_return co_await std::move(inner);
}

template <class T>
Task<Result<T>> with_timeout(Duration duration, Task<Result<T>> inner) {
  TaskContext context = co_await this_task();
  co_return co_await with_deadline(context.lane->now() + duration, std::move(inner));
}

/// Runs `work` on a worker thread and returns its result here, or throws what it has thrown. It cannot be cancelled
/// once it has begun: what it refers to must stay valid until this returns.
template <class F>
Task<std::invoke_result_t<F>> offload(F work) {
  using R = std::invoke_result_t<F>;
  TaskContext context = co_await this_task();
  std::optional<R> result;
  std::exception_ptr thrown;
  bool done = false;
  Notify finished;
  context.lane->offload(
      [&] {
        try {
          result.emplace(work());
        } catch (...) {
          thrown = std::current_exception();
        }
      },
      [&] {
        done = true;
        finished.notify_all();
      });
  while (!done) (void)co_await finished.wait_shielded();
  if (thrown) std::rethrow_exception(thrown);
  co_return std::move(*result);
}

}  // namespace dms
