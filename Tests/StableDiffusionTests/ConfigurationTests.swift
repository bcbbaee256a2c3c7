import Foundation
import StableDiffusion
import TestSupport
import Testing

struct ConfigurationTests {
  private static let models = Fixtures.oracle.appendingPathComponent("models")

  @Test func readsTheConfigurationsOfTheTraces() throws {
    let a = try UNetConfiguration(path: Self.models.appendingPathComponent("tinyA/unet/config.json").path)
    #expect(a.blockOutChannels == [24, 32, 48, 48] && a.attentionHeads == [4, 4, 4, 4] && !a.usesLinearProjection)
    #expect(
      a.downBlockHasAttention == [true, true, true, false] && a.upBlockHasAttention == [false, true, true, true])
    let b = try UNetConfiguration(path: Self.models.appendingPathComponent("tinyB/unet/config.json").path)
    #expect(b.attentionHeads == [2, 3, 5, 4] && b.usesLinearProjection && b.crossAttentionDimension == 24)
    let tuned = try UNetConfiguration(path: Self.models.appendingPathComponent("tinyA_tuned/unet/config.json").path)
    #expect(tuned == a)
    let vae = try AutoencoderConfiguration(path: Self.models.appendingPathComponent("tinyA/vae/config.json").path)
    #expect(vae.downscaleFactor == 8 && vae.scalingFactor == 0.18215 && vae.usesQuantConvolution)
    let text = try TextEncoderConfiguration(
      path: Self.models.appendingPathComponent("tinyB/text_encoder/config.json").path)
    #expect(text.activation == .gelu && text.layers == 3 && text.hiddenSize == 24)
    let scheduler = try SchedulerConfiguration(
      path: Self.models.appendingPathComponent("tinyA/scheduler/scheduler_config.json").path)
    #expect(scheduler.betaSchedule == .scaledLinear(start: 0.00085, end: 0.012))
    #expect(scheduler.stepsOffset == 1 && !scheduler.setsAlphaToOne && scheduler.predictionType == .epsilon)
  }

  @Test func readsThePublishedConfigurations() throws {
    for (name, heads, prediction) in [("sd15", [8, 8, 8, 8], "epsilon"), ("sd21", [5, 10, 20, 20], "v_prediction")] {
      let folder = Fixtures.folder.appendingPathComponent("layouts/\(name)").path
      #expect(try UNetConfiguration(path: folder + "/unet/config.json").attentionHeads == heads)
      #expect(try AutoencoderConfiguration(path: folder + "/vae/config.json").downscaleFactor == 8)
      #expect(try TextEncoderConfiguration(path: folder + "/text_encoder/config.json").maximumPositions == 77)
      let scheduler = try SchedulerConfiguration(path: folder + "/scheduler/scheduler_config.json")
      #expect(scheduler.predictionType.rawValue == prediction)
    }
  }

  struct Case: Sendable {
    let part: String, key: String, value: String, message: String
    let kind: ModelError.Kind
    init(_ part: String, _ key: String, _ value: String, _ message: String, _ kind: ModelError.Kind = .badData) {
      (self.part, self.key, self.value, self.message, self.kind) = (part, key, value, message, kind)
    }
  }

  private static let cases: [Case] = [
    // Absurd numbers.
    Case("unet", "block_out_channels", "[]", "block_out_channels is []; it must be a list of 1 to 8"),
    Case(
      "unet", "block_out_channels", "[24, 32, 48, 0]",
      "block_out_channels is 0; it must be an integer from 1 to "
        + "16384"),
    Case("unet", "block_out_channels", "[24, 32, 48, -48]", "block_out_channels is -48"),
    Case(
      "unet", "block_out_channels", "[24, 32, 48, 9223372036854775807]", "block_out_channels is 9223372036854775807"),
    Case("unet", "block_out_channels", "[24, 32, 48, 1e300]", "block_out_channels is 1e+300"),
    Case("unet", "block_out_channels", "320", "must be a list"),
    Case("unet", "block_out_channels", "[23, 32, 48, 48]", "23 channels on level 0 do not divide"),
    Case("unet", "layers_per_block", "1000000000000", "layers_per_block is 1000000000000"),
    Case("unet", "layers_per_block", "[1, 2, 1, 2]", "only the same number on all levels", .unsupported),
    Case("unet", "attention_head_dim", "0", "attention_head_dim is 0"),
    Case("unet", "attention_head_dim", "7", "do not divide into 7 heads"),
    Case("unet", "attention_head_dim", "[4, 4]", "a list of 4 integers"),
    Case("unet", "attention_head_dim", "\"4\"", "attention_head_dim is \"4\""),
    Case("unet", "norm_num_groups", "0", "norm_num_groups is 0"),
    Case("unet", "norm_num_groups", "7", "do not divide into norm_num_groups 7"),
    Case("unet", "norm_eps", "-1", "norm_eps is -1"),
    Case("unet", "norm_eps", "\"x\"", "norm_eps is \"x\""),
    Case("unet", "cross_attention_dim", "99999999999", "cross_attention_dim is 99999999999"),
    Case("unet", "use_linear_projection", "1", "use_linear_projection is 1; it must be true or false"),
    Case("unet", "down_block_types", "[\"DownBlock2D\"]", "a list of 4 to 4 names"),
    Case("unet", "freq_shift", "1e9", "freq_shift is"),
    // Other kinds of models.
    Case("unet", "in_channels", "9", "inpainting", .unsupported),
    Case("unet", "in_channels", "8", "InstructPix2Pix", .unsupported),
    Case("unet", "addition_embed_type", "\"text_time\"", "Stable Diffusion XL", .unsupported),
    Case("unet", "class_embed_type", "\"timestep\"", "class embeddings", .unsupported),
    Case("unet", "num_class_embeds", "10", "class embeddings", .unsupported),
    Case("unet", "dual_cross_attention", "true", "dual_cross_attention is true", .unsupported),
    Case("unet", "only_cross_attention", "[true, true, true, false]", "only_cross_attention", .unsupported),
    Case("unet", "act_fn", "\"gelu\"", "only \"silu\"", .unsupported),
    Case("unet", "transformer_layers_per_block", "[1, 2, 10, 1]", "only one transformer block", .unsupported),
    Case("unet", "resnet_time_scale_shift", "\"scale_shift\"", "only \"default\"", .unsupported),
    Case(
      "unet", "down_block_types", "[\"KDownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\"]",
      "\"KDownBlock2D\"", .unsupported),
    Case("vae", "block_out_channels", "[]", "a list of 1 to 8"),
    Case("vae", "latent_channels", "1000000", "latent_channels is 1000000"),
    Case("vae", "norm_num_groups", "5", "do not divide into norm_num_groups 5"),
    Case("vae", "scaling_factor", "0", "scaling_factor is 0"),
    Case("vae", "shift_factor", "0.1", "Stable Diffusion 3", .unsupported),
    Case("vae", "in_channels", "4", "three channels", .unsupported),
    Case("text_encoder", "hidden_act", "\"relu\"", "hidden_act is \"relu\"", .unsupported),
    Case("text_encoder", "num_hidden_layers", "-1", "num_hidden_layers is -1"),
    Case("text_encoder", "vocab_size", "4611686018427387904", "vocab_size is 4611686018427387904"),
    Case("text_encoder", "num_attention_heads", "5", "does not divide into 5 heads"),
    Case("scheduler", "num_train_timesteps", "0", "num_train_timesteps is 0"),
    Case("scheduler", "num_train_timesteps", "1e12", "num_train_timesteps is"),
    Case("scheduler", "steps_offset", "1000", "leaves no step of 1000"),
    Case("scheduler", "beta_start", "2", "beta_start is 2"),
    Case("scheduler", "beta_schedule", "\"sigmoid\"", "beta_schedule is \"sigmoid\"", .unsupported),
    Case("scheduler", "trained_betas", "[0.1, 2.5]", "trained_betas is 2.5"),
    Case("scheduler", "trained_betas", "[]", "has 0 numbers"),
    Case("scheduler", "prediction_type", "\"sample\"", "prediction_type is \"sample\"", .unsupported),
    Case("scheduler", "clip_sample", "true", "clipped samples cannot be inverted", .unsupported),
    Case("scheduler", "clip_sample", "null", "absent, which means true", .unsupported),
    Case("scheduler", "thresholding", "true", "thresholded", .unsupported),
    Case("scheduler", "timestep_spacing", "\"uniform\"", "leading, trailing and linspace are", .unsupported),
    Case("scheduler", "_class_name", "\"FlowMatchEulerDiscreteScheduler\"", "rectified flow", .unsupported),
  ]

  @Test(arguments: cases)
  func refuses(_ bad: Case) throws {
    try Fixtures.withTemporaryFolder { folder in
      let name = bad.part == "scheduler" ? "scheduler_config.json" : "config.json"
      let value = try JSONSerialization.jsonObject(with: Data(bad.value.utf8), options: .fragmentsAllowed)
      let url = folder.appendingPathComponent(name)
      // The file is PNDM's, which never clips.
      let changes = (bad.part == "scheduler" ? ["_class_name": "DDIMScheduler"] : [:]).merging([bad.key: value]) { $1 }
      try json(Self.models.appendingPathComponent("tinyA/\(bad.part)/\(name)"), with: changes).write(to: url)
      let error = modelError { try Self.read(bad.part, url.path) }
      #expect(error?.kind == bad.kind)
      #expect(error?.text.contains(bad.message) == true, "\(error?.text ?? "no error")")
      #expect(error?.text.contains(url.path) == true)
    }
  }

  private static func read(_ part: String, _ path: String) throws {
    switch part {
    case "unet": _ = try UNetConfiguration(path: path)
    case "vae": _ = try AutoencoderConfiguration(path: path)
    case "text_encoder": _ = try TextEncoderConfiguration(path: path)
    default: _ = try SchedulerConfiguration(path: path)
    }
  }

  @Test(arguments: [
    ("", "is empty"), ("{", "is not the JSON"), ("[1]", "is not the JSON"), ("{\"norm_eps\": 1e999}", "norm_eps"),
    (String(repeating: "[", count: 200_000), "deeper than 64"),
    ("{\"a\":" + String(repeating: "{\"a\":", count: 100_000), "deeper than 64"),
    (String(repeating: " ", count: 2 << 20), "more than the"),
  ])
  func refusesWhatIsNoConfiguration(_ text: String, _ message: String) throws {
    try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("config.json")
      try Data(text.utf8).write(to: url)
      for part in ["unet", "vae", "text_encoder", "scheduler"] {
        let error = modelError { try Self.read(part, url.path) }
        if text.contains("1e999"), part != "unet", error == nil { continue }
        #expect(
          error?.text.contains(message) == true || error?.text.contains("JSON") == true,
          "\(part): \(error?.text ?? "no error")")
      }
    }
  }

  @Test func absentKeysTakeTheDefaultsOfDiffusers() throws {
    try Fixtures.withTemporaryFolder { folder in
      let url = folder.appendingPathComponent("config.json")
      try Data("{\"clip_sample\": false}".utf8).write(to: url)
      let scheduler = try SchedulerConfiguration(path: url.path)
      #expect(scheduler.betaSchedule == .linear(start: 0.0001, end: 0.02))
      #expect(scheduler.trainingSteps == 1000 && scheduler.stepsOffset == 0 && scheduler.setsAlphaToOne)
      let unet = try UNetConfiguration(path: url.path)
      #expect(unet.blockOutChannels == [320, 640, 1280, 1280] && unet.attentionHeads == [8, 8, 8, 8])
      #expect(unet.crossAttentionDimension == 1280 && unet.flipsSineToCosine && unet.sampleSize == nil)
      #expect(try AutoencoderConfiguration(path: url.path).blockOutChannels == [64])
    }
  }
}
