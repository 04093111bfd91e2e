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
struct Interrupts {
  sem_t wake;
  std::atomic<bool> is_interrupted = false;
  struct sigaction before {};
  Interrupts() { ::sem_init(&wake, 0, 0); }
};
static_assert(std::atomic<bool>::is_always_lock_free);

Interrupts& interrupts() noexcept {
  static Interrupts instance;
  return instance;
}

extern "C" void on_interrupt(int) {
  const int reason = errno;
  interrupts().is_interrupted = true;
  ::sem_post(&interrupts().wake);
  errno = reason;
}

void watch(const std::stop_token& is_over, std::stop_source source) {
  Interrupts& state = interrupts();
  while (!is_over.stop_requested()) {
    ::sem_wait(&state.wake);
    if (state.is_interrupted) source.request_stop();
  }
}

}  // namespace

StopOnInterrupt::StopOnInterrupt() {
  Interrupts& state = interrupts();
  while (::sem_trywait(&state.wake) == 0) continue;
  state.is_interrupted = false;
  watcher_ = std::jthread([source = source_](const std::stop_token& is_over) { watch(is_over, source); });
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &state.before);
}

StopOnInterrupt::~StopOnInterrupt() {
  ::sigaction(SIGINT, &interrupts().before, nullptr);
  watcher_.request_stop();
  ::sem_post(&interrupts().wake);
}

}  // namespace lille
