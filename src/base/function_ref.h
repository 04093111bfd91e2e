#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace lille {

template <typename Signature>
class FunctionRef;

/// A callable seen through two pointers: passes a lambda without copying it to the heap. It must not outlive
/// the callable, so it is for parameters only.
template <typename Result, typename... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <typename Callable>
  requires(!std::is_same_v<std::remove_cvref_t<Callable>, FunctionRef> &&
           std::is_invocable_r_v<Result, Callable&, Args...>) FunctionRef(Callable&& callable)
  noexcept  // NOLINT(google-explicit-constructor): lambdas are passed as they are
      : callable_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        call_([](void* address, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<Callable>*>(address))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(callable_, std::forward<Args>(args)...); }

 private:
  void* callable_;
  Result (*call_)(void*, Args...);
};

}  // namespace lille
