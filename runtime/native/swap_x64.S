// Swap on x86-64 (System V ABI, Linux). What a context is to user space:
//   rsp              its stack
//   fs base          its thread-locals (and struct pthread); read and written without the kernel by FSGSBASE
//   rbp rbx r12-r15  the registers a callee must keep
//   mxcsr, x87 cw    floating-point control, which the ABI also makes the callee's to keep
// Everything else is dead across a call by the ABI, so a switch that is a call need not keep it.
// Signal masks are not touched: the kernel thread, and so its mask, stays the same.
//
// struct { void* sp; void* tp; }: the kept registers lie on the context's own stack, below sp.
#if defined(__x86_64__) && defined(__linux__)
#define SYS_clone 56
#define SYS_exit 60
#define SYS_futex 202
#define SYS_set_tid_address 218
#define FUTEX_WAKE_PRIVATE 129

.text

.macro SAVE into
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (\into)
  rdfsbase %rax
  movq %rax, 8(\into)
.endm

.macro RESTORE                          // rsp and fs base are already the context's
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.endm

// void runtime_swap(Registers* from, const Registers* to)
.globl runtime_swap
.hidden runtime_swap
.type runtime_swap, @function
runtime_swap:
  SAVE %rdi
  movq (%rsi), %rsp
  movq 8(%rsi), %rax
  wrfsbase %rax
  RESTORE
.size runtime_swap, .-runtime_swap

// void runtime_detach(Registers* from, int* detached, int* alive)
// Saves the context and lets its kernel thread end. Returns, in a later life, on the carrier's kernel thread.
// After the store to *detached the context may run elsewhere at once, so from there on no instruction here may
// touch its stack. The kernel must not clear the tid that it was told at the thread's start to clear: the slot
// lives on in the context. It is told to clear *alive instead, as the very last thing: until then it may still write to
// the context's memory itself (restartable sequences, when the thread is preempted), and that must stay mapped.
.globl runtime_detach
.hidden runtime_detach
.type runtime_detach, @function
runtime_detach:
  SAVE %rdi
  movq %rsi, %rbx
  movl $SYS_set_tid_address, %eax
  movq %rdx, %rdi
  syscall
  movl $1, (%rbx)
  movl $SYS_futex, %eax
  movq %rbx, %rdi
  movl $FUTEX_WAKE_PRIVATE, %esi
  movl $1, %edx
  xorl %r10d, %r10d
  syscall
1:
  movl $SYS_exit, %eax
  xorl %edi, %edi
  syscall
  jmp 1b
.size runtime_detach, .-runtime_detach

// long runtime_attach(const Registers* context, int* tid_slot, unsigned long clone_flags)
// The reverse: a new kernel thread continues the context, for it to end as libc wants threads to end.
// Returns the thread's id, or -errno, to the caller.
.globl runtime_attach
.hidden runtime_attach
.type runtime_attach, @function
runtime_attach:
  movq %rdx, %r9                        // clone_flags
  movq 8(%rdi), %r8                     // tls
  movq %rsi, %rdx                       // parent_tid: set before the thread runs
  movq %rsi, %r10                       // child_tid: cleared when it has ended, for pthread_join
  movq (%rdi), %rsi                     // its stack
  movq %r9, %rdi
  movl $SYS_clone, %eax
  syscall
  testq %rax, %rax
  jz 1f
  ret
1:
  RESTORE
.size runtime_attach, .-runtime_attach

#endif
.section .note.GNU-stack, "", @progbits
