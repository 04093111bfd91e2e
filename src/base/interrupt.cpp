#include "base/interrupt.h"

#include <semaphore.h>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace lille {
namespace {

// std::stop_source may not be used in a signal handler, sem_post may: a thread waits and passes it on. A
// handler has no other way to its object than these. They live for the whole process, so that a signal that
// is late finds them.
struct SignalState {
  sem_t wake;
  std::atomic<bool> is_interrupted = false;
  struct sigaction before {};
  struct sigaction before_terminate {};
  SignalState() { ::sem_init(&wake, 0, 0); }
};
static_assert(std::atomic<bool>::is_always_lock_free);

SignalState& signal_state() noexcept {
  static SignalState instance;
  return instance;
}

extern "C" void on_interrupt(int) {
  const int reason = errno;
  signal_state().is_interrupted = true;
  ::sem_post(&signal_state().wake);
  errno = reason;
}

}  // namespace

Interrupts::Interrupts(Signals signals) : signals_(signals) {
  SignalState& state = signal_state();
  while (::sem_trywait(&state.wake) == 0) continue;
  state.is_interrupted = false;
  watcher_ = std::jthread([this](const std::stop_token& is_over) { watch(is_over); });
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &state.before);
  if (signals_ == Signals::kInterruptAndTerminate) ::sigaction(SIGTERM, &action, &state.before_terminate);
}

Interrupts::~Interrupts() {
  ::sigaction(SIGINT, &signal_state().before, nullptr);
  if (signals_ == Signals::kInterruptAndTerminate)
    ::sigaction(SIGTERM, &signal_state().before_terminate, nullptr);
  watcher_.request_stop();
  ::sem_post(&signal_state().wake);
}

void Interrupts::forget() {
  const std::scoped_lock lock(mutex_);
  signal_state().is_interrupted = false;
  source_ = std::stop_source();
}

std::stop_token Interrupts::token() {
  const std::scoped_lock lock(mutex_);
  return source_.get_token();
}

void Interrupts::watch(const std::stop_token& is_over) {
  while (!is_over.stop_requested()) {
    ::sem_wait(&signal_state().wake);
    std::stop_source source;
    {
      const std::scoped_lock lock(mutex_);
      if (!signal_state().is_interrupted.exchange(false)) continue;
      source = source_;
    }
    source.request_stop();
  }
}

}  // namespace lille
