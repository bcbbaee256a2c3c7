import FateZero
import StableDiffusion

/// A model's configuration, taken for each that there is.
struct ConfigurationsTarget: FuzzTarget {
  static let name = "configurations"
  static let maximumLength = 4096
  let scratch: ScratchFolder

  func run(_ input: [UInt8]) throws {
    let path = try scratch.file("config.json", input)
    _ = try? UNetConfiguration(path: path)
    _ = try? AutoencoderConfiguration(path: path)
    _ = try? TextEncoderConfiguration(path: path)
    _ = try? ImageProcessorConfiguration(path: path)
    _ = try? ModelDefaults.layer(json: input)
    if let schedule = try? SchedulerConfiguration(path: path) {
      for steps in [1, 2, 7, 50, 1000] {
        guard let scheduler = try? DDIMScheduler(schedule, steps: steps) else { continue }
        for step in 0..<steps {
          _ = scheduler.cumulativeAlpha(scheduler.inversionTimestep(step))
          _ = scheduler.cumulativeAlpha(scheduler.timesteps[step])
        }
        _ = scheduler.cumulativeAlpha(-1)
      }
    }
  }
}
