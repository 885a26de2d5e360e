// Handoff: every context is a real thread, and the right to run is passed on with a semaphore.
// Portable (libuv only), and slower than a swap by the price of two kernel switches a pair.
#include <uv.h>

#include "machine_context.h"
#include "stacks.h"

namespace runtime {
namespace {

class HandoffContext : public MachineContext {
 public:
  HandoffContext() { uv_sem_init(&turn_, 0); }
  ~HandoffContext() override { uv_sem_destroy(&turn_); }

  int Start(Entry entry, void* argument, size_t stack_size) {
    entry_ = entry;
    argument_ = argument;
    stack_size_ = stack_size;
    uv_thread_options_t options{};
    options.flags = UV_THREAD_HAS_STACK_SIZE;
    options.stack_size = stack_size;
    return uv_thread_create_ex(&thread_, &options, &HandoffContext::Main, this);
  }

  void SwitchTo(MachineContext* to) override {
    uv_sem_post(&static_cast<HandoffContext*>(to)->turn_);
    uv_sem_wait(&turn_);
  }

  bool Finish() override {
    uv_sem_post(&turn_);
    return uv_thread_join(&thread_) == 0;
  }

#if defined(__linux__)
  void Trim() override { TrimStack(stack_low_, stack_top_); }
#endif

 private:
  static void Main(void* self) {
    auto* context = static_cast<HandoffContext*>(self);
    // The frames of the thread's start, its thread-locals and its guard page come out of the same stack_size.
    constexpr size_t kStartOfThread = 32 * 1024;
    context->stack_top_ = reinterpret_cast<uintptr_t>(&context);
    context->stack_low_ = context->stack_top_ - context->stack_size_ + kStartOfThread;
    uv_sem_wait(&context->turn_);
    context->entry_(context->argument_);
  }

  uv_sem_t turn_;
  uv_thread_t thread_;
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  size_t stack_size_ = 0;
  uintptr_t stack_top_ = 0;
};

class HandoffSwitch : public Switch {
 public:
  std::unique_ptr<MachineContext> Adopt() override { return std::make_unique<HandoffContext>(); }

  std::vector<std::unique_ptr<MachineContext>> Create(const std::vector<Request>& requests, size_t stack_size,
                                                      std::string* error) override {
    std::vector<std::unique_ptr<MachineContext>> created;
#if defined(__linux__)
    if (!LeavesRoom(error)) return created;
#endif
    for (const Request& request : requests) {
      auto context = std::make_unique<HandoffContext>();
      if (int code = context->Start(request.entry, request.argument, stack_size)) {
        *error = std::string("the system refused another thread (") + uv_strerror(code) + ")";
        break;
      }
      created.push_back(std::move(context));
    }
    return created;
  }
};

}  // namespace

std::unique_ptr<Switch> CreateHandoff(std::string*) { return std::make_unique<HandoffSwitch>(); }

}  // namespace runtime
