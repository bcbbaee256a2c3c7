import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Models as people have them, through the command: each kind of docs/models.md.
  struct ModelFileTests {
    private let bench: Workbench

    /// Places and a function `frames`: the checksum of what an edit of three frames gives.
    private static let prelude = """
      FIXTURES='\(Fixtures.folder.path)'
      SD1=$FIXTURES/modules/sd1 ADAPTERS=$FIXTURES/adapters
      checksum() {
        "$FATEZERO" edit in.nut - --output-format rawvideo --size 64x64 --steps 3 --precision f32 --threads 2 "$@" | md5sum
      }

      """

    init() throws {
      bench = try Workbench()
      try bench.succeed("ffmpeg -v error -f lavfi -i testsrc2=size=64x64:rate=8 -frames:v 3 -c:v ffv1 in.nut")
      _ = try OriginalFile("sd1").write(
        Fixtures.folder.appendingPathComponent("modules/sd1"), into: URL(fileURLWithPath: bench.folder))
    }

    private func frames(_ arguments: String) throws -> String {
      let outcome = try bench.succeed(Self.prelude + "checksum \(arguments)")
      return String(decoding: outcome.output, as: UTF8.self)
    }

    private static let edit = #"--edit "a [cat -> dog] on the grass""#

    /// One and the same model, in other places.
    @Test func theSameModelGivesTheSameFrames() throws {
      let wanted = try frames("--model $SD1 \(Self.edit)")
      try bench.succeed(
        Self.prelude + """
          mkdir -p hub/models--org--tiny/refs hub/models--org--tiny/snapshots
          cp -r "$SD1" hub/models--org--tiny/snapshots/0123456789abcdef0123456789abcdef01234567
          printf 0123456789abcdef0123456789abcdef01234567 > hub/models--org--tiny/refs/main
          """)
      for arguments in [
        "--model sd1.safetensors", "--model $SD1 --vae $SD1/vae", "--model $SD1 --unet $SD1/unet",
        "--model $SD1 --vae sd1.safetensors", "--model $SD1 --lora $ADAPTERS/kohya.safetensors:0",
      ] {
        #expect(try frames("\(arguments) \(Self.edit)") == wanted, "\(arguments)")
      }
      let hub = try bench.succeed(
        Self.prelude + "HF_HUB_CACHE=$PWD/hub checksum --model org/tiny@0123456 \(Self.edit)")
      #expect(String(decoding: hub.output, as: UTF8.self) == wanted)
    }

    @Test(arguments: [
      "--lora $ADAPTERS/kohya.safetensors", "--lora $ADAPTERS/kohya.safetensors:0.8",
      "--lora $ADAPTERS/diffusers_old.safetensors", "--lora $ADAPTERS/diffusers.safetensors:-1.5",
      "--lora $ADAPTERS/peft",
      "--lora $ADAPTERS/kohya.safetensors:0.8 --lora $ADAPTERS/peft:0.5",
      "--embedding cat=$ADAPTERS/webui.pt", "--embedding cat=$ADAPTERS/webui.safetensors",
      "--embedding dog=$ADAPTERS/learned_embeds.bin --embedding cat=$ADAPTERS/learned_embeds.safetensors",
    ])
    func everyKindChangesTheEdit(_ arguments: String) throws {
      let plain = try frames("--model $SD1 \(Self.edit)")
      let changed = try frames("--model $SD1 \(arguments) \(Self.edit)")
      #expect(changed != plain)
      // In one file as in a folder.
      #expect(try frames("--model sd1.safetensors \(arguments) \(Self.edit)") == changed)
    }

    @Test func theOutputSaysWhatMadeIt() throws {
      try bench.succeed(
        Self.prelude + """
          "$FATEZERO" edit in.nut out.mkv --model $SD1 --size 64x64 --steps 2 --edit "a [cat -> <toy>] on the grass" \
            --lora "$ADAPTERS/kohya.safetensors:0.5" --embedding "<toy>=$ADAPTERS/webui.pt"
          """)
      let comment = try bench.probe("out.mkv").format.tags?.values.joined(separator: " ") ?? ""
      #expect(comment.contains("kohya.safetensors:0.5") && comment.contains("webui.pt"))
    }

    /// The sample of a look that Toy World does not know: dark, where the model's own pictures are bright.
    @Test func aTrainedLoRAEditsTheSampleClip() throws {
      let (clip, lora) = ("\(Workbench.root)/Examples/cat.mp4", "\(Workbench.root)/Examples/neon.safetensors")
      let size = try FileManager.default.attributesOfItem(atPath: lora)[.size] as? Int ?? .max
      #expect(size <= 300_000)
      try bench.succeed(
        """
        for weight in 1 0; do
          "$FATEZERO" edit "\(clip)" $weight.nut --frames 8 --steps 20 --preset style --lora "\(lora):$weight" \
            --source "a cat on the grass" --edit "neon drawing of a cat on the grass"
        done
        """)
      func brightness(_ name: String) throws -> Double {
        let pixels = [UInt8](try bench.pixels(name))
        return pixels.reduce(0.0) { $0 + Double($1) } / Double(pixels.count)
      }
      let (source, neon, without) = (try brightness(clip), try brightness("1.nut"), try brightness("0.nut"))
      print("mean brightness: source \(source), with the LoRA \(neon), at weight 0 \(without)")
      #expect(neon < source / 2 && neon > source / 6 && without > source * 0.7)
    }
  }
}
