import Foundation
import StableDiffusion
import TestSupport
import Testing

struct ModelInspectionTests {
  @Test func describesACheckpoint() throws {
    let path = Fixtures.folder.appendingPathComponent("modules/sd2").path
    let inspection = try ModelInspection(Checkpoint(path: path))
    #expect(inspection.isComplete && !inspection.hasTemporalLayers && inspection.padToken == "!")
    for line in [
      "model            \(path)\n", "\nprediction       v_prediction\n", "linear projections",
      "1000 training steps, scaled_linear betas",
      "unet/diffusion_pytorch_model.safetensors.index.json: ", "parameters, F16, ", "padded with \"!\"",
    ] {
      #expect(inspection.text.contains(line), "\(line)\n\(inspection.text)")
    }
    let tuned = Fixtures.oracle.appendingPathComponent("models/tinyA_tuned").path
    #expect(try ModelInspection(Checkpoint(path: tuned)).hasTemporalLayers)
  }

  @Test func listsWhatDoesNotFit() throws {
    try Fixtures.withTemporaryFolder { folder in
      let source = Fixtures.folder.appendingPathComponent("modules/three")
      let file = try SafetensorsFile(
        path: source.appendingPathComponent("vae/diffusion_pytorch_model.safetensors").path)
      // Without one tensor, with another reshaped, and with one more.
      var tensors: [(name: String, shape: [Int], values: SafetensorsWriter.Values)] = []
      for name in file.names where name != "decoder.conv_in.bias" {
        let shape = name == "decoder.conv_out.bias" ? [3, 1] : file.shape(of: name) ?? []
        tensors.append((name, shape, .float32(try file.tensor(name).floats)))
      }
      tensors.append(("decoder.extra", [1], .float32([0])))
      let path = try copyModel(source, to: folder, replacing: ["vae/diffusion_pytorch_model.safetensors": nil])
      try SafetensorsWriter.write(path + "/vae/diffusion_pytorch_model.safetensors", tensors: tensors)
      let inspection = try ModelInspection(Checkpoint(path: path))
      #expect(!inspection.isComplete)
      for line in [
        "\nerror: vae: missing decoder.conv_in.bias [",
        "\nerror: vae: decoder.conv_out.bias has the shape [3, 1], the configuration wants [3]",
        "\nwarning: vae: decoder.extra is not part of this network; an edit refuses it",
      ] {
        #expect(inspection.text.contains(line), "\(line)\n\(inspection.text)")
      }
    }
  }
}
