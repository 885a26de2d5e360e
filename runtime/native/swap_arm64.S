// Swap on arm64 (AAPCS64, Linux). What a context is to user space:
//   sp           its stack
//   tpidr_el0    its thread-locals; user space may write it
//   x19-x28, x29 (frame), x30 (return address), d8-d15: what a callee must keep
//   fpcr         floating-point control
// x18 is left alone: on Linux it is a plain scratch register, or the shadow call stack of the kernel thread.
//
// struct { void* sp; void* tp; }: the kept registers lie on the context's own stack, below sp.
#if defined(__aarch64__) && defined(__linux__)
#define SYS_set_tid_address 96
#define SYS_futex 98
#define SYS_exit 93
#define SYS_clone 220
#define FUTEX_WAKE_PRIVATE 129
#define FRAME 176

.text

.macro SAVE into
  sub sp, sp, #FRAME
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mrs x9, fpcr
  str x9, [sp, #160]
  mov x9, sp
  mrs x10, tpidr_el0
  stp x9, x10, [\into]
.endm

.macro RESTORE                          // sp and tpidr_el0 are already the context's
  ldr x9, [sp, #160]
  msr fpcr, x9
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #FRAME
  ret
.endm

// void runtime_swap(Registers* from, const Registers* to)
.globl runtime_swap
.hidden runtime_swap
.type runtime_swap, %function
runtime_swap:
  SAVE x0
  ldp x9, x10, [x1]
  mov sp, x9
  msr tpidr_el0, x10
  RESTORE
.size runtime_swap, .-runtime_swap

// void runtime_detach(Registers* from, int* detached, int* alive)
// As on x86-64 (see there): no touch of the stack after the store. The store releases what SAVE wrote.
.globl runtime_detach
.hidden runtime_detach
.type runtime_detach, %function
runtime_detach:
  SAVE x0
  mov x19, x1
  mov x8, #SYS_set_tid_address
  mov x0, x2
  svc #0
  mov w9, #1
  stlr w9, [x19]
  mov x8, #SYS_futex
  mov x0, x19
  mov x1, #FUTEX_WAKE_PRIVATE
  mov x2, #1
  mov x3, #0
  svc #0
1:
  mov x8, #SYS_exit
  mov x0, #0
  svc #0
  b 1b
.size runtime_detach, .-runtime_detach

// long runtime_attach(const Registers* context, int* tid_slot, unsigned long clone_flags)
// clone on arm64 takes (flags, stack, parent_tid, tls, child_tid).
.globl runtime_attach
.hidden runtime_attach
.type runtime_attach, %function
runtime_attach:
  mov x9, x0
  mov x0, x2
  mov x2, x1
  mov x4, x1
  ldr x3, [x9, #8]
  ldr x1, [x9, #0]
  mov x8, #SYS_clone
  svc #0
  cbz x0, 1f
  ret
1:
  RESTORE
.size runtime_attach, .-runtime_attach

#endif
.section .note.GNU-stack, "", %progbits
