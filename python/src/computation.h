#pragma once

#include <pybind11/pybind11.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

namespace lille::python {

/// Something that the library computes for Python: without the GIL, ended by Ctrl-C, and able to ask Python
/// in between. Serves one thread at a time.
class Computation {
 public:
  /// To be given to the library as `cancel`.
  std::stop_token cancel() const { return stop_.get_token(); }

  /// Runs `work` without the GIL. In Python's main thread, the one that gets signals, a thread of its own
  /// computes, while this one looks for signals.
  /// @throws what `work` throws; what Python raised in a signal handler or in call_python, rather than how
  ///   `work` ended after it. Nothing more can be run after that.
  void run(const std::function<void()>& work);
  /// The same in the calling thread in any case: for work that is over in an instant.
  void run_here(const std::function<void()>& work);

  /// For `work`: runs `call` with the GIL, in the thread that called run().
  /// @throws what `call` throws.
  void call_python(const std::function<void()>& call);

 private:
  void run_beside(const std::function<void()>& work);
  void work_beside(const std::function<void()>& work);
  void serve(std::unique_lock<std::mutex>& lock);
  void keep_python_error() noexcept;
  void rethrow_errors();

  std::stop_source stop_;
  std::exception_ptr python_error_;  // raised by Python code
  std::exception_ptr work_error_;    // thrown by the work

  // Between the thread that computes and the one that waits for it.
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* call_ = nullptr;  // to be run by the one that waits
  bool computes_beside_ = false;
  bool is_over_ = false;
};

/// Holds a Python callable for C++ threads: may be copied and dropped without the GIL.
using SharedCallable = std::shared_ptr<pybind11::object>;
/// @param callable  not None.
SharedCallable share_callable(pybind11::object callable);

}  // namespace lille::python
