import Glibc

// Runs libFuzzer with its own arguments on the target that the environment names. Without one, it lists the targets with the
// lengths of their longest inputs.

/// libFuzzer's main function, from the run-time library that `-sanitize=fuzzer` links.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// What the callback, a C function, runs.
nonisolated(unsafe) private var target: (any FuzzTarget)?

// Not an argument: libFuzzer would take it for a folder of inputs, and starts itself anew with the arguments that it got.
guard let name = getenv("FUZZ_TARGET").map({ String(cString: $0) }) else {
  for target in fuzzTargets { print(target.name, target.maximumLength) }
  exit(0)
}
guard let type = fuzzTarget(named: name) else { fatalError("there is no target \(name)") }
target = try type.init(scratch: try ScratchFolder())

var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
let status = runDriver(&count, &arguments) { data, count in
  do { try target?.run(Array(UnsafeBufferPointer(start: data, count: count))) } catch { fatalError("\(error)") }
  return 0
}
exit(status)
