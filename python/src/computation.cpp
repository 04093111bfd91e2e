#include "computation.h"

#include <chrono>
#include <thread>
#include <utility>

namespace lille::python {
namespace {

namespace py = pybind11;

// How long Ctrl-C may wait. Python's handler of a signal only takes a note, which somebody has to look for.
constexpr std::chrono::milliseconds kBetweenSignalChecks{20};

bool in_main_thread() {
  const py::object main = py::module_::import("threading").attr("main_thread")().attr("ident");
  return main.cast<unsigned long>() == PyThread_get_thread_ident();
}

}  // namespace

void Computation::run(const std::function<void()>& work) {
  if (!in_main_thread()) return run_here(work);
  run_beside(work);
  rethrow_errors();
}

void Computation::run_here(const std::function<void()>& work) {
  computes_beside_ = false;
  {
    const py::gil_scoped_release released;
    try {
      work();
    } catch (...) {
      work_error_ = std::current_exception();
    }
  }
  rethrow_errors();
}

void Computation::call_python(const std::function<void()>& call) {
  if (!computes_beside_) {
    const py::gil_scoped_acquire acquired;
    try {
      return call();
    } catch (...) {
      keep_python_error();
      throw;
    }
  }
  std::unique_lock lock(mutex_);
  call_ = &call;
  changed_.notify_all();
  changed_.wait(lock, [this] { return call_ == nullptr; });
  if (python_error_) std::rethrow_exception(python_error_);
}

void Computation::run_beside(const std::function<void()>& work) {
  const py::gil_scoped_release released;
  is_over_ = false;
  computes_beside_ = true;
  std::thread worker([this, &work] { work_beside(work); });
  {
    std::unique_lock lock(mutex_);
    while (!is_over_) {
      changed_.wait_for(lock, kBetweenSignalChecks, [this] { return is_over_ || call_ != nullptr; });
      if (!is_over_) serve(lock);
    }
  }
  worker.join();
}

void Computation::work_beside(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    work_error_ = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  is_over_ = true;
  changed_.notify_all();
}

// Runs the call that the work waits for, if there is one, and looks for signals.
void Computation::serve(std::unique_lock<std::mutex>& lock) {
  const std::function<void()>* call = call_;
  lock.unlock();
  {
    const py::gil_scoped_acquire acquired;
    try {
      if (call != nullptr && !python_error_) (*call)();
      if (!python_error_ && PyErr_CheckSignals() != 0) throw py::error_already_set();
    } catch (...) {
      keep_python_error();
    }
  }
  lock.lock();
  if (call == nullptr) return;
  call_ = nullptr;
  changed_.notify_all();
}

void Computation::keep_python_error() noexcept {
  python_error_ = std::current_exception();
  stop_.request_stop();
}

void Computation::rethrow_errors() {
  const std::exception_ptr work_error = std::exchange(work_error_, nullptr);
  // The copy that call_python threw may be the last one; it goes where the GIL is held.
  if (python_error_) std::rethrow_exception(std::exchange(python_error_, nullptr));
  if (work_error) std::rethrow_exception(work_error);
}

SharedCallable share_callable(py::object callable) {
  return {new py::object(std::move(callable)), [](py::object* held) {
            const py::gil_scoped_acquire acquired;
            delete held;
          }};
}

}  // namespace lille::python
