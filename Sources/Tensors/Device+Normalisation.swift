import CKernels
import Glibc

extension Device {
  /// Group normalisation (Wu and He 2018, arXiv:1803.08494) of x (n, ..., c): mean and variance over
  /// `framesPerStatistic` consecutive frames, all their positions and c / groups channels, both summed in double
  /// precision; then weight * x + bias per channel, then the activation (none or SiLU).
  /// - Parameter asFactors: Whether the result is stored as factors.
  public func groupNorm(
    _ x: Tensor, groups: Int, framesPerStatistic: Int = 1, weight: Tensor, bias: Tensor, epsilon: Float,
    activation: Activation = .none, asFactors: Bool = false
  ) throws -> Tensor {
    try requireFloat32(x, weight, bias, in: "group norm")
    guard x.shape.count >= 2, let channels = x.shape.last, groups > 0, channels > 0, channels % groups == 0 else {
      throw TensorError("the channels of \(x.shape) do not fall into \(groups) groups")
    }
    let frames = x.shape[0]
    guard framesPerStatistic > 0, frames % framesPerStatistic == 0 else {
      throw TensorError("\(frames) frames do not fall into sets of \(framesPerStatistic)")
    }
    guard weight.shape == [channels], bias.shape == [channels] else {
      throw TensorError("group norm of \(channels) channels has a weight \(weight.shape) and a bias \(bias.shape)")
    }
    guard activation == .none || activation == .silu else {
      throw TensorError("group norm is followed by no activation or SiLU, not \(activation)")
    }
    return try run {
      let y = try makeResult(x.shape, asFactors: asFactors)
      guard x.count > 0 else { return y }
      let sets = frames / framesPerStatistic
      let rows = x.count / channels / sets
      let (means, scales, shifts) = try groupStatistics(
        x, sets: sets, rows: rows, channels: channels, groups: groups, weight: weight, bias: bias, epsilon: epsilon)
      let input = x.floatPointer
      let piece = max(Device.grain / channels, 1)
      let pieces = (rows + piece - 1) / piece
      try parallel(sets * pieces, operations: 8 * x.count) { item, _ in
        let set = item / pieces
        let first = item % pieces * piece
        let start = (set * rows + first) * channels
        kernel_channel_affine(
          input + start, means.floatPointer + set * channels, scales.floatPointer + set * channels,
          shifts.floatPointer + set * channels, activation == .silu, y.mutableAddress(of: start),
          y.elementType == .bfloat16, min(piece, rows - first), channels)
      }
      return y
    }
  }

  /// What normalises each channel, (sets, c) each: (x - mean) * scale + shift. Each set's rows are summed in pieces
  /// whose size does not depend on the number of threads.
  private func groupStatistics(
    _ x: Tensor, sets: Int, rows: Int, channels: Int, groups: Int, weight: Tensor, bias: Tensor, epsilon: Float
  ) throws -> (means: Tensor, scales: Tensor, shifts: Tensor) {
    let piece = max(4 * Device.grain / channels, 1)
    let pieces = (rows + piece - 1) / piece
    let input = x.floatPointer
    let storage = try TensorStorage(byteCount: sets * pieces * channels * MemoryLayout<Double>.stride, pool: pool)
    let sums = storage.base.bindMemory(to: Double.self, capacity: sets * pieces * channels)

    /// Runs `sum` over all pieces and adds up the sums of each group.
    func total(_ sum: (_ set: Int, _ rows: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>, Int) -> Void)
      throws -> [Double]
    {
      try parallel(sets * pieces, operations: 8 * x.count) { item, _ in
        let set = item / pieces
        let first = item % pieces * piece
        sum(set, input + (set * rows + first) * channels, sums + item * channels, min(piece, rows - first))
      }
      var totals = [Double](repeating: 0, count: sets * groups)
      for item in 0..<sets * pieces {
        for channel in 0..<channels {
          totals[item / pieces * groups + channel * groups / channels] += sums[item * channels + channel]
        }
      }
      return totals
    }

    let count = Double(rows * (channels / groups))
    let means = try total { _, rows, sums, count in kernel_channel_sums(rows, sums, count, channels) }.map {
      $0 / count
    }
    let channelMeans = (0..<sets * channels).map { means[$0 / channels * groups + $0 % channels * groups / channels] }
    let variances = try channelMeans.withUnsafeBufferPointer { channelMeans in
      try total { set, rows, sums, count in
        guard let means = channelMeans.baseAddress else { return }
        kernel_channel_squares(rows, means + set * channels, sums, count, channels)
      }.map { $0 / count }
    }
    let shape = [sets, channels]
    let (rounded, scales, shifts) = (try makeResult(shape), try makeResult(shape), try makeResult(shape))
    for index in 0..<sets * channels {
      let channel = index % channels
      let variance = variances[index / channels * groups + channel * groups / channels]
      let scale = Double(weight.floatPointer[channel]) / sqrt(variance + Double(epsilon))
      let mean = Float(channelMeans[index])
      rounded.mutableFloatPointer[index] = mean
      scales.mutableFloatPointer[index] = Float(scale)
      // What the mean lost by rounding is made good here; where the variance is small it would show.
      shifts.mutableFloatPointer[index] = Float(
        Double(bias.floatPointer[channel]) + (Double(mean) - channelMeans[index]) * scale)
    }
    return (rounded, scales, shifts)
  }

  /// Layer normalisation (Ba et al. 2016, arXiv:1607.06450) of the last axis: x (..., c), weight and bias (c).
  /// - Parameter asFactors: Whether the result is stored as factors.
  public func layerNorm(_ x: Tensor, weight: Tensor, bias: Tensor, epsilon: Float, asFactors: Bool = false) throws
    -> Tensor
  {
    try requireFloat32(x, weight, bias, in: "layer norm")
    guard let channels = x.shape.last, channels > 0, weight.shape == [channels], bias.shape == [channels] else {
      throw TensorError("layer norm of \(x.shape) has a weight \(weight.shape) and a bias \(bias.shape)")
    }
    return try run {
      let y = try makeResult(x.shape, asFactors: asFactors)
      let input = x.floatPointer
      try parallel(count: x.count / channels, grain: Device.grain / channels) { rows in
        let start = rows.lowerBound * channels
        kernel_layer_norm(
          input + start, weight.floatPointer, bias.floatPointer, epsilon, y.mutableAddress(of: start),
          y.elementType == .bfloat16, rows.count, channels)
      }
      return y
    }
  }
}
