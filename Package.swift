// swift-tools-version: 6.1
import PackageDescription

// The layers, bottom up; an arrow never points up (docs/ARCHITECTURE.md).
let package = Package(
  name: "fatezero",
  products: [
    .executable(name: "fatezero", targets: ["FateZeroCommand"]),
    // Installed as libfatezero.so.0.
    .library(name: "FateZero", type: .dynamic, targets: ["FateZeroC"]),
    // Installed as frei0r-1/fatezero.so.
    .library(name: "frei0r-fatezero", type: .dynamic, targets: ["CFrei0rFateZero", "FateZeroC"]),
    // GStreamer's plug-in, libgstfatezero.so.
    .library(name: "gstfatezero", type: .dynamic, targets: ["CGstFateZero", "FateZeroC"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // C: libraries of the system, and the vector loops.
    .systemLibrary(name: "CDNNL", path: "CShims/CDNNL", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(
      name: "COpenBLAS", path: "CShims/COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(
      name: "CLibAV", path: "CShims/CLibAV", pkgConfig: "libavfilter libavformat libavcodec libswscale libavutil",
      providers: [.apt(["libavfilter-dev", "libavformat-dev", "libavcodec-dev", "libswscale-dev", "libavutil-dev"])]),
    .systemLibrary(
      name: "CYAML", path: "CShims/CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(
      name: "CGStreamer", path: "CShims/CGStreamer", pkgConfig: "gstreamer-video-1.0",
      providers: [.apt(["libgstreamer-plugins-base1.0-dev"])]),
    .systemLibrary(
      name: "CGstCheck", path: "CShims/CGstCheck", pkgConfig: "gstreamer-check-1.0 gstreamer-video-1.0",
      providers: [.apt(["libgstreamer1.0-dev"])]),
    .target(name: "CKernels", path: "CShims/CKernels", linkerSettings: [.linkedLibrary("gomp"), .linkedLibrary("m")]),

    // The C interface's header.
    .target(name: "CFateZero", path: "CShims/CFateZero"),

    // Text and files of strangers.
    .target(name: "Text"),
    .target(name: "Files", dependencies: ["Text"]),
    // Arithmetic: the only layer with pointers.
    .target(name: "Tensors", dependencies: ["CDNNL", "COpenBLAS", "CKernels"]),
    // Model.
    .target(name: "StableDiffusion", dependencies: ["Tensors", "Text"]),
    // Method.
    .target(name: "FateZero", dependencies: ["Files", "StableDiffusion", "Tensors", "Text"]),
    // The C interface.
    .target(name: "FateZeroC", dependencies: ["CFateZero", "FateZero", "StableDiffusion", "Tensors", "Text"]),
    // Media and configurations, for the command line only.
    .target(name: "MediaIO", dependencies: ["CLibAV", "Files", "Text"]),
    .target(name: "YAML", dependencies: ["CYAML"]),
    // What edits are measured by, for the command line only.
    .target(name: "Metrics", dependencies: ["MediaIO", "StableDiffusion", "Tensors"]),
    // Front ends.
    .target(name: "CFrei0rFateZero", dependencies: ["CFateZero"], path: "CShims/CFrei0rFateZero"),
    .target(name: "CGstFateZero", dependencies: ["CFateZero", "CGStreamer"], path: "CShims/CGstFateZero"),
    .executableTarget(
      name: "FateZeroCommand",
      dependencies: [
        "FateZero", "Files", "MediaIO", "Metrics", "StableDiffusion", "Text", "YAML",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/fatezero"),

    // `make bench` times it.
    .executableTarget(
      name: "Passes",
      dependencies: [
        "StableDiffusion", "Tensors", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks/Passes"),

    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .testTarget(name: "TextTests", dependencies: ["Text"]),
    .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"]),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
    .testTarget(name: "StableDiffusionTests", dependencies: ["StableDiffusion", "Tensors", "TestSupport"]),
    .testTarget(
      name: "FateZeroTests", dependencies: ["FateZero", "Files", "StableDiffusion", "Tensors", "TestSupport", "Text"]),
    .testTarget(name: "MediaIOTests", dependencies: ["MediaIO"]),
    .testTarget(
      name: "MetricsTests", dependencies: ["MediaIO", "Metrics", "StableDiffusion", "Tensors", "TestSupport"]),
    .testTarget(
      name: "CommandTests",
      dependencies: ["FateZeroCommand", "FateZero", "MediaIO", "StableDiffusion", "TestSupport", "YAML"]),
    .testTarget(
      name: "FateZeroCTests",
      dependencies: ["CFateZero", "FateZero", "FateZeroC", "StableDiffusion", "Tensors", "TestSupport"]
    ),
    .testTarget(name: "EndToEndTests", dependencies: ["TestSupport"], exclude: ["Programs"]),
    .testTarget(name: "Frei0rTests", dependencies: ["CFrei0rFateZero", "FateZeroC", "TestSupport"]),
    .testTarget(name: "GStreamerTests", dependencies: ["CGstCheck", "CGstFateZero", "FateZeroC", "TestSupport"]),
  ],
  swiftLanguageModes: [.v6]
)

// What reads files of strangers, fed with what libFuzzer makes of them: a test, which feeds it with the corpora; for `make fuzz`
// a program, which nobody else need build.
let fuzzed: [Target.Dependency] = [
  "CFateZero", "FateZero", "FateZeroC", "FateZeroCommand", "MediaIO", "StableDiffusion", "Tensors", "YAML",
]
if Context.environment["FATEZERO_FUZZ"] == nil {
  package.targets.append(
    .testTarget(
      name: "FuzzTests", dependencies: fuzzed + ["TestSupport"], path: "Fuzz/Sources", exclude: ["Fuzzer"],
      sources: ["Targets", "Replay"]))
} else {
  package.targets.append(
    .executableTarget(
      name: "Fuzzer",
      dependencies: fuzzed + ["Metrics", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Fuzz/Sources", exclude: ["Replay"], sources: ["Targets", "Fuzzer"]))
}
