{
  "targets": [
    {
      "target_name": "runtime",
      "sources": [
        "runtime/native/binding.cc",
        "runtime/native/cached_files.cc",
        "runtime/native/coroutine.cc",
        "runtime/native/datagram.cc",
        "runtime/native/deafen.cc",
        "runtime/native/file_jobs.cc",
        "runtime/native/file_work.cc",
        "runtime/native/handoff.cc",
        "runtime/native/monitor.cc",
        "runtime/native/origin.cc",
        "runtime/native/readiness.cc",
        "runtime/native/stacks.cc",
        "runtime/native/swap.cc",
        "runtime/native/transfer.cc"
      ],
      "conditions": [
        ["OS=='linux' and target_arch=='x64'", { "sources": ["runtime/native/swap_x64.S"] }],
        ["OS=='linux' and target_arch=='arm64'", { "sources": ["runtime/native/swap_arm64.S"] }],
        ["OS!='win'", { "cflags_cc": ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-cast-function-type"] }]
      ]
    }
  ]
}
