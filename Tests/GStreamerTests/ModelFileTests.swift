import Foundation
import TestSupport
import Testing

extension GStreamerTests {
  /// Models as people have them, in launch lines.
  struct ModelFileTests {
    private let launch: Launch

    init() throws {
      launch = try Launch()
      _ = try OriginalFile("sd1").write(
        Fixtures.folder.appendingPathComponent("modules/sd1"), into: URL(fileURLWithPath: launch.bench.folder))
    }

    private func frames(_ properties: String) throws -> String {
      try launch.succeed(
        """
        ADAPTERS='\(Fixtures.folder.path)/adapters' SD1='\(Fixtures.folder.path)/modules/sd1'
        gst -q videotestsrc num-buffers=2 ! video/x-raw,format=RGB,width=64,height=64,framerate=8/1 \
          ! fatezero size=64x64 steps=2 precision=f32 threads=2 "edit=a [cat -> dog] on the grass" \(properties) \
          ! filesink location=out.rgb
        md5sum < out.rgb
        """
      ).text
    }

    @Test func everyKindOfFile() throws {
      let plain = try frames("model=$SD1")
      #expect(try frames("model=sd1.safetensors vae=$SD1/vae unet=$SD1/unet") == plain)
      let lora = try frames("model=sd1.safetensors lora=$ADAPTERS/kohya.safetensors:0.8")
      #expect(lora != plain)
      #expect(try frames("model=$SD1 lora=$ADAPTERS/kohya.safetensors:0.8,$ADAPTERS/peft") != lora)
      #expect(try frames("model=$SD1 embedding=cat=$ADAPTERS/webui.pt") != plain)
    }

    @Test func whatIsNotThereIsSaid() throws {
      let outcome = try launch.run(
        """
        gst-launch-1.0 -q videotestsrc num-buffers=1 ! fatezero model=org/tiny edit=x ! fakesink
        """)
      #expect(outcome.status != 0 && outcome.errors.contains("hf download org/tiny"), "\(outcome.errors)")
    }
  }
}
