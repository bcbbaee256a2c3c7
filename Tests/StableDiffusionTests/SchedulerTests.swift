import Foundation
import Tensors
import TestSupport
import Testing

@testable import StableDiffusion

/// Schedules of diffusers' DDIMScheduler (Tests/Fixtures/make_scheduler_fixture.py), and what files for other samplers mean.
struct SchedulerTests {
  private struct Case: Decodable {
    let configuration: [String: JSONValue]
    let steps: Int
    let timesteps: [Int]
    let alphas: [Float]
    /// Step, latent, output, latent after it.
    let denoised: [[Double]], inverted: [[Double]]
  }

  @Test func spacingsAndZeroTerminalSNREqualDiffusers() throws {
    let cases = try JSONDecoder().decode(
      [Case].self, from: Data(contentsOf: Fixtures.folder.appendingPathComponent("scheduler.json")))
    #expect(cases.count > 40)
    let device = try Device(threads: 1)
    var largest: (alpha: Float, step: Float) = (0, 0)
    for item in cases {
      let configuration = try SchedulerConfiguration(JSONObject(path: "fixture", values: item.configuration))
      let scheduler = try DDIMScheduler(configuration, steps: item.steps)
      #expect(scheduler.timesteps == item.timesteps, "\(item.configuration) \(item.steps)")
      for (timestep, want) in zip(item.timesteps, item.alphas) {
        largest.alpha = max(largest.alpha, abs(scheduler.cumulativeAlphas[timestep] - want) / max(want, 1e-3))
      }
      for (rows, isInverse) in [(item.denoised, false), (item.inverted, true)] {
        for row in rows {
          let (z, e) = (try Tensor([Float(row[1])], shape: [1]), try Tensor([Float(row[2])], shape: [1]))
          let after =
            isInverse
            ? try scheduler.invert(z, output: e, step: Int(row[0]), device: device)
            : try scheduler.denoise(z, output: e, step: Int(row[0]), device: device)
          #expect(after.floats[0].isFinite)
          largest.step = max(largest.step, abs(after.floats[0] - Float(row[3])) / Float(max(abs(row[3]), 1)))
        }
      }
    }
    print("scheduler: \(cases.count) cases, largest differences \(largest.alpha) (alphas), \(largest.step) (latents)")
    #expect(largest.alpha < 1e-5 && largest.step < 1e-4)
  }

  /// Noise at a step without any signal says nothing; the steps that leave it out are as good as ever.
  @Test func noiseAtTheNoisiestStepIsRefused() throws {
    func scheduler(_ spacing: String, _ prediction: String) throws -> DDIMScheduler {
      try DDIMScheduler(
        SchedulerConfiguration(
          JSONObject(
            path: "x",
            values: [
              "clip_sample": .bool(false), "timestep_spacing": .string(spacing), "rescale_betas_zero_snr": .bool(true),
              "prediction_type": .string(prediction),
            ])), steps: 10)
    }
    for spacing in ["trailing", "linspace"] {
      #expect(modelError { _ = try scheduler(spacing, "epsilon") }?.text.contains("pure noise") == true)
      #expect(try scheduler(spacing, "v_prediction").cumulativeAlphas.last == 0)
    }
    #expect(try scheduler("leading", "epsilon").timesteps[0] == 900)
  }

  /// There and back with zero terminal SNR: no division by zero, and the same latents where the network says the same.
  @Test func invertsToPureNoiseAndBack() throws {
    let device = try Device(threads: 1)
    let scheduler = try DDIMScheduler(
      SchedulerConfiguration(
        JSONObject(
          path: "x",
          values: [
            "clip_sample": .bool(false), "timestep_spacing": .string("trailing"), "rescale_betas_zero_snr": .bool(true),
            "prediction_type": .string("v_prediction"), "beta_schedule": .string("scaled_linear"),
            "beta_start": .number(0.00085), "beta_end": .number(0.012),
          ])), steps: 25)
    #expect(scheduler.cumulativeAlpha(scheduler.timesteps[0]) == 0)
    // A network that knows the picture and the noise: its velocity is sqrt(a) e - sqrt(1 - a) z0.
    let (picture, noise): (Float, Float) = (0.75, -1.25)
    func velocity(_ timestep: Int) throws -> Tensor {
      let alpha = scheduler.cumulativeAlpha(timestep)
      return try Tensor([alpha.squareRoot() * noise - (1 - alpha).squareRoot() * picture], shape: [1])
    }
    let ratio = 1000 / 25
    var latents = try Tensor([picture], shape: [1])
    let start = scheduler.cumulativeAlpha(scheduler.inversionTimestep(0) - ratio)
    latents = try Tensor([start.squareRoot() * picture + (1 - start).squareRoot() * noise], shape: [1])
    for step in 0..<25 {
      latents = try scheduler.invert(
        latents, output: velocity(scheduler.inversionTimestep(step) - ratio), step: step, device: device)
    }
    #expect(abs(latents.floats[0] - noise) < 1e-4)
    for step in 0..<25 {
      latents = try scheduler.denoise(latents, output: velocity(scheduler.timesteps[step]), step: step, device: device)
    }
    print(
      "scheduler: there and back \(abs(latents.floats[0] - start.squareRoot() * picture - (1 - start).squareRoot() * noise))"
    )
    #expect(abs(latents.floats[0] - start.squareRoot() * picture - (1 - start).squareRoot() * noise) < 1e-4)
  }

  private static let stable = #""beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "#

  private func configuration(_ text: String) throws -> (SchedulerConfiguration, notes: [String]) {
    let json = JSONObject(
      path: "scheduler_config.json",
      values: try JSONObject.decode([String: JSONValue].self, from: Array(text.utf8), path: "scheduler_config.json"))
    return (try SchedulerConfiguration(json), SchedulerConfiguration.notes(json))
  }

  /// Files for other samplers: their betas and their prediction, none of their ways to step.
  @Test(arguments: [
    (#""_class_name": "PNDMScheduler", "skip_prk_steps": true"#, 0),
    (#""_class_name": "EulerDiscreteScheduler", "timestep_spacing": "linspace", "interpolation_type": "linear""#, 1),
    (#""_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing", "clip_sample": true"#, 1),
    (
      #""_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "solver_order": 2, "thresholding": false"#,
      1
    ),
    (#""_class_name": "DPMSolverSinglestepScheduler", "sample_max_value": Infinity, "lambda_min_clipped": NaN"#, 1),
    (
      #""_class_name": "UniPCMultistepScheduler", "solver_p": null, "timestep_spacing": "trailing", "predict_x0": true"#,
      1
    ),
    (
      #""_class_name": "LCMScheduler", "clip_sample": false, "original_inference_steps": 50, "timestep_scaling": 10.0"#,
      1
    ),
    (#""_class_name": "LMSDiscreteScheduler", "use_karras_sigmas": false"#, 0),
    (#""_class_name": "HeunDiscreteScheduler", "timestep_spacing": "leading""#, 0),
    (#""_class_name": "TCDScheduler", "clip_sample": false, "timestep_spacing": "leading""#, 0),
    (#""_class_name": "DDPMScheduler", "clip_sample": false, "variance_type": "fixed_small""#, 1),
  ])
  func samplersOfOthers(_ text: String, _ notes: Int) throws {
    let (read, said) = try configuration("{\(Self.stable)\"prediction_type\": \"v_prediction\", \(text)}")
    #expect(read.betaSchedule == .scaledLinear(start: 0.00085, end: 0.012) && read.predictionType == .velocity)
    #expect(read.timestepSpacing == .leading && !read.rescalesBetas)
    #expect(said.count == notes, "\(said)")
  }

  @Test func whatClipsIsRefused() throws {
    for text in [
      #""_class_name": "DDIMScheduler""#, #""_class_name": "DDPMScheduler""#, #""beta_end": 0.02"#,
      #""_class_name": "LCMScheduler", "clip_sample": true"#, #""_class_name": "DDIMScheduler", "clip_sample": true"#,
    ] {
      let error = modelError { _ = try configuration("{\(text)}") }
      #expect(error?.text.contains("clipped samples cannot be inverted") == true, "\(text): \(error?.text ?? "none")")
    }
    #expect(
      modelError { _ = try configuration(#"{"_class_name": "UniPCMultistepScheduler", "thresholding": true}"#) } != nil)
  }

  /// Python's names of numbers are no licence for what is no JSON, nor for texts that hold them.
  @Test func pythonsNumbers() throws {
    for value in ["-Infinity", "NaN"] {
      let error = modelError { _ = try configuration(#"{"clip_sample": false, "beta_end": \#(value)}"#) }
      #expect(error?.text.contains("beta_end is") == true, "\(error?.text ?? "none")")
    }
    #expect(modelError { _ = try configuration(#"{"a": nan}"#) }?.text.contains("is not the JSON") == true)
    #expect(modelError { _ = try configuration(#"{"a": "NaN", 'b': 1}"#) }?.text.contains("is not the JSON") == true)
    #expect(modelError { _ = try configuration(#"{"a": Infinity"#) }?.text.contains("is not the JSON") == true)
  }
}
